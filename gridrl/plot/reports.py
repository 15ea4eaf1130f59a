"""A report: titles, paragraphs, tables and pictures on one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from matplotlib.axes import Axes

from gridrl.files import write_whole

STYLE = """body{font:17px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#1b1b1b}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right}
th{border-bottom:2px solid #1b1b1b}td:first-child,th:first-child{text-align:left}
img{max-width:100%}figure{margin:1em 0}figcaption{color:#4a4a4a}
pre{background:#f3f6f8;padding:.7em;overflow-x:auto}"""


class Report:
    """Blocks of HTML, one after the other; `save` writes the page whole or not at all.

    >>> report = Report("The penguin")
    >>> report.text("Where does it go?")
    >>> "<p>Where does it go?</p>" in report.page()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.blocks: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        self.blocks.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.blocks.append(f"<p>{escape(text)}</p>")

    def code(self, text: str) -> None:
        """Add lines as they are, in a fixed width."""
        self.blocks.append(f"<pre>{escape(text)}</pre>")

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table, a line a row."""
        lines = [_cells("th", heads), *(_cells("td", row) for row in rows)]
        self.blocks.append(f"<table>{''.join(lines)}</table>")

    def picture(self, image: bytes, caption: str, *, kind: str = "png") -> None:
        """Add a picture, PNG or GIF, inside the page."""
        source = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
        alt = escape(caption, quote=True)
        self.blocks.append(
            f'<figure><img alt="{alt}" src="{source}"><figcaption>{alt}</figcaption></figure>'
        )

    def page(self) -> str:
        """The whole page."""
        title, body = escape(self.title), "\n".join(self.blocks)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        return (
            f'<!doctype html><html lang="en"><head>{head}</head>'
            f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Raises:
            OSError: it could not be written; what was there before is still there.
        """
        write_whole(Path(path), self.page().encode())
        return Path(path)


def png_of(ax: Axes, *, dpi: int = 110) -> bytes:
    """The figure that `ax` is on, as PNG."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax must be on a figure; it was removed")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, bbox_inches="tight")
    return stream.getvalue()


def _cells(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
