"""Many learners at once: runs step in lock-step on arrays, each with random numbers of its own.

`world.k` are the runs whose episode goes on; arrays of a step (s, a, r, s') have an entry for each
of them. `going_on` drops those that are over, so that nobody works on what is done. Run k draws
from a stream of its own, a fixed number of uniforms a step and only while its episode lasts:
whoever else runs, it does the same.

Symbols: K runs; k the indices of those that go on, (n,); s, a, r, s' (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gridrl.errors import NotConverged
from gridrl.learning.outside import SampledProcess, Tables, Trial, World
from gridrl.processes.decision import an_mdp
from gridrl.processes.structure import reachable
from gridrl.processes.transitions import average_over_actions
from gridrl.streams import seeds
from gridrl.tables import Array, Indices, draw, number, whole

Rate = float | Callable[[Any], Any]
Schedule = Callable[[Any], Array]
ENDLESS = 100_000  # steps of an episode without a time limit; then something is wrong
PER_STEP = 4  # uniforms: for the action, the move, the reward, and the action after that


class Lockstep:
    """The world as K learners meet it, episode after episode.

    Args:
        mdp: what they act in, known by tables or only by trying.
        runs: K; None is one run, whose axis `squeeze` drops.
        rng: a seed, a Generator (which gives one), or None for fresh chance.
        steps: time limit of an episode; None needs an end that can be reached from everywhere.
        dreams: how many more uniforms a run gets each step, for practice in a model of its own.
        block: for how many steps a run draws its uniforms at once.
        policy: what they follow, (S, A), if that is fixed: it must come to an end.

    Raises:
        ValueError: no time limit, and states from which no end is reachable; they are named. Many
            runs in a world that can only be tried.
        NotConverged: no time limit, and an episode of 100,000 steps: the policy avoids the end.
    """

    def __init__(
        self,
        mdp: World,
        runs: int | None,
        rng: int | np.random.Generator | None,
        steps: int | None,
        *,
        dreams: int = 0,
        block: int = 256,
        policy: Array | None = None,
    ) -> None:
        self.mdp = mdp if isinstance(mdp, SampledProcess) else an_mdp(mdp)
        self.steps = _time_limit(mdp, steps, policy)
        self.squeezed, K = runs is None, whole(1 if runs is None else runs, "runs", least=1)
        each = seeds(rng, K)
        self.streams = [np.random.default_rng(seed) for seed in each]
        self.asides = [np.random.default_rng(seed.spawn(1)[0]) for seed in each if dreams]
        self.source = _source(mdp, runs, each[0])
        self.numbers = np.empty((K, block, PER_STEP + dreams))
        self.rows = self.numbers.reshape(K * block, -1)
        self.row = block * np.arange(1, K + 1)  # of a run's next uniforms: its block is used up
        self.left = 0  # for so many steps no block is used up
        self.t, self.chance = 0, np.zeros((PER_STEP + dreams, K))
        self.opening = np.zeros(K)  # a uniform for what the first state shows
        self.k, self.terminal = np.arange(K), mdp.terminal
        self.returns, self.lengths = np.zeros(K), np.zeros(K, np.intp)

    def begin(self) -> Indices:
        """Start an episode in every run: s_0 of those that do not start at the end, (n,)."""
        K = len(self.streams)
        self.k, self.t = np.arange(K), 0
        self.returns, self.lengths = np.zeros(K), np.zeros(K, np.intp)
        self._draw()
        first, self.opening = self.source.first(self.chance[0]), self.chance[3]
        s: Indices = self.going_on(first)
        return s

    @property
    def dreams(self) -> Array:
        """The uniforms for practice, (dreams, n)."""
        return self.chance[PER_STEP:]

    def choose(self, pi: Array) -> Indices:
        """Draw an action for each run from its row of `pi` (n, A)."""
        return draw(pi, self.chance[0])

    def choose_next(self, pi: Array) -> Indices:
        """Draw the action after the step that was just made, from its row of `pi` (n, A)."""
        return draw(pi, self.chance[3])

    def step(self, s: Indices, a: Indices) -> tuple[Indices, Array]:
        """Draw s' and r for each run."""
        s_next, r = self.source.next(s, a, self.chance[1:3])
        self.returns[self.k] += self.mdp.gamma**self.t * r
        self.lengths[self.k] += 1
        self.t += 1
        return s_next, r

    def going_on(self, s: Indices, *others: Indices) -> Any:
        """Drop the runs that are over or out of time; what is left of `s` and `others`, (n,)."""
        if self.t == ENDLESS and self.steps is None:
            raise NotConverged(
                f"an episode is still going on after {ENDLESS:,} steps, in state"
                f" {self.mdp.labels[s[0]]}; give a time limit: steps"
            )
        in_time = self.t != self.steps and not self.source.cut  # cut off is not terminated
        going = ~self.terminal[s] & in_time
        self.k = self.k[going]
        self._draw()
        return s[going] if not others else (s[going], *(other[going] for other in others))

    def squeeze(self, values: Any) -> Any:
        """A copy for a snapshot, without the runs' axis if nobody asked for one."""
        return values[0].copy() if self.squeezed else values.copy()

    def _draw(self) -> None:
        """Put the next uniforms of every run that goes on into `chance`, (PER_STEP, n)."""
        if self.left == 0:
            self._refill()
        row = self.row[self.k]
        self.chance = self.rows.take(row, axis=0).T
        self.row[self.k] = row + 1
        self.left -= 1

    def _refill(self) -> None:
        """Draw a new block for each run that has used up its own, and count the steps to come."""
        K, block, width = self.numbers.shape
        used = self.row - block * np.arange(K)
        for k in np.flatnonzero(used == block):
            self.numbers[k, :, :PER_STEP], used[k] = self.streams[k].random((block, PER_STEP)), 0
            if self.asides:  # practice leaves what happens in the world as it is
                aside = self.asides[k].random((block, width - PER_STEP))
                self.numbers[k, :, PER_STEP:] = aside
        self.row = block * np.arange(K) + used
        self.left = block - int(used.max())


