"""Values over beliefs: golden numbers, brute force over histories, and the order of the bounds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl import MDP, POMDP, NotConverged, expected_return, lost_penguin_world, policy_iteration
from gridrl.planning.alpha_vectors import AlphaVectors, blind_vectors, point_backup
from gridrl.planning.beliefs import (
    belief_update,
    first_beliefs,
    observation_probabilities,
    steps_of,
)
from gridrl.planning.bounds import BeliefBounds, belief_bounds
from gridrl.planning.exact_vectors import incremental_pruning
from gridrl.planning.pomdp_solvers import fast_informed_bound, pbvi, qmdp
from gridrl.planning.pruning import largest_gain, prune
from gridrl.tables import Array
from gridrl.worlds import random_mdp, short_corridor, tiger
from tests.planning.oracles import sparse
from tests.strategies import seeds, sparse_rows

TIGER = tiger()
V_TIGER = 19.371368
LOST = {slip: lost_penguin_world(slip).pomdp(gamma=0.9) for slip in (0.5, 0.8)}
HALF = [0.5, 0.5]
NOTHING: Any = None


def random_pomdp(seed: int, *, axes: int = 3, S: int = 3, A: int = 2, Z: int = 2) -> POMDP:
    """With zeros, perhaps with a terminal state."""
    rng = np.random.default_rng(seed)
    ends = None if seed % 2 else [False] * (S - 1) + [True]
    P, R = sparse_rows(rng, S, A, S), rng.normal(size=(S, A))
    mdp = MDP(P, R, float(rng.choice([0.0, 0.6, 0.9])), terminal=ends)
    return POMDP(mdp, sparse_rows(rng, *((A, S) if axes == 3 else (S,)), Z))


def beliefs_of(pomdp: POMDP, n: int = 20) -> Array:
    rng = np.random.default_rng(n)
    return np.concatenate([np.eye(pomdp.n_states), rng.dirichlet(np.ones(pomdp.n_states), size=n)])


def by_histories(pomdp: POMDP, b: Array, steps: int) -> float:
    """The best of all plans for `steps` steps, by going through every action and observation."""
    if steps == 0:
        return 0.0
    worth = []
    for a in range(pomdp.n_actions):
        chances = observation_probabilities(pomdp, b, a)
        ahead = sum(
            p * by_histories(pomdp, belief_update(pomdp, b, a, o), steps - 1)
            for o, p in enumerate(chances)
            if p > 1e-14
        )
        worth.append(float(b @ pomdp.R[:, a]) + pomdp.gamma * ahead)
    return max(worth)


MODELS: dict[str, Callable[[], POMDP]] = {
    "tiger": tiger,
    "lost penguin": lambda: LOST[0.5],
    "lost penguin, less lost": lambda: LOST[0.8],
    "lost anywhere": lambda: LOST[0.5].replace(start=None),
    "short corridor": lambda: short_corridor().pomdp(gamma=0.9),
    "short corridor, undiscounted": lambda: short_corridor().pomdp(gamma=1),
    "noisy": lambda: random_pomdp(1, S=4, A=3, Z=3),
    "with an end": lambda: random_pomdp(2, axes=2, S=4),
    "sparse": lambda: LOST[0.5].replace(mdp=sparse(LOST[0.5].mdp)),
}
every_model = pytest.mark.parametrize("name", MODELS)


def test_the_tiger_in_the_literature() -> None:
    exact = incremental_pruning(TIGER, tol=1e-6)
    assert abs(exact.V(HALF) - V_TIGER) <= 1e-6 + 5e-7  # the number has six digits
    assert exact.value == exact.V(HALF)
    assert len(exact.actions) == 9
    assert sorted(exact.actions) == [0] * 7 + [1, 2]
    assert exact.bound <= 1e-6
    assert qmdp(TIGER).V(HALF) == pytest.approx(189, abs=1e-9)
    assert float(policy_iteration(TIGER.mdp).V[0]) == pytest.approx(200, abs=1e-9)
    assert fast_informed_bound(TIGER).V(HALF) == pytest.approx(87.179487, abs=1e-6)


def test_the_tiger_with_steps_to_go() -> None:
    golden = [-1, -1.95, 2.3098, 1.7955442188, 2.7630961931]
    found = list(incremental_pruning.iterates(TIGER, tol=1e-9, horizon=5))
    np.testing.assert_allclose([V.V(HALF) for V in found], golden, atol=1e-9)
    assert [V.horizon for V in found] == [1, 2, 3, 4, 5]
    assert found[-1].bound <= 1e-9


@pytest.mark.parametrize(("tol", "budget"), [(1e-1, 2000), (1e-3, 4000), (1e-6, 6000)])
def test_bounds_meet_at_the_tiger(tol: float, budget: int) -> None:
    answer = belief_bounds(TIGER, tol=tol, max_backups=budget)
    assert answer.lower - 5e-7 <= V_TIGER <= answer.upper + 5e-7
    assert answer.upper - answer.lower <= tol
    b = beliefs_of(TIGER, 100)
    exact = incremental_pruning(TIGER, tol=1e-6).V(b)
    assert (answer.V(b) <= exact + 1e-6).all()
    assert (answer.V_upper(b) >= exact - 1e-6).all()


@pytest.mark.parametrize(
    ("slip", "known", "seeing"), [(0.5, (3.8585, 4.1564), 4.26370), (0.8, (8.358, 8.617), 8.859)]
)
def test_the_lost_penguin(slip: float, known: tuple[float, float], seeing: float) -> None:
    answer = belief_bounds(LOST[slip], tol=0.005)
    assert known[0] - 1e-3 <= answer.lower <= answer.upper <= known[1] + 1e-3
    assert answer.upper - answer.lower <= 0.005
    mdp = LOST[slip].mdp
    assert expected_return(mdp, policy_iteration(mdp).policy) == pytest.approx(seeing, abs=5e-4)


@settings(max_examples=25)
@given(seeds, st.sampled_from([2, 3]))
def test_exact_vectors_equal_brute_force_over_histories(seed: int, axes: int) -> None:
    pomdp = random_pomdp(seed, axes=axes)
    for V in incremental_pruning.iterates(pomdp, tol=1e-7, horizon=3):
        assert V.bound <= 1e-7 + 1e-16
        for b in beliefs_of(pomdp, 3):
            assert V.V(b) == pytest.approx(by_histories(pomdp, b, V.horizon or 0), abs=2e-7)


@settings(max_examples=15)
@given(seeds, st.sampled_from([2, 3]))
def test_all_bounds_in_order_on_random_models(seed: int, axes: int) -> None:
    _in_order(random_pomdp(seed, axes=axes), exact=True)


@every_model
def test_all_bounds_in_order(name: str) -> None:
    pomdp = MODELS[name]()
    _in_order(pomdp, exact=pomdp.n_states <= 4 and pomdp.gamma < 1)


def _in_order(pomdp: POMDP, *, exact: bool) -> None:
    """blind <= PBVI <= V* <= FIB <= QMDP <= MDP, and the bounds around V*, in every belief."""
    b, tol = beliefs_of(pomdp), 1e-4
    blind = (b @ blind_vectors(pomdp)[0].T).max(axis=1)
    low = pbvi(pomdp, expansions=4, rng=0)
    fib, qm = fast_informed_bound(pomdp), qmdp(pomdp)
    around = _around(pomdp)
    full = b @ policy_iteration(pomdp.mdp).V
    assert (low.V(b) <= fib.V(b) + 1e-9).all()
    assert (blind <= around.V_upper(b) + 1e-9).all()
    assert (low.V(b) <= around.V_upper(b) + 1e-9).all()
    assert (around.V(b) <= around.V_upper(b) + 1e-9).all()
    assert (around.V_upper(b) <= fib.V(b) + 1e-7).all()
    assert (fib.V(b) <= qm.V(b) + 1e-9).all()
    assert (qm.V(b) <= full + 1e-9).all()
    assert low.value <= around.upper + 1e-9
    assert around.lower <= fib.value + 1e-9
    if exact:
        V, tol = _exact(pomdp, tol)
        assert (low.V(b) <= V.V(b) + tol).all()
        assert (around.V(b) <= V.V(b) + tol).all()
        assert (V.V(b) <= around.V_upper(b) + tol).all()
        assert around.lower - tol <= V.value <= around.upper + tol


def _around(pomdp: POMDP) -> BeliefBounds:
    """Bounds that may not have met: they hold all the same."""
    try:
        return belief_bounds(pomdp, tol=0.1, max_backups=1500)
    except NotConverged as error:
        return error.so_far


def _exact(pomdp: POMDP, tol: float) -> tuple[AlphaVectors, float]:
    """V*, or if that takes too many vectors what there is, with its bound."""
    try:
        return incremental_pruning(pomdp, tol=tol, most=500), tol
    except NotConverged as error:
        return error.so_far, error.so_far.bound


@given(seeds)
@settings(max_examples=20)
def test_who_sees_the_state_has_the_values_of_the_mdp(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mdp = random_mdp(3, 2, rng=rng, gamma=0.8)
    pomdp, V = POMDP(mdp, np.eye(3)), policy_iteration(mdp).V
    answer = incremental_pruning(pomdp, tol=1e-5)
    np.testing.assert_allclose(answer.V(np.eye(3)), V, atol=1e-5)
    np.testing.assert_allclose(belief_bounds(pomdp, tol=1e-6).lower, mdp.start @ V, atol=2e-6)
    assert answer.value == pytest.approx(mdp.start @ V, abs=1e-5)  # it sees its first state too


@given(seeds)
@settings(max_examples=20)
def test_who_sees_nothing_has_the_best_list_of_actions(seed: int) -> None:
    mdp = random_mdp(3, 2, rng=seed, gamma=0.8)
    P, T = np.asarray(mdp.P), 5
    worth = []
    for actions in product(range(2), repeat=T):
        b, total = mdp.start, 0.0
        for t, a in enumerate(actions):
            total, b = total + mdp.gamma**t * float(b @ mdp.R[:, a]), b @ P[:, a]
        worth.append(total)
    blind = POMDP(mdp, np.ones((3, 1)))
    assert incremental_pruning(blind, horizon=T, tol=1e-8).value == pytest.approx(max(worth))


def test_policies_found_are_worth_what_they_say() -> None:
    """Acting by one lookahead on a lower bound, in the tiger's tree to a depth, gains that much."""
    answer = belief_bounds(TIGER, tol=1e-4)

    def follow(b: Array, steps: int) -> float:
        a = answer.action(b)
        worth = float(b @ TIGER.R[:, a])
        if steps == 0:
            return worth
        chances = observation_probabilities(TIGER, b, a)
        after = [follow(belief_update(TIGER, b, a, o), steps - 1) for o in range(2)]
        return worth + TIGER.gamma * float(chances @ after)

    T = 12
    rest = TIGER.gamma ** (T + 1)  # what follows is worth between -20 (blind) and 20
    assert abs(follow(np.array(HALF), T) - (1 - rest) * V_TIGER) <= rest * 25


