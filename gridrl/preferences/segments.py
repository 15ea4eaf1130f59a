"""What a human compares: short clips of behaviour, and the verdict on two of them.

A segment is ((o_0, a_0), ..., (o_{k-1}, a_{k-1})); states are kept beside the observations, since a
clip is drawn from them. mu = (mu(1), mu(2)) says how the preference is shared: (1, 0) for the left
clip, (0, 1) for the right, (1/2, 1/2) for a tie; "skip", cannot tell, has none and is in no loss.

Reading: Christiano et al. (2017), arXiv:1706.03741, sections 2.1 and 2.2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP, POMDP, Trajectories
from gridrl.processes.transitions import stacked
from gridrl.tables import Array, Indices, generator, indices, read_only, restore, whole

LABELS = ("left", "right", "tie", "skip")
MOST = 2**31  # states; how many the world has is not known here
MU = {"left": (1.0, 0.0), "right": (0.0, 1.0), "tie": (0.5, 0.5)}


@dataclass(frozen=True, eq=False)
class Segment:
    """k steps of behaviour.

    Attributes:
        states: where each action was taken, (k,).
        actions: (k,).
        observations: what was seen there, (k,), or None where states are seen.
        final: the state after the last action, for drawing; None where it is not known.
        world: the fingerprint of the world it is from, "" where that is not known.

    >>> Segment([0, 1, 2], [1, 1, 2])
    Segment(0 1 2, actions 1 1 2)

    Raises:
        TypeError, ValueError: no steps, shapes that differ, an index that is none.
    """

    states: Indices
    actions: Indices
    observations: Indices | None = None
    final: int | None = None
    world: str = ""

    def __init__(
        self,
        states: ArrayLike,
        actions: ArrayLike,
        observations: ArrayLike | None = None,
        *,
        final: int | None = None,
        world: str = "",
    ) -> None:
        rows = {"states": states, "actions": actions, "observations": observations}
        k = np.shape(states)
        if len(k) != 1 or k[0] == 0:
            raise ValueError(f"states must have shape (k,), at least one step; it has {k}")
        for name, values in rows.items():
            if values is None:
                object.__setattr__(self, name, None)
                continue
            row = indices(values, name, MOST)
            if row.shape != k:
                raise ValueError(f"{name} must have shape {k} beside states; it has {row.shape}")
            object.__setattr__(self, name, read_only(row))
        object.__setattr__(self, "final", None if final is None else whole(final, "final", least=0))
        object.__setattr__(self, "world", str(world))

    __setstate__ = restore

    def __len__(self) -> int:
        return len(self.states)

    @cached_property
    def key(self) -> str:
        """A name made of the contents: equal segments have equal keys, on any machine."""
        rows = [self.states, self.actions, self.observations]
        text = ";".join("-" if row is None else ",".join(map(str, row.tolist())) for row in rows)
        return hashlib.sha256(f"{self.world}|{text}".encode()).hexdigest()[:16]

    def counts(self, shape: Sequence[int], *, observed: bool = False) -> Array:
        """How often each cell of a reward table is passed: phi(sigma), of shape (S,) or (S, A).

        Args:
            shape: of the reward table: states, or states x actions.
            observed: the rows are observations, r(o) or r(o, a).

        Raises:
            ValueError: an index beyond the table, or observations that were not kept.
        """
        rows = self.observations if observed else self.states
        if rows is None:
            raise ValueError("observed needs segments with observations; this one has none")
        cells = (rows,) if len(shape) == 1 else (rows, self.actions)
        for name, cell, size in zip(("states", "actions"), cells, shape, strict=False):
            if cell.max() >= size:
                t = int(cell.argmax())
                raise ValueError(f"{name}[{t}] must be in 0..{size - 1}; it is {cell[t]}")
        table = np.zeros(tuple(shape))
        np.add.at(table, cells, 1.0)
        return table

    def __repr__(self) -> str:
        states, actions = (" ".join(map(str, row)) for row in (self.states, self.actions))
        return f"Segment({states}, actions {actions})"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two segments and the verdict: "left", "right", "tie", or "skip" for cannot tell.

    Attributes:
        first, second: the clips on the left and on the right.
        label: the verdict.
        voter: who said so.

    >>> Comparison(Segment([0], [0]), Segment([1], [0]), "tie").mu
    (0.5, 0.5)

    Raises:
        TypeError: not two segments, or a voter that is no text.
        ValueError: another label, or segments of different worlds.
    """

    first: Segment
    second: Segment
    label: str
    voter: str = ""

    def __post_init__(self) -> None:
        for name, clip in (("first", self.first), ("second", self.second)):
            if not isinstance(clip, Segment):
                raise TypeError(f"{name} must be a Segment; it is a {type(clip).__name__}")
        if not isinstance(self.voter, str):
            raise TypeError(f"voter must be a str; it is {self.voter!r}")
        if self.label not in LABELS:
            raise ValueError(f"label must be one of {', '.join(LABELS)}; it is {self.label!r}")
        if self.first.world != self.second.world:
            raise ValueError(
                "first and second must be of one world; their fingerprints are"
                f" {self.first.world!r} and {self.second.world!r}"
            )

    @property
    def mu(self) -> tuple[float, float] | None:
        """How the preference is shared; None for a skip."""
        return MU.get(self.label)

    @property
    def pair(self) -> str:
        """The name of the pair, whichever clip is on the left."""
        return pair_of(self.first, self.second)


