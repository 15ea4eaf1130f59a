"""From Gymnasium's toy-text environments to decision processes.

Symbols: entries (p, s', r, terminated) of a toy-text table P[s][a], m of them, one array a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from gridrl.envs.env import GridRLEnv
from gridrl.processes import MDP, RewardDistribution
from gridrl.processes.structure import reachable
from gridrl.tables import Array, Indices, Mask, distributions, indices, names, table
from gridrl.worlds.grid import DENSE_STATES

END = "the end"


@dataclass(frozen=True, eq=False)
class Entries:
    """A toy-text table, column by column, each (m,), and its sizes."""

    s: Indices
    a: Indices
    p: Array
    s_next: Indices
    r: Array
    terminated: Mask
    n_states: int
    n_actions: int


def mdp_from_gymnasium(
    env: gym.Env[Any, Any], *, gamma: float = 1.0, start: ArrayLike | None = None
) -> MDP:
    """Read the table `env.unwrapped.P` of a toy-text environment: FrozenLake, CliffWalking, Taxi.

    A state that is entered with `terminated` is terminal. If one can also act in it, coming from
    the start another way, it is no end in itself: then there is one state more, the last, "the
    end", where all that terminates there leads; a state that the start never reaches, as 100 of
    Taxi's, is taken for an end if it is ever entered so. Rewards keep their distribution:
    R(s, a, s') where that is certain, else a `RewardDistribution`. A time limit is no part of the
    model. Of an environment of a POMDP this is the process behind the observations.

    Args:
        env: the environment, wrapped or not.
        gamma: discount per step; an environment has none.
        start: distribution of the first state, (S,); None is `env.unwrapped.initial_state_distrib`.

    >>> mdp_from_gymnasium(gym.make("FrozenLake-v1"), gamma=0.99)
    MDP(16 states (5 terminal), 4 actions, gamma=0.99)

    Raises:
        TypeError: no Gymnasium environment.
        ValueError: it has no table, or one with a mistake; its place is named.
    """
    inside = an_env(env).unwrapped
    if not hasattr(inside, "P"):
        raise ValueError(
            "env must have a table of its model, env.unwrapped.P, as FrozenLake, CliffWalking and"
            f" Taxi have; {inside} has none"
        )
    found = _entries(inside.P)
    if start is None and not hasattr(inside, "initial_state_distrib"):
        raise ValueError("start must be given: env.unwrapped has no initial_state_distrib")
    first = getattr(inside, "initial_state_distrib", None) if start is None else start
    mu = distributions(first, "start", (found.n_states,))  # type: ignore[arg-type]
    found, terminal = _with_ends(found, mu)
    labels = names(inside.mdp.labels if isinstance(inside, GridRLEnv) else None, "labels", len(mu))
    more = found.n_states - len(mu)
    return MDP(
        _transitions(found),
        _rewards(found),
        gamma,
        start=np.append(mu, np.zeros(more)),
        terminal=terminal,
        labels=labels + (END,) * more,
        action_labels=inside.mdp.action_labels if isinstance(inside, GridRLEnv) else None,
    )


def an_env(env: Any) -> gym.Env[Any, Any]:
    """Return `env` if it is an environment; a TypeError says what it is."""
    if not isinstance(env, gym.Env):
        hint = f": gym.make({env!r})" if isinstance(env, str) else ""
        raise TypeError(f"env must be a Gymnasium environment; it is {env!r}{hint}")
    return env


def _entries(P: Any) -> Entries:
    """Lay out P[s][a] = [(p, s', r, terminated), ...]; a ValueError names the first odd entry."""
    S, A = len(P), len(P[0]) if len(P) else 0
    rows: list[tuple[Any, ...]] = []
    for s, a in np.ndindex(S, A):
        try:
            rows += [(s, a, p, s_next, r, over) for p, s_next, r, over in P[s][a]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"P[{s}][{a}] must be a list of (p, s', r, terminated), s in 0..{S - 1} and"
                f" a in 0..{A - 1}; {type(error).__name__}: {error}"
            ) from error
    if not rows:
        raise ValueError(f"P must hold something for each state and action; it is {P!r}")
    s_, a_, p_, s_next_, r_, over_ = zip(*rows, strict=True)
    return Entries(
        s=np.array(s_), a=np.array(a_), p=table(p_, "P, probabilities"),
        s_next=indices(s_next_, "P, next states", S), r=table(r_, "P, rewards"),
        terminated=np.array(over_, dtype=bool), n_states=S, n_actions=A,
    )  # fmt: skip


def _with_ends(found: Entries, start: Array) -> tuple[Entries, Mask]:
    """Say which states are terminal, with one more where terminating is not all that they are."""
    S, possible = found.n_states, found.p > 0
    ends = np.zeros(S, bool)
    ends[found.s_next[possible & found.terminated]] = True
    on = possible & ~found.terminated
    edges = csr_array((np.ones(on.sum()), (found.s[on], found.s_next[on])), shape=(S, S))
    lived_in = ends & reachable(edges, np.flatnonzero(start))
    if not lived_in.any():
        return found, ends
    leaving = found.terminated & lived_in[found.s_next]
    s_next = np.where(leaving, S, found.s_next)
    own = np.arange(found.n_actions)
    return Entries(
        s=np.append(found.s, np.full(len(own), S)), a=np.append(found.a, own),
        p=np.append(found.p, np.ones(len(own))), s_next=np.append(s_next, np.full(len(own), S)),
        r=np.append(found.r, np.zeros(len(own))),
        terminated=np.append(found.terminated, np.ones(len(own), bool)),
        n_states=S + 1, n_actions=found.n_actions,
    ), np.append(ends & ~lived_in, True)  # fmt: skip


def _transitions(found: Entries) -> Any:
    """Pr(s'|s,a): (S, A, S), or CSR (S * A, S) where there are many states."""
    S, A = found.n_states, found.n_actions
    places = (found.s * A + found.a, found.s_next)
    matrix = csr_array((found.p, places), shape=(S * A, S))
    return matrix if S > DENSE_STATES else matrix.toarray().reshape(S, A, S)


def _rewards(found: Entries) -> Any:
    """R(s, a, s') if a step pays always the same, else Pr(r | s, a, s') (S, A, S, K)."""
    S, A, possible = found.n_states, found.n_actions, found.p > 0
    row, s_next, r = (found.s * A + found.a)[possible], found.s_next[possible], found.r[possible]
    order = np.lexsort((r, s_next, row))
    row, s_next, r = row[order], s_next[order], r[order]
    new = np.append(True, (np.diff(row) != 0) | (np.diff(s_next) != 0))
    if (new[1:] | (np.diff(r) == 0)).all():
        matrix = csr_array((r[new], (row[new], s_next[new])), shape=(S * A, S))
        return matrix if S > DENSE_STATES else matrix.toarray().reshape(S, A, S)
    values, which = np.unique(r, return_inverse=True)
    joint = np.zeros((S * A, S, len(values)))
    np.add.at(joint, (row, s_next, which), found.p[possible][order])
    joint[joint.sum(axis=2) == 0, 0] = 1  # steps that are never made
    joint /= joint.sum(axis=2, keepdims=True)
    return RewardDistribution(values, joint.reshape(S, A, S, -1))