def test_the_corridor_undiscounted_is_walked_in_three_steps() -> None:
    answer = belief_bounds(short_corridor().pomdp(gamma=1))
    assert (answer.lower, answer.upper) == (-3.0, -3.0)
    assert answer.action(np.array([1.0, 0, 0, 0])) == 1
    assert answer.action(np.array([0, 1.0, 0, 0])) == 0


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_other_discounts(gamma: float) -> None:
    """At gamma = 1 every policy ends: with probability 0.2 a step."""
    rng = np.random.default_rng(0)
    P = np.zeros((3, 2, 3))
    P[:2, :, :2], P[:2, :, 2], P[2, :, 2] = 0.8 * rng.dirichlet([1, 1], size=(2, 2)), 0.2, 1
    mdp = MDP(P, rng.normal(size=(3, 2)), gamma, terminal=[False, False, True])
    pomdp = POMDP(mdp, rng.dirichlet([1, 1], size=3))
    exact, around = incremental_pruning(pomdp, tol=1e-5), belief_bounds(pomdp, tol=1e-4)
    assert around.lower - 1e-5 <= exact.value <= around.upper + 1e-5
    np.testing.assert_array_equal(exact.alpha_vectors[:, 2], 0)
    assert exact.V([0, 0, 1]) == 0
    if gamma == 0:
        assert exact.V([0.5, 0.5, 0]) == pytest.approx(mdp.R[:2].mean(axis=0).max())


