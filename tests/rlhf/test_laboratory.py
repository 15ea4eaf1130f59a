"""The expectation laboratory, and what it says about the estimators of the chapter."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

from gridrl.rlhf.divergences import kl
from gridrl.rlhf.group_terms import Baseline, group_mean, leave_one_out, no_baseline
from gridrl.rlhf.kl_estimators import (
    as_reward,
    importance_weighted,
    k1,
    k2,
    k3,
    kl_gradient,
    loss_gradient,
)
from gridrl.rlhf.laboratory import Expectation, expectation_of
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.policy_optimisation import gradient_terms, sampled_gradient
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array
from tests.rlhf.test_policy_optimisation import CONTEXTS, SEEDS, scene

# --- the laboratory itself ------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [False, True])
def test_mean_and_variance_are_those_of_a_sum_over_groups(symmetric: bool) -> None:
    policy, _, R = scene(0, prompts="?!", length=2)
    found = expectation_of(
        lambda x, y: [R[x, y].max(), R[x, y].sum()],
        policy.world, policy, n=3, symmetric=symmetric,
    )  # fmt: skip
    for x in range(2):
        groups = np.array(list(product(range(7), repeat=3)))
        weight = policy.probs[x][groups].prod(axis=1)
        values = np.stack([R[x][groups].max(axis=1), R[x][groups].sum(axis=1)], axis=1)
        assert found.by_prompt[x] == pytest.approx(weight @ values, abs=1e-12)
    once = policy.probs @ R.T  # (P, P): prompts on the diagonal
    assert found.mean[1] == pytest.approx(3 * np.diag(once).mean(), abs=1e-12)
    spread = (policy.probs * R**2).sum(axis=1) - np.diag(once) ** 2
    assert found.variance[1] == pytest.approx(3 * spread.sum() / 4, abs=1e-12)


def test_it_agrees_with_samples() -> None:
    policy, _, R = scene(1, length=2)
    found = expectation_of(lambda x, y: R[x, y].std(), policy.world, policy, n=3)
    rng = np.random.default_rng(0)
    y = rng.choice(policy.world.n_completions, p=policy.probs[0], size=(20_000, 3))
    error = R[0][y].std(axis=1).mean() - found.mean
    assert abs(error) < 4 * np.sqrt(found.variance / 20_000)  # false alarm: 6e-5


def test_answers_that_are_never_given_are_left_out() -> None:
    world = TokenWorld(["?"], "a", 1)
    unless_asked_of_the_first = [np.nan, 5.0]
    found = expectation_of(lambda x, y: unless_asked_of_the_first[y[0]], world, [[0.0, 1.0]], n=1)
    assert float(found.mean) == 5.0
    assert float(found.variance) == 0.0


def test_a_table_serves_as_a_policy_and_shapes_are_checked() -> None:
    world = TokenWorld(["?"], "a", 1)
    with pytest.raises(ValueError, match=r"model must have shape \(1, 2\); it has \(1, 3\)"):
        expectation_of(lambda x, y: 0.0, world, [[0.0, 0.5, 0.5]], n=1)
    with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
        expectation_of(lambda x, y: 0.0, world, [[0.5, 0.5]], n=0)
    with pytest.raises(ValueError, match=r"estimator must give one shape; it gives \(1,\), and"):
        expectation_of(lambda x, y: np.zeros(y[0] + 1), world, [[0.5, 0.5]], n=1)
    with pytest.raises(ValueError, match=r"estimator must be finite; it is not for x = 0, y = \[1"):
        expectation_of(lambda x, y: np.inf if y[0] else 0, world, [[0.5, 0.5]], n=1)
    with pytest.raises(ValueError, match=r"truth must have shape \(\); it has \(2,\)"):
        expectation_of(lambda x, y: 0.0, world, [[0.5, 0.5]], n=1, truth=[0.0, 1.0])
    with pytest.raises(ValueError, match="truth must be given to `expectation_of` for a bias"):
        _ = expectation_of(lambda x, y: 0.0, world, [[0.5, 0.5]], n=1).bias


def test_too_many_groups_are_counted_not_tried() -> None:
    model = LanguageModel(TokenWorld(["?", "!"], "ab", 3))
    with pytest.raises(ValueError, match=r"at most 1,000,000 groups to try; 6 leaves 22,781,250"):
        expectation_of(lambda x, y: 0.0, model.world, model, n=6)
    with pytest.raises(ValueError, match=r"leaves 1,634,380 \(take fewer answers, or samples=\)"):
        expectation_of(lambda x, y: 0.0, model.world, model, n=9, symmetric=True)


# --- the policy gradient and its baselines --------------------------------------------------


def lab(
    policy: LanguageModel,
    reference: LanguageModel,
    R: Array,
    G: int,
    baseline: Baseline,
    beta: float = 0.5,
) -> Expectation:
    """The estimate with a baseline, beside the true gradient."""
    step = sampled_gradient(policy, R, reference=reference, beta=beta, baseline=baseline)
    true = gradient_terms(policy, R, reference=reference, beta=beta).total
    return expectation_of(step, policy.world, policy, n=G, truth=true, symmetric=True)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("G", [2, 3])
def test_the_mean_baseline_shrinks_the_gradient(G: int, context: str | int) -> None:
    for seed in SEEDS:
        found = lab(*scene(seed, prompts="?!", length=2, context=context), G, group_mean)
        assert found.mean == pytest.approx((1 - 1 / G) * (found.mean - found.bias), abs=1e-14)
        assert np.abs(found.bias).max() > 1e-3


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("baseline", [leave_one_out, no_baseline])
def test_leave_one_out_and_no_baseline_are_unbiased(baseline: Baseline, context: str | int) -> None:
    for seed in SEEDS:
        found = lab(*scene(seed, prompts="?!", length=2, context=context), 3, baseline)
        assert np.abs(found.bias).max() < 1e-14


def test_the_toy_of_fifteen_answers_groups_of_three() -> None:
    found = lab(*scene(0), 3, leave_one_out)
    assert np.abs(found.bias).max() < 1e-14


def test_a_baseline_takes_variance_away_and_the_best_one_most() -> None:
    for seed in SEEDS:
        policy, _, R = scene(seed)
        R = R + 1.0
        scores = np.stack([policy.tables.gradient(policy.logits, row[None]) for row in np.eye(15)])
        square, p = (scores**2).sum(axis=(1, 2)), policy.probs[0]
        best = (p * square) @ R[0] / (p @ square)

        def variance(b: float, policy: LanguageModel = policy, R: Array = R) -> float:
            step = sampled_gradient(policy, R - b, beta=0.0, baseline=no_baseline)
            return expectation_of(step, policy.world, policy, n=1).total_variance

        least = variance(best)
        assert least < variance(p @ R[0]) < variance(0.0)
        assert least < min(variance(best - 0.1), variance(best + 0.1))


def _at(values: Array, x: int, y: Any) -> float:
    """One answer's entry of a table."""
    return float(values[x, y[0]])


