"""GRPO term by term, and leave-one-out, by enumeration of all groups."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from gridrl.rlhf.group_terms import (
    GRPOTerms,
    Scale,
    dead_groups,
    group_advantages,
    group_mean,
    group_std,
    leave_one_out,
    no_baseline,
    per_answer,
    sample_std,
    success_weight,
    to_old,
)
from gridrl.rlhf.groups import (
    TokenRewards,
    group_gradient,
    grpo,
    own_reward,
    rewards_to_come,
    rloo,
)
from gridrl.rlhf.kl_estimators import importance_weighted, k2, k3, kl_gradient, token_loss_gradient
from gridrl.rlhf.laboratory import Expectation, expectation_of
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.policy_optimisation import gradient_terms, policy_gradient
from gridrl.rlhf.regularised import regularised_optimum
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array
from tests.rlhf.test_policy_optimisation import CONTEXTS, SEEDS, scene

PLAIN = GRPOTerms(scale=None, length=per_answer, penalty=None)


def lab(
    policy: LanguageModel,
    R: Array,
    terms: GRPOTerms,
    G: int,
    *,
    reference: LanguageModel | None = None,
    beta: float = 0.0,
) -> Expectation:
    """GRPO's gradient on all groups, beside that of J."""
    step = group_gradient(policy, R, reference=reference, beta=beta, terms=terms)
    true = gradient_terms(policy, R, reference=reference, beta=beta).total
    return expectation_of(step, policy.world, policy, n=G, truth=true, symmetric=True)


def changed(**terms: Any) -> GRPOTerms:
    """The plain terms, with others in their place."""
    plain = {"scale": None, "length": per_answer, "penalty": None}
    return GRPOTerms(**{**plain, **terms})


# --- one term after the other ---------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("G", [2, 3])
def test_the_group_mean_shrinks_and_leave_one_out_does_not(G: int, context: str | int) -> None:
    for seed in SEEDS:
        policy, _, R = scene(seed, prompts="?!", length=2, context=context)
        mean = lab(policy, R, PLAIN, G)
        true = mean.mean - mean.bias
        assert mean.mean == pytest.approx((1 - 1 / G) * true, abs=1e-14)
        assert mean.cosine == pytest.approx(1, abs=1e-12)
        out = lab(policy, R, changed(baseline=leave_one_out), G)
        assert np.abs(out.bias).max() < 1e-14


@pytest.mark.parametrize("seed", SEEDS)
def test_the_standard_deviation_turns_the_gradient(seed: int) -> None:
    policy, _, R = scene(seed)
    for scale in (group_std, sample_std):
        found = lab(policy, R, changed(scale=scale), 3)
        assert 0 < found.cosine < 0.999
    two = lab(policy, R, changed(scale=group_std), 3).mean
    ratio = two / np.where(two == 0, 1, lab(policy, R, changed(scale=sample_std), 3).mean)
    assert ratio == pytest.approx(np.sqrt(3 / 2), abs=1e-10)  # sample_std is larger by that


