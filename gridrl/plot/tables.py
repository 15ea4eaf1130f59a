"""Pictures of tables: values, action values, policies, beliefs on the map; transition matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from gridrl.plot import canvas as base
from gridrl.plot.worlds import dashed_box
from gridrl.processes import MDP, POMDP, MarkovProcess
from gridrl.processes.transitions import dense, stacked
from gridrl.tables import Array, distributions, index, table
from gridrl.worlds import GridWorld

VALUES, CHANCES, BARE = "viridis", "Blues", "#1b1b1b"


def values(
    world: GridWorld,
    V: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Colour each square by V(s), brighter is better, and write the number where there is room.

    Args:
        world: the map.
        V: (S,), in reward units.
        limits: values of the darkest and the brightest colour; None: the smallest and largest.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from gridrl.worlds import GridWorld
    >>> ax = values(GridWorld.from_text("S.F"), [0.5, 1, 2.25])
    >>> [text.get_text() for text in ax.texts][-3:]
    ['0.50', '1.00', '2.25']
    """
    ax = base.canvas(world, ax)
    return _heat(world, table(V, "V", (world.n_states,)), ax, VALUES, limits, _two_decimals)


def belief(
    world: GridWorld, b: ArrayLike, *, at: int | None = None, ax: Axes | None = None
) -> Axes:
    """Colour each square by the probability of being there, darker is likelier, in percent.

    Args:
        world: the map.
        b: (S,), a distribution over states.
        at: where the penguin really is, drawn with the dashed box of what it sees; None draws none.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> world = GridWorld.from_text("S.F")
    >>> ax = belief(world, [0.25, 0.75, 0])
    >>> [text.get_text() for text in ax.texts if "%" in text.get_text()]
    ['25%', '75%']

    Raises:
        TypeError, ValueError: `b` is no distribution; `at` is no square of the map.
    """
    ax = base.canvas(world, ax, start=False)
    p = distributions(b, "b", (world.n_states,))
    _heat(world, p, ax, CHANCES, (0.0, max(float(p.max()), 1e-12)), _percent)
    if at is not None:
        row, column = world.positions[index(at, "at", len(world.positions))]
        base.put_penguin(ax, float(column), float(row))
        dashed_box(world, at, ax)
    return ax


def q_values(
    world: GridWorld,
    Q: ArrayLike,
    *,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Colour four triangles a square by Q(s,a), each on the side its action means.

    >>> import matplotlib; matplotlib.use("agg")
    >>> world = GridWorld.from_text("S.F")
    >>> ax = q_values(world, np.arange(12.0).reshape(3, 4))
    >>> [text.get_text() for text in ax.texts][3:6]  # up, of the three squares
    ['0.00', '4.00', '8.00']

    Raises:
        ValueError: the world's moves are not some of up, right, down and left.
    """
    ax = base.canvas(world, ax, glyphs="centre")
    Q = table(Q, "Q", (world.n_states, len(world.moves)))
    squares = Q[: len(world.positions)]
    low, high = limits or (float(squares.min()), float(squares.max()))
    norm = Normalize(low, high if high > low else low + 1)
    for a, move in enumerate(world.moves.values()):
        _triangles(world, squares[:, a], _side(move), norm, ax)
    tops = colormaps[VALUES](norm(squares[:, 0]))
    _recolour_labels(world, ax, [base.contrast(top[:3]) for top in tops])
    return ax


def policy(world: GridWorld, policy: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw pi(a|s) as arrows, as long and as thick as the action is likely.

    Terminal squares, and the end state, have none; staying put is a dot.

    >>> import matplotlib; matplotlib.use("agg")
    >>> world = GridWorld.from_text("S.F")
    >>> ax = policy(world, [[0, 1, 0, 0]] * 3)  # an arrow a square
    >>> ax.collections[-1].N
    3

    Raises:
        TypeError, ValueError: a row that is not a distribution; the first is named.
    """
    ax = base.canvas(world, ax)
    pi = distributions(policy, "policy", (world.n_states, len(world.moves)))
    moves = np.array(list(world.moves.values()), float)[:, ::-1]  # x right, y down
    lengths = np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-12)
    acting = ~np.isin(world.state_tiles, list(world.terminal + world.exits))
    s, a = np.nonzero((pi[: len(world.positions)] > 0.005) & acting[:, None])
    tail = world.positions[s][:, ::-1] - (0, 0.1 if base.make_room(ax) else 0)
    step = (moves / lengths)[a] * (0.12 + 0.28 * pi[s, a])[:, None]
    alone = (pi[s, a] > 0.995)[:, None]
    _arrows(ax, tail - alone * step / 2, step * np.where(alone, 1.2, 1.0), pi[s, a])
    for x, y in tail[~step.any(axis=1)]:
        ax.add_patch(Circle((x, y), 0.08, color=BARE, zorder=4))
    return ax


