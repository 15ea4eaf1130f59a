"""In a real browser: votes by mouse and keys, in JupyterLab and on a page, land in the file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from gridrl import penguin_world
from gridrl.humans import vote_page
from gridrl.preferences import PreferenceDataset, Segment, fingerprint

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SETUP = """
from gridrl import penguin_world
from gridrl.humans import ask_human
from gridrl.preferences import PreferenceDataset, Segment

def clip(*states):
    return Segment(states[:-1], [1] * (len(states) - 1), final=states[-1])

pairs = [(clip(0, 1, 2, 3), clip(4, 5, 6, k)) for k in (2, 5, 7, 10)]
poll = ask_human(penguin_world(), pairs, PreferenceDataset("votes.jsonl"), voter="Ada", checks=0)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """JupyterLab in an empty folder; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    homes = {
        name: str(tmp_path / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    server = subprocess.Popen(
        [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=fish", f"--ServerApp.root_dir={tmp_path}",
            "--LabApp.news_url=", f"--LabApp.user_settings_dir={tmp_path / 'settings'}",
            f"--LabApp.workspaces_dir={tmp_path / 'workspaces'}",
        ],
        env=os.environ | homes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: _answers(f"{address}/api?token=fish"), 60, "JupyterLab did not start")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(address, timeout=2) as response:
        return bool(response.status == 200)
    return False


def _until(holds: Callable[[], bool], seconds: float, complaint: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, complaint
        time.sleep(0.1)


def _notebook(folder: Path) -> None:
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(SETUP)],  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "ask.ipynb")  # type: ignore[no-untyped-call]


def test_the_panel_in_jupyterlab(browser: Browser, lab: str, tmp_path: Path) -> None:
    _notebook(tmp_path)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{lab}/lab/tree/ask.ipynb?token=fish")
    page.wait_for_selector("text=/Python 3.*Idle/", timeout=60_000)
    _run_the_cell(page)
    page.wait_for_selector(".gridrl-left:enabled", timeout=60_000)
    ada = Sitting(page, tmp_path / "votes.jsonl")
    _votes_and_takes_back(ada)
    _pauses_and_replays(ada)
    _uses_the_keys(ada)
    _is_clumsy(ada)
    page.click(".gridrl-left")
    ada.shows("All 4 questions answered")
    ada.votes("right", "skip", "tie", "left")
    assert ada.widths()[2] == 340  # the learned reward beside the clips


def _run_the_cell(page: Page) -> None:
    """Press until it runs: JupyterLab forgets what is pressed while it connects to the kernel."""
    for _ in range(10):
        page.click(".jp-Notebook .jp-CodeCell .cm-content")
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(2000)
        if page.inner_text(".jp-CodeCell .jp-InputPrompt").strip() != "[ ]:":
            return


@dataclass
class Sitting:
    """Somebody at a panel, and the file their votes land in."""

    page: Page
    path: Path

    def votes(self, *labels: str) -> None:
        """Wait until the file holds these votes, and nothing else."""
        _until(lambda: _labels(self.path) == labels, 20, f"not {labels}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def shows(self, text: str) -> None:
        self.page.wait_for_selector(f"text={text}", timeout=20_000)

    def widths(self) -> list[int]:
        images = "[class*=gridrl-panel] img"
        return list(self.page.eval_on_selector_all(images, "all => all.map(i => i.width)"))

    def moments(self) -> int:
        """How many different pictures the left clip shows within a second and a half."""
        clip, seen = self.page.locator("[class*=gridrl-panel] img").first, set()
        for _ in range(10):
            self.page.wait_for_timeout(150)
            seen.add(clip.screenshot())
        return len(seen)


def _votes_and_takes_back(ada: Sitting) -> None:
    ada.shows("Question 1 of 4")
    assert ada.widths()[:2] == [320, 320]
    ada.page.click(".gridrl-left")
    ada.votes("left")
    ada.shows("Question 2 of 4")
    ada.page.click(".gridrl-undo")
    ada.votes()
    ada.shows("Question 1 of 4")


def _pauses_and_replays(ada: Sitting) -> None:
    ada.page.click(".gridrl-pause")
    ada.page.wait_for_selector(".gridrl-pause:has-text('play')")
    ada.page.wait_for_timeout(500)
    assert ada.moments() == 1
    ada.page.click(".gridrl-replay")
    ada.page.wait_for_selector(".gridrl-pause:has-text('pause')")
    assert ada.moments() > 1


def _uses_the_keys(ada: Sitting) -> None:
    cells = ada.page.locator(".jp-Notebook .jp-Cell").count()
    ada.press("ArrowRight")  # the panel was clicked last: the keys are its own
    ada.votes("right")
    ada.press("ArrowUp", "u")
    ada.votes("right")
    ada.press("ArrowDown")
    ada.votes("right", "skip")
    ada.press(" ")
    ada.page.wait_for_selector(".gridrl-pause:has-text('play')")
    assert ada.page.locator(".jp-Notebook .jp-Cell").count() == cells


def _is_clumsy(ada: Sitting) -> None:
    ada.shows("Question 3 of 4")
    ada.page.dblclick(".gridrl-tie")  # the second click would be about clips that nobody saw
    ada.shows("Question 4 of 4")
    ada.page.click(".jp-Notebook .cm-content")
    ada.press("ArrowLeft")  # somebody edits the cell
    ada.page.wait_for_timeout(500)
    ada.votes("right", "skip", "tie")


def _labels(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    dataset = PreferenceDataset.load(path)
    assert dataset.damaged == []
    assert {vote.voter for vote in dataset} <= {"Ada"}
    return tuple(vote.label for vote in dataset)


def test_the_page_keeps_votes_and_gives_them_as_lines(browser: Browser, tmp_path: Path) -> None:
    ice = penguin_world()
    world = fingerprint(ice.mdp(gamma=0.9))
    clips = [Segment([k, k + 1], [1, 1], final=k + 2, world=world) for k in range(2)]
    pairs = [(clips[0], clips[1]), (clips[1], clips[1])]
    vote_page(ice, pairs, tmp_path / "page.html", title="<Ice> & fish", checks=0)
    complaints: list[str] = []
    context = browser.new_context(offline=True)  # a page that needs the network fails here
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.inner_text("h1") == "<Ice> & fish"
    page.wait_for_function("document.getElementById('second').naturalWidth === 320")
    page.click("#left")
    page.keyboard.press("u")
    page.keyboard.press("ArrowUp")
    assert "Question 2 of 2" in page.inner_text("#status")
    page.reload()
    assert "Question 2 of 2" in page.inner_text("#status")
    page.click("#right")
    page.fill("#voter", 'Ada "the first"')
    page.keyboard.press("ArrowLeft")
    page.reload()
    assert page.input_value("#voter") == 'Ada "the first"'
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "votes.jsonl")
    votes = PreferenceDataset.load(tmp_path / "votes.jsonl", world=world)
    assert votes.damaged == []
    assert [(v.first.key, v.second.key, v.label, v.voter) for v in votes] == [
        (clips[0].key, clips[1].key, "tie", 'Ada "the first"'),
        (clips[1].key, clips[1].key, "right", 'Ada "the first"'),
    ]
    _leaves_the_page_to_somebody_else(page, tmp_path / "page.html")
    assert complaints == []


def _leaves_the_page_to_somebody_else(page: Page, path: Path) -> None:
    page.goto("about:blank")
    page.goto(path.as_uri())  # another day: the address says nothing, the browser's storage does
    assert page.input_value("#voter") == 'Ada "the first"'
    assert "All 2 questions answered" in page.inner_text("#status")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#anew")
    assert "All 2 questions answered" in page.inner_text("#status")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#anew")
    for _ in range(2):
        assert "Question 1 of 2" in page.inner_text("#status")
        assert page.input_value("#voter") == ""
        page.goto("about:blank")
        page.goto(path.as_uri())
