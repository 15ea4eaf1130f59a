"""An import points only to an earlier chapter: the folders are the reading order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gridrl

ROOT = Path(gridrl.__file__).parent
ORDER = [
    "errors",
    "files",
    "tables",
    "streams",
    "iterates",
    "processes",
    "worlds",
    "planning",
    "learning",
    "preferences",
    "rlhf",
    "plot",
    "humans",
    "envs",
    "experiments",
    "demo",
]
ONLY_IN = {"matplotlib": {"plot", "demo"}, "gymnasium": {"envs"}, "ipywidgets": {"plot", "humans"}}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in ORDER)


def chapter(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    """Modules that a file imports when it runs, at the top or in a function; not for types only."""
    found: list[str] = []
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gridrl":
            found += [f"gridrl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_earlier_chapters(path: Path) -> None:
    here = ORDER.index(chapter(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "gridrl" or len(parts) == 1:
            assert chapter(path) in ONLY_IN.get(parts[0], {chapter(path)}), name
            continue
        there = gridrl._HOME.get(parts[1], parts[1])
        assert ORDER.index(there) <= here, f"{path.name} imports {name}"


def test_every_chapter_has_its_place() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(ORDER)


def test_no_module_bears_the_name_of_a_public_function() -> None:
    modules = {path.stem for path in ROOT.rglob("*.py")}
    assert modules & set(gridrl.__all__) == set()
