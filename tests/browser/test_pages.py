"""In a real browser: the report shows its pictures, the player plays. Run by `.ci/browser`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from gridrl import penguin_world, plot, value_iteration
from gridrl.demo.__main__ import main

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        context = browser.new_context(offline=True)  # a page that needs the network fails here
        yield context.new_page()
        browser.close()


def test_the_report_shows_every_picture(page: Page, tmp_path: Path) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    page.goto((tmp_path / "report.html").as_uri())
    widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 10
    assert min(widths) > 100
    assert page.inner_text("h1") == "gridrl: the penguin's world"
    assert complaints == []


def test_the_player_goes_forward_back_and_plays(page: Page, tmp_path: Path) -> None:
    ice = penguin_world()
    sweeps = islice(value_iteration.iterates(ice.mdp(gamma=0.9)), 6)
    path = plot.animate(ice, sweeps).save(tmp_path / "film.html")
    page.goto(path.as_uri())

    def at() -> int:
        return int(page.input_value("#at"))

    def source() -> str:
        return page.get_attribute("#picture", "src") or ""

    first = source()
    page.click("#on")
    page.keyboard.press("ArrowRight")
    assert at() == 2
    assert source() != first
    page.click("#back")
    page.click("#back")
    page.click("#back")
    assert at() == 0
    assert source() == first
    page.click("#play")
    page.wait_for_function("+document.getElementById('at').value >= 2", timeout=5000)
    page.click("#play")
    assert page.inner_text("#play").strip() == "play"
    assert "error at most" in page.inner_text("#title")
