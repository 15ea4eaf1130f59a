"""Asking in a terminal: a clip is drawn as a row of small maps, the answer is a letter."""

from __future__ import annotations

from collections.abc import Callable

from gridrl.humans.asking import Poll
from gridrl.humans.clips import moments
from gridrl.preferences import Segment
from gridrl.tables import whole
from gridrl.worlds import GridWorld

PENGUIN, AROUND = "@", " "  # the penguin's letter, and what is between two maps
COLUMNS = 78
KEYS = {"l": "left", "r": "right", "t": "tie", "c": "skip", "u": "undo"}
QUESTION = "[l]eft  [r]ight  [t]ie  [c]an't tell   [u]ndo  [q]uit > "


def clip_text(world: GridWorld, segment: Segment, *, columns: int = COLUMNS) -> str:
    """Draw a clip as text: a map for each step with the penguin as @, what it means to do above.

    Args:
        world: the map.
        segment: the clip.
        columns: of the terminal.

    >>> world = GridWorld.from_text("..F")
    >>> print(clip_text(world, Segment([0, 1], [1, 1], final=2)))
    right  right  end
    @.F    .@F    ..@

    Raises:
        TypeError, ValueError: a state or an action that the world has not.
    """
    blocks = [_block(world, s, a) for s, a in moments(world, segment)]
    width = max(len(line) for block in blocks for line in block)
    a_row = max(1, (whole(columns, "columns", least=1) + 2) // (width + 2))
    rows = [blocks[k : k + a_row] for k in range(0, len(blocks), a_row)]
    return "\n\n".join("\n".join(_beside(row, width)) for row in rows)


def in_terminal(poll: Poll, *, ask: Callable[[str], str] = input) -> None:
    """Ask the questions of a poll in a terminal, until all are answered or the person quits.

    Ctrl-C and Ctrl-D quit too; every vote is kept.

    Args:
        poll: the questions.
        ask: shows a text and returns what was typed.
    """
    said = ""
    while poll.question is not None:
        try:
            typed = ask(f"{said}{_page(poll)}\n{QUESTION}").strip().lower()[:1]
        except (EOFError, KeyboardInterrupt):
            typed = "q"
        if typed == "q":
            return poll.stop()
        said = _heard(poll, typed)
    return None


def _heard(poll: Poll, typed: str) -> str:
    """Take an answer; return what there is to say about it."""
    if typed not in KEYS:
        return f"\n{typed or 'nothing'!r} is none of l, r, t, c, u, q\n"
    votes = len(poll.votes)
    try:
        poll.answer(KEYS[typed])
    except Exception as error:
        if len(poll.votes) != votes:
            return f"\nSaved, but: {error}\n"
        if KEYS[typed] != "undo":
            return f"\nNot saved, please answer again: {error}\n"
        return (
            f"\nNot taken back: {error}\n" if poll.can_undo else "\nThere is nothing to take back\n"
        )
    return ""


def _page(poll: Poll) -> str:
    if poll.question is None:
        raise ValueError("poll must have an open question; all are answered")
    left, right = (clip_text(poll.world, clip) for clip in poll.question)
    count = f"question {len(poll.votes) + 1} of {len(poll.questions)}"
    return f"\n{count}: in which clip do better things happen?\n\nLEFT\n{left}\n\nRIGHT\n{right}\n"


def _block(world: GridWorld, s: int, a: int) -> list[str]:
    """The name of the action, and the map below it."""
    tiles = world.tiles.astype(object)
    if s < len(world.positions):
        tiles[tuple(world.positions[s])] = PENGUIN
    return ["end" if a < 0 else list(world.moves)[a], *("".join(row) for row in tiles)]


def _beside(blocks: list[list[str]], width: int) -> list[str]:
    lines = zip(*blocks, strict=True)
    return [(2 * AROUND).join(part.ljust(width) for part in line).rstrip() for line in lines]
