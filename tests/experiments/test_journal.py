"""The file of a sweep: nothing twice, nothing lost, nothing of anybody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.experiments import Results, SweepStopped, sweep
from gridrl.planning import value_iteration
from tests.experiments import laboratory
from tests.experiments.laboratory import SETTINGS, fragile, noise, number

ROOT = Path(__file__).parents[2]


def go(out: Path, experiment: Any = noise, settings: Any = SETTINGS, seeds: Any = 3) -> Results:
    return sweep(experiment, settings, seeds=seeds, executor="serial", out=out)


def same(a: Results, b: Results) -> bool:
    """Bit by bit: pickled arrays and floats are equal as bytes."""
    np.testing.assert_equal(a.to_records(), b.to_records())
    return repr(a.to_records()) == repr(b.to_records())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs.jsonl"


def pairs(out: Path) -> list[tuple[str, int]]:
    return [(r["setting"], r["seed"]) for r in map(json.loads, out.read_text().splitlines())]


def test_a_line_a_run(out: Path) -> None:
    found = go(out)
    assert pairs(out) == [(run.setting, run.seed) for run in found.runs]
    line = json.loads(out.read_text().splitlines()[0])
    assert line["experiment"] == "noise"
    assert line["given"] == {"size": 1.0}
    assert line["fields"]["end"] == found.runs[0].fields["end"]  # type: ignore[index]


def test_a_file_changes_nothing(out: Path) -> None:
    plain = sweep(noise, SETTINGS, seeds=3, executor="serial")
    assert same(go(out), plain)
    assert same(go(out), plain)  # read back
    assert len(pairs(out)) == 6


def test_numbers_come_back_bit_by_bit(out: Path) -> None:
    def odd(seed: int) -> Any:
        return {"a": [0.1, -0.0, np.nan, np.inf, 5e-324], "b": -np.inf, "c": 1 / 3}

    first, again = go(out, odd, [{}], 1), go(out, odd, [{}], 1)
    assert same(first, again)
    fields: Any = again.runs[0].fields
    assert np.signbit(fields["a"][1])
    assert fields["a"].dtype == np.float64
    assert type(fields["b"]) is float


def test_done_runs_are_not_done_again(out: Path) -> None:
    go(out)
    before = out.read_bytes()
    go(out, seeds=[2, 0])
    assert out.read_bytes() == before
    go(out, settings=[*SETTINGS, {"size": 3.0}], seeds=4)
    assert out.read_bytes().startswith(before)
    assert len(set(pairs(out))) == len(pairs(out)) == 12


def test_failed_runs_are_written_and_tried_again(out: Path) -> None:
    found = go(out, fragile, {"a": {"bad": (1,)}})
    assert [json.loads(line)["error"] is None for line in out.read_text().splitlines()] == [
        True, False, True]  # fmt: skip
    assert found.failed[0].seed == 1
    mended = lambda seed, bad: number(seed)  # noqa: E731
    mended.__qualname__ = "fragile"
    assert go(out, mended, {"a": {"bad": (1,)}}).failed == []
    assert pairs(out) == [("a", 0), ("a", 1), ("a", 2), ("a", 1)]
    assert go(out, mended, {"a": {"bad": (1,)}}).failed == []  # the last line of a run counts
    assert len(pairs(out)) == 4


def test_wherever_the_last_line_is_torn(out: Path) -> None:
    whole = go(out)
    content = out.read_bytes()
    for cut in range(content.rfind(b"\n", 0, -1) - 30, len(content)):
        out.write_bytes(content[:cut])
        assert same(go(out), whole)
        assert out.read_bytes() == content


@pytest.mark.parametrize(
    "text", ["my thesis", "my thesis\n", "{}\n", "[1]\n", "1\n", "\n", "\xff\n"]
)
def test_files_of_somebody_else_stay_as_they_are(out: Path, text: str) -> None:
    out.write_text(text)
    with pytest.raises(ValueError, match=r"out must be a file of a sweep; line 1 of .* is no run"):
        go(out)
    assert out.read_text() == text


def test_a_line_that_is_broken_in_the_middle_is_named(out: Path) -> None:
    go(out)
    lines = out.read_text().splitlines(keepends=True)
    lines[1] = lines[1][:-9] + "\n"
    out.write_text("".join(lines))
    with pytest.raises(ValueError, match=r"line 2 of .* is no run"):
        go(out)
    assert out.read_text() == "".join(lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiment": number}, r"line 1 of .* is of experiment 'noise', not 'number'"),
        ({"settings": [{"size": 5.0}]}, r"is of a setting 'size=1.0'; here are \['size=5.0'\]"),
        ({"settings": {"size=1.0": {"size": 7}}}, r"has 'size=1.0' as {'size': 1.0}, not"),
    ],
)
def test_another_sweep_is_refused(out: Path, change: Any, message: str) -> None:
    go(out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=message):
        go(out, **change)
    assert out.read_bytes() == before


def test_settings_may_hold_what_has_a_name(out: Path) -> None:
    given = {"a": {"f": value_iteration, "g": np.mean, "x": np.arange(2), "y": (1, [np.float64(2)]),
                   "z": {"k": None, "n": float("nan")}}}  # fmt: skip
    go(out, lambda seed, **_: 0, given, 1)
    assert json.loads(out.read_text())["given"]["f"].endswith("dynamic_programming.value_iteration")
    go(out, lambda seed, **_: 1, given, 1)
    assert len(pairs(out)) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 1, r"settings\['a'\]\['x'\] must be something that out can hold: .*<lambda>"),
        ([{1: 2}], r"settings\['a'\]\['x'\]\[0\] must be something that out can hold"),
        (object(), r"it is <object object at .*>\. Make it inside the experiment"),
    ],
)
def test_settings_without_a_name_are_refused(out: Path, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        go(out, lambda seed, x: 0, {"a": {"x": value}})
    assert not out.exists()


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        go(tmp_path / "missing" / "runs.jsonl", lambda seed, size: 1 / 0)


def test_a_disk_that_does_not_answer_stops_the_sweep(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", broken)
        with pytest.raises(SweepStopped, match=r"after 1 of 6 runs: \[Errno 5\] .*runs.jsonl'"):
            go(out)
    assert len(go(out).runs) == len(pairs(out)) == 6


def test_ctrl_c_after_a_line_was_written_keeps_it(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(out)
    assert pairs(out) == [("size=1.0", 0)]


FULL = """
import pickle, resource, sys
from gridrl.experiments import SweepStopped, sweep
from tests.experiments.laboratory import SETTINGS, noise
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the disk is full after 1000 bytes
try:
    sweep(noise, SETTINGS, seeds=5, executor="serial", out=sys.argv[1])
