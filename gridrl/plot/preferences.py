"""What was learned from preferences in pictures: the reward, what to ask next, how it predicts.

Symbols: S states, A actions, n pairs, m members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from gridrl.plot import canvas as base
from gridrl.plot.curve import COLOURS
from gridrl.plot.tables import VALUES, q_values, values
from gridrl.preferences.measures import Calibration
from gridrl.preferences.segments import Segment
from gridrl.tables import Array, indices, number, table
from gridrl.worlds import GridWorld


def reward_map(
    world: GridWorld, reward: Any, spread: ArrayLike | None = None, *, ax: Axes | None = None
) -> Axes:
    r"""Colour each square by a reward, brighter is better, and say how far the members differ.

    The spread is written below the reward; where there is no room, and for r(s, a), it is a ring,
    the wider the less the members agree.

    Args:
        world: the map.
        reward: (S,) or (S, A), in reward units; or something with .reward, and .spread if it is an
            ensemble.
        spread: of the same shape, not negative; None takes that of an ensemble.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = reward_map(GridWorld.from_text("S.F"), [-0.5, 0, 2], [0.1, 0.2, 0])
    >>> [text.get_text() for text in ax.texts][-3:]
    ['-0.50\n± 0.10', '0.00\n± 0.20', '2.00\n± 0.00']

    Raises:
        ValueError: another shape, or a spread below 0.
    """
    S, A = world.n_states, len(world.moves)
    r = table(getattr(reward, "reward", reward), "reward", (S,), (S, A))
    if spread is None:
        spread = getattr(getattr(reward, "ensemble", reward), "spread", None)
    if ax is None:
        ax = _map_axes(world)
    (values if r.ndim == 1 else q_values)(world, r, ax=ax)
    for text in ax.texts:
        if text.get_text() == "-0.00":
            text.set_text("0.00")
    written = r.ndim == 1 and base.readable(ax)
    if not written:
        squares = r[: len(world.positions)]
        _colour_bar(ax, float(squares.min()), float(squares.max()))
    if spread is not None:
        deviation = table(spread, "spread", r.shape)
        if (deviation < 0).any():
            at = tuple(np.argwhere(deviation < 0)[0].tolist())
            raise ValueError(f"spread must not be negative; at {at} it is {deviation[at]:g}")
        (_write_spread if written else _ring)(world, deviation[: len(world.positions)], ax)
    return ax


def _map_axes(world: GridWorld) -> Axes:
    """Axes with room for a colour bar on the right and a line below."""
    rows, columns = world.shape
    inches = float(np.clip(7 / max(rows, columns), 0.25, 1.2))
    width, height = columns * inches, rows * inches
    w, h = width + 1.6, height + 0.9
    return plt.figure(figsize=(w, h)).add_axes((0.5 / w, 0.45 / h, width / w, height / h))


def _colour_bar(ax: Axes, low: float, high: float) -> None:
    norm = Normalize(low, high if high > low else low + 1)
    place = ax.inset_axes((1.03, 0, 0.05, 1))
    bar = ax.figure.colorbar(ScalarMappable(norm, VALUES), cax=place)
    bar.ax.tick_params(labelsize=12)


def _write_spread(world: GridWorld, spread: Array, ax: Axes) -> None:
    numbers = [text for text in ax.texts if text.get_gid() == "number"]
    for text, deviation in zip(numbers, spread, strict=True):
        text.set_text(f"{text.get_text()}\n± {deviation:.2f}")


def _ring(world: GridWorld, spread: Array, ax: Axes) -> None:
    """Rings as wide as the spread; of r(s, a), as its mean over actions."""
    each = spread if spread.ndim == 1 else spread.mean(axis=1)
    largest = max(float(each.max()), 1e-12)
    reach = 0.14 if base.readable(ax) else 0.42  # within the numbers of r(s, a)
    shapes = [
        Circle((x, y), reach * size)
        for (y, x), size in zip(world.positions, each / largest, strict=True)
    ]
    for colour, width in (("black", 3.2), ("white", 1.6)):
        rings = PatchCollection(shapes, facecolor="none", edgecolor=colour, lw=width, zorder=3)
        rings.set_gid(f"spread {colour}")
        ax.add_collection(rings, autolim=False)
    ax.set_xlabel(f"ring: spread of the members, the widest {largest:.2f}", size=12)


def query_choice(
    pairs: Sequence[tuple[Segment, Segment]],
    ensemble: Any,
    chosen: Sequence[int] | Mapping[str, Sequence[int]],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw each candidate pair: the members' mean prediction, their spread, and which are asked.

    The thin arc is the largest spread that a mean allows: members that are all certain.

    Args:
        pairs: the candidates.
        ensemble: something with .predictions(pairs), (m, n).
        chosen: the places of the pairs to be asked; or a name for each rule, and its choice.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from types import SimpleNamespace
    >>> members = SimpleNamespace(predictions=lambda pairs: np.array([[0.5, 0.2], [0.5, 0.8]]))
    >>> clips = Segment([0], [0]), Segment([1], [0])
    >>> ax = query_choice([clips, clips], members, [1])
    >>> ax.collections[-1].get_offsets().round(2).tolist()
    [[0.5, 0.3]]

    Raises:
        ValueError: no pairs, or a place that is none of theirs.
    """
    if not len(pairs):
        raise ValueError("pairs must hold at least one candidate; it is empty")
    p = np.asarray(ensemble.predictions(pairs))
    mean, spread = p.mean(axis=0), p.std(axis=0)
    rules = chosen if isinstance(chosen, Mapping) else {"asked": chosen}
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    edge = np.linspace(0, 1, 101)
    ax.plot(edge, np.sqrt(edge * (1 - edge)), color="0.5", lw=1, zorder=1)
    ax.scatter(mean, spread, s=26, color="0.72", label="candidates", zorder=2)
    for k, (name, places) in enumerate(rules.items()):
        at = indices(np.asarray(places), f"chosen {name!r}", len(pairs))
        look: dict[str, Any] = {"facecolor": COLOURS[k % 7], "edgecolor": "black"}
        look["s"] = 200 / 2.4**k  # where two rules agree both are seen
        ax.scatter(mean[at], spread[at], marker="os^Dv"[k % 5], label=name, zorder=3 + k, **look)
    _dress(ax, "mean of the members' Pr(first preferred)", "their spread")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.01, 0.55))
    ax.legend(fontsize=12, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False)
    return ax