def pair_of(first: Segment, second: Segment) -> str:
    """The name of a pair, whichever clip is on the left.

    >>> one, two = Segment([0], [0]), Segment([1], [0])
    >>> pair_of(one, two) == pair_of(two, one)
    True
    """
    return "-".join(sorted((first.key, second.key)))


def fingerprint(process: MDP | POMDP) -> str:
    """A name for the world that segments are from: its states, actions, transitions and rewards.

    Rewards count, since they are the fish and the holes that a human sees on the map; where one
    starts, and gamma, do not.

    >>> from gridrl.worlds import penguin_world
    >>> fingerprint(penguin_world().mdp(gamma=0.9)) == fingerprint(penguin_world().mdp(gamma=0.5))
    True
    """
    matrix = stacked(process.P).tocsr().copy()
    matrix.sort_indices()
    name = hashlib.sha256(repr((process.n_states, process.n_actions)).encode())
    numbers = np.concatenate([matrix.data, process.R.ravel()]).round(9) + 0.0
    for part in (matrix.indptr, matrix.indices, numbers):
        name.update(np.ascontiguousarray(part, dtype=np.float64).tobytes())
    return name.hexdigest()[:16]


def cut(
    trajectories: Trajectories,
    length: int,
    *,
    count: int | None = None,
    world: str = "",
    rng: int | np.random.Generator | None = None,
) -> list[Segment]:
    """Cut segments out of trajectories, at random places; never across the end of an episode.

    Args:
        trajectories: what was seen and done.
        length: k, steps a segment.
        count: how many, drawn without repetition as long as there are enough; None is all of them.
        world: the fingerprint they carry.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.learning import rollout
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> batch = rollout(mdp, np.full((16, 4), 0.25), episodes=2, steps=5, rng=0)
    >>> len(cut(batch, 3)), len(cut(batch, 5))
    (6, 2)

    Raises:
        ValueError: no episode is that long.
    """
    k = whole(length, "length", least=1)
    episodes = list(trajectories)
    places = [(i, t) for i, one in enumerate(episodes) for t in range(int(one.lengths) - k + 1)]
    if not places:
        longest = max((int(one.lengths) for one in episodes), default=0)
        raise ValueError(f"length must be at most {longest}, the longest episode; it is {k}")
    if count is not None:
        count, chance = whole(count, "count", least=1), generator(rng)
        picked = chance.choice(len(places), size=count, replace=count > len(places))
        places = [places[p] for p in picked]
    return [_window(episodes[i], t, k, world) for i, t in places]


def _window(one: Trajectories, t: int, k: int, world: str) -> Segment:
    seen = None if one.observations is None else one.observations[t : t + k]
    return Segment(
        one.states[t : t + k], one.actions[t : t + k], seen,
        final=int(one.states[t + k]), world=world,
    )  # fmt: skip
