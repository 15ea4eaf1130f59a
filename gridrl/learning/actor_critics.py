"""Actor and critic: a critic V guesses what comes next, so that the actor need not wait for it.

The actor's advantage is estimated by a function of (rewards, values, gamma):

    partial(gae, lambda_=0.95)             generalised advantage estimation
    partial(n_step_advantages, n=5)        n rewards and a guess

With the exact V in the critic's place their mean is the advantage itself; with a wrong V only what
does not bootstrap (lambda = 1, a large n) stays unbiased.

Reading: lecture 004; Sutton & Barto (2018), section 13.5; Schulman et al. (2016),
arXiv:1506.02438; Kakade (2001).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.baselines import ratio
from gridrl.learning.batches import Batches, Estimate, Experience
from gridrl.learning.gradients import sum_by_sight, sum_of_scores
from gridrl.learning.lockstep import Rate, rate
from gridrl.learning.outside import World
from gridrl.learning.policy_gradients import Ascent, ascent
from gridrl.planning.returns import gae
from gridrl.processes import POMDP
from gridrl.tables import Array, Indices, softmax, whole

GAE = partial(gae, lambda_=0.95)
DAMPING = 1e-6  # added to F, whose rows are dependent: sum_a pi(a) phi_a = 0


@algorithm
def actor_critic(
    mdp: World | POMDP,
    *,
    updates: int,
    episodes: int = 1,
    alpha: Rate = 0.1,
    alpha_critic: Rate = 0.1,
    advantage: Estimate = GAE,
    theta: ArrayLike | None = None,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Ascent]:
    """theta <- theta + alpha mean of sum_t gamma^t A_t d log pi(a_t|o_t); V <- V + alpha_critic A.

    The critic moves each V(o) towards the mean target A_t + V(o_t) of the visits to o.

    Args:
        mdp: the world; of a POMDP with O[s', o] policy and critic see observations.
        updates: how many; one snapshot each.
        episodes: of a batch.
        alpha: the actor's step size, or a function of the update's number; it may exceed 1.
        alpha_critic: the critic's, in [0, 1].
        advantage: how A_t is estimated, a function of (rewards, values, gamma).
        theta: the first logits, (Z, A); None is 0, the uniform policy.
        steps: time limit of an episode, after which the critic says what would have come.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl import exact_returns, penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)  # at best 2.17
    >>> learned = actor_critic(mdp, updates=200, episodes=10, alpha=2.0, steps=30, rng=0)
    >>> bool(exact_returns(mdp, learned.policy) > 1.9)
    True

    Raises:
        ValueError: alpha_critic outside [0, 1], a negative alpha, no updates, no episodes, no end
            and no time limit.
    """
    world, step_size = Batches(mdp, episodes, steps, runs, rng), rate(alpha, "alpha", np.inf)
    logits, critic_step = world.first_logits(theta), rate(alpha_critic, "alpha_critic")
    V = np.zeros(logits.shape[:2])
    for update in range(1, whole(updates, "updates", least=1) + 1):
        pi = softmax(logits)
        batch = world.collect(pi)
        A = batch.advantages(V, advantage)
        old, logits = logits, logits + step_size(update) * actor_gradient(batch, A, pi)
        V = V + critic_step(update) * critic_error(batch, A, V.shape)
        yield ascent(world, batch, old, logits, V)


@algorithm
def natural_policy_gradient(
    mdp: World | POMDP,
    *,
    updates: int,
    episodes: int = 10,
    alpha: Rate = 0.1,
    alpha_critic: Rate = 0.1,
    advantage: Estimate = GAE,
    theta: ArrayLike | None = None,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Ascent]:
    """theta <- theta + alpha F^-1 dJ/dtheta, F(o) = visits(o) E[phi phi^T].

    Steepest ascent where distance is KL(old || new), not |old - new|: on tables the direction is
    the advantage itself, rarely visited states learn as fast as others.  [Kakade 2001]

    Args, Raises: as `actor_critic`.

    >>> from gridrl import exact_returns, penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)  # at best 2.17
    >>> learned = natural_policy_gradient(mdp, updates=100, alpha=0.2, steps=30, rng=0)
    >>> bool(exact_returns(mdp, learned.policy) > 1.9)
    True
    """
    world, step_size = Batches(mdp, episodes, steps, runs, rng), rate(alpha, "alpha", np.inf)
    logits, critic_step = world.first_logits(theta), rate(alpha_critic, "alpha_critic")
    V = np.zeros(logits.shape[:2])
    for update in range(1, whole(updates, "updates", least=1) + 1):
        pi = softmax(logits)
        batch = world.collect(pi)
        A = batch.advantages(V, advantage)
        F, gradient = seen_fisher(batch, pi), actor_gradient(batch, A, pi)
        direction = np.linalg.solve(F + DAMPING * np.eye(pi.shape[2]), gradient[..., None])[..., 0]
        old, logits = logits, logits + step_size(update) * direction
        V = V + critic_step(update) * critic_error(batch, A, V.shape)
        yield ascent(world, batch, old, logits, V)


def actor_gradient(batch: Experience, A: Array, pi: Array) -> Array:
    """The mean over episodes of sum_t gamma^t A_t phi_t, (K, Z, A)."""
    k, i, t = np.nonzero(batch.alive)
    weight = (batch.weights * A)[k, i, t] / A.shape[1]
    return sum_of_scores(k, batch.seen[k, i, t], batch.actions[k, i, t], weight, pi)


def critic_error(batch: Experience, A: Array, shape: tuple[int, ...]) -> Array:
    """The mean of A over the visits to each thing seen, 0 where there was none, (K, Z)."""
    k, i, t = np.nonzero(batch.alive)
    return mean_by_sight(k, batch.seen[k, i, t], A[k, i, t], shape)


def mean_by_sight(k: Indices, o: Indices, values: Array, shape: tuple[int, ...]) -> Array:
    """The mean of values over the steps of each k and o, 0 where there is none, (K, Z)."""
    return ratio(sum_by_sight(k, o, values, shape), sum_by_sight(k, o, 1.0, shape))


def seen_fisher(batch: Experience, pi: Array) -> Array:
    """F(o) = visits(o) [diag pi - pi pi^T], the batch's discounted visits an episode, (K, Z, A, A).

    Where one was is a matter of luck; what E[phi phi^T] is there, a table knows.
    """
    k, i, t = np.nonzero(batch.alive)
    visits = sum_by_sight(k, batch.seen[k, i, t], batch.weights[k, i, t], pi.shape)
    own = pi[..., None] * np.eye(pi.shape[2]) - pi[..., None] * pi[:, :, None, :]
    return visits[:, :, None, None] / batch.alive.shape[1] * own
