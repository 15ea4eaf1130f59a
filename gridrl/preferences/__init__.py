"""Nor is the reward known: learning it from comparisons.

Reading order: `segments` (what is compared), `datasets` (votes, kept), `oracles` (a simulated
human), `voting` (how well voters agree); `design`, `likelihood` and `bradley_terry` (a reward from
votes, and what votes cannot say), `measures`, `networks`, `ensembles`, `scores` (the rival);
`queries` (what to ask), `policy_steps`, `course` and `christiano` (the three processes on one
page), `asynchronous` (the three as threads).
"""

from gridrl.preferences.asynchronous import learn_asynchronously
from gridrl.preferences.bradley_terry import (
    BradleyTerry,
    fit_bradley_terry,
    preference_probability,
)
from gridrl.preferences.christiano import Preferring, learn_from_preferences
from gridrl.preferences.datasets import PreferenceDataset
from gridrl.preferences.ensembles import RewardEnsemble
from gridrl.preferences.likelihood import preference_loss
from gridrl.preferences.measures import accuracy, accuracy_ceiling, calibration
from gridrl.preferences.oracles import PreferenceOracle, intransitive_judge, laps, laps_judge
from gridrl.preferences.policy_steps import (
    PolicyState,
    actor_critic_step,
    plan,
    plan_ahead,
    ppo_step,
    seek_novelty,
    wander,
)
from gridrl.preferences.queries import (
    candidate_pairs,
    disagreement_queries,
    information_queries,
    random_queries,
)
from gridrl.preferences.scores import ScoreEnsemble, Scoring, fit_scores
from gridrl.preferences.segments import Comparison, Segment, cut, fingerprint, pair_of
from gridrl.preferences.voting import cohens_kappa, self_consistency

__all__ = [
    "BradleyTerry",
    "Comparison",
    "PolicyState",
    "PreferenceDataset",
    "PreferenceOracle",
    "Preferring",
    "RewardEnsemble",
    "ScoreEnsemble",
    "Scoring",
    "Segment",
    "accuracy",
    "accuracy_ceiling",
    "actor_critic_step",
    "calibration",
    "candidate_pairs",
    "cohens_kappa",
    "cut",
    "disagreement_queries",
    "fingerprint",
    "fit_bradley_terry",
    "fit_scores",
    "information_queries",
    "intransitive_judge",
    "laps",
    "laps_judge",
    "learn_asynchronously",
    "learn_from_preferences",
    "pair_of",
    "plan",
    "plan_ahead",
    "ppo_step",
    "preference_loss",
    "preference_probability",
    "random_queries",
    "seek_novelty",
    "self_consistency",
    "wander",
]