def transition_matrix(
    process: MarkovProcess | MDP | POMDP,
    *,
    action: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw Pr(s_{t+1}|s_t) in the slide's layout, a column for each s_t, darker is likelier.

    Args:
        process: what to draw.
        action: of a decision process, whose action's matrix; it must be given then.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = transition_matrix(GridWorld.from_text("S.F").markov_process())
    >>> [text.get_text() for text in ax.texts]
    ['.50', '1.00', '1.00', '.50']
    """
    P, title = _one_matrix(process, action)
    n, labels = len(P), process.labels
    if ax is None:
        inches = float(np.clip(9 / n, 0.12, 0.9)) * n
        ax = base.axes_of(inches, inches, margin=1.0 if _short(process.labels) else 1.6)
    ax.imshow(P.T, cmap=CHANCES, vmin=0, vmax=max(P.max(), 1e-12) * 1.3)
    step = max(1, int(np.ceil(0.3 / base.square_inches(ax))))
    ax.set_xticks(np.arange(n)[::step], labels[::step], rotation=0 if _short(labels) else 90)
    ax.set_yticks(np.arange(n)[::step], labels[::step])
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0, labelsize=12)
    ax.set_xlabel(f"$s_t$ {title}", size=15)
    ax.set_ylabel("$s_{t+1}$", size=15, rotation=0, ha="right", labelpad=8)
    for (s_next, s), p in np.ndenumerate(P.T):
        if p > 0 and n <= 20:
            colour = base.contrast(colormaps[CHANCES](p / (P.max() * 1.3))[:3])
            text = f"{p:.2f}".removeprefix("0")
            size = base.points(ax, 0.36, 14)
            ax.text(s, s_next, text, ha="center", va="center", size=size, color=colour)
    return ax


def _heat(
    world: GridWorld,
    numbers: Array,
    ax: Axes,
    cmap: str,
    limits: tuple[float, float] | None,
    write: Any,
) -> Axes:
    shown = numbers[: len(world.positions)]
    rows, columns = world.shape
    grid = np.full(world.shape, np.nan)
    grid[tuple(world.positions.T)] = shown
    low, high = limits or (float(shown.min()), float(shown.max()))
    norm = Normalize(low, high if high > low else low + 1)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    picture = ax.imshow(grid, cmap=cmap, norm=norm, extent=extent, zorder=1)
    picture.set_gid("heat")
    ax.set(xlim=(-0.55, columns - 0.45), ylim=(rows - 0.45, -0.55))
    colours = [base.contrast(colormaps[cmap](norm(x))[:3]) for x in shown]
    _recolour_labels(world, ax, colours)
    if base.readable(ax):
        size = base.points(ax, 0.2, 15)
        for (r, c), x, colour in zip(world.positions, shown, colours, strict=True):
            text = ax.text(c, r, write(x), size=size, color=colour, ha="center", va="center")
            text.set(gid="number", zorder=4)
    return ax


def _recolour_labels(world: GridWorld, ax: Axes, colours: list[str]) -> None:
    labels = [text for text in ax.texts if text.get_zorder() == 3]
    for text, colour in zip(labels, colours, strict=False):
        text.set_color(colour)


def _triangles(
    world: GridWorld, numbers: Array, side: tuple[float, float], norm: Normalize, ax: Axes
) -> None:
    dx, dy = side
    x, y = world.positions[:, 1], world.positions[:, 0]
    corners = np.array([(0, 0), (dx - dy, dy + dx), (dx + dy, dy - dx)]) / 2
    shapes: Any = np.stack([x, y], axis=1)[:, None] + corners
    faces = colormaps[VALUES](norm(numbers))
    ax.add_collection(
        PolyCollection(shapes, facecolors=faces, edgecolors="white", lw=0.7, zorder=1)
    )
    if base.square_inches(ax) >= 1.7 * base.READABLE:
        size = base.points(ax, 0.125, 12)
        for x_s, y_s, q, face in zip(x, y, numbers, faces, strict=True):
            at = (x_s + 0.32 * dx, y_s + 0.34 * dy)
            colour = base.contrast(face[:3])
            ax.text(*at, f"{q:.2f}", size=size, color=colour, ha="center", va="center", zorder=4)


def _side(move: tuple[int, int]) -> tuple[float, float]:
    if move not in ((-1, 0), (0, 1), (1, 0), (0, -1)):
        raise ValueError(f"q_values draws up, right, down and left; this world has a move {move}")
    return float(move[1]), float(move[0])


def _arrows(ax: Axes, tail: Array, step: Array, p: Array) -> None:
    shape: dict[str, Any] = {"headwidth": 3.4, "headlength": 3.6, "headaxislength": 3.4}
    scale: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "xy"}
    colour: dict[str, Any] = {"color": BARE, "edgecolor": "white", "linewidth": 0.8}
    for low, high, width in (
        (0, 0.2, 0.02),
        (0.2, 0.45, 0.035),
        (0.45, 0.8, 0.05),
        (0.8, 2, 0.065),
    ):
        k = (p >= low) & (p < high) & step.any(axis=1)
        if k.any():
            ax.quiver(*tail[k].T, *step[k].T, width=width, zorder=4, **shape, **scale, **colour)


def _one_matrix(process: MarkovProcess | MDP | POMDP, action: int | None) -> tuple[Array, str]:
    if isinstance(process, MarkovProcess):
        if action is not None:
            raise ValueError("action must be None: nobody acts in a Markov process")
        return dense(process.P), ""
    if action is None:
        raise ValueError("action must be given: a decision process has a matrix for each action")
    a = index(action, "action", process.n_actions)
    return stacked(process.P)[a :: process.n_actions].toarray(), f"({process.action_labels[a]})"


def _short(labels: tuple[str, ...]) -> bool:
    return max(map(len, labels)) <= 3


def _two_decimals(x: float) -> str:
    return f"{x:.2f}" if abs(x) < 100 else f"{x:.0f}"


def _percent(p: float) -> str:
    return f"{100 * p:.0f}%" if p >= 0.005 else ""
