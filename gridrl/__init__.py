"""gridrl: reinforcement learning and learning from preferences, in worlds small enough to solve.

Everything is a small table, so everything can be computed exactly, and then estimated, learned,
drawn and checked against that exact answer. The folders are the chapters, in reading order:

    processes    what a world is: Markov process, reward process, MDP, POMDP
    worlds       worlds to be in: the penguin's ice, any map drawn in text, the classics
    planning     the model is known: returns, values, dynamic programming, any size, beliefs
    learning     the model is not known: bandits, Monte Carlo, TD, policy gradients, PPO
    preferences  the reward is not known: a simulated human compares clips, a reward is learned
    rlhf         the agent is a language model: every method of RLHF beside its exact optimum
    plot         pictures of all of it (the only chapter that imports matplotlib)
    humans       people vote: two clips side by side, in a notebook, a terminal, a web page
    envs         every world as a Gymnasium environment, and back (the only one that imports it)
    experiments  settings x seeds on any executor, with bands
    demo         `python -m gridrl.demo`, the lecture's story in numbers and pictures

Importing gridrl loads NumPy only; each name below loads its chapter when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: F401 - the one library that `import gridrl` loads

if TYPE_CHECKING:
    from gridrl.errors import ImpossibleObservation as ImpossibleObservation
    from gridrl.errors import NotConverged as NotConverged
    from gridrl.learning import *  # noqa: F403
    from gridrl.planning import *  # noqa: F403
    from gridrl.preferences import *  # noqa: F403
    from gridrl.processes import *  # noqa: F403
    from gridrl.worlds import GridWorld as GridWorld
    from gridrl.worlds import lost_penguin_world as lost_penguin_world
    from gridrl.worlds import penguin_world as penguin_world

__version__ = "0.1.0"

CHAPTERS = {
    "errors": "ImpossibleObservation NotConverged",
    "processes": "Finding MDP MarkovProcess POMDP RewardDistribution RewardProcess"
    " SparseTransitions Trajectories arrive interleave leave",
    "worlds": "GridWorld lost_penguin_world penguin_world",
    "planning": "AlphaVectors AverageReward BeliefBounds FiniteHorizon MemorylessPolicy Search"
    " Solution Sweep UpperBound action_values advantages average_reward"
    " backward_induction belief_bounds belief_filter belief_update"
    " best_memoryless_policy deterministic_policy discounted_return"
    " enumerate_trajectories epsilon_greedy expected_return explain_backup"
    " fast_informed_bound first_beliefs gae gauss_seidel greedy incremental_pruning"
    " lambda_returns linear_program mcts modified_policy_iteration n_step_advantages"
    " observation_probabilities occupancy pbvi policy_evaluation policy_iteration"
    " prioritized_sweeping q_values qmdp regret returns_to_go softmax_policy solve"
    " state_values trajectory_probability uniform_policy value_iteration",
    "learning": "Ascent Control Moments PPOSettings Prediction Pull SampledProcess Update"
    " accumulating actor_critic behaviour_cloning beta_posterior clipped_surrogate"
    " clipped_surrogate_gradient double_q_learning dyna_q epsilon_greedy_bandit"
    " exact_moments exact_policy_gradient exact_returns expected_sarsa explain_update"
    " fisher_information gaussian_posterior gradient_estimates gradient_variance"
    " imitation_drift mc_control mc_exploring_starts mc_prediction mean_baseline"
    " n_step_sarsa n_step_td naive_gradient natural_policy_gradient off_policy_mc"
    " optimal_baseline potential_shaping ppo q_learning reinforce replacing replay"
    " reward_to_go rms_error rollout sarsa sarsa_lambda td0 td_lambda thompson ucb"
    " value_baseline whole_return",
    "preferences": "BradleyTerry Comparison PolicyState PreferenceDataset PreferenceOracle"
    " Preferring"
    " RewardEnsemble ScoreEnsemble Scoring Segment accuracy accuracy_ceiling"
    " actor_critic_step calibration candidate_pairs cohens_kappa cut"
    " disagreement_queries fingerprint fit_bradley_terry fit_scores information_queries"
    " intransitive_judge laps laps_judge learn_asynchronously learn_from_preferences"
    " pair_of plan plan_ahead ppo_step preference_loss preference_probability"
    " random_queries seek_novelty self_consistency wander",
    "rlhf": "",
    "plot": "",
    "humans": "",
    "envs": "",
    "experiments": "",
}
_HOME = {name: chapter for chapter, names in CHAPTERS.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in CHAPTERS:
        return importlib.import_module(f"gridrl.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'gridrl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gridrl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *CHAPTERS])
