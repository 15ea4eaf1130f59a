"""Reinforcement learning from human preferences, in tables: three processes, taken in turn.

    1  act   the policy, best by the reward believed in so far, acts in the world
    2  ask   pairs of clips are chosen from what it did, and somebody says which is better
    3  fit   the reward believed in is fitted to all answers so far

The world's reward is never looked at: the copy that the agent acts and plans in has none. Nor has
that copy an end, since an episode that stops gives the task away: a clip at an end shows the agent
staying there, and what that is worth is for the human to say.  [appendix A]

Symbols: N queries; k steps of a clip; T0 rounds until votes come half as fast; r-hat the reward
believed in.

Reading: lecture 000; Christiano et al. (2017), arXiv:1706.03741, sections 2.2, 3 and appendix A.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gridrl.iterates import algorithm
from gridrl.learning.simulation import rollout
from gridrl.planning.policies import uniform_policy
from gridrl.preferences.course import Course, Voter, dataset_of, label_schedule, model_of
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.policy_steps import Explorer, PolicyState, PolicyStep, plan, seek_novelty
from gridrl.preferences.queries import (
    Choice,
    Model,
    candidate_pairs,
    disagreement_queries,
    random_queries,
)
from gridrl.preferences.segments import Comparison, Segment, cut
from gridrl.processes import MDP, Trajectories
from gridrl.tables import Array, generator, read_only


@dataclass(frozen=True, eq=False)
class Preferring:
    """Where learning stands after a round.

    Attributes:
        policy: the best by the reward believed in, (S, A), or (T, S, A).
        reward: r-hat, (S,) or (S, A); mean 0 and deviation 1 of each member where clips went.
        ensemble: the reward model as it was then.
        comparisons: all votes so far.
        asked: those of this round.
        trajectories: what the agent did in this round, before it asked; None if nothing yet.
        steps: interactions with the world so far.
    """

    policy: Array
    reward: Array
    ensemble: Model
    comparisons: tuple[Comparison, ...] = ()
    asked: tuple[Comparison, ...] = ()
    trajectories: Trajectories | None = None
    steps: int = 0

    @property
    def labels_used(self) -> int:
        """Votes so far, those included that could not tell."""
        return len(self.comparisons)

    def __repr__(self) -> str:
        return f"Preferring({self.labels_used} votes, {self.steps} steps)"


@algorithm
def learn_from_preferences(
    mdp: MDP,
    oracle: Voter,
    *,
    queries: int,
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
    online: bool = True,
    dataset: PreferenceDataset | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Preferring]:
    """Act, ask, fit; act, ask, fit.  [arXiv:1706.03741, sec. 2.2]

    The first snapshot follows the uniform policy's round, then there is one for each of `rounds`.
    The paper's agent explores by its policy's entropy; a planner has none, so a share of the
    episodes goes where the agent has seldom been.

    Args:
        mdp: the world, whose reward is not looked at and whose ends are taken away.
        oracle: who is asked.
        queries: N, votes in all, those in `dataset` and those that cannot tell included; fewer
            where the world has no more different pairs of clips.
        segment_length: k, steps of a clip. Where every step changes the colour of a chess-board,
            a clip of even k is half of each: which colour pays more stays open. Take an odd k.
        horizon: steps of an episode, all of one length.
        episodes: of a round.
        policy_step: how the policy is improved: `plan`, `plan_ahead`, `actor_critic_step`,
            `ppo_step`.
        explore: what exploring episodes follow: `seek_novelty`, which plans, or `wander`.
        exploration: their share.
        choose: which pairs are shown, after the first round, which chooses at random.
        ensemble: the reward model, which is copied; None is a `RewardEnsemble` of `shape`.
        shape: of the reward learned, (S, A) or (S,); None is (S,).
        rounds: after the first.
        initial: share of the votes on clips of the uniform policy, or how many if it is an int.
        oversample: pairs drawn for each that is shown.
        online: False asks everything in the first round, which the paper warns of.
        dataset: where votes are kept; those already there count. A run goes on with all of them,
            but not as the unbroken one would have: it explores and chooses anew.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl import expected_return, penguin_world
    >>> from gridrl.preferences.oracles import PreferenceOracle
    >>> ice = penguin_world()
    >>> mdp = ice.mdp(gamma=0.9)  # at best 2.17, by chance 1.36
    >>> oracle = PreferenceOracle([float(tile == "F") for tile in ice.tiles.ravel()])
    >>> learned = learn_from_preferences(mdp, oracle, queries=100, rng=0)
    >>> learned, bool(expected_return(mdp, learned.policy) > 2.1)
    (Preferring(100 votes, 22000 steps), True)

    Raises:
        TypeError, ValueError: what must hold, and what was found: fewer queries than `initial`, a
            clip longer than the horizon, votes from another world, a reward of another shape, a
            plan without a discount. All before anybody is asked.
        KeyboardInterrupt: with the last snapshot and all votes so far as `.so_far`.
    """
    chance = generator(rng)
    course = Course(
        mdp, oracle, segment_length, horizon, episodes, policy_step, explore, exploration, choose,
        oversample, model_of(mdp, ensemble, shape, chance), dataset_of(mdp, dataset),
    )  # fmt: skip
    now, state = beginning(course), None
    try:
        for votes_by_now in label_schedule(queries, rounds, initial if online else queries):
            done = act(course, state, chance)
            model = None if state is None else course.model  # at first any pairs
            asked = ask(course, model, done, votes_by_now - len(course.votes), chance)
            fit(course.model, course.votes)
            state = course.policy_step(course.paying(course.model), state, chance)
            now = after_round(now, course, state, asked, done)
            yield now
    except KeyboardInterrupt as stop:
        _keep(stop, now, course)
        raise


def act(course: Course, state: PolicyState | None, rng: np.random.Generator) -> Trajectories:
    """Process 1: episodes of the policy, and some that explore; without a policy, uniform ones."""
    n, T, world = course.episodes, course.horizon, course.world
    if state is None:
        policies = {"uniform": (uniform_policy(world), n)}
    else:
        exploring = round(course.exploration * n)
        policies = {"policy": (state.policy, n - exploring)}
        if exploring:
            policies["explorer"] = (course.explore(world, course.visits), exploring)
    parts = [
        rollout(world, pi, episodes=share, steps=T, rng=rng)
        for pi, share in policies.values()
        if share
    ]
    done = _together(parts)
    np.add.at(course.visits, done.states[:, :-1], 1)
    return done


def ask(
    course: Course, model: Model | None, done: Trajectories, count: int, rng: np.random.Generator
) -> tuple[Comparison, ...]:
    """Process 2: choose `count` pairs of clips of what was done, ask, and keep each vote at once.

    The reward model says which pairs are worth asking; as long as there is none, any are.
    """
    if count <= 0:
        return ()
    wanted = max(course.oversample * count, 2)
    clips = cut(done, course.segment_length, count=wanted, world=course.name, rng=rng)
    pairs = candidate_pairs(clips, wanted, course.votes.asked, rng)
    count = min(count, len(pairs))
    if model is None or not pairs:
        chosen = random_queries(pairs, model, count, rng)
    else:
        chosen = course.choose(pairs, model, count, rng)
    return tuple(put(course, *pairs[i], rng) for i in chosen)


def put(course: Course, first: Segment, second: Segment, rng: np.random.Generator) -> Comparison:
    """Put one question, and keep the answer."""
    label = course.oracle.label(first, second, rng)
    vote = Comparison(first, second, label, voter=getattr(course.oracle, "voter", ""))
    course.votes.append(vote)
    return vote


def fit(model: Model, votes: Iterable[Comparison]) -> None:
    """Process 3: fit r-hat to all votes so far, if one of them says something."""
    known = [vote for vote in votes if vote.label != "skip"]
    if known:
        model.fit(known)


def beginning(course: Course) -> Preferring:
    """Nothing was done yet, though there may be votes."""
    model = copy.copy(course.model)
    policy = read_only(uniform_policy(course.world))
    return Preferring(policy, model.reward, model, course.votes.comparisons)


def after_round(
    before: Preferring,
    course: Course,
    state: PolicyState,
    asked: tuple[Comparison, ...],
    done: Trajectories | None,
) -> Preferring:
    """What is known after a round, and was done in it."""
    steps = before.steps + state.steps + (0 if done is None else done.actions.size)
    policy, model = read_only(np.array(state.policy)), copy.copy(course.model)
    votes = course.votes.comparisons
    return Preferring(policy, model.reward, model, votes, asked, done, steps)


def _keep(stop: KeyboardInterrupt, now: Preferring, course: Course) -> None:
    """Leave with the interruption what is known when it comes."""
    stop.so_far = replace(now, comparisons=course.votes.comparisons)  # type: ignore[attr-defined]


def _together(parts: list[Trajectories]) -> Trajectories:
    names = ("states", "actions", "rewards", "lengths", "terminated")
    return Trajectories(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
