from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.humans import Poll, SimulatedHuman, Voter, ask_human, in_terminal, with_checks
from gridrl.preferences import (
    Comparison,
    PreferenceDataset,
    learn_asynchronously,
    learn_from_preferences,
    self_consistency,
)
from tests.humans.worlds import ANSWERS, FEAST, ICE, MDP, MEAL, ORACLE, PAIRS, STROLL, clip


def labels(votes: Any) -> list[str]:
    return [vote.label for vote in votes]


def poll_on(dataset: PreferenceDataset, **options: Any) -> Poll:
    return Poll(ICE, PAIRS, dataset, voter="Ada", **options)


def typist(keys: str) -> Callable[[str], str]:
    """Somebody who types these letters, one after each text that is shown."""
    letters = iter(keys)
    return lambda text: next(letters)


def test_votes_are_on_the_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    seen = []
    poll = poll_on(
        PreferenceDataset(path), on_vote=lambda v: seen.append(len(PreferenceDataset.load(path)))
    )
    SimulatedHuman(ORACLE)(poll)
    assert labels(poll.votes) == ANSWERS
    assert seen == [1, 2, 3, 4, 5]
    assert labels(PreferenceDataset.load(path)) == ANSWERS
    assert {vote.voter for vote in PreferenceDataset.load(path)} == {"Ada"}
    assert poll.counts == {"left": 2, "right": 1, "tie": 2, "skip": 0}
    assert len(poll.seconds) == 5


