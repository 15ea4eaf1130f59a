"""The model is not known: learning from experience.

Reading order: `lockstep` (many runs at once), `snapshots` (what they know), `bandits`,
`simulation`, `monte_carlo`, `importance`, `temporal_difference`, `double_learning`, `traces`,
`dyna`.
"""

from gridrl.learning.bandits import Pull, epsilon_greedy_bandit, ucb
from gridrl.learning.double_learning import double_q_learning
from gridrl.learning.dyna import dyna_q
from gridrl.learning.importance import off_policy_mc
from gridrl.learning.monte_carlo import mc_control, mc_prediction
from gridrl.learning.simulation import rollout
from gridrl.learning.snapshots import Control, Prediction, rms_error
from gridrl.learning.temporal_difference import expected_sarsa, q_learning, sarsa, td0
from gridrl.learning.traces import accumulating, replacing, sarsa_lambda, td_lambda

__all__ = [
    "Control",
    "Prediction",
    "Pull",
    "accumulating",
    "double_q_learning",
    "dyna_q",
    "epsilon_greedy_bandit",
    "expected_sarsa",
    "mc_control",
    "mc_prediction",
    "off_policy_mc",
    "q_learning",
    "replacing",
    "rms_error",
    "rollout",
    "sarsa",
    "sarsa_lambda",
    "td0",
    "td_lambda",
    "ucb",
]
