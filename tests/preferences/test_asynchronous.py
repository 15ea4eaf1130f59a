"""Three processes at once: the same rules, and nothing lost however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any, ClassVar

import numpy as np
import pytest

from gridrl.planning import expected_return, policy_iteration, uniform_policy
from gridrl.preferences.asynchronous import learn_asynchronously, newest, offer
from gridrl.preferences.christiano import Preferring
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.ensembles import RewardEnsemble
from gridrl.preferences.oracles import PreferenceOracle
from gridrl.preferences.policy_steps import PolicyState, actor_critic_step
from gridrl.preferences.segments import Segment
from gridrl.processes import MDP
from gridrl.worlds import penguin_world

ICE = penguin_world()
WORLD = ICE.mdp(gamma=0.9)
FISH = [float(tile == "F") for tile in ICE.tiles.ravel()]
ORACLE = PreferenceOracle(FISH)


class Person:
    """Answers as the oracle does, in her own time, until something happens."""

    def __init__(
        self, seconds: float = 0.0, patience: int = 10**9, ending: type[BaseException] = ValueError
    ) -> None:
        self.seconds, self.patience, self.ending = seconds, patience, ending
        self.answers, self.thread = 0, threading.current_thread()

    def label(self, first: Segment, second: Segment, rng: Any = None) -> str:
        assert threading.current_thread() is self.thread
        time.sleep(self.seconds)
        if self.answers == self.patience:
            raise self.ending("enough")
        self.answers += 1
        return ORACLE.label(first, second, rng)


def few(oracle: Any = ORACLE, **options: Any) -> Preferring:
    settings = {"queries": 20, "rounds": 2, "horizon": 30, "episodes": 5, "rng": 0} | options
    return learn_asynchronously(WORLD, oracle, **settings)


def working() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("gridrl")]


def test_it_learns_as_well_as_in_turns() -> None:
    # who is quicker is left to the machine: 30 of 30 runs found the best policy
    learned = learn_asynchronously(WORLD, ORACLE, queries=200, rng=0)
    best = float(WORLD.start @ policy_iteration(WORLD).V)
    assert learned.labels_used == 200
    assert expected_return(WORLD, learned.policy) > 0.9 * best
    assert learned.steps > 2000


def test_a_snapshot_a_vote_and_one_at_the_end() -> None:
    shown = list(
        learn_asynchronously.iterates(
            WORLD, ORACLE, queries=20, rounds=2, horizon=30, episodes=5, rng=0
        )
    )
    assert [one.labels_used for one in shown] == [*range(1, 21), 20]
    assert all(len(one.asked) == 1 for one in shown[:-1])
    assert len({vote.pair for vote in shown[-1].comparisons}) == 20
    assert shown[-1].reward.any()


def test_votes_wait_for_fits() -> None:
    # five votes before the first fit, and then no more than the schedule has for each
    models = [
        id(one.ensemble)
        for one in learn_asynchronously.iterates(
            WORLD, ORACLE, queries=20, rounds=4, horizon=30, episodes=5, rng=0
        )
    ]
    assert len(set(models[:5])) == 1
    assert len(set(models)) >= 5


def test_the_agent_trains_on_while_a_person_thinks() -> None:
    steps: list[int] = []

    def training(mdp: MDP, before: PolicyState | None, rng: np.random.Generator) -> PolicyState:
        steps.append(1)
        return actor_critic_step(mdp, before, rng, updates=2, steps=10)

    learned = few(Person(0.05), queries=12, policy_step=training)
    assert len(steps) > 12  # 0.6 s of thinking, a step takes some milliseconds
    assert learned.steps > 12 * 150


def test_a_planner_waits_for_another_reward() -> None:
    plans: list[int] = []

    def planning(mdp: MDP, before: PolicyState | None, rng: np.random.Generator) -> PolicyState:
        plans.append(1)
        return PolicyState(policy_iteration(mdp).policy)

    few(Person(0.05), queries=8, policy_step=planning)
    assert len(plans) <= 8  # seven fits at most after the second vote, and the end


def test_enough_time_is_enough() -> None:
    person = Person(0.05)
    begun = time.monotonic()
    learned = few(person, queries=10_000, initial=5, seconds=0.5)
    assert time.monotonic() - begun < 30
    assert learned.labels_used == person.answers <= 11
    assert not working()


def test_ctrl_c_returns_what_was_learned(tmp_path: Path) -> None:
    person = Person(patience=12, ending=KeyboardInterrupt)
    learned = few(person, dataset=PreferenceDataset(tmp_path / "votes.jsonl"))
    assert learned.labels_used == 12
    assert len(PreferenceDataset.load(tmp_path / "votes.jsonl")) == 12
    assert learned.reward.any()  # the last votes are in it
    assert not working()


def test_what_the_oracle_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="enough"):
        few(Person(patience=3))
    assert not working()


class Broken(RewardEnsemble):
    def fit(self, comparisons: Any) -> RewardEnsemble:
        if threading.current_thread() is threading.main_thread():
            return self
        raise ZeroDivisionError("the fit is broken")


def broken_step(mdp: MDP, before: PolicyState | None, rng: np.random.Generator) -> PolicyState:
    if threading.current_thread() is threading.main_thread():
        return PolicyState(uniform_policy(mdp))
    raise ZeroDivisionError("the step is broken")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": Broken((16,))}, "the fit is broken"),
        ({"policy_step": broken_step}, "the step is broken"),
    ],
)
def test_an_error_in_a_thread_is_the_callers(options: dict[str, Any], message: str) -> None:
    votes = PreferenceDataset()
    with pytest.raises(ZeroDivisionError, match=message):
        few(dataset=votes, **options)
    assert len(votes) >= 5
    assert not working()


def test_a_consumer_who_leaves_stops_the_threads() -> None:
    film = learn_asynchronously.iterates(WORLD, ORACLE, queries=20, rng=0)
    assert next(film).labels_used == 1
    film.close()  # type: ignore[attr-defined]
    assert not working()


def test_a_run_goes_on_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    few(dataset=PreferenceDataset(path))
    person = Person()
    learned = few(person, queries=26, dataset=PreferenceDataset(path), rng=1)
    assert (person.answers, learned.labels_used) == (6, 26)
    done = few(person, queries=26, dataset=PreferenceDataset(path), rng=2)
    assert (person.answers, done.labels_used) == (6, 26)
    assert done.reward.any()


def test_when_there_are_no_new_pairs_it_ends() -> None:
    mdp = MDP(np.full((2, 1, 2), 0.5), np.zeros(2), 0.9)
    oracle = PreferenceOracle([0.0, 1.0])
    learned = learn_asynchronously(mdp, oracle, queries=50, segment_length=2, rng=0, initial=3)
    assert 3 <= learned.labels_used <= 6  # four clips, six pairs


def test_the_agent_acts_again_when_its_clips_are_used_up() -> None:
    # 28 pairs of the 8 clips of a turn; 20 of 20 runs came to the end when this was written
    learned = few(queries=200, rounds=10, horizon=10, episodes=8)
    assert learned.labels_used == 200
    assert len({vote.pair for vote in learned.comparisons}) == 200


class Counting(RewardEnsemble):
    fits: ClassVar[list[int]] = []

    def fit(self, comparisons: Any) -> RewardEnsemble:
        self.fits.append(1)
        return super().fit(comparisons)


def test_used_up_clips_are_no_reason_to_plan_again() -> None:
    plans: list[int] = []

    def planning(mdp: MDP, before: PolicyState | None, rng: np.random.Generator) -> PolicyState:
        plans.append(1)
        return PolicyState(policy_iteration(mdp).policy)

    Counting.fits.clear()
    few(
        queries=200, initial=40, horizon=10, episodes=8, policy_step=planning,
        ensemble=Counting((16,), rng=0),
    )  # fmt: skip
    assert len(plans) <= len(Counting.fits)


KILLED = """
import sys
from gridrl.preferences.asynchronous import learn_asynchronously
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.oracles import PreferenceOracle
from gridrl.worlds import penguin_world

