"""What an environment shows: text, and pictures told by their pixels."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gridrl import GridWorld, worlds
from gridrl.envs import make_env
from gridrl.envs.tiles import HERE, board, picture
from gridrl.plot.canvas import ICE
from gridrl.plot.glyphs import INK, ORANGE, WATER
from gridrl.plot.worlds import BOX

ICE_WORLD, LOST = worlds.penguin_world(), worlds.lost_penguin_world()


def pixels(image: Any) -> Any:
    return np.asarray(image).astype(int)


def colour(name: str) -> Any:
    return np.round(255 * np.array(to_rgb(name))).astype(int)


def squares_with(image: Any, name: str, size: int) -> set[tuple[int, int]]:
    """The squares, (row, column), in which some pixel has just this colour."""
    found = np.argwhere((pixels(image) == colour(name)).all(axis=2))
    return {(int(y) // size, int(x) // size) for y, x in found}


# --- text -----------------------------------------------------------------------------------------


def test_text_marks_the_square_and_says_what_happened() -> None:
    env = make_env(worlds.frozen_lake(success_rate=1.0), render_mode="ansi")
    env.reset(seed=0)
    assert env.render().split("\n")[0] == "[S] .  .  ."
    env.step(0)
    env.step(2)
    assert env.render().split("\n") == [
        "down: down", " S  .  .  .", "[.] H  .  H", " .  .  .  H", " H  .  .  G",
    ]  # fmt: skip


def test_text_without_a_map_names_the_state() -> None:
    env = make_env(worlds.forest(p=0), render_mode="ansi")
    env.reset(seed=0)
    env.step(1)
    assert env.render() == "cut: 1\n[1]"
    ends = make_env(worlds.russell_norvig_4x3().mdp(gamma=1).replace(start=3),
                    world=worlds.russell_norvig_4x3(), render_mode="ansi")  # fmt: skip
    ends.reset(seed=0)
    ends.step(0)
    assert ends.render() == "up: up\n[end]"


def test_nothing_is_rendered_without_a_mode() -> None:
    env = make_env(ICE_WORLD)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode is None"):
        assert env.render() is None


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("S..F.", (97, 481)),
        ("S...\n....\nF.F.\n....", (385, 385)),
        ("\n".join(["." * 20] * 20), (961, 961)),
        ("\n".join(["." * 40] * 2), (49, 961)),
        ("\n".join(["." * 200] * 200), (801, 801)),
        ("F", (97, 97)),
    ],
)
def test_a_frame_fits_on_a_slide(text: str, shape: tuple[int, int]) -> None:
    env = make_env(GridWorld.from_text(text), render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape == (*shape, 3)
    assert frame.dtype == np.uint8


def test_the_penguin_stands_where_it_is() -> None:
    for s in range(16):
        image = picture(ICE_WORLD, s)
        assert squares_with(image, HERE, 96) == {divmod(s, 4)}
        assert divmod(s, 4) in squares_with(image, INK, 96)


def test_everything_is_drawn_where_it_is() -> None:
    world = GridWorld.from_text("SFH\n#G.\n..K", rewards={"K": 1.0})
    image = picture(world, world.index(7))
    assert (0, 1) in squares_with(image, ORANGE, 96)
    assert squares_with(image, WATER, 96) == {(0, 2)}
    assert (1, 0) in squares_with(image, "#6e6e6e", 96)  # a rock
    assert squares_with(image, "#009e73", 96) == {(1, 1)}  # a flag
    plain = pixels(picture(GridWorld.from_text("...\n...\n..."), 6))
    drawn = pixels(image)
    for row, column in [(0, 0), (2, 2)]:  # the letters S and K
        square = np.s_[96 * row : 96 * row + 96, 96 * column : 96 * column + 96]
        assert (drawn[square] != plain[square]).any(axis=2).sum() > 200
    bare = np.s_[96:192, 192:]
    np.testing.assert_array_equal(drawn[bare], plain[bare])


def test_the_penguin_does_not_hide_the_fish() -> None:
    on_fish, on_ice = picture(ICE_WORLD, 3), picture(ICE_WORLD, 7)
    corner = np.s_[10:40, 3 * 96 + 58 : 3 * 96 + 90]
    assert (pixels(on_fish)[corner] == colour(ORANGE)).all(axis=2).sum() > 50
    assert not (pixels(on_ice)[96:][corner] == colour(ORANGE)).all(axis=2).any()


def test_shapes_are_told_apart_in_grey() -> None:
    world = GridWorld.from_text("SFHG#C.", walls="#C")
    grey = np.asarray(picture(world, world.index(7)).convert("L")).astype(int)
    tiles = [grey[1:96, 96 * k + 1 : 96 * k + 96] for k in range(7)]
    for k, one in enumerate(tiles):
        assert all((np.abs(one - other) > 60).mean() > 0.02 for other in tiles[:k])


def test_the_window_is_dashed_and_may_reach_beyond_the_map() -> None:
    image = picture(LOST, LOST.index(6), window=True)
    assert image.size == (385, 481)  # a row more, below
    assert squares_with(image, BOX, 96) >= {(1, 1), (2, 1)}
    assert squares_with(image, BOX, 96) <= {(r, c) for r in (0, 1, 2, 3) for c in (0, 1, 2)}
    below = picture(LOST, LOST.index(13), window=True)
    assert (4, 0) in squares_with(below, BOX, 96)
    assert not squares_with(picture(LOST, 5), BOX, 96)


def test_a_pomdp_shows_its_window_and_an_mdp_does_not() -> None:
    shapes = []
    for process in (LOST.pomdp(gamma=1), LOST.mdp(gamma=1)):
        env = make_env(process, world=LOST, render_mode="rgb_array")
        env.reset(seed=0)
        shapes.append(env.render().shape)
    assert shapes == [(481, 385, 3), (385, 385, 3)]
    blind = make_env(worlds.short_corridor(), render_mode="rgb_array")
    blind.reset(seed=0)
    assert blind.render().shape == (97, 385, 3)


def test_an_end_off_the_map_fades_the_picture() -> None:
    world = worlds.russell_norvig_4x3()
    image = picture(world, world.n_states - 1)
    assert not squares_with(image, HERE, 96)
    assert pixels(image).mean() > pixels(picture(world, 0)).mean() + 5


def test_drawing_changes_nothing() -> None:
    first = pixels(picture(ICE_WORLD, 5))
    picture(ICE_WORLD, 6)
    np.testing.assert_array_equal(pixels(picture(ICE_WORLD, 5)), first)
    frame = np.asarray(picture(ICE_WORLD, 5)).copy()
    frame[:] = 0
    np.testing.assert_array_equal(pixels(picture(ICE_WORLD, 5)), first)


def test_tiles_of_any_size() -> None:
    assert picture(ICE_WORLD, 0, tile=20).size == (81, 81)
    with pytest.raises(ValueError, match="tile must be at least 2; it is 0"):
        picture(ICE_WORLD, 0, tile=0)
    with pytest.raises(ValueError, match=r"s must be in 0\.\.15; it is 16"):
        picture(ICE_WORLD, 16)


def test_a_board_fills_the_box_of_the_state() -> None:
    student = worlds.student()
    image = board(student.labels, student.terminal, 4)
    assert image.size == (480, 288)
    found = np.argwhere((pixels(image) == colour(ORANGE)).all(axis=2))
    assert {(int(y) // 96, int(x) // 160) for y, x in found} == {(1, 1)}
    assert (pixels(image)[200, 20] == colour("#c9c9c9")).all()  # Sleep, where all is over
    assert (pixels(image)[20, 20] == colour(ICE)).all()


@pytest.mark.parametrize(("n", "size"), [(1, (160, 96)), (101, (957, 520)), (5000, (160, 96))])
def test_boards_of_any_size(n: int, size: tuple[int, int]) -> None:
    labels = tuple(map(str, range(n)))
    assert board(labels, np.zeros(n, bool), n - 1).size == size


def test_gymnasium_collects_frames() -> None:
    env = gym.make("gridrl/Penguin-v0", render_mode="rgb_array_list")
    env.reset(seed=0)
    env.step(1)
    frames: Any = env.render()
    assert [frame.shape for frame in frames] == [(385, 385, 3)] * 2


def test_for_people_every_step_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from gridrl.plot import frames

    shown: list[Any] = []
    monkeypatch.setattr(frames.Screen, "show", lambda self, frame: shown.append(frame))
    env = make_env(ICE_WORLD, render_mode="human")
    env.reset(seed=0)
    s = env.step(2)[0]
    assert env.render() is None
    assert len(shown) == 3
    np.testing.assert_array_equal(shown[1], np.asarray(picture(ICE_WORLD, s)))
    np.testing.assert_array_equal(shown[2], shown[1])
    env.close()
    env.close()
