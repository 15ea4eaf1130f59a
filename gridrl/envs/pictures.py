"""What an environment shows: its map as text, or a picture as an array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gridrl.envs.dynamics import Dynamics, Events
from gridrl.worlds import GridWorld


def text(dynamics: Dynamics, at: Events, k: int) -> str:
    """Environment k: what was meant and what happened, and the map, the agent's square in [ ]."""
    s, said = int(at.s[k]), ""
    if at.meant[k] is not None:
        said = f"{at.meant[k]}: {at.happened[k]}\n"
    if dynamics.world is None or s >= len(dynamics.world.positions):
        return f"{said}[{dynamics.mdp.labels[s]}]"
    return said + map_text(dynamics.world, s)


def map_text(world: GridWorld, s: int) -> str:
    """The map, three characters a square, the square of state s in brackets.

    >>> from gridrl.worlds import random_walk
    >>> print(map_text(random_walk(3), 1))
     L [.] S  .  R
    """
    squares = np.char.add(np.char.add(" ", world.tiles), " ").astype(object)
    at = tuple(world.positions[s])
    squares[at] = f"[{world.tiles[at]}]"
    return "\n".join("".join(row).rstrip() for row in squares)


def frame(dynamics: Dynamics, s: int) -> NDArray[np.uint8]:
    """A picture, (H, W, 3): the agent on the map, or the state among all states."""
    from gridrl.envs.tiles import board, picture  # Pillow and the plots' shapes

    if dynamics.world is None:
        return np.asarray(board(dynamics.mdp.labels, dynamics.mdp.terminal, s))
    return np.asarray(picture(dynamics.world, s, window=dynamics.sight is not None))


def one_of(render_mode: str | None, modes: Sequence[str]) -> str | None:
    """Return a render mode that there is; a ValueError lists them."""
    if render_mode is not None and render_mode not in modes:
        known = ", ".join(map(repr, modes))
        raise ValueError(f"render_mode must be None or one of {known}; it is {render_mode!r}")
    return render_mode
