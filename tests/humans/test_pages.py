from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gridrl.humans import vote_page
from gridrl.preferences import Comparison, PreferenceDataset
from tests.humans.worlds import ICE, MEAL, PAIRS, STROLL


def test_the_page_holds_each_clip_once_and_needs_no_network(tmp_path: Path) -> None:
    page = vote_page(ICE, PAIRS, tmp_path / "page.html", checks=0.4, rng=0)
    assert (tmp_path / "page.html").read_text() == page
    clips = {clip.key for pair in PAIRS for clip in pair}
    assert page.count("data:image/gif") == len(clips) == 4
    assert re.findall(r"""(?:src|href)=["']?http""", page) == []
    content = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert len(content["questions"]) == len(content["keys"]) == 7
    assert content["keys"][0] == [STROLL.key, MEAL.key]


def test_a_line_of_the_page_is_a_vote(tmp_path: Path) -> None:
    page = vote_page(ICE, PAIRS[:1])
    content = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    line = json.dumps(content["questions"][0] | {"label": "left", "voter": "Ada"})
    (tmp_path / "votes.jsonl").write_text(line + "\n")
    (vote,) = PreferenceDataset.load(tmp_path / "votes.jsonl")
    assert vote.pair == Comparison(STROLL, MEAL, "left").pair
    assert (vote.label, vote.voter, vote.first.key) == ("left", "Ada", STROLL.key)


def test_a_title_cannot_become_a_script() -> None:
    page = vote_page(ICE, PAIRS[:1], title="<script>alert(1)</script> CONTENT NAME")
    assert "<script>alert" not in page
    assert page.count("<script") == 2


def test_what_makes_no_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path must end in .html; it is 'votes.txt'"):
        vote_page(ICE, PAIRS, "votes.txt")
    with pytest.raises(ValueError, match="pairs must hold at least one pair of clips; it is empty"):
        vote_page(ICE, [])
    with pytest.raises(FileNotFoundError):
        vote_page(ICE, PAIRS, tmp_path / "nowhere" / "page.html")
