"""REINFORCE: walk up an estimate of dJ/dtheta, batch after batch.

Symbols: theta (K, Z, A) logits of K runs; J expected return; b(o) baseline; alpha step size. What
is done at time t is weighted by gamma^t, as in the gradient of J; most programs leave that out, and
follow the gradient of nothing [Nota & Thomas 2020].

Reading: lecture 004; Sutton & Barto (2018), sections 13.3 and 13.4; Williams (1992).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.baselines import Baseline, Moments, batch_moments, scores
from gridrl.learning.batches import Batches, Experience
from gridrl.learning.gradients import Credit, reward_to_go, sum_by_sight
from gridrl.learning.lockstep import Rate, rate
from gridrl.learning.outside import World
from gridrl.planning.policies import softmax_policy
from gridrl.processes import POMDP
from gridrl.tables import Array, log_softmax, read_only, restore, softmax, whole


@dataclass(frozen=True, eq=False)
class Ascent:
    """What every run knows after an update; without the first axis for a single run.

    Attributes:
        theta: logits, (K, Z, A); Z states, or observations of a POMDP.
        V: the critic's values, or the baseline, (K, Z), in reward units.
        returns: discounted return, the mean over the batch before the update, (K,).
        lengths: steps of an episode, the mean over the batch, (K,).
        kl: KL(old || new) at what was seen in the batch, on average, (K,), in nats.
        clipped: share of the steps whose gradient PPO's clipping held back, (K,); else 0.
    """

    theta: Array
    V: Array
    returns: Array
    lengths: Array
    kl: Array
    clipped: Array

    def __post_init__(self) -> None:
        for field in fields(self):
            read_only(np.asarray(getattr(self, field.name)))

    __setstate__ = restore

    @property
    def policy(self) -> Array:
        """softmax(theta), (K, Z, A)."""
        return softmax_policy(self.theta)

    def __repr__(self) -> str:
        Z, A = self.theta.shape[-2:]
        runs = "1 run" if self.theta.ndim == 2 else f"{len(self.theta)} runs"
        return f"Ascent({Z} states, {A} actions, {runs})"


@algorithm
def reinforce(
    mdp: World | POMDP,
    *,
    updates: int,
    episodes: int = 1,
    alpha: Rate = 0.1,
    baseline: Baseline | None = None,
    credit: Credit = reward_to_go,
    theta: ArrayLike | None = None,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Ascent]:
    """theta <- theta + alpha mean over the batch of sum_t gamma^t [G_t - b(o_t)] d log pi(a_t|o_t).

    The baseline is made of the moments of past batches, of which a new one counts a tenth (and of
    one more at the start): it knows nothing of the batch at hand, and the estimate stays unbiased.
    [eq. 13.8, 13.11]

    Args:
        mdp: the world; of a POMDP with O[s', o] the policy sees observations, without memory.
        updates: how many; one snapshot each.
        episodes: of a batch.
        alpha: step size, or a function of the update's number, from 1; it may exceed 1.
        baseline: `mean_baseline`, `value_baseline`, `optimal_baseline`; None is 0.
        credit: `reward_to_go`, or `whole_return`.
        theta: the first logits, (Z, A); None is 0, the uniform policy.
        steps: time limit of an episode, whose return is then cut short; None needs an end, and a
            policy that does not learn to avoid it.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.learning import value_baseline
    >>> from gridrl.worlds import short_corridor
    >>> corridor = short_corridor().pomdp(gamma=1)  # three squares that look alike
    >>> learned = reinforce(corridor, updates=300, alpha=2**-10, baseline=value_baseline, runs=50,
    ...                     theta=[[np.log(20), 0]], steps=500, rng=0)
    >>> bool((learned.policy[:, 0, 1] > 0.2).mean() > 0.9)  # 0.59 is best
    True

    Raises:
        ValueError: a negative alpha, no updates, no episodes, no end and no time limit.
    """
    world, step_size = Batches(mdp, episodes, steps, runs, rng), rate(alpha, "alpha", np.inf)
    logits = world.first_logits(theta)
    b = np.zeros(logits.shape[:2])
    if baseline is not None:  # a batch from which nothing but the baseline is learned
        past = _moments(world, softmax(logits), credit)
        b = baseline(past)
    for update in range(1, whole(updates, "updates", least=1) + 1):
        pi = softmax(logits)
        batch = world.collect(pi)
        Y, U = scores(batch, pi, credit)
        gradient = (Y - b[:, None, :, None] * U).mean(axis=1)
        old, logits = logits, logits + step_size(update) * gradient
        yield ascent(world, batch, old, logits, b)
        if baseline is not None:
            past = mixed(past, batch_moments(batch, Y, U))
            b = baseline(past)


def _moments(world: Batches, pi: Array, credit: Credit) -> Moments:
    """What a first batch says."""
    batch = world.collect(pi)
    return batch_moments(batch, *scores(batch, pi, credit))


def mixed(past: Moments, new: Moments, share: float = 0.1) -> Moments:
    """Moments of which the newest batch counts `share`, the one before share (1 - share), ..."""
    pairs = ((getattr(past, field.name), getattr(new, field.name)) for field in fields(Moments))
    return Moments(*((1 - share) * old + share * now for old, now in pairs))


def ascent(
    world: Batches,
    batch: Experience,
    old: Array,
    theta: Array,
    V: Array,
    clipped: Array | None = None,
) -> Ascent:
    """A snapshot after an update that led from the logits `old` to `theta`."""
    k, i, t = np.nonzero(batch.alive)
    seen = sum_by_sight(k, batch.seen[k, i, t], 1.0, theta.shape)
    divergence = (softmax(old) * (log_softmax(old) - log_softmax(theta))).sum(axis=2)
    change = (seen * divergence).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    clipped = np.zeros(len(theta)) if clipped is None else clipped
    values = (theta, V, batch.returns, batch.lengths, change, clipped)
    return Ascent(*(world.squeeze(x) for x in values))
