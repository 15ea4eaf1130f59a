"""Partially observable decision processes: the state is hidden behind observations.

Symbols: O[s', o] = Pr(o|s'), seen in every state, the first included; or O[a, s', o] = Pr(o|a,s'),
seen after an action only; Z number of observations; the rest as for `MDP`.

Reading: the lecture's slides on partially observable processes; Kaelbling, Littman & Cassandra
(1998), section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes.checks import Finding, finding
from gridrl.processes.decision import MDP
from gridrl.processes.html import html_table
from gridrl.processes.transitions import Transitions
from gridrl.tables import Array, Mask, check_distributions, names, restore, table


@dataclass(frozen=True, eq=False, init=False, repr=False)
class POMDP:
    """A decision process seen through Pr(o|s), the fourth lens.

    Args:
        mdp: what happens behind the observations.
        O: Pr(o|s'), (S, Z), seen in every state, the first included; or Pr(o|a,s'), (A, S, Z), seen
            after an action only.
        observation_labels: the observations' names; None counts from 1.

    The fields of `mdp` can be read here too: `pomdp.gamma` is `pomdp.mdp.gamma`.

    >>> step = MDP([[[0, 1]], [[1, 0]]], [1, 0], 0.9)
    >>> POMDP(step, [[1], [1]]), POMDP(step, [[1], [1]]).n_observations
    (POMDP(2 states, 1 actions, 1 observations, gamma=0.9), 1)

    Raises:
        TypeError, ValueError: what must hold, what was found and the first bad index.
    """

    mdp: MDP
    O: Array  # noqa: E741 - the book's symbol
    observation_labels: tuple[str, ...]

    def __init__(
        self,
        mdp: MDP,
        O: ArrayLike,  # noqa: E741
        *,
        observation_labels: Sequence[str | int] | None = None,
    ) -> None:
        if not isinstance(mdp, MDP):
            raise TypeError(f"mdp must be an MDP; it is {type(mdp).__name__}")
        seen = table(O, "O")
        S, A, Z = mdp.n_states, mdp.n_actions, seen.shape[-1] if seen.ndim else 0
        if seen.shape not in ((S, Z), (A, S, Z)):
            raise ValueError(f"O must have shape ({S}, Z) or ({A}, {S}, Z); it has {seen.shape}")
        check_distributions(seen, "O")
        labels = names(observation_labels, "observation_labels", Z)
        for name, value in {"mdp": mdp, "O": seen, "observation_labels": labels}.items():
            object.__setattr__(self, name, value)

    @property
    def n_observations(self) -> int:
        """Z."""
        return len(self.observation_labels)

    @property
    def n_states(self) -> int:
        """S, terminal states included."""
        return self.mdp.n_states

    @property
    def n_actions(self) -> int:
        """A."""
        return self.mdp.n_actions

    @property
    def P(self) -> Transitions:
        """Pr(s'|s,a), (S, A, S)."""
        return self.mdp.P

    @property
    def R(self) -> Array:
        """E[r | s, a], (S, A)."""
        return self.mdp.R

    @property
    def gamma(self) -> float:
        """Discount per step."""
        return self.mdp.gamma

    @property
    def start(self) -> Array:
        """Distribution of the first state, the first belief, (S,)."""
        return self.mdp.start

    @property
    def terminal(self) -> Mask:
        """True where an episode is over, (S,)."""
        return self.mdp.terminal

    @property
    def labels(self) -> tuple[str, ...]:
        """The states' names."""
        return self.mdp.labels

    @property
    def action_labels(self) -> tuple[str, ...]:
        """The actions' names."""
        return self.mdp.action_labels

    def replace(self, **fields: Any) -> POMDP:
        """Return a copy with other `fields`, its own or its MDP's: `pomdp.replace(gamma=0.99)`."""
        own: dict[str, Any] = {
            "mdp": self.mdp, "O": self.O, "observation_labels": self.observation_labels
        }  # fmt: skip
        of_mdp = {name: fields.pop(name) for name in list(fields) if name not in own}
        own |= fields
        own["mdp"] = own["mdp"].replace(**of_mdp) if of_mdp else own["mdp"]
        return POMDP(**own)

    def check(self) -> list[Finding]:
        """What is odd about it: as for `MDP`, and observations that are never made."""
        made = self.O.reshape(-1, self.n_observations).max(axis=0) > 0
        never = [self.observation_labels[o] for o in np.flatnonzero(~made)]
        extra = [finding("never seen", f"observations {', '.join(never)} are never made")]
        return self.mdp.check() + extra * bool(never)

    __setstate__ = restore

    def __repr__(self) -> str:
        size = (
            f"{self.n_states} states, {self.n_actions} actions, {self.n_observations} observations"
        )
        return f"POMDP({size}, gamma={self.gamma:g})"

    def _repr_html_(self) -> str:
        tables = self.O if self.O.ndim == 3 else self.O[None]
        heads = (
            [f"Pr(o | {a}, s')" for a in self.action_labels] if self.O.ndim == 3 else ["Pr(o | s)"]
        )
        seen = "".join(
            html_table(head, self.observation_labels, self.labels, cells, shade=True)
            for head, cells in zip(heads, tables, strict=True)
        )
        return f"<details><summary>{self!r}</summary>{self.mdp._repr_html_()}</details>{seen}"
