"""Plans over beliefs in pictures: the planes that V is made of, and the graph of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch

from gridrl.planning.alpha_vectors import AlphaVectors, UpperBound
from gridrl.planning.beliefs import Steps, first_beliefs, steps_of
from gridrl.planning.bounds import BeliefBounds
from gridrl.plot import canvas as base
from gridrl.plot.curve import COLOURS, STYLES
from gridrl.processes import POMDP
from gridrl.tables import Array

Plans = AlphaVectors | UpperBound | BeliefBounds
CROWD = 30
END = -1  # the node where all is over
RADIUS = 0.36
BENDS = (-0.15, -0.35, 0.25, 0.45, -0.55)  # the first that keeps clear of circles, or the best


def alpha_vectors(solution: Plans, *, ax: Axes | None = None) -> Axes:
    """Draw each plan's worth, a line, and V, the highest of them, over the beliefs of two states.

    Colours are first actions. Of `belief_bounds` the upper bound is drawn too.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from gridrl.planning.pomdp_solvers import qmdp
    >>> from gridrl.worlds import tiger
    >>> ax = alpha_vectors(qmdp(tiger()))
    >>> [float(line.get_ydata()[0].round()) for line in ax.lines if line.get_gid() == "plan"]
    [189.0, 90.0, 200.0]

    Raises:
        TypeError: `solution` holds no plans.
        ValueError: it is over more, or fewer, than two states.
    """
    plans = _plans(solution)
    if plans.alpha_vectors.shape[1] != 2:
        raise ValueError(
            "solution must be over two states, to be drawn over a line; it is over"
            f" {plans.alpha_vectors.shape[1]} (policy_graph draws any number)"
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 5), layout="constrained")
    for alpha, a in zip(plans.alpha_vectors, plans.actions.tolist(), strict=True):
        ax.plot([0, 1], alpha, color=COLOURS[a % 7], lw=1, alpha=0.5, gid="plan")
    x, V = _envelope(plans.alpha_vectors)
    best = (_mixtures((x[1:] + x[:-1]) / 2) @ plans.alpha_vectors.T).argmax(axis=1)
    for k, a in enumerate(plans.actions[best].tolist()):
        look: Any = {"color": COLOURS[a % 7], "ls": STYLES[a % 7], "lw": 4}
        ax.plot(x[k : k + 2], V[k : k + 2], gid="value", solid_capstyle="round", **look)
    top = _above(ax, plans)
    low, high = float(V.min()), max(float(V.max()), top)
    ax.set(xlim=(0, 1), ylim=(low - 0.4 * (high - low) - 1e-9, high + 0.08 * (high - low) + 1e-9))
    _dress(ax, plans, sorted(set(plans.actions[best].tolist())))
    return ax


def policy_graph(pomdp: POMDP, solution: Plans, *, ax: Axes | None = None) -> Axes:
    """Draw a policy as a machine: a circle for each plan in use, arrows for what is seen then.

    Followed from the start: in each circle the plan's action is taken, and what is seen leads to
    the plan that is the best at the belief after. Where different beliefs come to one circle, the
    arrows are those of the first. Circles in bold are where one may begin.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from gridrl.planning.exact_vectors import incremental_pruning
    >>> from gridrl.worlds import tiger
    >>> ax = policy_graph(tiger(), incremental_pruning(tiger(), tol=0.1))
    >>> nodes = [text.get_text() for text in ax.texts if text.get_gid() == "node"]
    >>> sorted(" ".join(name.split()) for name in nodes)
    ['listen', 'listen', 'listen', 'open left', 'open right']

    Raises:
        TypeError: `solution` holds no plans, or `pomdp` is none.
        ValueError: plans for a horizon, which change with time; of another model; or too many.
    """
    graph = _follow(steps_of(pomdp), pomdp, _of_this(pomdp, _plans(solution)))
    at = _places(graph)
    across, down = np.ptp(list(at.values()), axis=0)
    if ax is None:
        ax = base.axes_of(1.35 * (across + 1.8), 1.35 * (down + 1.4), margin=0.1)
    x, y = np.array(list(at.values())).T
    ax.set(xlim=(x.min() - 0.9, x.max() + 0.9), ylim=(y.max() + 0.55, y.min() - 0.85))
    ax.set_aspect("equal")
    ax.set_axis_off()
    for (i, j), seen in graph.edges.items():
        every = len(seen) == graph.possible[i] > 1
        others = np.array([place for k, place in at.items() if k not in (i, j)]).reshape(-1, 2)
        _arrow(ax, at[i], at[j], "any" if every else "\n".join(seen), others)
    for i, place in at.items():
        a = END if i == END else int(solution.actions[i])
        _node(ax, place, "end" if i == END else pomdp.action_labels[a], a, bold=i in graph.first)
    return ax


@dataclass(frozen=True, eq=False)
class Graph:
    """Which plan follows which.

    Attributes:
        depth: how many steps away each plan in use is.
        order: where its belief lies, for the layout.
        edges: what is seen between two plans.
        possible: how many observations each plan can see.
        first: the plans at the start.
    """

    depth: Mapping[int, int]
    order: Mapping[int, float]
    edges: Mapping[tuple[int, int], list[str]]
    possible: Mapping[int, int]
    first: Sequence[int]


def _follow(steps: Steps, pomdp: POMDP, plans: Plans) -> Graph:
    edges: dict[tuple[int, int], list[str]] = {}
    possible, queue = {END: 0}, []
    depth, order = {}, {}
    for b in first_beliefs(pomdp)[1]:
        queue.append((_plan_at(pomdp, plans, b), b, 0))
    first = [i for i, _, _ in queue]
    while queue:
        i, b, k = queue.pop(0)
        if i in depth:
            continue
        depth[i], order[i] = k, float(b @ np.arange(len(b)))
        if len(depth) > CROWD:
            raise ValueError(
                f"solution must use at most {CROWD} plans to be drawn; it uses more (try a larger"
                " tol; of pbvi fewer beliefs, most)"
            )
        joint = steps.joint(b, int(plans.actions[i])) if i != END else np.zeros((0, len(b)))
        seen = np.flatnonzero(joint.sum(axis=1) > 1e-12)
        possible[i] = len(seen)
        for o in seen.tolist():
            after = joint[o] / joint[o].sum()
            j = _plan_at(pomdp, plans, after)
            edges.setdefault((i, j), []).append(pomdp.observation_labels[o])
            queue.append((j, after, k + 1))
    return Graph(depth, order, edges, possible, first)


def _plan_at(pomdp: POMDP, plans: Plans, b: Array) -> int:
    if b[pomdp.terminal].sum() > 1 - 1e-12:
        return END
    return int((plans.alpha_vectors @ b).argmax())


def _places(graph: Graph) -> dict[int, Array]:
    """A row for each depth, in each row by belief."""
    at = {}
    for k in range(max(graph.depth.values()) + 1):
        row = sorted((i for i in graph.depth if graph.depth[i] == k), key=lambda i: graph.order[i])
        for place, i in enumerate(row):
            at[i] = np.array([2.3 * (place - (len(row) - 1) / 2), 1.6 * k])
    return at


def _node(ax: Axes, at: Array, name: str, a: int, *, bold: bool) -> None:
    colour = "0.5" if a == END else COLOURS[a % 7]
    ring: Any = {"ec": colour, "lw": 5 if bold else 2}
    ax.add_patch(Circle(tuple(at), RADIUS, fc="white", zorder=4, **ring))
    text = fill(name, 8, break_long_words=False)
    widest = max(map(len, text.split("\n")))
    size = base.points(ax, min(0.17, 1.1 * RADIUS / widest / 0.6 * 1.6), 15)
    ax.text(
        float(at[0]), float(at[1]), text, size=size, ha="center", va="center", zorder=5, gid="node"
    )


def _arrow(ax: Axes, a: Array, b: Array, label: str, others: Array) -> None:
    if (a == b).all():  # a loop above the circle
        ends, bend = (a + RADIUS * np.array([-0.6, -0.8]), a + RADIUS * np.array([0.6, -0.8])), -1.5
        where = a - np.array([0, 1.9 * RADIUS])
    else:
        along = (b - a) / np.linalg.norm(b - a)
        across = np.array([along[1], -along[0]])
        ends = a + RADIUS * (along + 0.4 * across), b + RADIUS * (-along + 0.4 * across)
        bend = max(BENDS, key=lambda bend: min(_clearance(*ends, bend, others), 1.5 * RADIUS))
        where = base.on_curve(*ends, bend, 0.45) - np.sign(bend) * 0.3 * RADIUS * across
    ax.add_patch(
        FancyArrowPatch(
            tuple(ends[0]), tuple(ends[1]), connectionstyle=f"arc3,rad={bend}", color="0.35",
            arrowstyle="-|>", mutation_scale=14, lw=1.4, zorder=3, gid="seen",
        )
    )  # fmt: skip
    box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.9}
    size = base.points(ax, 0.13, 12)
    ax.text(
        float(where[0]),
        float(where[1]),
        label,
        size=size,
        ha="center",
        va="center",
        zorder=5,
        bbox=box,
        gid="label",
    )


def _clearance(a: Array, b: Array, bend: float, others: Array) -> float:
    """How near the curve from a to b comes to any of the other circles' middles."""
    curve = np.array([base.on_curve(a, b, bend, t) for t in np.linspace(0, 1, 21)])
    return float(np.linalg.norm(curve[:, None] - others, axis=2).min(initial=np.inf))


