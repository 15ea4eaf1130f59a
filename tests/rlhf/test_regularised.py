"""The regularised objective: closed form, gap, soft values, derivation, implied reward."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import logsumexp

from gridrl.planning import policy_iteration
from gridrl.rlhf.divergences import kl
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.proof import derivation
from gridrl.rlhf.regularised import (
    implied_reward,
    objective,
    optimality_gap,
    regularised_optimum,
    soft_values,
    token_model,
    unregularised_optimum,
)
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs
from gridrl.tables import Array

SEEDS = range(6)


def _case(seed: int) -> tuple[LanguageModel, LanguageModel, Array, float]:
    """A random world: reference, another policy, reward, beta."""
    rng = np.random.default_rng(seed)
    P, V, length = rng.integers(1, 4), rng.integers(2, 5), rng.integers(1, 5)
    world = TokenWorld([f"x{i}" for i in range(P)], "abcd"[: V - 1], int(length))
    models = []
    for context in ("prefix", 1) if seed % 2 else (0, "prefix"):
        blank = LanguageModel(world, context=context)
        models.append(blank.with_logits(2 * rng.normal(size=blank.logits.shape)))
    R = rng.normal(size=(P, world.n_completions))
    return models[0], models[1], R, float(rng.uniform(0.05, 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_closed_form_and_its_value(seed: int) -> None:
    reference, _, R, beta = _case(seed)
    optimum = regularised_optimum(reference, R, beta)
    tilted = reference.probs * np.exp(R / beta)
    np.testing.assert_allclose(
        optimum.probs, tilted / tilted.sum(axis=1, keepdims=True), rtol=1e-12
    )
    np.testing.assert_allclose(optimum.log_z, np.log(tilted.sum(axis=1)), rtol=1e-12)
    assert optimum.value == pytest.approx(beta * np.log(tilted.sum(axis=1)).mean(), rel=1e-12)
    assert objective(optimum.probs, reference, R, beta) == pytest.approx(optimum.value, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_gap_is_the_kl_to_the_optimum(seed: int) -> None:
    reference, policy, R, beta = _case(seed)
    optimum = regularised_optimum(reference, R, beta)
    gap = optimality_gap(policy, reference, R, beta)
    assert gap == pytest.approx(beta * kl(policy, optimum.model).mean(), rel=1e-10)
    assert optimum.value - objective(policy, reference, R, beta) == pytest.approx(gap, abs=1e-12)
    assert gap > 0
    assert optimality_gap(optimum.model, reference, R, beta) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_value_iteration_is_the_closed_form(seed: int) -> None:
    reference, _, R, beta = _case(seed)
    optimum, soft = regularised_optimum(reference, R, beta), soft_values(reference, R, beta)
    np.testing.assert_allclose(soft.V[:, 0], beta * optimum.log_z, rtol=1e-11)
    np.testing.assert_allclose(optimum.model.log_probs, optimum.log_probs, atol=1e-10)
    backup = beta * logsumexp(  # the equation itself, where a prefix goes on
        np.log(np.exp(soft.log_policy - (soft.Q - soft.V[:, :, None]) / beta)) + soft.Q / beta,
        axis=-1,
    )
    np.testing.assert_allclose(backup, soft.V, atol=1e-10)


def test_soft_values_become_hard_values() -> None:
    reference, _, R, _ = _case(3)
    world = reference.world
    soft = soft_values(LanguageModel(world), R, 1e-4)
    hard = policy_iteration(world.mdp(R)).V[:-1].reshape(soft.V.shape)
    # V - beta log(1 / least p_ref) <= soft V <= V
    slack = 1e-4 * world.length * np.log(len(world.vocabulary))
    assert (soft.V <= hard + 1e-12).all()
    assert (soft.V >= hard - slack).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_line_of_the_derivation_is_the_same_number(seed: int) -> None:
    reference, policy, R, beta = _case(seed)
    lines = derivation(policy, reference, R, beta)
    assert len(lines) == 5
    for line in lines[1:]:
        np.testing.assert_allclose(line.value, lines[0].value, atol=1e-10)
    assert lines[0].value.mean() == pytest.approx(objective(policy, reference, R, beta))
    assert repr(lines[-1]).startswith("beta log Z - beta KL(p || p*) = [")


@pytest.mark.parametrize("seed", SEEDS)
def test_implied_reward_is_the_reward_and_z_cancels(seed: int) -> None:
    reference, policy, R, beta = _case(seed)
    optimum = regularised_optimum(reference, R, beta)
    r = implied_reward(optimum.model, reference, beta)
    np.testing.assert_allclose(r + beta * optimum.log_z[:, None], R, atol=1e-9)
    np.testing.assert_allclose(np.diff(r, axis=1), np.diff(R, axis=1), atol=1e-9)
    again = regularised_optimum(reference, implied_reward(policy, reference, beta), beta)
    np.testing.assert_allclose(again.probs, policy.probs, atol=1e-12)
    np.testing.assert_allclose(again.log_z, 0, atol=1e-12)


def test_no_policy_does_better() -> None:
    reference, _, R, beta = _case(2)
    optimum = regularised_optimum(reference, R, beta)
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 3.0):
        others = optimum.probs * np.exp(size * rng.normal(size=(50, *optimum.probs.shape)))
        others /= others.sum(axis=-1, keepdims=True)
        values = objective(others, reference, R, beta)
        assert values.shape == (50,)
        assert (values < optimum.value).all()
        gaps = optimality_gap(others, reference, R, beta)
        np.testing.assert_allclose(optimum.value - values, gaps, atol=1e-12)
        assert values[7] == pytest.approx(objective(others[7], reference, R, beta), rel=1e-14)


def test_large_and_small_beta() -> None:
    reference, _, R, _ = _case(1)
    np.testing.assert_allclose(
        regularised_optimum(reference, R, 1e9).probs, reference.probs, atol=1e-8
    )
    sharp = regularised_optimum(reference, R, 1e-5)
    np.testing.assert_allclose(sharp.probs, unregularised_optimum(reference.world, R), atol=1e-12)
    assert np.isfinite(sharp.value)


def test_without_the_reference_anything_may_win() -> None:
    world = TokenWorld(["?"], "ab", 2)
    R = np.zeros((1, 7))
    R[0, [world.completion("bb"), world.completion("ba")]] = 1.0
    top = unregularised_optimum(world, R)
    assert top[0, world.completion("bb")] == top[0, world.completion("ba")] == 0.5
    never_b = LanguageModel(world).with_logits(np.tile([0.0, -np.inf, 0.0], (3, 1)))
    assert objective(top, never_b, R, 0.0) == 1.0
    assert objective(top, never_b, R, 0.1) == -np.inf
    assert optimality_gap(top, never_b, R, 0.1) == np.inf
    inside = regularised_optimum(never_b, R, 0.1)
    assert inside.probs[0, world.completion("bb")] == 0
    np.testing.assert_allclose(inside.probs, never_b.probs, atol=1e-15)
    np.testing.assert_allclose(inside.model.probs, inside.probs, atol=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_of_any_distribution(seed: int) -> None:
    reference, _, _, _ = _case(seed)
    p = np.random.default_rng(seed).random(reference.probs.shape)
    p[:, -1] = 0
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(token_model(reference.world, p).probs, p, atol=1e-14)


def test_results_pickle_and_stay_locked() -> None:
    reference, _, R, beta = _case(0)
    optimum = pickle.loads(pickle.dumps(regularised_optimum(reference, R, beta)))
    assert repr(optimum).startswith("Optimum(value ")
    with pytest.raises(ValueError, match="read-only"):
        optimum.probs[0] = 0


def test_bad_input() -> None:
    world = TokenWorld(["?"], "ab", 2)
    reference, R = LanguageModel(world), np.zeros((1, 7))
    calls: list[Callable[[], object]] = [
        lambda: regularised_optimum(reference, R, 0.0),
        lambda: soft_values(reference, R, 0.0),
        lambda: optimality_gap(reference, reference, R, 0.0),
        lambda: derivation(reference, reference, R, 0.0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="beta must be above 0; it is 0"):
            call()
    with pytest.raises(ValueError, match=r"beta must be in \[0, inf\]; it is -1"):
        objective(reference, reference, R, -1.0)
    with pytest.raises(ValueError, match=r"beta must be in \[0, inf\]; it is -1"):
        implied_reward(reference, reference, -1.0)
    with pytest.raises(ValueError, match=r"reward must have shape \(1, 7\); it has \(1, 6\)"):
        objective(reference, reference, R[:, :6], 1.0)
    with pytest.raises(ValueError, match=r"model\[0\] must be a distribution; it sums to 0"):
        objective(R, reference, R, 1.0)
    with pytest.raises(ValueError, match=r"model must have shape \(..., 1, 7\) .* has \(1, 2\)"):
        objective([[0.5, 0.5]], reference, R, 1.0)
    other = LanguageModel(TokenWorld(["!"], "ab", 2))
    with pytest.raises(ValueError, match="model must be of the same world"):
        optimality_gap(other, reference, R, 1.0)
    with pytest.raises(ValueError, match=r"probs\[0\] must be a distribution"):
        token_model(world, R)
    narrow = reference.with_logits(np.tile([0.0, -np.inf, 0.0], (3, 1)))
    with pytest.raises(ValueError, match=r"probability 0 to an answer .* to 'b\$' of prompt '\?'"):
        implied_reward(reference, narrow, 1.0)
    r = implied_reward(narrow, reference, 1.0)
    assert r[0, world.completion("b$")] == -np.inf
    assert np.isnan(implied_reward(narrow, narrow, 1.0)[0, world.completion("b$")])


def test_rewards_are_functions_too() -> None:
    world = TokenWorld(["?"], "ab", 2)
    optimum = regularised_optimum(LanguageModel(world), lambda x, y: float(y.count("a")), 1.0)
    votes = Pairs.from_texts(world, [("?", "aa", "bb")])
    better, worse = optimum.log_probs[0, [votes.chosen[0], votes.rejected[0]]]
    assert better - worse == pytest.approx(2)
