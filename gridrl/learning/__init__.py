"""The model is not known: learning from experience.

Reading order: `lockstep` (many runs at once), `outside` (worlds without tables), `snapshots` (what
learners know), `bandits`, `simulation`, `monte_carlo`, `importance`, `temporal_difference`,
`double_learning`, `n_step`, `traces`, `dyna`; then policies themselves are learned: `gradients`
(exact, and by all trajectories), `batches`, `baselines` (and the variance they leave),
`policy_gradients`, `actor_critics`, `proximal`; `imitation`; `explanations` (for the board).
"""

from gridrl.learning.actor_critics import actor_critic, natural_policy_gradient
from gridrl.learning.bandits import (
    Pull,
    beta_posterior,
    epsilon_greedy_bandit,
    gaussian_posterior,
    thompson,
    ucb,
)
from gridrl.learning.baselines import (
    Moments,
    exact_moments,
    gradient_estimates,
    gradient_variance,
    mean_baseline,
    optimal_baseline,
    value_baseline,
)
from gridrl.learning.double_learning import double_q_learning
from gridrl.learning.dyna import dyna_q
from gridrl.learning.explanations import Update, explain_update, replay
from gridrl.learning.gradients import (
    exact_policy_gradient,
    exact_returns,
    fisher_information,
    naive_gradient,
    reward_to_go,
    whole_return,
)
from gridrl.learning.imitation import behaviour_cloning, imitation_drift, potential_shaping
from gridrl.learning.importance import off_policy_mc
from gridrl.learning.monte_carlo import mc_control, mc_exploring_starts, mc_prediction
from gridrl.learning.n_step import n_step_sarsa, n_step_td
from gridrl.learning.outside import SampledProcess
from gridrl.learning.policy_gradients import Ascent, reinforce
from gridrl.learning.proximal import PPOSettings, clipped_surrogate, clipped_surrogate_gradient, ppo
from gridrl.learning.simulation import rollout
from gridrl.learning.snapshots import Control, Prediction, rms_error
from gridrl.learning.temporal_difference import expected_sarsa, q_learning, sarsa, td0
from gridrl.learning.traces import accumulating, replacing, sarsa_lambda, td_lambda

__all__ = [
    "Ascent",
    "Control",
    "Moments",
    "PPOSettings",
    "Prediction",
    "Pull",
    "SampledProcess",
    "Update",
    "accumulating",
    "actor_critic",
    "behaviour_cloning",
    "beta_posterior",
    "clipped_surrogate",
    "clipped_surrogate_gradient",
    "double_q_learning",
    "dyna_q",
    "epsilon_greedy_bandit",
    "exact_moments",
    "exact_policy_gradient",
    "exact_returns",
    "expected_sarsa",
    "explain_update",
    "fisher_information",
    "gaussian_posterior",
    "gradient_estimates",
    "gradient_variance",
    "imitation_drift",
    "mc_control",
    "mc_exploring_starts",
    "mc_prediction",
    "mean_baseline",
    "n_step_sarsa",
    "n_step_td",
    "naive_gradient",
    "natural_policy_gradient",
    "off_policy_mc",
    "optimal_baseline",
    "potential_shaping",
    "ppo",
    "q_learning",
    "reinforce",
    "replacing",
    "replay",
    "reward_to_go",
    "rms_error",
    "rollout",
    "sarsa",
    "sarsa_lambda",
    "td0",
    "td_lambda",
    "thompson",
    "ucb",
    "value_baseline",
    "whole_return",
]
