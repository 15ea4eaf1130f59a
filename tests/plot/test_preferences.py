"""What is drawn is what was compared and learned: clips, sums, rewards, queries, predictions."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image

from gridrl import GridWorld, penguin_world, plot, rollout, uniform_policy
from gridrl.plot import canvas
from gridrl.plot.curve import COLOURS
from gridrl.preferences.ensembles import RewardEnsemble
from gridrl.preferences.measures import Calibration, accuracy, accuracy_ceiling, calibration
from gridrl.preferences.oracles import PreferenceOracle
from gridrl.preferences.queries import disagreement_queries
from gridrl.preferences.segments import Comparison, Segment, cut

ICE = penguin_world()
FISH = np.array([float(tile == "F") for tile in ICE.state_tiles])
LONG = GridWorld.from_text("S" + "." * 3 + "F")
LARGE = GridWorld.from_text("\n".join(["." * 20] * 20))
WORLDS = {"1 x 5": LONG, "4 x 4": ICE, "20 x 20": LARGE}


def clips_of(world: GridWorld, count: int = 40) -> list[Segment]:
    mdp = world.mdp(gamma=0.9)
    seen = rollout(mdp, uniform_policy(mdp), episodes=5, steps=30, rng=0)
    return cut(seen, 6, count=count, rng=0)


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def maps(ax: Axes) -> list[Any]:
    """The axes of the two clips."""
    return list(ax.child_axes)


def arrows(ax: Axes) -> int:
    return sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches)


def pixel_sizes(ax: Axes) -> list[float]:
    """Font sizes of all that is written beside the maps themselves."""
    return [float(text.get_fontsize()) for text in ax.texts]


# --- two clips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_both_clips_are_drawn_step_by_step(world: GridWorld) -> None:
    first, second = clips_of(world)[:2]
    ax = plot.preference(world, first, second)
    assert [arrows(clip) for clip in maps(ax)] == [6, 6]
    assert words(ax) == ["left", "right"]
    assert min(pixel_sizes(ax)) >= 12


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_every_square_of_a_clip_is_in_the_picture_and_readable(world: GridWorld) -> None:
    pair = clips_of(world)[:2]
    for clip, ax in zip(pair, maps(plot.preference(world, *pair)), strict=True):
        rows, columns = world.positions[clip.states].T
        (x0, x1), (y1, y0) = ax.get_xlim(), ax.get_ylim()
        assert x0 < columns.min() <= columns.max() < x1
        assert y0 < rows.min() <= rows.max() < y1
        assert canvas.readable(ax)
        assert {world.labels[s] for s in clip.states} <= set(words(ax))


def test_the_penguin_stands_where_the_clip_begins() -> None:
    ax = maps(plot.preference(ICE, Segment([5, 6], [1, 1]), Segment([15], [0])))[0]
    (bird,) = [shape for shape in ax.collections if shape.get_gid() == "penguin"]
    corners = bird.get_datalim(ax.transData)
    row, column = ICE.positions[5]
    assert abs(corners.x0 + corners.width / 2 - column) < 0.5
    assert abs(corners.y0 + corners.height / 2 - row) < 0.5


def test_the_sums_are_the_rewards_of_the_steps() -> None:
    first, second = Segment([8, 9, 10], [1, 1, 1]), Segment([0, 3, 2], [1, 1, 1])
    assert words(plot.preference(ICE, first, second, reward=FISH))[2:] == [
        "1 + 0 + 1 = 2", "0 + 1 + 0 = 1", ">",
    ]  # fmt: skip
    assert words(plot.preference(ICE, second, first, reward=FISH))[-1] == "<"
    assert words(plot.preference(ICE, first, first, reward=-FISH))[2:] == [
        "-1 + 0 - 1 = -2", "-1 + 0 - 1 = -2", "=",
    ]  # fmt: skip


def test_sums_that_differ_by_rounding_are_equal() -> None:
    r = np.array([0.1, 0.2, 0.3, 0.0, 0.0])
    ax = plot.preference(LONG, Segment([0, 1], [0, 0]), Segment([2, 3], [0, 0]), reward=r)
    assert words(ax)[-1] == "="
    assert 0.1 + 0.2 != 0.3


def test_a_reward_of_states_and_actions_is_read_at_both() -> None:
    Q = np.arange(20.0).reshape(5, 4)
    ax = plot.preference(LONG, Segment([0, 1], [3, 2]), Segment([4], [1]), reward=Q)
    assert words(ax)[2:4] == ["3 + 6 = 9", "17 = 17"]


def test_a_sum_that_is_too_long_is_not_written_out() -> None:
    r = np.full(16, 0.123)
    long = Segment([0, 1] * 12, [1, 3] * 12)
    assert words(plot.preference(ICE, long, long, reward=r))[2] == "Σ r = 2.95"
    _, small = plt.subplots(figsize=(5, 3))
    clip = Segment([0, 1] * 4, [1, 3] * 4)
    assert words(plot.preference(ICE, clip, clip, reward=r, ax=small))[2] == "Σ r = 0.98"


@pytest.mark.parametrize("p", [0.0, 0.27, 1.0])
def test_the_bar_is_shared_as_the_preference_is(p: float) -> None:
    ax = plot.preference(ICE, *clips_of(ICE)[:2], probability=p)
    left, right = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert left.get_width() / (left.get_width() + right.get_width()) == pytest.approx(p)
    assert right.get_x() == pytest.approx(left.get_x() + left.get_width())
    assert words(ax)[2:] == [f"{100 * p:.0f} %", f"{100 - 100 * p:.0f} %", "Pr(left is preferred)"]
    grey = [np.dot(patch.get_facecolor()[:3], (0.299, 0.587, 0.114)) for patch in (left, right)]
    assert grey[1] - grey[0] > 0.3  # told apart in grey


def test_it_draws_on_the_axes_it_is_given() -> None:
    _, (here, there) = plt.subplots(1, 2, figsize=(12, 4))
    assert plot.preference(ICE, *clips_of(ICE)[:2], ax=here) is here
    assert len(here.child_axes) == 2
    assert not there.child_axes


def test_resting_at_the_end_is_counted_and_not_drawn() -> None:
    rests = Segment([2, 3, 3, 3, 3], [1] * 5, final=3)
    ax = plot.preference(ICE, rests, Segment([0, 0, 0], [0] * 3))
    assert words(ax) == [
        "left: it stays for the last 4 steps",
        "right: it stays for the last 2 steps",
    ]
    assert [arrows(clip) for clip in maps(ax)] == [1, 0]


def test_an_end_state_is_no_square() -> None:
    exits = GridWorld.from_text("S.F", exits="F")
    ax = plot.preference(exits, Segment([1, 2, 3, 3], [1] * 4), Segment([0, 1], [1] * 2))
    assert [arrows(clip) for clip in maps(ax)] == [1, 1]


def test_a_clip_too_wide_for_arrows_is_a_line_with_numbered_ends() -> None:
    across = Segment(range(100, 119), [1] * 19, final=119)
    ax = maps(plot.preference(LARGE, across, Segment([5, 25], [2, 2])))[0]
    assert arrows(ax) == 0
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(20))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.full(20, 5))
    assert sorted(words(ax)) == ["101", "120"]
    assert min(pixel_sizes(ax)) >= 12


def test_wrong_clips_rewards_and_probabilities_are_named() -> None:
    clip = Segment([0], [0])
    with pytest.raises(TypeError, match="second must be a Segment; it is a list"):
        plot.preference(ICE, clip, [0, 1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"first\.states\[1\] must be in 0\.\.15; it is 16"):
        plot.preference(ICE, Segment([0, 16], [0, 0]), clip)
    with pytest.raises(ValueError, match=r"reward must have shape \(16,\) or \(16, 4\)"):
        plot.preference(ICE, clip, clip, reward=np.zeros(15))
    with pytest.raises(ValueError, match=r"probability must be in \[0, 1\]; it is 1\.2"):
        plot.preference(ICE, clip, clip, probability=1.2)
    with pytest.raises(ValueError, match=r"actions\[1\] must be in 0\.\.3; it is 4"):
        plot.preference(ICE, clip, Segment([0, 1], [0, 4]), reward=np.zeros((16, 4)))


# --- the learned reward ---------------------------------------------------------------------------


def heat(ax: Axes) -> np.ndarray[Any, Any]:
    (picture,) = [image for image in ax.images if image.get_gid() == "heat"]
    return np.asarray(picture.get_array())


def ensemble_of(world: GridWorld, shape: tuple[int, ...]) -> tuple[RewardEnsemble, Any]:
    clips = clips_of(world)
    oracle = PreferenceOracle(np.arange(world.n_states) % 5.0)
    pairs = list(zip(clips[::2], clips[1::2], strict=True))
    votes = [Comparison(a, b, oracle.label(a, b)) for a, b in pairs]
    return RewardEnsemble(shape, rng=0).fit(votes), pairs


def test_rewards_and_their_spread_are_written_in_the_squares() -> None:
    learned, _ = ensemble_of(ICE, (16,))
    ax = plot.reward_map(ICE, learned)
    np.testing.assert_allclose(heat(ax).ravel(), learned.reward)
    numbers = [text.get_text() for text in ax.texts if text.get_gid() == "number"]
    for text, r, spread in zip(numbers, learned.reward, learned.spread, strict=True):
        value, deviation = text.split("\n± ")
        assert float(value) == pytest.approx(r, abs=0.0051)
        assert float(deviation) == pytest.approx(spread, abs=0.0051)
        assert value != "-0.00"
    assert not ax.child_axes


def test_on_a_large_map_rings_show_the_spread_and_a_bar_the_colours() -> None:
    spread = np.arange(400.0) / 399
    ax = plot.reward_map(LARGE, np.linspace(-1, 3, 400), spread)
    rings = [shape for shape in ax.collections if shape.get_gid() == "spread white"]
    paths: Any = rings[0].get_paths()
    widths = [np.ptp(path.vertices[:, 0]) for path in paths]
    np.testing.assert_allclose(widths, 0.84 * spread, atol=1e-9)
    assert ax.get_xlabel() == "ring: spread of the members, the widest 1.00"
    (bar,) = maps(ax)
    assert bar.get_ylim() == (-1, 3)
    label: Any = ax.xaxis.label
    assert label.get_fontsize() >= 12


def test_a_reward_of_states_and_actions_has_a_triangle_each() -> None:
    learned, _ = ensemble_of(ICE, (16, 4))
    ax = plot.reward_map(ICE, learned)
    rings = [shape for shape in ax.collections if shape.get_gid() == "spread white"]
    assert len(rings[0].get_paths()) == 16
    assert len(ax.child_axes) == 1  # the colours' bar
    written = [text.get_text() for text in ax.texts]
    assert written.count(f"{learned.reward[5, 2]:.2f}") >= 1


def test_a_table_alone_has_no_spread() -> None:
    ax = plot.reward_map(ICE, FISH)
    numbers = [text.get_text() for text in ax.texts if text.get_gid() == "number"]
    assert numbers == [f"{r:.2f}" for r in FISH]


def test_a_wrong_reward_or_spread_is_named() -> None:
    with pytest.raises(ValueError, match=r"reward must have shape \(16,\) or \(16, 4\)"):
        plot.reward_map(ICE, np.zeros(4))
    with pytest.raises(ValueError, match=r"spread must have shape \(16,\); it has \(15,\)"):
        plot.reward_map(ICE, FISH, np.zeros(15))
    with pytest.raises(ValueError, match=r"spread must not be negative; at \(2,\) it is -1"):
        plot.reward_map(ICE, FISH, np.where(np.arange(16) == 2, -1.0, 0.0))


# --- queries --------------------------------------------------------------------------------------


def test_candidates_are_where_the_members_see_them() -> None:
    learned, pairs = ensemble_of(ICE, (16,))
    p = learned.predictions(pairs)
    asked = disagreement_queries(pairs, learned, 4, np.random.default_rng(0))
    ax = plot.query_choice(pairs, learned, asked)
    every, chosen = (np.asarray(dots.get_offsets()) for dots in ax.collections)
    np.testing.assert_allclose(every, np.column_stack([p.mean(axis=0), p.std(axis=0)]))
    np.testing.assert_allclose(chosen, every[asked])
    assert chosen[:, 1].min() >= np.delete(every, asked, axis=0)[:, 1].max()
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_no_spread_is_above_the_arc() -> None:
    certain = SimpleNamespace(predictions=lambda pairs: np.array([[0.0, 0.0], [1.0, 0.3]]))
    clip = Segment([0], [0])
    ax = plot.query_choice([(clip, clip)] * 2, certain, [0])
    arc: Any = ax.lines[0].get_xydata()
    for mean, spread in np.asarray(ax.collections[0].get_offsets()):
        assert spread <= np.interp(mean, *arc.T) + 1e-3
    assert np.interp(0.5, *arc.T) == pytest.approx(0.5)


def test_several_rules_are_told_apart_by_shape_and_name() -> None:
    learned, pairs = ensemble_of(ICE, (16,))
    ax = plot.query_choice(pairs, learned, {"here": [0, 1], "there": [1, 2]})
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["candidates", "here", "there"]
    shapes: Any = [len(np.asarray(dots.get_paths()[0].vertices)) for dots in ax.collections[1:]]
    assert shapes[0] != shapes[1]


def test_a_place_that_is_no_pair_is_named() -> None:
    learned, pairs = ensemble_of(ICE, (16,))
    with pytest.raises(ValueError, match=r"chosen 'asked'\[1\] must be in 0\.\.19; it is 20"):
        plot.query_choice(pairs, learned, [0, 20])
    with pytest.raises(ValueError, match="pairs must hold at least one candidate; it is empty"):
        plot.query_choice([], learned, [])


# --- predictions ----------------------------------------------------------------------------------


def test_a_dot_is_a_bin_and_its_bar_what_chance_allows() -> None:
    found = Calibration(np.array([0.1, 0.65]), np.array([0.25, 0.75]), np.array([4, 16]))
    ax = plot.calibration(found)
    bars, dots = ax.collections
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), [[0.1, 0.25], [0.65, 0.75]])
    segments: Any = bars
    ends = np.array(segments.get_segments())[:, :, 1]
    np.testing.assert_allclose(np.diff(ends, axis=1)[:, 0], [4 * 0.3 / 2, np.sqrt(0.65 * 0.35)])
    np.testing.assert_allclose(ends.mean(axis=1), [0.25, 0.75])
    sizes: Any = dots
    assert sizes.get_sizes()[1] > sizes.get_sizes()[0]
    (diagonal,) = ax.lines
    assert list(np.asarray(diagonal.get_xydata()).ravel()) == [0, 0, 1, 1]
    assert ax.get_title() == ""


def test_a_reward_that_is_right_crosses_the_diagonal() -> None:
    oracle, rng = PreferenceOracle(FISH, beta=1.0), np.random.default_rng(0)
    clips = clips_of(ICE, 100)
    pairs = [(clips[i], clips[j]) for i, j in rng.integers(100, size=(2000, 2))]
    votes = [Comparison(a, b, oracle.label(a, b, rng)) for a, b in pairs]
    found = calibration(FISH, votes)
    right, best = accuracy(FISH, votes), accuracy_ceiling(oracle, pairs)
    ax = plot.calibration(found, accuracy=right, ceiling=best)
    bars: Any = ax.collections[0]
    ends = np.array(bars.get_segments())
    crossed = (ends[:, 0, 1] <= ends[:, 0, 0]) & (ends[:, 0, 0] <= ends[:, 1, 1])
    assert (~crossed).sum() <= 3  # of 10 bins at 5% each: more by chance in 0.1%
    assert ax.get_title() == f"right {100 * right:.1f} %, at best {100 * best:.1f} %"


def test_wrong_predictions_are_named() -> None:
    with pytest.raises(TypeError, match="found must be a Calibration; it is a list"):
        plot.calibration([0.5, 0.5])  # type: ignore[arg-type]
    found = Calibration(np.array([0.5]), np.array([0.5]), np.array([1]))
    with pytest.raises(ValueError, match=r"ceiling must be in \[0, 1\]; it is 2"):
        plot.calibration(found, ceiling=2)
    with pytest.raises(ValueError, match=r"accuracy must be in \[0, 1\]; it is -1"):
        plot.calibration(found, accuracy=-1)


# --- the film -------------------------------------------------------------------------------------


def bar_height(frame: Image.Image) -> int:
    """Pixels in the bar's blue, right of the map."""
    pixels = np.asarray(frame).astype(int)
    blue = np.array([int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)])
    close = (np.abs(pixels - blue).max(axis=2) < 8)[:, int(0.7 * pixels.shape[1]) :]
    return int(close.any(axis=1).sum())


