"""Two tables instead of one: the maximum of noisy estimates is too high; a second opinion is not.

Reading: Sutton & Barto (2018), section 6.7; van Hasselt (2010), Double Q-learning.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Rate
from gridrl.learning.outside import World
from gridrl.learning.snapshots import Control, begin_control, control, exploring
from gridrl.tables import best, draw, whole


@algorithm
def double_q_learning(
    mdp: World,
    *,
    episodes: int,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q1(s,a) <- Q1(s,a) + alpha [r + gamma Q2(s', argmax_a' Q1(s',a')) - Q1(s,a)], or 2 and 1.

    A coin says which of the two learns; both together act. The snapshot's Q is their mean.
    [sec. 6.7]

    >>> from gridrl.worlds import maximisation_bias
    >>> double_q_learning(maximisation_bias(), episodes=10, runs=100, rng=0)
    Control(3 states, 10 actions, 100 runs)

    Args, Raises: as `q_learning`; alpha's count is that of the table that learns.
    """
    world, Q, _, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    both, N = np.stack([Q, Q]), np.zeros((2, *Q.shape))  # (2, K, S, A)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, sizes, eps = world.begin(), np.zeros(len(Q)), explore(episode)
        while len(k := world.k):
            a = world.choose(exploring(both[0, k, s] + both[1, k, s], eps))
            s_next, r = world.step(s, a)
            one = (world.chance[3] < 0.5).astype(np.intp)  # which learns; the other is asked
            top = best(both[one, k, s_next])
            a_best = draw(top / top.sum(axis=1, keepdims=True), 2 * world.chance[3] % 1)
            N[one, k, s, a] += 1
            delta = r + mdp.gamma * both[1 - one, k, s_next, a_best] - both[one, k, s, a]
            both[one, k, s, a] += step_size(N[one, k, s, a]) * delta
            sizes[k] += np.abs(delta)
            s = world.going_on(s_next)
        yield control(world, both.mean(axis=0), sizes)
