"""Sweeps, iterations and queues: all roads lead to the best of all deterministic policies."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl.planning import (
    Sweep,
    gauss_seidel,
    greedy,
    modified_policy_iteration,
    policy_evaluation,
    policy_iteration,
    prioritized_sweeping,
    state_values,
    uniform_policy,
    value_iteration,
)
from gridrl.processes import MDP
from gridrl.worlds import forest, penguin_world, sutton_4x4
from tests.planning.oracles import OPTIMISERS, brute_force
from tests.strategies import mdps

ICE = penguin_world().mdp(gamma=0.9)


def result_of(text: str) -> float:
    """The number after the last = sign of an explanation."""
    return float(text.rsplit("= ", 1)[1].splitlines()[0])


@settings(max_examples=25, deadline=None)
@given(mdp=mdps(max_states=4))
def test_every_algorithm_finds_the_best_of_all_policies(mdp: MDP) -> None:
    best = brute_force(mdp)
    for name, plan in OPTIMISERS.items():
        found = plan(mdp) if name in ("policy_iteration", "linear_program") else plan(mdp, tol=1e-6)
        np.testing.assert_allclose(found.V, best, atol=1e-6)
        # acting greedily on values within tol loses at most 2 gamma tol / (1 - gamma)
        loss = best - state_values(mdp, found.policy)
        assert loss.max() <= 2e-6 * mdp.gamma / (1 - mdp.gamma) + 1e-9


@given(mdp=mdps())
def test_policy_iteration_only_improves(mdp: MDP) -> None:
    iterates = list(policy_iteration.iterates(mdp))
    for before, after in pairwise(iterates):
        assert (after.V >= before.V - 1e-9).all()
        assert (after.V > before.V + 1e-12).any()
    assert len(iterates) <= mdp.n_actions**mdp.n_states + 1


def test_policy_iteration_starts_from_the_uniform_policy() -> None:
    first = next(policy_iteration.iterates(ICE))
    np.testing.assert_allclose(first.V, state_values(ICE, uniform_policy(ICE)))
    np.testing.assert_array_equal(first.policy, greedy(first.Q))


def test_values_iterated_are_those_of_a_longer_and_longer_horizon() -> None:
    sweeps = list(value_iteration.iterates(forest(), tol=1))
    np.testing.assert_allclose(sweeps[0].V, [0, 1, 4])  # one year: cut, or wait in the oldest
    np.testing.assert_allclose(sweeps[1].V, [0.81, 3.24, 7.24])


def test_modified_policy_iteration_without_sweeps_is_value_iteration() -> None:
    for one, other in zip(
        modified_policy_iteration.iterates(ICE, sweeps=0),
        value_iteration.iterates(ICE),
        strict=True,
    ):
        np.testing.assert_array_equal(one.V, other.V)
        assert one.backups == other.backups


def test_modified_policy_iteration_with_many_sweeps_is_policy_iteration() -> None:
    few = len(list(modified_policy_iteration.iterates(ICE, sweeps=300)))
    assert few <= len(list(policy_iteration.iterates(ICE))) + 2
    assert few < len(list(value_iteration.iterates(ICE))) / 10


def test_a_sweep_in_place_sees_the_new_values() -> None:
    # sutton_4x4, uniform: square 1 is the end, 2 sees zeros: -1; 3 sees the new -1: -1.25
    mdp = sutton_4x4().mdp(gamma=1)
    pi = uniform_policy(mdp)
    first = next(policy_evaluation.iterates(mdp, pi, in_place=True))
    np.testing.assert_array_equal(first.V[:4], [0, -1, -1.25, -1.3125])
    both = [len(list(policy_evaluation.iterates(mdp, pi, in_place=new))) for new in (False, True)]
    assert both[1] < both[0]  # and so it is faster
    one_way = MDP(np.eye(3)[[[0], [0], [1]]], [0, 1, 1], 1.0, terminal=[True, False, False])
    np.testing.assert_array_equal(next(gauss_seidel.iterates(one_way)).V, [0, 1, 2])
    np.testing.assert_array_equal(next(value_iteration.iterates(one_way)).V, [0, 1, 1])


def test_prioritized_sweeping_backs_up_the_largest_gap() -> None:
    for before, after in pairwise(prioritized_sweeping.iterates(ICE)):
        gap = np.abs(before.Q.max(axis=1) - before.V)
        assert gap[after.state] == gap.max()
        changed = np.flatnonzero(after.V != before.V)
        np.testing.assert_array_equal(changed, [after.state])
        np.testing.assert_allclose(after.Q, ICE.R + 0.9 * (ICE.P @ after.V), atol=1e-12)


def test_prioritized_sweeping_looks_up_less() -> None:
    # one paying state far away: sweeps look everywhere, the queue only where something changes
    n = 60
    ahead = np.eye(n)[np.minimum(np.arange(n) + 1, n - 1)][:, None]
    mdp = MDP(ahead, np.arange(n) == n - 2, 1.0, terminal=np.arange(n) == n - 1)
    assert prioritized_sweeping(mdp).backups < value_iteration(mdp).backups / 5


def test_backups_count_the_pairs_looked_up() -> None:
    assert [sweep.backups for sweep in value_iteration.iterates(ICE, tol=5)][:2] == [64, 128]
    counts = [sweep.backups for sweep in prioritized_sweeping.iterates(ICE, tol=1)]
    assert counts == sorted(counts)
    assert counts[0] == 64


# --- the arithmetic of the last backup ------------------------------------------------------------

SWEEPING = {
    "value_iteration": value_iteration.iterates(ICE, tol=1e-2),
    "gauss_seidel": gauss_seidel.iterates(ICE, tol=1e-2),
    "modified_policy_iteration": modified_policy_iteration.iterates(ICE, tol=1e-2),
    "policy_evaluation": policy_evaluation.iterates(ICE, uniform_policy(ICE), tol=1e-2),
    "in place": policy_evaluation.iterates(ICE, uniform_policy(ICE), tol=1e-2, in_place=True),
}


def explains_itself(sweep: Sweep, s: int) -> None:
    """The arithmetic shown for state s comes to its value, to the digits shown."""
    assert result_of(sweep.explain(s)) == pytest.approx(sweep.V[s], rel=1e-3, abs=1e-12)
    assert f"\nV({s + 1}) <- " in sweep.explain(s)


@pytest.mark.parametrize("name", SWEEPING)
def test_the_explanation_comes_to_the_new_value(name: str) -> None:
    for sweep in list(SWEEPING[name])[:6]:
        for s in range(16):
            explains_itself(sweep, s)


def test_the_explanation_shows_the_values_that_the_backup_saw() -> None:
    first = next(gauss_seidel.iterates(ICE))
    assert first.V[4] == pytest.approx(0)
    # square 8 lies below 4, which was backed up before it (V = 1), and beside 7, after it (0)
    up = first.explain(7).splitlines()
    symbols, numbers, result = up[0].split(" = ")
    assert symbols == "up: 0 + 0.9 (0.50 V(4) + 0.25 V(7) + 0.25 V(12))"
    assert (numbers, result) == ("0 + 0.9 (0.50 * 1 + 0.25 * 0 + 0.25 * 0)", "0.45")
    old = next(value_iteration.iterates(ICE)).explain(7).splitlines()
    assert old[0].endswith(" = 0 + 0.9 (0.50 * 0 + 0.25 * 0 + 0.25 * 0) = 0")


def test_evaluation_explains_an_average_and_the_others_a_maximum() -> None:
    average = next(policy_evaluation.iterates(ICE, uniform_policy(ICE))).explain(8)
    assert average.splitlines()[-1] == "V(9) <- 0.25 * 1 + 0.25 * 1 + 0.25 * 1 + 0.25 * 1 = 1"
    maximum = next(value_iteration.iterates(ICE)).explain(8)
    assert maximum.splitlines()[-1] == "V(9) <- max(1, 1, 1, 1) = 1"


def test_by_default_the_largest_change_is_explained() -> None:
    mdp = ICE.replace(R=np.arange(16) == 6)
    assert "V(7) <- " in next(value_iteration.iterates(mdp)).explain()


def test_prioritized_sweeping_explains_its_one_backup() -> None:
    for sweep in list(prioritized_sweeping.iterates(ICE, tol=1))[1:]:
        assert sweep.state is not None
        explains_itself(sweep, sweep.state)
        assert sweep.explain() == sweep.explain(sweep.state)


def test_policy_iteration_explains_its_improvement() -> None:
    first = next(policy_iteration.iterates(ICE))
    assert first.explain(5).splitlines()[-1] == "pi(6) <- down"
    assert first.Q[5].argmax() == 2


def test_policy_iteration_explains_the_values_it_shows() -> None:
    for sweep in policy_iteration.iterates(ICE):
        explains_itself(sweep, 5)


def test_the_repr_is_one_line() -> None:
    assert repr(next(value_iteration.iterates(forest()))) == (
        "Sweep(3 states, 2 actions, bound=36, backups=6)"
    )
