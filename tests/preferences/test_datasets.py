"""The file of votes: what was acknowledged is there, whatever happens; what is damaged is named."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.preferences import records
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.records import Retraction, from_line, from_record, to_line, to_record
from gridrl.preferences.segments import LABELS, Comparison, Segment

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def vote(i: int, label: str = "left", *, world: str = "ice", voter: str = "") -> Comparison:
    """A vote on a pair that is i's own."""
    first = Segment([i, i + 1], [0, 1], [3, 3], final=i + 2, world=world)
    return Comparison(first, Segment([i + 7], [2], world=world), label, voter)


def told(votes: Any) -> list[dict[str, Any]]:
    return [to_record(one) for one in votes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.jsonl"


def filled(path: Path, n: int = 3) -> PreferenceDataset:
    votes = PreferenceDataset(path)
    for i in range(n):
        votes.append(vote(i, LABELS[i % 4]))
    return votes


def test_votes_come_back_as_they_were(path: Path) -> None:
    votes = filled(path, 5)
    back = PreferenceDataset.load(path)
    assert told(back) == told(votes) == told(vote(i, LABELS[i % 4]) for i in range(5))
    assert (back.world, back.damaged, len(back)) == ("ice", [], 5)
    assert [one.label for one in back.labelled] == ["left", "right", "tie", "left"]
    assert repr(back) == "PreferenceDataset(5 votes, 4 of them labelled)"
    assert [len(one.second) for one in back] == [1] * 5  # lengths may differ


def test_a_line_a_vote_that_says_it_all(path: Path) -> None:
    votes = PreferenceDataset(path)
    votes.append(vote(0, "tie", voter="Zoë \n"))
    assert json.loads(path.read_bytes()) == {
        "schema": 1, "world": "ice", "pair": vote(0).pair, "label": "tie", "voter": "Zoë \n",
        "first": {"states": [0, 1], "actions": [0, 1], "observations": [3, 3], "final": 2},
        "second": {"states": [7], "actions": [2], "observations": None, "final": None},
    }  # fmt: skip
    before = path.read_bytes()
    votes.append(vote(1))
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"\n") == 2


def test_memory_alone() -> None:
    votes = PreferenceDataset()
    votes.append(vote(0))
    votes.refresh()
    assert len(votes) == 1
    assert votes.path is None
    assert isinstance(votes.comparisons, tuple)


def test_pairs_that_were_asked() -> None:
    votes = PreferenceDataset()
    votes.append(one := vote(0, "skip"))
    assert votes.asked(one.first, one.second)
    assert votes.asked(one.second, one.first)
    assert not votes.asked(one.first, one.first)
    assert not votes.asked(vote(1).first, vote(1).second)
    votes.retract()
    assert not votes.asked(one.first, one.second)


def test_pickled_votes(path: Path) -> None:
    back = pickle.loads(pickle.dumps(filled(path)))
    back.append(vote(9))
    assert len(PreferenceDataset.load(path)) == 4


# --- taking back ------------------------------------------------------------------------------


def test_a_vote_is_taken_back_by_a_later_line(path: Path) -> None:
    votes = filled(path)
    before = path.read_bytes()
    assert votes.retract().pair == vote(2).pair
    assert path.read_bytes().startswith(before)
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert last == {"schema": 1, "retract": vote(2).pair, "voter": ""}
    assert told(PreferenceDataset.load(path)) == told(votes) == told([vote(0), vote(1, "right")])


