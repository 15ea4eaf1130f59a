"""Clips in pictures: two of them and a verdict, and a film with the learned reward beside it.

Symbols: k steps a clip, S states, A actions.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from PIL import Image

from gridrl.plot import canvas as base
from gridrl.plot.curve import COLOURS
from gridrl.plot.films import Film
from gridrl.plot.glyphs import penguin
from gridrl.plot.worlds import trajectory
from gridrl.preferences.segments import Segment
from gridrl.processes import Trajectories
from gridrl.tables import Array, Indices, indices, number, table
from gridrl.worlds import GridWorld

View = tuple[int, int, int, int]
LEFT, RIGHT = COLOURS[0], "#f3c99b"  # dark and light, told apart in grey
HEAD, FOOT, GAP, SIDE = 0.4, 0.45, 0.7, 0.15  # inches
TRAIL = 7  # squares that are remembered in a film
WIDE = 10  # squares; of a wider map only the part around a clip is drawn
SAME = 1e-12  # relative: sums closer than this differ by rounding only


def preference(
    world: GridWorld,
    first: Segment,
    second: Segment,
    *,
    reward: ArrayLike | None = None,
    probability: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw two clips side by side, the sums of their rewards, and who is likely to be preferred.

    Steps at the end that stay where they are are counted and not drawn. Of a map more than ten
    squares wide only the part around each clip is shown.

    Args:
        world: the map.
        first: the clip on the left.
        second: the clip on the right.
        reward: r(s), (S,), or r(s, a), (S, A), in reward units; None writes no sums.
        probability: that the left one is preferred, a tie shared half; None draws no bar.
        ax: axes to draw on; None makes new ones. The clips are its `child_axes`.

    >>> import matplotlib; matplotlib.use("agg")
    >>> world = GridWorld.from_text("S.F")
    >>> clips = Segment([0, 1], [1, 1], final=2), Segment([1, 2], [1, 3], final=1)
    >>> ax = preference(world, *clips, reward=[0, 0, 1], probability=0.25)
    >>> [text.get_text() for text in ax.texts]
    ['left', 'right', '0 + 0 = 0', '0 + 1 = 1', '<', '25 %', '75 %', 'Pr(left is preferred)']

    Raises:
        TypeError: `first` or `second` is no segment.
        ValueError: a state that is no square of the map, a reward of another shape, a probability
            outside [0, 1].
    """
    share = None if probability is None else number(probability, "probability", 0, 1)
    paths = [_path(world, clip, name) for name, clip in (("first", first), ("second", second))]
    paid = None if reward is None else [_received(world, reward, clip) for clip in (first, second)]
    views = _views(world, paths)
    inches = float(np.clip(5.6 / max(views[0][2:]), 0.3, 1.2))
    width, height = max(views[0][3] * inches, 2.6), views[0][2] * inches
    foot = SIDE + FOOT * (paid is not None) + 0.9 * (share is not None)
    size = 2 * (width + SIDE) + GAP, HEAD + height + foot
    if ax is None:
        ax = plt.figure(figsize=size).add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, size[0]), ylim=(0, size[1]), aspect="equal")  # in inches
    ax.set_axis_off()
    ax.apply_aspect()
    middles = SIDE + width / 2, size[0] - SIDE - width / 2
    for x, path, view, name in zip(middles, paths, views, ("left", "right"), strict=True):
        box = (x - width / 2, foot, width, height)
        _clip(world, path, view, ax.inset_axes(box, transform=ax.transData))
        _write(ax, x, foot + height + 0.2, name + _rest(path), 15)
    if paid is not None:
        _write_sums(ax, paid, middles, foot - 0.3, width)
    if share is not None:
        _share_bar(ax, share, size[0])
    return ax


def _path(world: GridWorld, clip: Any, name: str) -> Indices:
    """The squares of a clip, the last one among them where it is known."""
    if not isinstance(clip, Segment):
        raise TypeError(f"{name} must be a Segment; it is a {type(clip).__name__}")
    states = clip.states if clip.final is None else np.append(clip.states, clip.final)
    return indices(states, f"{name}.states", world.n_states)


def _received(world: GridWorld, reward: ArrayLike, clip: Segment) -> Array:
    """r of each step, (k,), in reward units."""
    S, A = world.n_states, len(world.moves)
    r = table(reward, "reward", (S,), (S, A))
    states = indices(clip.states, "states", S)
    return r[states] if r.ndim == 1 else r[states, indices(clip.actions, "actions", A)]


