"""What an environment does, for n steps at once; the environments only keep the time and the seeds.

The full loop of agent and environment: the agent means an action, something happens, and something
is seen. Single and vector environments play by the same tables, one row of uniforms a step, so the
same seed tells the same story in both.

Symbols: n environments; s, a, s', r a step; o what is seen; S, A, Z numbers of states, actions and
observations; D moves on the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridrl.envs.outcomes import Lottery, Outcomes, lottery, outcomes
from gridrl.processes import MDP, POMDP, MarkovProcess, RewardProcess
from gridrl.processes.reward import one_action
from gridrl.tables import Array, Indices, Mask, indices
from gridrl.worlds import GridWorld

Process = MarkovProcess | MDP | POMDP  # a RewardProcess is a MarkovProcess
Words = NDArray[np.object_]
NOTHING_YET = "nothing yet"


@dataclass(frozen=True, eq=False)
class Events:
    """What happened on a step of n environments, each field (n,).

    Attributes:
        s: the state reached.
        r: the reward.
        o: what is seen.
        meant: the label of the action, None where an episode begins.
        happened: the direction that one went, off the map the label of the state reached; None
            where an episode begins.
    """

    s: Indices
    r: Array
    o: Indices
    meant: Words
    happened: Words


@dataclass(frozen=True, eq=False)
class Sight:
    """Pr(o|s') in rows s', or Pr(o|a,s') in rows a * S + s' and one more for nothing yet."""

    chance: Lottery
    o: Indices
    after_actions: bool
    certain: bool


@dataclass(frozen=True, eq=False)
class Dynamics:
    """A process laid out for playing.

    Attributes:
        mdp: what happens.
        world: the map, if there is one.
        outcomes: Pr(s', r | s, a) and Pr(s_0).
        happened: in words, for each outcome, (m,).
        meant: the actions' labels, and None for the start, (A + 1,).
        sight: what is seen; None is the state itself.
        observation_labels: names of what is seen.
    """

    mdp: MDP
    world: GridWorld | None
    outcomes: Outcomes
    happened: Words
    meant: Words
    sight: Sight | None
    observation_labels: tuple[str, ...]

    @property
    def uniforms(self) -> int:
        """How many uniform numbers a step needs: one, and one more to see if seeing is chance."""
        return 1 if self.sight is None or self.sight.certain else 2

    def play(self, s: Indices, a: Indices, begins: Mask, chance: Array) -> Events:
        """Make a step in each of n environments, or begin an episode where `begins` says so.

        Args:
            s: where each one is, (n,).
            a: the action it means, (n,); where an episode begins, any.
            begins: True where an episode begins, (n,).
            chance: uniform numbers in [0, 1), (uniforms, n).
        """
        S, A = self.mdp.n_states, self.mdp.n_actions
        j = self.outcomes.chance.draw(np.where(begins, S * A, s * A + a), chance[0])
        s_next = self.outcomes.s_next[j]
        meant = self.meant[np.where(begins, A, a)]
        o = self._see(s_next, a, begins, chance[-1])
        return Events(s_next, self.outcomes.r[j], o, meant, self.happened[j])

    def _see(self, s: Indices, a: Indices, begins: Mask, uniform: Array) -> Indices:
        if self.sight is None:
            return s
        S, A = self.mdp.n_states, self.mdp.n_actions
        rows = np.where(begins, A * S, a * S + s) if self.sight.after_actions else s
        if self.sight.certain:  # one entry a row
            return self.sight.o[rows]
        return self.sight.o[self.sight.chance.draw(rows, uniform)]


def dynamics(process_or_world: Any, world: GridWorld | None) -> Dynamics:
    """Lay out a world, or a process with the map it belongs to.

    Raises:
        TypeError: it is neither.
        ValueError: a map for another process; an episode that may begin at its end.
    """
    process, world = _seen_as(process_or_world, world)
    mdp = _decisions(process)
    _check_start(mdp)
    found = outcomes(mdp)
    happened, meant = _in_words(mdp, found, world), _words((*mdp.action_labels, None))
    if not isinstance(process, POMDP):
        return Dynamics(mdp, world, found, happened, meant, None, mdp.labels)
    sight = _sight(process)
    labels = process.observation_labels + (NOTHING_YET,) * sight.after_actions
    return Dynamics(mdp, world, found, happened, meant, sight, labels)


def actions_of(values: Any, name: str, n_actions: int, ignored: Mask) -> Indices:
    """Check actions (n,), but where they are `ignored`; those are 0.

    Raises:
        ValueError: not one for each environment, or one that is none; the first is named.
    """
    found = np.asarray(values)
    if found.shape != ignored.shape:
        raise ValueError(f"{name} must have shape {ignored.shape}; it has {found.shape}")
    if found.dtype.kind in "iu" and found.min() >= 0 and found.max() < n_actions:
        return found.astype(np.intp)
    found = found.copy()
    found[ignored] = 0
    try:
        return indices(found, name, n_actions)
    except TypeError as error:  # 1.5 is no action of this space either
        raise ValueError(str(error)) from error


def directions(world: GridWorld, s: Indices, a: Indices, s_next: Indices, moves: bool) -> Words:
    """In which direction steps (n,) went: as the map shows it, else by the move that leads there.

    `moves` says whether action a is move a: where several moves lead to s', it is the one meant.

    >>> from gridrl.worlds import windy_gridworld
    >>> step = np.array([33]), np.array([1]), np.array([24])  # right, and a wind that blows up
    >>> directions(windy_gridworld(), *step, moves=True)
    array(['right'], dtype=object)
    """
    same = world.landing[s] == s_next[:, None]  # (n, D)
    d, n = same.argmax(axis=1), np.arange(len(s))
    if moves:
        d = np.where(same[n, a], a, d)
    no_square = np.full((world.n_states - len(world.positions), 2), np.iinfo(np.int32).max)
    places = np.concatenate([world.positions, no_square])
    shown = (places[s_next] - places[s])[:, None] == np.array(list(world.moves.values()))
    shown = shown.all(axis=2)  # (n, D), the steps as the map shows them
    names = _words(world.moves)[np.where(shown.any(axis=1), shown.argmax(axis=1), d)]
    names = np.where(same.any(axis=1), names, _words(world.labels)[s_next])  # a jump of one's own
    return np.where(s == s_next, "stay", names)


def _seen_as(process: Any, world: GridWorld | None) -> tuple[Process, GridWorld | None]:
    if isinstance(process, GridWorld):
        if world is not None:
            raise ValueError("world must not be given beside a GridWorld, which is its own map")
        return process.mdp(1.0) if process.view is None else process.pomdp(1.0), process
    if not isinstance(process, MarkovProcess | MDP | POMDP):
        hint = f"; call it: {process.__name__}()" if hasattr(process, "__name__") else ""
        raise TypeError(
            "process_or_world must be a GridWorld, MDP, POMDP, MarkovProcess or RewardProcess;"
            f" it is {process!r}{hint}"
        )
    if world is not None and not isinstance(world, GridWorld):
        raise TypeError(f"world must be a GridWorld or None; it is {world!r}")
    if world is not None and world.n_states != process.n_states:
        raise ValueError(
            f"world must have the process's {process.n_states} states; it has {world.n_states}"
        )
    return process, world


def _decisions(process: Process) -> MDP:
    """The decision process; where nobody acts there is one action, wait."""
    if isinstance(process, POMDP):
        return process.mdp
    if isinstance(process, MDP):
        return process
    paid: Any = np.zeros(process.n_states)
    if isinstance(process, RewardProcess):
        paid = process.payment
    return MDP(
        one_action(process.P), paid, 1.0, start=process.start, terminal=process.terminal,
        labels=process.labels, action_labels=["wait"],
    )  # fmt: skip


def _check_start(mdp: MDP) -> None:
    over = np.flatnonzero(mdp.start * mdp.terminal)
    if len(over):
        raise ValueError(
            "start must hold no terminal state: an environment cannot say at reset that the"
            f" episode is over; state {mdp.labels[over[0]]} has {mdp.start[over[0]]:.6g}"
        )


def _sight(pomdp: POMDP) -> Sight:
    A, S, Z = pomdp.n_actions, pomdp.n_states, pomdp.n_observations
    table, after_actions = pomdp.O, pomdp.O.ndim == 3
    if after_actions:
        table = np.zeros((A * S + 1, Z + 1))
        table[:-1, :-1] = pomdp.O.reshape(A * S, Z)
        table[-1, -1] = 1
    row, o = np.nonzero(table)
    seen = lottery(row, table[row, o])
    return Sight(seen, o, after_actions, certain=len(o) == len(table))


def _in_words(mdp: MDP, found: Outcomes, world: GridWorld | None) -> Words:
    steps = found.row < mdp.n_states * mdp.n_actions
    s, a = np.divmod(found.row[steps], mdp.n_actions)
    happened = _words([None] * len(steps))
    if world is None:
        happened[steps] = _words(mdp.labels)[found.s_next[steps]]
    else:
        moves = mdp.action_labels == tuple(world.moves)
        happened[steps] = directions(world, s, a, found.s_next[steps], moves)
    return happened


def _words(values: Any) -> Words:
    words: Sequence[str | None] = list(values)
    return np.array(words, dtype=object)
