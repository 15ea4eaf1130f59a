"""What one sees from a square: a window of offsets, with or without noise.

Symbols: O[s, o] = Pr(o|s), shape (S, Z); a window is a list of offsets (rows down, columns right).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridrl.tables import Array, Indices, number, whole

Offsets = Sequence[tuple[int, int]]
OWN_AND_BELOW: Offsets = ((0, 0), (1, 0))  # the lecture's dashed box


@dataclass(frozen=True)
class Window:
    """The tiles seen: at `offsets` from one's own square; with probability `noise` any view at all.

    Attributes:
        offsets: pairs (rows down, columns right); (0, 0) is one's own square; none: one is blind.
        noise: probability that the observation is drawn evenly from all that the world can show.

    >>> Window([(0, 0), (1, 0)])
    Window(offsets=((0, 0), (1, 0)), noise=0.0)
    """

    offsets: Offsets = OWN_AND_BELOW
    noise: float = 0.0

    def __post_init__(self) -> None:
        try:
            pairs = tuple((whole(dr, "rows"), whole(dc, "columns")) for dr, dc in self.offsets)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"view must be pairs (rows down, columns right); it is {self.offsets!r}"
            ) from error
        object.__setattr__(self, "offsets", pairs)
        object.__setattr__(self, "noise", number(self.noise, "noise", 0, 1))


def window(view: Window | Offsets | None) -> Window:
    """Read a view in any of its forms; None is the lecture's dashed box."""
    if view is None:
        return Window()
    return view if isinstance(view, Window) else Window(view)


def observations(
    view: Window, tiles: NDArray[np.str_], positions: Indices, n_states: int
) -> tuple[Array, tuple[str, ...]]:
    """Return O (S, Z) and the observations' labels: the tiles in the window, off the map `#`.

    Start squares look like ice. States off the map (an end state) look like nothing else, "end".
    """
    seen = np.array(["".join(row) for row in look(view, tiles, positions)], dtype=object)
    seen = np.concatenate([seen, np.full(n_states - len(seen), "end", dtype=object)])
    labels, o = np.unique(seen.astype(str), return_inverse=True)
    O = np.full((n_states, len(labels)), view.noise / len(labels))  # noqa: E741
    O[np.arange(n_states), o] += 1 - view.noise
    return O, tuple(str(label) or "nothing" for label in labels)


def look(view: Window, tiles: NDArray[np.str_], positions: Indices) -> NDArray[np.str_]:
    """Return the tiles in the window of each position (row, column), (S, number of offsets)."""
    reach = max((abs(step) for offset in view.offsets for step in offset), default=0)
    padded = np.pad(np.where(tiles == "S", ".", tiles), reach, constant_values="#")
    offsets = np.array(view.offsets, np.intp).reshape(-1, 2)
    at = positions[:, None, :] + offsets + reach
    return padded[at[..., 0], at[..., 1]]
