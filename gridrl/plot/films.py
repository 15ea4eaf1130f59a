"""Films: an algorithm's snapshots, one picture each, as a GIF or as a page with a player."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from gridrl.files import write_whole
from gridrl.plot.tables import policy, values
from gridrl.tables import Array, whole
from gridrl.worlds import GridWorld

Draw = Callable[[GridWorld, Any, Axes], object]


@dataclass(frozen=True, eq=False, repr=False)
class Film:
    """Pictures in a row: shown as a moving picture in Jupyter, saved as .gif or .html.

    Attributes:
        frames: the pictures, RGB.
        titles: a line for each.
        seconds: how long each one stands.
    """

    frames: Sequence[Image.Image] = field(repr=False)
    titles: Sequence[str]
    seconds: float = 0.5

    def save(self, path: str | Path) -> Path:
        """Write a .gif, or a .html page with a player and no need of a network.

        The file appears whole or not at all.

        Raises:
            ValueError: another ending.
            OSError: it could not be written; what was there before is still there.
        """
        target = Path(path)
        if target.suffix not in (".gif", ".html"):
            raise ValueError(f"path must end in .gif or .html; it is {str(path)!r}")
        write_whole(target, self._gif() if target.suffix == ".gif" else self._page().encode())
        return target

    def _gif(self) -> bytes:
        stream = io.BytesIO()
        few = [frame.quantize(64, dither=Image.Dither.NONE) for frame in self.frames]
        stand = [int(1000 * self.seconds)] * (len(few) - 1) + [int(4000 * self.seconds)]
        few[0].save(stream, "GIF", save_all=True, append_images=few[1:], duration=stand, loop=0)
        return stream.getvalue()

    def _page(self) -> str:
        images = [f"data:image/png;base64,{_base64(png(frame))}" for frame in self.frames]
        return PLAYER.replace("IMAGES", repr(images)).replace(
            "TITLES", repr([html.escape(title) for title in self.titles])
        )

    def _repr_html_(self) -> str:
        return f'<img alt="film" src="data:image/gif;base64,{_base64(self._gif())}">'

    def __repr__(self) -> str:
        return f"Film({len(self.frames)} frames)"


def animate(
    world: GridWorld,
    iterates: Iterable[Any],
    path: str | Path | None = None,
    *,
    draw: Draw | None = None,
    titles: Sequence[str] | None = None,
    frames: int = 40,
    seconds: float = 0.5,
) -> Film:
    """Draw snapshot after snapshot into a `Film`, and save it if a path is given.

    Args:
        world: the map.
        iterates: snapshots with .V and .policy, say `value_iteration.iterates(mdp)`; or tables V.
        path: where to save it, .gif or .html; None does not.
        draw: another picture: a function of (world, snapshot, axes).
        titles: what stands above each snapshot; None: its number, and its bound if it has one.
        frames: at most so many pictures, spread evenly, the first and the last among them.
        seconds: how long each picture stands.

    >>> from itertools import islice
    >>> from gridrl.planning import value_iteration
    >>> from gridrl.worlds import GridWorld
    >>> world = GridWorld.from_text("S.F")
    >>> animate(world, islice(value_iteration.iterates(world.mdp(gamma=0.9)), 3))
    Film(3 frames)

    Raises:
        ValueError: there is no snapshot; not one title each.
    """
    snapshots = in_a_row(iterates)
    if not snapshots:
        raise ValueError("iterates must hold at least one snapshot; it is empty")
    if titles is not None and len(titles) != len(snapshots):
        raise ValueError(
            f"titles must be one a snapshot; there are {len(titles)} for {len(snapshots)}"
        )
    count = min(len(snapshots), whole(frames, "frames", least=1))
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, count).round().astype(int))
    paint = _painter(snapshots) if draw is None else draw
    names = [
        f"{k + 1} of {len(snapshots)}{_promise(snapshots[k])}" if titles is None else titles[k]
        for k in chosen
    ]
    pictures = [
        render(world, snapshots[k], paint, name) for k, name in zip(chosen, names, strict=True)
    ]
    film = Film(pictures, names, seconds)
    if path is not None:
        film.save(path)
    return film


def render(world: GridWorld, snapshot: Any, draw: Draw, title: str) -> Image.Image:
    """Draw one snapshot into a picture, without a display."""
    rows, columns = world.shape
    inches = float(np.clip(6 / max(rows, columns), 0.25, 1.2))
    figure = Figure(figsize=(max(columns * inches, 3.4) + 0.3, rows * inches + 0.7), dpi=100)
    ax = figure.add_axes((0.07, 0.03, 0.9, 0.97 - 0.4 / (rows * inches + 0.7)))
    draw(world, snapshot, ax)
    figure.text(0.5, 1 - 0.24 / (rows * inches + 0.7), title, ha="center", va="center", size=12)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream).convert("RGB")


def in_a_row(iterates: Iterable[Any], most: int | None = None) -> list[Any]:
    """All snapshots, or the first `most`; a TypeError for a single one."""
    if not isinstance(iterates, Iterable):
        raise TypeError(
            f"iterates must be snapshots in a row, say value_iteration.iterates(mdp);"
            f" it is {iterates!r}"
        )
    return list(islice(iterates, most))


def values_of(snapshot: Any) -> Array:
    """What a snapshot says of each state: .V, of an average reward its .bias; or a table itself."""
    return np.asarray(getattr(snapshot, "V", getattr(snapshot, "bias", snapshot)))


def draw_snapshot(
    world: GridWorld, snapshot: Any, ax: Axes, limits: tuple[float, float] | None = None
) -> None:
    """Draw .V and .policy of a snapshot, of time `t` if it depends on the time; or a table V."""
    V, pi = values_of(snapshot), getattr(snapshot, "policy", None)
    if V.ndim == 2:
        V, pi = V[snapshot.t], pi[snapshot.t] if pi is not None else None
    values(world, V, limits=limits, ax=ax)
    if pi is not None:
        policy(world, pi, ax=ax)


def png(image: Image.Image) -> bytes:
    """A picture as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _painter(snapshots: Sequence[Any]) -> Draw:
    """The default picture, with one colour scale for the whole film."""
    seen = [values_of(snapshot) for snapshot in snapshots]
    if not any(V.any() for V in seen) and hasattr(snapshots[0], "policy"):  # nothing but a policy
        return lambda world, snapshot, ax: policy(world, snapshot.policy, ax=ax)
    limits = min(float(V.min()) for V in seen), max(float(V.max()) for V in seen)
    return lambda world, snapshot, ax: draw_snapshot(world, snapshot, ax, limits)


