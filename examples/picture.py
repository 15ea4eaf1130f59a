"""Pictures in layers: values, the best policy on top of them, and a trajectory beside."""

import matplotlib as mpl

from gridrl import penguin_world, plot, value_iteration

mpl.use("agg")
ice = penguin_world()
mdp = ice.mdp(gamma=0.9)
best = value_iteration(mdp)

ax = plot.values(ice, best.V)
plot.policy(ice, best.policy, ax=ax)
ax.figure.savefig("best.png")

walk = mdp.under(best.policy).replace(start=0).simulate(12, rng=0)
plot.trajectory(ice, walk.states).figure.savefig("walk.png")
print("best.png and walk.png; the walk was worth", round(float(walk.returns(0.9)), 3))
