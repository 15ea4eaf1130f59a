"""Asking a person: questions one after the other, and nothing that was answered gets lost.

A `Poll` holds the questions and takes the answers; a front end shows the one that is open and hands
on what was said. A front end is a function of a poll: a panel in a notebook, text in a terminal, or
a `SimulatedHuman`, and it may break at any time, since an answer is on the disk before it is
acknowledged.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.2 and appendix B.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gridrl.humans.clips import moments
from gridrl.humans.questions import Pair, check_dataset, checked, still_open
from gridrl.preferences import Comparison, PreferenceDataset, Segment
from gridrl.preferences.segments import LABELS
from gridrl.tables import generator
from gridrl.worlds import GridWorld

Hear = Callable[[Comparison], object]


class Poll:
    """Questions to one person, in order, and the answers so far.

    Args:
        world: the map the clips are from.
        questions: pairs of clips.
        dataset: where the votes go, at once.
        voter: who answers.
        on_vote: is called with each vote once it is on the disk.

    Attributes:
        questions: all of them, (n).
        votes: those given here and not taken back.
        seconds: how long each of the votes took.
        front: what the front end returned, the panel in a notebook.
    """

    def __init__(
        self,
        world: GridWorld,
        questions: Iterable[Pair],
        dataset: PreferenceDataset,
        *,
        voter: str = "",
        on_vote: Hear | None = None,
    ) -> None:
        self.world, self.dataset, self.voter = world, dataset, voter
        self.questions = list(questions)
        self.votes: list[Comparison] = []
        self.seconds: list[float] = []
        self.front: Any = None
        self._on_vote = on_vote
        self._final = 0  # votes that cannot be taken back any more
        self._since = time.monotonic()
        self._stopped = False
        self._changed = threading.Condition(threading.RLock())

    @property
    def question(self) -> Pair | None:
        """The open question; None when all are answered."""
        at = len(self.votes)
        return self.questions[at] if at < len(self.questions) else None

    @property
    def waiting(self) -> bool:
        """Whether a question is open and somebody may still answer it."""
        return self.question is not None and not self._stopped

    @property
    def can_undo(self) -> bool:
        """Whether there is a vote that can still be taken back."""
        return len(self.votes) > self._final

    @property
    def counts(self) -> dict[str, int]:
        """How often each answer was given."""
        given = Counter(vote.label for vote in self.votes)
        return {label: given[label] for label in LABELS}

    def answer(self, word: str) -> None:
        """Take "left", "right", "tie" or "skip" as the answer to the open question; or "undo".

        Raises:
            ValueError: another word; there is nothing to answer, or to undo.
            OSError: the disk did not take the vote: the question stays open.
        """
        with self._changed:
            said = self._undo() if word == "undo" else self._vote(word)
            self._since = time.monotonic()
            self._changed.notify_all()
        if word != "undo" and self._on_vote is not None:
            self._on_vote(said)

    def _vote(self, label: str) -> Comparison:
        if self.question is None:
            raise ValueError(f"answer must be to an open question; {label!r} came after the last")
        vote = Comparison(*self.question, label, self.voter)
        self.dataset.append(vote)
        self.votes.append(vote)
        self.seconds.append(time.monotonic() - self._since)
        return vote

    def _undo(self) -> Comparison:
        if not self.can_undo:
            raise ValueError("undo must follow a vote; there is none to take back")
        theirs = [vote for vote in self.dataset.comparisons if vote.voter == self.voter]
        if not theirs or theirs[-1].pair != self.votes[-1].pair:
            raise ValueError(
                f"undo must be of the last vote of {self.voter!r}; a later one is there"
            )
        taken = self.dataset.retract(self.voter)
        del self.votes[-1], self.seconds[-1]
        return taken

    def ask(self, first: Segment, second: Segment) -> None:
        """Add a question."""
        moments(self.world, first), moments(self.world, second)
        with self._changed:
            if self.question is None:
                self._since = time.monotonic()
            self.questions.append((first, second))

    def wait(self) -> str:
        """Wait until no question is open; return the last answer. All of them are final then.

        Raises:
            KeyboardInterrupt: somebody called `stop`.
        """
        with self._changed:
            while self.question is not None:
                if self._stopped:
                    self._stopped = False  # it was heard: whoever asks later is answered again
                    raise KeyboardInterrupt("the person who was asked has stopped")
                self._changed.wait(0.2)  # in slices, so that Ctrl-C gets through
            self._final = len(self.votes)
            return self.votes[-1].label

    def withdraw(self) -> None:
        """Take back the open questions, and the answers that `wait` has not handed on."""
        with self._changed:
            while self.can_undo:
                self._undo()
            del self.questions[len(self.votes) :]

    def stop(self) -> None:
        """Let go of whoever waits, or of who waits next: no more answers will come."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __repr__(self) -> str:
        said = ", ".join(f"{n} {label}" for label, n in self.counts.items() if n)
        return f"Poll({len(self.votes)} of {len(self.questions)} answered: {said or 'none'})"


