"""The things on the ice, in vector shapes of our own: each a list of patches around a point.

Every shape fits into a box of the given size, y pointing down as on the map, and can be told from
the others in grey.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.patches import Circle, Ellipse, Patch, Polygon, Rectangle

Glyph = Callable[[float, float, float], list[Patch]]

INK, ORANGE, WHITE, WATER = "#1b1b1b", "#e69f00", "#ffffff", "#2c4f73"


def penguin(x: float, y: float, size: float) -> list[Patch]:
    """The agent."""
    h = size
    return [
        Ellipse((x - 0.16 * h, y + 0.45 * h), 0.24 * h, 0.1 * h, color=ORANGE),
        Ellipse((x + 0.16 * h, y + 0.45 * h), 0.24 * h, 0.1 * h, color=ORANGE),
        Ellipse((x - 0.28 * h, y + 0.08 * h), 0.16 * h, 0.5 * h, angle=20, color=INK),
        Ellipse((x + 0.28 * h, y + 0.08 * h), 0.16 * h, 0.5 * h, angle=-20, color=INK),
        Ellipse((x, y), 0.58 * h, 0.96 * h, color=INK),
        Ellipse((x, y + 0.14 * h), 0.38 * h, 0.6 * h, color=WHITE),
        Ellipse((x, y - 0.24 * h), 0.36 * h, 0.26 * h, color=WHITE),
        Circle((x - 0.08 * h, y - 0.28 * h), 0.035 * h, color=INK),
        Circle((x + 0.08 * h, y - 0.28 * h), 0.035 * h, color=INK),
        _polygon(x, y, h, (-0.08, -0.22), (0.08, -0.22), (0, -0.1), color=ORANGE),
    ]


def fish(x: float, y: float, size: float) -> list[Patch]:
    """A reward."""
    h = size
    style: dict[str, Any] = {"facecolor": ORANGE, "edgecolor": INK, "linewidth": 0.8}
    return [
        _polygon(x, y, h, (0.16, 0), (0.5, -0.24), (0.42, 0), (0.5, 0.24), **style),
        Ellipse((x - 0.1 * h, y), 0.72 * h, 0.42 * h, **style),
        _polygon(x, y, h, (-0.12, 0.0), (0.08, -0.06), (0.08, 0.08), color=INK, alpha=0.5),
        Circle((x - 0.3 * h, y - 0.05 * h), 0.045 * h, color=INK),
    ]


def hole(x: float, y: float, size: float) -> list[Patch]:
    """A hole in the ice."""
    h = size
    return [
        Ellipse((x, y), h, 0.62 * h, facecolor=WATER, edgecolor=INK, linewidth=0.8),
        Ellipse((x + 0.06 * h, y + 0.06 * h), 0.7 * h, 0.36 * h, color="#0d1f33"),
    ]


def goal(x: float, y: float, size: float) -> list[Patch]:
    """A flag on a pole."""
    h = size
    return [
        Rectangle((x - 0.26 * h, y - 0.48 * h), 0.07 * h, 0.96 * h, color=INK),
        _polygon(
            x,
            y,
            h,
            (-0.19, -0.46),
            (0.42, -0.22),
            (-0.19, 0.04),
            facecolor="#009e73",
            edgecolor=INK,
        ),
    ]


def rock(x: float, y: float, size: float) -> list[Patch]:
    """No state."""
    h, corners = size, [(-0.5, 0.4), (-0.38, -0.12), (-0.1, -0.4), (0.22, -0.28), (0.5, 0.4)]
    return [
        _polygon(x, y, h, *corners, facecolor="#6e6e6e", edgecolor=INK, linewidth=0.8),
        _polygon(x, y, h, (-0.1, -0.4), (0.22, -0.28), (0.06, 0.02), color="#a8a8a8"),
    ]


def cliff(x: float, y: float, size: float) -> list[Patch]:
    """Open water: falling in costs, nobody stands there."""
    t = np.linspace(-0.5, 0.5, 30)
    wave = 0.08 * np.sin(4 * np.pi * t)
    return [
        Polygon(
            np.column_stack([x + size * t, y + size * (wave + dy)]),
            closed=False, fill=False, edgecolor=WHITE, linewidth=1.2,
        )
        for dy in (-0.22, 0.0, 0.22)
    ]  # fmt: skip


GLYPHS: dict[str, Glyph] = {
    "S": penguin,
    "F": fish,
    "H": hole,
    "G": goal,
    "#": rock,
    "C": cliff,
}


def _polygon(x: float, y: float, h: float, *corners: tuple[float, float], **style: Any) -> Patch:
    return Polygon([(x + h * dx, y + h * dy) for dx, dy in corners], **style)