def _above(ax: Axes, plans: Plans) -> float:
    """Draw the upper bound, if there is one; its highest value."""
    if not isinstance(plans, BeliefBounds):
        return -np.inf
    x = np.linspace(0, 1, 401)
    upper = plans.V_upper(_mixtures(x))
    ax.plot(x, upper, color="0.2", lw=1.5, ls=(0, (4, 2)), gid="upper")
    return float(upper.max())


def _envelope(alpha: Array) -> tuple[Array, Array]:
    """Where the highest of lines bends, 0 and 1 included, and its height there."""
    slope, rise = alpha[:, 1] - alpha[:, 0], alpha[:, 0]
    x, best = [0.0], int(np.lexsort((slope, rise))[-1])
    while True:
        steeper = np.flatnonzero(slope > slope[best] + 1e-12 * np.abs(alpha).max())
        crossing = (rise[best] - rise[steeper]) / (slope[steeper] - slope[best])
        if not len(steeper) or crossing.min() >= 1:
            break
        nearest = steeper[crossing <= crossing.min() + 1e-12]
        x.append(max(x[-1], float(crossing.min())))
        best = int(nearest[slope[nearest].argmax()])
    bends = np.array([*x, 1.0])
    return bends, (_mixtures(bends) @ alpha.T).max(axis=1)


