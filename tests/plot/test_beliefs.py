"""What is drawn of plans is what they are: lines, their upper edge, and who follows whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from gridrl import lost_penguin_world, plot
from gridrl.planning.bounds import belief_bounds
from gridrl.planning.exact_vectors import incremental_pruning
from gridrl.planning.pomdp_solvers import fast_informed_bound, pbvi, qmdp
from gridrl.plot.beliefs import alpha_vectors, policy_graph
from gridrl.tables import Array
from gridrl.worlds import GridWorld, short_corridor, tiger

TIGER = tiger()
EXACT = incremental_pruning(TIGER, tol=1e-3)
LOST = lost_penguin_world().pomdp(gamma=0.9)
NOTHING: Any = None


def lines(ax: Axes, gid: str) -> list[Array]:
    found = [line for line in ax.lines if line.get_gid() == gid]
    return [np.asarray(line.get_xydata(), dtype=float) for line in found]


def texts(ax: Axes, gid: str) -> list[str]:
    return sorted(" ".join(t.get_text().split()) for t in ax.texts if t.get_gid() == gid)


@pytest.mark.parametrize(
    "solution",
    [
        EXACT,
        incremental_pruning(TIGER, horizon=4),
        pbvi(TIGER, rng=0),
        qmdp(TIGER),
        fast_informed_bound(TIGER),
        belief_bounds(TIGER, tol=0.1),
    ],
    ids=lambda solution: type(solution).__name__,
)
def test_every_plan_and_the_best_of_them_are_drawn(solution: Any) -> None:
    ax = alpha_vectors(solution)
    plans = np.array([line[:, 1] for line in lines(ax, "plan")])
    np.testing.assert_array_equal(plans, solution.alpha_vectors)
    edge = np.concatenate(lines(ax, "value"))
    np.testing.assert_array_equal(edge[[0, -1], 0], [0, 1])
    np.testing.assert_allclose(edge[1:-1:2], edge[2::2])  # each piece begins where the last ended
    x = np.linspace(0, 1, 301)
    drawn = np.interp(x, edge[:, 0], edge[:, 1])
    np.testing.assert_allclose(drawn, solution.V(np.column_stack([1 - x, x])), atol=1e-9)
    low, high = ax.get_ylim()
    assert low < edge[:, 1].min() <= edge[:, 1].max() < high


def test_colours_are_actions_and_named() -> None:
    ax = alpha_vectors(EXACT)
    legend = ax.get_legend()
    assert legend is not None
    handles: list[Any] = list(legend.legend_handles)
    names = {handle.get_color(): handle.get_label() for handle in handles}
    assert sorted(map(str, names.values())) == ["listen", "open left", "open right"]
    for line in (line for line in ax.lines if line.get_gid() == "value"):
        middle = float(np.mean(np.asarray(line.get_xdata(), dtype=float)))
        a = EXACT.action([1 - middle, middle])
        assert names[line.get_color()] == TIGER.action_labels[a]
    assert ax.get_xlabel() == "belief: Pr(tiger right)"


def test_an_upper_bound_is_drawn_above() -> None:
    solution = list(belief_bounds.iterates(TIGER, tol=0.01))[5]
    ax = alpha_vectors(solution)
    (upper,) = lines(ax, "upper")
    b = np.column_stack([1 - upper[:, 0], upper[:, 0]])
    np.testing.assert_allclose(upper[:, 1], solution.V_upper(b))
    assert (upper[:, 1] >= solution.V(b)).all()


def test_axes_that_are_given_are_used() -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert alpha_vectors(EXACT, ax=left) is left
    assert policy_graph(TIGER, EXACT, ax=right) is right
    assert texts(right, "node")


def test_the_tiger_is_listened_to_until_two_more_are_heard_on_one_side() -> None:
    ax = policy_graph(TIGER, EXACT)
    assert texts(ax, "node") == ["listen"] * 3 + ["open left", "open right"]
    assert texts(ax, "label") == ["any"] * 2 + ["hear left"] * 3 + ["hear right"] * 3
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    bold = [circle for circle in circles if circle.get_linewidth() > 4]
    assert (len(circles), len(bold)) == (5, 1)
    assert len([p for p in ax.patches if isinstance(p, FancyArrowPatch)]) == 8
    assert bold[0].center[1] == min(circle.center[1] for circle in circles)


def test_a_list_of_actions_comes_to_an_end() -> None:
    corridor = short_corridor().pomdp(gamma=1)
    ax = policy_graph(corridor, belief_bounds(corridor))
    assert texts(ax, "node") == ["end", "left", "right", "right"]
    assert texts(ax, "label") == ["nothing"] * 3


def test_who_never_looks_listens_for_ever() -> None:
    ax = policy_graph(TIGER, qmdp(TIGER))
    assert texts(ax, "node") == ["listen"]
    assert texts(ax, "label") == ["any"]


def test_everything_is_inside_the_frame() -> None:
    ax = policy_graph(LOST, pbvi(LOST, expansions=4, rng=0))
    ax.figure.canvas.draw()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for text in ax.texts:
        x, y = text.get_position()
        assert left <= x <= right
        assert top <= y <= bottom
    centres = np.array([patch.center for patch in ax.patches if isinstance(patch, Circle)])
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    assert (apart + 9 * np.eye(len(centres))).min() > 0.72  # circles do not overlap


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: alpha_vectors(pbvi(LOST, expansions=0)), ValueError, r"two states.* over 16"),
        (lambda: alpha_vectors(NOTHING), TypeError, r"must hold plans, .* it is a NoneType"),
        (lambda: policy_graph(TIGER, NOTHING), TypeError, r"must hold plans, .* it is a NoneType"),
        (lambda: policy_graph(TIGER, incremental_pruning(TIGER, horizon=2)), ValueError,
         r"must be for ever; it is for 2 steps"),
        (lambda: policy_graph(LOST, EXACT), ValueError, r"of one with 2 states, 3 actions"),
        (lambda: policy_graph(LOST, belief_bounds(LOST, tol=0.01)), ValueError,
         r"at most 30 plans to be drawn"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_belief_shows_where_the_penguin_is_only_if_told() -> None:
    lost = lost_penguin_world()
    b = np.full(16, 1 / 16)
    plain = plot.belief(lost, b)
    glyphs = [len(c.get_paths()) for c in plain.collections if c.get_gid() == "glyphs corner"]
    with_start = [
        len(c.get_paths())
        for c in plot.world(lost).collections
        if str(c.get_gid()).startswith("glyphs")
    ]
    assert glyphs[0] < with_start[0]  # no penguin on square 1
    assert not [c for c in plain.collections if c.get_gid() == "penguin"]
    ax = plot.belief(lost, b, at=9)
    (penguin,) = [c for c in ax.collections if c.get_gid() == "penguin"]
    box = penguin.get_datalim(ax.transData)
    assert 0.5 < box.x0 < box.x1 < 1.5
    assert 1.5 < box.y0 < box.y1 < 2.5
    dashed = [
        p.get_xy()
        for p in ax.patches
        if isinstance(p, Rectangle) and p.get_linestyle() != "-" and not p.get_fill()
    ]
    assert dashed == [(1 - 0.47, 2 - 0.47)]
    with pytest.raises(ValueError, match=r"at must be in 0\.\.15; it is 16"):
        plot.belief(lost, b, at=16)


def test_the_titles_of_a_film_are_one_a_snapshot() -> None:
    world = GridWorld.from_text("S.F")
    tables = [np.zeros(3), np.ones(3)]
    assert plot.animate(world, tables, titles=["first", "last"]).titles == ["first", "last"]
    with pytest.raises(ValueError, match="titles must be one a snapshot; there are 1 for 2"):
        plot.animate(world, tables, titles=["only"])
