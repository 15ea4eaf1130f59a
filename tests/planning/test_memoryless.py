"""Acting on what is seen now: golden numbers, enumeration, gradients, and where a die helps."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl import MDP, POMDP, expected_return, lost_penguin_world, policy_iteration
from gridrl.planning.bounds import belief_bounds
from gridrl.planning.memoryless import (
    best_memoryless_policy,
    memoryless_gradient,
    memoryless_value,
)
from gridrl.tables import Array
from gridrl.worlds import random_mdp, short_corridor, tiger
from tests.planning.oracles import sparse
from tests.strategies import seeds, sparse_rows

LOST = {slip: lost_penguin_world(slip).pomdp(gamma=0.9) for slip in (0.5, 0.8)}


def random_pomdp(seed: int) -> POMDP:
    rng = np.random.default_rng(seed)
    mdp = MDP(sparse_rows(rng, 4, 2, 4), rng.normal(size=(4, 2)), 0.8, start=sparse_rows(rng, 4))
    return POMDP(mdp, sparse_rows(rng, 4, 3))


def by_hand(pomdp: POMDP, policy: Array) -> float:
    """J by a linear solve of its own, sum by sum."""
    pi = np.array([sum(pomdp.O[s, o] * policy[o] for o in range(3)) for s in range(4)])
    P = np.einsum("sa,sat->st", pi, np.asarray(pomdp.P))
    V = np.linalg.inv(np.eye(4) - pomdp.gamma * P) @ (pi * pomdp.R).sum(axis=1)
    return float(pomdp.start @ V)


@pytest.mark.parametrize(("slip", "sure", "dice"), [(0.5, 3.25418, 3.26489), (0.8, 5.631, 6.035)])
def test_the_lost_penguin_throws_a_die(slip: float, sure: float, dice: float) -> None:
    """The lecture's claim: deterministic < stochastic < acting on beliefs < seeing."""
    pomdp, digits = LOST[slip], 5e-6 if slip == 0.5 else 5e-4
    best = best_memoryless_policy(pomdp, stochastic=False)
    random = best_memoryless_policy(pomdp, stochastic=True, rng=0)
    assert best.value == pytest.approx(sure, abs=digits)
    assert random.value == pytest.approx(dice, abs=digits)
    assert best.tried == 4**5
    assert set(best.policy.ravel()) == {0, 1}
    around = belief_bounds(pomdp, tol=0.05)
    seeing = expected_return(pomdp.mdp, policy_iteration(pomdp.mdp).policy)
    assert best.value < random.value < around.lower < around.upper < seeing


def test_from_anywhere_a_die_does_not_help() -> None:
    pomdp = LOST[0.5].replace(start=None)
    best = best_memoryless_policy(pomdp, stochastic=False)
    random = best_memoryless_policy(pomdp, stochastic=True, restarts=10, rng=0)
    assert random.value == pytest.approx(best.value, abs=1e-9)


def test_the_short_corridor() -> None:
    """Sutton & Barto, example 13.1: right with probability 2 - sqrt 2, worth -6 - 4 sqrt 2."""
    pomdp = short_corridor().pomdp(gamma=1)
    answer = best_memoryless_policy(pomdp, stochastic=True, restarts=3, rng=0)
    assert answer.value == pytest.approx(-6 - 4 * np.sqrt(2), abs=1e-6)
    np.testing.assert_allclose(answer.policy, [[np.sqrt(2) - 1, 2 - np.sqrt(2)]], atol=1e-4)
    assert best_memoryless_policy(pomdp, stochastic=False).value == -np.inf


@given(seeds)
@settings(max_examples=25)
def test_enumeration_finds_the_best(seed: int) -> None:
    pomdp = random_pomdp(seed)
    every = [by_hand(pomdp, np.eye(2)[list(acts)]) for acts in product(range(2), repeat=3)]
    best = best_memoryless_policy(pomdp, stochastic=False)
    assert best.value == pytest.approx(max(every), abs=1e-9)
    assert by_hand(pomdp, best.policy) == pytest.approx(best.value, abs=1e-9)


