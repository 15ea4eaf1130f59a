"""Baselines: what to expect anyway, taken off the return so that the gradient's noise shrinks.

An episode's estimate of the gradient is Y - b U, row by row: Y = sum_t gamma^t G_t phi_t and
U = sum_t gamma^t phi_t, with phi_t the score of what was seen at time t. Since E[U] = 0 no baseline
moves the mean; the variance it leaves is

    sum_o  E|Y_o|^2 - 2 b(o) E[Y_o U_o] + b(o)^2 E|U_o|^2  -  |dJ/dtheta|^2,

a parabola in each b(o). A baseline is a function of `Moments`: exact ones (`exact_moments`) in the
laboratory, those of past episodes in a learner. There E[...] are averages over episodes.

Reading: Sutton & Barto (2018), section 13.4; Greensmith, Bartlett & Baxter (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from gridrl.learning.batches import Batches, Experience
from gridrl.learning.gradients import Credit, lifted, reward_to_go, sum_by_sight, sum_of_scores
from gridrl.planning.bellman import state_values
from gridrl.processes import MDP, POMDP
from gridrl.processes.transitions import average_over_actions, dense, solve_linear
from gridrl.tables import Array, Mask, read_only, restore, softmax, whole


@dataclass(frozen=True, eq=False)
class Moments:
    """What baselines are made of, for each thing seen; runs, if there are many, come first.

    Attributes:
        visits: E[sum_t gamma^t 1(o_t = o)], (..., Z).
        returns: E[sum_t gamma^t 1(o_t = o) G_t], (..., Z), in reward units.
        UU: E|U_o|^2, (..., Z).
        YU: E[Y_o . U_o], (..., Z), in reward units.
        YY: E|Y_o|^2, (..., Z), in reward units squared.
    """

    visits: Array
    returns: Array
    UU: Array
    YU: Array
    YY: Array

    def __post_init__(self) -> None:
        for field in fields(self):
            read_only(getattr(self, field.name))

    __setstate__ = restore


Baseline = Callable[[Moments], Array]


def mean_baseline(moments: Moments) -> Array:
    """b = the mean return-to-go of all visits, the same for everything seen, (..., Z).

    >>> from gridrl.worlds import random_walk
    >>> mdp = random_walk(3).mdp(gamma=1)
    >>> mean_baseline(exact_moments(mdp, np.zeros((5, 2)))).round(3)
    array([0.5, 0.5, 0.5, 0.5, 0.5])
    """
    total = moments.visits.sum(axis=-1, keepdims=True)
    mean = ratio(moments.returns.sum(axis=-1, keepdims=True), total)
    return np.broadcast_to(mean, moments.visits.shape)


def value_baseline(moments: Moments) -> Array:
    """b(o) = the mean return-to-go of the visits to o: V(s) where states are seen, (..., Z).

    >>> from gridrl.worlds import random_walk
    >>> mdp = random_walk(3).mdp(gamma=1)
    >>> value_baseline(exact_moments(mdp, np.zeros((5, 2)))).round(3)
    array([0.  , 0.25, 0.5 , 0.75, 0.  ])
    """
    return ratio(moments.returns, moments.visits)


def optimal_baseline(moments: Moments) -> Array:
    """b(o) = E[Y_o . U_o] / E|U_o|^2: the least variance any baseline table leaves, (..., Z).

    >>> from gridrl.worlds import random_walk
    >>> mdp = random_walk(3).mdp(gamma=1)
    >>> optimal_baseline(exact_moments(mdp, np.zeros((5, 2)))).round(3)
    array([0. , 0.5, 0.5, 0.5, 0. ])
    """
    return ratio(moments.YU, moments.UU)


def ratio(above: ArrayLike, below: ArrayLike) -> Array:
    """above / below, and 0 where nothing was seen."""
    some = np.asarray(below) > 0
    return np.where(some, above / np.where(some, below, 1.0), 0.0)


def exact_moments(mdp: MDP | POMDP, theta: ArrayLike, *, horizon: int | None = None) -> Moments:
    """The moments of one episode under softmax(theta), by recursion from the end, exactly.

    Args:
        mdp: the world, gamma < 1 or every policy ends.
        theta: logits, (S, A), or (Z, A) for a POMDP.
        horizon: an episode's time limit; None is none.

    >>> from gridrl.planning import state_values, uniform_policy
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> b = value_baseline(exact_moments(mdp, np.zeros((16, 4))))
    >>> bool(np.allclose(b, state_values(mdp, uniform_policy(mdp))))
    True

    Raises:
        ValueError: theta of another shape; gamma = 1 and an unending world.
    """
    return _moments(mdp, theta, horizon)[0]


def gradient_variance(
    mdp: MDP | POMDP,
    theta: ArrayLike,
    *,
    baseline: Baseline | None = None,
    horizon: int | None = None,
) -> float:
    """E|g - dJ/dtheta|^2 of one episode's estimate with reward-to-go, summed over theta, exactly.

    >>> from gridrl.worlds import random_walk
    >>> mdp, theta = random_walk(3).mdp(gamma=1), np.zeros((5, 2))
    >>> [round(gradient_variance(mdp, theta, baseline=b), 3)
    ...  for b in (None, value_baseline, optimal_baseline)]
    [0.812, 0.375, 0.312]

    Args, Raises: as `exact_moments`; baseline: a function of the exact moments, None is 0.
    """
    moments, gradient = _moments(mdp, theta, horizon)
    b = np.zeros_like(moments.visits) if baseline is None else baseline(moments)
    square = moments.YY - 2 * b * moments.YU + b**2 * moments.UU
    return float(square.sum() - (gradient**2).sum())


def gradient_estimates(
    mdp: MDP | POMDP,
    theta: ArrayLike,
    *,
    episodes: int,
    baseline: Baseline | None = None,
    credit: Credit = reward_to_go,
    steps: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Array:
    """sum_t (credit_t - gamma^t b(o_t)) d log pi(a_t|o_t) / dtheta, an estimate an episode.

    The log-derivative trick at work, shape (episodes, S, A): the mean is dJ/dtheta, whatever the
    baseline; the spread is another matter. The baseline here is made of exact moments.
    [lectures 003 and 004; Sutton & Barto 2018, eq. 13.11]

    Args:
        mdp: the world.
        theta: logits, (S, A), or (Z, A) for a POMDP.
        episodes: how many estimates.
        baseline: `mean_baseline`, `value_baseline`, `optimal_baseline`; None is 0.
        credit: `reward_to_go`, or `whole_return`.
        steps: time limit of an episode; None needs an end that can be reached from everywhere.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.learning import exact_policy_gradient
    >>> from gridrl.worlds import random_walk
    >>> mdp, theta = random_walk(3).mdp(gamma=1), np.zeros((5, 2))
    >>> g = gradient_estimates(mdp, theta, episodes=20_000, baseline=value_baseline, rng=0)
    >>> bool(np.abs(g.mean(axis=0) - exact_policy_gradient(mdp, theta)).max() < 0.02)
    True

    Raises:
        ValueError: theta of another shape, no episodes, no end and no time limit.
    """
    world = Batches(mdp, episodes, steps, None, rng)
    pi = softmax(world.first_logits(theta))
    Y, U = scores(world.collect(pi), pi, credit)
    b = np.zeros(pi.shape[1])
    if baseline is not None:
        b = baseline(exact_moments(mdp, theta, horizon=steps))
    return (Y - b[:, None] * U)[0]


def scores(batch: Experience, pi: Array, credit: Credit) -> tuple[Array, Array]:
    """Y and U of every episode, (K, n, Z, A) each."""
    K, n, _ = batch.alive.shape
    k, i, t = np.nonzero(batch.alive)
    o, a, each = batch.seen[k, i, t], batch.actions[k, i, t], k * n + i
    many = np.repeat(pi, n, axis=0)
    Y = sum_of_scores(each, o, a, credit(batch.rewards, batch.gamma)[k, i, t], many)
    U = sum_of_scores(each, o, a, batch.weights[k, i, t], many)
    return Y.reshape(K, n, *pi.shape[1:]), U.reshape(K, n, *pi.shape[1:])


def batch_moments(batch: Experience, Y: Array, U: Array) -> Moments:
    """The moments of a batch, averages over its episodes, (K, Z) each."""
    K, n, Z, _ = Y.shape
    k, i, t = np.nonzero(batch.alive)
    o, w = batch.seen[k, i, t], batch.weights[k, i, t]
    G = reward_to_go(batch.rewards, batch.gamma)[k, i, t]
    visits, returns = (sum_by_sight(k, o, x, (K, Z)) / n for x in (w, G))
    products = ((x * y).sum(axis=3).mean(axis=1) for x, y in ((U, U), (Y, U), (Y, Y)))
    return Moments(visits, returns, *products)


def _moments(mdp: MDP | POMDP, theta: ArrayLike, horizon: int | None) -> tuple[Moments, Array]:
    """The exact moments and the gradient, (Z, A)."""
    model, seen, pi, acts = lifted(mdp, theta)
    over = model.terminal
    if horizon is None and model.gamma == 1:
        over = model.under(acts).over()  # where visits would be counted for ever
        state_values(model, acts)  # refuses what never ends
    back = _Backwards(model, np.eye(model.n_states) if seen is None else seen, pi, over)
    if horizon is None:
        values = back.for_ever()
    else:
        values = back.nothing()
        for _ in range(whole(horizon, "horizon", least=1)):
            values = back.step(*values)
    _, _, y, _, _, *rows = values
    return Moments(*(model.start @ row for row in rows)), np.tensordot(model.start, y, 1)


class _Backwards:
    """One step more before the end: all expectations from each state on, for each thing seen.

    V, V2 (S,) are E[G] and E[G^2]; y, g, h (S, Z, A) are E[Y], E[G U] and E[G Y]; then the fields
    of `Moments`, (S, Z) each. U has mean 0 whatever is known of the past, which is why no more
    are needed.
    """

    POWERS = (1, 2, 1, 2, 2, 1, 1, 2, 2, 2)  # x = ... + gamma^power P_pi x, for each of them

    def __init__(self, model: MDP, seen: Array, pi: Array, over: Mask) -> None:
        self.alive, acting = np.flatnonzero(~over), ~over[:, None]
        self.gamma, self.pi, self.P = model.gamma, pi, dense(model.P)
        self.seen = seen * acting
        self.W = self.seen[:, :, None] * pi  # Pr(o, a | s), (S, Z, A)
        acts = seen @ pi
        self.acts, self.P_pi = acts, average_over_actions(self.P, acts)
        self.R, self.Pr = model.R, self.P * model.payment.power(1, model.P) * acting[:, :, None]
        self.R2 = (self.P * model.payment.power(2, model.P)).sum(axis=2) * acting
        self.size = 1 - 2 * pi + (pi**2).sum(axis=1, keepdims=True)  # |phi_a|^2, (Z, A)

    def for_ever(self) -> tuple[Array, ...]:
        """What a step more does not change: one linear solve each, in their order."""
        if len(self.alive) == 0:
            return self.nothing()
        values, P = list(self.nothing()), self.P_pi[np.ix_(self.alive, self.alive)]
        for i, power in enumerate(self.POWERS):
            source = self.step(*values)[i][self.alive]
            found = solve_linear(P, source.reshape(len(P), -1), gamma=self.gamma**power)
            values[i] = values[i].copy()
            values[i][self.alive] = found.reshape(source.shape)
        return tuple(values)

    def nothing(self) -> tuple[Array, ...]:
        """After the last step."""
        S, Z, A = self.W.shape
        vectors = tuple(np.zeros((S, Z, A)) for _ in range(3))
        return np.zeros(S), np.zeros(S), *vectors, *(np.zeros((S, Z)) for _ in range(5))

    def step(
        self, V: Array, V2: Array, y: Array, g: Array, h: Array,
        visits: Array, returns: Array, UU: Array, YU: Array, YY: Array,
    ) -> tuple[Array, ...]:  # fmt: skip
        """What holds with one step more to go."""
        gamma, ahead = self.gamma, self._ahead
        Q = self.R + gamma * (self.P @ V)
        Q2 = self.R2 + 2 * gamma * (self.Pr @ V) + gamma**2 * (self.P @ V2)  # E[G^2|s,a]
        GY = np.tensordot(self.Pr, y, 1) + gamma * np.tensordot(self.P, h, 1)  # E[G Y'|s,a]
        Py, Pg = np.tensordot(self.P, y, 1), np.tensordot(self.P, g, 1)
        return (
            (self.acts * Q).sum(axis=1),
            (self.acts * Q2).sum(axis=1),
            self._scored(Q) + gamma * ahead(y),
            self._scored(Q) + gamma**2 * ahead(g),
            self._scored(Q2) + gamma * (self.acts[:, :, None, None] * GY).sum(axis=1),
            self.seen + gamma * ahead(visits),
            (self.W * Q[:, None]).sum(axis=2) + gamma * ahead(returns),
            (self.W * self.size).sum(axis=2) + gamma**2 * ahead(UU),
            (self.W * self.size * Q[:, None]).sum(axis=2)
            + gamma**2 * self._along(Pg) + gamma * self._along(Py) + gamma**2 * ahead(YU),
            (self.W * self.size * Q2[:, None]).sum(axis=2)
            + 2 * gamma * self._along(GY) + gamma**2 * ahead(YY),
        )  # fmt: skip

    def _ahead(self, x: Array) -> Array:
        """sum_s' P_pi(s'|s) x(s')."""
        return np.tensordot(self.P_pi, x, 1)

    def _scored(self, Q: Array) -> Array:
        """E[1(o_t = o) Q(s,a) phi_a], (S, Z, A)."""
        x = self.W * Q[:, None]
        return x - x.sum(axis=2, keepdims=True) * self.pi

    def _along(self, x: Array) -> Array:
        """E[1(o_t = o) phi_a . x(s,a,o)], x (S, A, Z, A) -> (S, Z)."""
        own = np.einsum("saoa->soa", x) - np.einsum("saoc,oc->soa", x, self.pi)
        return (self.W * own).sum(axis=2)