# --- estimators of KL -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_k1_and_k3_are_unbiased_and_k2_is_not(seed: int) -> None:
    policy, reference, _ = scene(seed)
    lp, lq, world = policy.log_probs, reference.log_probs, policy.world
    true = kl(policy, reference).mean()
    for k, biased in ((k1, False), (k2, True), (k3, False)):
        values = k(lp, lq)
        found = expectation_of(partial(_at, values), world, policy, n=1, truth=true)
        assert (abs(found.bias) > 1e-3) == biased
        assert biased or abs(found.bias) < 1e-14


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_the_gradients_of_k1_k2_k3_as_losses(seed: int, context: str | int) -> None:
    policy, reference, _ = scene(seed, context=context)
    lp, lq, world = policy.log_probs, reference.log_probs, policy.world
    N = world.n_completions
    scores = np.stack([policy.tables.gradient(policy.logits, row[None]) for row in np.eye(N)])
    true = kl_gradient(policy, reference)
    forward = -np.tensordot(reference.probs[0], scores, 1)  # grad KL(reference || policy)

    def of(slope: Any) -> Expectation:
        def estimate(x: int, y: Any) -> Any:
            z = lp[x, y[0]] + 1e-30j
            return np.imag(slope(z, lq[x, y[0]])) / 1e-30 * scores[y[0]]

        return expectation_of(estimate, world, policy, n=1, truth=true)

    assert np.abs(of(k1).mean).max() < 1e-14
    assert np.abs(of(k2).bias).max() < 1e-14
    assert of(k3).mean == pytest.approx(forward, abs=1e-14)
    assert of(k3).cosine < 0.999
    for mended in (importance_weighted(k1), importance_weighted(k3), as_reward(k1)):
        assert np.abs(of(mended).bias).max() < 1e-13
    assert of(k3).mean == pytest.approx(loss_gradient(k3, policy, reference), abs=1e-14)


def test_k3_is_noisier_than_k1_far_from_the_reference_and_quieter_near_it() -> None:
    policy, reference, _ = scene(0)

    def variance(k: Any, model: LanguageModel, other: LanguageModel) -> float:
        lp, lq = model.log_probs, other.log_probs
        return float(
            expectation_of(
                lambda x, y: k(lp[x, y[0]], lq[x, y[0]]), model.world, model, n=1
            ).variance
        )

    near = policy.with_logits(policy.logits + 0.05 * reference.logits)
    assert variance(k3, near, policy) < 0.1 * variance(k1, near, policy)
    far = policy.with_logits(2 * policy.logits)
    away = policy.with_logits(-2 * policy.logits)
    assert variance(k3, far, away) > variance(k1, far, away)


# --- the upside-down ratio ------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ratio_weighs_what_another_policy_wrote_and_upside_down_it_does_not(seed: int) -> None:
    policy, old, R = scene(seed)
    lp, lo, world = policy.log_probs, old.log_probs, policy.world
    true = (policy.probs * R).sum()
    right = expectation_of(lambda x, y: (np.exp(lp - lo) * R)[x, y[0]], world, old, n=1, truth=true)
    wrong = expectation_of(lambda x, y: (np.exp(lo - lp) * R)[x, y[0]], world, old, n=1, truth=true)
    assert abs(right.bias) < 1e-14
    assert abs(wrong.bias) > 1e-2


@pytest.mark.parametrize("seed", SEEDS)
def test_upside_down_the_ratio_descends(seed: int) -> None:
    policy, _, R = scene(seed)
    true = gradient_terms(policy, R, beta=0.0).total
    lp = policy.log_probs
    scores = np.stack([policy.tables.gradient(policy.logits, row[None]) for row in np.eye(15)])

    def estimate(x: int, y: Any) -> Any:
        z = lp[x, y[0]] + 1e-30j  # d/d log p of pi_old / pi, at pi = pi_old
        return np.imag(np.exp(lp[x, y[0]] - z)) / 1e-30 * R[x, y[0]] * scores[y[0]]

    found = expectation_of(estimate, policy.world, policy, n=1, truth=true)
    assert found.mean == pytest.approx(-true, abs=1e-14)
    assert found.cosine == pytest.approx(-1, abs=1e-12)
    assert repr(found).startswith("Expectation(shape (7, 3), variance ")
