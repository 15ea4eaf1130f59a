"""A Markov process as a graph: circles for states, arrows as thick as the step is likely."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch

from gridrl.plot import canvas as base
from gridrl.processes import MarkovProcess
from gridrl.processes.transitions import stacked
from gridrl.tables import Array
from gridrl.worlds import GridWorld

CROWD = 60
LABELLED = 70  # more arrows than this carry no number
LEFT_UP, RIGHT_UP = np.array([-0.7, -0.7]), np.array([0.7, -0.7])


def graph(
    process: MarkovProcess, *, world: GridWorld | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the states and Pr(s'|s): in a circle, or on the map of `world`.

    A decision process has no graph of its own: draw `mdp.under(policy)`.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = graph(MarkovProcess([[0.5, 0.5], [1, 0]]))
    >>> sorted(text.get_text() for text in ax.texts)
    ['0.5', '0.5', '1', '1', '2']

    Raises:
        TypeError: `process` is no Markov or reward process.
        ValueError: `world` has another number of states; too many states for a circle.
    """
    if not isinstance(process, MarkovProcess):
        raise TypeError(f"process must be a Markov process; of {process!r} take .under(policy)")
    if world is None and process.n_states > CROWD:
        raise ValueError(
            f"process must have at most {CROWD} states to be drawn in a circle; it has"
            f" {process.n_states}: draw it on its map with world=, or its transition_matrix"
        )
    at, radius = _places(process, world)
    ax = _axes(world, ax, at)
    coo, n = stacked(process.P).tocoo(), process.n_states
    near = np.inf if world is not None or n < 5 else 1.3 * float(np.linalg.norm(at[1] - at[0]))
    for s, s_next, p in zip(coo.row, coo.col, coo.data, strict=True):
        if p > 0:
            _edge(
                ax,
                at[s],
                at[s_next],
                p,
                radius,
                label=coo.nnz <= LABELLED,
                near=near,
            )
    across = 72 * 2 * radius * base.square_inches(ax)  # a circle's width, in points
    for (x, y), name, over in zip(at, process.labels, process.terminal, strict=True):
        ring = 3.5 if over else 1.2
        ax.add_patch(Circle((x, y), radius, fc="white", ec=base.SHADE, lw=ring, zorder=4))
        size = min(14, 0.5 * across, 0.9 * across / (0.6 * len(name)))
        if size >= 5:
            ax.text(x, y, name, size=size, ha="center", va="center", zorder=6)
    return ax


def _places(process: MarkovProcess, world: GridWorld | None) -> tuple[Array, float]:
    n = process.n_states
    if world is None:
        turn = 2 * np.pi * np.arange(n) / n
        around = max(1.0, n / 5)
        return around * np.column_stack([np.sin(turn), -np.cos(turn)]), 0.3
    if world.n_states != n:
        raise ValueError(f"world must have the process's {n} states; it has {world.n_states}")
    squares = world.positions[:, ::-1].astype(float)
    off_map = [[world.shape[1], world.shape[0] - 1.0]] * (n - len(squares))
    return np.concatenate([squares, np.array(off_map).reshape(-1, 2)]), 0.2


def _axes(world: GridWorld | None, ax: Axes | None, at: Array) -> Axes:
    if world is not None:
        ax = base.canvas(world, ax, glyphs="none")
        if at[:, 0].max() > world.shape[1] - 1:
            ax.set_xlim(-0.55, at[:, 0].max() + 0.5)
        return ax
    if ax is None:
        inches = float(np.clip(2.4 * np.ptp(at[:, 0]), 3, 9))
        ax = base.axes_of(inches, inches, margin=0.1)
    low, high = at.min(axis=0) - 0.8, at.max(axis=0) + 0.8
    ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
    ax.set_axis_off()
    return ax


def _edge(
    ax: Axes, a: Array, b: Array, p: float, radius: float, *, label: bool, near: float
) -> None:
    if (a == b).all():  # a loop above the circle
        ends, bend = (a + radius * LEFT_UP, a + radius * RIGHT_UP), -1.6
        where = a - np.array([0, 2.1 * radius])
    else:
        along = (b - a) / np.linalg.norm(b - a)
        across = np.array([along[1], -along[0]])
        ends = a + radius * (along + 0.35 * across), b + radius * (-along + 0.35 * across)
        bend = -0.16 if np.linalg.norm(b - a) <= near else _inward(*ends)
        where = base.on_curve(*ends, bend, 0.45) - np.sign(bend) * 0.55 * radius * across
    arrow = FancyArrowPatch(
        tuple(ends[0]),
        tuple(ends[1]),
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>",
        mutation_scale=9 + 5 * p,
        lw=0.6 + 2.6 * p,
        color=str(0.55 - 0.45 * p),
        zorder=3,
    )
    ax.add_patch(arrow)
    if label:
        x, y = where
        box = {"boxstyle": "round,pad=0.08", "fc": "white", "ec": "none", "alpha": 0.85}
        size = base.points(ax, 0.14, 12)
        ax.text(x, y, f"{p:.2g}", size=size, ha="center", va="center", zorder=5, bbox=box)


def _inward(a: Array, b: Array) -> float:
    """The bend that leads through the middle of the circle rather than around it."""
    return min(0.16, -0.16, key=lambda bend: float(np.linalg.norm(base.on_curve(a, b, bend, 0.5))))
