"""Every notebook runs from top to bottom, is committed without outputs, and has short cells."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_without_complaint(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    manager = client.create_kernel_manager()
    with tempfile.TemporaryDirectory() as short:  # a socket's path has a hundred characters at most
        if os.name == "posix":
            manager.transport, manager.ip = "ipc", f"{short}/kernel"
        client.execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_without_outputs(path: Path) -> None:
    for cell in code_cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_leave_drawing_to_gridrl(path: Path) -> None:
    for cell in code_cells(path):
        lines = [line for line in "".join(cell["source"]).splitlines() if line.strip()]
        assert len([line for line in lines if not line.lstrip().startswith("#")]) <= 10, cell["id"]
        assert "matplotlib" not in "".join(lines), cell["id"]


def test_the_index_names_every_notebook() -> None:
    index = (FOLDER / "index.ipynb").read_text()
    missing = [path.name for path in NOTEBOOKS if path.name not in index]
    assert missing == ["index.ipynb"]


def test_links_lead_somewhere() -> None:
    for path in NOTEBOOKS:
        for target in re.findall(r"\]\((\w+\.ipynb)\)", path.read_text()):
            assert (FOLDER / target).exists(), (path.name, target)
