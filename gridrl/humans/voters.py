"""A person in the place of an oracle, and an oracle in the place of a person."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.humans.asking import Front, Poll, shown_by
from gridrl.preferences import PreferenceDataset, Segment
from gridrl.tables import generator
from gridrl.worlds import GridWorld


class Voter:
    """A person in the place of an oracle: `label` asks them and waits for the answer.

    In a notebook, let the learner run in a thread of its own, since the panel's buttons are heard
    only while no cell runs: `threading.Thread(target=...).start()`. An answer is final once it is
    handed on. The learner writes it to its dataset; nothing is written here.

    Args:
        world: the map.
        voter: a name, or "".
        front: as `ask_human`.

    >>> from gridrl.preferences import PreferenceOracle
    >>> from gridrl.worlds import penguin_world
    >>> person = Voter(penguin_world(), front=SimulatedHuman(PreferenceOracle(range(16))))
    >>> person.label(Segment([0, 1], [1, 1]), Segment([4, 5], [1, 1]))
    'right'
    """

    def __init__(self, world: GridWorld, *, voter: str = "", front: Front | None = None) -> None:
        self.poll = Poll(world, (), PreferenceDataset(), voter=voter)
        self._front = shown_by(front)
        self._asking = threading.Lock()

    @property
    def voter(self) -> str:
        """Who votes; a learner signs the votes it writes with it."""
        return self.poll.voter

    def label(
        self,
        first: Segment,
        second: Segment,
        rng: int | np.random.Generator | None = None,
    ) -> str:
        """Ask which clip is preferred: "left", "right", "tie" or "skip". `rng` is not needed.

        Raises:
            KeyboardInterrupt: the person stopped, or `stop` was called.
            RuntimeError: it would wait for a panel that cannot hear its buttons.
            Exception: the front end broke: the answers before this one were handed on.
        """
        with self._asking:
            self.poll.ask(first, second)
            try:
                return self._answer()
            except BaseException:
                self._withdraw()
                raise

    def _answer(self) -> str:
        poll = self.poll
        if hasattr(poll.front, "show"):
            poll.front.show()
        else:
            poll.front = self._front(poll)
        if poll.waiting and _deaf():
            raise RuntimeError(
                "a panel hears its buttons only while no cell runs: call the learner in"
                " threading.Thread(target=...).start()"
            )
        return poll.wait()

    def _withdraw(self) -> None:
        """Leave no open question behind: the next learner must not get its answer."""
        self.poll.withdraw()
        with suppress(Exception):  # what ended the question matters more
            if hasattr(self.poll.front, "show"):
                self.poll.front.show()

    def stop(self) -> None:
        """Let go of a learner that waits for an answer, or asks next; the one after it may ask."""
        self.poll.stop()


@dataclass(eq=False)
class SimulatedHuman:
    """An oracle that sits in for a person, at any front end.

    As a front end it answers straight away: `ask_human(..., front=SimulatedHuman(oracle))`.

    Attributes:
        oracle: has `.label(first, second, rng)`.
        rng: a seed, a Generator, or None for fresh chance.
    """

    oracle: Any
    rng: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        self.rng = generator(self.rng)

    def __call__(self, poll: Poll) -> None:
        """Answer all questions."""
        while poll.question is not None:
            poll.answer(self.says(poll))

    def says(self, poll: Poll) -> str:
        """Say what it thinks of the open question: "left", "right", "tie" or "skip"."""
        if poll.question is None:
            raise ValueError("poll must have an open question; all are answered")
        return str(self.oracle.label(*poll.question, self.rng))

    def click(self, poll: Poll, most: int | None = None) -> None:
        """Press the buttons of a poll's panel, for all questions or at most so many."""
        left = len(poll.questions) if most is None else most
        while poll.question is not None and left > 0:
            poll.front.buttons[self.says(poll)].click()
            left -= 1


def _deaf() -> bool:
    """Say whether waiting here would keep a notebook's kernel from hearing anything."""
    from gridrl.plot.frames import _in_notebook

    return _in_notebook() and threading.current_thread() is threading.main_thread()
