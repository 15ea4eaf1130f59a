"""Random small models for hypothesis: every property is tried on worlds nobody thought of."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from gridrl.processes import MDP, MarkovProcess, RewardDistribution, RewardProcess, arrive, leave
from gridrl.tables import Array

seeds = st.integers(0, 2**32 - 1)


def sparse_rows(rng: np.random.Generator, *shape: int) -> Array:
    """Distributions on the last axis, about half of their entries zero."""
    p = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1]) * (rng.random(shape) < 0.5)
    p[..., 0] += p.sum(axis=-1) == 0
    return p / p.sum(axis=-1, keepdims=True)


@st.composite
def chains(draw: st.DrawFn, *, max_states: int = 6) -> MarkovProcess:
    """Markov processes with several classes, transient states and periods."""
    rng = np.random.default_rng(draw(seeds))
    S = draw(st.integers(1, max_states))
    return MarkovProcess(sparse_rows(rng, S, S))


@st.composite
def reward_processes(draw: st.DrawFn, *, gamma: float = 0.9) -> RewardProcess:
    """Reward processes on such chains."""
    chain = draw(chains())
    rng = np.random.default_rng(draw(seeds))
    return RewardProcess(chain.P, rng.normal(size=chain.n_states), gamma)


@st.composite
def mdps(draw: st.DrawFn, *, max_states: int = 5, max_actions: int = 3) -> MDP:
    """Decision processes with gamma below 1, sparse rows, perhaps a terminal state."""
    rng = np.random.default_rng(draw(seeds))
    S, A = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    terminal = np.arange(S) == S - 1 if S > 1 and draw(st.booleans()) else None
    gamma = draw(st.sampled_from([0.0, 0.5, 0.9, 0.99]))
    return MDP(sparse_rows(rng, S, A, S), rng.normal(size=(S, A)), gamma, terminal=terminal)


def policies(rng: np.random.Generator, mdp: MDP) -> Array:
    """A random stochastic policy, (S, A)."""
    return rng.dirichlet(np.ones(mdp.n_actions), size=mdp.n_states)


def rewards(rng: np.random.Generator, S: int, A: int) -> dict[str, Any]:
    """Every form in which the rewards of an MDP may be given, by its name; (S, A, S) the last."""
    values, step = rng.normal(size=3), rng.normal(size=(S, A, S))
    return {
        "(S,)": rng.normal(size=S),
        "leave": leave(rng.normal(size=S)),
        "arrive": arrive(rng.normal(size=S)),
        "(S, A)": rng.normal(size=(S, A)),
        "(S, K)": RewardDistribution(values, sparse_rows(rng, S, 3)),
        "(S, A, K)": RewardDistribution(values, sparse_rows(rng, S, A, 3)),
        "(S, A, S, K)": RewardDistribution(values, sparse_rows(rng, S, A, S, 3)),
        "sparse": csr_array(step.reshape(S * A, S)),
        "(S, A, S)": step,
    }


def lottery(values: ArrayLike, probs: ArrayLike) -> RewardDistribution:
    """A `RewardDistribution` from plain lists (its fields are typed as the arrays they become)."""
    return RewardDistribution(np.asarray(values), np.asarray(probs))