@given(seeds)
def test_pruning_loses_at_most_its_margin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    S, margin = int(rng.integers(2, 5)), float(rng.choice([1e-9, 0.1, 0.5]))
    alpha = rng.normal(size=(25, S)).round(1)
    kept, witnesses = prune(alpha, np.eye(S), margin)
    b = rng.dirichlet(np.full(S, 0.7), size=400)
    lost = (b @ alpha.T).max(axis=1) - (b @ alpha[kept].T).max(axis=1)
    assert lost.max() <= margin + 1e-12
    at_witness = np.einsum("ns,ns->n", witnesses, alpha[kept])
    np.testing.assert_allclose(at_witness, (witnesses @ alpha[kept].T).max(axis=1), atol=1e-9)
    if margin < 1e-6:  # and keeps only what is needed
        for i in range(len(kept)):
            others = np.delete(alpha[kept], i, axis=0)
            assert len(others) == 0 or largest_gain(alpha[kept[i]], others)[0] > 1e-9


def test_vectors_that_only_touch_are_dropped() -> None:
    alpha = np.array([[0.0, 2.0], [2.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 2.0]])
    for beliefs in (np.eye(2), np.array([[0.5, 0.5]])):
        kept, _ = prune(alpha, beliefs, 1e-9)
        assert {tuple(row) for row in alpha[kept].tolist()} == {(0, 2), (2, 0)}
        assert len(kept) == 2


