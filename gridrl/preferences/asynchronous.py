"""The three processes at once: the agent goes on training while a human thinks for 4 seconds.

    1  acts, and improves the policy      trajectories 1 -> 2
    2  chooses pairs and asks             comparisons  2 -> 3
    3  fits the reward                    parameters   3 -> 1

1 and 3 are threads of their own. 2 stays in the thread of the caller: whoever waits for a key there
can be interrupted there. What a run learns depends on who was quicker: the same seed does not give
the same run. The same in turns, which does, is `learn_from_preferences`.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, Full, Queue
from typing import Any

import numpy as np

from gridrl.iterates import algorithm
from gridrl.preferences.christiano import Preferring, act, after_round, ask, beginning, fit
from gridrl.preferences.course import Course, Voter, dataset_of, label_schedule, model_of
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.policy_steps import Explorer, PolicyState, PolicyStep, plan, seek_novelty
from gridrl.preferences.queries import Choice, Model, disagreement_queries
from gridrl.preferences.segments import Comparison
from gridrl.processes import MDP, Trajectories
from gridrl.tables import generator, number

PATIENCE = 0.02  # seconds between two looks at whether all should stop
TRIES = 100  # turns in a row without a new pair of clips, before there are none


@algorithm
def learn_asynchronously(
    mdp: MDP,
    oracle: Voter,
    *,
    queries: int,
    seconds: float | None = None,
    segment_length: int = 10,
    horizon: int = 100,
    episodes: int = 20,
    policy_step: PolicyStep = plan,
    explore: Explorer = seek_novelty,
    exploration: float = 0.5,
    choose: Choice = disagreement_queries,
    ensemble: Model | None = None,
    shape: Sequence[int] | None = None,
    rounds: int = 10,
    initial: float = 0.25,
    oversample: int = 10,
    dataset: PreferenceDataset | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Preferring]:
    """Act, ask and fit at the same time; a snapshot a vote, and one when all is over.

    Ctrl-C ends it as the last vote does: the threads stop, what was voted is kept and fitted, and
    the result so far is returned. A run goes on from the votes in `dataset`, all of which are kept.

    Args:
        mdp: the world, whose reward is not looked at and whose ends are taken away.
        oracle: who is asked, in the thread of the caller.
        queries: N, votes in all; fewer where the world has no more different pairs of clips.
        seconds: no question is put after so long; None waits for all of them.
        segment_length: k, steps of a clip; better odd, as `learn_from_preferences` says.
        horizon: steps of an episode.
        episodes: of a turn of process 1.
        policy_step: how the policy is improved. A gradient step goes on while nobody answers; a
            plan waits for another reward, or for clips to run out.
        explore: what exploring episodes follow.
        exploration: their share.
        choose: which pairs are shown, once a reward was fitted.
        ensemble: the reward model, which is copied; None is a `RewardEnsemble` of `shape`.
        shape: of the reward learned; None is (S,).
        rounds: fits that the votes after the first must spread over: one who answers faster than
            the reward is fitted has to wait.
        initial: share of the votes before the first fit, or how many if it is an int.
        oversample: pairs drawn for each that is shown.
        dataset: where votes are kept; those already there count.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl import expected_return, penguin_world
    >>> from gridrl.preferences.oracles import PreferenceOracle
    >>> ice = penguin_world()
    >>> mdp = ice.mdp(gamma=0.9)  # at best 2.17, by chance 1.36
    >>> oracle = PreferenceOracle([float(tile == "F") for tile in ice.tiles.ravel()])
    >>> learned = learn_asynchronously(mdp, oracle, queries=100, rng=0)
    >>> learned.labels_used, bool(expected_return(mdp, learned.policy) > 1.9)
    (100, True)

    Raises:
        TypeError, ValueError: as `learn_from_preferences`.
        Exception: whatever one of the processes raised, when all have stopped.
    """
    chance = generator(rng)
    course = Course(
        mdp, oracle, segment_length, horizon, episodes, policy_step, explore, exploration, choose,
        oversample, model_of(mdp, ensemble, shape, chance), dataset_of(mdp, dataset),
    )  # fmt: skip
    limit = np.inf if seconds is None else time.monotonic() + number(seconds, "seconds", 0)
    run = Processes(course, label_schedule(queries, rounds, initial), chance)
    try:
        yield from run.snapshots(limit)
    except KeyboardInterrupt:
        pass  # the person has seen enough, and wants to see what was learned
    finally:
        run.stop()
    yield run.end()


@dataclass(frozen=True, eq=False)
class Parameters:
    """What process 3 says: a model, the votes it is fitted to, the number of the fit."""

    model: Model
    known: int
    fits: int


@dataclass(frozen=True, eq=False)
class Turn:
    """What process 1 says: what it did, following which policy, and by whose parameters."""

    done: Trajectories
    state: PolicyState | None
    steps: int
    parameters: Parameters | None


class Processes:
    """Three processes and their queues; 1 and 3 run from the start, 2 where it is called.

    Args:
        course: what they share; each field is written by one of them.
        schedule: votes allowed after each fit.
        rng: gives each of them a generator.
    """

    def __init__(self, course: Course, schedule: list[int], rng: np.random.Generator) -> None:
        self.course, self.schedule = course, schedule
        self.chances = rng.spawn(3)
        self.trajectories: Queue[Turn] = Queue(maxsize=1)
        self.comparisons: Queue[Comparison] = Queue()
        self.parameters: Queue[Parameters] = Queue(maxsize=1)
        self.over, self.errors = threading.Event(), list[BaseException]()
        self.wanted = threading.Event()  # something for process 1 to do
        self.now, self.steps = beginning(course), 0
        self.turn: Turn | None = None
        self.threads = [
            threading.Thread(
                target=self._guarded, args=(work,), name=f"gridrl{work.__name__}", daemon=True
            )
            for work in (self._act, self._fit)
        ]
        for thread in self.threads:
            thread.start()

    def snapshots(self, limit: float) -> Iterator[Preferring]:
        """Process 2: ask one question after the other, until `limit`; a snapshot a vote."""
        votes, tries = self.course.votes, 0
        while len(votes) < self.schedule[-1] and tries < TRIES and time.monotonic() < limit:
            news = newest(self.trajectories, wait=tries > 0 or not self._may_ask())
            self.turn = news or self.turn
            if self.over.is_set():
                return
            stale = tries > 0 and news is None  # no new pair was in it
            if self.turn is None or stale or not self._may_ask():
                continue
            model = None if self.turn.parameters is None else self.turn.parameters.model
            asked = ask(self.course, model, self.turn.done, 1, self.chances[1])
            tries = 0 if asked else tries + 1
            if not asked:
                self.wanted.set()
            for vote in asked:
                self.comparisons.put(vote)
                yield self._snapshot(self.turn, asked)

    def stop(self) -> None:
        """Stop both threads and wait until they have; raise what went wrong in them."""
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def end(self) -> Preferring:
        """Fit all the votes, improve the policy a last time."""
        course, turn = self.course, self.turn
        fit(course.model, course.votes)
        before = None if turn is None else turn.state
        state = course.policy_step(course.paying(course.model), before, self.chances[1])
        return after_round(replace(self.now, steps=self.steps), course, state, (), None)

    def _may_ask(self) -> bool:
        """Whether a vote more is due before the next fit; the first fit needs the initial ones."""
        if self.turn is None:
            return False
        told, votes = self.turn.parameters, len(self.course.votes)
        if told is None:
            return votes < self.schedule[0]
        due = self.schedule[min(told.fits, len(self.schedule) - 1)]
        return votes < max(due, told.known + 1)

    def _snapshot(self, turn: Turn, asked: tuple[Comparison, ...]) -> Preferring:
        now = replace(
            self.now, comparisons=self.course.votes.comparisons, asked=asked,
            trajectories=turn.done, steps=turn.steps,
        )  # fmt: skip
        if turn.state is not None and turn.parameters is not None:
            model = turn.parameters.model
            now = replace(now, policy=turn.state.policy, reward=model.reward, ensemble=model)
        self.now = now
        return now

    def _act(self) -> None:
        """Process 1: act and improve the policy, by the newest parameters there are."""
        course, rng = self.course, self.chances[0]
        told: Parameters | None = None
        state: PolicyState | None = None
        while not self.over.is_set():
            done = act(course, state, rng)
            self.steps += done.actions.size
            offer(self.trajectories, Turn(done, state, self.steps, told))
            while not (_trains(state) or self.wanted.wait(PATIENCE) or self.over.is_set()):
                pass
            self.wanted.clear()
            news = newest(self.parameters)
            told = news or told
            learns = news is not None or _trains(state)
            if told is not None and learns and not self.over.is_set():
                state = course.policy_step(course.paying(told.model), state, rng)
                self.steps += state.steps

    def _fit(self) -> None:
        """Process 3: fit the reward whenever there are new votes, and enough of them."""
        model, known, fits, fitted = self.course.model, list(self.course.votes), 0, 0
        while not self.over.is_set():
            if fitted < len(known) >= self.schedule[0]:
                fit(model, known)
                fits, fitted = fits + 1, len(known)
                offer(self.parameters, Parameters(copy.copy(model), fitted, fits))
                self.wanted.set()
            with suppress(Empty):
                known.append(self.comparisons.get(timeout=PATIENCE))
                while True:
                    known.append(self.comparisons.get_nowait())

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # it is raised where the caller waits
            self.errors.append(error)
            self.over.set()


def newest(queue: Queue[Any], wait: bool = False) -> Any:
    """The last thing in a queue, the others dropped; None if there is none, after some patience."""
    found = None
    with suppress(Empty):
        found = queue.get(timeout=PATIENCE) if wait else queue.get_nowait()
        while True:
            found = queue.get_nowait()
    return found


def offer(queue: Queue[Any], thing: Any) -> None:
    """Put a thing into a queue of one, in the place of an older one: nobody wants old news."""
    while True:
        with suppress(Full):
            queue.put_nowait(thing)
            return
        with suppress(Empty):
            queue.get_nowait()


def _trains(state: PolicyState | None) -> bool:
    """Whether another step by the same reward would change the policy."""
    return state is not None and state.theta is not None
