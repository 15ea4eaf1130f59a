"""What happened: batches of episodes, and their return.

Symbols: n episodes, T steps; rewards[t] is the R_{t+1} of the book, paid from time t to t + 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes.html import html_table
from gridrl.tables import Array, Indices, Mask, number, read_only, restore, table


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Episodes side by side, or a single one without the first axis.

    After an episode's end: action -1, reward 0, and the last state again. Actions are -1 throughout
    where nobody acts (Markov processes).

    Attributes:
        states: (n, T + 1).
        actions: (n, T).
        rewards: (n, T), in reward units.
        lengths: (n,), steps before the end.
        terminated: (n,), True if the episode ended; False if it was cut off after T steps.
        observations: (n, T + 1), or None where states are seen.

    >>> walk = Trajectories(np.array([0, 1, 2]), np.array([-1, -1]), np.array([0.0, 1]), 2, True)
    >>> walk
    Trajectories(1 episode, up to 2 steps, 1 ended)

    Raises:
        ValueError: the shapes do not fit each other; both are named.
    """

    states: Indices
    actions: Indices
    rewards: Array
    lengths: Indices
    terminated: Mask
    observations: Indices | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            value = None if value is None else read_only(np.array(value))
            object.__setattr__(self, field.name, value)
        if self.states.ndim not in (1, 2) or self.states.shape[-1] == 0:
            raise ValueError(f"states must have shape (n, T + 1); it has {self.states.shape}")
        batch, steps = self.states.shape[:-1], (self.states.shape[-1] - 1,)
        wanted = {"actions": batch + steps, "rewards": batch + steps, "lengths": batch}
        wanted |= {"terminated": batch, "observations": self.states.shape}
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found is not None and found.shape != shape:
                raise ValueError(
                    f"{name} must have shape {shape} beside states {self.states.shape};"
                    f" it has {found.shape}"
                )

    def __len__(self) -> int:
        return len(self.states) if self.states.ndim == 2 else 1

    def __getitem__(self, k: int) -> Trajectories:
        """Episode k, cut to its own length."""
        if self.states.ndim == 1:
            raise TypeError("this is a single episode; it has no others to pick from")
        T = int(self.lengths[k])
        seen = None if self.observations is None else self.observations[k, : T + 1]
        return Trajectories(
            self.states[k, : T + 1],
            self.actions[k, :T],
            self.rewards[k, :T],
            self.lengths[k],
            self.terminated[k],
            seen,
        )

    def __iter__(self) -> Iterator[Trajectories]:
        return iter([self]) if self.states.ndim == 1 else (self[k] for k in range(len(self)))

    def returns(self, gamma: float) -> Array:
        """G = sum_t gamma^t R_{t+1} of each episode, shape (n,), in reward units."""
        gamma = number(gamma, "gamma", 0, 1)
        return self.rewards @ gamma ** np.arange(self.rewards.shape[-1])

    __setstate__ = restore

    def __repr__(self) -> str:
        n, T = len(self), self.actions.shape[-1]
        ended = int(np.sum(self.terminated))
        return f"Trajectories({n} episode{'s' * (n != 1)}, up to {T} steps, {ended} ended)"

    def _repr_html_(self) -> str:
        first = next(iter(self))
        rows = {"state": first.states[:-1], "action": first.actions, "reward": first.rewards}
        times = [f"t = {t}" for t in range(len(first.actions))]
        cells = np.array(list(rows.values()), dtype=np.float64)
        which = "" if self.states.ndim == 1 else ", the first of them"
        return f"<p>{self!r}{which}</p>{html_table('', times, list(rows), cells)}"


def interleave(labels: Sequence[object], rewards: ArrayLike) -> list[object]:
    """Write a trajectory as the slides do: s_1, r_1, s_2, r_2, ...; whole numbers without a point.

    >>> interleave([1, 2, 6], [0.0, 0.5, 1.0])
    [1, 0, 2, 0.5, 6, 1]

    Raises:
        ValueError: there is not one reward for each state.
    """
    paid = table(rewards, "rewards")
    if paid.shape != (len(labels),):
        raise ValueError(
            f"rewards must have shape ({len(labels)},), one a state; it has {paid.shape}"
        )
    numbers = [int(r) if r == int(r) else float(r) for r in paid.tolist()]
    return [entry for pair in zip(labels, numbers, strict=True) for entry in pair]