def _views(world: GridWorld, paths: Sequence[Indices]) -> list[View]:
    """The part of the map to draw for each clip: first row and column, rows, columns.

    All of a map that can be read; else as many squares around each clip as both need.
    """
    rows, columns = world.shape
    if max(rows, columns) <= WIDE:
        return [(0, 0, rows, columns)] * len(paths)
    walks = [world.positions[path[path < len(world.positions)]] for path in paths]
    needs = np.max([np.ptp(walk, axis=0) + 3 for walk in walks], axis=0)
    size = np.minimum(np.maximum(needs, 5), world.shape)
    middles = [(walk.min(axis=0) + walk.max(axis=0)) // 2 for walk in walks]
    corners = [np.clip(middle - (size - 1) // 2, 0, world.shape - size) for middle in middles]
    return [(int(r), int(c), int(size[0]), int(size[1])) for r, c in corners]


def _clip(world: GridWorld, path: Indices, view: View, ax: Axes) -> None:
    base.canvas(world, ax, start=False)
    if view[2:] != world.shape:
        _zoom(world, view, ax)
    squares = path[path < len(world.positions)]  # an end state is no square
    walk = squares[: len(squares) - _stays(squares)]
    y, x = world.positions[walk].T
    base.put_penguin(ax, float(x[0]), float(y[0]))
    if base.readable(ax):
        trajectory(world, walk, ax=ax)
    else:  # no room for an arrow a step
        ax.plot(x, y, "-", color=LEFT, lw=2.5, zorder=4)
        ax.plot(x[-1:], y[-1:], "o", color="#1b1b1b", ms=8, zorder=5)
        for s in {int(walk[0]), int(walk[-1])}:
            _name(world, s, ax)
    for text in ax.texts:
        text.set_clip_on(True)


def _name(world: GridWorld, s: int, ax: Axes) -> None:
    """Write a square's number above it, or below it in the first row."""
    row, column = world.positions[s]
    side, va = (0.5, "top") if row < min(ax.get_ylim()) + 1 else (-0.5, "bottom")
    halo: Any = [withStroke(linewidth=3, foreground="white")]
    text = ax.text(column, row + side, world.labels[s], ha="center", va=va, path_effects=halo)
    text.set(size=12, zorder=6)


def _zoom(world: GridWorld, view: View, ax: Axes) -> None:
    """Show a part of the map, in a frame, its squares numbered where there is room."""
    row, column, rows, columns = view
    ax.set(xlim=(column - 0.5, column + columns - 0.5), ylim=(row + rows - 0.5, row - 0.5))
    ax.set_frame_on(True)
    ax.set(xticks=[], yticks=[])
    if base.readable(ax):
        base._draw_labels(world, ax)
        base.canvas(world, ax, start=False)  # the glyphs make room


def _stays(path: Indices) -> int:
    """How many steps at the end lead nowhere."""
    moves = np.flatnonzero(np.diff(path))
    return len(path) - 1 - (int(moves[-1]) + 1 if len(moves) else 0)


def _rest(path: Indices) -> str:
    stays = _stays(path)
    return f": it stays for the last {stays} steps" if stays else ""


def _write_sums(
    ax: Axes, paid: Sequence[Array], middles: Sequence[float], y: float, width: float
) -> None:
    """Write each sum, term by term where there is room, and which is larger."""
    shrunk = ax.bbox.width / ax.figure.dpi / np.ptp(ax.get_xlim())  # 1 on axes of our own
    for r, x in zip(paid, middles, strict=True):
        terms = " + ".join(map(_plain, r)).replace("+ -", "- ") + f" = {_plain(r.sum())}"
        written_out = len(terms) * 0.1 <= width * shrunk  # inches
        _write(ax, x, y, terms if written_out else f"Σ r = {_plain(r.sum())}", 14)
    _write(ax, sum(middles) / 2, y, _sign(*paid), 22)


def _plain(x: float) -> str:
    text = f"{x:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _sign(first: Array, second: Array) -> str:
    difference, size = first.sum() - second.sum(), np.abs(first).sum() + np.abs(second).sum()
    if abs(difference) <= SAME * size:
        return "="
    return ">" if difference > 0 else "<"


def _share_bar(ax: Axes, share: float, width: float) -> None:
    """A bar across both clips: the dark part is the chance of the left one."""
    low, high, y, thick = 1.0, width - 1.0, 0.5, 0.26
    cut = low + share * (high - low)
    look: dict[str, Any] = {"edgecolor": "0.2", "linewidth": 1}
    ax.add_patch(Rectangle((low, y), cut - low, thick, facecolor=LEFT, **look))
    ax.add_patch(Rectangle((cut, y), high - cut, thick, facecolor=RIGHT, **look))
    _write(ax, 0.5, y + thick / 2, f"{100 * share:.0f} %", 15)
    _write(ax, width - 0.5, y + thick / 2, f"{100 * (1 - share):.0f} %", 15)
    _write(ax, width / 2, 0.24, "Pr(left is preferred)", 13)


def _write(ax: Axes, x: float, y: float, text: str, size: float) -> None:
    ax.text(x, y, text, size=size, ha="center", va="center", color="0.1")


def reward_bar(
    world: GridWorld,
    episode: Trajectories | Segment,
    reward: ArrayLike,
    path: str | Path | None = None,
    *,
    name: str = "learned reward",
    seconds: float = 0.4,
) -> Film:
    """Film an episode with what each step is paid as a bar beside it.

    Args:
        world: the map.
        episode: a single one, or a clip.
        reward: r(s), (S,), or r(s, a), (S, A), in reward units; the bar has its whole range.
        path: where to save the film, .gif or .html; None does not.
        name: what stands above the bar.
        seconds: how long each step stands.

    >>> world = GridWorld.from_text("S.F")
    >>> reward_bar(world, Segment([0, 1, 2], [1, 1, 1]), [-1.0, 0.0, 2.0]).titles
    ['step 1: reward -1', 'step 2: reward 0', 'step 3: reward 2']

    Raises:
        ValueError: several episodes, a state that is no square, a reward of another shape.
    """
    if isinstance(episode, Trajectories):
        if episode.states.ndim != 1:
            raise ValueError(f"episode must be a single one; these are {len(episode)}")
        episode = Segment(episode.states[: episode.lengths], episode.actions[: episode.lengths])
    paid = _received(world, reward, episode)
    walk = world.positions[indices(episode.states, "states", len(world.positions))]
    titles = [f"step {t + 1}: reward {_plain(r)}" for t, r in enumerate(paid)]
    scene = _Scene(world, np.asarray(reward, dtype=np.float64), name)
    frames = [
        scene.shoot(walk[: t + 1], r, title)
        for t, (r, title) in enumerate(zip(paid, titles, strict=True))
    ]
    film = Film(frames, titles, seconds)
    if path is not None:
        film.save(path)
    return film


class _Scene:
    """A map and a bar, drawn once; the penguin and the bar move."""

    def __init__(self, world: GridWorld, reward: Array, name: str) -> None:
        rows, columns = world.shape
        inches = float(np.clip(6 / max(rows, columns), 0.3, 1.2))
        width, height = columns * inches, max(rows * inches, 1.5)
        whole = width + 2.3, height + 0.85
        self.figure = Figure(figsize=whole, dpi=100)
        places = (0.4, width), (width + 1.2, 0.4)
        self.map, self.bar = (
            self.figure.add_axes((x / whole[0], 0.15 / whole[1], w / whole[0], height / whole[1]))
            for x, w in places
        )
        base.canvas(world, self.map, start=False)
        self.size = 0.62 if base.readable(self.map) else 0.9
        self._dress_bar(reward, name)
        self.moving: list[Any] = []

    def _dress_bar(self, reward: Array, name: str) -> None:
        low, high = min(0.0, float(reward.min())), max(0.0, float(reward.max()))
        self.bar.set(xlim=(0, 1), ylim=(low, high if high > low else 1.0), xticks=[])
        self.bar.tick_params(labelsize=12)
        self.bar.axhline(0, color="0.1", lw=1.5)
        self.bar.set_title(name, size=13, pad=8)

    def shoot(self, walk: Indices, paid: float, title: str) -> Image.Image:
        """One frame: where it is, its last steps, and what it is paid."""
        for artist in self.moving:
            artist.remove()
        y, x = walk[-TRAIL:].T
        shapes = penguin(float(x[-1]), float(y[-1]), self.size)
        hatch, colour = ("", LEFT) if paid >= 0 else ("///", RIGHT)
        level = Rectangle((0, 0), 1, paid, facecolor=colour, edgecolor="0.2", hatch=hatch)
        self.moving = [
            *self.map.plot(x, y, "-", color="0.35", lw=3, alpha=0.5, zorder=3),
            self.map.add_collection(PatchCollection(shapes, match_original=True, zorder=5)),
            self.bar.add_patch(level),
            self.figure.text(0.05, 0.99, title, size=13, va="top"),
        ]
        stream = io.BytesIO()
        self.figure.savefig(stream, format="png")
        return Image.open(stream).convert("RGB")
