"""FrozenLake without discount: one can slip about for ever, and still V(start) is exactly 14/17."""

from gridrl import linear_program, policy_iteration, value_iteration
from gridrl.worlds import frozen_lake

mdp = frozen_lake().mdp(gamma=1)
for algorithm in (value_iteration, policy_iteration, linear_program):
    answer = algorithm(mdp)
    print(f"{algorithm.__name__:17} V = {answer.V[0]:.10f}, error at most {answer.bound:.1e}")
print(f"{'14/17':17} V = {14 / 17:.10f}")