ice = penguin_world()
oracle = PreferenceOracle([float(tile == "F") for tile in ice.tiles.ravel()])
for now in learn_asynchronously.iterates(
    ice.mdp(gamma=0.9), oracle, queries=100_000, initial=2000,
    dataset=PreferenceDataset(sys.argv[1]),
):
    print(now.labels_used, flush=True)
"""


def test_a_kill_loses_no_acknowledged_vote(tmp_path: Path) -> None:
    path, heard = tmp_path / "votes.jsonl", 0
    for votes in (3, 40):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            while (heard := int(run.stdout.readline())) < votes:
                pass
            run.send_signal(signal.SIGKILL)
            heard = int((re.findall(r"(\d+)\n", run.stdout.read()) or [heard])[-1])
        kept = PreferenceDataset.load(path)
        assert len(kept) in (heard, heard + 1)  # one more may be on the disk than was heard of
        assert len(kept.damaged) <= 1


def test_queues_of_one_hold_the_news() -> None:
    queue: Queue[int] = Queue(maxsize=1)
    assert newest(queue) is None
    assert newest(queue, wait=True) is None
    offer(queue, 1)
    offer(queue, 2)
    assert (newest(queue), newest(queue)) == (2, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": 0}, "queries must be at least 1; it is 0"),
        ({"seconds": -1.0}, "seconds must be"),
        ({"initial": 500}, "queries must be at least 500, the initial labels; it is 20"),
        ({"segment_length": 31}, "horizon must be at least segment_length, 31; it is 30"),
        ({"oracle": PreferenceOracle(np.zeros(15))}, "oracle.reward must have shape"),
    ],
)
def test_bad_input_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        few(**options)
    assert not working()


def test_partial_is_how_options_are_given() -> None:
    learned = few(policy_step=partial(actor_critic_step, updates=1, episodes=2, steps=5))
    assert learned.policy.shape == (16, 4)


def test_the_threads_can_be_told_by_their_names() -> None:
    films: Any = learn_asynchronously.iterates(WORLD, ORACLE, queries=50, rng=0)
    next(films)
    assert {t.name for t in working()} == {"gridrl_act", "gridrl_fit"}
    films.close()
    assert not working()
