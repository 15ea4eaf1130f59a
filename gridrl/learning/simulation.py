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
    a, r, s = np.full((T, n), -1), np.zeros((T, n)), np.empty((T + 1, n), np.intp)
    seen = np.empty_like(s) if isinstance(mdp, POMDP) else s
    s[0] = Sampler(model.start[None]).draw(np.zeros(n, np.intp), chance.random(n))
    seen[0] = _look(mdp, s[0], chance)
    k, lengths = np.flatnonzero(~model.terminal[s[0]]), np.zeros(n, np.intp)
    for t in range(T):  # k are the episodes that go on; the others stay where they are
        s[t + 1], seen[t + 1], now, m = s[t], seen[t], s[t, k], len(k)
        if m:
            act = draw(pi[min(t, len(pi) - 1)][seen[t, k]], chance.random(m))
            s_next = moves.draw(now * model.n_actions + act, chance.random(m))
            a[t, k], r[t, k] = act, model.payment.draw(now, act, s_next, chance.random(m))
            s[t + 1, k], lengths[k] = s_next, t + 1
            seen[t + 1, k] = _look(mdp, s_next, chance)
            k = k[~model.terminal[s_next]]
    shown = seen.T if isinstance(mdp, POMDP) else None
    return Trajectories(s.T, a.T, r.T, lengths, model.terminal[s[-1]], shown)


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