def _mixtures(x: Array) -> Array:
    """Beliefs (n, 2) with Pr(second state) = x."""
    return np.column_stack([1 - x, x])


def _dress(ax: Axes, plans: Plans, used: list[int]) -> None:
    states, acts = plans.pomdp.labels, plans.pomdp.action_labels
    handles = [
        Line2D([], [], color=COLOURS[a % 7], ls=STYLES[a % 7], lw=4, label=acts[a]) for a in used
    ]
    if isinstance(plans, BeliefBounds):
        handles.append(Line2D([], [], color="0.2", lw=1.5, ls=(0, (4, 2)), label="upper bound"))
    ax.legend(
        handles=handles, fontsize=13, frameon=False, loc="lower center", ncols=2, handlelength=3
    )
    ax.set_xlabel(f"belief: Pr({states[1]})", size=14)
    ax.set_ylabel("value V(b)", size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)


def _plans(solution: Any) -> Plans:
    if isinstance(solution, Plans):
        return solution
    raise TypeError(
        "solution must hold plans, of incremental_pruning, pbvi, belief_bounds, qmdp or"
        f" fast_informed_bound; it is a {type(solution).__name__}"
    )


def _of_this(pomdp: POMDP, plans: Plans) -> Plans:
    if isinstance(plans, AlphaVectors) and plans.horizon is not None:
        raise ValueError(
            f"solution must be for ever; it is for {plans.horizon} steps, and changes with time"
        )
    sizes = plans.pomdp.n_states, plans.pomdp.n_actions
    if sizes != (pomdp.n_states, pomdp.n_actions):
        raise ValueError(
            f"solution must be of this model, {pomdp!r}; it is of one with {sizes[0]} states,"
            f" {sizes[1]} actions"
        )
    return plans