def test_the_gain_over_others_is_a_bound_that_is_reached() -> None:
    gain, b, mixture = largest_gain(np.array([1.0, 1.0]), np.array([[0.0, 1.6], [1.6, 0.0]]))
    assert gain == pytest.approx(0.2)
    np.testing.assert_allclose(mixture, [0.8, 0.8])
    np.testing.assert_allclose(b, [0.5, 0.5])


def test_a_backup_is_the_best_of_all_plans_of_its_belief() -> None:
    pomdp = random_pomdp(5, Z=3)
    steps, alpha = steps_of(pomdp), np.random.default_rng(0).normal(size=(4, 3))
    b = beliefs_of(pomdp, 5)
    vectors, actions = point_backup(steps, alpha, b)
    P = np.asarray(pomdp.P)
    for k in range(len(b)):
        plans = {
            (a, choice): pomdp.R[:, a]
            + pomdp.gamma
            * sum(P[:, a] @ (pomdp.O[a, :, o] * alpha[i]) for o, i in enumerate(choice))
            for a in range(2)
            for choice in product(range(4), repeat=3)
        }
        best = max(plans, key=lambda plan: float(b[k] @ plans[plan]))
        assert b[k] @ vectors[k] == pytest.approx(b[k] @ plans[best])
        assert min(np.abs(vectors[k] - plan).max() for (a, _), plan in plans.items()
                   if a == actions[k]) < 1e-12  # fmt: skip


