"""Pictures show the numbers they were given: what was drawn is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import FancyArrowPatch
from matplotlib.quiver import Quiver

from gridrl import (
    GridWorld,
    MarkovProcess,
    average_reward,
    backward_induction,
    lost_penguin_world,
    penguin_world,
    plot,
    policy_iteration,
    uniform_policy,
    value_iteration,
)
from gridrl.plot.canvas import contrast, on_curve
from gridrl.plot.reports import Report, png_of
from gridrl.tables import Array
from gridrl.worlds import cliff_walking, russell_norvig_4x3, student, windy_gridworld

ICE = penguin_world()
MDP = ICE.mdp(gamma=0.9)
BEST = value_iteration(MDP)
OTHER: Any = MDP
ONE: Any = BEST
THREE: Any = 3
ROW = GridWorld.from_text("S.H.F", rewards={"F": 1.0, "H": -2.0})
LARGE = GridWorld.from_text("\n".join(["." * 20] * 19 + ["#" * 5 + "." * 14 + "F"]))
WORLDS = [ICE, ROW, LARGE, russell_norvig_4x3(), cliff_walking(), GridWorld.from_text("S")]
every_world = pytest.mark.parametrize("world", WORLDS, ids=repr)


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def arrows(ax: Axes) -> Array:
    """(x, y, dx, dy) of every arrow of a policy."""
    drawn = [a for a in ax.get_children() if isinstance(a, Quiver)]
    rows = [np.column_stack([q.get_offsets(), q.U, q.V]) for q in drawn]
    return np.concatenate(rows) if rows else np.zeros((0, 4))


LAYERS: dict[str, Callable[..., Axes]] = {
    "world": lambda w, **k: plot.world(w, **k),
    "values": lambda w, **k: plot.values(w, np.arange(w.n_states), **k),
    "belief": lambda w, **k: plot.belief(w, np.full(w.n_states, 1 / w.n_states), **k),
    "policy": lambda w, **k: plot.policy(w, uniform_policy(w.mdp(gamma=0.9)), **k),
    "q_values": lambda w, **k: plot.q_values(w, np.zeros((w.n_states, len(w.moves))), **k),
    "trajectory": lambda w, **k: plot.trajectory(w, [0, 0], **k),
    "observation": lambda w, **k: plot.observation(w, 0, **k),
    "graph": lambda w, **k: plot.graph(w.markov_process(), world=w, **k),
}


@every_world
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_draws_every_world_inside_its_frame(layer: str, world: GridWorld) -> None:
    ax = LAYERS[layer](world)
    ax.figure.canvas.draw()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for text in ax.texts:
        x, y = text.get_position()
        assert left <= x <= right, text
        assert top <= y <= bottom, text


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_add_to_the_axes_they_are_given(layer: str) -> None:
    ax = plot.world(ICE)
    assert LAYERS[layer](ICE, ax=ax) is ax
    grounds = [a for a in ax.get_children() if a.get_gid() == "ground"]
    assert len(grounds) == 1


@pytest.mark.parametrize("layer", LAYERS)
def test_bare_axes_get_the_world_first(layer: str) -> None:
    _, axes = plt.subplots(1, 2)
    ax = LAYERS[layer](ICE, ax=axes[1])
    assert ax is axes[1]
    assert any(a.get_gid() == "ground" for a in ax.get_children())
    assert not axes[0].get_children()[0].get_gid()


def test_labels_count_squares_from_one_rocks_too() -> None:
    assert texts(plot.world(GridWorld.from_text("S#F"))) == ["1", "3"]


def test_values_are_written_and_coloured() -> None:
    ax = plot.values(ICE, BEST.V)
    numbers = [t.get_text() for t in ax.texts if t.get_gid() == "number"]
    assert numbers == [f"{v:.2f}" for v in BEST.V]
    heat = next(i for i in ax.images if i.get_gid() == "heat")
    np.testing.assert_array_equal(np.asarray(heat.get_array()), BEST.V.reshape(4, 4))


def test_rocks_have_no_value() -> None:
    heat = next(i for i in plot.values(LARGE, np.arange(395)).images if i.get_gid() == "heat")
    drawn: Any = heat.get_array()
    assert np.isnan(np.ma.filled(drawn, np.nan)[19, :5]).all()


def test_limits_fix_the_colours() -> None:
    heat = plot.values(ICE, BEST.V, limits=(0, 10)).images[-1]
    assert heat.get_clim() == (0, 10)


def test_a_constant_table_is_no_trouble() -> None:
    assert plot.values(ICE, np.ones(16)).images[-1].get_clim() == (1, 2)


def test_arrows_point_where_the_policy_goes() -> None:
    drawn = arrows(plot.policy(ICE, BEST.policy))
    down = drawn[np.abs(drawn[:, 0] - 1) + np.abs(drawn[:, 1] - 1) < 0.5]  # square 6
    assert len(down) == 1
    assert down[0, 2] == pytest.approx(0)
    assert down[0, 3] > 0  # downwards on the map
    corner = drawn[np.hypot(drawn[:, 0], drawn[:, 1]) < 0.5]
    assert len(corner) == 4  # all four are the same there


def test_likelier_actions_have_longer_arrows() -> None:
    pi = np.tile([0.1, 0.6, 0.3, 0.0], (16, 1))
    drawn = arrows(plot.policy(ICE, pi))
    lengths = np.hypot(drawn[:, 2], drawn[:, 3]).reshape(3, 16).mean(axis=1)
    assert len(drawn) == 48
    assert (np.diff(np.sort(lengths)) > 0.03).all()


def test_no_arrows_where_the_episode_is_over() -> None:
    world = GridWorld.from_text("S.G", terminal="G")
    assert set(arrows(plot.policy(world, uniform_policy(world.mdp(0.9))))[:, 0].round()) == {0, 1}


def test_arrows_make_room_for_the_numbers() -> None:
    ax = plot.policy(ICE, BEST.policy, ax=plot.values(ICE, BEST.V))
    numbers = [t for t in ax.texts if t.get_gid() == "number below"]
    assert len(numbers) == 16
    tips = arrows(ax)[:, 1] + np.maximum(arrows(ax)[:, 3], 0)
    rows = np.unique([t.get_position()[1] for t in numbers])
    assert max(tips) < max(rows)


def test_q_values_are_four_triangles() -> None:
    ax = plot.q_values(ICE, BEST.Q)
    triangles = [c for c in ax.collections if isinstance(c, PolyCollection)]
    triangles = [c for c in triangles if not isinstance(c, Quiver)]
    assert [len(c.get_paths()) for c in triangles] == [16] * 4
    numbers = [t for t in texts(ax) if "." in t]
    assert sorted(numbers) == sorted(f"{q:.2f}" for q in BEST.Q.ravel())
    right: Any = triangles[1].get_paths()[5].vertices  # square 6 is in column 1, row 1
    assert right[:, 0].max() == pytest.approx(1.5)


def test_king_moves_are_no_triangles() -> None:
    world = windy_gridworld(kings_moves=True)
    with pytest.raises(ValueError, match=r"q_values draws up, right, down and left"):
        plot.q_values(world, np.zeros((70, 8)))


def test_a_trajectory_has_an_arrow_a_step() -> None:
    tau = [0, 1, 5, 9, 8, 9, 10, 14]
    ax = plot.trajectory(ICE, tau)
    assert len([p for p in ax.patches if isinstance(p, FancyArrowPatch)]) == 7
    assert texts(ax)[-7:] == [str(t) for t in range(1, 8)]


def test_steps_that_repeat_keep_apart() -> None:
    ax = plot.trajectory(ICE, [0, 1, 0, 1, 0])
    places = [text.get_position() for text in ax.texts[-4:]]
    distances = [np.hypot(a[0] - b[0], a[1] - b[1]) for a in places for b in places if a is not b]
    assert min(distances) > 0.05


def test_the_dashed_box_is_the_window() -> None:
    ax = plot.observation(lost_penguin_world(), 2)
    dashed = next(p for p in ax.patches if p.get_linewidth() == 3)
    (x, y), (width, height) = dashed.get_xy(), (dashed.get_width(), dashed.get_height())  # type: ignore[attr-defined]
    assert (round(x + width / 2), round(y + height / 2, 1)) == (2, 0.5)
    assert (width, height) == pytest.approx((0.94, 1.94))
    shaded = [p.get_xy() for p in ax.patches if p.get_linewidth() == 0]  # type: ignore[attr-defined]
    assert (1.5, -0.5) in shaded  # itself, square 3
    assert (-0.5, 1.5) in shaded  # square 9, which looks the same


def test_a_matrix_is_drawn_in_the_slides_layout() -> None:
    ax = plot.transition_matrix(ICE.markov_process())
    np.testing.assert_array_equal(
        np.asarray(ax.images[0].get_array()), ICE.markov_process().columns
    )
    at = {(round(t.get_position()[0]), round(t.get_position()[1])): t.get_text() for t in ax.texts}
    assert at[0, 1] == ".50"  # from 1 to 2: column 1, row 2
    assert at[1, 0] == ".33"


def test_a_decision_process_needs_an_action() -> None:
    with pytest.raises(ValueError, match="action must be given"):
        plot.transition_matrix(MDP)
    ax = plot.transition_matrix(MDP, action=1)
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), np.asarray(MDP.P)[:, 1].T)
    with pytest.raises(ValueError, match="nobody acts"):
        plot.transition_matrix(ICE.markov_process(), action=1)


def test_a_graph_has_an_arrow_for_every_step_that_may_happen() -> None:
    week = student()
    ax = plot.graph(week)
    edges = int((np.asarray(week.P) > 0).sum())
    assert len([p for p in ax.patches if isinstance(p, FancyArrowPatch)]) == edges
    assert set(week.labels) <= set(texts(ax))


def test_a_graph_refuses_what_has_none() -> None:
    with pytest.raises(TypeError, match=r"take \.under\(policy\)"):
        plot.graph(MDP)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="16 states; it has 5"):
        plot.graph(ICE.markov_process(), world=ROW)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 30])
def test_graphs_of_all_sizes(n: int) -> None:
    ax = plot.graph(MarkovProcess(np.full((n, n), 1 / n)))
    assert len([p for p in ax.patches if isinstance(p, FancyArrowPatch)]) == n * n


def test_curves_read_fields_functions_records_and_numbers() -> None:
    sweeps = list(value_iteration.iterates(MDP))
    ax = plot.curves({"bound": sweeps}, "backups", "bound", marks={"exact": 1.0})
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [s.backups for s in sweeps])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [s.bound for s in sweeps])
    assert ax.get_yscale() == "log"
    assert texts(ax) == ["exact"]
    ax = plot.curves(
        {"a": iter([{"k": 1, "v": 2}]), "b": [{"k": 2, "v": 3}]}, "k", lambda r: r["v"]
    )
    assert [tuple(np.asarray(line.get_ydata())) for line in ax.lines] == [(2,), (3,)]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("results", "y", "message"),
    [
        ({}, "bound", "at least one curve"),
        ({"a": []}, "bound", r"results\['a'\] must hold at least one snapshot"),
        ({"a": [1.0]}, "bound", r"results\['a'\] has no field 'bound'"),
    ],
)
def test_curves_say_what_is_missing(results: Any, y: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.curves(results, None, y)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.values(ICE, [1, 2]), r"V must have shape \(16,\); it has \(2,\)"),
        (lambda: plot.values(ICE, [np.nan] * 16), r"V\[0\] must be finite"),
        (lambda: plot.belief(ICE, np.ones(16)), "b must be a distribution; it sums to 16"),
        (lambda: plot.policy(ICE, np.ones((16, 4))), r"policy\[0\] must be a distribution"),
        (lambda: plot.q_values(ICE, np.ones((4, 16))), r"Q must have shape \(16, 4\)"),
        (lambda: plot.trajectory(ICE, [0, 16]), r"states\[1\] must be in 0\.\.15; it is 16"),
        (lambda: plot.trajectory(ICE, []), r"states must have shape \(T \+ 1,\)"),
        (lambda: plot.observation(ICE, 16), r"s must be in 0\.\.15"),
        (lambda: plot.animate(ICE, []), "iterates must hold at least one snapshot"),
        (lambda: plot.stepper(ICE, []), "iterates must hold at least one snapshot"),
    ],
)
def test_bad_input_is_named(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_on_curve_begins_and_ends_where_it_should() -> None:
    a, b = np.array([0.0, 0.0]), np.array([1.0, 0.0])
    np.testing.assert_allclose(on_curve(a, b, 0.3, 0), a)
    np.testing.assert_allclose(on_curve(a, b, 0.3, 1), b)
    np.testing.assert_allclose(on_curve(a, b, 0.3, 0.5), [0.5, 0.15])  # y points down


def test_text_can_be_read_on_any_colour() -> None:
    assert (contrast("white"), contrast("#440154")) == ("black", "white")


def test_no_picture_needs_a_backend_of_its_own(tmp_path: Path) -> None:
    before = dict(plt.rcParams)
    figure: Any = plot.world(ICE).figure
    figure.savefig(tmp_path / "ice.svg")
    assert dict(plt.rcParams) == before
    assert (tmp_path / "ice.svg").stat().st_size > 1000


def test_a_report_is_one_page_with_its_user_text_escaped(tmp_path: Path) -> None:
    report = Report("<b>")
    report.heading("a & b")
    report.code("x < y")
    report.table(["s"], [["<script>"]])
    report.picture(png_of(plot.world(ICE)), 'say "ice"')
    page = report.save(tmp_path / "report.html").read_text()
    assert "<script>" not in page
    for words in ("<title>&lt;b&gt;</title>", "a &amp; b", "x &lt; y", "say &quot;ice&quot;"):
        assert words in page


def test_time_dependent_answers_are_drawn_at_their_time() -> None:
    plan = list(backward_induction.iterates(MDP, horizon=3))
    film = plot.animate(ICE, plan)
    assert len(film.frames) == 3
    assert len({frame.tobytes() for frame in film.frames}) == 3


def test_average_rewards_make_a_film_and_explain_themselves() -> None:
    steps = list(average_reward.iterates(MDP))
    assert len(plot.animate(ICE, steps).frames) == len(steps)
    text = steps[-1].explain(ICE.index(9))
    assert text.startswith("each reward less the gain, 0.2899:\nup: 0.7101 + 1 (0.50 h(5) + ")
    assert text.splitlines()[-1].startswith("h(9) <- max(")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.world(OTHER), "world must be a GridWorld; it is MDP"),
        (lambda: plot.values(OTHER, np.zeros(16)), "world must be a GridWorld; it is MDP"),
        (lambda: plot.world(ICE, ax=THREE), "ax must be matplotlib axes or None; it is 3"),
        (lambda: plot.animate(ICE, ONE), r"iterates must be snapshots in a row, say value_iter"),
        (lambda: plot.stepper(ICE, ONE), r"iterates must be snapshots in a row, say value_iter"),
    ],
)
def test_a_thing_of_another_kind_is_named(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        draw()


def test_an_episode_can_be_drawn_as_it_is() -> None:
    walk = ICE.markov_process().simulate(5, rng=0)
    assert texts(plot.trajectory(ICE, walk))[-1] == "5"


def test_too_many_states_make_no_circle() -> None:
    crowd = LARGE.markov_process()
    with pytest.raises(ValueError, match="at most 60 states to be drawn in a circle; it has 395"):
        plot.graph(crowd)


def test_policy_iteration_makes_a_film() -> None:
    assert len(plot.animate(ICE, policy_iteration.iterates(MDP)).frames) == 3
