"""The axes that every picture of a world is drawn on: ground, glyphs, labels, and sizes that fit.

A square is one unit wide, its middle at (column, row), rows downwards. Layers from the ground up:
ground 0, colours 1, glyphs 2, labels 3, arrows and numbers 4. Drawing on axes that already show a
world adds a layer; on bare axes the world is drawn first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb

from gridrl.plot.glyphs import GLYPHS, WATER, penguin
from gridrl.tables import Array
from gridrl.worlds.grid import GridWorld

ICE, LINE, SHADE = "#eaf4fb", "#9db8cc", "#4a4a4a"
READABLE = 0.5  # inches; a smaller square shows no text
PLACES = {"middle": (0.0, 0.0, 0.72), "corner": (0.3, 0.32, 0.32), "centre": (0.0, 0.0, 0.17)}


def canvas(
    world: GridWorld, ax: Axes | None, *, glyphs: str = "corner", start: bool = True
) -> Axes:
    """Return axes that show the world; `glyphs`: "middle", "corner" or "centre" of each square.

    With `glyphs` "none" neither glyphs nor the squares' numbers are drawn; without `start` no
    penguin stands where it starts.
    """
    if not isinstance(world, GridWorld):
        raise TypeError(f"world must be a GridWorld; it is {world!r}")
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib axes or None; it is {ax!r}")
    if ax is None:
        rows, columns = world.shape
        inches = float(np.clip(9 / max(rows, columns), 0.25, 1.2))
        ax = axes_of(columns * inches, rows * inches, margin=0.1 if inches >= READABLE else 0.45)
    if not _drawn(ax, "ground"):
        _draw_ground(world, ax, labels=glyphs != "none")
    if glyphs == "corner" and not readable(ax):
        glyphs = "middle"  # no numbers to make room for
    if glyphs != "none" and not _drawn(ax, f"glyphs {glyphs}"):
        for artist in [a for a in ax.get_children() if str(a.get_gid()).startswith("glyphs")]:
            artist.remove()
        _draw_glyphs(world, ax, glyphs, () if start else ("S",))
    return ax


def axes_of(width: float, height: float, *, margin: float) -> Axes:
    """Make a figure whose axes are `width` x `height` inches, with a margin left and above."""
    figure = plt.figure(figsize=(width + margin + 0.1, height + margin + 0.1))
    total = figure.get_size_inches()
    return figure.add_axes((margin / total[0], 0.1 / total[1], width / total[0], height / total[1]))


def on_curve(a: Array, b: Array, bend: float, t: float) -> Array:
    """The point at `t` in [0, 1] on matplotlib's arc3 curve from a to b, y pointing down."""
    dx, dy = np.subtract(b, a)
    control = np.add(a, b) / 2 + bend * np.array([-dy, dx])
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * control + t**2 * b)


def points(ax: Axes, fraction: float, most: float = 15.0) -> float:
    """A font size that is `fraction` of a square's height, in points, at most `most`."""
    return min(most, fraction * 72 * square_inches(ax))


def square_inches(ax: Axes) -> float:
    """How large a square is drawn, in inches."""
    figure = ax.get_figure(root=True)
    box = ax.get_position()
    width, height = figure.get_size_inches() if figure is not None else (6.4, 4.8)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    return float(min(width * box.width / abs(x1 - x0), height * box.height / abs(y1 - y0)))


def readable(ax: Axes) -> bool:
    """Say whether a square is large enough for text."""
    return square_inches(ax) >= READABLE


def make_room(ax: Axes) -> bool:
    """Move the numbers of a heat map out of the way of arrows; say whether there are any."""
    numbers = [text for text in ax.texts if text.get_gid() == "number"]
    for text in numbers:
        x, y = text.get_position()
        text.set(x=x - 0.44, y=y + 0.35, ha="left", gid="number below")
        text.set_fontsize(0.85 * float(text.get_fontsize()))
    return any(text.get_gid() == "number below" for text in ax.texts)


def contrast(colour: Any) -> str:
    """Black or white, whichever can be read on `colour`."""
    return "black" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.5 else "white"


def _drawn(ax: Axes, gid: str) -> bool:
    return any(artist.get_gid() == gid for artist in ax.get_children())


def _draw_ground(world: GridWorld, ax: Axes, *, labels: bool) -> None:
    rows, columns = world.shape
    colours = {tile: np.array(to_rgb(ICE)) for tile in np.unique(world.tiles)}
    colours |= {tile: np.array(to_rgb("#c9c9c9")) for tile in world.walls}
    colours |= {"C": np.array(to_rgb(WATER))}
    pixels = np.array([[colours[tile] for tile in row] for row in world.tiles])
    ground = ax.imshow(pixels, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), zorder=0)
    ground.set_gid("ground")
    ax.set(xlim=(-0.55, columns - 0.45), ylim=(rows - 0.45, -0.55), aspect="equal")
    thin = 1.0 if max(rows, columns) <= 12 else 0.5
    edges: dict[str, Any] = {"colors": LINE, "linewidth": thin, "zorder": 1.5}
    ax.hlines(np.arange(rows + 1) - 0.5, -0.5, columns - 0.5, **edges)
    ax.vlines(np.arange(columns + 1) - 0.5, -0.5, rows - 0.5, **edges)
    ax.set_frame_on(False)
    ax.tick_params(length=0, labelsize=9)
    if readable(ax):
        ax.set(xticks=[], yticks=[])
        if labels:
            _draw_labels(world, ax)
    else:  # no room inside: number the rows by their first square, the columns by their offset
        inches = square_inches(ax)
        down = np.arange(0, rows, max(1, int(np.ceil(0.18 / inches))))
        right = np.arange(0, columns, max(1, int(np.ceil(0.38 / inches))))
        ax.set_yticks(down, [str(r * columns + 1) for r in down])
        ax.set_xticks(right, [f"+{c}" for c in right])
        ax.xaxis.tick_top()


def _draw_labels(world: GridWorld, ax: Axes) -> None:
    size = points(ax, 0.17, 13)
    for label, (r, c) in zip(world.labels, world.positions, strict=False):
        ax.text(c - 0.45, r - 0.45, label, size=size, color=SHADE, ha="left", va="top", zorder=3)


def put_penguin(ax: Axes, x: float, y: float) -> None:
    """Let a penguin stand in the corner of a square, on top of what is drawn."""
    dx, dy, size = PLACES["corner" if readable(ax) else "middle"]
    shapes = PatchCollection(penguin(x - dx, y + dy, size), match_original=True, zorder=5)
    shapes.set_gid("penguin")
    ax.add_collection(shapes, autolim=False)


def _draw_glyphs(world: GridWorld, ax: Axes, place: str, without: Collection[str]) -> None:
    dx, dy, size = PLACES[place]
    patches, letters = [], []
    for (r, c), tile in np.ndenumerate(world.tiles):
        if tile in world.walls and tile in GLYPHS:
            patches += GLYPHS[tile](c, r, 0.72)
        elif tile in without:
            continue
        elif tile in GLYPHS:
            patches += GLYPHS[tile](c + dx, r + dy, size)
        elif tile != ".":
            letters.append((c + dx, r + dy, str(tile)))
    shapes = PatchCollection(patches, match_original=True, zorder=2)
    shapes.set_gid(f"glyphs {place}")
    ax.add_collection(shapes, autolim=False)
    for x, y, letter in letters:
        text = ax.text(x, y, letter, size=points(ax, size, 26), ha="center", va="center", zorder=2)
        text.set_gid(f"glyphs {place}")
