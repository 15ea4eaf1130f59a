"""Grid worlds: a map drawn in text, and the four processes it can be seen as.

Symbols: S states (the squares that are no rock, row by row, and an end state if there are exits);
D moves, one for each action; `landing` (S, D) the state that each move leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridrl.processes import (
    MDP,
    POMDP,
    Finding,
    MarkovProcess,
    RewardDistribution,
    RewardProcess,
    SparseTransitions,
    arrive,
    leave,
)
from gridrl.processes.payments import SquareReward
from gridrl.tables import Array, Indices, Mask, indices, read_only, table
from gridrl.worlds.maps import (
    KNOWN,
    MOVES,
    Move,
    check_options,
    check_tiles,
    read_rewards,
    read_tiles,
)
from gridrl.worlds.slips import Slip, check_slip, slip_to_neighbours
from gridrl.worlds.views import Offsets, Window, observations, window

LECTURE_SLIP = slip_to_neighbours(0.5)
DENSE_STATES = 400  # a larger world's P is sparse


@dataclass(frozen=True, eq=False, repr=False)
class GridWorld:
    """A map of squares, what they pay and how slippery they are; make one with `from_text`.

    Attributes:
        tiles: the map, (rows, columns), one character a square.
        rewards: reward of a tile's character, in reward units; 0 where it is not named, and the
            start S pays what ice pays.
        terminal: the characters that end an episode on arrival.
        exits: the characters from which, whatever one does, one leaves for a single end state.
        walls: the characters that are no states.
        slip: where a move leads, see `gridrl.worlds.slips`.
        reward_on: "leave" or "arrive", when a square pays.
        view: what is seen from a square, where that is the point of the world; else None.
        moves: the actions, by name: (rows down, columns right).
        jumps: the landing table of a world with rules of its own, (S, D); None: to the next square.
        fees: what a move costs or pays beside the squares' rewards, (S, D); None: nothing.
    """

    tiles: NDArray[np.str_]
    rewards: Mapping[str, float]
    terminal: str = ""
    exits: str = ""
    walls: str = "#"
    slip: Slip = LECTURE_SLIP
    reward_on: str = "leave"
    view: Window | None = None
    moves: Mapping[str, Move] = field(default_factory=lambda: MOVES)
    jumps: Indices | None = None
    fees: Array | None = None

    def __post_init__(self) -> None:
        check_options(self)
        locked: dict[str, Any] = {
            "tiles": read_only(self.tiles.copy()),
            "rewards": MappingProxyType(dict(self.rewards)),
            "moves": MappingProxyType(dict(self.moves)),
        }
        for name, value in locked.items():
            object.__setattr__(self, name, value)
        if self.jumps is not None:
            landing = indices(self.jumps, "jumps", self.n_states)
            object.__setattr__(self, "jumps", self._of_moves(landing, "jumps"))
        if self.fees is not None:
            fees = table(self.fees, "fees")
            object.__setattr__(self, "fees", self._of_moves(fees, "fees"))

    def __getstate__(self) -> dict[str, Any]:
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return state | {"rewards": dict(self.rewards), "moves": dict(self.moves)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def _of_moves(self, values: Any, name: str) -> Any:
        if values.shape != (shape := (self.n_states, len(self.moves))):
            raise ValueError(f"{name} must have shape {shape}; it has {values.shape}")
        return read_only(values)

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        rewards: Mapping[str, float] | None = None,
        terminal: str = "",
        slip: Slip = LECTURE_SLIP,
        reward_on: str = "leave",
        view: Window | Offsets | None = None,
        exits: str = "",
        walls: str = "#",
        moves: Mapping[str, Move] | None = None,
    ) -> GridWorld:
        """Read a map: `.` ice, `#` rock, `S` start, `F` fish, `H` hole, `G` goal.

        Args:
            text: one line a row; lines are stripped, empty ones at the ends do not count.
            rewards: reward of each tile's character, which may be a new one: {"F": 1.0, "H": -2.0,
                "D": 0.5}; what is not named pays 0, the start as ice. None is {"F": 1.0}.
            terminal: the tiles that end an episode on arrival: "GF".
            slip: where a move leads; the lecture's is `slip_to_neighbours(0.5)`.
            reward_on: "leave" pays R(s_t) on the step from t to t + 1, "arrive" pays R(s_{t+1}).
            view: a `Window`, or its offsets; None is a world whose squares are seen as they are
                (its POMDP has the lecture's box, one's square and the one below).
            exits: the tiles that every action leaves for one end state (paying, on "leave").
            walls: the tiles that are no states.
            moves: the actions: {"left": (0, -1), "right": (0, 1)}; None is up, right, down, left.

        Several `S` share the start distribution; without one it is uniform over what is not
        terminal.

        >>> GridWorld.from_text('''
        ...     S.#
        ...     ..F
        ... ''')
        GridWorld(2 x 3, 5 states)

        Raises:
            TypeError, ValueError: an empty or ragged map, an unknown tile (its place is named), a
                reward in a terminal tile that nobody leaves.
        """
        check_tiles(terminal=terminal, exits=exits, walls=walls)
        paid = read_rewards({"F": 1.0} if rewards is None else rewards, walls)
        return cls(
            tiles=read_tiles(text, set(KNOWN) | set(paid) | set(terminal + exits + walls)),
            rewards=paid,
            terminal=terminal,
            exits=exits,
            walls=walls,
            slip=slip,
            reward_on=reward_on,
            view=None if view is None else window(view),
            moves=MOVES if moves is None else moves,
        )

    # --- squares and states -------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.tiles.shape[0], self.tiles.shape[1]

    @cached_property
    def positions(self) -> Indices:
        """(row, column) of each state that is a square, (n_squares, 2)."""
        return read_only(np.argwhere(~np.isin(self.tiles, list(self.walls))))

    @property
    def n_states(self) -> int:
        """The squares that are no rock, and the end state if there are exits."""
        return len(self.positions) + bool(self._exit_squares.any())

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Squares count from 1, row by row, rocks too; an end state is called "end"."""
        squares = self.positions @ (self.shape[1], 1) + 1
        return tuple(map(str, squares.tolist())) + ("end",) * bool(self._exit_squares.any())

    def index(self, label: int | str) -> int:
        """The state of a square counted from 1, as on pictures.

        >>> world = GridWorld.from_text("S#F")
        >>> world.index(3), world.index("1")
        (1, 0)
        """
        if str(label) not in self._states_by_label:
            squares = self.tiles.size
            raise ValueError(f"label must be a square from 1 to {squares}, no rock; it is {label}")
        return self._states_by_label[str(label)]

    @cached_property
    def _states_by_label(self) -> dict[str, int]:
        return {label: s for s, label in enumerate(self.labels)}

    @cached_property
    def state_tiles(self) -> NDArray[np.str_]:
        """The tile of each state that is a square, (n_squares,)."""
        return self.tiles[self.positions[:, 0], self.positions[:, 1]]

    @cached_property
    def _exit_squares(self) -> Mask:
        return np.isin(self.state_tiles, list(self.exits))

    def _of_states(self, squares: Array | Mask, end: float) -> Any:
        """Append the end state's entry, if there is one."""
        more = np.full(self.n_states - len(squares), end, squares.dtype)
        return np.concatenate([squares, more])

    @cached_property
    def landing(self) -> Indices:
        """The state that each move leads to, (S, D); one's own where the way is blocked."""
        if self.jumps is not None:
            return self.jumps
        rows, columns = self.shape
        state_at = np.full((rows + 2, columns + 2), -1)
        state_at[self.positions[:, 0] + 1, self.positions[:, 1] + 1] = np.arange(
            len(self.positions)
        )
        to = self.positions[:, None] + np.array(list(self.moves.values())) + 1  # (S, D, 2)
        there = state_at[to[..., 0].clip(0, rows + 1), to[..., 1].clip(0, columns + 1)]
        landing = np.where(there < 0, np.arange(len(there))[:, None], there)
        landing[self._exit_squares] = self.n_states - 1
        end = np.full((self.n_states - len(there), len(self.moves)), self.n_states - 1)
        return read_only(np.concatenate([landing, end]))

    @property
    def open_ways(self) -> Mask:
        """Which moves lead to another state, (S, D)."""
        return self.landing != np.arange(self.n_states)[:, None]

    # --- the four lenses ----------------------------------------------------------------------

    def markov_process(self) -> MarkovProcess:
        """Pr(s'|s): equally likely in any free direction."""
        P = self._transitions(_evenly(self.open_ways)[:, None])
        return MarkovProcess(
            P.matrix if isinstance(P, SparseTransitions) else P[:, 0], **self._ends
        )

    def reward_process(self, gamma: float) -> RewardProcess:
        """Pr(s'|s), and what the squares pay."""
        p = _evenly(self.open_ways)[:, None]
        if self.fees is not None:  # the move that was made decides: one action that is no choice
            wander = MDP(self._transitions(p), self._with_fees(p), gamma, **self._ends)
            return wander.under(np.ones((self.n_states, 1)))
        return RewardProcess(self.markov_process().P, self._square_reward, gamma, **self._ends)

    def mdp(self, gamma: float) -> MDP:
        """Pr(s'|s,a): as meant, or where the slip leads."""
        p = check_slip(self.slip(self.open_ways), self.n_states, len(self.moves))
        R = self._square_reward if self.fees is None else self._with_fees(p)
        return MDP(self._transitions(p), R, gamma, action_labels=list(self.moves), **self._ends)

    @property
    def window(self) -> Window:
        """What a POMDP of this world sees: its `view`, or the lecture's dashed box."""
        return window(self.view)

    def pomdp(self, gamma: float, view: Window | Offsets | None = None) -> POMDP:
        """Pr(o|s): the same world seen through a window; None is the world's own."""
        seen = self.window if view is None else window(view)
        O, labels = observations(seen, self.tiles, self.positions, self.n_states)  # noqa: E741
        return POMDP(self.mdp(gamma), O, observation_labels=labels)

    def replace(self, **changes: Any) -> GridWorld:
        """Return a copy with other fields, checked again: `world.replace(slip=no_slip())`."""
        return replace(self, **changes)

    @property
    def _square_reward(self) -> SquareReward:
        pays = {"S": self.rewards.get(".", 0.0)} | dict(self.rewards)
        squares = np.array([pays.get(str(tile), 0.0) for tile in self.state_tiles])
        return (arrive if self.reward_on == "arrive" else leave)(self._of_states(squares, 0.0))

    @property
    def _ends(self) -> dict[str, Any]:
        terminal = self._of_states(np.isin(self.state_tiles, list(self.terminal)), 1.0)
        starts = self._of_states(self.state_tiles == "S", 0.0)
        start = starts / starts.sum() if starts.any() else None
        return {"start": start, "terminal": terminal, "labels": self.labels}

    def _transitions(self, p: Array) -> Array | SparseTransitions:
        """Pr(s'|s,a) from Pr(direction|s,a), (S, A, D + 1), straight into CSR where it is large."""
        S, A, _ = p.shape
        s, a, d = np.nonzero(p)
        to = self._outcomes[s, d]
        matrix = csr_array((p[s, a, d], (s * A + a, to)), shape=(S * A, S))
        if S > DENSE_STATES:
            return SparseTransitions(matrix, A)
        return matrix.toarray().reshape(S, A, S)

    @property
    def _outcomes(self) -> Indices:
        """The state that each direction leads to, and last the one of staying, (S, D + 1)."""
        stay = np.arange(self.n_states)
        stay[self._of_states(self._exit_squares, 0.0)] = self.n_states - 1
        return np.column_stack([self.landing, stay])

    def _with_fees(self, p: Array) -> RewardDistribution | Array:
        """r(s,a,s'), the square's reward and the fee of the way one went; or its distribution."""
        to, square = self._outcomes, self._square_reward
        paid = square.values[to if square.on_arrival else 0 * to + np.arange(len(to))[:, None]]
        if self.fees is not None:
            paid[:, :-1] += self.fees
        values, which = np.unique(np.append(paid, 0.0), return_inverse=True)
        which = which.ravel()[:-1].reshape(paid.shape)
        joint = np.zeros((*p.shape[:2], self.n_states, len(values)))
        s, a, d = np.nonzero(p)
        np.add.at(joint, (s, a, to[s, d], which[s, d]), p[s, a, d])
        joint[joint.sum(axis=3) == 0, np.searchsorted(values, 0.0)] = 1  # steps that are never made
        if ((joint > 0).sum(axis=3) == 1).all():  # the step says what is paid
            return values[joint.argmax(axis=3)]
        return RewardDistribution(values, joint / joint.sum(axis=3, keepdims=True))

    # --- looking at it ------------------------------------------------------------------------

    def check(self, process: MDP | POMDP | MarkovProcess) -> list[Finding]:
        """What is odd about a hand-made process on this map: moves that go elsewhere, jumps.

        >>> world = GridWorld.from_text("S.F", slip=slip_to_neighbours(0.8))
        >>> mdp = world.mdp(gamma=0.9)
        >>> mixed_up = mdp.replace(P=mdp.P[:, [0, 3, 2, 1]])  # left and right exchanged
        >>> world.check(mdp), world.check(mixed_up)[0]
        ([], wrong way: 'right' from 2 goes mostly left)
        """
        from gridrl.worlds.map_checks import check_on_map

        return check_on_map(self, process)

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"GridWorld({rows} x {columns}, {self.n_states} states)"

    def __str__(self) -> str:
        return "\n".join("".join(row) for row in self.tiles)

    def _repr_html_(self) -> str:
        return (
            f"<p>{self!r}</p><pre style='line-height:1.1;font-size:140%'>{escape(str(self))}</pre>"
        )


def _evenly(ways: Mask) -> Array:
    """Pr(direction), even over the free ones, and last of staying if none is, (S, D + 1)."""
    stuck = ~ways.any(axis=1, keepdims=True)
    return np.concatenate([ways, stuck], axis=1) / np.maximum(ways.sum(axis=1, keepdims=True), 1)
