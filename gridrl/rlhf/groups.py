"""GRPO: the rest of the group says what to expect, and no value function is needed.

G answers to a prompt are compared with each other. Every term of the objective is a function that
can be replaced, as its critics do: the mean (by leave-one-out), the division by the standard
deviation (by nothing), the factor 1/|o| (by nothing), and the penalty k3.

Symbols: G answers in a group, on the last axis; r their rewards; A advantages; |o| tokens of an
answer; rho the ratio pi / pi_old of a token; p the chance of a success.

Reading: lecture 002; Shao et al. (2024), arXiv:2402.03300; Ahmadian et al. (2024),
arXiv:2402.14740; Liu et al. (2025), arXiv:2503.20783.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Rate, rate
from gridrl.rlhf import kl_estimators
from gridrl.rlhf.answers import Answers
from gridrl.rlhf.group_terms import GRPOTerms, group_advantages, leave_one_out
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.policy_optimisation import Estimator, policy_gradient
from gridrl.rlhf.proximal import held_back, surrogate_slope
from gridrl.rlhf.rollouts import Chance, Seed, Task, batch, one_group, written_by
from gridrl.rlhf.tokens import Reward
from gridrl.rlhf.tuning import Tuned, tuned
from gridrl.tables import Array, called, number, restore, table, whole

Credit = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class TokenRewards:
    """Rewards r_{i,t} for each token, in place of one at the end.

    At each t they are compared with what the group's other answers got at t, those that are still
    being written. [lecture 002]

    Attributes:
        steps: of each prompt, prefix and token, (P, n, V), in reward units.
        credit: which advantages a token gets, a function of (..., L): `own_reward`, as in
            lecture 002, or `rewards_to_come`, as in the paper.
    """

    steps: ArrayLike
    credit: Credit

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", table(self.steps, "steps"))
        called(self.credit, "credit")

    __setstate__ = restore


def own_reward(A: Array) -> Array:
    """A token is credited with the reward it got itself, (..., L).  [lecture 002]

    >>> own_reward(np.array([1.0, 0.0, 2.0]))
    array([1., 0., 2.])
    """
    return A


def rewards_to_come(A: Array) -> Array:
    """A token is credited with what came from it on, (..., L).  [arXiv:2402.03300, sec. 4.1.3]

    >>> rewards_to_come(np.array([1.0, 0.0, 2.0]))
    array([3., 2., 2.])
    """
    return A[..., ::-1].cumsum(axis=-1)[..., ::-1]


# --- learners -------------------------------------------------------------------------------


@algorithm
def grpo(
    model: LanguageModel,
    reward: Reward | TokenRewards,
    *,
    reference: LanguageModel | None = None,
    beta: float = 0.04,
    updates: int = 100,
    alpha: Rate = 1.0,
    group: int = 8,
    epochs: int = 1,
    terms: GRPOTerms | None = None,
    runs: int | None = None,
    rng: Seed = None,
) -> Iterator[Tuned]:
    """Ascend E[mean_i 1/|o_i| sum_t min(rho A_i, clip(rho) A_i) - beta k3].  [arXiv:2402.03300, 3]

    With its own terms it does not arrive at the optimum of J: each of standard deviation, 1/|o| and
    k3 as a loss moves the place where it comes to rest. `rloo` does arrive.

    Args:
        model: the first policy.
        reward: R(x, y), a function of two texts or a table, (P, N), or one a run, (K, P, N), or
            `TokenRewards`. A checkable answer has 0 or 1. Where there are too many answers to list,
            a function.
        reference: p_ref; None is the first policy.
        beta: the weight of the penalty, in units of the advantage per nat.
        updates: batches; one snapshot each.
        alpha: step size, or a function of the update's number; it may exceed 1.
        group: G, answers to each prompt.
        epochs: steps on each batch; at the first, rho = 1.
        terms: of the objective; None is `GRPOTerms()`.
        runs: learners at once; None is one, without the axis, or one for each reward.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 2))
    >>> learned = grpo(model, lambda x, y: y == "ab", beta=0.0, updates=60, rng=0)
    >>> bool(learned.reward > 0.95)
    True

    Raises:
        TypeError, ValueError: beta < 0, a group of one, a negative alpha, no updates, no epochs, a
            reward or a reference that does not fit the model.
    """
    task, steps = _task(model, reward, reference, runs=True)
    theta, step_size = task.first(runs), rate(alpha, "alpha", np.inf)
    beta, plan = number(beta, "beta", 0), _terms(terms)
    G, epochs = _group(group), whole(epochs, "epochs", least=1)
    chance = Chance(rng, len(theta))
    for update in range(1, whole(updates, "updates", least=1) + 1):
        draws = batch(task, theta, G, chance)
        old, A = draws.log_probs(theta), _advantages(task, draws, steps, plan)
        for _ in range(epochs):
            weight = _weights(task, draws, theta, old, A, beta, plan)
            theta = theta + step_size(update) * draws.mean_gradient(theta, weight)
        clipped = held_back(draws, draws.log_probs(theta) - old, A, plan.epsilon)
        yield tuned(task, theta, beta, runs, clipped)


@algorithm
def rloo(
    model: LanguageModel,
    reward: Reward,
    *,
    reference: LanguageModel | None = None,
    beta: float = 0.1,
    updates: int = 100,
    alpha: Rate = 1.0,
    group: int = 8,
    runs: int | None = None,
    rng: Seed = None,
) -> Iterator[Tuned]:
    """REINFORCE, each answer compared with the mean of the others.  [arXiv:2402.14740]

    The penalty is part of the reward: Rhat = R - beta log(p / p_ref). It is `policy_gradient` with
    `leave_one_out`, unbiased, and without noise at the optimum.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 2))
    >>> learned = rloo(model, [[0.0, 1.0, 2.0]], beta=1.0, updates=300, rng=0)
    >>> bool(learned.gap(1.0) < 1e-12)
    True

    Raises:
        TypeError, ValueError: as `policy_gradient`, a group of one.
    """
    yield from policy_gradient.iterates(
        model, reward, reference=reference, beta=beta, updates=updates, alpha=alpha,
        samples=_group(group), baseline=leave_one_out, runs=runs, rng=rng,
    )  # fmt: skip


def group_gradient(
    model: LanguageModel,
    reward: Reward | TokenRewards,
    *,
    reference: LanguageModel | None = None,
    beta: float,
    old: LanguageModel | None = None,
    terms: GRPOTerms | None = None,
) -> Estimator:
    """GRPO's estimate as a function of a prompt and a group of answers, by number.

    (x, y (G,)) -> the gradient of the objective, of the shape of the logits: what `grpo` averages
    over prompts, and `expectation_of` looks at. `old` is who wrote them; None is the policy itself.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> estimate = group_gradient(model, [[0.0, 1.0]], beta=0.0)
    >>> estimate(0, np.array([0, 1])), estimate(0, np.array([1, 1]))
    (array([[ 0.5, -0.5]]), array([[0., 0.]]))
    """
    task, steps = _task(model, reward, reference)
    plan, beta = _terms(terms), number(beta, "beta", 0)
    before = written_by(task, old)

    def estimate(x: int, y: ArrayLike) -> Array:
        draws, theta = one_group(model, x, y), model.logits[None]
        A = _advantages(task, draws, steps, plan)
        weight = _weights(task, draws, theta, before(draws), A, beta, plan)
        return draws.mean_gradient(theta, weight)[0]

    return estimate


def _terms(terms: GRPOTerms | None) -> GRPOTerms:
    if not isinstance(terms, GRPOTerms | None):
        raise TypeError(f"terms must be GRPOTerms or None; it is {terms!r}")
    return GRPOTerms() if terms is None else terms


def _group(group: int) -> int:
    return whole(group, "group", least=2)


def _task(
    model: LanguageModel,
    reward: Reward | TokenRewards,
    reference: LanguageModel | None,
    *,
    runs: bool = False,
) -> tuple[Task, tuple[Array, Credit] | None]:
    """What is to be learned; rewards by token add up to that of the answer."""
    if not isinstance(reward, TokenRewards):
        return Task.of(model, reward, reference, runs=runs), None
    world = a_model(model, "model").world
    shape = (len(world.prompts), world.n_prefixes, len(world.vocabulary))
    steps = table(reward.steps, "steps", shape)
    return Task.of(model, model.tables.along(steps), reference), (steps, reward.credit)


def _advantages(
    task: Task,
    draws: Answers,
    steps: tuple[Array, Credit] | None,
    plan: GRPOTerms,
) -> Array:
    """Of each token, (K, B, G, L)."""
    if steps is None:
        r = task.paid(draws)
        A = group_advantages(r, baseline=plan.baseline, scale=plan.scale)
        return np.broadcast_to(A[..., None], draws.alive.shape)
    r, credit = steps[0].reshape(-1, steps[0].shape[-1])[draws.places, draws.tokens], steps[1]
    by_time, there = np.swapaxes(r, -1, -2), np.swapaxes(draws.alive, -1, -2)
    A = group_advantages(by_time, there, baseline=plan.baseline, scale=plan.scale)
    return np.where(draws.alive, credit(np.swapaxes(A, -1, -2)), 0.0)


def _weights(
    task: Task, draws: Answers, theta: Array, old: Array, A: Array, beta: float, plan: GRPOTerms
) -> Array:
    """The objective's derivative with respect to log pi of each token, (K, B, G, L)."""
    lp = draws.log_probs(theta)
    slopes = surrogate_slope(lp - old, A, plan.epsilon)
    if plan.penalty is not None:
        target = plan.anchor(task.log_reference(draws), old)
        slopes = slopes - beta * _slope(plan.penalty, lp, target)
    return plan.length(draws.lengths.astype(np.float64))[..., None] * slopes


def _slope(penalty: kl_estimators.Estimator, lp: Array, target: Array) -> Array:
    """d penalty / d log pi, by a complex step."""
    return np.asarray(np.imag(penalty(lp + 1j * kl_estimators.TINY, target)) / kl_estimators.TINY)
