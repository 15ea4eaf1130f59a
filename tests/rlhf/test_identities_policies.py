"""Identities of the objective, PPO, groups and KL estimators, on random worlds.

Each side is computed by other code: the library's on the left, a sum over all answers, tokens,
groups or orders, or a difference of one, on the right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridrl import expected_return
from gridrl.processes import MDP
from gridrl.rlhf import (
    GRPOTerms,
    LanguageModel,
    PPOPlan,
    TokenWorld,
    adaptive_kl,
    as_reward,
    dead_groups,
    expectation_of,
    forward_kl_gradient,
    gradient_terms,
    group_gradient,
    group_mean,
    group_std,
    importance_weighted,
    k1,
    k2,
    k3,
    kl_gradient,
    leave_one_out,
    loss_gradient,
    moments,
    no_baseline,
    per_answer,
    ppo,
    sample_std,
    sampled_gradient,
    success_weight,
    to_old,
    token_loss_gradient,
)
from gridrl.rlhf.group_terms import group_advantages
from gridrl.rlhf.proximal import ppo_gradient
from gridrl.tables import Array
from tests.rlhf.identities import (
    CONTEXTS,
    SEEDS,
    beside,
    by_token,
    few,
    is_gradient_of,
    mean_of,
    objective_of,
)
from tests.rlhf.strategies import models
from tests.strategies import seeds

# --- the objective, token by token --------------------------------------------------------------


@settings(max_examples=20)
@given(few(), seeds, st.sampled_from([0.5, 0.9, 1.0]))
def test_the_penalty_of_tokens_telescopes_unless_it_is_discounted(
    model: LanguageModel, seed: int, gamma: float
) -> None:
    reference, R, beta = beside(model, seed)
    world, (P, N) = model.world, R.shape
    mdp, charge = world.mdp(R, gamma), np.log(model.policy / reference.policy)
    paid = MDP(mdp.P, mdp.R - beta * charge, gamma, start=mdp.start, terminal=mdp.terminal)
    total = 0.0
    for x, y in product(range(P), range(N)):
        r = -beta * (by_token(model, x, y) - by_token(reference, x, y))
        r[-1] += R[x, y]
        total += model.probs[x, y] * (gamma ** np.arange(len(r)) @ r) / P
    assert expected_return(paid, model.policy) == pytest.approx(total, abs=1e-10)
    telescopes = abs(total - objective_of(model, reference, R, beta)) < 1e-12
    assert telescopes == (gamma == 1 or world.length == 1)


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_the_second_term_of_the_gradient_is_zero(model: LanguageModel, seed: int) -> None:
    reference, R, beta = beside(model, seed)
    terms = gradient_terms(model, R, reference=reference, beta=beta)
    is_gradient_of(terms.of_policy, lambda m: objective_of(m, reference, R, beta), model)
    assert np.abs(terms.of_return).max() < 1e-14
    is_gradient_of(terms.of_return, lambda m: m.probs.sum(axis=1).mean(), model)


@settings(max_examples=10)
@given(few(prompts=("?",)), seeds)
def test_variance_is_a_parabola_in_the_baseline(model: LanguageModel, seed: int) -> None:
    (_, R, _), p = beside(model, seed), model.probs[0]

    def variance(b: float) -> float:
        step = sampled_gradient(model, R - b, beta=0.0, baseline=no_baseline)
        return expectation_of(step, model.world, model, n=1).total_variance

    scores = [gradient_terms(model, row[None], beta=0.0).total for row in np.eye(len(p))]
    # E[R g] of a reward that is 1 for y alone is p(y) g(y)
    square = (np.array(scores) ** 2).sum(axis=(1, 2)) / p**2
    best = p * square @ R[0] / (p @ square)
    for b in (0.0, float(p @ R[0]), best + 1):
        assert variance(b) - variance(best) == pytest.approx((b - best) ** 2 * (p @ square))


# --- PPO ----------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(few(), seeds, st.sampled_from([0.1, 0.2, 1.0]))
def test_ppo_climbs_the_clipped_surrogate_as_printed(
    model: LanguageModel, seed: int, epsilon: float
) -> None:
    """A_t = R - beta (the log-ratios from t on): R is paid once, whatever lecture 002 writes."""
    (old, R, beta), reference = beside(model, seed), beside(model, seed + 1)[0]
    rng, P, answers = np.random.default_rng(seed), *R.shape
    x, y = int(rng.integers(P)), rng.integers(answers, size=3).tolist()
    before = [by_token(old, x, k) for k in y]
    A = [
        R[x, k] - beta * np.cumsum((lp - by_token(reference, x, k))[::-1])[::-1]
        for k, lp in zip(y, before, strict=True)
    ]

    def rho(m: LanguageModel) -> list[Array]:
        return [np.exp(by_token(m, x, k) - lp) for k, lp in zip(y, before, strict=True)]

    def paid(m: LanguageModel) -> float:
        each = zip(rho(m), A, strict=True)
        low, high = 1 - epsilon, 1 + epsilon
        return sum(float(np.minimum(r * a, r.clip(low, high) * a).sum()) for r, a in each) / len(y)

    kinks = np.abs(np.abs(np.concatenate(rho(model)) - 1) - epsilon)
    assume(kinks.min() > 1e-2)
    step = ppo_gradient(model, R, reference=reference, beta=beta, old=old, epsilon=epsilon)
    is_gradient_of(step(x, y), paid, model)


@settings(max_examples=10)
@given(few(), seeds)
def test_ppos_first_step_is_the_gradient_of_the_objective(model: LanguageModel, seed: int) -> None:
    reference, R, beta = beside(model, seed)
    V = np.random.default_rng(seed).normal(size=(len(R), model.world.n_prefixes))
    step = ppo_gradient(model, R, reference=reference, beta=beta, values=V)
    found = expectation_of(step, model.world, model, n=1).mean
    is_gradient_of(found, lambda m: objective_of(m, reference, R, beta), model)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_clip_stops_the_slope_and_not_the_ratio(seed: int) -> None:
    world = TokenWorld(["?", "!"], "abc"[: 1 + seed % 3], 1 + seed % 2)
    model, plan = LanguageModel(world), PPOPlan(epochs=2, epsilon=0.1)
    R = np.random.default_rng(seed).normal(size=model.probs.shape)
    learned = ppo(model, R, beta=0.0, updates=1, alpha=10.0, plan=plan, rng=seed)
    assert (learned.probs / model.probs).max() > 1.2
    assert learned.clipped > 0


@given(st.floats(1e-3, 10), st.floats(0, 100), st.floats(0.01, 10))
def test_beta_moves_by_a_fiftieth_at_most(target: float, divergence: float, beta: float) -> None:
    moved = float(adaptive_kl(target)(np.array([beta]), np.array([divergence]))[0])
    error = min(max(divergence / target - 1, -0.2), 0.2)
    assert moved == pytest.approx(beta + beta * 0.1 * error, rel=1e-12)


# --- groups -------------------------------------------------------------------------------------


@given(seeds, st.integers(2, 9))
def test_advantages_are_standardised(seed: int, G: int) -> None:
    r = np.random.default_rng(seed).normal(size=G)
    for scale, of_size in ((group_std, G), (sample_std, G - 1)):
        found = group_advantages(r, scale=scale)
        spread = np.sqrt(sum((k - r.sum() / G) ** 2 for k in r) / of_size)
        np.testing.assert_allclose(found, (r - r.sum() / G) / spread, atol=1e-12)
    others = np.array([np.delete(r, i).mean() for i in range(G)])
    out = group_advantages(r, baseline=leave_one_out, scale=None)
    np.testing.assert_allclose(out, r - others, atol=1e-12)


@settings(max_examples=15)
@given(few(), seeds)
def test_grpo_climbs_its_objective_as_printed(model: LanguageModel, seed: int) -> None:
    """Mean, deviation, 1/|o|, clip and k3 to the reference, all at once, away from pi_old."""
    (old, R, beta), reference = beside(model, seed), beside(model, seed + 1)[0]
    rng, P, answers = np.random.default_rng(seed), *R.shape
    x, y = int(rng.integers(P)), rng.integers(answers, size=4).tolist()
    r = R[x, y]
    A = np.zeros(4) if np.ptp(r) == 0 else (r - r.mean()) / r.std()

    def J(m: LanguageModel) -> float:
        total = 0.0
        for k, a in zip(y, A, strict=True):
            lp, lo, lq = (by_token(each, x, k) for each in (m, old, reference))
            rho, ratio = np.exp(lp - lo), np.exp(lq - lp)
            surrogate = np.minimum(rho * a, rho.clip(0.8, 1.2) * a)
            total += float((surrogate - beta * (ratio - np.log(ratio) - 1)).mean()) / 4
        return total

    rhos = np.concatenate([np.exp(by_token(model, x, k) - by_token(old, x, k)) for k in y])
    assume(np.abs(np.abs(rhos - 1) - 0.2).min() > 1e-2)
    step = group_gradient(model, R, reference=reference, beta=beta, old=old)
    is_gradient_of(step(x, y), J, model)


@settings(max_examples=10)
@given(few(), seeds, st.sampled_from([2, 3]))
def test_the_mean_of_a_group_shrinks_and_leaving_one_out_does_not(
    model: LanguageModel, seed: int, G: int
) -> None:
    reference, R, beta = beside(model, seed)
    plain = GRPOTerms(scale=None, length=per_answer, penalty=None)
    paid = R - beta * np.log(model.probs / reference.probs)
    reinforce = partial(sampled_gradient, model, R, reference=reference, beta=beta)
    for step, factor in (
        (group_gradient(model, paid, beta=0.0, terms=plain), 1 - 1 / G),
        (reinforce(baseline=group_mean), 1 - 1 / G),
        (reinforce(baseline=leave_one_out), 1),
    ):
        found = expectation_of(step, model.world, model, n=G, symmetric=True).mean
        is_gradient_of(found / factor, lambda m: objective_of(m, reference, R, beta), model)


@settings(max_examples=20)
@given(few(), seeds)
def test_the_penalty_of_lecture_002_is_nothing_at_first(model: LanguageModel, seed: int) -> None:
    reference, R, _ = beside(model, seed)
    y = np.random.default_rng(seed).integers(R.shape[1], size=4)
    bare = group_gradient(model, R, beta=0.0)(0, y)
    tied = group_gradient(model, R, reference=reference, beta=99.0, terms=GRPOTerms(anchor=to_old))
    meant = group_gradient(model, R, reference=reference, beta=99.0)
    np.testing.assert_allclose(tied(0, y), bare, atol=1e-12)
    assert np.abs(meant(0, y) - bare).max() > 1e-6
    assert (k3(model.log_probs, model.log_probs) == 0).all()


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_standardised_a_success_climbs_two_arcsines(model: LanguageModel, seed: int) -> None:
    right = (np.random.default_rng(seed).random(model.probs.shape) < 0.5).astype(float)
    right[:, 0], right[:, -1] = 1, 0
    p = (model.probs * right).sum(axis=1, keepdims=True)
    step = gradient_terms(model, (right - p) / np.sqrt(p * (1 - p)), beta=0.0).total

    def angle(m: LanguageModel) -> float:
        chance = (m.probs * right).sum(axis=1)
        return float(2 * np.arcsin(np.sqrt(chance)).mean())

    is_gradient_of(step, angle, model)
    near = success_weight(p, 300) * np.sqrt(p * (1 - p))  # and of large groups
    assert (np.abs(near - 1) < 1 / (300 * p * (1 - p))).all()


@settings(max_examples=20)
@given(st.floats(0.02, 0.98), st.integers(2, 8))
def test_the_weight_of_a_group_and_its_death_by_all_outcomes(p: float, G: int) -> None:
    for scale, ddof in ((group_std, 0), (sample_std, 1)):
        weight = death = 0.0
        for outcome in product([0, 1], repeat=G):
            r = np.array(outcome, dtype=float)
            chance = float(np.where(r == 1, p, 1 - p).prod())
            if np.ptp(r) == 0:
                death += chance
                continue
            A = (r - r.mean()) / r.std(ddof=ddof)
            # a score has the mean dp / p in answers that are right, and -dp / (1 - p) in others
            weight += chance * float((A * np.where(r == 1, 1 / p, -1 / (1 - p))).mean())
        assert success_weight(p, G, scale=scale) == pytest.approx(weight, rel=1e-10)
        assert dead_groups(p, G) == pytest.approx(death, rel=1e-10)


# --- estimators of KL ---------------------------------------------------------------------------


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_what_k1_k2_k3_descend_as_losses(model: LanguageModel, seed: int) -> None:
    reference = beside(model, seed)[0]
    q = reference.probs
    is_gradient_of(loss_gradient(k1, model, reference), lambda m: 0.0, model)
    right = (kl_gradient(model, reference), *(
        loss_gradient(k, model, reference) for k in (k2, importance_weighted(k3), as_reward(k1))
    ))  # fmt: skip
    for found in right:
        is_gradient_of(found, lambda m: mean_of(m.probs, np.log(m.probs / q)), model)
    for found in (forward_kl_gradient(model, reference), loss_gradient(k3, model, reference)):
        is_gradient_of(found, lambda m: mean_of(q, np.log(q / m.probs)), model)


@settings(max_examples=10)
@given(few(), seeds)
def test_a_loss_of_each_token_leaves_out_what_comes(model: LanguageModel, seed: int) -> None:
    reference = beside(model, seed)[0]
    cells = list(product(*map(range, model.probs.shape)))
    ratios = {cell: by_token(model, *cell) - by_token(reference, *cell) for cell in cells}

    def credited(m: LanguageModel, credit: Callable[[Array], Array]) -> float:
        total = sum(model.probs[c] * credit(ratios[c]) @ by_token(m, *c) for c in cells)
        return float(total / len(model.probs))

    def to_come(ratio: Array) -> Array:
        return np.asarray(ratio[::-1].cumsum()[::-1])

    own = token_loss_gradient(k2, model, reference)
    is_gradient_of(own, partial(credited, credit=lambda ratio: ratio), model)
    is_gradient_of(kl_gradient(model, reference), partial(credited, credit=to_come), model)


@settings(max_examples=20)
@given(models(CONTEXTS), seeds)
def test_k3_is_unbiased_and_quieter_only_near_by(reference: LanguageModel, seed: int) -> None:
    near = 0.01 * beside(reference, seed)[0].logits
    rarely = np.zeros(reference.logits.shape)
    rarely[:, 0] = -12.0
    for step, quieter in ((near, True), (rarely, False)):
        model = reference.with_logits(reference.logits + step)
        p, r = model.probs, reference.probs / model.probs
        means = {k1: -np.log(r), k2: np.log(r) ** 2 / 2, k3: r - 1 - np.log(r)}
        first, second, third = (moments(k, model, reference) for k in means)
        for found, value in zip((first, second, third), means.values(), strict=True):
            mean = (p * value).sum(axis=1, keepdims=True)
            np.testing.assert_allclose(found.mean, mean[:, 0], rtol=1e-6, atol=1e-12)
            variance = (p * (value - mean) ** 2).sum(axis=1)
            np.testing.assert_allclose(found.variance, variance, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(first.mean, third.mean, atol=1e-9)
        assert ((third.variance < first.variance) == quieter).all()
