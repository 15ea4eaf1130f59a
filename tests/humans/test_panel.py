from __future__ import annotations

import builtins
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from gridrl.humans import Panel, Poll, SimulatedHuman, Voter, ask_human, in_notebook
from gridrl.preferences import Comparison, PreferenceDataset
from tests.humans.worlds import ANSWERS, FISH, ICE, ORACLE, PAIRS


def panel_on(dataset: PreferenceDataset, **options: Any) -> Panel:
    poll = Poll(ICE, PAIRS, dataset, voter="Ada")
    poll.front = Panel(poll, learn=options.pop("learn", None), **options)
    poll.front.show()
    return poll.front


def labels(votes: Any) -> list[str]:
    return [vote.label for vote in votes]


def pictures(content: bytes) -> int:
    return sum(1 for _ in ImageSequence.Iterator(Image.open(io.BytesIO(content))))


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was displayed."""
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_a_simulated_human_votes_by_the_buttons(tmp_path: Path, displayed: list[Any]) -> None:
    path = tmp_path / "votes.jsonl"
    poll = ask_human(ICE, PAIRS, PreferenceDataset(path), checks=0, front=in_notebook)
    panel = poll.front
    assert displayed[0] is panel.box
    assert panel.name in displayed[1].data
    SimulatedHuman(ORACLE).click(poll, 2)
    assert labels(PreferenceDataset.load(path)) == ANSWERS[:2]
    assert "Question 3 of 5" in panel.status.value
    assert "1 left, 1 right" in panel.status.value
    SimulatedHuman(ORACLE).click(poll)
    assert labels(PreferenceDataset.load(path)) == ANSWERS
    assert "All 5 questions answered" in panel.status.value
    assert panel.buttons["left"].disabled
    assert panel.trouble is None


def test_undo_goes_back_to_the_question_before() -> None:
    dataset = PreferenceDataset()
    panel = panel_on(dataset)
    before = [clip.value for clip in panel.clips]
    panel.buttons["tie"].click()
    assert [clip.value for clip in panel.clips] != before
    panel.buttons["undo"].click()
    assert [clip.value for clip in panel.clips] == before
    assert len(dataset) == 0
    panel.buttons["undo"].click()
    assert "Not done:</b> undo must follow a vote" in panel.status.value


def test_the_last_vote_may_be_taken_back_too() -> None:
    dataset = PreferenceDataset()
    panel = panel_on(dataset)
    SimulatedHuman(ORACLE).click(panel.poll)
    panel.buttons["undo"].click()
    assert labels(dataset) == ANSWERS[:-1]
    assert not panel.buttons["left"].disabled


def test_pause_stands_still_and_the_slider_steps() -> None:
    panel = panel_on(PreferenceDataset())
    assert [pictures(clip.value) for clip in panel.clips] == [4, 4]
    assert panel.step.disabled
    moving = panel.clips[0].value
    panel.buttons["pause"].click()
    assert panel.paused
    assert [pictures(clip.value) for clip in panel.clips] == [1, 1]
    seen = set()
    for k in (1, 2, 3, 4):
        panel.step.value = k
        seen.add(panel.clips[0].value)
    assert len(seen) == 4
    panel.buttons["pause"].click()
    assert panel.clips[0].value == moving
    panel.buttons["pause"].click()
    panel.buttons["replay"].click()
    assert not panel.paused


def test_replay_begins_anew() -> None:
    panel = panel_on(PreferenceDataset())
    sent: list[int] = []
    panel.clips[1].observe(lambda change: sent.append(len(change["new"])), "value")
    panel.buttons["replay"].click()
    assert sent[0] == 0  # a browser would not begin the same picture again
    assert sent[1] > 1000


def test_the_learned_reward_is_drawn_after_each_vote(displayed: list[Any]) -> None:
    learned: list[int] = []

    def learn(votes: Any) -> Any:
        learned.append(len(votes))
        return np.array(FISH) * len(votes)

    panel = panel_on(PreferenceDataset(), learn=learn)
    assert panel.map.value == b""
    panel.buttons["skip"].click()  # nothing to learn from yet
    assert learned == []
    panel.buttons["left"].click()
    first = panel.map.value
    panel.buttons["tie"].click()
    assert learned == [1, 2]
    assert panel.map.value != first
    poll = ask_human(ICE, PAIRS, PreferenceDataset(), front=in_notebook)  # its own learner
    SimulatedHuman(ORACLE).click(poll)
    assert Image.open(io.BytesIO(poll.front.map.value)).format == "PNG"


def test_a_full_disk_is_said_and_the_question_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = PreferenceDataset()
    panel = panel_on(dataset)

    def full(vote: Comparison) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "append", full)
        panel.buttons["left"].click()
    assert "Not done:</b> [Errno 28] No space left on device" in panel.status.value
    assert isinstance(panel.trouble, OSError)
    assert panel.poll.question == PAIRS[0]
    panel.buttons["left"].click()
    assert labels(dataset) == ["left"]


def test_a_broken_display_loses_no_vote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the <front> end is gone")

    path = tmp_path / "votes.jsonl"
    panel = panel_on(PreferenceDataset(path))
    with monkeypatch.context() as patch:
        patch.setattr("gridrl.humans.panel.clip_frames", broken)
        panel.buttons["left"].click()
        panel.buttons["right"].click()
        assert "cannot be shown:</b> the &lt;front&gt; end is gone" in panel.status.value
        patch.setattr(type(panel.status), "set_trait", broken)
    assert labels(PreferenceDataset.load(path)) == ["left", "right"]
    panel.buttons["tie"].click()  # and it goes on
    assert labels(PreferenceDataset.load(path)) == ["left", "right", "tie"]
    assert "Question 4 of 5" in panel.status.value


def test_what_listens_may_fail(tmp_path: Path) -> None:
    def deaf(vote: Comparison) -> None:
        raise OSError("the listener is gone")

    poll = Poll(ICE, PAIRS, PreferenceDataset(tmp_path / "votes.jsonl"), on_vote=deaf)
    panel = Panel(poll, learn=None)
    panel.show()
    panel.buttons["left"].click()
    assert "Saved, but:</b> the listener is gone" in panel.status.value
    assert labels(PreferenceDataset.load(tmp_path / "votes.jsonl")) == ["left"]


def test_a_panel_that_cannot_be_displayed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("no front end")

    monkeypatch.setattr("IPython.display.display", broken)
    with pytest.raises(RuntimeError, match="no front end"):
        ask_human(ICE, PAIRS, PreferenceDataset(), front=in_notebook)
    with pytest.raises(RuntimeError, match="no front end"):
        Voter(ICE, front=in_notebook).label(*PAIRS[0])  # nobody waits for it


def test_a_learner_asks_through_the_panel(displayed: list[Any]) -> None:
    person = Voter(ICE, front=in_notebook)
    said: list[str] = []
    learner = threading.Thread(target=lambda: said.extend(person.label(*pair) for pair in PAIRS))
    learner.start()
    for k, pair in enumerate(PAIRS):
        while person.poll.question is None or person.poll.front is None:
            assert learner.is_alive()
        assert person.poll.question == pair
        SimulatedHuman(ORACLE).click(person.poll, 1)
        assert len(person.poll.votes) == k + 1
    learner.join(20)
    assert said == ANSWERS
    assert len(displayed) == 2  # one panel for all


def test_a_notebook_gets_the_panel(monkeypatch: pytest.MonkeyPatch, displayed: list[Any]) -> None:
    monkeypatch.setattr("gridrl.plot.frames._in_notebook", lambda: True)
    poll = ask_human(ICE, PAIRS, PreferenceDataset())
    assert isinstance(poll.front, Panel)


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_widgets(name: str, *rest: Any, **options: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    with pytest.raises(ImportError, match=r"pip install 'gridrl\[notebooks\]'"):
        panel_on(PreferenceDataset())
