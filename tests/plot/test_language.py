"""The tree of answers, the frontier of reward and KL, triangles: read back what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from PIL import Image

from gridrl import plot
from gridrl.plot.triangles import CORNERS
from gridrl.rlhf.hacking import overoptimisation, tilted
from gridrl.rlhf.hacks import authority_hack, length_hack
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, kl

CYCLE = np.array([[0.5, 0.9, 0.3], [0.1, 0.5, 0.8], [0.7, 0.2, 0.5]])
NASH = np.array([3, 2, 4]) / 9


def random_model(seed: int = 0, prompts: int = 1) -> LanguageModel:
    model = LanguageModel(TokenWorld(["?", "!"][:prompts], "ab", 3))
    return model.with_logits(np.random.default_rng(seed).normal(size=model.logits.shape))


def words(ax: Axes, gid: str) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_gid() == gid]


def lines(ax: Axes, gid: str) -> list[Any]:
    return [line for line in ax.lines if line.get_gid() == gid]


def named(ax: Axes, label: str) -> Any:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line


def sizes(ax: Axes) -> list[float]:
    """Font sizes of everything written, the legend and the axes included."""
    legend = ax.get_legend()
    found = [*ax.texts, *(legend.get_texts() if legend else [])]
    if ax.axison:
        found += [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    return [float(text.get_fontsize()) for text in found]


def overlaps(ax: Axes) -> list[tuple[str, str]]:
    """Texts that cover each other, drawn as they are saved."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in ax.texts if t.get_text()]
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[:i]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 1
        and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    ]