def _promise(snapshot: Any) -> str:
    bound = getattr(snapshot, "bound", None)
    return "" if bound is None or not np.isfinite(bound) else f"    error at most {bound:.2g}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


PLAYER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>gridrl film</title>
<style>body{font:18px sans-serif;text-align:center;margin:1em}img{max-width:95vw;max-height:78vh}
button{font-size:22px;min-width:3em;margin:0 .2em}input{width:60%}</style></head><body>
<img id="picture" alt=""><p id="title"></p>
<p><button id="back" aria-label="back">&#9664;</button><button id="play" aria-label="play">play
</button><button id="on" aria-label="forward">&#9654;</button></p>
<input id="at" type="range" min="0" value="0" aria-label="picture">
<script>
const images = IMAGES, titles = TITLES;
const get = id => document.getElementById(id);
let timer = null;
function show(k) {
  k = Math.max(0, Math.min(images.length - 1, k));
  get("at").value = k;
  get("picture").src = images[k];
  get("picture").alt = titles[k];
  get("title").innerHTML = titles[k];
}
function stop() { clearInterval(timer); timer = null; get("play").textContent = "play"; }
get("at").max = images.length - 1;
get("at").oninput = () => show(+get("at").value);
get("back").onclick = () => { stop(); show(+get("at").value - 1); };
get("on").onclick = () => { stop(); show(+get("at").value + 1); };
get("play").onclick = () => {
  if (timer) return stop();
  get("play").textContent = "pause";
  timer = setInterval(() => show((+get("at").value + 1) % images.length), 500);
};
document.onkeydown = e => {
  if (e.key === "ArrowRight") get("on").click();
  if (e.key === "ArrowLeft") get("back").click();
};
show(0);
</script></body></html>
"""
