"""Rich representations for Jupyter: static HTML tables, user text escaped, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from gridrl.tables import Array

ROWS = 40  # a longer table is cut, and says so
CELL = "padding:2px 7px;text-align:right"


def number(x: float) -> str:
    """Up to four digits, no trailing zeros.

    >>> number(1 / 3), number(2.0), number(0.0), number(-12.34567)
    ('0.3333', '2', '0', '-12.35')
    """
    return f"{x:.4g}" if x else "0"


def html_table(
    corner: str, columns: Sequence[str], rows: Sequence[str], cells: Array, *, shade: bool = False
) -> str:
    """Lay out numbers `cells` (rows, columns) with their headings; `shade` tints positive ones."""
    shown, width = min(len(rows), ROWS), min(len(columns), ROWS)
    head = _row("th", [corner, *columns[:width]], [""] * (width + 1))
    body = [
        _row(
            "td",
            [rows[i], *map(number, cells[i, :width])],
            ["font-weight:bold", *(_grey(x) if shade else "" for x in cells[i, :width])],
        )
        for i in range(shown)
    ]
    left = len(rows) > shown or len(columns) > width
    cut = f"<p>the first {shown} x {width} of {len(rows)} x {len(columns)}</p>" if left else ""
    return f'<table style="font-size:90%">{head}{"".join(body)}</table>{cut}'


def _row(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    inside = "".join(
        f'<{tag} style="{CELL};{style}">{escape(cell)}</{tag}>'
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{inside}</tr>"


def _grey(x: float) -> str:
    return f"background:rgba(0,114,178,{0.5 * np.clip(x, 0, 1):.2f})" if x > 0 else "opacity:0.4"
