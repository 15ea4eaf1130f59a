"""`solve`: the exact answer within its bound, of any size, at any gamma."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl import (
    MDP,
    GridWorld,
    NotConverged,
    SparseTransitions,
    expected_return,
    penguin_world,
    policy_iteration,
    value_iteration,
)
from gridrl.planning.large import Solution, solve
from gridrl.worlds import (
    cliff_walking,
    forest,
    frozen_lake,
    gamblers_problem,
    maximisation_bias,
    random_mdp,
    russell_norvig_4x3,
    short_corridor,
    slip_to_neighbours,
    sutton_4x4,
    windy_gridworld,
)
from tests.strategies import mdps

WORLDS: dict[str, MDP] = {
    "forest": forest(),
    "penguin": penguin_world().mdp(gamma=0.9),
    "penguin, far-sighted": penguin_world().mdp(gamma=0.9999),
    "lake": frozen_lake().mdp(gamma=0.99),
    "lake without discount": frozen_lake().mdp(gamma=1),
    "cliff": cliff_walking().mdp(gamma=1),
    "gambler": gamblers_problem(),
    "four by four": sutton_4x4().mdp(gamma=1),
    "windy": windy_gridworld().mdp(gamma=1),
    "corridor": short_corridor().mdp(gamma=1),
    "russell and norvig": russell_norvig_4x3().mdp(gamma=1),
    "two coins": maximisation_bias(),
    "random": random_mdp(40, 3, rng=0),
    "myopic": random_mdp(10, 2, rng=1).replace(gamma=0.0),
    "one state": MDP(np.ones((1, 2, 1)), [[1.0, 2.0]], 0.9),
    "one state, over": MDP(np.ones((1, 2, 1)), [[1.0, 2.0]], 1.0, terminal=[True]),
}


def lake(n: int, seed: int = 0) -> GridWorld:
    """A slippery n x n lake with holes and one goal."""
    rng = np.random.default_rng(seed)
    tiles = np.where(rng.random((n, n)) < 0.05, "H", ".")
    tiles[0, 0], tiles[-1, -1] = "S", "G"
    return GridWorld.from_text(
        "\n".join("".join(row) for row in tiles), rewards={"G": 1.0, "H": -1.0}, terminal="GH",
        reward_on="arrive", slip=slip_to_neighbours(0.8),
    )  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-9])
def test_the_answer_is_within_its_bound(name: str, tol: float) -> None:
    mdp = WORLDS[name]
    exact, found = policy_iteration(mdp).V, solve(mdp, tol=tol)
    assert found.bound <= tol
    # rounding of the exact linear solve, beside the promise
    assert np.abs(found.V - exact).max() <= found.bound + 1e-12 * (1 + np.abs(exact).max())
    np.testing.assert_allclose(found.Q.max(axis=1)[~mdp.terminal], found.V[~mdp.terminal], atol=tol)


@settings(max_examples=40)
@given(mdps(), st.sampled_from([0.0, 0.5, 0.95]))
def test_of_random_models_too(mdp: MDP, gamma: float) -> None:
    mdp = mdp.replace(gamma=gamma)
    found = solve(mdp, tol=1e-7)
    assert np.abs(found.V - value_iteration(mdp, tol=1e-9).V).max() <= found.bound + 1e-8


@pytest.mark.parametrize("gamma", [0.9, 0.99, 0.999, 0.9999])
def test_large_worlds_stay_sparse_and_agree_with_sweeps(gamma: float) -> None:
    mdp = lake(40).mdp(gamma=gamma)
    assert isinstance(mdp.P, SparseTransitions)
    found = solve(mdp)
    assert found.bound <= 1e-6
    residual = np.abs(found.Q.max(axis=1) - found.V).max()
    assert residual <= 1e-6
    exact = policy_iteration(mdp).V
    assert np.abs(found.V - exact).max() <= found.bound + 1e-12  # rounding of the exact solve
    best = expected_return(mdp, policy_iteration(mdp).policy)
    assert abs(expected_return(mdp, found.policy) - best) <= 2e-6 / (1 - gamma)


def test_every_iteration_is_certified() -> None:
    mdp = lake(25).mdp(gamma=0.99)
    exact = policy_iteration(mdp).V
    film = list(solve.iterates(mdp))
    for now, later in itertools.pairwise(film):
        assert np.abs(now.V - exact).max() <= now.bound + 1e-12
        assert now.backups < later.backups
        assert now.products < later.products
        assert now.seconds <= later.seconds
    assert isinstance(film[-1], Solution)
    assert "inexact policy iteration" in repr(film[-1])
    with pytest.raises(ValueError, match="read-only"):
        film[-1].V[0] = 1.0


def test_it_says_when_it_is_exact_policy_iteration() -> None:
    assert "exact policy iteration" in solve(frozen_lake().mdp(gamma=1)).method
    assert "inexact" in solve(gamblers_problem()).method  # every stake ends


def test_a_solver_that_stalls_is_replaced_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.sparse.linalg

    def stall(operator: Any, b: Any, **settings: Any) -> tuple[Any, int]:
        return np.full(len(b), np.nan), 1

    monkeypatch.setattr(scipy.sparse.linalg, "bicgstab", stall)
    mdp = penguin_world().mdp(gamma=0.9999)  # where sweeps hardly move
    found = solve(mdp, tol=1e-3)
    assert found.method == "inexact policy iteration, sweeps where BiCGSTAB stalled"
    # rounding of the exact solve, with 1 / (1 - gamma) = 10,000
    assert np.abs(found.V - policy_iteration(mdp).V).max() <= found.bound + 1e-9
    assert found.bound <= 1e-3


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(NotConverged, match=r"\|V - V\*\| may still be .* after 2 policies"):
        solve(lake(20).mdp(gamma=0.999), max_iterations=2)
    with pytest.raises(ValueError, match="values are not finite at gamma = 1"):
        solve(penguin_world().mdp(gamma=1))
    with pytest.raises(ValueError, match="tol must be in"):
        solve(forest(), tol=-1)
    with pytest.raises(TypeError, match="mdp must be an MDP"):
        solve(lake(3))  # type: ignore[arg-type]


def test_a_model_of_a_hundred_thousand_states() -> None:
    started = time.perf_counter()
    mdp = lake(316).mdp(gamma=0.9)
    found = solve(mdp)
    assert found.bound <= 1e-6
    assert found.products < 133  # which sweeps alone would need: gamma^133 = 1e-6
    assert 0 < found.seconds < time.perf_counter() - started