def test_the_bar_is_as_high_as_the_reward_of_the_step(tmp_path: Path) -> None:
    r = np.array([0.0, 1.0, 2.0, 4.0, -1.0])
    film = plot.reward_bar(LONG, Segment([0, 1, 2, 3, 4], [1] * 5), r, tmp_path / "bar.gif")
    heights = [bar_height(frame) for frame in film.frames]
    assert heights[0] == heights[4] == 0  # nothing; and below zero it is of another colour
    assert heights[2] - heights[1] > 20
    assert heights[3] - heights[2] == pytest.approx(2 * (heights[2] - heights[1]), abs=3)  # pixels
    assert film.titles[4] == "step 5: reward -1"
    with Image.open(tmp_path / "bar.gif") as moving:
        assert getattr(moving, "n_frames", 1) == 5


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_an_episode_is_filmed_step_by_step(world: GridWorld) -> None:
    mdp = world.mdp(gamma=0.9)
    one = rollout(mdp, uniform_policy(mdp), episodes=2, steps=4, rng=0)
    film = plot.reward_bar(world, one[0], np.ones(world.n_states))
    assert len(film.frames) == 4
    assert len({frame.tobytes() for frame in film.frames}) > 1
    with pytest.raises(ValueError, match="episode must be a single one; these are 2"):
        plot.reward_bar(world, one, np.ones(world.n_states))


def test_nothing_is_filmed_after_the_end() -> None:
    ends = GridWorld.from_text("S.G", terminal="G")
    mdp = ends.mdp(gamma=0.9)
    seen = rollout(mdp, uniform_policy(mdp), episodes=1, steps=200, rng=0)
    episode = next(iter(seen))
    film = plot.reward_bar(ends, episode, np.zeros(3))
    assert len(film.frames) == int(episode.lengths) < 200