def test_snapshots_rise_and_fall() -> None:
    trials = list(belief_bounds.iterates(LOST[0.8], tol=0.1))
    lower, upper = [t.lower for t in trials], [t.upper for t in trials]
    assert len(trials) > 3
    assert np.diff(lower).min() >= -1e-9
    assert np.diff(upper).max() <= 1e-9
    rounds = list(pbvi.iterates(LOST[0.5], expansions=5, rng=0))
    assert np.diff([V.value for V in rounds]).min() >= -1e-9
    assert rounds[-1].value > 3.8
    assert [v.alpha_vectors.tolist() for v in pbvi.iterates(LOST[0.5], expansions=5, rng=0)] == [
        v.alpha_vectors.tolist() for v in rounds
    ]
    bounds = [V.bound for V in incremental_pruning.iterates(TIGER)]
    assert bounds[-1] <= 1e-3 < bounds[-2]


def test_actions_values_and_many_beliefs_at_once() -> None:
    exact, around = incremental_pruning(TIGER, tol=1e-4), belief_bounds(TIGER, tol=1e-3)
    b = np.array([[0.5, 0.5], [0.99, 0.01], [0.01, 0.99]])
    for answer in (exact, around):
        assert answer.action(b).tolist() == [0, 2, 1]
        assert [answer.action(x) for x in b] == [0, 2, 1]
        np.testing.assert_allclose(answer.V(b), [answer.V(x) for x in b])
        np.testing.assert_allclose(answer.Q(b).max(axis=1), exact.V(b), atol=2e-3)
        assert answer.Q(b[0]).shape == (3,)
    short = incremental_pruning(TIGER, horizon=1)
    assert short.action(b).tolist() == [0, 2, 1]
    assert short.action([0.5, 0.5]) == 0
    assert qmdp(TIGER).action(b).tolist() == [0, 2, 1]
    np.testing.assert_allclose(around.V_upper(b), [around.V_upper(x) for x in b])
    np.testing.assert_array_equal(qmdp(TIGER).alpha_vectors, qmdp(TIGER).Q.T)


def test_several_first_beliefs_are_closed_in_on_together() -> None:
    answer = belief_bounds(LOST[0.5].replace(start=None), tol=0.1, max_backups=3000)
    assert 4.33 < answer.upper <= answer.lower + 0.1 < 4.4605  # [4.33055, 4.36045] is certified


def test_the_first_observation_counts() -> None:
    anywhere = LOST[0.5].replace(start=None)
    answer = pbvi(anywhere, expansions=2, rng=0)
    probability, b = first_beliefs(anywhere)
    assert answer.value == pytest.approx(float(probability @ answer.V(b)))
    assert answer.value > answer.V(anywhere.start) + 0.01  # to know is worth something


def test_what_is_shown() -> None:
    exact, around = incremental_pruning(TIGER, tol=1e-2), belief_bounds(TIGER, tol=1e-2)
    assert repr(exact).startswith("AlphaVectors(9 vectors, 2 states, J = 19.37")
    assert "3 steps to go" in repr(incremental_pruning(TIGER, horizon=3))
    assert "a lower bound" in repr(pbvi(TIGER, rng=0))
    assert repr(around).startswith("BeliefBounds(19.3")
    assert "<= J* <= 19.3" in repr(around)
    assert repr(qmdp(TIGER)) == "UpperBound(2 states, 3 actions, J* <= 189)"
    for answer in (exact, around, qmdp(TIGER)):
        html = answer._repr_html_()
        assert "<table" in html
        assert "listen" in html
        again = pickle.loads(pickle.dumps(answer))
        assert again.V(HALF) == answer.V(HALF)
        with pytest.raises(ValueError, match="read-only"):
            again.alpha_vectors[0, 0] = 1.0


