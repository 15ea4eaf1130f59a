"""Experience without learning: many episodes under a policy, side by side.

Reading: lecture 000 (the full loop of agent and environment); Sutton & Barto (2018), section 3.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gridrl.learning.outside import World
from gridrl.processes import MDP, POMDP, Trajectories
from gridrl.processes.decision import an_mdp, policy_table
from gridrl.processes.transitions import Sampler
from gridrl.tables import Array, Indices, distributions, draw, generator, whole


def rollout(
    mdp: MDP | POMDP,
    policy: ArrayLike,
    *,
    episodes: int,
    steps: int,
    rng: int | np.random.Generator | None = None,
) -> Trajectories:
    """Draw `episodes` episodes of at most `steps` steps: a_t from pi, then s_{t+1} and r_{t+1}.

    Args:
        mdp: the world; of a POMDP with O[s', o], what is seen is recorded too.
        policy: pi(a|s), (S, A), or (T, S, A) with T >= steps; for a POMDP pi(a|o), (Z, A).
        episodes: n.
        steps: T, a time limit: an episode that reaches it is cut off, not terminated.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.planning import uniform_policy
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> rollout(mdp, uniform_policy(mdp), episodes=1000, steps=20, rng=0)
    Trajectories(1000 episodes, up to 20 steps, 0 ended)

    Raises:
        TypeError, ValueError: a policy that is none, or is too short; no episodes; no steps.
    """
    n, T = whole(episodes, "episodes", least=1), whole(steps, "steps", least=1)
    model, chance = an_mdp(behind(mdp)[0]), generator(rng)
    moves, pi = Sampler(model.P), _policies(mdp, policy, T)
    s = np.empty((n, T + 1), np.intp)
    a, r, seen = np.full((n, T), -1), np.zeros((n, T)), np.zeros((n, T + 1), np.intp)
    s[:, 0] = Sampler(model.start[None]).draw(np.zeros(n, np.intp), chance.random(n))
    for t in range(T):
        seen[:, t] = what = _look(mdp, s[:, t], chance)
        act = draw(pi[min(t, len(pi) - 1)][what], chance.random(n))
        s[:, t + 1] = moves.draw(s[:, t] * model.n_actions + act, chance.random(n))
        paid = model.payment.draw(s[:, t], act, s[:, t + 1], chance.random(n))
        alive = ~model.terminal[s[:, t]]
        a[:, t], r[:, t] = np.where(alive, act, -1), np.where(alive, paid, 0.0)
    seen[:, T] = _look(mdp, s[:, T], chance)
    lengths, ended = (~model.terminal[s[:, :-1]]).sum(axis=1), model.terminal[s[:, -1]]
    return Trajectories(s, a, r, lengths, ended, seen if isinstance(mdp, POMDP) else None)


def behind(mdp: World | POMDP) -> tuple[World, Array | None]:
    """The process behind what is seen, and Pr(o|s), (S, Z); None where states are seen."""
    if not isinstance(mdp, POMDP):
        return mdp, None
    if mdp.O.ndim == 3:
        raise ValueError("mdp must show something in every state, O[s', o], to be acted in")
    return mdp.mdp, mdp.O


def _policies(mdp: MDP | POMDP, policy: ArrayLike, steps: int) -> Array:
    """The policy as a table a time, (1 or T, S or Z, A)."""
    if isinstance(mdp, POMDP):
        return distributions(policy, "policy", (mdp.n_observations, mdp.n_actions))[None]
    pi = policy_table(mdp, policy)
    if pi.ndim == 3 and len(pi) < steps:
        raise ValueError(f"policy must cover {steps} steps; it has {len(pi)}")
    return pi if pi.ndim == 3 else pi[None]


def _look(mdp: MDP | POMDP, s: Indices, chance: np.random.Generator) -> Indices:
    return draw(mdp.O[s], chance.random(len(s))) if isinstance(mdp, POMDP) else s
