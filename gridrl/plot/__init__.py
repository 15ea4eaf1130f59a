"""Pictures of all of it; the only chapter that imports matplotlib.

Every function draws on `ax`, or on new axes, and returns the axes; drawing on axes that already
show a world adds a layer: `plot.policy(ice, pi, ax=plot.values(ice, V))`. Nothing is shown or saved
by itself: that is `plt.show()` and `ax.figure.savefig(...)`. In notebooks a picture shows itself.
"""

from gridrl.plot.beliefs import alpha_vectors, policy_graph
from gridrl.plot.clips import preference, reward_bar
from gridrl.plot.curve import curves
from gridrl.plot.estimators import clipped_objective, variances
from gridrl.plot.films import Film, animate
from gridrl.plot.language import completion_tree, frontier, gold_and_proxy
from gridrl.plot.networks import graph
from gridrl.plot.preferences import calibration, query_choice, reward_map
from gridrl.plot.tables import belief, policy, q_values, transition_matrix, values
from gridrl.plot.triangles import simplex
from gridrl.plot.widgets import stepper
from gridrl.plot.worlds import observation, trajectory, world

__all__ = [
    "Film",
    "alpha_vectors",
    "animate",
    "belief",
    "calibration",
    "clipped_objective",
    "completion_tree",
    "curves",
    "frontier",
    "gold_and_proxy",
    "graph",
    "observation",
    "policy",
    "policy_graph",
    "preference",
    "q_values",
    "query_choice",
    "reward_bar",
    "reward_map",
    "simplex",
    "stepper",
    "trajectory",
    "transition_matrix",
    "values",
    "variances",
    "world",
]
