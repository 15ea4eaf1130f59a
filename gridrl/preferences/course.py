"""What a run of learning from preferences is given, checked once and shared by its processes.

Symbols: N queries; L0 votes to begin with; T0 rounds until votes come half as fast.

Reading: Christiano et al. (2017), arXiv:1706.03741, appendix A.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.ensembles import RewardEnsemble
from gridrl.preferences.policy_steps import Explorer, PolicyStep, plan, plan_ahead
from gridrl.preferences.queries import Choice, Model
from gridrl.preferences.segments import Segment, fingerprint
from gridrl.processes import MDP
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, Indices, number, whole

HALF_RATE = 0.25  # T0, as a share of the rounds


class Voter(Protocol):
    """Who is asked: a `PreferenceOracle`, or a person; votes are signed by its `voter`, if any."""

    def label(self, first: Segment, second: Segment, rng: Any = None) -> str:
        """Say "left", "right", "tie" or "skip"."""


@dataclass(frozen=True, eq=False)
class Course:
    """What the three processes share; the names are those of `learn_from_preferences`.

    Attributes:
        world: the MDP without reward and ends.
        name: its fingerprint.
        visits: how often the agent was in each state, (S,), counted by `act`.
    """

    mdp: MDP = field(repr=False)
    oracle: Voter
    segment_length: int
    horizon: int
    episodes: int
    policy_step: PolicyStep
    explore: Explorer
    exploration: float
    choose: Choice
    oversample: int
    model: Model
    votes: PreferenceDataset
    world: MDP = field(init=False)
    name: str = field(init=False)
    visits: Array = field(init=False)

    def __post_init__(self) -> None:
        for name in ("segment_length", "episodes", "oversample"):
            whole(getattr(self, name), name, least=1)
        if whole(self.horizon, "horizon") < self.segment_length:
            raise ValueError(
                f"horizon must be at least segment_length, {self.segment_length};"
                f" it is {self.horizon}"
            )
        number(self.exploration, "exploration", 0, 1)
        _check_oracle(self.oracle)
        _check_rewards(self.mdp, self.oracle, self.model)
        _check_step(self.mdp, self.policy_step, self.horizon)
        object.__setattr__(self, "world", without_ends(self.mdp))
        object.__setattr__(self, "name", fingerprint(self.mdp))
        object.__setattr__(self, "visits", np.zeros(self.mdp.n_states))

    def paying(self, model: Model) -> MDP:
        """The world that pays the reward believed in."""
        return self.world.replace(R=model.reward)


def without_ends(mdp: MDP) -> MDP:
    """The world as the agent is given it: nothing is paid, and no state ends an episode.

    >>> from gridrl.worlds import frozen_lake
    >>> int(without_ends(frozen_lake().mdp(gamma=0.9)).terminal.sum())
    0
    """
    return an_mdp(mdp).replace(R=np.zeros(mdp.n_states), terminal=None)


def label_schedule(queries: int, rounds: int, initial: float = 0.25) -> list[int]:
    """Votes by the end of each round, L0 + c T0 ln(1 + T / T0); the rate falls as T0 / (T + T0).

    L0 is `initial`, T0 a quarter of the rounds, and c such that it comes to `queries`.
    [arXiv:1706.03741, appendix A.1]

    >>> label_schedule(700, 4)
    [175, 401, 533, 627, 700]

    Raises:
        TypeError, ValueError: no queries, no rounds, or an `initial` that is more than all.
    """
    N, R = whole(queries, "queries", least=1), whole(rounds, "rounds", least=1)
    if isinstance(initial, int | np.integer):
        L0 = whole(initial, "initial", least=1)
    else:
        L0 = max(1, round(number(initial, "initial", 0, 1) * N))
    if L0 > N:
        raise ValueError(f"queries must be at least {L0}, the initial labels; it is {N}")
    T, T0 = np.arange(R + 1), HALF_RATE * R
    labels: Indices = np.rint(L0 + (N - L0) * np.log1p(T / T0) / np.log1p(R / T0)).astype(np.intp)
    return labels.tolist()


def model_of(
    mdp: MDP, ensemble: Model | None, shape: Sequence[int] | None, rng: np.random.Generator
) -> Model:
    """The reward model of a run, its own."""
    if ensemble is None:
        return RewardEnsemble((an_mdp(mdp).n_states,) if shape is None else shape, rng=rng)
    if shape is not None:
        raise ValueError("shape must be None where an ensemble is given: it has its own")
    return copy.deepcopy(ensemble)


def dataset_of(mdp: MDP, dataset: PreferenceDataset | None) -> PreferenceDataset:
    """The votes of a run: those of `dataset`, if they are of this world, and those to come."""
    name = fingerprint(an_mdp(mdp))
    if dataset is None:
        return PreferenceDataset(world=name)
    if not isinstance(dataset, PreferenceDataset):
        raise TypeError(f"dataset must be a PreferenceDataset; it is a {type(dataset).__name__}")
    if dataset.world != name and (dataset.world or len(dataset)):
        whose = f"of {dataset.world!r}" if dataset.world else "on clips without a world"
        raise ValueError(f"dataset must be of world {name!r}; its votes are {whose}")
    return dataset


def _check_oracle(oracle: Voter) -> None:
    if not callable(getattr(oracle, "label", None)):
        raise TypeError(
            "oracle must have .label(first, second, rng), as a PreferenceOracle;"
            f" it is a {type(oracle).__name__}"
        )
    if getattr(oracle, "observed", False):
        raise ValueError(
            "oracle.observed must be False: the clips of an MDP have no observations; it is True"
        )


def _check_rewards(mdp: MDP, oracle: Voter, model: Model) -> None:
    shapes = (mdp.n_states,), (mdp.n_states, mdp.n_actions)
    found = {"ensemble.reward": model.reward.shape}
    if isinstance(reward := getattr(oracle, "reward", None), np.ndarray):
        found["oracle.reward"] = reward.shape
    for name, shape in found.items():
        if shape not in shapes:
            raise ValueError(f"{name} must have shape {shapes[0]} or {shapes[1]}; it has {shape}")


def _check_step(mdp: MDP, step: PolicyStep, horizon: int) -> None:
    """Whether a plan can be made; what cannot would be found out after the first votes only."""
    if step is plan and mdp.gamma == 1:
        raise ValueError(
            "policy_step must be another at gamma = 1, as partial(plan_ahead,"
            f" horizon={horizon}): the agent's world has no ends; it is plan"
        )
    options = step.keywords if isinstance(step, partial) else {}
    if plan_ahead in (step, getattr(step, "func", None)):
        ahead = options.get("horizon", 0)
        if whole(ahead, "horizon of plan_ahead", least=0) < horizon:
            raise ValueError(
                f"policy_step must plan at least {horizon} steps ahead, as"
                f" partial(plan_ahead, horizon={horizon}); it plans {ahead}"
            )
