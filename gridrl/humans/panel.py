"""Asking in a notebook: two clips that play side by side, and buttons.

Keys, as in the paper: left, right, up for a tie, down for cannot tell; besides R to play again,
space to pause, U to take the last vote back. They are heard after a click into the panel, where the
front end runs the few lines of script that come with it; the buttons work everywhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from itertools import count
from typing import Any

from numpy.typing import ArrayLike
from PIL import Image

from gridrl.humans.asking import Poll
from gridrl.humans.clips import SECONDS, clip_frames, gif
from gridrl.plot.films import png, render
from gridrl.plot.tables import values
from gridrl.preferences import Comparison, RewardEnsemble

Learn = Callable[[Sequence[Comparison]], ArrayLike]
VOTES = {"left": "◀ left", "tie": "▲ tie", "skip": "▼ can't tell", "right": "right ▶"}
TOOLS = {"replay": "replay (R)", "pause": "pause (space)", "undo": "undo (U)"}
NUMBERS = count(1)  # of the panels in this process


class Panel:
    """The widgets for one poll; `in_notebook` makes one and displays it.

    Args:
        poll: the questions.
        learn: makes a reward table (S,) of the votes, drawn beside the clips; None draws none.
        seconds: how long a step of a clip stands.

    Attributes:
        poll: the questions.
        buttons: by name: left, tie, skip, right, replay, pause, undo.
        clips: the pictures on the left and on the right.
        step: which moment is shown while the clips pause.
        status: what there is to say.
        map: the learned reward.
        box: all of it.
        trouble: the last error while something was shown; no vote is lost by it.

    Raises:
        ImportError: ipywidgets is not installed; the extra `notebooks` brings it.
    """

    def __init__(self, poll: Poll, *, learn: Learn | None, seconds: float = SECONDS) -> None:
        widgets = _ipywidgets()
        self.poll, self.learn, self.seconds = poll, learn, seconds
        self.trouble: Exception | None = None
        self._alone = threading.RLock()  # a learner's thread shows, a kernel's thread hears
        self.name = f"gridrl-panel-{next(NUMBERS)}"
        self._frames: list[list[Image.Image]] = [[], []]
        self._gifs, self._since = [b"", b""], 0.0
        whole = {"flex": "0 0 auto"}  # a narrow page wraps and does not cut clips off
        self.clips = [widgets.Image(format="gif", layout=whole) for _ in range(2)]
        self.map = widgets.Image(format="png", layout=whole | {"width": "340px"})
        self.status = widgets.HTML()
        self.step = widgets.IntSlider(description="step", disabled=True, min=1, max=1)
        self.buttons = {
            name: widgets.Button(description=text) for name, text in (VOTES | TOOLS).items()
        }
        for name, button in self.buttons.items():
            button.add_class(f"gridrl-{name}")
            button.on_click(lambda _, name=name: self.press(name))
        self.step.observe(lambda _: self._still(), "value")
        self.box = self._laid_out(widgets)

    def _laid_out(self, widgets: Any) -> Any:
        votes = widgets.HBox([self.buttons[name] for name in VOTES])
        tools = widgets.HBox([*(self.buttons[name] for name in TOOLS), self.step])
        parts = [widgets.HBox(self.clips), votes, tools, self.status]
        asking = widgets.VBox(parts, layout={"flex": "0 0 auto"})
        box = widgets.HBox([asking, self.map], layout={"flex_flow": "row wrap"})
        box.add_class(self.name)
        return box

    def press(self, name: str) -> None:
        """Do what a button says; what cannot be done is said in the status line."""
        with self._alone:
            self._press(name)

    def _press(self, name: str) -> None:
        if name in ("replay", "pause"):
            return self._play() if name == "replay" or self.paused else self._pause()
        votes, said = len(self.poll.votes), ""
        try:
            self.poll.answer(name)
        except Exception as error:
            self.trouble = error
            done = len(self.poll.votes) != votes
            said = f"<b>{'Saved, but' if done else 'Not done'}:</b> {escape(str(error))}"
        try:
            self.show()
        except Exception as error:  # the vote is on the disk: the person goes on, or stops
            self.trouble = error
            said = said or f"<b>Saved, but it cannot be shown:</b> {escape(str(error))}"
        if said:
            self._say(said)

    def show(self) -> None:
        """Show the open question, the count of votes and the reward learned from them."""
        with self._alone:
            self._show()

    def _show(self) -> None:
        question = self.poll.question
        for name in (*VOTES, "replay", "pause"):  # undo stays: it may come before this is shown
            self.buttons[name].disabled = question is None
        if question is not None:
            self._frames = [clip_frames(self.poll.world, clip) for clip in question]
            stand = round(1000 * self.seconds)
            self._gifs = [gif(frames, stand) for frames in self._frames]
            self._play()
        self._say(self._count())
        self._learned()

    @property
    def paused(self) -> bool:
        """Whether the clips stand still."""
        return not self.step.disabled

    def _play(self) -> None:
        self.step.disabled, self._since = True, time.monotonic()
        self.buttons["pause"].description = TOOLS["pause"]
        for clip, moving in zip(self.clips, self._gifs, strict=True):
            clip.value = b""  # a browser begins anew only what has changed
            clip.value = moving

    def _pause(self) -> None:
        """Stop about where the clips are; the slider goes to any moment."""
        most = max(map(len, self._frames))
        over = int((time.monotonic() - self._since) / self.seconds) % (most + 2)  # the last stands
        self.step.max, self.step.disabled = most, False
        self.step.value = min(over + 1, most)
        self.buttons["pause"].description = "play (space)"
        self._still()

    def _still(self) -> None:
        if self.paused:
            for clip, frames in zip(self.clips, self._frames, strict=True):
                clip.value = gif([frames[min(self.step.value, len(frames)) - 1]], 100)

    def _learned(self) -> None:
        votes = self.poll.dataset.labelled
        if self.learn is None or not votes:
            return
        reward = self.learn(votes)
        picture = render(
            self.poll.world, reward, lambda world, r, ax: values(world, r, ax=ax),
            f"the reward learned from {len(votes)} votes",
        )  # fmt: skip
        self.map.value = png(picture)

    def _count(self) -> str:
        poll = self.poll
        given = ", ".join(f"{n} {label}" for label, n in poll.counts.items() if n)
        if poll.question is None:
            return f"<b>All {len(poll.votes)} questions answered. Thank you.</b> {given}"
        return (
            f"<b>Question {len(poll.votes) + 1} of {len(poll.questions)}:</b> in which clip do"
            f" better things happen? {given}"
        )

    def _say(self, text: str) -> None:
        with suppress(Exception):  # a broken status line must not stop the person
            self.status.value = text


def in_notebook(
    poll: Poll, *, learn: Learn | None = None, seconds: float = SECONDS, beside: bool = True
) -> Panel:
    """Ask the questions of a poll in a panel below the cell; return at once.

    Args:
        poll: the questions.
        learn: makes a reward table (S,) of the votes, to be drawn beside the clips; None is an
            ensemble.
        seconds: how long a step of a clip stands.
        beside: whether the learned reward is drawn.

    Raises:
        ImportError: ipywidgets is not installed; the extra `notebooks` brings it.
        Exception: the panel cannot be displayed; `front=in_terminal` asks without one.
    """
    from IPython.display import HTML, display

    learned = (learn or _ensemble(poll)) if beside else None
    panel = Panel(poll, learn=learned, seconds=seconds)
    panel.show()
    display(panel.box)  # type: ignore[no-untyped-call]
    display(HTML(SCRIPT.replace("PANEL", panel.name)))  # type: ignore[no-untyped-call]
    return panel


def _ensemble(poll: Poll) -> Learn:
    shape = (poll.world.n_states,)
    return lambda votes: RewardEnsemble(shape, rng=0).fit(votes).reward


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            "the panel needs ipywidgets: pip install 'gridrl[notebooks]';"
            " or ask_human(..., front=in_terminal)"
        ) from error
    return ipywidgets


# Heard on the window, before a notebook's own shortcuts; the second click of a double click would
# be a vote on clips that nobody has seen yet.
SCRIPT = """<script>(() => {
const keys = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "skip",
  r: "replay", " ": "pause", u: "undo"};
const inside = e => e.target.closest && e.target.closest(".PANEL");
const typing = e => e.target.closest && e.target.closest("input, textarea, [contenteditable=true]");
let here = null;
window.addEventListener("pointerdown", e => { here = inside(e); }, true);
window.addEventListener("click", e => {
  if (inside(e) && e.detail > 1) { e.preventDefault(); e.stopImmediatePropagation(); }
}, true);
const hear = e => {
  const name = keys[e.key];
  if (!here || !here.isConnected || !name || typing(e)) return;
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  e.preventDefault();
  e.stopImmediatePropagation();
  if (e.type === "keydown" && !e.repeat) here.querySelector(".gridrl-" + name).click();
};
window.addEventListener("keydown", hear, true);
window.addEventListener("keyup", hear, true);  // a space that is let go presses what has the focus
})();</script>"""
