"""Pictures of a moment, made of tiles in a millisecond: (world, state) -> image, and nothing else.

The shapes are those of the plots, filled by Pillow. The agent is the penguin; where it stands on a
fish, say, the fish moves into the corner of the square. Every shape can be told from the others in
grey.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gridrl.plot.canvas import ICE, LINE, SHADE
from gridrl.plot.glyphs import GLYPHS, INK, ORANGE, WATER, WHITE
from gridrl.plot.worlds import BOX, _boxes
from gridrl.tables import Mask, index, whole
from gridrl.worlds import GridWorld

ROCK, HERE = "#c9c9c9", "#fff1b8"
SHARP = 4  # drawn so many times larger, then averaged
WIDEST, LARGEST, MOST_STATES = 960, 96, 1024
Pixels = NDArray[np.uint8]


def picture(
    world: GridWorld, s: int, *, window: bool = False, tile: int | None = None
) -> Image.Image:
    """Draw the map with the agent in state `s`; an end off the map fades the picture.

    Args:
        world: the map.
        s: the state's index.
        window: whether to draw the dashed box, what is seen from the square (`world.window`).
        tile: side of a square in pixels; None keeps the picture below 1000.

    >>> from gridrl.worlds import penguin_world
    >>> picture(penguin_world(), 0).size
    (385, 385)

    Raises:
        TypeError, ValueError: `s` is no state of the world; a tile of no size.
    """
    s = index(s, "s", world.n_states)
    top, left, bottom, right = _margins(world) if window else (0, 0, 0, 0)
    rows, columns = world.shape
    longest = max(rows + top + bottom, columns + left + right)
    fits = int(np.clip(WIDEST // longest, 2, LARGEST))
    size = fits if tile is None else whole(tile, "tile", least=2)
    image = Image.fromarray(_ground(world, size))
    if s >= len(world.positions):
        return Image.blend(image, Image.new("RGB", image.size, WHITE), 0.6)
    row, column = (int(i) for i in world.positions[s])
    image.paste(_tile(str(world.tiles[row, column]), "agent", size), (column * size, row * size))
    if window:
        image = _framed(image, size, (top, left, bottom, right))
        for (x, y), (w, h) in _boxes(world, world.positions[s]):
            corner = np.array([x + left + 0.5, y + top + 0.5])
            _dashed(image, size * corner, size * (corner + np.array([w, h])), max(2, size // 20))
    return image


def board(labels: tuple[str, ...], terminal: Mask, s: int) -> Image.Image:
    """Draw a process without a map: a box a state, the one that is the case filled, ends grey.

    >>> board(("sun", "rain"), np.array([False, False]), 1).size
    (320, 96)
    """
    s = index(s, "s", len(labels))
    if len(labels) > MOST_STATES:  # nobody could read them
        labels, terminal, s = labels[s : s + 1], terminal[s : s + 1], 0
    columns = int(np.ceil(np.sqrt(len(labels))))
    rows = -(-len(labels) // columns)
    width = min(160, WIDEST // columns)
    height = int(0.6 * width)
    image = Image.new("RGB", (columns * width, rows * height), WHITE)
    draw = ImageDraw.Draw(image)
    for k, label in enumerate(labels):
        x, y = k % columns * width, k // columns * height
        box = (x + 2, y + 2, x + width - 3, y + height - 3)
        fill = ORANGE if k == s else ROCK if terminal[k] else ICE
        edge, thick = (INK, max(2, width // 25)) if k == s else (LINE, 1)
        draw.rectangle(box, fill=fill, outline=edge, width=thick)
        _write(draw, label, (x + width / 2, y + height / 2), 0.84 * width, 0.45 * height)
    return image


def _margins(world: GridWorld) -> tuple[int, int, int, int]:
    """Squares beyond the map that the window may reach, at most one a side: top, left, ..."""
    offsets = np.array([(0, 0), *world.window.offsets])
    top, left = np.clip(-offsets.min(axis=0), 0, 1).tolist()
    bottom, right = np.clip(offsets.max(axis=0), 0, 1).tolist()
    return top, left, bottom, right


@lru_cache(maxsize=32)
def _ground(world: GridWorld, size: int) -> Pixels:
    """The map without the agent, with a line at its right and lower edge."""
    kinds, which = np.unique(world.tiles, return_inverse=True)
    tiles = [
        np.asarray(_tile(str(kind), "wall" if kind in world.walls else "free", size))
        for kind in kinds
    ]
    squares = np.array(tiles)[which.reshape(world.shape)]  # (rows, columns, size, size, 3)
    rows, columns = world.shape
    pixels = squares.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3)
    closed = np.empty((rows * size + 1, columns * size + 1, 3), np.uint8)
    closed[:] = np.asarray(Image.new("RGB", (1, 1), LINE))[0, 0]
    closed[:-1, :-1] = pixels
    return closed


@lru_cache(maxsize=256)
def _tile(kind: str, on_it: str, size: int) -> Image.Image:
    """One square: `on_it` is "wall", "free" or "agent"."""
    side = SHARP * size
    colour = WATER if kind == "C" else {"wall": ROCK, "free": ICE, "agent": HERE}[on_it]
    image = Image.new("RGB", (side, side), colour)
    draw = ImageDraw.Draw(image, "RGBA")
    agent = on_it == "agent"
    x, y, h = (0.74, 0.25, 0.36) if agent else (0.5, 0.5, 0.72)
    if kind in GLYPHS and kind != "S":
        _stamp(draw, kind, x * side, y * side, h * side)
    elif kind != ".":
        _write(draw, kind, (x * side, y * side), h * side, h * side, SHADE)
    if agent:
        _stamp(draw, "S", (0.5 if kind == "." else 0.38) * side, 0.54 * side, 0.76 * side)
    thick = SHARP if size >= 12 else SHARP // 2
    draw.line([(0, side), (0, 0), (side, 0)], fill=LINE, width=2 * thick)
    return image.reduce(SHARP)


def _stamp(draw: ImageDraw.ImageDraw, kind: str, x: float, y: float, h: float) -> None:
    """Fill the shapes of a glyph, whose middle is (x, y) and whose box h pixels."""
    for patch in GLYPHS[kind](x, y, h):
        path = patch.get_patch_transform().transform_path(patch.get_path())
        width = max(1, round(h * patch.get_linewidth() / 40))
        for corners in path.to_polygons(closed_only=False):
            points = [(px, py) for px, py in np.asarray(corners).tolist()]
            if patch.get_fill():
                draw.polygon(points, fill=_rgba(patch.get_facecolor()))
            draw.line(points, fill=_rgba(patch.get_edgecolor()), width=width, joint="curve")


def _write(
    draw: ImageDraw.ImageDraw,
    word: str,
    middle: tuple[float, float],
    width: float,
    height: float,
    colour: str = INK,
) -> None:
    """Write a word as large as fits into width x height pixels; not at all below 6."""
    length = ImageFont.load_default(100).getlength(word)
    size = min(height, 100 * width / length)
    if size >= 6:
        draw.text(middle, word, fill=colour, font=ImageFont.load_default(size), anchor="mm")


def _framed(image: Image.Image, size: int, margins: tuple[int, int, int, int]) -> Image.Image:
    """The map with rock around it, where the window reaches beyond."""
    top, left, bottom, right = (size * squares for squares in margins)
    framed = Image.new("RGB", (image.width + left + right, image.height + top + bottom), ROCK)
    framed.paste(image, (left, top))
    return framed


def _dashed(image: Image.Image, low: Any, high: Any, width: int) -> None:
    """Draw a dashed rectangle between two corners, white between the dashes, seen on any ground."""
    draw = ImageDraw.Draw(image)
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    draw.rectangle((x0, y0, x1, y1), outline=WHITE, width=width)
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for (a, b), (c, d) in pairwise(corners):
        length = abs(c - a) + abs(d - b)
        ends = np.linspace(0, 1, 2 * max(2, round(length / (8 * width))) + 2)
        for t, u in ends.reshape(-1, 2):
            dash = [(a + t * (c - a), b + t * (d - b)), (a + u * (c - a), b + u * (d - b))]
            draw.line(dash, fill=BOX, width=width)


def _rgba(colour: Any) -> tuple[int, int, int, int]:
    r, g, b, alpha = (round(255 * part) for part in colour)
    return r, g, b, alpha