Front = Callable[[Poll], object]


def ask_human(
    world: GridWorld,
    pairs: Iterable[Pair],
    dataset: PreferenceDataset,
    *,
    voter: str = "",
    checks: float = 0.1,
    front: Front | None = None,
    on_vote: Hear | None = None,
    rng: int | np.random.Generator | None = None,
) -> Poll:
    """Ask a person which of two clips they prefer, pair after pair.

    In a notebook a panel appears and the call returns at once; in a terminal it returns when the
    last question is answered or the person stops. Attention checks: some pairs come again later
    with left and right exchanged, see `agreement`. Called again, it goes on where this voter
    stopped: with the pairs, and the repetitions, that they have not answered.

    Args:
        world: the map.
        pairs: of clips.
        dataset: where the votes go; each is there before the next question.
        voter: a name, or "".
        checks: repeated questions, as a share of the pairs.
        front: what shows the questions: `in_notebook`, `in_terminal`, a `SimulatedHuman`, or any
            function of a poll; None is the one for where this runs.
        on_vote: is called with each vote once it is on the disk.
        rng: chooses the repeated pairs: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.humans import SimulatedHuman
    >>> from gridrl.preferences import PreferenceOracle
    >>> from gridrl.worlds import penguin_world
    >>> pair = Segment([0, 1], [1, 1], final=2), Segment([2, 3], [1, 2], final=7)
    >>> human = SimulatedHuman(PreferenceOracle([0, 0, 0, 1] + 12 * [0]))
    >>> ask_human(penguin_world(), [pair], PreferenceDataset(), front=human)
    Poll(1 of 1 answered: 1 right)

    Raises:
        TypeError, ValueError: something else than pairs of clips of this world, or a dataset of
            another one; nobody is asked then.
        OSError: the dataset's disk did not take a vote, where the front end cannot ask again.
    """
    known = checked(world, pairs)
    shows = shown_by(front)
    check_dataset(dataset, known)
    if on_vote is not None and not callable(on_vote):
        raise TypeError(f"on_vote must be a function of a vote; it is {on_vote!r}")
    given = Counter(vote.pair for vote in dataset.comparisons if vote.voter == voter)
    questions = still_open(known, checks, given, generator(rng))
    poll = Poll(world, questions, dataset, voter=voter, on_vote=on_vote)
    poll.front = shows(poll)
    return poll


def front_of_here() -> Front:
    """The front end for where this runs: a panel in a notebook, else the terminal."""
    from gridrl.humans.panel import in_notebook
    from gridrl.humans.terminal import in_terminal
    from gridrl.plot.frames import _in_notebook

    return in_notebook if _in_notebook() else in_terminal


def shown_by(front: Front | None) -> Front:
    """Return the front end, or the one for where this runs; an error says what is none."""
    if front is not None and not callable(front):
        raise TypeError(f"front must be a function of a poll, as in_terminal; it is {front!r}")
    return front or front_of_here()
