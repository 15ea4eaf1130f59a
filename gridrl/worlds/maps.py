"""Maps as text, and every mistake one can make in writing one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridrl.tables import number
from gridrl.worlds.slips import no_slip, slip_anywhere, slip_sideways, slip_to_neighbours

if TYPE_CHECKING:
    from gridrl.worlds.grid import GridWorld

KNOWN = ".#SFHG"
Move = tuple[int, int]
MOVES: Mapping[str, Move] = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}


def read_tiles(text: str, known: set[str]) -> NDArray[np.str_]:
    """Return a map's tiles, (rows, columns).

    Raises:
        TypeError, ValueError: no text, no square, rows of different lengths, an unknown tile.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"text must be the map as text, one line a row; it is {type(text).__name__}"
        )
    lines = [line.strip() for line in textwrap.dedent(text).strip().splitlines()]
    if not lines:
        raise ValueError("text must hold at least one square; it is empty")
    for i, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ValueError(
                f"text must have rows of one length; row 1 has {len(lines[0])} squares,"
                f" row {i + 1} has {len(line)}"
            )
        if unknown := [j for j, tile in enumerate(line) if tile not in known]:
            raise ValueError(
                f"text must hold tiles of {''.join(sorted(known))!r}, or named in rewards=;"
                f" row {i + 1}, column {unknown[0] + 1} holds {line[unknown[0]]!r}"
            )
    return np.array([list(line) for line in lines])


def read_rewards(rewards: Mapping[str, Any], walls: str) -> dict[str, float]:
    """Return what each tile pays, checked."""
    if not isinstance(rewards, Mapping):
        raise TypeError(f"rewards must map a tile's character to its reward; it is {rewards!r}")
    for tile in rewards:
        if not isinstance(tile, str) or len(tile) != 1:
            raise ValueError(f"rewards must be keyed by a tile's character; it has {tile!r}")
        if tile in walls:
            raise ValueError(f"rewards must not name {tile!r}: nobody ever stands there")
    return {tile: number(value, f"rewards[{tile!r}]") for tile, value in rewards.items()}


def check_tiles(**options: str) -> None:
    """Raise a TypeError for the first option that is not a text of tiles."""
    for name, tiles in options.items():
        if not isinstance(tiles, str):
            raise TypeError(f"{name} must be the tiles' characters as text; it is {tiles!r}")


def check_options(world: GridWorld) -> None:
    """Raise a TypeError or ValueError that names the first option that makes no sense."""
    check_tiles(terminal=world.terminal, exits=world.exits, walls=world.walls)
    if world.reward_on not in ("leave", "arrive"):
        raise ValueError(f'reward_on must be "leave" or "arrive"; it is {world.reward_on!r}')
    if np.isin(world.tiles, list(world.walls)).all():
        raise ValueError("text must hold at least one square that is no rock")
    makers: tuple[object, ...] = (slip_to_neighbours, slip_sideways, slip_anywhere, no_slip)
    absent = set(world.terminal + world.exits) - set(KNOWN) - set(world.tiles.ravel().tolist())
    if absent:
        raise ValueError(f"tile {min(absent)!r} of terminal or exits is not on the map")
    if "S" in world.terminal:
        raise ValueError("terminal must not name 'S': the episode would be over at its start")
    if world.slip in makers:
        raise TypeError("slip must be made first: slip_sideways(0.8), say, not slip_sideways")
    if not callable(world.slip):
        raise TypeError(f"slip must be a function of the open ways; it is {world.slip!r}")
    paying = [t for t in world.terminal if world.rewards.get(t, 0.0) and (world.tiles == t).any()]
    if paying and world.reward_on == "leave":
        raise ValueError(
            f"terminal tile {paying[0]!r} has a reward paid on leaving, but nobody leaves it:"
            f' use reward_on="arrive", or exits={paying[0]!r} instead of terminal'
        )
    _check_moves(world.moves)


def _check_moves(moves: Mapping[str, Move]) -> None:
    if not isinstance(moves, Mapping) or not moves:
        raise ValueError(f"moves must name at least one move; it is {moves!r}")
    for name, move in moves.items():
        steps = np.asarray(move)
        if steps.shape != (2,) or steps.dtype.kind not in "iu":
            raise ValueError(
                f"moves[{name!r}] must be (rows down, columns right), whole numbers; it is {move!r}"
            )