@pytest.mark.parametrize("seed", SEEDS)
def test_the_length_turns_the_gradient_unless_all_are_as_long(seed: int) -> None:
    policy, _, R = scene(seed)
    found = lab(policy, R, GRPOTerms(leave_one_out, scale=None, penalty=None), 2)
    assert found.cosine < 0.999
    short, _, R = scene(seed, length=1)
    found = lab(short, R, GRPOTerms(leave_one_out, scale=None, penalty=None), 2)
    assert np.abs(found.bias).max() < 1e-14


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_penalty_alone_is_the_expected_loss_of_each_token(context: str | int) -> None:
    for seed in SEEDS:
        policy, reference, R = scene(seed, context=context)
        for k in (k2, k3, importance_weighted(k3)):
            terms = changed(penalty=k)
            found = lab(policy, 0 * R, terms, 2, reference=reference, beta=0.7)
            expected = -0.7 * token_loss_gradient(k, policy, reference)
            assert found.mean == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_one_token_k2_and_the_mended_k3_are_right_and_k3_is_not(seed: int) -> None:
    policy, reference, R = scene(seed, length=1)
    true = -kl_gradient(policy, reference)
    for k, right in ((k2, True), (importance_weighted(k3), True), (k3, False)):
        mean = lab(policy, 0 * R, changed(penalty=k), 2, reference=reference, beta=1.0).mean
        assert (np.abs(mean - true).max() < 1e-14) == right
    forward = reference.probs - policy.probs  # -grad KL(reference || policy), answers "$", "a", "b"
    mean = lab(policy, 0 * R, changed(penalty=k3), 2, reference=reference, beta=1.0).mean
    assert mean[0] == pytest.approx(forward[0, [1, 2, 0]], abs=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_penalty_of_lecture_002_does_nothing_at_the_first_step(seed: int) -> None:
    policy, reference, R = scene(seed)
    terms, y = changed(penalty=k3, anchor=to_old), [3, 7, 11]
    bare = group_gradient(policy, R, beta=0.0, terms=PLAIN)(0, y)
    charged = group_gradient(policy, R, reference=reference, beta=100.0, terms=terms)(0, y)
    assert charged == pytest.approx(bare, abs=1e-12)
    meant = changed(penalty=k3)
    apart = group_gradient(policy, R, reference=reference, beta=1.0, terms=meant)(0, y)
    assert np.abs(apart - bare).max() > 1e-2


def test_with_the_old_policy_the_ratio_counts() -> None:
    policy, old, R = scene(0)
    wide = GRPOTerms(no_baseline, None, per_answer, None, epsilon=1.0)
    step = group_gradient(policy, -abs(R), beta=0.0, old=old, terms=wide)
    y = 7
    tokens = np.exp(group_log_probs(policy, y) - group_log_probs(old, y))  # a ratio each; A < 0
    assert step(0, [y]) == pytest.approx(by_hand(policy, y, -abs(R[0, y]) * tokens), abs=1e-14)


def group_log_probs(model: LanguageModel, y: Any) -> Array:
    """log pi of each token of an answer of a tree of one prompt."""
    text = model.world.texts[y]
    sums = [model.log_prob("?", text[: t + 1]) for t in range(len(text))]
    return np.diff([0.0, *sums])


def by_hand(model: LanguageModel, y: Any, weights: Any) -> Array:
    """Sum of weights times scores of the tokens of an answer."""
    text, total = model.world.texts[y], np.zeros(model.logits.shape)
    place = 0
    for token, w in zip(model.world.tokens(text), weights, strict=True):
        pi = np.exp(model.logits[place]) / np.exp(model.logits[place]).sum()
        total[place] += w * (np.eye(3)[token] - pi)
        place = 1 + 2 * place + token
    return total


# --- rewards per token ----------------------------------------------------------------------


def test_rewards_of_tokens_are_compared_at_each_time_with_those_still_writing() -> None:
    policy, _, _ = scene(0, length=2)
    steps = np.random.default_rng(1).normal(size=(1, 3, 3))
    y = [0, 3, 5]  # "$", "aa", "ba"
    assert [policy.world.texts[i] for i in y] == ["$", "aa", "ba"]
    first = np.array([steps[0, 0, 2], steps[0, 0, 0], steps[0, 0, 1]])
    second = np.array([steps[0, 1, 0], steps[0, 2, 0]])
    A1, A2 = first - first.mean(), second - second.mean()
    own = group_gradient(policy, TokenRewards(steps, own_reward), beta=0.0, terms=PLAIN)(0, y)
    weights = [[A1[0]], [A1[1], A2[0]], [A1[2], A2[1]]]
    by = sum(by_hand(policy, i, w) for i, w in zip(y, weights, strict=True)) / 3
    assert own == pytest.approx(by, abs=1e-14)
    later = group_gradient(policy, TokenRewards(steps, rewards_to_come), beta=0.0, terms=PLAIN)
    ahead = [[A1[0]], [A1[1] + A2[0], A2[0]], [A1[2] + A2[1], A2[1]]]
    by = sum(by_hand(policy, i, w) for i, w in zip(y, ahead, strict=True)) / 3
    assert later(0, y) == pytest.approx(by, abs=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
def test_rewards_to_come_are_unbiased_without_baseline_and_own_rewards_are_not(seed: int) -> None:
    policy, _, _ = scene(seed)
    steps = np.random.default_rng(seed).normal(size=(1, 7, 3))
    R = policy.tables.along(steps)
    true = gradient_terms(policy, R, beta=0.0).total
    terms = changed(baseline=no_baseline)
    found = {}
    for credit in (own_reward, rewards_to_come):
        step = group_gradient(policy, TokenRewards(steps, credit), beta=0.0, terms=terms)
        found[credit] = expectation_of(step, policy.world, policy, n=1, truth=true)
    assert np.abs(found[rewards_to_come].bias).max() < 1e-14
    assert np.abs(found[own_reward].bias).max() > 1e-2


# --- a checkable reward ---------------------------------------------------------------------


@pytest.mark.parametrize("scale", [group_std, sample_std])
@pytest.mark.parametrize("G", [2, 4])
def test_right_or_wrong_grpo_multiplies_the_gradient_by_its_weight(G: int, scale: Scale) -> None:
    for seed in SEEDS:
        policy, _, R = scene(seed, length=2)
        right = (R > 0).astype(float)
        p = float((policy.probs * right).sum())
        found = lab(policy, right, changed(scale=scale), G)
        weight = success_weight(p, G, scale=scale)
        assert found.mean == pytest.approx(weight * (found.mean - found.bias), abs=1e-13)


def test_the_weight_of_large_groups_and_of_eight() -> None:
    p = np.array([0.1, 0.5, 0.9])
    assert success_weight(p, 8, scale=sample_std) == pytest.approx([2.18, 1.74, 2.18], abs=5e-3)
    assert success_weight(p, 2000) == pytest.approx(1 / np.sqrt(p * (1 - p)), rel=1e-3)


def test_dead_groups_teach_nothing() -> None:
    policy, _, R = scene(0)
    step = group_gradient(policy, 0 * R + 0.1, beta=0.0)
    assert np.abs(step(0, [1, 2, 3])).max() == 0
    p, G = 0.3, 4
    world = TokenWorld(["?"], "a", 1)
    dead = expectation_of(lambda x, y: len(set(y.tolist())) == 1, world, [[p, 1 - p]], n=G)
    assert dead_groups(p, G) == pytest.approx(float(dead.mean), abs=1e-14)


# --- learners -------------------------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
def test_rloo_arrives_at_the_optimum(context: str | int) -> None:
    policy, reference, R = scene(0, prompts="?!", length=2)
    if context == 1:  # the bigram model can write what is best where that is bigram itself
        policy, reference, _ = scene(0, length=2, context=1)
        R = -np.abs(reference.log_probs)
    learned = rloo(policy, R, reference=reference, beta=1.0, updates=3000, group=4, runs=4, rng=0)
    assert (learned.gap(1.0) < 1e-6).all()
    if context == "prefix":
        best = regularised_optimum(reference, R, 1.0)
        assert np.abs(learned.probs - best.probs).max() < 1e-2
        one = policy_gradient(policy, R, reference=reference, beta=1.0, updates=3, samples=4, rng=0)
        same = rloo(policy, R, reference=reference, beta=1.0, updates=3, group=4, rng=0)
        assert np.array_equal(one.logits, same.logits)


def test_grpos_resting_place_with_k3_is_another_than_the_optimum() -> None:
    """One token, no std: p (R - E R) (1 - 1/G) = beta (p - p_ref), not p_ref exp(R / beta) / Z."""
    _, reference, R = scene(0, length=1)
    beta, G, q, r = 1.0, 4, reference.probs[0], R[0]
    shrunk, price = (1 - 1 / G) * r, beta

    def total(c: float) -> float:
        return (price * q / (c - shrunk)).sum() - 1

    c = brentq(total, shrunk.max() + 1e-9, shrunk.max() + 10)
    rest = reference.with_logits(np.log(price * q / (c - shrunk))[None, [1, 2, 0]])
    terms = changed(penalty=k3)
    assert np.abs(lab(rest, R, terms, G, reference=reference, beta=beta).mean).max() < 1e-12
    best = regularised_optimum(reference, R, beta)
    assert np.abs(rest.probs - best.probs).max() > 0.01
    mended = changed(baseline=leave_one_out, penalty=importance_weighted(k3))
    model = best.model
    assert np.abs(lab(model, R, mended, G, reference=reference, beta=beta).mean).max() < 1e-14


def test_grpo_learns_a_checkable_answer_and_each_run_alone() -> None:
    policy, _, _ = scene(0)
    kwargs: dict[str, Any] = {"beta": 0.0, "updates": 150, "epochs": 2, "rng": 5}
    many = grpo(policy, lambda x, y: y == "ab$", runs=3, **kwargs)
    assert (many.reward > 0.95).all()
    one = grpo(policy, lambda x, y: y == "ab$", **kwargs)
    assert np.array_equal(many.logits[0], one.logits)
    assert not np.array_equal(many.logits[0], many.logits[1])


def test_grpo_climbs_rewards_of_tokens() -> None:
    policy, _, _ = scene(0)
    steps = np.zeros((1, 7, 3))
    steps[..., 1] = 1.0  # "b" is paid wherever it stands
    learned = grpo(policy, TokenRewards(steps, rewards_to_come), beta=0.0, updates=100, rng=0)
    assert learned.probs[0, policy.world.completion("bbb")] > 0.9


# --- advantages, bad input ------------------------------------------------------------------


def test_advantages_of_groups() -> None:
    r = np.random.default_rng(0).normal(size=(5, 4))
    A = group_advantages(r)
    assert A.mean(axis=1) == pytest.approx(np.zeros(5), abs=1e-14)
    assert A.std(axis=1) == pytest.approx(np.ones(5))
    out = group_advantages(r, baseline=leave_one_out, scale=None)
    assert out == pytest.approx((r - r.mean(axis=1, keepdims=True)) * 4 / 3)
    assert (group_advantages(np.full((2, 3), 0.1) * 3) == 0).all()
    ended = np.array([True, True, False])
    assert group_advantages([1.0, 3.0, 9.0], ended, scale=None).tolist() == [-1.0, 1.0, 0.0]
    alone = np.array([True, False, False])
    assert group_advantages([1.0, 3.0, 9.0], alone, baseline=leave_one_out).tolist() == [0, 0, 0]


def test_groups_of_one_and_other_nonsense() -> None:
    policy, _, R = scene(0)
    for learn in (grpo, rloo):
        with pytest.raises(ValueError, match="group must be at least 2; it is 1"):
            learn(policy, R, group=1)
        with pytest.raises(ValueError, match=r"beta must be in \[0, inf\]; it is -1"):
            learn(policy, R, beta=-1)
    for baseline in (group_mean, leave_one_out):
        with pytest.raises(ValueError, match="a group must have at least 2 answers"):
            group_advantages([1.0], baseline=baseline)
    with pytest.raises(ValueError, match=r"r must have shape \(..., G\); it has \(\)"):
        group_advantages(1.0)
    with pytest.raises(ValueError, match="epochs must be at least 1; it is 0"):
        grpo(policy, R, epochs=0)
    with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]; it is 2"):
        GRPOTerms(epsilon=2)
    with pytest.raises(ValueError, match=r"steps must have shape \(1, 7, 3\); it has \(1, 3\)"):
        grpo(policy, TokenRewards(np.zeros((1, 3)), own_reward))
    with pytest.raises(ValueError, match="p must be strictly between 0 and 1; it is 1"):
        success_weight(1.0, 4)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]; it is 2"):
        dead_groups(2.0, 4)
    with pytest.raises(ValueError, match="group must be at least 2; it is 1"):
        dead_groups(0.5, 1)


def test_a_uniform_model_is_a_group_of_equals() -> None:
    model = LanguageModel(TokenWorld(["?"], "ab", 2))
    learned = grpo(model, lambda x, y: 1.0, beta=0.0, updates=3, rng=0)
    assert np.array_equal(learned.logits, model.logits)