def calibration(
    found: Calibration,
    *,
    accuracy: float | None = None,
    ceiling: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often the first clip was preferred, where it was predicted to be with probability p.

    On the diagonal a prediction means what it says. A dot is the larger the more comparisons it
    stands for; its bar is 2 sqrt(p (1 - p) / n) either way, so that 19 of 20 bars of a reward that
    is right cross the diagonal.

    Args:
        found: what `gridrl.preferences.calibration` returns.
        accuracy: how often the clip that is predicted was preferred, to be written above.
        ceiling: the best there can be, E[max(p, 1 - p)], beside it.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> found = Calibration(np.array([0.2, 0.7]), np.array([0.1, 0.8]), np.array([10, 30]))
    >>> calibration(found, accuracy=0.83, ceiling=0.875).get_title()
    'right 83.0 %, at best 87.5 %'

    Raises:
        TypeError: `found` is no `Calibration`.
        ValueError: an accuracy or a ceiling outside [0, 1].
    """
    if not isinstance(found, Calibration):
        raise TypeError(f"found must be a Calibration; it is a {type(found).__name__}")
    shares = {"right": ("accuracy", accuracy), "at best": ("ceiling", ceiling)}
    title = [
        f"{words} {100 * number(share, name, 0, 1):.1f} %"
        for words, (name, share) in shares.items()
        if share is not None
    ]
    if ax is None:
        _, ax = plt.subplots(figsize=(5.6, 5), layout="constrained")
    ax.plot([0, 1], [0, 1], color="0.5", lw=1, zorder=1)
    p, y, n = found.predicted, found.observed, found.counts
    error = 2 * np.sqrt(p * (1 - p) / n)
    ax.vlines(p, y - error, y + error, color=COLOURS[0], lw=2, zorder=2)
    ax.scatter(p, y, s=40 + 400 * n / n.sum(), color=COLOURS[0], edgecolor="white", zorder=3)
    _dress(ax, "predicted Pr(first preferred)", "how often it was")
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    ax.set_title(", ".join(title), size=14)
    return ax


def _dress(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, size=14)
    ax.set_ylabel(y, size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
