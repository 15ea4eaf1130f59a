"""Sweeps as people start them: from notebook cells, from scripts; and stopped by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

NOTEBOOK = """
from gridrl.experiments import sweep
half = 0.5
def helper(seed):
    return half * seed
class Shift:
    def __init__(self, by):
        self.by = by
def experiment(seed, shift):
    return helper(seed) + shift.by
found = sweep(experiment, [{"shift": Shift(1)}], seeds=4, workers=2)
import sys
_ = sys.stdout.write(repr([run.fields["value"] for run in found.runs]))
"""


def run_python(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, check=False, **more
    )


def test_functions_from_nowhere_travel() -> None:
    told = run_python("-c", NOTEBOOK)  # like a notebook cell: `__main__`, and no file
    assert (told.stdout, told.stderr) == ("[1.0, 1.5, 2.0, 2.5]", "")


def test_functions_from_notebook_cells_travel(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell(part) for part in NOTEBOOK.split("found = ", maxsplit=1)]
    cells[1].source = "found = " + cells[1].source
    book = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(ROOT)}})
    manager = client.create_kernel_manager()
    if os.name == "posix":  # as in test_notebooks: over TCP a kernel warns
        manager.transport, manager.ip = "ipc", os.path.relpath(tmp_path / "k")
    client.execute()
    assert [output.text for output in book.cells[1].outputs] == ["[1.0, 1.5, 2.0, 2.5]"]


def test_scripts_with_and_without_a_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    call = "found = sweep(experiment, [{}], seeds=2, workers=2); sys.stdout.write(repr(found))"
    head = "import sys\nfrom gridrl.experiments import sweep\ndef experiment(seed): return seed\n"
    script.write_text(f"{head}if __name__ == '__main__':\n    {call}\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    told = run_python(str(script), env=environment)
    assert (told.stdout, told.stderr) == ("Results(1 setting, 2 runs)", "")
    script.write_text(f"{head}{call}\n")
    told = run_python(str(script), env=environment)
    assert told.stdout == ""
    # workers that end as they begin may leave a warning of the resource tracker behind it
    assert "\nRuntimeError: worker processes cannot be started. In a script, call" in told.stderr


INTERRUPTED = """
import sys
from gridrl.experiments import sweep
from tests.experiments.laboratory import sleepy
try:
    sweep(sleepy, [{}], seeds=5, executor=eval(sys.argv[2]), out=sys.argv[1])
except KeyboardInterrupt:
    sys.stdout.write("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize("executor", ["'serial'", "None"])
def test_ctrl_c_stops_at_once_and_keeps_what_was_done(tmp_path: Path, executor: str) -> None:
    out = tmp_path / "runs.jsonl"
    victim = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(out), executor],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while victim.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < 4):
        time.sleep(0.01)
    time.sleep(0.2)  # the last is under way, and a worker has nothing to do
    os.killpg(victim.pid, signal.SIGINT)  # as a terminal does: the workers get it as well
    assert victim.communicate(timeout=50) == ("interrupted", "")  # nobody waits for a minute
    assert out.read_text().count("\n") == 4
