from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from gridrl import GridWorld
from gridrl.humans import clip_frames, clip_gif, clip_text
from gridrl.preferences import Segment
from gridrl.worlds import russell_norvig_4x3
from tests.humans.worlds import ICE, STROLL, clip


def difference(a: Image.Image, b: Image.Image, s: int) -> float:
    """How much two pictures differ on the square of state s, 80 pixels wide."""
    r, c = divmod(s, 4)
    box = (80 * c + 4, 80 * r + 4, 80 * c + 76, 80 * r + 76)
    return float(np.abs(np.asarray(a.crop(box), float) - np.asarray(b.crop(box), float)).mean())


def test_the_penguin_is_where_the_clip_says_and_nowhere_else() -> None:
    frames = clip_frames(ICE, clip(0, 1, 2, 6))
    walked = [0, 1, 2, 6]
    assert len(frames) == 4
    for t in range(3):
        changed = {s for s in range(16) if difference(frames[t], frames[t + 1], s) > 1}
        assert changed == {walked[t], walked[t + 1]}


def test_the_arrow_shows_what_was_meant() -> None:
    right, left = (clip_frames(ICE, Segment([5], [a]))[0] for a in (1, 3))
    assert difference(right, left, 5) > 1
    assert all(difference(right, left, s) == 0 for s in range(16) if s != 5)


def test_a_gif_has_every_step_and_stands_still_at_the_end() -> None:
    content = clip_gif(ICE, STROLL, seconds=0.2)
    film = Image.open(io.BytesIO(content))
    stands = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]
    assert stands == [200, 200, 200, 600]
    assert film.info["loop"] == 0
    assert len(content) < 40_000


def test_nobody_is_on_the_map_at_the_end_state() -> None:
    world = russell_norvig_4x3("leave")
    end = world.n_states - 1
    frames = clip_frames(world, Segment([0, end], [1, 1], final=end))
    assert np.asarray(frames[1]).mean() > np.asarray(frames[0]).mean()
    assert "@" not in clip_text(world, Segment([end], [1]))


def test_a_large_map_is_drawn_too() -> None:
    large = GridWorld.from_text("\n".join(["." * 24] * 24))
    first, last = clip_frames(large, Segment([0], [2], final=24))
    assert first.size[0] == 320
    assert (np.asarray(first) != np.asarray(last)).any()


def test_text_wraps_where_the_terminal_ends() -> None:
    rows = clip_text(ICE, clip(0, 1, 2, 3, 2), columns=20).split("\n\n")
    assert [row.splitlines()[0].split() for row in rows] == [
        ["right", "right", "right"], ["right", "end"],
    ]  # fmt: skip
    assert rows[1].splitlines()[1].split() == ["S..@", "S.@F"]


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (Segment([0, 16], [0, 0]), r"states\[1\] must be in 0..15; it is 16"),
        (Segment([0], [4]), r"actions\[0\] must be in 0..3; it is 4"),
        (Segment([0], [0], final=99), r"final\[0\] must be in 0..15; it is 99"),
    ],
)
def test_a_clip_of_another_map_is_refused(segment: Segment, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_gif(ICE, segment)
    with pytest.raises(ValueError, match=message):
        clip_text(ICE, segment)


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="segment must be a Segment; it is a list"):
        clip_frames(ICE, [0, 1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width must be at least 32; it is 3"):
        clip_frames(ICE, STROLL, width=3)
    with pytest.raises(ValueError, match=r"seconds must be in \[0.02, inf\]; it is 0"):
        clip_gif(ICE, STROLL, seconds=0)
