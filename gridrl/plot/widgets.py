"""The stepper: forward and back through any algorithm, with the arithmetic beside the picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gridrl.plot.films import Draw, _painter, in_a_row, png, render
from gridrl.tables import whole
from gridrl.worlds import GridWorld


def stepper(
    world: GridWorld,
    iterates: Iterable[Any],
    *,
    draw: Draw | None = None,
    steps: int = 500,
) -> Any:
    """Make a notebook widget that goes forward and back through snapshots, one picture each.

    Beside the picture stands the arithmetic of the last update (`snapshot.explain`), of the state
    that changed most, or of the one chosen from the list.

    Args:
        world: the map.
        iterates: snapshots, say `value_iteration.iterates(mdp)`.
        draw: another picture: a function of (world, snapshot, axes).
        steps: at most so many snapshots are kept.

    Raises:
        ImportError: ipywidgets is not installed; the extra `notebooks` brings it.
        ValueError: there is no snapshot.
    """
    try:
        import ipywidgets as widgets
    except ImportError as error:
        raise ImportError("stepper needs ipywidgets: pip install 'gridrl[notebooks]'") from error
    most = whole(steps, "steps", least=1)
    snapshots = in_a_row(iterates, most)
    if not snapshots:
        raise ValueError("iterates must hold at least one snapshot; it is empty")
    paint = _painter(snapshots) if draw is None else draw

    at = widgets.IntSlider(0, 0, len(snapshots) - 1, description="step")
    choices = [("the one that changed most", -1), *((s, k) for k, s in enumerate(world.labels))]
    state = widgets.Dropdown(options=choices, value=-1, description="state")
    back, forward = widgets.Button(description="◀ back"), widgets.Button(description="forward ▶")
    play = widgets.Play(min=0, max=len(snapshots) - 1, interval=700)
    picture, words = widgets.Image(format="png"), widgets.HTML()

    def move(by: int) -> None:
        at.value = min(max(at.value + by, at.min), at.max)

    def show(_: object = None) -> None:
        title = f"step {at.value + 1} of {len(snapshots)}"
        picture.value = png(render(world, snapshots[at.value], paint, title))
        words.value = _board(_explanation(snapshots[at.value], state.value))

    back.on_click(lambda _: move(-1))
    forward.on_click(lambda _: move(+1))
    widgets.link((play, "value"), (at, "value"))
    at.observe(show, "value")
    state.observe(show, "value")
    show()
    buttons = widgets.HBox([back, forward, play, at])
    return widgets.VBox([buttons, state, widgets.HBox([picture, words])])


def _explanation(snapshot: Any, state: int) -> str:
    explain = getattr(snapshot, "explain", None)
    return "" if explain is None else str(explain(None if state < 0 else state))


def _board(text: str) -> str:
    from html import escape

    if not text:
        return ""
    lines = [  # symbols, numbers and result of an action under each other
        line.replace(" = ", "\n    = ") if line.count(" = ") == 2 else line
        for line in text.splitlines()
    ]
    board = escape("\n".join(lines))
    return f"<pre style='font-size:120%;white-space:pre-wrap'>{board}</pre>"
