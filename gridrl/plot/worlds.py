"""Pictures of a world: the map itself, a trajectory on it, and what is seen from a square."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from gridrl.plot import canvas as base
from gridrl.processes import Trajectories
from gridrl.tables import Indices, index, indices
from gridrl.worlds import GridWorld
from gridrl.worlds.views import observations

BOX = "#d55e00"


def world(world: GridWorld, *, ax: Axes | None = None) -> Axes:
    """Draw the map: ice, penguin (the start), fish, holes, rocks, goals, and the squares' numbers.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from gridrl.worlds import penguin_world
    >>> [text.get_text() for text in world(penguin_world()).texts][:3]
    ['1', '2', '3']
    """
    return base.canvas(world, ax, glyphs="middle")


def trajectory(
    world: GridWorld, states: ArrayLike | Trajectories, *, ax: Axes | None = None
) -> Axes:
    """Draw a path through states s_0, s_1, ...: numbered arrows, darker as time goes on.

    Args:
        world: the map.
        states: state indices, (T + 1,), or a single episode of `Trajectories`.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = trajectory(GridWorld.from_text("S.F"), [0, 1, 2])
    >>> [text.get_text() for text in ax.texts][3:]  # after the squares' numbers, the steps'
    ['1', '2']

    Raises:
        TypeError, ValueError: a state that is no square of the map; the first is named.
    """
    ax = base.canvas(world, ax)
    base.make_room(ax)
    walked = states.states if isinstance(states, Trajectories) else states
    path = indices(walked, "states", len(world.positions))
    if path.ndim != 1 or not len(path):
        raise ValueError(f"states must have shape (T + 1,); it has {path.shape}")
    colours = colormaps["cividis_r"](np.linspace(0.35, 1, max(len(path) - 1, 1)))
    (r, c), (r_end, c_end) = world.positions[path[0]], world.positions[path[-1]]
    ax.add_patch(Circle((c, r), 0.13, facecolor="white", edgecolor=base.SHADE, lw=2, zorder=4))
    taken: Counter[tuple[int, int]] = Counter()
    for t, (s, s_next) in enumerate(pairwise(path.tolist())):
        _step(ax, world, s, s_next, colours[t], str(t + 1), 0.18 + 0.16 * taken[s, s_next])
        taken[s, s_next] += 1
    ax.add_patch(Circle((c_end, r_end), 0.09, color="#1b1b1b", zorder=5))
    return ax


def observation(
    world: GridWorld, s: int, *, look_alikes: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the dashed box: what is seen from state `s`; and shade the squares that look the same.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = observation(GridWorld.from_text("S.F"), 1)
    >>> len(ax.patches)  # the dashed box
    3

    Raises:
        TypeError, ValueError: `s` is no square of the map.
    """
    s = index(s, "s", len(world.positions))
    ax = base.canvas(world, ax)
    O, _ = observations(world.window, world.tiles, world.positions, world.n_states)  # noqa: E741
    same = (O[: len(world.positions)] == O[s]).all(axis=1)
    for r, c in world.positions[same] if look_alikes else []:
        ax.add_patch(Rectangle((c - 0.5, r - 0.5), 1, 1, color=BOX, alpha=0.25, lw=0, zorder=1))
    dashed_box(world, s, ax)
    return ax


def dashed_box(world: GridWorld, s: int, ax: Axes) -> None:
    """Draw what is seen from `s`, and make room for what of it lies beyond the map."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for (x, y), (w, h) in _boxes(world, world.positions[s]):
        dashes = Rectangle((x, y), w, h, fill=False, ec=BOX, lw=3, ls=(0, (4, 2)), zorder=4)
        ax.add_patch(dashes)
        left, right = min(left, x - 0.08), max(right, x + w + 0.08)
        bottom, top = max(bottom, y + h + 0.08), min(top, y - 0.08)
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _boxes(world: GridWorld, at: Indices) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The window around a square: one box if its offsets fill one, else a box an offset."""
    offsets = np.array(world.window.offsets).reshape(-1, 2)
    if not len(offsets):
        return []
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    groups = [offsets] if np.prod(high - low + 1) == len(offsets) else list(offsets[:, None])
    boxes = []
    for group in groups:
        (r, c), (h, w) = at + group.min(axis=0), np.ptp(group, axis=0) + 1
        boxes.append(((c - 0.47, r - 0.47), (w - 0.06, h - 0.06)))
    return boxes


def _step(
    ax: Axes, world: GridWorld, s: int, s_next: int, colour: Any, name: str, bend: float
) -> None:
    (r, c), (r2, c2) = world.positions[s], world.positions[s_next]
    if s == s_next:  # bumped, and stayed
        start, end, bend = np.array([c - 0.12, r]), np.array([c + 0.12, r]), -1.6 - bend
    else:
        start, end = np.array([c, r]), np.array([c2, r2])
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 14,
        "shrinkA": 7,
        "shrinkB": 7,
        "lw": 2.2,
    }
    curve = f"arc3,rad={bend}"
    ends: Any = tuple(start), tuple(end)
    outline: Any = [withStroke(linewidth=4.5, foreground="white")]  # seen on dark squares too
    arrow = FancyArrowPatch(*ends, connectionstyle=curve, color=colour, zorder=4, **style)
    arrow.set_path_effects(outline)
    ax.add_patch(arrow)
    if base.readable(ax):
        x, y = base.on_curve(start, end, bend, 0.5 - 0.8 * (abs(bend) - 0.25) * (s != s_next))
        size, halo = base.points(ax, 0.16, 12), [withStroke(linewidth=3, foreground="white")]
        ax.text(x, y, name, size=size, ha="center", va="center", zorder=5, path_effects=halo)
