"""The model is known: returns, values, and the best policy.

Reading order: `policies`, `returns`, `bellman`, `endings` (who comes to an end, and what a bound
means), `dynamic_programming`, `horizons` (finite, and average reward), `linear_programs`.
"""

from gridrl.planning.bellman import (
    action_values,
    advantages,
    expected_return,
    explain_backup,
    occupancy,
    q_values,
    state_values,
)
from gridrl.planning.dynamic_programming import (
    gauss_seidel,
    modified_policy_iteration,
    policy_evaluation,
    policy_iteration,
    prioritized_sweeping,
    value_iteration,
)
from gridrl.planning.horizons import (
    AverageReward,
    FiniteHorizon,
    average_reward,
    backward_induction,
    regret,
)
from gridrl.planning.linear_programs import linear_program
from gridrl.planning.policies import (
    deterministic_policy,
    epsilon_greedy,
    greedy,
    softmax_policy,
    uniform_policy,
)
from gridrl.planning.promises import Sweep
from gridrl.planning.returns import (
    discounted_return,
    enumerate_trajectories,
    gae,
    lambda_returns,
    n_step_advantages,
    returns_to_go,
    trajectory_probability,
)

__all__ = [
    "AverageReward",
    "FiniteHorizon",
    "Sweep",
    "action_values",
    "advantages",
    "average_reward",
    "backward_induction",
    "deterministic_policy",
    "discounted_return",
    "enumerate_trajectories",
    "epsilon_greedy",
    "expected_return",
    "explain_backup",
    "gae",
    "gauss_seidel",
    "greedy",
    "lambda_returns",
    "linear_program",
    "modified_policy_iteration",
    "n_step_advantages",
    "occupancy",
    "policy_evaluation",
    "policy_iteration",
    "prioritized_sweeping",
    "q_values",
    "regret",
    "returns_to_go",
    "softmax_policy",
    "state_values",
    "trajectory_probability",
    "uniform_policy",
    "value_iteration",
]
