"""Processes from tables of your own: dense, sparse, and seen only in part."""

import numpy as np
from scipy.sparse import csr_array

from gridrl import MDP, POMDP, RewardProcess, SparseTransitions, policy_iteration

# A machine, good or worn; run it or repair it.  P[s, a, s'], R[s, a]
P = np.array([[[0.9, 0.1], [1.0, 0.0]], [[0.0, 1.0], [0.8, 0.2]]])
R = [[10.0, 5.0], [2.0, -3.0]]
machine = MDP(P, R, 0.95, labels=["good", "worn"], action_labels=["run", "repair"])
best = policy_iteration(machine)
for s, label in enumerate(machine.labels):
    print(f"{label}: {machine.action_labels[best.policy[s].argmax()]:6} V = {best.V[s]:.3f}")

always_run = RewardProcess(P[:, 0], [10.0, 2.0], 0.95)
print("never repaired:", always_run.values().round(3))

rows = csr_array(P.reshape(4, 2))  # row s * A + a is Pr(.|s,a)
sparse = machine.replace(P=SparseTransitions(rows, n_actions=2))
print("sparse:", sparse, np.abs(policy_iteration(sparse).V - best.V).max())

hidden = POMDP(machine, [[0.8, 0.2], [0.3, 0.7]], observation_labels=["quiet", "noisy"])
print(hidden)

try:
    MDP(np.where(P == 0.9, 0.8, P), R, 0.95)
except ValueError as error:
    print("refused:", error)