def rate(value: Rate, name: str, high: float = 1.0) -> Schedule:
    """A step size or an exploration rate as a function of a count: a number is constant.

    A function gets an array of visit counts (n,), one a run, or an episode's number.

    Raises:
        ValueError: it is not in [0, high], at once for a number, else where it first happens.
    """
    if not callable(value):
        constant = np.asarray(number(value, name, 0, high))
        return lambda count: constant

    def checked(count: Any) -> Array:
        found = _called(value, name, count)
        if not (fine := (found >= 0) & (found <= high) & (found < np.inf)).all():
            bad = found[~fine].flat[0]
            raise ValueError(f"{name} must be in [0, {high:g}]; it is {bad:g}")
        return found

    return checked


def _called(schedule: Callable[[Any], Any], name: str, count: Any) -> Array:
    """A schedule at a count; at an array of counts (n,), if need be at one after the other."""
    try:
        return np.asarray(schedule(count), dtype=np.float64)
    except (TypeError, ValueError) as error:  # max(0.1, 1 / n), or 0.5 if n < 10 else 0.1
        if np.ndim(count) == 0:
            raise TypeError(f"{name}({count}) must be a number: {error}") from error
    return np.array([_called(schedule, name, n) for n in count.tolist()])


def _source(mdp: World, runs: int | None, seed: np.random.SeedSequence) -> Tables | Trial:
    if not isinstance(mdp, SampledProcess):
        return Tables(mdp)
    if runs is not None:
        raise ValueError(f"runs must be None where a world can only be tried; it is {runs}")
    return Trial(mdp, int(seed.generate_state(1)[0]))


def _time_limit(mdp: World, steps: int | None, policy: Array | None) -> int | None:
    if steps is not None:
        whole(steps, "steps", least=1)
    if steps is not None or isinstance(mdp, SampledProcess):
        return steps
    acts = np.full(mdp.R.shape, 1 / mdp.n_actions) if policy is None else policy
    edges = average_over_actions(mdp.P, acts)
    lost = ~reachable(edges.T, np.flatnonzero(mdp.terminal))
    if policy is not None:  # where it never is, it need not end
        lost &= reachable(edges, np.flatnonzero(mdp.start))
    if lost.any():
        raise ValueError(
            f"steps must be given: from states {mdp.named(np.flatnonzero(lost))} no end is"
            f" reachable{' under the policy' * (policy is not None)}, so an episode may never be"
            " over"
        )
    return None
