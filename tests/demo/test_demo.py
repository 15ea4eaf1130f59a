"""The demo tells every part, writes what it says, and fails with a word and a code."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from gridrl.demo import PARTS
from gridrl.demo.__main__ import main


class Sources(HTMLParser):
    """Collects every address that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v for k, v in attrs if k in ("src", "href") and v]


def test_the_whole_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for number in ("1.188", "1.319", "1.466", "2.172", "1.364", "period 2", "0.290"):
        assert number in told, number
    for path in re.findall(r"\[(\S+\.(?:png|gif))\]", told):
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    page = Sources()
    page.feed((tmp_path / "report.html").read_text())
    assert len(page.found) >= 10
    assert all(source.startswith("data:image/") for source in page.found)  # no network


def test_one_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards", "--out", str(tmp_path), "--quick"]) == 0
    told = capsys.readouterr().out
    assert "[1, 0, 2, 0, 6, 0, 10, 0, 9, 1, 10, 0, 11, 1, 15, 0]" in told
    assert "Optimal control" not in told


def test_the_part_on_preferences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--part", "preferences", "--out", str(tmp_path), "--quick"]) == 0
    told = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+) +(\d+\.\d) +(\d+\.\d) %$", told, re.MULTILINE)
    assert [rows[0][0], rows[-1][0]] == ["0", "100"]
    assert rows[0][2] == "62.8"  # by chance
    assert 95 <= float(rows[-1][2]) <= 100
    assert float(rows[-1][1]) == 6.7  # minutes, 4 s a vote
    (likeness,) = re.findall(r"correlation is\s+(0\.\d\d)", told)
    assert float(likeness) > 0.8  # of a hundred votes; two hundred come to 0.99
    for name in ("clips", "true-reward", "learned-reward"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 100


def test_the_part_on_a_language_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--part", "language", "--out", str(tmp_path), "--quick"]) == 0
    told = capsys.readouterr().out
    rows = re.findall(r"^ +([A-Za-z][\w -]*?) +(-?\d\.\d{3}) +(\d\.\d{3}) ", told, re.MULTILINE)
    J = {name: float(value) for name, value, _ in rows}
    gap = {name: float(value) for name, _, value in rows}
    assert len(J) == 12
    assert gap["optimum"] == 0
    assert all(abs(J[name] + gap[name] - J["optimum"]) < 2e-3 for name in J)
    assert J["SFT"] < J["PPO"] < J["optimum"]


def test_the_same_seed_tells_the_same_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = []
    for seed in ("3", "3", "4"):
        main(["--part", "markov", "--out", str(tmp_path), "--seed", seed])
        stories.append(capsys.readouterr().out.split("\nTold in")[0])
    assert stories[0] == stories[1] != stories[2]


def test_listing_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PARTS)


@pytest.mark.parametrize(
    "options", [["--part", "nope"], ["nope"], ["--seed", "-1"], ["--frobnicate"]]
)
def test_wrong_options_exit_with_2(options: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2


def test_a_folder_that_cannot_be_written_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "below"), "--quick"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_an_interrupt_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gridrl.demo.rewards.tell", interrupted)
    assert main(["--part", "rewards", "--out", str(tmp_path)]) == 1
    assert "stopped" in capsys.readouterr().err


def test_it_says_how_long_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    main(["--part", "rewards", "--out", str(tmp_path), "--quick"])
    said = float(capsys.readouterr().out.rsplit("Told in ", 1)[1].split()[0])
    assert 0 < said <= time.perf_counter() - started + 0.05