def test_a_budget_that_is_too_small_returns_the_bounds_so_far() -> None:
    with pytest.raises(NotConverged, match=r"upper - lower is still .* > tol = 1e-08") as caught:
        belief_bounds(LOST[0.5], tol=1e-8, max_backups=100)
    error: Any = caught.value
    assert isinstance(error.so_far, BeliefBounds)
    assert error.lower == error.so_far.lower < 3.8602
    assert error.upper == error.so_far.upper > 3.8590
    with pytest.raises(NotConverged, match=r"after 2 backups: use belief_bounds") as caught:
        incremental_pruning(TIGER, max_backups=2)
    error = caught.value
    assert error.lower <= V_TIGER <= error.upper <= 87.18
    with pytest.raises(NotConverged, match=r"above the fixed point after 3 sweeps") as caught:
        fast_informed_bound(TIGER, max_sweeps=3)
    error = caught.value
    assert error.upper == error.so_far.value > 87.18


def test_a_model_too_large_for_the_exact_method_says_so() -> None:
    message = r"vectors to prune .* most = 50, .* 16 states, 4 actions, 5 obs.*use belief_bounds"
    with pytest.raises(NotConverged, match=message) as caught:
        incremental_pruning(LOST[0.5], most=50)
    error: Any = caught.value
    assert isinstance(error.so_far, AlphaVectors)
    assert error.lower <= 3.859 <= 3.8602 <= error.upper
    with pytest.raises(NotConverged, match=message) as caught:
        incremental_pruning(LOST[0.5], most=50, horizon=12)
    exact = belief_bounds(LOST[0.5], tol=0.05)
    error = caught.value
    assert error.lower <= exact.upper  # in 12 steps one gets less than in all: fish come late
    assert error.upper >= error.lower > 0
    large = POMDP(random_mdp(1001, 1, rng=0), np.ones((1001, 1)))
    with pytest.raises(ValueError, match=r"at most 1000 states .* 1001 states, 1 actions, 1 obs"):
        incremental_pruning(large)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: incremental_pruning(TIGER, horizon=0), r"horizon must be at least 1; it is 0"),
        (lambda: incremental_pruning(TIGER, tol=-1), r"tol must be in \[0, inf\]; it is -1"),
        (lambda: incremental_pruning(TIGER, most=0), r"most must be at least 1; it is 0"),
        (lambda: incremental_pruning(TIGER, sweeps=-1), r"sweeps must be at least 0; it is -1"),
        (lambda: belief_bounds(TIGER, tol=np.inf), r"tol must be finite"),
        (lambda: belief_bounds(TIGER, max_backups=0), r"max_backups must be at least 1; it is 0"),
        (lambda: pbvi(TIGER, expansions=-1), r"expansions must be at least 0; it is -1"),
        (lambda: pbvi(TIGER, rng=-1), r"rng must be at least 0; it is -1"),
        (lambda: qmdp(TIGER.replace(gamma=1)), r"not finite at gamma = 1"),
        (lambda: pbvi(TIGER.replace(gamma=1)), r"not finite at gamma = 1"),
        (lambda: belief_bounds(TIGER.replace(gamma=1)), r"not finite at gamma = 1"),
        (lambda: incremental_pruning(TIGER.replace(gamma=1)), r"a finite horizon, is legal"),
        (lambda: qmdp(TIGER).V([0.5, 0.6]), r"b must be a distribution; it sums to 1.1"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_discount_a_horizon_is_legal() -> None:
    V = incremental_pruning(TIGER.replace(gamma=1), horizon=3, tol=1e-8)
    undiscounted = TIGER.replace(gamma=1)
    assert V.V(HALF) == pytest.approx(by_histories(undiscounted, np.array(HALF), 3), abs=1e-8)


@pytest.mark.parametrize(
    "solver", [qmdp, fast_informed_bound, pbvi, incremental_pruning, belief_bounds]
)
def test_what_is_no_pomdp_is_refused(solver: Any) -> None:
    with pytest.raises(TypeError, match=r"pomdp must be a POMDP; it is a MDP"):
        solver(TIGER.mdp)
    with pytest.raises(TypeError, match=r"GridWorld: use its .pomdp\(gamma=...\)"):
        solver(lost_penguin_world())
