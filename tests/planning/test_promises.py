"""A tolerance is a promise on |V - V*|, not a hope about the last change."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridrl.errors import NotConverged
from gridrl.planning import policy_iteration, value_iteration
from gridrl.processes import MDP
from gridrl.worlds import forest, frozen_lake, penguin_world, russell_norvig_4x3
from tests.planning.oracles import (
    BUDGETS,
    EVERYTHING,
    OPTIMISERS,
    brute_force,
    plan_undiscounted,
    separated,
    undiscounted_models,
    undiscounted_optimum,
)
from tests.strategies import mdps

ROUNDING = 1e-12  # of a linear solve, relative to the values
WITH_TOL = [name for name in EVERYTHING if name not in ("policy_iteration", "linear_program")]


@settings(max_examples=25, deadline=None)
@given(mdp=mdps(max_states=4), tol=st.sampled_from([1e-1, 1e-4]))
def test_every_snapshot_keeps_its_bound(mdp: MDP, tol: float) -> None:
    exact = brute_force(mdp)
    rounding = ROUNDING * max(1, np.abs(exact).max()) / (1 - mdp.gamma)
    for name, plan in OPTIMISERS.items():
        settings_ = {"tol": tol} if name in WITH_TOL else {}
        for snapshot in plan.iterates(mdp, **settings_):
            assert np.abs(snapshot.V - exact).max() <= snapshot.bound + rounding
        assert snapshot.bound <= tol


@settings(max_examples=30, deadline=None)
@given(mdp=undiscounted_models())
def test_every_snapshot_keeps_its_bound_at_gamma_1(mdp: MDP) -> None:
    assume(separated(mdp))
    exact = undiscounted_optimum(mdp)
    assume(np.isfinite(exact).all())
    for name, plan in OPTIMISERS.items():
        for snapshot in islice(plan.iterates(mdp), 100):
            assert np.abs(snapshot.V - exact).max() <= snapshot.bound + 1e-9
        last = plan_undiscounted(name, mdp, tol=1e-4)
        assert last.bound <= 1e-4


def test_the_span_would_have_stopped_too_early() -> None:
    # pymdptoolbox stops on the span of the change and answers 5.05 for 26.244
    stopped = next(s for s in value_iteration.iterates(forest()) if np.ptp(s.V - s.V_old) < 0.01)
    assert 26.244 - stopped.V[0] > 1
    assert stopped.bound > 1


def test_the_last_change_is_no_promise() -> None:
    # at gamma 0.99 a last change below 1e-3 leaves an error of up to 0.1
    mdp = penguin_world().mdp(gamma=0.99)
    exact = policy_iteration(mdp).V
    for sweep in value_iteration.iterates(mdp, tol=1e-3):
        if np.abs(sweep.V - sweep.V_old).max() < 1e-3:
            break
    assert 1e-3 < np.abs(sweep.V - exact).max() <= sweep.bound < 0.1


@pytest.mark.parametrize("name", WITH_TOL)
@pytest.mark.parametrize("tol", [1.0, 1e-3, 1e-10])
def test_the_tolerance_is_kept(name: str, tol: float) -> None:
    for mdp in (penguin_world().mdp(gamma=0.9), russell_norvig_4x3().mdp(gamma=1)):
        exact = EVERYTHING[name](mdp, tol=1e-11).V
        found = EVERYTHING[name](mdp, tol=tol)
        assert found.bound <= tol
        assert np.abs(found.V - exact).max() <= tol + 1e-11


@pytest.mark.parametrize(("name", "budget"), BUDGETS.items())
@pytest.mark.parametrize("world", ["ice", "lake"])
def test_a_budget_that_is_too_small_raises(name: str, budget: str, world: str) -> None:
    mdp = penguin_world().mdp(gamma=0.9) if world == "ice" else frozen_lake().mdp(gamma=1)
    with pytest.raises(NotConverged, match=r"may still be .* > tol = .* after \d+ "):
        OPTIMISERS[name](mdp, **{budget: 2 if name != "policy_iteration" else 1})


@pytest.mark.parametrize("name", sorted(set(BUDGETS) - {"policy_iteration"}))
def test_tolerance_zero_is_exact_or_says_so(name: str) -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    found = OPTIMISERS[name](mdp, tol=0, **{BUDGETS[name]: 5000})
    assert found.bound == 0  # the sweep repeats itself, bit by bit
    np.testing.assert_allclose(found.V, policy_iteration(mdp).V, rtol=1e-13)
    with pytest.raises(NotConverged):
        OPTIMISERS[name](mdp, tol=0, **{BUDGETS[name]: 20})


@pytest.mark.parametrize("mdp", [penguin_world().mdp(0.9), frozen_lake().mdp(1)], ids=repr)
def test_snapshots_before_the_error_are_still_streamed(mdp: MDP) -> None:
    films = value_iteration.iterates(mdp, max_sweeps=4)
    assert len(list(islice(films, 4))) == 4
    with pytest.raises(NotConverged, match="after 4 sweeps"):
        next(films)
