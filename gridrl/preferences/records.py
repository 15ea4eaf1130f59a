"""Votes as lines of a file, and how a line gets on the disk: all of it or nothing of it.

A line of schema 1 is {"schema": 1, "world", "pair", "first", "second", "label", "voter"}, a clip
being {"states", "actions", "observations", "final"}; or {"schema": 1, "retract": pair, "voter"},
which takes the voter's last vote on the pair back. A line holds both clips: it needs no other file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.preferences.segments import Comparison, Segment

SCHEMA = 1
FIRST_WORD = b'{"schema"'  # of every line; within a text its quotation marks have backslashes
ENTRY = re.compile(b"(?=" + re.escape(FIRST_WORD) + b")")
UNREADABLE = (ValueError, TypeError, KeyError)
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)  # Windows has the last


@dataclass(frozen=True)
class Retraction:
    """A voter takes back the last vote on a pair."""

    pair: str
    voter: str


def to_record(comparison: Comparison) -> dict[str, Any]:
    """Say a vote in lists, numbers and text, as a line of the file does.

    >>> vote = Comparison(Segment([0], [1]), Segment([2], [1]), "left", voter="Ada")
    >>> from_record(to_record(vote)).pair == vote.pair
    True
    """
    return {
        "schema": SCHEMA,
        "world": comparison.first.world,
        "pair": comparison.pair,
        "first": _clip_record(comparison.first),
        "second": _clip_record(comparison.second),
        "label": comparison.label,
        "voter": comparison.voter,
    }


def from_record(entry: Mapping[str, Any]) -> Comparison:
    """Make a vote of what `to_record` says; other keys are left alone.

    Raises:
        KeyError: something is missing.
        TypeError, ValueError: another schema, a clip or a label that is none, or a pair's name that
            does not fit the clips.
    """
    _check_schema(entry)
    first, second = (_clip(entry, side) for side in ("first", "second"))
    vote = Comparison(first, second, entry["label"], str(entry["voter"]))
    if entry["pair"] != vote.pair:
        raise ValueError(f"pair must be {vote.pair} for these clips; it is {entry['pair']!r}")
    return vote


def to_line(entry: Comparison | Retraction) -> bytes:
    """The line that says it, with its end."""
    if isinstance(entry, Comparison):
        return json.dumps(to_record(entry)).encode() + b"\n"
    record = {"schema": SCHEMA, "retract": entry.pair, "voter": entry.voter}
    return json.dumps(record).encode() + b"\n"


def from_line(line: bytes) -> Comparison | Retraction:
    """What a line says.

    Raises:
        KeyError, TypeError, ValueError: as `from_record`, or it is no JSON.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is torn, or no JSON ({len(line)} bytes)") from error
    _check_schema(entry)
    if "retract" in entry:
        return Retraction(str(entry["retract"]), str(entry["voter"]))
    return from_record(entry)


def split(content: bytes) -> list[tuple[int, bytes]]:
    """What is on the lines of a file, with the lines' numbers from 1; empty ones say nothing.

    A line that begins where another was torn, as after `cat`, is found all the same.

    >>> split(b'{"schema": 1, "wor{"schema": 1}')
    [(1, b'{"schema": 1, "wor'), (1, b'{"schema": 1}')]

    Raises:
        ValueError: not a single line begins as ours do.
    """
    if not (ENTRY.search(content) or FIRST_WORD.startswith(content.strip())):
        raise ValueError("it must be a file of votes; no line of it is one")
    lines = enumerate(content.split(b"\n"), start=1)
    return [(k, piece) for k, line in lines for piece in ENTRY.split(line) if piece.strip()]


def append_line(path: Path, line: bytes) -> None:
    """Append a line and wait until it is on the disk: all of it, or nothing of it.

    Raises:
        OSError: it cannot; the file is as it was.
    """
    try:
        handle = os.open(path, FLAGS, 0o644)
        try:
            _wait_for_others(handle)
            _append(handle, line)
            if os.fstat(handle).st_size == len(line):
                _keep_name(path)
        finally:
            os.close(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _append(handle: int, line: bytes) -> None:
    before, written = os.fstat(handle).st_size, 0
    if before and not _ends_a_line(handle, before):  # somebody died in the middle of one
        line = b"\n" + line
    try:
        while written < len(line):
            written += os.write(handle, line[written:])
        os.fsync(handle)
    except BaseException:
        with suppress(OSError):  # what cannot be removed is a damaged line, and the next is new
            if os.fstat(handle).st_size == before + written:  # nobody else has written since
                os.ftruncate(handle, before)
        raise


def _keep_name(path: Path) -> None:
    """Put the name of a new file on the disk too, where folders can be asked to."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _ends_a_line(handle: int, size: int) -> bool:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) == b"\n"


def _wait_for_others(handle: int) -> None:
    """Wait until no other process is appending; closing the file lets the next one in."""
    with suppress(ImportError, OSError):  # Windows, some network disks: O_APPEND has to do
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def _check_schema(entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise TypeError(f"a vote must be a JSON object; it is a {type(entry).__name__}")
    if entry["schema"] != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA}; it is {entry['schema']!r}")


def _clip_record(clip: Segment) -> dict[str, Any]:
    seen = clip.observations
    return {
        "states": clip.states.tolist(),
        "actions": clip.actions.tolist(),
        "observations": None if seen is None else seen.tolist(),
        "final": clip.final,
    }


def _clip(entry: Mapping[str, Any], side: str) -> Segment:
    clip, world = entry[side], str(entry["world"])
    rows = clip["states"], clip["actions"], clip["observations"]
    return Segment(*rows, final=clip["final"], world=world)
