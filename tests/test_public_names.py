"""Every public name exists, has a page of its own, and a place in a notebook or an example."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gridrl

ROOT = Path(__file__).parent.parent
CHAPTERS = [
    "processes", "worlds", "planning", "learning", "preferences", "rlhf", "plot", "humans", "envs",
    "experiments",
]  # fmt: skip
NAMES = [
    (chapter, name)
    for chapter in CHAPTERS
    for name in importlib.import_module(f"gridrl.{chapter}").__all__
]
TAUGHT = "\n".join(
    path.read_text()
    for folder, kind in (("notebooks", "*.ipynb"), ("examples", "*.py"))
    for path in (ROOT / folder).glob(kind)
)
WHOLE = ["processes", "planning", "learning", "preferences"]  # exported from gridrl, name by name
RESULTS = {
    "BestOfN",
    "Corpus",
    "Estimate",
    "Estimates",
    "Expectation",
    "Hack",
    "Optimum",
    "Overoptimisation",
    "PreferenceGame",
    "RewardModel",
    "Row",
    "Rows",
    "Story",
    "BradleyTerry",
    "Preferring",
    "Scoring",
    "PolicyState",
    "Agreement",
    "Panel",
    "Poll",
    "Control",
    "Prediction",
    "Pull",
    "Sweep",
    "AlphaVectors",
    "UpperBound",
    "BeliefBounds",
    "MemorylessPolicy",
    "Solution",
    "Search",
    "Ascent",
    "Moments",
    "SampledProcess",
    "Update",
    "Band",
    "Results",
    "Run",
    "SweepStopped",
    "FiniteHorizon",
    "AverageReward",
    "Trajectories",
    "Finding",
    "Film",
}


@pytest.mark.parametrize(("chapter", "name"), NAMES)
def test_a_public_name_has_a_docstring(chapter: str, name: str) -> None:
    thing = getattr(importlib.import_module(f"gridrl.{chapter}"), name)
    assert len(inspect.getdoc(thing) or "") > 20


@pytest.mark.parametrize(("chapter", "name"), NAMES)
def test_a_public_name_is_taught(chapter: str, name: str) -> None:
    # the classes of results are met wherever their functions are called
    assert name in RESULTS or re.search(rf"\b{name}\b", TAUGHT), f"{chapter}.{name}"


def test_what_is_exported_is_there() -> None:
    for name in gridrl.__all__:
        assert getattr(gridrl, name) is getattr(
            importlib.import_module(f"gridrl.{gridrl._HOME[name]}"), name
        )
    assert set(gridrl.__all__) <= set(dir(gridrl))


@pytest.mark.parametrize("chapter", WHOLE)
def test_students_import_whole_chapters_from_gridrl(chapter: str) -> None:
    assert set(importlib.import_module(f"gridrl.{chapter}").__all__) <= set(gridrl.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gridrl' has no attribute 'value_itration'"):
        gridrl.value_itration  # noqa: B018
    with pytest.raises(ImportError):
        from gridrl import polcy_iteration  # noqa: F401


def test_importing_gridrl_loads_numpy_only() -> None:
    heavy = ["scipy", "matplotlib", "gymnasium", "tqdm", "PIL", "ipywidgets", "pandas"]
    code = f"import sys, gridrl; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("chapter", ["processes", "worlds", "planning", "learning"])
def test_the_chapters_before_plot_load_no_matplotlib(chapter: str) -> None:
    code = f"import sys, gridrl.{chapter}; print('matplotlib' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_names_are_listed_once_for_people_and_once_for_tools() -> None:
    # the type checker reads the chapters' __all__, the running program the table in __init__
    listed = {n for c in WHOLE for n in gridrl.CHAPTERS[c].split()}
    assert listed == {name for chapter, name in NAMES if chapter in WHOLE}
