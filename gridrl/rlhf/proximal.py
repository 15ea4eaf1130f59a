"""PPO on a language model: a penalty per token, a value per prefix, and a clipped ratio.

Token t is paid -beta log(pi_old / p_ref), the last one R as well: without discounting that adds up
to Rhat = R - beta log(p / p_ref) of the answer. At the optimum what is to come is the value of the
prefix whatever is written, so that advantages have no noise there, and PPO arrives exactly (if its
values are those of prefixes).

Symbols: rho the ratio pi / pi_old of a token; A its advantage; V (K, states) the value of what was
written, in reward units; arrays of tokens are (K, B, G, L), as in `rollouts`.

Reading: lectures 002 and 004; Ziegler et al. (2019), arXiv:1909.08593; Ouyang et al. (2022),
arXiv:2203.02155; Schulman et al. (2017), arXiv:1707.06347.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Rate, rate
from gridrl.learning.proximal import clipped_surrogate_gradient
from gridrl.rlhf.answers import Answers
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.policy_optimisation import Estimator
from gridrl.rlhf.rollouts import Chance, Seed, Task, batch, one_group, written_by
from gridrl.rlhf.tokens import Reward
from gridrl.rlhf.tuning import Tuned, tuned
from gridrl.tables import Array, Indices, called, number, table, whole

Control = Callable[[Array, Array], Array]


def adaptive_kl(target: float, *, gain: float = 0.1, bound: float = 0.2) -> Control:
    """beta <- beta (1 + gain e), e = clip(KL / target - 1, -bound, bound).  [arXiv:1909.08593, 2.2]

    >>> adaptive_kl(6.0)(np.array([1.0, 1.0]), np.array([3.0, 6.6]))
    array([0.98, 1.01])

    Raises:
        ValueError: a target that is not above 0, a negative gain or bound, a product of the
            two that is not below 1.
    """
    target, gain = number(target, "target", 0), number(gain, "gain", 0)
    bound = number(bound, "bound", 0)
    if target == 0:
        raise ValueError("target must be above 0; it is 0")
    if gain * bound >= 1:
        raise ValueError(f"gain * bound must be below 1; it is {gain * bound:g}")

    return partial(_controlled, target=target, gain=gain, bound=bound)


def _controlled(
    beta: Array, divergence: Array, *, target: float, gain: float, bound: float
) -> Array:
    return beta * (1 + gain * np.clip(divergence / target - 1, -bound, bound))


@dataclass(frozen=True)
class PPOPlan:
    """What PPO does with a batch of answers.

    Attributes:
        samples: answers to each prompt.
        epochs: times that it goes through the batch.
        epsilon: how far the ratio of a token may go and be paid for it, in [0, 1].
        alpha_critic: step size of the values, in [0, 1].
        lambda_: of generalised advantages, in [0, 1]; at 1 they are not biased by wrong values.
        control: how beta follows the batch's KL, a function of both (K,); None leaves it.

    Raises:
        TypeError, ValueError: one out of its range.
    """

    samples: int = 8
    epochs: int = 4
    epsilon: float = 0.2
    alpha_critic: float = 0.2
    lambda_: float = 1.0
    control: Control | None = None

    def __post_init__(self) -> None:
        whole(self.samples, "samples", least=1)
        whole(self.epochs, "epochs", least=1)
        for name in ("epsilon", "alpha_critic", "lambda_"):
            number(getattr(self, name), name, 0, 1)
        if self.control is not None:
            called(self.control, "control")


def _controlled_by(control: Control, beta: Array, log_ratios: Array) -> Array:
    """The next beta, (K,), after a batch with these log-ratios of tokens."""
    divergence = log_ratios.sum(axis=-1).mean(axis=(1, 2))
    found = table(control(beta, divergence), "control(beta, KL)", beta.shape)
    if (found < 0).any():
        raise ValueError(f"control(beta, KL) must not be negative; it is {found}")
    return found


def _plan(plan: PPOPlan | None) -> PPOPlan:
    if not isinstance(plan, PPOPlan | None):
        raise TypeError(f"plan must be a PPOPlan or None; it is {plan!r}")
    return PPOPlan() if plan is None else plan


@algorithm
def ppo(
    model: LanguageModel,
    reward: Reward,
    *,
    reference: LanguageModel | None = None,
    beta: float = 0.1,
    updates: int = 100,
    alpha: Rate = 1.0,
    plan: PPOPlan | None = None,
    runs: int | None = None,
    rng: Seed = None,
) -> Iterator[Tuned]:
    """Ascend E[sum_t min(rho A, clip(rho, 1 - epsilon, 1 + epsilon) A)].  [arXiv:1707.06347, eq. 7]

    Values are a table over prompts and prefixes (over the policy's contexts, where there are too
    many to list), 0 at first; A is generalised advantage estimation. With one epoch it is a step
    along the policy gradient. Lecture 002 writes R at every t, and
    neither min nor clip, which are those of lecture 004.

    Args:
        model: the first policy.
        reward: R(x, y), a function of two texts or a table, (P, N), in reward units; of several
            runs (K, P, N). Where there are too many answers to list, a function.
        reference: p_ref; None is the first policy.
        beta: reward units per nat, at first; 0 leaves out the reference.
        updates: batches; one snapshot each.
        alpha: step size, or a function of the update's number; it may exceed 1.
        plan: what is done with a batch; None is `PPOPlan()`.
        runs: learners at once; None is one, without the axis, or one for each reward.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 2))
    >>> learned = ppo(model, [[0.0, 1.0, 2.0]], beta=1.0, updates=300, rng=0)
    >>> bool(learned.gap(1.0) < 1e-3)
    True

    Raises:
        TypeError, ValueError: as `policy_gradient`.
    """
    task, plan = Task.of(model, reward, reference, runs=True), _plan(plan)
    theta, step_size = task.first(runs), rate(alpha, "alpha", np.inf)
    beta_now = np.full(len(theta), number(beta, "beta", 0))
    chance, V = Chance(rng, len(theta)), np.zeros((len(theta), _states(model)))
    for update in range(1, whole(updates, "updates", least=1) + 1):
        draws = batch(task, theta, plan.samples, chance)
        old, charged = draws.log_probs(theta), beta_now
        log_ratios = old - task.log_reference(draws)
        A = _advantages(task, draws, log_ratios, charged, V, plan.lambda_)
        V = _improved(V, draws, A, plan)
        for _ in range(plan.epochs):
            weight = surrogate_slope(draws.log_probs(theta) - old, A, plan.epsilon)
            theta = theta + step_size(update) * draws.mean_gradient(theta, weight)
        if plan.control is not None:
            beta_now = _controlled_by(plan.control, charged, log_ratios)
        clipped = held_back(draws, draws.log_probs(theta) - old, A, plan.epsilon)
        yield tuned(task, theta, charged, runs, clipped)


def ppo_gradient(
    model: LanguageModel,
    reward: Reward,
    *,
    reference: LanguageModel | None = None,
    beta: float,
    old: LanguageModel | None = None,
    epsilon: float = 0.2,
    values: ArrayLike = 0.0,
) -> Estimator:
    """PPO's estimate as a function of a prompt and the answers drawn, by number.

    (x, y (G,)) -> (1/G) sum_i sum_t of the clipped surrogate's gradient, as the logits. `old` is
    who wrote the answers; None is the policy itself, as in the first step on a batch. `values`
    are those of prefixes, (P, n) or one for all, in reward units.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> estimate = ppo_gradient(model, [[0.0, 1.0]], beta=0.0)
    >>> estimate(0, np.array([0, 1]))
    array([[ 0.25, -0.25]])
    """
    task, beta = Task.of(model, reward, reference), number(beta, "beta", 0)
    before = written_by(task, old)
    V = _value_table(values, model)

    def estimate(x: int, y: ArrayLike) -> Array:
        draws = one_group(model, x, y)
        lp = before(draws)
        A = _advantages(task, draws, lp - task.log_reference(draws), np.array([beta]), V, 1.0)
        theta = model.logits[None]
        weight = surrogate_slope(draws.log_probs(theta) - lp, A, epsilon)
        return draws.mean_gradient(theta, weight)[0]

    return estimate


def _advantages(
    task: Task, draws: Answers, log_ratios: Array, beta: Array, V: Array, lambda_: float
) -> Array:
    """A_t = delta_t + lambda A_{t+1}, delta_t = r_t + V_{t+1} - V_t, (K, B, G, L)."""
    paid = task.paid(draws)[..., None]
    r = np.where(draws.last, paid, 0.0) - beta[:, None, None, None] * log_ratios
    now = _values(V, draws)
    ahead = np.concatenate([now[..., 1:], np.zeros((*now.shape[:-1], 1))], axis=-1)
    delta = np.where(draws.alive, r + ahead - now, 0.0)
    A = np.zeros(delta.shape)
    following = np.zeros(delta.shape[:-1])
    for t in reversed(range(delta.shape[-1])):
        following = A[..., t] = delta[..., t] + lambda_ * following
    return A


def _values(V: Array, draws: Answers) -> Array:
    """The value of what was written before each token, (K, B, G, L); 0 after the end."""
    k = np.arange(len(V))[:, None, None, None]
    return np.where(draws.alive, V[k, _state(draws)], 0.0)


def _value_table(values: ArrayLike, model: LanguageModel) -> Array:
    """One value for all, or one of each prompt and prefix, (P, n), as (1, states)."""
    given = table(values, "values")
    if given.ndim == 0:
        return np.full((1, _states(model)), float(given))
    shape = (len(model.world.prompts), model.world.n_prefixes)
    return table(given, "values", shape).reshape(1, -1)


def _states(model: LanguageModel) -> int:
    """How many values there are: of prompts and prefixes, or of contexts."""
    world = model.world
    return len(world.prompts) * world.n_prefixes if world.enumerable else len(model.logits)


def _state(draws: Answers) -> Indices:
    """Which value belongs to each token, (K, B, G, L)."""
    return draws.places if draws.model.world.enumerable else draws.rows


def _improved(V: Array, draws: Answers, A: Array, plan: PPOPlan) -> Array:
    """V moved towards the mean of its targets A + V, once for each epoch, (K, states)."""
    k = np.arange(len(V))[:, None, None, None]
    at = (k * V.shape[1] + _state(draws))[draws.alive]
    count = np.bincount(at, minlength=V.size)
    error = np.bincount(at, A[draws.alive], minlength=V.size) / np.maximum(count, 1)
    share = 1 - (1 - plan.alpha_critic) ** plan.epochs
    return V + share * error.reshape(V.shape)


def surrogate_slope(log_rho: Array, A: Array, epsilon: float) -> Array:
    """The surrogate's derivative with respect to log pi of a token: rho A, or 0 where clipped."""
    rho = np.exp(log_rho)
    return rho * clipped_surrogate_gradient(rho, A, epsilon)


def held_back(draws: Answers, log_rho: Array, A: Array, epsilon: float) -> Array:
    """The share of the tokens where clipping bites, (K,)."""
    bites = draws.alive & (A != 0) & (surrogate_slope(log_rho, A, epsilon) == 0)
    return bites.sum(axis=(1, 2, 3)) / draws.alive.sum(axis=(1, 2, 3))