def test_undo_takes_back_and_asks_again(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    poll = poll_on(PreferenceDataset(path))
    for word in ("left", "tie", "undo", "undo", "right"):
        poll.answer(word)
    assert labels(PreferenceDataset.load(path)) == labels(poll.votes) == ["right"]
    assert poll.question == PAIRS[1]
    poll.answer("undo")
    with pytest.raises(ValueError, match="undo must follow a vote; there is none to take back"):
        poll.answer("undo")


def test_undo_leaves_other_peoples_votes_alone() -> None:
    dataset = PreferenceDataset()
    ada = poll_on(dataset)
    ada.answer("left")
    dataset.append(Comparison(*PAIRS[3], "tie", "Bob"))
    ada.answer("undo")
    assert [vote.voter for vote in dataset] == ["Bob"]
    ada.answer("left")
    dataset.append(Comparison(*PAIRS[3], "tie", "Ada"))  # elsewhere, under the same name
    with pytest.raises(ValueError, match="undo must be of the last vote of 'Ada'; a later one is"):
        ada.answer("undo")
    assert len(dataset) == 3


def test_what_was_not_saved_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = PreferenceDataset()
    poll = poll_on(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "append", full)
        with pytest.raises(OSError, match="No space left"):
            poll.answer("left")
    assert poll.question == PAIRS[0]
    assert poll.votes == []
    poll.answer("left")
    assert labels(dataset) == ["left"]


def full(vote: Comparison) -> None:
    raise OSError(28, "No space left on device")


def test_a_word_that_is_no_answer_is_refused() -> None:
    poll = poll_on(PreferenceDataset())
    with pytest.raises(ValueError, match="label must be one of left, right, tie, skip; it is 'l'"):
        poll.answer("l")
    SimulatedHuman(ORACLE)(poll)
    with pytest.raises(ValueError, match="open question; 'tie' came after the last"):
        poll.answer("tie")
    with pytest.raises(ValueError, match="poll must have an open question"):
        SimulatedHuman(ORACLE).says(poll)


def test_one_goes_on_where_one_stopped() -> None:
    dataset = PreferenceDataset()
    first = ask_human(ICE, PAIRS[:2], dataset, voter="Ada", front=SimulatedHuman(ORACLE))
    assert len(first.votes) == 2
    again = ask_human(ICE, PAIRS, dataset, voter="Ada", checks=0, front=SimulatedHuman(ORACLE))
    assert labels(again.votes) == ANSWERS[2:]
    other = ask_human(ICE, PAIRS, dataset, voter="Bob", checks=0, front=SimulatedHuman(ORACLE))
    assert len(other.votes) == 5


def test_checks_come_later_with_the_sides_exchanged() -> None:
    pairs = [(clip(0, k), clip(1, k)) for k in range(16)]
    pairs += [(clip(2, k), clip(3, k)) for k in range(4)]
    questions = with_checks(pairs, 0.25, rng=0)
    assert len(questions) == 25
    assert [pair for pair in questions if pair in pairs] == pairs  # in their order
    for first, second in (pair for pair in questions if pair not in pairs):
        original = questions.index((second, first))
        assert questions.index((first, second)) > original + (3 if original < 15 else 0)
    assert with_checks(pairs, 0.25, rng=0) == questions
    with pytest.raises(ValueError, match=r"checks must be in \[0, 1\]; it is 2"):
        with_checks(pairs, 2)


@pytest.mark.parametrize("seed", [0, None])
def test_one_who_stops_is_asked_the_checks_that_are_left(seed: int | None) -> None:
    dataset, oracle = PreferenceDataset(), SimulatedHuman(ORACLE)
    pairs = [(clip(0, k, 0), clip(1, k, 0)) for k in range(10)]
    whole = with_checks(pairs, 1.0, rng=0)

    def some(poll: Poll) -> None:
        for _ in range(12):
            poll.answer(oracle.says(poll))

    first = ask_human(ICE, pairs, dataset, checks=1.0, front=some, rng=0)
    again = ask_human(ICE, pairs, dataset, checks=1.0, front=oracle, rng=seed)
    assert len(first.votes) == 12
    assert len(again.votes) == 8
    assert seed is None or again.questions == whole[12:]
    assert self_consistency(dataset).repeats == 10


def test_nothing_is_left_to_ask_whoever_answered_all() -> None:
    dataset = PreferenceDataset()
    pairs = [(clip(0, k, 0), clip(1, k, 0)) for k in range(10)]
    for asked in (15, 0, 0):  # fresh chance draws other checks, and must not ask them
        poll = ask_human(ICE, pairs, dataset, checks=0.5, front=SimulatedHuman(ORACLE))
        assert len(poll.votes) == asked


def test_an_oracle_passes_its_attention_checks() -> None:
    dataset = PreferenceDataset()
    pairs = [PAIRS[0], *PAIRS[2:]]
    ask_human(ICE, pairs, dataset, checks=1.0, front=SimulatedHuman(ORACLE), rng=0)
    found = self_consistency(dataset)
    assert (found.agreed, found.repeats) == (4, 4)


def test_pairs_of_another_world_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pairs\[1\] must be of this world, '\w+'; it is of 'ff'"):
        ask_human(ICE, [PAIRS[0], (clip(0, 1, world="ff"),) * 2], PreferenceDataset())
    with pytest.raises(ValueError, match=r"states\[0\] must be in 0..15; it is 77"):
        ask_human(ICE, [(clip(77, 1), clip(0, 1))], PreferenceDataset())
    with pytest.raises(ValueError, match=r"pairs\[0\] must be two clips; there are 3"):
        ask_human(ICE, [(STROLL, MEAL, FEAST)], PreferenceDataset())  # type: ignore[list-item]
    with pytest.raises(TypeError, match="world must be a GridWorld; it is"):
        ask_human("ice", PAIRS, PreferenceDataset())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"pairs": [1, 2]}, r"pairs\[0\] must be two clips; it is 1"),
        (
            {"pairs": [PAIRS[0], (MEAL, 3)]},
            r"pairs\[1\] must be two clips, each a Segment; one is 3",
        ),
        ({"pairs": [STROLL, MEAL]}, r"pairs\[0\] must be two clips; it is Segment"),
        ({"pairs": None}, "pairs must be pairs of clips; it is None"),
        ({"dataset": "x.jsonl"}, "dataset must be a PreferenceDataset; it is 'x.jsonl'"),
        ({"front": "terminal"}, "front must be a function of a poll, as in_terminal; it is 'term"),
        ({"on_vote": "log"}, "on_vote must be a function of a vote; it is 'log'"),
    ],
)
def test_what_nobody_can_be_asked_with_is_refused(options: dict[str, Any], rule: str) -> None:
    given = {"pairs": PAIRS, "dataset": PreferenceDataset(), "front": SimulatedHuman(ORACLE)}
    with pytest.raises(TypeError, match=rule):
        ask_human(ICE, **(given | options))  # type: ignore[arg-type]


def test_a_dataset_of_another_world_is_refused_before_anybody_is_asked() -> None:
    def nobody(poll: Poll) -> None:
        raise AssertionError("somebody was asked")

    lost = [(clip(0, 1, world=""), clip(1, 2, world=""))]
    old = PreferenceDataset()
    old.append(Comparison(*lost[0], "tie"))
    rule = r"dataset must be of world '\w+', as the pairs; it is of world"
    with pytest.raises(ValueError, match=f"{rule} 'zz'"):
        ask_human(ICE, PAIRS, PreferenceDataset(world="zz"), front=nobody)
    with pytest.raises(ValueError, match=f"{rule} ''"):
        ask_human(ICE, PAIRS, old, front=nobody)
    with pytest.raises(
        ValueError, match=r"pairs\[5\] must be of the same world as pairs\[0\], '\w+'"
    ):
        ask_human(ICE, PAIRS + lost, PreferenceDataset(), front=nobody)


