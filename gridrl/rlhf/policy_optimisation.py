"""Policy optimisation on a language model: the policy gradient, exact and sampled.

The objective J(p) = E_p[R] - beta KL(p || p_ref) is E_p[Rhat] with Rhat = R - beta log(p / p_ref),
and its gradient has two terms [lecture 003]:

    dJ/dtheta = sum_y dp(y)/dtheta Rhat(y) + E_p[dRhat/dtheta]

The second is -beta E_p[d log p / dtheta] = -beta d(sum_y p(y))/dtheta: it is always zero, and
nobody computes it. The first becomes E_p[Rhat d log p / dtheta] by the log-derivative trick.

At the optimum Rhat is the same for all answers, beta log Z. So an estimate that subtracts the mean
of other answers has no noise there, and the learner arrives exactly.

Symbols: theta (K, contexts, V) logits of K runs; p(y|x) policy; p_ref reference; b baseline.

Reading: lectures 003 and 004; Williams (1992); Ahmadian et al. (2024), arXiv:2402.14740.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Rate, rate
from gridrl.rlhf.answers import Answers
from gridrl.rlhf.group_terms import Baseline, leave_one_out
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.rollouts import Chance, Seed, Task, batch, one_group
from gridrl.rlhf.tokens import Reward
from gridrl.rlhf.tuning import Tuned, tuned
from gridrl.tables import Array, number, read_only, restore, whole

Estimator = Callable[[int, ArrayLike], Array]


@dataclass(frozen=True, eq=False)
class GradientTerms:
    """The two terms of lecture 003, of the shape of the logits, in reward units.

    Attributes:
        of_policy: sum_y dp(y)/dtheta Rhat(y) = E_p[Rhat d log p / dtheta].
        of_return: E_p[dRhat/dtheta] = -beta E_p[d log p / dtheta], which is zero.
    """

    of_policy: Array
    of_return: Array

    def __post_init__(self) -> None:
        read_only(self.of_policy)
        read_only(self.of_return)

    __setstate__ = restore

    @property
    def total(self) -> Array:
        """dJ/dtheta."""
        return self.of_policy + self.of_return


def gradient_terms(
    model: LanguageModel, reward: Reward, *, reference: LanguageModel | None = None, beta: float
) -> GradientTerms:
    """dJ/dtheta by enumeration, term by term; the mean over prompts.  [lecture 003]

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> terms = gradient_terms(model, [[0.0, 1.0]], beta=0.5)  # "a" is paid
    >>> terms.of_policy, bool(abs(terms.of_return).max() < 1e-15)
    (array([[ 0.25, -0.25]]), True)

    Raises:
        TypeError, ValueError: beta < 0, a reward or a reference that does not fit the model.
    """
    task, beta = Task.of(model, reward, reference), number(beta, "beta", 0)
    p, theta = model.probs, model.logits
    weight = model.tables.gradient(theta, -beta * p / len(p))
    return GradientTerms(_exact(task, theta, beta), weight)


def sampled_gradient(
    model: LanguageModel,
    reward: Reward,
    *,
    reference: LanguageModel | None = None,
    beta: float,
    baseline: Baseline = leave_one_out,
) -> Estimator:
    """REINFORCE's estimate as a function of a prompt and the answers drawn, by number.

    (x, y (G,)) -> (1/G) sum_i [Rhat(y_i) - b_i] d log p(y_i) / dtheta, of the shape of the logits:
    what `policy_gradient` averages over prompts, and `expectation_of` looks at.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> estimate = sampled_gradient(model, [[0.0, 1.0]], beta=0.0)
    >>> estimate(0, np.array([0, 1]))
    array([[ 0.5, -0.5]])
    """
    task, beta = Task.of(model, reward, reference), number(beta, "beta", 0)

    def estimate(x: int, y: ArrayLike) -> Array:
        draws = one_group(model, x, y)
        return _sampled(task, model.logits[None], draws, beta, baseline)[0]

    return estimate


@algorithm
def policy_gradient(
    model: LanguageModel,
    reward: Reward,
    *,
    reference: LanguageModel | None = None,
    beta: float = 0.1,
    updates: int = 100,
    alpha: Rate = 1.0,
    samples: int | None = None,
    baseline: Baseline = leave_one_out,
    runs: int | None = None,
    rng: Seed = None,
) -> Iterator[Tuned]:
    """theta <- theta + alpha E_p[(Rhat - b) d log p / dtheta], Rhat = R - beta log(p / p_ref).

    Args:
        model: the first policy; softmax keeps at zero what it never writes.
        reward: R(x, y), a function of two texts or a table, (P, N), in reward units; of several
            runs (K, P, N). Where there are too many answers to list, a function.
        reference: p_ref; None is the first policy.
        beta: reward units per nat; 0 leaves out the reference.
        updates: how many; one snapshot each.
        alpha: step size, or a function of the update's number, from 1; it may exceed 1.
        samples: answers drawn for each prompt; None enumerates all, and gives the exact gradient.
        baseline: `leave_one_out`, `group_mean` or `no_baseline`; the exact gradient needs none.
        runs: learners at once; None is one, without the axis, or one for each reward.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> learned = policy_gradient(model, [[1.0, 0.0]], beta=1.0, updates=100)
    >>> learned.probs.round(4), bool(learned.gap(1.0) < 1e-12)  # e / (1 + e)
    (array([[0.7311, 0.2689]]), True)

    Raises:
        TypeError, ValueError: beta < 0, a negative alpha, no updates, too few samples for the
            baseline, a reward or a reference that does not fit the model.
    """
    task, beta = Task.of(model, reward, reference, runs=True), number(beta, "beta", 0)
    theta, step_size = task.first(runs), rate(alpha, "alpha", np.inf)
    G = None if samples is None else whole(samples, "samples", least=1)
    chance = Chance(rng, len(theta))
    for update in range(1, whole(updates, "updates", least=1) + 1):
        if G is None:
            gradient = _exact(task, theta, beta)
        else:
            draws = batch(task, theta, G, chance)
            gradient = _sampled(task, theta, draws, beta, baseline)
        theta = theta + step_size(update) * gradient
        yield tuned(task, theta, beta, runs)


def _exact(task: Task, theta: Array, beta: float) -> Array:
    """E_p[Rhat d log p / dtheta], the mean over prompts, (..., contexts, V)."""
    lp = task.model.tables.log_probs(theta)
    p = np.exp(lp)
    returns = np.where(p > 0, task.returns(lp, beta), 0.0)
    return task.model.tables.gradient(theta, p * returns / lp.shape[-2])


def _sampled(task: Task, theta: Array, draws: Answers, beta: float, baseline: Baseline) -> Array:
    """Its estimate from a batch, (K, contexts, V)."""
    log_ratios = draws.log_probs(theta) - task.log_reference(draws)
    returns = task.paid(draws) - beta * log_ratios.sum(axis=-1)
    A = returns - baseline(returns, np.ones(returns.shape, dtype=bool))
    return draws.mean_gradient(theta, A[..., None])
