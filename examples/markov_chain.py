"""A Markov chain in full: where the penguin goes, and why powers of its matrix never settle."""

import numpy as np

from gridrl import penguin_world

ice = penguin_world()
chain = ice.markov_process()
print("a walk:", [chain.labels[s] for s in chain.simulate(10, rng=1).states])
print("period:", chain.period())
for t in (100, 101):
    print(f"Pr(square 1 after {t} steps) = {chain.distribution(t)[0]:.4f}")
print("stationary, in 48ths:", np.rint(48 * chain.stationary()).astype(int))
print("steps from 1 to 16:", round(float(chain.hitting_times(ice.index(16))[0]), 2))
print("the linter says:", chain.check())
