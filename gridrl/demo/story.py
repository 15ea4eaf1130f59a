"""What a part of the demo tells its story to: the terminal, the pictures' folder and the report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from gridrl.files import write_whole
from gridrl.plot.films import Film
from gridrl.plot.reports import Report, png_of


class Story:
    """Says and shows things, on the terminal and in the report.

    Attributes:
        out: the folder of the pictures.
        quick: less of everything that takes time.
        seed: what every part's random numbers start from.
    """

    def __init__(self, out: Path, *, quick: bool = False, seed: int = 0) -> None:
        self.out, self.quick, self.seed = out, quick, seed
        self.report = Report("gridrl: the penguin's world")

    def rng(self) -> np.random.Generator:
        """A Generator for one part; the same seed tells the same story, whatever parts are told."""
        return np.random.default_rng(self.seed)

    def heading(self, title: str) -> None:
        """Begin a part."""
        self.report.heading(title)
        print(f"\n{title}\n{'=' * len(title)}", flush=True)

    def say(self, text: str) -> None:
        """Say a paragraph."""
        words = " ".join(text.split())
        self.report.text(words)
        print("\n" + textwrap.fill(words, 88), flush=True)

    def board(self, lines: str) -> None:
        """Write lines as they are."""
        self.report.code(lines)
        print("\n" + textwrap.indent(lines, "    "), flush=True)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table; numbers with three decimals, columns aligned."""
        cells = [[_cell(x) for x in row] for row in rows]
        self.report.table(heads, cells)
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        lines = [_line(heads, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
        print(
            "\n" + textwrap.indent("\n".join([*lines, *(_line(r, widths) for r in cells)]), "    ")
        )

    def picture(self, name: str, ax: Axes, caption: str) -> None:
        """Save a picture, and show it in the report."""
        image = png_of(ax)
        plt.close(ax.get_figure(root=True))
        write_whole(self.out / f"{name}.png", image)
        self.report.picture(image, caption)
        print(f"\n    [{self.out / name}.png] {caption}", flush=True)

    def film(self, name: str, film: Film, caption: str) -> None:
        """Save a film as GIF, and show it in the report."""
        path = film.save(self.out / f"{name}.gif")
        self.report.picture(path.read_bytes(), caption, kind="gif")
        print(f"\n    [{path}] {caption}", flush=True)


def _cell(x: object) -> str:
    return f"{x:.3f}" if isinstance(x, float) else str(x)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = f"{cells[0]:<{widths[0]}}"
    rest = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([first, *rest])