def test_a_front_end_that_breaks_loses_no_vote(tmp_path: Path) -> None:
    def broken(poll: Poll) -> None:
        poll.answer("left")
        raise RuntimeError("the window is gone")

    path = tmp_path / "votes.jsonl"
    with pytest.raises(RuntimeError, match="the window is gone"):
        ask_human(ICE, PAIRS, PreferenceDataset(path), front=broken)
    assert labels(PreferenceDataset.load(path)) == ["left"]


def test_the_terminal_shows_both_clips_and_takes_letters() -> None:
    shown: list[str] = []
    keys = typist("Rxultc")

    def ask(text: str) -> str:
        shown.append(text)
        return f" {keys(text)}\n"

    poll = Poll(ICE, PAIRS[:3], PreferenceDataset())
    in_terminal(poll, ask=ask)
    assert labels(poll.votes) == ["left", "tie", "skip"]
    assert "question 1 of 3" in shown[0]
    assert "LEFT\nright  right  right  end\n@..F   S@.F   S.@F   S@.F" in shown[0]
    assert "RIGHT\nright  right  right  end\nS.@F   S..@" in shown[0]
    assert "'x' is none of l, r, t, c, u, q" in shown[2]
    assert "question 2 of 3" in shown[4]


def test_the_terminal_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, shown = PreferenceDataset(), []
    keys = typist("lu")

    def ask(text: str) -> str:
        shown.append(text)
        try:
            return keys(text)
        except StopIteration:
            raise EOFError from None  # Ctrl-D

    poll = poll_on(dataset)
    monkeypatch.setattr(dataset, "append", full)
    in_terminal(poll, ask=ask)
    assert poll.votes == []
    assert "Not saved, please answer again: [Errno 28] No space left on device" in shown[1]
    assert "There is nothing to take back" in shown[2]


def test_the_terminal_knows_a_vote_that_was_saved() -> None:
    def log(vote: Comparison) -> None:
        raise OSError(28, "log disk full")

    dataset, shown = PreferenceDataset(), list[str]()
    keys = typist("llq")

    def ask(text: str) -> str:
        shown.append(text)
        return keys(text)

    in_terminal(poll_on(dataset, on_vote=log), ask=ask)
    assert [vote.first.key for vote in dataset] == [STROLL.key, MEAL.key]
    assert "Saved, but: [Errno 28] log disk full" in shown[1]
    assert "question 2 of 5" in shown[1]
    assert not [text for text in shown if "answer again" in text]


def test_the_terminal_says_why_a_vote_cannot_be_taken_back() -> None:
    dataset, shown = PreferenceDataset(), list[str]()
    keys = typist("luq")

    def ask(text: str) -> str:
        shown.append(text)
        if len(shown) == 2:
            dataset.append(Comparison(*PAIRS[3], "tie", "Ada"))
        return keys(text)

    in_terminal(poll_on(dataset), ask=ask)
    assert "Not taken back: undo must be of the last vote of 'Ada'" in shown[2]
    assert len(dataset) == 2


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_quitting_keeps_the_votes(end: type[BaseException]) -> None:
    def ask(text: str) -> str:
        if "question 3" in text:
            raise end
        return "l"

    dataset = PreferenceDataset()
    poll = ask_human(ICE, PAIRS, dataset, front=lambda poll: in_terminal(poll, ask=ask), checks=0)
    assert labels(dataset) == labels(poll.votes) == ["left", "left"]


def test_a_terminal_is_asked_where_there_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Poll] = []
    monkeypatch.setattr("gridrl.humans.terminal.in_terminal", asked.append)
    poll = ask_human(ICE, PAIRS, PreferenceDataset())
    assert asked == [poll]


def test_a_voter_answers_in_the_place_of_an_oracle() -> None:
    person = Voter(ICE, front=SimulatedHuman(ORACLE, rng=0))
    chance = np.random.default_rng(0)
    assert [person.label(*pair, chance) for pair in PAIRS] == ANSWERS
    with pytest.raises(ValueError, match="undo must follow a vote"):
        person.poll.answer("undo")  # the learner has the answer
    with pytest.raises(ValueError, match=r"states\[0\] must be in 0..15; it is 70"):
        person.label(clip(70, 1), MEAL)


def test_a_voter_at_a_terminal_may_stop() -> None:
    keys = typist("rq")
    person = Voter(ICE, front=lambda poll: in_terminal(poll, ask=keys))
    assert person.label(*PAIRS[0]) == "right"
    with pytest.raises(KeyboardInterrupt):
        person.label(*PAIRS[1])