def test_each_voter_takes_back_their_own(path: Path) -> None:
    votes = PreferenceDataset(path)
    for i, voter in enumerate(["Ada", "Bob", "Ada", "Bob"]):
        votes.append(vote(i // 2, voter=voter))
    assert votes.retract("Ada").pair == vote(1).pair
    assert votes.retract("Ada").pair == vote(0).pair
    with pytest.raises(ValueError, match="there must be a vote of voter 'Ada' to take back"):
        votes.retract("Ada")
    assert (
        [one.voter for one in PreferenceDataset.load(path)]
        == ["Bob", "Bob"]
        == [one.voter for one in votes]
    )
    with pytest.raises(ValueError, match="there must be a vote to take back; there is none"):
        PreferenceDataset().retract()


def test_of_a_pair_asked_twice_the_last_answer_is_taken_back(path: Path) -> None:
    votes = PreferenceDataset(path)
    same = vote(0, "left")
    for one in (same, vote(1), same, vote(0, "right")):
        votes.append(one)
    votes.retract()
    votes.retract()
    assert told(PreferenceDataset.load(path)) == told(votes) == told([same, vote(1)])
    assert votes.asked(same.first, same.second)


def test_nothing_to_take_back_in_a_file(path: Path) -> None:
    filled(path, 1)
    with path.open("ab") as stream:
        stream.write(to_line(Retraction("no-pair", "Eve")))
        stream.write(b'{"schema": 1, "retract": "x"}\n')
    damaged = PreferenceDataset.load(path).damaged
    assert damaged[0] == "line 2: there is no vote of voter 'Eve' on pair no-pair to take back"
    assert damaged[1] == "line 3: 'voter' is missing"


# --- worlds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [True, False])
def test_another_world_is_refused(path: Path, on_disk: bool) -> None:
    votes = PreferenceDataset(path if on_disk else None)
    assert votes.world == ""
    votes.append(vote(0))
    for other in ("lava", ""):
        with pytest.raises(ValueError, match=f"must be of world 'ice', .* of world '{other}'"):
            votes.append(vote(1, world=other))
    assert told(votes) == told([vote(0)])
    assert not on_disk or path.read_bytes() == to_line(vote(0))


def test_a_world_that_is_given(path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be of world 'lava', .* of world 'ice'"):
        PreferenceDataset(world="lava").append(vote(0))
    filled(path)
    assert len(PreferenceDataset.load(path, world="ice")) == 3
    with pytest.raises(ValueError, match=r"line 1 of .*votes.jsonl must be of world 'lava'.*'ice'"):
        PreferenceDataset(path, world="lava")


def test_clips_that_do_not_know_their_world(path: Path) -> None:
    votes = PreferenceDataset(path)
    votes.append(vote(0, world=""))
    with pytest.raises(ValueError, match=r"must be of world '', .* of world 'ice'"):
        votes.append(vote(0))


def test_a_file_of_two_worlds(path: Path) -> None:
    filled(path, 1)
    with path.open("ab") as stream:
        stream.write(to_line(vote(1, world="lava")))
    with pytest.raises(ValueError, match=r"line 2 of .* must be of world 'ice'.* of world 'lava'"):
        PreferenceDataset(path)


def test_the_first_word_may_be_another_process_s(path: Path) -> None:
    votes = PreferenceDataset(path)
    filled(path, 1)
    with pytest.raises(ValueError, match="must be of world 'ice'"):
        votes.append(vote(0, world="lava"))
    votes.append(vote(5))
    assert len(votes) == 2


def test_a_refresh_that_fails_changes_nothing(path: Path) -> None:
    votes = filled(path)
    path.write_bytes(to_line(vote(1)) + b"?\n" + to_line(vote(1, world="lava")))
    with pytest.raises(ValueError, match="line 3"):
        votes.refresh()
    assert (len(votes), votes.world, votes.damaged) == (3, "ice", [])


# --- damage -----------------------------------------------------------------------------------


def test_wherever_the_last_line_is_torn(path: Path) -> None:
    filled(path, 2)
    content = path.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(content) + 1):
        path.write_bytes(content[:end])
        votes = PreferenceDataset(path)
        whole = end >= len(content) - 1  # the line's end alone may be missing
        assert len(votes) == 1 + whole
        torn = not whole and end > last
        assert votes.damaged == [f"line 2: it is torn, or no JSON ({end - last} bytes)"] * torn
        votes.append(vote(8))
        assert path.read_bytes().startswith(content[:end])
        assert path.read_bytes().endswith(b"\n" + to_line(vote(8)))
        assert told(PreferenceDataset.load(path)) == told(votes)


def test_the_very_first_line_may_be_torn(path: Path) -> None:
    line = to_line(vote(0))
    for end in range(len(line)):
        path.write_bytes(line[:end])
        votes = PreferenceDataset(path)
        votes.append(vote(1))
        assert told(PreferenceDataset.load(path))[-1:] == told([vote(1)])


BROKEN: list[tuple[Any, str]] = [
    (b"?", r"line 2: it is torn, or no JSON \(1 bytes\)"),
    (b"\xff\xfe", "line 2: it is torn, or no JSON"),
    (b"[" * 100_000, "line 2: it is torn, or no JSON"),
    (b"[1]", "line 2: a vote must be a JSON object; it is a list"),
    ({"schema": 2}, "line 2: schema must be 1; it is 2"),
    ({"label": "up"}, "line 2: label must be one of .* it is 'up'"),
    ({"label": ["left"]}, "line 2: label must be one of"),
    ({"pair": "a-b"}, "line 2: pair must be [0-9a-f]{16}-[0-9a-f]{16} for these clips; it is 'a-b"),
    ({"world": "lava"}, "line 2: pair must be"),
    ({"first": None}, "line 2: "),
    ({"first": {"states": [1]}}, "line 2: 'actions' is missing"),
    ({"second": {"states": [1.5], "actions": [0], "observations": None, "final": None}},
     "line 2: states must hold whole numbers"),
    ({"second": {"states": [10**30], "actions": [0], "observations": None, "final": None}},
     "line 2: states must hold whole numbers"),
    ({"second": {"states": [[1], [1, 2]], "actions": [0], "observations": None, "final": None}},
     "line 2: "),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_damaged_line_is_named_and_the_rest_kept(path: Path, change: Any, message: str) -> None:
    filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    is_text = isinstance(change, bytes)
    lines[1] = (change if is_text else json.dumps(json.loads(lines[1]) | change).encode()) + b"\n"
    path.write_bytes(b"".join(lines))
    votes = PreferenceDataset.load(path)
    assert told(votes) == told([vote(0), vote(2, "tie")])
    assert len(votes.damaged) == 1
    assert re.match(message, votes.damaged[0])
    votes.append(vote(4))
    assert path.read_bytes().startswith(b"".join(lines))  # what is damaged stays as it is


@given(data=st.data())
def test_no_damage_loses_more_than_its_line(data: st.DataObject) -> None:
    lines = [to_line(vote(i)) for i in range(4)]
    hit = data.draw(st.integers(0, 3))
    at = data.draw(st.integers(0, len(lines[hit]) - 2))
    lines[hit] = lines[hit][:at] + data.draw(st.binary(max_size=3)) + lines[hit][at + 1 :]
    found = []
    for _, line in records.split(b"".join(lines)):
        try:
            found.append(from_line(line))
        except records.UNREADABLE:
            continue
    pairs = [one.pair for one in found]
    assert [i for i in range(4) if vote(i).pair in pairs or i == hit] == list(range(4))


@pytest.mark.parametrize("text", [b"my thesis", b"my thesis\n", b"{}\n", b"\xff\n", b"\0\0"])
def test_files_of_somebody_else_stay_as_they_are(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"path must be a file of votes; no line of .* is one"):
        PreferenceDataset(path)
    assert path.read_bytes() == text


def test_lines_of_other_writers(path: Path) -> None:
    compact = json.dumps(to_record(vote(0)) | {"seconds": 4.2}, separators=(",", ":")).encode()
    path.write_bytes(b"\xef\xbb\xbf" + compact + b"\r\n\r\n" + compact)
    votes = PreferenceDataset.load(path)
    assert told(votes) == told([vote(0), vote(0)])


# --- joining ----------------------------------------------------------------------------------


def test_files_may_be_joined_by_cat_even_torn_ones(path: Path, tmp_path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole + to_line(vote(4))[:30] + whole + to_line(vote(5))[:-1] + whole)
    votes = PreferenceDataset.load(path)
    three = [vote(i, LABELS[i]) for i in range(3)]
    assert told(votes) == told([*three, *three, vote(5), *three])
    assert votes.damaged == ["line 4: it is torn, or no JSON (30 bytes)"]


def test_merge(path: Path) -> None:
    a, b = filled(path, 2), PreferenceDataset()
    b.append(vote(8))
    joint = a.merge(b, PreferenceDataset())
    assert told(joint) == told([*a, *b])
    assert joint.path is None
    assert len(PreferenceDataset.load(path)) == 2
    c = PreferenceDataset()
    c.append(vote(0, world="lava"))
    with pytest.raises(ValueError, match=r"'ice', .*'lava'"):
        a.merge(c)


def test_save(path: Path, tmp_path: Path) -> None:
    votes = filled(path)
    votes.retract()
    votes.save(other := tmp_path / "copy.jsonl")
    assert told(PreferenceDataset.load(other)) == told(votes)
    assert other.read_bytes().count(b"\n") == 2  # what was taken back is gone
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must be another file than .*: it is only appended to"):
        votes.save(path.parent / "." / path.name)
    assert path.read_bytes() == before


def test_names_that_are_no_files(tmp_path: Path, path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such folder: .*missing"):
        PreferenceDataset(tmp_path / "missing" / "votes.jsonl")
    with pytest.raises(FileNotFoundError, match=r"there is no such file: .*votes.jsonl"):
        PreferenceDataset.load(path)
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        PreferenceDataset(tmp_path)
    with pytest.raises(TypeError, match="comparison must be a Comparison; it is a tuple"):
        PreferenceDataset(path).append((1, 2, "left"))  # type: ignore[arg-type]
    assert not path.exists()


# --- disks ------------------------------------------------------------------------------------


def full(_: int, __: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def nearly_full(handle: int, line: bytes, write: Any = os.write) -> int:
    """There is room for 40 bytes, then for none."""
    if len(line) < 60:
        return full(handle, line)
    return write(handle, line[: len(line) - 40 if len(line) > 260 else 40])


@pytest.mark.parametrize("write", [full, nearly_full])
@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, first: bool) -> None:
    votes = filled(path, 0 if first else 2)
    before = b"" if first else path.read_bytes()
    with monkeypatch.context() as context:
        context.setattr(os, "write", write)
        with pytest.raises(OSError, match=r"No space left on device: .*votes.jsonl") as caught:
            votes.append(vote(9))
        assert caught.value.errno == errno.ENOSPC
        if not first:
            with pytest.raises(OSError, match="No space"):
                votes.retract()
    assert path.read_bytes() == before  # not a byte of it
    assert len(votes) == (0 if first else 2)
    assert not votes.asked(vote(9).first, vote(9).second)
    assert not first or votes.world == ""
    votes.append(vote(9))
    assert told(PreferenceDataset.load(path)) == told(votes)
    assert PreferenceDataset.load(path).damaged == []


def test_a_torn_line_that_cannot_be_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    votes = filled(path, 2)
    before = path.read_bytes()
    with monkeypatch.context() as context:
        context.setattr(os, "write", nearly_full)
        context.setattr(os, "ftruncate", full)
        with pytest.raises(OSError, match="No space left"):
            votes.append(vote(9))
    torn = path.read_bytes()[len(before) :]
    assert 0 < len(torn) < len(to_line(vote(9)))
    votes.append(vote(8))
    back = PreferenceDataset.load(path)
    assert told(back) == told(votes)
    assert len(votes) == 3
    assert back.damaged == [f"line 3: it is torn, or no JSON ({len(torn)} bytes)"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_disk_that_does_not_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(_: int) -> None:
        raise error

    votes = filled(path, 2)
    before = path.read_bytes()
    with monkeypatch.context() as context:
        context.setattr(os, "fsync", broken)
        with pytest.raises(type(error)):
            votes.append(vote(9))
    assert path.read_bytes() == before
    assert len(votes) == 2


def test_a_vote_is_synced_before_it_is_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    votes = PreferenceDataset(path)
    votes.append(vote(0))
    votes.append(vote(1))
    one, two = len(to_line(vote(0))), len(to_line(vote(0)) + to_line(vote(1)))
    assert sizes[0] == one  # then the folder, for the file's name
    assert sizes[-1] == two
    assert len(sizes) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_that_is_full() -> None:
    votes = PreferenceDataset("/dev/full")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        votes.append(vote(0))
    assert len(votes) == 0


FULL = """
import resource, sys
from gridrl.preferences.datasets import PreferenceDataset
from tests.preferences.test_datasets import vote
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the disk is full after 1000 bytes
votes = PreferenceDataset(sys.argv[1])
for i in range(9):
    try:
        votes.append(vote(i))
    except OSError as error:
        sys.stdout.write(f"{len(votes)} {error}")
        break
"""


@posix
def test_a_disk_that_really_fills(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    votes = PreferenceDataset.load(path)
    assert 2 <= len(votes) < 9
    assert done.stdout == f"{len(votes)} [Errno 27] File too large: '{path}'"
    assert votes.damaged == []
    assert path.read_bytes().endswith(b"\n")


# --- others -----------------------------------------------------------------------------------


VOTER = """
import sys
from gridrl.preferences.datasets import PreferenceDataset
from tests.preferences.test_datasets import vote
votes, start = PreferenceDataset(sys.argv[1]), int(sys.argv[2])
for i in range(start, start + int(sys.argv[3])):
    votes.append(vote(i, voter=sys.argv[2]))
    sys.stdout.write(f"{i}\\n")  # acknowledged
    sys.stdout.flush()
"""


def voter(path: Path, start: int, votes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", VOTER, str(path), str(start), str(votes)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def places(votes: PreferenceDataset) -> list[int]:
    return [int(one.first.states[0]) for one in votes]


@posix
@pytest.mark.parametrize("heard", [1, 5, 40])
def test_a_kill_loses_no_acknowledged_vote(path: Path, heard: int) -> None:
    victim = voter(path, 0, 100_000)
    assert victim.stdout is not None
    acknowledged = [int(victim.stdout.readline()) for _ in range(heard)]
    victim.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in victim.stdout.read().splitlines(keepends=True)
                     if line.endswith("\n")]  # fmt: skip
    victim.stdout.close()
    assert victim.wait() == -signal.SIGKILL
    votes = PreferenceDataset.load(path)
    assert places(votes)[: len(acknowledged)] == acknowledged
    assert len(votes) <= len(acknowledged) + 1  # one may be written and not yet acknowledged
    assert len(votes.damaged) <= 1
    votes.append(vote(77))
    assert told(PreferenceDataset.load(path)) == told(votes)


@posix
def test_several_processes_vote_at_once_and_some_are_killed(path: Path) -> None:
    path.write_bytes(to_line(vote(900_000)) + b'{"schema": 1, "torn')
    voters = [voter(path, 1000 * k, 100_000 if k == 0 else 60) for k in range(3)]
    victim = voters[0]
    assert victim.stdout is not None
    heard = [int(victim.stdout.readline()) for _ in range(20)]
    victim.send_signal(signal.SIGKILL)
    for one in voters:
        assert one.stdout is not None
        heard += [int(line) for line in one.stdout]
        one.stdout.close()
        one.wait()
    assert [one.returncode for one in voters] == [-signal.SIGKILL, 0, 0]
    votes = PreferenceDataset.load(path)
    assert {900_000, *heard, *range(1000, 1060), *range(2000, 2060)} <= set(places(votes))
    assert len(places(votes)) == len(set(places(votes))) <= len(heard) + 2
    assert "line 2: it is torn" in votes.damaged[0]
    assert len(votes.damaged) <= 2


@posix
def test_an_append_waits_for_the_others(path: Path) -> None:
    import fcntl

    votes = filled(path, 1)
    before = path.read_bytes()
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(target=votes.append, args=(vote(1),))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert path.read_bytes() == before
        assert len(votes) == 1
    thread.join()
    assert told(PreferenceDataset.load(path)) == told(votes) == told([vote(0), vote(1)])


def test_threads_vote_while_others_read(path: Path) -> None:
    votes = PreferenceDataset(path)
    seen: list[int] = []

    def go(start: int) -> None:
        for i in range(start, start + 20):
            votes.append(vote(i))
            seen.append(len(votes.comparisons))

    threads = [threading.Thread(target=go, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(places(votes)) == sorted(100 * k + i for k in range(4) for i in range(20))
    assert told(PreferenceDataset.load(path)) == told(votes)  # in the same order
    assert max(seen) == 80


def test_refresh_reads_what_others_wrote(path: Path) -> None:
    mine, theirs = PreferenceDataset(path), PreferenceDataset(path)
    mine.append(vote(0))
    theirs.append(vote(1))
    mine.append(vote(2))
    assert places(mine) == [0, 2]
    mine.refresh()
    assert places(mine) == [0, 1, 2]
    assert mine.asked(vote(1).first, vote(1).second)


def test_without_locks_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    assert told(filled(path)) == told(PreferenceDataset.load(path))


@given(st.integers(0, 2**32 - 1))
def test_lines_there_and_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = "".join(rng.choice(list('ab"\\{é'), size=rng.integers(0, 4)))

    def clip() -> Segment:
        k = rng.integers(1, 6)
        s, a, o = rng.integers(0, 2**31, (3, k))
        seen = o if rng.random() < 0.5 else None
        return Segment(s, a, seen, final=int(s[0]) if rng.random() < 0.5 else None, world=world)

    one = Comparison(clip(), clip(), str(rng.choice(LABELS)), '{"schema": 1\n')
    line = to_line(one)
    assert line.count(b"\n") == 1
    assert [piece for _, piece in records.split(line)] == [line.rstrip()]
    assert to_record(from_line(line)) == to_record(one) == to_record(from_record(to_record(one)))  # type: ignore[arg-type]


def test_who_comes_second_with_another_world_spoils_nothing(tmp_path: Path) -> None:
    def vote(world: str) -> Comparison:
        left, right = (Segment([s], [0], world=world) for s in (0, 1))
        return Comparison(left, right, "left")

    path = tmp_path / "votes.jsonl"
    first, second = PreferenceDataset(path, world="A"), PreferenceDataset(path, world="B")
    first.append(vote("A"))
    with pytest.raises(ValueError, match="must be of world 'B', as the others here; it is of"):
        second.append(vote("B"))
    assert len(PreferenceDataset(path)) == 1


def test_damage_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    PreferenceDataset(path).append(Comparison(Segment([0], [0]), Segment([1], [0]), "left"))
    path.write_bytes(path.read_bytes() + b'{"schema": 2}\n')
    found = "PreferenceDataset(1 vote, 1 of them labelled, 1 damaged line)"
    assert repr(PreferenceDataset(path)) == found