@given(seeds)
@settings(max_examples=10)
def test_searches_are_never_worse_and_climb_to_the_top(seed: int) -> None:
    pomdp = random_pomdp(seed)
    best = best_memoryless_policy(pomdp, stochastic=False)
    random = best_memoryless_policy(pomdp, stochastic=True, restarts=3, rng=0)
    assert random.value >= best.value - 1e-12
    assert by_hand(pomdp, random.policy) == pytest.approx(random.value, abs=1e-9)
    np.testing.assert_allclose(random.policy.sum(axis=1), 1)
    slopes = memoryless_gradient(pomdp, random.policy)  # nowhere is there a better action
    assert (slopes.max(axis=1) - (random.policy * slopes).sum(axis=1)).max() <= 1e-3


@given(seeds)
@settings(max_examples=20)
def test_the_gradient_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pomdp = random_pomdp(seed)
    policy, other = rng.dirichlet(np.ones(2), size=(2, 3))
    step = 1e-6 * (other - policy)  # rows stay distributions
    rise = memoryless_value(pomdp, policy + step) - memoryless_value(pomdp, policy - step)
    slope = float((memoryless_gradient(pomdp, policy) * step).sum())
    assert rise / 2 == pytest.approx(slope, abs=1e-9 * max(1.0, abs(slope)) + 1e-6 * abs(slope))


def test_who_sees_the_state_needs_no_memory() -> None:
    mdp = random_mdp(4, 3, rng=0)
    best = best_memoryless_policy(POMDP(mdp, np.eye(4)), stochastic=False)
    answer = policy_iteration(mdp)
    assert best.value == pytest.approx(mdp.start @ answer.V)
    np.testing.assert_array_equal(best.policy, answer.policy)


def test_sparse_models_and_observations_that_are_never_made() -> None:
    small = LOST[0.5].replace(mdp=sparse(LOST[0.5].mdp))
    assert best_memoryless_policy(small, stochastic=False).value == pytest.approx(3.25418, abs=5e-6)
    more = POMDP(LOST[0.5].mdp, np.column_stack([LOST[0.5].O, np.zeros((16, 20))]))
    best = best_memoryless_policy(more, stochastic=False)  # not 4^25
    assert best.value == pytest.approx(3.25418, abs=5e-6)
    assert best.policy.shape == (25, 4)


def test_snapshots_hold_the_best_so_far() -> None:
    found = list(best_memoryless_policy.iterates(LOST[0.8], stochastic=True, restarts=5, rng=1))
    assert [snapshot.tried for snapshot in found] == list(range(1, 8))
    assert np.diff([snapshot.value for snapshot in found]).min() >= 0
    assert found[0].value >= 5.6314
    again = best_memoryless_policy(LOST[0.8], stochastic=True, restarts=5, rng=1)
    np.testing.assert_array_equal(again.policy, found[-1].policy)
    assert repr(again).endswith("a lower bound on the best stochastic one, from 7 searches)")
    best = best_memoryless_policy(LOST[0.8], stochastic=False)
    assert repr(best) == "MemorylessPolicy(J = 5.63146, the best of 1024 deterministic ones)"
    assert "<table" in best._repr_html_()
    with pytest.raises(ValueError, match="read-only"):
        pickle.loads(pickle.dumps(best)).policy[0, 0] = 2.0


def test_searches_do_without_what_is_too_much_to_go_through() -> None:
    answer = best_memoryless_policy(LOST[0.5], stochastic=True, most=10, restarts=15, rng=0)
    assert answer.tried == 16
    assert answer.value == pytest.approx(3.26489, abs=5e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_memoryless_policy(tiger(), stochastic=False), r"before every action.*try pb"),
        (lambda: best_memoryless_policy(LOST[0.5], stochastic=False, most=1000),
         r"at most most = 1000 .* it has 4\^5 = 1.02e\+03: stochastic=True searches instead"),
        (lambda: best_memoryless_policy(LOST[0.5], stochastic=True, restarts=-1), r"restarts must"),
        (lambda: best_memoryless_policy(LOST[0.5].replace(gamma=1), stochastic=False),
         r"values are not finite at gamma = 1: a policy may keep away from states"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_no_pomdp_is_refused() -> None:
    mdp: Any = LOST[0.5].mdp
    with pytest.raises(TypeError, match=r"pomdp must be a POMDP; it is a MDP"):
        best_memoryless_policy(mdp, stochastic=False)
