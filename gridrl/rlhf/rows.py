"""The table of methods: a row each, on a terminal and in Jupyter.

Symbols: K seeds; P prompts, N answers to each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from gridrl.tables import Array, restore

COLUMNS = ("J", "gap", "KL", "gold", "wins", "length")


@dataclass(frozen=True, eq=False)
class Row:
    """A method's results over seeds.

    Attributes:
        name: of the method.
        means, spreads: of J, gap, KL, gold reward, win rate against the reference, and length.
        labels: votes or demonstrations that it used.
        seconds: a seed.
        probs: the policies that it found, (K, P, N).
    """

    name: str
    means: Mapping[str, float]
    spreads: Mapping[str, float]
    labels: int
    seconds: float
    probs: Array

    __setstate__ = restore

    @property
    def cells(self) -> tuple[str, ...]:
        """Means, that of J with its spread over seeds; labels and seconds."""
        J, *others = (f"{self.means[column]:.3f}" for column in COLUMNS)
        return (f"{J} ± {self.spreads['J']:.3f}", *others, str(self.labels), f"{self.seconds:.3f}")

    def __repr__(self) -> str:
        cells = ", ".join(f"{name} {self.means[name]:.3f}" for name in COLUMNS)
        return f"Row({self.name}: {cells})"


class Rows(tuple[Row, ...]):
    """Rows of methods, which print as a table."""

    __slots__ = ()

    @property
    def _lines(self) -> list[tuple[str, ...]]:
        heads = ("method", COLUMNS[0] + " ± sd", *COLUMNS[1:], "labels", "seconds")
        return [heads, *((row.name, *row.cells) for row in self)]

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._lines, strict=True)]
        lines = []
        for name, *cells in self._lines:
            rest = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([f"{name:<{widths[0]}}", *rest]))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads, *rows = self._lines
        head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
        body = "".join(
            f'<tr><td style="text-align:left;font-weight:bold">{escape(name)}</td>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in rows
        )
        return f"<table><tr>{head}</tr>{body}</table>"
