"""KL exactly; k1, k2, k3 as numbers and as losses, by enumeration and differences."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from gridrl.rlhf.divergences import kl, must_share_world
from gridrl.rlhf.kl_estimators import (
    Estimator,
    Moments,
    as_reward,
    forward_kl_gradient,
    importance_weighted,
    k1,
    k2,
    k3,
    kl_gradient,
    loss_gradient,
    moments,
    token_loss_gradient,
)
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array

SEEDS = range(5)
CONTEXTS = ["prefix", 0, 1]


def _case(seed: int, context: str | int = "prefix") -> tuple[LanguageModel, LanguageModel]:
    """A policy and a reference on a random world."""
    rng = np.random.default_rng(seed)
    P, V, length = rng.integers(1, 4), rng.integers(3, 5), rng.integers(2, 5)
    world = TokenWorld([f"x{i}" for i in range(P)], "abcd"[: V - 1], int(length))
    blank = LanguageModel(world, context=context)
    policy, reference = (blank.with_logits(rng.normal(size=blank.logits.shape)) for _ in range(2))
    return policy, reference


def _differences(f: Callable[[LanguageModel], float], model: LanguageModel) -> Array:
    h, gradient = 1e-5, np.zeros(model.logits.shape)
    for at in np.ndindex(gradient.shape):
        bump = np.zeros(gradient.shape)
        bump[at] = h
        above, below = (model.with_logits(model.logits + sign * bump) for sign in (1, -1))
        gradient[at] = (f(above) - f(below)) / (2 * h)
    return gradient


def _cosine(first: Array, second: Array) -> float:
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


# --- the number -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_kl_by_enumeration(seed: int) -> None:
    policy, reference = _case(seed)
    p, q = policy.probs, reference.probs
    np.testing.assert_allclose(kl(policy, reference), (p * np.log(p / q)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(kl(p, q), kl(policy, reference), rtol=1e-12)
    assert kl(policy, policy).tolist() == [0.0] * len(p)
    assert kl(p[0], q[0]) == pytest.approx(kl(policy, reference)[0])


def test_kl_where_something_is_impossible() -> None:
    assert kl([0.5, 0.5, 0], [0.25, 0.25, 0.5]) == pytest.approx(np.log(2))
    assert kl([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert kl([1.0, 0.0], [1.0, 0.0]) == 0


def test_kl_far_beyond_the_smallest_float() -> None:
    world = TokenWorld(["?"], "a", 1)
    first, second = (LanguageModel(world, [[0.0, -z]]) for z in (800.0, 1000.0))
    assert kl(second, first)[0] == pytest.approx(0, abs=1e-300)
    assert kl(LanguageModel(world, [[0.0, 0.0]]), second)[0] == pytest.approx(500 - np.log(2))


@pytest.mark.parametrize("seed", SEEDS)
def test_k1_and_k3_are_unbiased_k2_is_not(seed: int) -> None:
    policy, reference = _case(seed)
    exact = kl(policy, reference)
    found = {k: moments(k, policy, reference) for k in (k1, k2, k3)}
    for k in (k1, k3):
        np.testing.assert_allclose(found[k].mean, exact, rtol=1e-10)
        np.testing.assert_allclose(found[k].bias, 0, atol=1e-12)
    p, log_r = policy.probs, reference.log_probs - policy.log_probs
    np.testing.assert_allclose(found[k2].bias, (p * log_r**2 / 2).sum(axis=1) - exact, rtol=1e-9)
    assert (np.abs(found[k2].bias) > 1e-4).all()
    assert (found[k1].least < 0).all()
    assert (found[k2].least >= 0).all()
    assert (found[k3].least >= 0).all()
    np.testing.assert_allclose(found[k1].variance, (p * log_r**2).sum(axis=1) - exact**2, rtol=1e-9)


def test_k3_varies_less_near_the_reference_and_more_far_from_it() -> None:
    policy, reference = _case(1)
    ratios = []
    for step in (0.05, 3.0):
        logits = reference.logits + step * (policy.logits - reference.logits)
        model = reference.with_logits(logits)
        ratios.append(
            moments(k3, model, reference).variance / moments(k1, model, reference).variance
        )
    assert (ratios[0] < 0.1).all()
    assert (ratios[1] > 2).any()


def test_estimators_on_draws() -> None:
    policy, reference = _case(2)
    n, x = 20_000, 0
    p = policy.probs[x]
    y = np.random.default_rng(0).choice(len(p), size=n, p=p)
    for k in (k1, k2, k3):
        drawn = k(policy.log_probs[x, y], reference.log_probs[x, y])
        exact = moments(k, policy, reference)
        # 5 standard errors, three times: a false alarm in some 600,000 seeds
        assert abs(drawn.mean() - exact.mean[x]) < 5 * np.sqrt(exact.variance[x] / n)


# --- the gradients --------------------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_each_is_as_a_loss(seed: int, context: str | int) -> None:
    policy, reference = _case(seed, context)
    right, forward = kl_gradient(policy, reference), forward_kl_gradient(policy, reference)
    np.testing.assert_allclose(loss_gradient(k1, policy, reference), 0, atol=1e-13)
    np.testing.assert_allclose(loss_gradient(k2, policy, reference), right, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(loss_gradient(k3, policy, reference), forward, rtol=1e-8, atol=1e-13)
    for mended in (importance_weighted(k1), importance_weighted(k3), as_reward(k1)):
        np.testing.assert_allclose(
            loss_gradient(mended, policy, reference), right, rtol=1e-8, atol=1e-13
        )
    assert _cosine(forward, right) < 0.9999


@pytest.mark.parametrize("context", CONTEXTS)
def test_gradients_against_differences(context: str | int) -> None:
    policy, reference = _case(4, context)
    right = _differences(lambda model: kl(model, reference).mean(), policy)
    np.testing.assert_allclose(kl_gradient(policy, reference), right, atol=1e-8)
    forward = _differences(lambda model: kl(reference, model).mean(), policy)
    np.testing.assert_allclose(forward_kl_gradient(policy, reference), forward, atol=1e-8)


@pytest.mark.parametrize("k", [k1, k2, k3])
def test_loss_gradient_against_differences_of_the_loss(k: Estimator) -> None:
    policy, reference = _case(3)
    p = policy.probs  # the draws are given: the weights stay

    def loss(model: LanguageModel) -> float:
        return float((p * k(model.log_probs, reference.log_probs)).sum(axis=1).mean())

    found = loss_gradient(k, policy, reference)
    np.testing.assert_allclose(found, _differences(loss, policy), atol=1e-8)


def test_a_students_own_estimator() -> None:
    policy, reference = _case(0)

    def upside_down(lp: Any, lq: Any) -> Any:
        return np.exp(lp - lq) - 1 - (lp - lq)

    p, q = policy.probs, reference.probs
    expected = (p * (p / q - 1 - np.log(p / q))).sum(axis=1)
    found = moments(upside_down, policy, reference)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-10)
    assert (np.abs(found.bias) > 1e-3).all()


@pytest.mark.parametrize("context", CONTEXTS)
def test_token_by_token(context: str | int) -> None:
    policy, reference = _case(2, context)
    tables, p = policy.tables, policy.probs  # the draws are given
    fixed = log_softmax(reference.logits, axis=-1)[tables.contexts]

    def loss(model: LanguageModel) -> float:
        now = log_softmax(model.logits, axis=-1)[tables.contexts]
        return float((p * tables.along(k2(now, fixed))).sum(axis=1).mean())

    found = token_loss_gradient(k2, policy, reference)
    np.testing.assert_allclose(found, _differences(loss, policy), atol=1e-8)
    right = kl_gradient(policy, reference)
    assert _cosine(found, right) > 0.5
    assert np.abs(found - right).max() > 1e-3  # it does not answer for the prefixes it leads to
    np.testing.assert_allclose(token_loss_gradient(k1, policy, reference), 0, atol=1e-13)


# --- bad input ------------------------------------------------------------------------------


def test_a_reference_that_cannot_say_it() -> None:
    world = TokenWorld(["?"], "ab", 2)
    model = LanguageModel(world)
    narrow = model.with_logits(np.tile([0.0, -np.inf, 0.0], (3, 1)))
    message = r"reference must not give probability 0 .* to 'b\$' of prompt '\?'"
    calls: list[Callable[[LanguageModel, LanguageModel], object]] = [
        kl_gradient,
        lambda p, q: loss_gradient(k2, p, q),
        lambda p, q: token_loss_gradient(k2, p, q),
        lambda p, q: moments(k3, p, q),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(model, narrow)
    assert np.isfinite(kl_gradient(narrow, model)).all()
    np.testing.assert_allclose(moments(k1, narrow, model).bias, 0, atol=1e-14)
    never = model.probs[narrow.probs == 0].sum()  # of r, draws never see this part
    np.testing.assert_allclose(moments(k3, narrow, model).bias, -never)
    np.testing.assert_allclose(
        loss_gradient(k2, narrow, model), kl_gradient(narrow, model), atol=1e-14
    )
    assert np.isfinite(token_loss_gradient(k2, narrow, model)).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"p must be a distribution; it sums to 0\.9"):
        kl([0.5, 0.4], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"q\[1\] must not be negative; it is -0.5"):
        kl([0.5, 0.5], [1.5, -0.5])
    with pytest.raises(ValueError, match="q must have 2 answers as p has; it has 3"):
        kl([0.5, 0.5], [0.5, 0.5, 0.0])
    with pytest.raises(ValueError, match="model must be of the same world"):
        must_share_world(TokenWorld(["?"], "a", 1), TokenWorld(["?"], "a", 2))


def test_moments_stay_locked() -> None:
    policy, reference = _case(0)
    found: Moments = pickle.loads(pickle.dumps(moments(k1, policy, reference)))
    with pytest.raises(ValueError, match="read-only"):
        found.mean[0] = 0
