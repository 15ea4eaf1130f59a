"""Between Monte Carlo and temporal differences: look n steps ahead, and only then guess.

G_{t:t+n} = R_{t+1} + gamma R_{t+2} + ... + gamma^{n-1} R_{t+n} + gamma^n V(S_{t+n}); near the end
of an episode there are fewer steps, and nothing to guess. n = 1 is TD(0) or SARSA; an n longer than
the episode is Monte Carlo with a step size.

Reading: Sutton & Barto (2018), chapter 7.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.lockstep import Lockstep, Rate, Schedule, rate
from gridrl.learning.outside import World, policy_of
from gridrl.learning.snapshots import (
    Control,
    Prediction,
    at,
    begin_control,
    control,
    exploring,
    first_values,
    prediction,
)
from gridrl.tables import Array, Indices, whole


@algorithm
def n_step_td(
    mdp: World,
    policy: ArrayLike,
    *,
    n: int,
    episodes: int,
    alpha: Rate = 0.1,
    initial: float = 0.0,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Prediction]:
    """V(S_t) <- V(S_t) + alpha [G_{t:t+n} - V(S_t)], n steps later.  [eq. 7.2]

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk(19).mdp(gamma=1)
    >>> n_step_td(walk, uniform_policy(walk), n=4, episodes=10, alpha=0.4, runs=100, rng=0)
    Prediction(21 states, 100 runs)

    Args:
        mdp: the world.
        policy: pi(a|s), (S, A).
        n: steps before the guess.
        episodes: how many; one snapshot each.
        alpha: step size, or a function of how often the state was learned about.
        initial: V of the states that are not terminal, before the first episode.
        steps: time limit of an episode; None needs an end that can be reached.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    Raises:
        ValueError: n below 1, alpha outside [0, 1], no episodes, no end and no time limit.
    """
    pi = policy_of(mdp, policy)
    world = Lockstep(mdp, runs, rng, steps, policy=pi)
    V = first_values(world, initial)
    learner = _NStep(V, whole(n, "n", least=1), mdp.gamma, rate(alpha, "alpha"))
    for _ in range(whole(episodes, "episodes", least=1)):
        s = world.begin()
        learner.begin()
        while len(k := world.k):
            s_next, r = world.step(s, world.choose(pi[s]))
            learner.step(k, s, r, V[k, s_next])
            s = world.going_on(s_next)
            learner.finish(k, world.k)
        yield prediction(world, V, learner.sizes)


@algorithm
def n_step_sarsa(
    mdp: World,
    *,
    n: int,
    episodes: int,
    alpha: Rate = 0.1,
    epsilon: Rate = 0.1,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Control]:
    """Q(S_t,A_t) <- Q(S_t,A_t) + alpha [G_{t:t+n} - Q(S_t,A_t)], the guess Q(S_{t+n},A_{t+n}).

    n = 1 is `sarsa`.  [eq. 7.4, 7.5]

    >>> from gridrl.worlds import dyna_maze
    >>> n_step_sarsa(dyna_maze().mdp(gamma=0.95), n=5, episodes=5, runs=10, rng=0)
    Control(47 states, 4 actions, 10 runs)

    Args, Raises: as `q_learning` and `n_step_td`.
    """
    world, Q, _, step_size, explore = begin_control(mdp, alpha, epsilon, steps, runs, rng)
    pairs = Q.reshape(len(Q), -1)  # the same numbers, (K, S * A)
    learner = _NStep(pairs, whole(n, "n", least=1), mdp.gamma, step_size)
    for episode in range(1, whole(episodes, "episodes", least=1) + 1):
        s, eps = world.begin(), explore(episode)
        a = world.choose(exploring(at(Q, world.k, s), eps))
        learner.begin()
        while len(k := world.k):
            s_next, r = world.step(s, a)
            a_next = world.choose_next(exploring(at(Q, k, s_next), eps))
            learner.step(k, s * mdp.n_actions + a, r, Q[k, s_next, a_next])
            s, a = world.going_on(s_next, a_next)
            learner.finish(k, world.k)
        yield control(world, Q, learner.sizes)


class _NStep:
    """The last n visits (states, or pairs) and rewards of every run, and what they teach."""

    def __init__(self, values: Array, n: int, gamma: float, step_size: Schedule) -> None:
        self.values, self.n, self.step_size = values, n, step_size
        self.gamma = gamma
        self.N, rows = np.zeros_like(values), (min(n, 64), len(values))  # more when needed
        self.visited, self.rewards = np.zeros(rows, np.intp), np.zeros(rows)  # time t: row t % n
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self.t, self.sizes, self.ahead = 0, np.zeros(len(self.values)), np.zeros(len(self.values))

    def step(self, k: Indices, visited: Indices, r: Array, ahead: Array) -> None:
        """The runs k left `visited`, were paid r, and guess `ahead` for what comes."""
        row = self.t % self.n
        if row == len(self.rewards):
            self.visited = np.concatenate([self.visited, np.zeros_like(self.visited)])
            self.rewards = np.concatenate([self.rewards, np.zeros_like(self.rewards)])
        self.visited[row, k], self.rewards[row, k], self.ahead[k] = visited, r, ahead
        self.t += 1
        if self.t >= self.n:
            self._learn(k, self.t - self.n)

    def finish(self, k: Indices, going: Indices) -> None:
        """Of the runs k, those that are not `going` on learn from what is left, oldest first."""
        if len(k) > len(going):
            over = np.setdiff1d(k, going)
            for tau in range(max(self.t - self.n + 1, 0), self.t):
                self._learn(over, tau)

    def _learn(self, k: Indices, tau: int) -> None:
        """Move the value of what was visited at time tau towards its n-step return."""
        m, rows = self.t - tau, np.arange(tau, self.t) % self.n
        discounts = self.gamma ** np.arange(m)
        G = discounts @ self.rewards[rows[:, None], k] + self.gamma**m * self.ahead[k]
        visited = self.visited[tau % self.n, k]
        self.N[k, visited] += 1
        delta = G - self.values[k, visited]
        self.values[k, visited] += self.step_size(self.N[k, visited]) * delta
        self.sizes[k] += np.abs(delta)