def outside(ax: Axes) -> list[str]:
    """Texts that the figure cuts off."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.canvas.draw()
    whole = figure.bbox.padded(1)
    return [
        t.get_text()
        for t in ax.texts
        if t.get_text() and not all(whole.contains(*at) for at in t.get_window_extent().corners())
    ]


# --- the tree of completions ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_tree_shows_every_answer_with_its_probability(seed: int) -> None:
    model = random_model(seed)
    ax = plot.completion_tree(model, "?")
    p = dict(zip(model.world.texts, model.distribution("?"), strict=True))
    assert sorted(words(ax, "answer")) == sorted(
        f"{text}  {p[text]:.2f}".replace("0.00", "<0.01") for text in p
    )
    assert words(ax, "others") == [""]
    assert ax.get_title(loc="left") == "?"


def test_the_numbers_at_the_branches_are_the_next_tokens() -> None:
    model = random_model(1)
    ax = plot.completion_tree(model, "?")
    wanted = [
        f"{token} {chance:.2f}".replace("0.00", "<0.01")
        for prefix in ("", "a", "b", "aa", "ab", "ba", "bb")
        for token, chance in model.next_token("?", prefix).items()
    ]
    assert sorted(words(ax, "token")) == sorted(wanted)


def test_a_branch_is_as_thick_as_it_is_likely() -> None:
    model = random_model(2)
    ax = plot.completion_tree(model, "?")
    first = {tuple(line.get_xydata()[-1]): line.get_linewidth() for line in lines(ax, "branch")}
    widths = [width for (x, _), width in sorted(first.items()) if x == 1]  # from top: a, b, $
    chances = [model.next_token("?")[token] for token in "ab$"]
    assert np.polyfit(chances, widths, 1)[0] == pytest.approx(9)
    assert np.corrcoef(chances, widths)[0, 1] == pytest.approx(1)


def test_only_the_likeliest_are_drawn_and_the_others_counted() -> None:
    model = random_model(0)
    p = np.sort(model.distribution("?"))[::-1]
    ax = plot.completion_tree(model, "?", most=4)
    assert len(words(ax, "answer")) == 4
    assert words(ax, "others") == [f"11 other answers: {p[4:].sum():.2f}"]


def test_what_is_never_written_is_not_drawn() -> None:
    model = LanguageModel(TokenWorld(["?"], "ab", 1), [[0.0, -np.inf, 0.0]])
    ax = plot.completion_tree(model, "?")
    assert sorted(words(ax, "answer")) == ["$  0.50", "a  0.50"]
    assert words(ax, "others") == [""]


def test_answers_stand_where_their_branches_end() -> None:
    ax = plot.completion_tree(random_model(3), "?")
    leaves = [text.get_position()[1] for text in ax.texts if text.get_gid() == "answer"]
    assert sorted(leaves) == list(range(15))
    ends = {float(line.get_ydata()[-1]) for line in lines(ax, "branch")}
    assert set(leaves) <= ends
    root = next(line for line in ax.lines if line.get_marker() == "o")
    assert root.get_ydata() == [7]  # amid its fifteen answers


@pytest.mark.parametrize("most", [1, 3, 12, 24])
def test_a_tree_of_words_can_be_read(most: int) -> None:
    ax = plot.completion_tree(authority_hack().reference, "do penguins swim ?", most=most)
    assert min(sizes(ax)) >= 12
    assert overlaps(ax) == []
    assert outside(ax) == []


# --- the frontier ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_edge_is_the_tilting_family_and_nobody_is_above_it(seed: int) -> None:
    model, rng = random_model(seed, prompts=2), np.random.default_rng(seed)
    r = rng.normal(size=(2, 15))
    others = {str(k): p for k, p in enumerate(rng.dirichlet(np.ones(15), size=(20, 2)))}
    ax = plot.frontier(model, r, others)
    (edge,) = lines(ax, "edge")
    x, y = edge.get_xydata().T
    assert (x[0], y[0]) == pytest.approx((0, (model.probs * r).sum() / 2), abs=1e-12)
    assert y[-1] == pytest.approx(r.max(axis=1).mean())
    for name, p in others.items():
        ((far, earned),) = named(ax, name).get_xydata()
        assert far == pytest.approx(kl(p, model.probs).mean())
        assert earned == pytest.approx((p * r).sum() / 2)
        assert far > x[-1] or earned < np.interp(far, x, y) + 1e-3


def test_the_line_through_the_optimum_touches_the_edge_and_bears_its_objective() -> None:
    model, r, beta = random_model(4), np.random.default_rng(4).normal(size=(1, 15)), 0.4
    ax = plot.frontier(model, r, beta=beta)
    p = tilted(model, r, 1 / beta)
    at = kl(p, model.probs).mean(), (p * r).sum()
    assert named(ax, "p*, β = 0.4").get_xydata()[0] == pytest.approx(at)
    (line,) = lines(ax, "same J")
    assert line.get_xy1() == pytest.approx(at)
    assert line.get_slope() == beta
    x, y = lines(ax, "edge")[0].get_xydata().T
    assert (y <= at[1] + beta * (x - at[0]) + 1e-12).all()


def test_a_path_is_a_sequence_or_an_array_and_its_end_is_marked() -> None:
    model = random_model(5)
    r = np.random.default_rng(5).normal(size=(1, 15))
    steps = [tilted(model, r, x) for x in np.linspace(0, 3, 20)]
    ax = plot.frontier(model, r, {"list": steps, "array": np.array(steps), "model": model})
    np.testing.assert_allclose(named(ax, "list").get_xydata(), named(ax, "array").get_xydata())
    assert named(ax, "list").get_markevery() == [19]
    assert named(ax, "model").get_xydata()[0] == pytest.approx(
        (0, (model.probs * r).sum()), abs=1e-12
    )
    short = plot.frontier(model, r, {"few": steps[:5]})
    assert named(short, "few").get_markevery() == [0, 1, 2, 3, 4]


def test_the_frontier_can_be_read() -> None:
    hack = length_hack()
    ax = plot.frontier(hack.reference, hack.proxy, {"a": hack.reference}, beta=0.5)
    assert min(sizes(ax)) >= 12
    assert ax.get_xlabel() == "KL(policy || reference), nats"


def test_a_reward_that_is_constant_has_a_frontier_of_one_point() -> None:
    ax = plot.frontier(random_model(), np.full((1, 15), 0.1), beta=1.0)
    x, y = lines(ax, "edge")[0].get_xydata().T
    assert x.max() < 1e-12
    np.testing.assert_allclose(y, 0.1)


def test_gold_and_proxy_are_drawn_with_the_peak() -> None:
    hack = length_hack()
    found = overoptimisation(hack.reference, hack.gold, hack.proxy)
    ax = plot.gold_and_proxy(found)
    d, gold = named(ax, "gold, tilted").get_xydata().T
    np.testing.assert_array_equal(d, found.tilted.distance)
    np.testing.assert_array_equal(gold, found.tilted.gold)
    np.testing.assert_array_equal(named(ax, "proxy, best of N").get_ydata(), found.best_of_n.proxy)
    upright = np.asarray(ax.lines[-1].get_xdata())
    assert upright[0] == pytest.approx(d[gold.argmax()])
    assert [text.get_text() for text in ax.texts] == [f"Cov = 0, β = {found.beta:.3g}"]
    assert min(sizes(ax)) >= 12


def test_without_an_inner_peak_no_line_is_drawn() -> None:
    hack = length_hack()
    ax = plot.gold_and_proxy(overoptimisation(hack.reference, hack.proxy, hack.proxy))
    assert len(ax.lines) == 4
    assert len(ax.texts) == 0


# --- triangles ------------------------------------------------------------------------------------


def test_corners_are_certain_and_the_middle_is_even() -> None:
    path = np.array([*np.eye(3), [1 / 3] * 3])
    at = np.asarray(plot.simplex(path).lines[-1].get_xydata())
    np.testing.assert_allclose(at[:3], CORNERS)
    np.testing.assert_allclose(at[3], CORNERS.mean(axis=0))
    np.testing.assert_allclose(np.linalg.norm(CORNERS - np.roll(CORNERS, 1, axis=0), axis=1), 1)


def test_paths_begin_in_a_ring_and_end_in_a_mark() -> None:
    rng = np.random.default_rng(0)
    paths = {"PPO": rng.dirichlet(np.ones(3), 9), "DPO": rng.dirichlet(np.ones(3), 5)}
    ax = plot.simplex(paths)
    for name, path in paths.items():
        line = named(ax, name)
        np.testing.assert_allclose(line.get_xydata(), path @ CORNERS)
        assert line.get_markevery() == [len(path) - 1]
    assert named(ax, "PPO").get_linestyle() != named(ax, "DPO").get_linestyle()
    assert named(ax, "PPO").get_marker() != named(ax, "DPO").get_marker()


def test_many_runs_are_thin_lines_under_one_name() -> None:
    runs = np.random.default_rng(0).dirichlet(np.ones(3), (6, 4))
    ax = plot.simplex({"PPO": runs})
    drawn: list[Any] = [line for line in ax.lines if len(np.asarray(line.get_xdata())) == 6]
    assert [line.get_label() == "PPO" for line in drawn] == [True, False, False, False]
    np.testing.assert_allclose(drawn[2].get_xydata(), runs[:, 2] @ CORNERS)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["PPO"]


def test_arrows_of_preferences_go_to_what_is_preferred() -> None:
    ax = plot.simplex(CYCLE, names=("fish", "krill", "snow"))
    assert sorted(words(ax, "preference")) == ["0.7", "0.8", "0.9"]
    arrows = [a for a in ax.patches if isinstance(a, FancyArrowPatch)]
    ways = {}
    for arrow in arrows:
        begin, end = arrow._posA_posB  # type: ignore[attr-defined]
        ways[
            int(np.linalg.norm(CORNERS - begin, axis=1).argmin()),
            int(np.linalg.norm(CORNERS - end, axis=1).argmin()),
        ] = arrow
    assert set(ways) == {(1, 0), (2, 1), (0, 2)}  # krill to fish, snow to krill, fish to snow
    assert words(ax, "corner") == ["fish", "krill", "snow"]


def test_self_play_turns_around_the_equilibrium() -> None:
    ax = plot.simplex(CYCLE)
    (field,) = [c for c in ax.collections if c.get_gid() == "self-play"]
    at: Array = np.asarray(field.get_offsets()) - NASH @ CORNERS
    way: Array = np.column_stack([field.U, field.V])  # type: ignore[attr-defined]
    turns = at[:, 0] * way[:, 1] - at[:, 1] * way[:, 0]
    assert (turns < 1e-12).all()  # clockwise everywhere: fish, snow, krill
    assert len(at) == 55


def test_indifference_has_no_arrowhead_and_no_flow() -> None:
    ax = plot.simplex(np.full((3, 3), 0.5))
    (field,) = [c for c in ax.collections if c.get_gid() == "self-play"]
    assert np.abs([field.U, field.V]).max() < 1e-12  # type: ignore[attr-defined]
    styles = [type(a.get_arrowstyle()) for a in ax.patches if isinstance(a, FancyArrowPatch)]
    assert {style.__name__ for style in styles} == {"Curve"}  # matplotlib's "-"


def test_paths_are_added_to_a_triangle_and_points_marked() -> None:
    ax = plot.simplex(CYCLE, marks={"Nash": NASH})
    assert plot.simplex({"self-play": [NASH, NASH]}, ax=ax) is ax
    assert len(words(ax, "corner")) == 3
    np.testing.assert_allclose(named(ax, "Nash").get_xydata(), [NASH @ CORNERS])
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Nash", "self-play"]


def test_three_steps_of_a_path_are_no_preferences() -> None:
    ax = plot.simplex(np.full((3, 3), 1 / 3))
    assert words(ax, "preference") == []
    assert len(ax.lines) == 2


def test_a_triangle_can_be_read() -> None:
    ax = plot.simplex(CYCLE, names=("surely yes", "no", "perhaps"), marks={"Nash": NASH})
    assert min(sizes(ax)) >= 12
    assert overlaps(ax) == []
    assert outside(ax) == []


# --- all of them ----------------------------------------------------------------------------------


def test_what_matters_is_seen_in_grey(tmp_path: Path) -> None:
    ax = plot.simplex({"a": [[1, 0, 0], [0, 1, 0]], "b": [[1, 0, 0], [0, 0, 1]]})
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(tmp_path / "triangle.png", dpi=50)
    grey = np.asarray(Image.open(tmp_path / "triangle.png").convert("L"))
    assert (grey < 150).sum() > 200


def test_pictures_are_drawn_on_given_axes() -> None:
    _, axes = plt.subplots(1, 4)
    model = random_model()
    hack = length_hack()
    found = overoptimisation(hack.reference, hack.gold, hack.proxy, answers=[1])
    r = np.arange(15.0)[None]
    assert plot.completion_tree(model, "?", ax=axes[0]) is axes[0]
    assert plot.frontier(model, r, ax=axes[1]) is axes[1]
    assert plot.simplex(CYCLE, ax=axes[2]) is axes[2]
    assert plot.gold_and_proxy(found, ax=axes[3]) is axes[3]


def test_wrong_input_is_named() -> None:
    model, r = random_model(), np.zeros((1, 15))
    with pytest.raises(TypeError, match="model must be a LanguageModel; it is 1"):
        plot.completion_tree(1, "?")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompt must be one of '\\?'; it is 'x'"):
        plot.completion_tree(model, "x")
    with pytest.raises(ValueError, match="most must be at least 1; it is 0"):
        plot.completion_tree(model, "?", most=0)
    with pytest.raises(TypeError, match="reference must be a LanguageModel; it is 1"):
        plot.frontier(1, r)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"policies\['p'\] must have shape \(1, 15\)"):
        plot.frontier(model, r, {"p": np.ones(3)})
    with pytest.raises(ValueError, match=r"policies\['p'\]\[0\] must be a distribution; it sums"):
        plot.frontier(model, r, {"p": np.ones((1, 15))})
    with pytest.raises(ValueError, match="beta must be above 0; it is 0"):
        plot.frontier(model, r, beta=0)
    with pytest.raises(TypeError, match="found must be an Overoptimisation; it is a int"):
        plot.gold_and_proxy(3)  # type: ignore[arg-type]


def test_a_policy_outside_the_support_of_the_reference_is_named() -> None:
    model = LanguageModel(TokenWorld(["?"], "ab", 1), [[0.0, -np.inf, 0.0]])
    with pytest.raises(ValueError, match=r"policies\['b'\] must write only what .* '\?' with 'b'"):
        plot.frontier(model, [[0.0, 1.0, 2.0]], {"b": np.array([[0.5, 0.0, 0.5]])})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[0.5, 0.9, 0.3], [0.2, 0.5, 0.8], [0.7, 0.2, 0.5]], r"M\[0, 1\] \+ M\[1, 0\] is 1.1"),
        (np.ones((4, 2)), r"path must have shape \(T, 3\) or \(T, K, 3\); it has \(4, 2\)"),
        ({"x": np.ones((4, 3))}, r"paths\['x'\]\[0\] must be a distribution; it sums to 3"),
    ],
)
def test_what_is_neither_preferences_nor_a_path_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.simplex(given)


def test_names_and_marks_of_a_triangle_are_checked() -> None:
    with pytest.raises(ValueError, match="names must be three; there are 2"):
        plot.simplex(CYCLE, names=("a", "b"))
    with pytest.raises(ValueError, match=r"marks\['p'\] must be a distribution; it sums to 1.5"):
        plot.simplex(CYCLE, marks={"p": [0.5, 0.5, 0.5]})
