"""Learning from what others did: imitation, and hints that do not change the answer.

Behaviour cloning is to a gridworld what supervised fine-tuning is to a language model: raise the
likelihood of what the expert did, where the expert was. Where the expert never was, the clone knows
nothing, and once it has strayed it strays further: its states drift from the expert's.

Reading: Ross & Bagnell (2010); Ng, Harada & Russell (1999).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gridrl.planning.bellman import stationary_policy
from gridrl.processes import MDP, Trajectories
from gridrl.processes.decision import an_mdp
from gridrl.processes.payments import ShapedReward
from gridrl.processes.transitions import average_over_actions
from gridrl.tables import Array, indices, table, whole


def behaviour_cloning(trajectories: Trajectories, n_states: int, n_actions: int) -> Array:
    """pi(a|s) = how often the expert did a in s, the most likely table, (S, A).

    Where the expert never was, every action is as likely as the others. If the trajectories hold
    observations, the clone sees those: (Z, A).

    >>> from gridrl import penguin_world, rollout, value_iteration
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> shown = rollout(mdp, value_iteration(mdp).policy, episodes=50, steps=20, rng=0)
    >>> behaviour_cloning(shown, 16, 4)[4]  # square 5: down
    array([0., 0., 1., 0.])

    Raises:
        TypeError: trajectories are none.
        ValueError: they hold no action, or a state or an action beyond the table; it is named.
    """
    if not isinstance(trajectories, Trajectories):
        raise TypeError(f"trajectories must be Trajectories; it is {type(trajectories).__name__}")
    S, A = whole(n_states, "n_states", least=1), whole(n_actions, "n_actions", least=1)
    where = trajectories.states if trajectories.observations is None else trajectories.observations
    acted = trajectories.actions >= 0
    s = indices(where[..., :-1][acted], "states", S)
    a = indices(trajectories.actions[acted], "actions", A)
    if len(a) == 0:
        raise ValueError("trajectories must hold at least one action; nobody acts in them")
    count = np.bincount(s * A + a, minlength=S * A).reshape(S, A)
    seen = count.sum(axis=1, keepdims=True)
    return np.where(seen > 0, count / np.maximum(seen, 1), 1 / A)


def imitation_drift(mdp: MDP, expert: ArrayLike, clone: ArrayLike, *, horizon: int) -> Array:
    """sum_s |Pr(s_t = s; expert) - Pr(s_t = s; clone)| / 2 at each time t, exactly, (T + 1,).

    If the clone errs with probability epsilon wherever the expert goes, it is at most epsilon t:
    errors add up over time.  [Ross & Bagnell 2010]

    >>> from gridrl.planning import deterministic_policy, epsilon_greedy
    >>> from gridrl.worlds import random_walk
    >>> walk = random_walk(3).mdp(gamma=1)
    >>> right = deterministic_policy([1] * 5, n_actions=2)
    >>> imitation_drift(walk, right, epsilon_greedy(right, 0.2), horizon=2).round(3)
    array([0.  , 0.1 , 0.19])

    Raises:
        TypeError, ValueError: a policy that is none; a negative horizon.
    """
    policies = [stationary_policy(an_mdp(mdp), pi) for pi in (expert, clone)]
    chains = [average_over_actions(mdp.P, pi) for pi in policies]
    one = other = mdp.start
    drift = np.zeros(whole(horizon, "horizon", least=0) + 1)
    for t in range(1, len(drift)):
        one, other = one @ chains[0], other @ chains[1]
        drift[t] = np.abs(one - other).sum() / 2
    return drift


def potential_shaping(mdp: MDP, potential: ArrayLike) -> MDP:
    """Pay r + gamma Phi(s') - Phi(s): hints on the way, and the same policies are best.

    Q^pi(s,a) becomes Q^pi(s,a) - Phi(s) for every policy, so advantages do not change at all; with
    Phi = V* the next reward says it all.  [Ng, Harada & Russell 1999]

    Args:
        mdp: the world; its gamma is part of the shaping.
        potential: Phi, (S,), in reward units; 0 in terminal states.

    >>> from gridrl import penguin_world, value_iteration
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> V = value_iteration(mdp).V
    >>> bool(np.abs(value_iteration(potential_shaping(mdp, V)).V).max() < 1e-6)
    True

    Raises:
        ValueError: a potential of another shape, or not 0 in a terminal state; the first is named.
    """
    Phi = table(potential, "potential", (an_mdp(mdp).n_states,))
    bad = np.flatnonzero((Phi != 0) & mdp.terminal)
    if len(bad):
        raise ValueError(
            f"potential[{bad[0]}] must be 0 where an episode is over; it is {Phi[bad[0]]:g}"
        )
    return mdp.replace(R=ShapedReward(mdp.payment, Phi, mdp.gamma))
