"""The votes, kept in a file to which lines are appended and nothing else is done.

A vote is on the disk before `append` returns: once acknowledged, it survives a kill at any moment.
One that was a slip is taken back by a later line that says so. Files may be joined by `cat`.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.2 (the database D).
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from errno import EISDIR, ENOENT
from pathlib import Path

from gridrl.files import write_whole
from gridrl.preferences.records import (
    UNREADABLE,
    Retraction,
    append_line,
    from_line,
    split,
    to_line,
)
from gridrl.preferences.segments import Comparison, Segment, pair_of

WRITING = threading.RLock()


class PreferenceDataset:
    """Comparisons, each on the disk before the next.

    Several processes may append to one file; `refresh` reads what the others wrote.

    Args:
        path: the file, read if it is there and made by the first vote; None is memory only.
        world: the fingerprint of the world; "" is that of the first vote. A vote from another
            world is refused.

    Attributes:
        path: as given.
        damaged: what could not be read, as "line 7: ..."; the rest is kept.

    >>> votes = PreferenceDataset()
    >>> votes.append(Comparison(Segment([0], [1]), Segment([2], [1]), "skip"))
    >>> votes, votes.labelled
    (PreferenceDataset(1 vote, 0 of them labelled), ())

    Raises:
        OSError: the folder is not there, or the file cannot be read.
        ValueError: the file holds something else, or votes from another world.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, world: str = "") -> None:
        self.path = None if path is None else Path(path)
        self.damaged: list[str] = []
        self._given = str(world) or None
        self._world = self._given
        self._votes: list[Comparison] = []
        self._pairs: Counter[str] = Counter()
        self._wrote = False
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(ENOENT, "there is no such folder", str(self.path.parent))
        if self.path is not None and self.path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder", str(self.path))
        self.refresh()

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, world: str = "") -> PreferenceDataset:
        """Open a file that must be there; votes to come are appended to it.

        Raises:
            FileNotFoundError: it is not there.
            OSError, ValueError: as the class.
        """
        if not Path(path).exists():
            raise FileNotFoundError(ENOENT, "there is no such file", str(path))
        return cls(path, world=world)

    @property
    def world(self) -> str:
        """The fingerprint of the world, "" as long as it is not known."""
        return self._world or ""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All that were not taken back, the oldest first."""
        return tuple(self._votes)

    @property
    def labelled(self) -> tuple[Comparison, ...]:
        """Those that say something: without "skip"."""
        return tuple(vote for vote in self.comparisons if vote.label != "skip")

    def asked(self, first: Segment, second: Segment) -> bool:
        """Say whether there is a vote on this pair, whichever clip was on the left."""
        return self._pairs[pair_of(first, second)] > 0

    def append(self, comparison: Comparison) -> None:
        """Write a vote and return when it is on the disk.

        Raises:
            TypeError: not a Comparison.
            ValueError: its clips are from another world; both are named.
            OSError: the disk is full or does not answer. The vote is then not in the file, and not
                among the comparisons: ask again.
        """
        if not isinstance(comparison, Comparison):
            raise TypeError(f"comparison must be a Comparison; it is a {type(comparison).__name__}")
        with WRITING:
            if not self._wrote:
                self.refresh()  # another process may have had the first word
            _check_world(self._world, comparison, "comparison")
            self._write(comparison)
            self._wrote = True
            self._world = comparison.first.world
            self._votes.append(comparison)
            self._pairs[comparison.pair] += 1

    def retract(self, voter: str | None = None) -> Comparison:
        """Take the last vote back, or a voter's last; return it. The file keeps both lines.

        >>> votes = PreferenceDataset()
        >>> votes.append(Comparison(Segment([0], [1]), Segment([2], [1]), "left"))
        >>> votes.retract().label, len(votes)
        ('left', 0)

        Raises:
            ValueError: there is none.
            OSError: as `append`; the vote then stays.
        """
        with WRITING:
            theirs = [i for i, vote in enumerate(self._votes) if voter in (None, vote.voter)]
            if not theirs:
                whose = "" if voter is None else f" of voter {voter!r}"
                raise ValueError(f"there must be a vote{whose} to take back; there is none")
            vote = self._votes[theirs[-1]]
            self._write(Retraction(vote.pair, vote.voter))
            del self._votes[theirs[-1]]
            self._pairs[vote.pair] -= 1
            return vote

    def refresh(self) -> None:
        """Read the file again, with what other processes have written since.

        Raises:
            OSError, ValueError: as the class.
        """
        if self.path is None or not self.path.is_file():
            return
        with WRITING:
            self._read(self.path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the comparisons to another file, which is there whole or not at all.

        Raises:
            OSError: it cannot be written.
            ValueError: it is the file that votes are appended to.
        """
        target = Path(path)
        if self.path is not None and target.resolve() == self.path.resolve():
            raise ValueError(f"path must be another file than {self.path}: it is only appended to")
        write_whole(target, b"".join(to_line(vote) for vote in self.comparisons))

    def merge(self, *others: PreferenceDataset) -> PreferenceDataset:
        """Join the votes of several datasets in a new one, in memory.

        Raises:
            ValueError: they are from different worlds.
        """
        joint = PreferenceDataset(world=self.world)
        for vote in (vote for part in (self, *others) for vote in part.comparisons):
            joint.append(vote)
        return joint

    def __len__(self) -> int:
        return len(self._votes)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)

    def __repr__(self) -> str:
        n, bad = len(self), len(self.damaged)
        harm = f", {bad} damaged line{'s' * (bad != 1)}" * (bad > 0)
        votes = f"{n} vote{'s' * (n != 1)}, {len(self.labelled)} of them labelled"
        return f"PreferenceDataset({votes}{harm})"

    def _write(self, entry: Comparison | Retraction) -> None:
        if self.path is not None:
            append_line(self.path, to_line(entry))

    def _read(self, path: Path) -> None:
        world, votes, damaged = self._given, list[Comparison](), list[str]()
        for k, line in _lines(path):
            try:
                entry = from_line(line)
                if isinstance(entry, Retraction):
                    del votes[_place(votes, entry)]
            except UNREADABLE as error:
                why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
                damaged.append(f"line {k}: {why}")
                continue
            if isinstance(entry, Comparison):
                _check_world(world, entry, f"line {k} of {path}")
                world = entry.first.world
                votes.append(entry)
        self._world, self._votes, self.damaged = world, votes, damaged
        self._pairs = Counter(vote.pair for vote in votes)


def _check_world(world: str | None, vote: Comparison, name: str) -> None:
    if world not in (None, vote.first.world):
        raise ValueError(
            f"{name} must be of world {world!r}, as the others here;"
            f" it is of world {vote.first.world!r}"
        )


def _lines(path: Path) -> list[tuple[int, bytes]]:
    try:
        return split(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"path must be a file of votes; no line of {path} is one") from error


def _place(votes: list[Comparison], taken_back: Retraction) -> int:
    for i in reversed(range(len(votes))):
        if (votes[i].pair, votes[i].voter) == (taken_back.pair, taken_back.voter):
            return i
    raise ValueError(
        f"there is no vote of voter {taken_back.voter!r} on pair {taken_back.pair} to take back"
    )
