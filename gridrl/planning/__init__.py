"""The model is known: returns, values, and the best policy.

Reading order: `policies`, `returns`, `bellman`, `endings` (who comes to an end, and what a bound
means), `dynamic_programming`, `horizons` (finite, and average reward), `linear_programs`, `large`
(any size, fast). Then the state is
hidden: `beliefs`, `alpha_vectors`, `pruning`, `pomdp_solvers` (bounds and points), `exact_vectors`,
`sawtooth` and `bounds`, `memoryless`. And `search`,
for the state one is in.
"""

from gridrl.planning.alpha_vectors import AlphaVectors, UpperBound
from gridrl.planning.beliefs import (
    belief_filter,
    belief_update,
    first_beliefs,
    observation_probabilities,
)
from gridrl.planning.bellman import (
    action_values,
    advantages,
    expected_return,
    explain_backup,
    occupancy,
    q_values,
    state_values,
)
from gridrl.planning.bounds import BeliefBounds, belief_bounds
from gridrl.planning.dynamic_programming import (
    gauss_seidel,
    modified_policy_iteration,
    policy_evaluation,
    policy_iteration,
    prioritized_sweeping,
    value_iteration,
)
from gridrl.planning.exact_vectors import incremental_pruning
from gridrl.planning.horizons import (
    AverageReward,
    FiniteHorizon,
    average_reward,
    backward_induction,
    regret,
)
from gridrl.planning.large import Solution, solve
from gridrl.planning.linear_programs import linear_program
from gridrl.planning.memoryless import MemorylessPolicy, best_memoryless_policy
from gridrl.planning.policies import (
    deterministic_policy,
    epsilon_greedy,
    greedy,
    softmax_policy,
    uniform_policy,
)
from gridrl.planning.pomdp_solvers import fast_informed_bound, pbvi, qmdp
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
from gridrl.planning.search import Search, mcts

__all__ = [
    "AlphaVectors",
    "AverageReward",
    "BeliefBounds",
    "FiniteHorizon",
    "MemorylessPolicy",
    "Search",
    "Solution",
    "Sweep",
    "UpperBound",
    "action_values",
    "advantages",
    "average_reward",
    "backward_induction",
    "belief_bounds",
    "belief_filter",
    "belief_update",
    "best_memoryless_policy",
    "deterministic_policy",
    "discounted_return",
    "enumerate_trajectories",
    "epsilon_greedy",
    "expected_return",
    "explain_backup",
    "fast_informed_bound",
    "first_beliefs",
    "gae",
    "gauss_seidel",
    "greedy",
    "incremental_pruning",
    "lambda_returns",
    "linear_program",
    "mcts",
    "modified_policy_iteration",
    "n_step_advantages",
    "observation_probabilities",
    "occupancy",
    "pbvi",
    "policy_evaluation",
    "policy_iteration",
    "prioritized_sweeping",
    "q_values",
    "qmdp",
    "regret",
    "returns_to_go",
    "softmax_policy",
    "solve",
    "state_values",
    "trajectory_probability",
    "uniform_policy",
    "value_iteration",
]
