"""Clips: what happened, as a small moving picture.

A world is drawn twice, bare and with a penguin on every square; a frame is the bare picture with
one square of the other, and an arrow. So a clip takes milliseconds on a map of any size.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from gridrl.plot.canvas import canvas
from gridrl.plot.films import render
from gridrl.plot.glyphs import GLYPHS
from gridrl.preferences import Segment
from gridrl.tables import Indices, indices, number, whole
from gridrl.worlds import GridWorld

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
WIDTH = 320  # pixels
SECONDS = 0.4  # a step stands so long, and the last picture three times
COLOURS = 128
SHARP = 4  # an arrow is drawn so many times as large and made smaller: smooth edges
# how far ahead of the middle, and how far aside, in squares
ARROW = [
    (0.22, -0.05),
    (0.35, -0.05),
    (0.35, -0.13),
    (0.49, 0),
    (0.35, 0.13),
    (0.35, 0.05),
    (0.22, 0.05),
]
INTENT, DONE, TO_COME = "#d55e00", "#0072b2", "#d9e4ec"
BAR = 6  # pixels; the bar below says how much of the clip is over


def clip_frames(world: GridWorld, segment: Segment, *, width: int = WIDTH) -> list[Image.Image]:
    """Draw a clip: the penguin before each step, with what it means to do, and where it ends.

    Args:
        world: the map.
        segment: the clip; its last picture is `segment.final`, where that is known.
        width: of a picture, in pixels.

    >>> from gridrl.worlds import penguin_world
    >>> frames = clip_frames(penguin_world(), Segment([0, 1, 2], [1, 1, 2], final=6))
    >>> len(frames), frames[0].size
    (4, (320, 326))

    Raises:
        TypeError, ValueError: a state or an action that the world has not.
    """
    size = whole(width, "width", least=32)
    steps = moments(world, segment)
    (bare, boxes), (full, _) = _scenery(world, False, size), _scenery(world, True, size)
    pictures = []
    for t, (s, a) in enumerate(steps):
        picture = _framed(bare, (t + 1) / len(steps))
        if s < len(boxes):
            left, top, right, bottom = boxes[s].tolist()
            box = (left, top, right, bottom)
            picture.paste(full.crop(box), box)
            if a >= 0:
                _draw_intent(picture, box, list(world.moves.values())[a])
        else:  # the end state is no square: nobody is on the map
            picture = Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.6)
        pictures.append(picture)
    return pictures


def clip_gif(
    world: GridWorld, segment: Segment, *, width: int = WIDTH, seconds: float = SECONDS
) -> bytes:
    """A clip as a GIF that plays again and again, a few kB.

    Args:
        world: the map.
        segment: the clip.
        width: in pixels.
        seconds: how long a step stands.

    >>> from gridrl.worlds import penguin_world
    >>> clip_gif(penguin_world(), Segment([0, 1, 2], [1, 1, 2], final=6))[:6]
    b'GIF89a'

    Raises:
        TypeError, ValueError: as `clip_frames`.
    """
    stand = round(1000 * number(seconds, "seconds", 0.02))
    return gif(clip_frames(world, segment, width=width), stand)


def gif(frames: list[Image.Image], stand: int) -> bytes:
    """Pictures as a GIF; each stands for so many milliseconds, the last one three times."""
    none = Image.Dither.NONE
    palette = frames[0].quantize(COLOURS, dither=none)  # one for all: only what moves is stored
    few = [frame.quantize(palette=palette, dither=none) for frame in frames]
    stream, more = io.BytesIO(), few[1:]
    duration = [stand] * len(more) + [3 * stand]
    few[0].save(stream, "GIF", save_all=True, append_images=more, duration=duration, loop=0)
    return stream.getvalue()


def moments(world: GridWorld, segment: Segment) -> list[tuple[int, int]]:
    """(state, action) of each picture of a clip; action -1 in the last one, where it is known.

    Raises:
        TypeError, ValueError: a state or an action that the world has not.
    """
    if not isinstance(segment, Segment):
        raise TypeError(f"segment must be a Segment; it is a {type(segment).__name__}")
    states = indices(segment.states, "states", world.n_states).tolist()
    actions = indices(segment.actions, "actions", len(world.moves)).tolist()
    end = [] if segment.final is None else [segment.final]
    indices(end, "final", world.n_states)
    return [*zip(states, actions, strict=True), *((s, -1) for s in end)]


@lru_cache(maxsize=16)
def _scenery(world: GridWorld, penguins: bool, width: int) -> tuple[Image.Image, Indices]:
    """The map, bare or with a penguin on every square; and where its squares are, (n, 4)."""
    places: list[Indices] = []

    def draw(world: GridWorld, penguins: bool, ax: Any) -> None:
        canvas(world, ax, start=False)
        for r, c in world.positions.tolist() if penguins else []:
            for patch in GLYPHS["S"](c - 0.04, r, 0.6):
                patch.set_zorder(5)
                ax.add_patch(patch)
        ax.apply_aspect()
        places.append(_corners(world, ax))

    picture = render(world, penguins, draw, "")
    corners = places[0]
    left, top = corners[:, :2].min(axis=0) - 3
    right, bottom = corners[:, 2:].max(axis=0) + 3
    scale = width / (right - left)
    small = picture.crop((left, top, right, bottom)).resize((width, round(scale * (bottom - top))))
    return small, np.round((corners - (left, top, left, top)) * scale).astype(np.intp)


def _corners(world: GridWorld, ax: Any) -> Indices:
    """Pixels of the squares, (n, 4): left, top, right, bottom."""
    rows, columns = world.positions.T
    height = ax.get_figure(root=True).bbox.height
    low = ax.transData.transform(np.column_stack([columns - 0.5, rows - 0.5]))
    high = ax.transData.transform(np.column_stack([columns + 0.5, rows + 0.5]))
    pixels = [low[:, 0], height - low[:, 1], high[:, 0], height - high[:, 1]]
    return np.round(np.column_stack(pixels)).astype(np.intp)


def _draw_intent(picture: Image.Image, box: Box, move: tuple[int, int]) -> None:
    """An arrow beside the penguin: what it means to do; none if it means to stay."""
    left, top, right, bottom = box
    ahead = np.array(move[::-1], float)
    if not ahead.any():
        return
    ahead /= np.linalg.norm(ahead)
    aside, size = np.array([-ahead[1], ahead[0]]), SHARP * np.array([right - left, bottom - top])
    corners = [(0.5 + x * ahead + y * aside) * size for x, y in ARROW]
    mask = Image.new("L", tuple(size.tolist()))
    ImageDraw.Draw(mask).polygon([tuple(corner.tolist()) for corner in corners], fill=255)
    picture.paste(INTENT, box, mask.reduce(SHARP))


def _framed(bare: Image.Image, over: float) -> Image.Image:
    """A copy of the map with a bar below it: how much of the clip is over."""
    width, height = bare.size
    picture = Image.new("RGB", (width, height + BAR), TO_COME)
    picture.paste(bare)
    bar = (0, height, round(over * width) - 1, height + BAR - 1)
    ImageDraw.Draw(picture).rectangle(bar, fill=DONE)
    return picture