def test_a_voter_who_stopped_may_be_asked_again() -> None:
    keys = typist("lqrr")
    person = Voter(ICE, front=lambda poll: in_terminal(poll, ask=keys))
    assert person.label(*PAIRS[0]) == "left"
    with pytest.raises(KeyboardInterrupt):
        person.label(*PAIRS[1])
    assert [person.label(*pair) for pair in PAIRS[2:4]] == ["right", "right"]
    assert [vote.first.key for vote in person.poll.votes] == [
        pair[0].key for pair in (PAIRS[0], *PAIRS[2:4])
    ]  # the open question is gone


def test_two_runs_of_one_voter_get_all_their_votes() -> None:
    keys = typist("lq" + 50 * "r")
    person = Voter(ICE, front=lambda poll: in_terminal(poll, ask=keys))
    dataset = PreferenceDataset()
    for votes in (1, 6):
        learn_asynchronously(MDP, person, queries=6, dataset=dataset, rng=0)
        assert len(dataset) == len(person.poll.votes) == votes


@pytest.mark.parametrize("answers", [0, 1])
def test_a_front_end_that_breaks_leaves_no_question_behind(answers: int) -> None:
    def breaks_once(poll: Poll) -> None:
        for _ in range(answers if poll.front is None else 1):
            poll.answer("left")
        if poll.front is None:
            poll.front = "it has broken"
            raise RuntimeError("the window is gone")

    person = Voter(ICE, front=breaks_once)
    with pytest.raises(RuntimeError, match="the window is gone"):
        person.label(*PAIRS[0])
    assert (person.poll.questions, person.poll.votes) == ([], [])
    assert person.label(*PAIRS[2]) == "left"
    assert [vote.first.key for vote in person.poll.votes] == [FEAST.key]


def test_a_voter_needs_a_front_end() -> None:
    with pytest.raises(TypeError, match="front must be a function of a poll"):
        Voter(ICE, front="terminal")  # type: ignore[arg-type]


class Window:
    """A front end that returns at once, as the panel does; its answers come from elsewhere."""

    def __init__(self, poll: Poll) -> None:
        self.poll, self.shown = poll, threading.Semaphore(1)

    def show(self) -> None:
        self.shown.release()


def test_a_learner_in_a_thread_waits_for_each_answer() -> None:
    person = Voter(ICE, front=Window)
    said: list[str] = []
    learner = threading.Thread(target=lambda: said.extend(person.label(*pair) for pair in PAIRS))
    learner.start()
    for k, word in enumerate(ANSWERS):
        while person.poll.question is None:
            assert learner.is_alive()
        assert len(said) == 0 or k > 0
        assert person.poll.question == PAIRS[k]
        person.poll.answer(word)
    learner.join(10)
    assert said == ANSWERS


def test_stop_lets_a_waiting_learner_go() -> None:
    person, ended = Voter(ICE, front=Window), []

    def learn() -> None:
        try:
            person.label(*PAIRS[0])
        except KeyboardInterrupt as error:
            ended.append(str(error))

    learner = threading.Thread(target=learn)
    learner.start()
    person.stop()
    learner.join(10)
    assert ended == ["the person who was asked has stopped"]


def test_stop_ends_one_run_and_not_those_after() -> None:
    person = Voter(ICE, front=Window)
    person.stop()  # while the learner is between two questions
    with pytest.raises(KeyboardInterrupt, match="has stopped"):
        person.label(*PAIRS[0])
    said: list[str] = []
    learner = threading.Thread(target=lambda: said.append(person.label(*PAIRS[1])))
    learner.start()
    while person.poll.question is None:
        assert learner.is_alive()
    assert person.poll.questions == [PAIRS[1]]
    person.poll.answer("tie")
    learner.join(10)
    assert said == ["tie"]


def test_quitting_is_no_panel_that_could_not_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.plot.frames._in_notebook", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        Voter(ICE, front=lambda poll: in_terminal(poll, ask=typist("q"))).label(*PAIRS[0])


def test_a_panel_that_could_not_hear_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.plot.frames._in_notebook", lambda: True)
    with pytest.raises(RuntimeError, match=r"call the learner in threading.Thread"):
        Voter(ICE, front=Window).label(*PAIRS[0])
    assert Voter(ICE, front=SimulatedHuman(ORACLE)).label(*PAIRS[0]) == "right"


def test_a_learner_signs_the_votes_of_whoever_it_asks() -> None:
    votes = PreferenceDataset()
    person = Voter(ICE, voter="Ada", front=SimulatedHuman(ORACLE))
    learn_from_preferences(MDP, person, queries=5, dataset=votes, rng=0)
    assert {vote.voter for vote in votes} == {"Ada"}