except SweepStopped as stopped:
    sys.stdout.write(f"{len(stopped.results.runs)} {stopped}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX")
def test_a_full_disk_loses_nothing_that_was_written(out: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(out)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept = len(pairs(out))  # every line can be read
    assert kept >= 2
    assert told.stdout.startswith(f"{kept + 1} the sweep stopped after {kept + 1} of 10 runs: ")
    assert f"File too large: '{out}'" in told.stdout
    assert out.read_bytes().endswith(b"\n")
    assert same(go(out, seeds=5), sweep(noise, SETTINGS, seeds=5, executor="serial"))
    assert len(pairs(out)) == 10


KILLED = """
import sys
from gridrl.experiments import sweep
from tests.experiments.laboratory import slow
if __name__ == "__main__":
    sweep(slow, {"a": {"folder": sys.argv[2]}}, seeds=40, workers=2, out=sys.argv[1])
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # nobody may be there to bury those that have ended
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_sweep_that_was_killed_goes_on(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    victim = subprocess.Popen([sys.executable, "-c", KILLED, str(out), str(folder)], cwd=ROOT)
    while victim.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < 5):
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    written = pairs(out)
    assert 5 <= len(written) < 40
    workers = [int(path.name) for path in folder.iterdir()]
    for _ in range(1000):
        if not any(map(alive, workers)):
            break
        time.sleep(0.01)
    assert not any(map(alive, workers))  # nobody outlives the sweep
    found = go(out, laboratory.slow, {"a": {"folder": str(folder)}}, 40)
    assert pairs(out)[: len(written)] == written
    assert sorted(pairs(out)) == [("a", seed) for seed in range(40)]
    alone = sweep(number, [{}], seeds=40, executor="serial")
    assert [run.fields for run in found.runs] == [run.fields for run in alone.runs]
