"""Every example runs, says something, and is short enough to read at once."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    written = capsys.readouterr()
    assert written.out.strip()
    assert written.err == ""
    assert len(path.read_text().splitlines()) <= 60


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
