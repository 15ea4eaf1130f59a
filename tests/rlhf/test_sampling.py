"""Best of n, rejection sampling, self-improvement and search, against enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import chi2

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.rejection import rejection_sampling, self_improvement
from gridrl.rlhf.sampling import (
    best_of,
    best_of_n,
    sample_best_of_n,
    win_rate,
)
from gridrl.rlhf.search import beam_search
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array
from tests.rlhf.strategies import models, rewarded
from tests.strategies import seeds

WORLD = TokenWorld(["?", "!"], "ab", 3)


def random_model(seed: int = 0, context: str | int = "prefix") -> LanguageModel:
    blank = LanguageModel(WORLD, context=context)
    return blank.with_logits(np.random.default_rng(seed).normal(size=blank.logits.shape))


def by_trying(p: Array, R: Array, n: int) -> Array:
    """The best of n, from all n-tuples of answers; ties are shared evenly among the drawn."""
    best = np.zeros(len(p))
    for drawn in itertools.product(range(len(p)), repeat=n):
        top = [y for y in drawn if R[y] == max(R[list(drawn)])]
        best[top[0]] += np.prod(p[list(drawn)])  # the first of those that tie
    return best


# --- best of n --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3])
def test_best_of_n_is_that_of_all_tuples(n: int) -> None:
    rng = np.random.default_rng(n)
    p = rng.dirichlet(np.ones(7))
    for R in (rng.normal(size=7), np.array([0, 0, 1, 1, 1, 2, -1.0])):
        assert np.abs(best_of(p[None], R[None], n)[0] - by_trying(p, R, n)).max() < 1e-13


@given(rewarded(("prefix", 1)), st.integers(1, 10_000))
def test_identities_of_best_of_n(case: Any, n: int) -> None:
    model, R = case
    best = best_of_n(model, R, n)
    assert np.abs(best.probs.sum(axis=1) - 1).max() < 1e-12
    assert (best.kl <= best.bound + 1e-12).all()
    assert (best.win_rate <= n / (n + 1) + 1e-12).all()
    assert (best.reward >= (model.probs * R).sum(axis=1) - 1e-12).all()
    assert np.abs(best.kl - rel_entr(best.probs, model.probs).sum(axis=1)).max() < 1e-12


@given(rewarded(), st.integers(1, 5), st.integers(1, 5))
def test_the_best_of_m_times_n_is_best_of_best(case: Any, m: int, n: int) -> None:
    model, R = case
    twice = best_of(best_of(model.probs, R, m), R, n)
    assert np.abs(twice - best_of(model.probs, R, m * n)).max() < 1e-12


@given(rewarded())
def test_it_saturates_at_the_best_answers(case: Any) -> None:
    model, R = case
    best = best_of_n(model, R, 10**9)
    top = np.isclose(R, R.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    mass = (model.probs * top).sum(axis=1)
    assert np.abs(best.probs - model.probs * top / mass[:, None]).max() < 1e-3
    assert np.abs(best.kl + np.log(mass)).max() < 1e-2


def test_tiny_shares_keep_their_precision() -> None:
    p, R = np.array([[1 - 3e-17, 2e-17, 1e-17]]), np.array([[0.0, 1.0, 2.0]])
    q = best_of(p, R, 1000)
    assert q[0, 1:] == pytest.approx([2e-14, 1e-14], rel=1e-9)
    few = np.array([[1e-17, 1.0]])
    assert best_of(few, np.array([[0.0, 1.0]]), 2)[0, 0] == pytest.approx(1e-34, rel=1e-9, abs=0)


def test_an_answer_never_written_is_never_the_best() -> None:
    q = best_of(np.array([[0.5, 0.5, 0.0]]), np.array([[0.0, 1.0, 9.0]]), 10**6)
    assert q[0, 2] == 0
    assert q[0, 1] == 1


@given(rewarded(), seeds)
def test_win_rate_is_the_double_sum(case: Any, seed: int) -> None:
    model, R = case
    p = np.random.default_rng(seed).dirichlet(np.ones(R.shape[1]), size=len(R))
    for x, rate in enumerate(win_rate(p, model.probs, R)):
        beats = (R[x][:, None] > R[x]) + 0.5 * (R[x][:, None] == R[x])
        assert abs(p[x] @ beats @ model.probs[x] - rate) < 1e-12


def test_written_best_answers_follow_the_exact_distribution() -> None:
    model, R, m = random_model(), np.random.default_rng(1).normal(size=(2, 15)), 4000
    chance = np.random.default_rng(0)

    def pays(x: str, y: str) -> float:
        return float(R[WORLD.prompt(x), WORLD.completion(y)])

    texts = [sample_best_of_n(model, pays, "?", 3, rng=chance) for _ in range(m)]
    counts = np.bincount([WORLD.completion(t) for t in texts], minlength=15)
    expected = m * best_of_n(model, R, 3).probs[0]
    rare = expected < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    due = np.append(expected[~rare], expected[rare].sum())
    assert ((seen - due) ** 2 / due).sum() < chi2.ppf(1 - 1e-6, len(due) - 1)  # once in 10^6


# --- rejection sampling -----------------------------------------------------------------------


@settings(max_examples=50)
@given(rewarded(), st.integers(1, 4), st.integers(1, 4))
def test_t_rounds_of_n_are_one_of_n_to_the_t(case: Any, n: int, t: int) -> None:
    model, R = case
    online = rejection_sampling(model, R, n, rounds=t)
    assert np.abs(online.probs - best_of_n(model, R, n**t).probs).max() < 1e-10
    offline = rejection_sampling(model, R, n, rounds=t, online=False)
    assert np.abs(offline.probs - best_of_n(model, R, n).probs).max() < 1e-10


def test_sampled_winners_come_close_to_infinitely_many() -> None:
    model, R = random_model(), np.random.default_rng(1).normal(size=(2, 15))
    m, runs = 20_000, 3
    found = rejection_sampling(model, R, 3, samples=m, runs=runs, rng=0)
    exact = best_of_n(model, R, 3).probs
    sigma = np.sqrt(exact * (1 - exact) / m)
    # Each of 90 is a share of m draws; the bound is Bernstein's at a chance of 10^-8 each.
    assert (np.abs(found.probs - exact) < 6.2 * sigma + 13 / m).all()


def test_a_run_of_a_batch_is_the_run_alone() -> None:
    model, R = random_model(context=1), np.random.default_rng(1).normal(size=(2, 15))
    several = rejection_sampling(model, R, 4, rounds=3, samples=5, runs=4, rng=6)
    alone = rejection_sampling(model, R, 4, rounds=3, samples=5, rng=6)
    assert several.logits.shape == (4, *model.logits.shape)
    assert np.abs(several.probs[0] - alone.probs).max() < 1e-12
    fewer = rejection_sampling(model, R, 4, rounds=3, samples=5, runs=2, rng=6)
    assert np.abs(several.probs[:2] - fewer.probs).max() < 1e-12
    assert np.abs(several.probs[0] - several.probs[1]).max() > 1e-3
    assert np.abs(alone.model.probs - alone.probs).max() < 1e-12
    with pytest.raises(ValueError, match="model must be of one run; there are 4"):
        _ = several.model


def test_nothing_here_leaves_the_support_of_the_model() -> None:
    logits = np.zeros((14, 3))
    logits[:, 0] = -np.inf
    model = LanguageModel(WORLD, logits)
    likes_a = WORLD.rewards(lambda x, y: float(y.count("a")))
    never = model.probs == 0
    assert never.any()
    for found in (
        best_of_n(model, likes_a, 50).probs,
        rejection_sampling(model, likes_a, 5, rounds=3).probs,
        self_improvement(model, WORLD.rewards(lambda x, y: float("b" in y)), rounds=3).probs,
    ):
        assert found[never].max() == 0
    beam = beam_search(model, "?", width=50, guide=lambda x, y: float(y.count("a")))
    assert not any("a" in text for text in beam.texts)


# --- self-improvement -------------------------------------------------------------------------


@settings(max_examples=30)
@given(models((0, 1, 2)), seeds)
def test_the_log_chance_of_success_never_falls(model: LanguageModel, seed: int) -> None:
    R = (np.random.default_rng(seed).random(model.probs.shape) < 0.4).astype(float)
    R[:, 0] = 1
    start = np.log((model.probs * R).sum(axis=1)).mean()
    rounds = self_improvement.iterates(model, R, rounds=8)
    heights = np.array([start, *(np.log(r.reward).mean() for r in rounds)])
    assert (np.diff(heights) > -1e-10).all()


@settings(max_examples=30)
@given(models(("prefix",)), seeds)
def test_a_tree_is_right_after_one_round(model: LanguageModel, seed: int) -> None:
    R = (np.random.default_rng(seed).random(model.probs.shape) < 0.4).astype(float)
    R[:, -1] = 1
    found, right = self_improvement(model, R), model.probs * R
    assert np.abs(found.reward - 1).max() < 1e-12
    assert np.abs(found.probs - right / right.sum(axis=1, keepdims=True)).max() < 1e-12


# --- search -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(rewarded(("prefix", 1)))
def test_a_wide_beam_finds_the_best_and_a_narrow_one_is_greedy(case: Any) -> None:
    model, R = case
    world, prompt = model.world, model.world.prompts[0]
    wide = beam_search(model, prompt, width=world.n_completions)
    assert wide.scores[0] == pytest.approx(model.log_probs[0].max())
    assert set(wide.texts) == set(world.texts)
    assert np.abs(wide.log_probs - [model.log_prob(prompt, y) for y in wide.texts]).max() < 1e-12
    greedy = model.generate(prompt, temperature=0, rng=0)
    assert beam_search(model, prompt, width=1).best == greedy

    def guide(x: str, y: str) -> float:
        done = y.endswith("$") or len(y) == world.length
        return float(R[0, world.completion(y)]) if done else 0.0

    guided = beam_search(model, prompt, width=world.n_completions, guide=guide, weight=2.0)
    assert guided.scores[0] == pytest.approx((model.log_probs[0] + 2 * R[0]).max())


# --- bad input --------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    model, R = random_model(), np.zeros((2, 15))
    for call in (best_of_n, rejection_sampling):
        with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
            call(model, R, 0)
    with pytest.raises(ValueError, match=r"reward must have shape \(2, 15\); it has \(3,\)"):
        best_of_n(model, np.zeros(3), 2)
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        rejection_sampling(model, R, 2, rounds=0)
    with pytest.raises(ValueError, match="samples must be at least 1"):
        rejection_sampling(model, R, 2, samples=0)
    with pytest.raises(ValueError, match="runs must be at least 1"):
        rejection_sampling(model, R, 2, samples=1, runs=0)
    with pytest.raises(ValueError, match="width must be at least 1"):
        beam_search(model, "?", width=0)
    with pytest.raises(ValueError, match="prompt must be one of"):
        beam_search(model, "why", width=1)
    with pytest.raises(ValueError, match=r"success\[0, 0\] must be in \[0, 1\]; it is 2"):
        self_improvement(model, R + 2)
    with pytest.raises(ValueError, match="model must sometimes answer '!' right; it never does"):
        self_improvement(model, np.array([[1.0], [0.0]]) + R)
    with pytest.raises(ValueError, match=r"q must have shape \(2, 15\) as reward"):
        win_rate(model.probs, model.probs[:1], R)
    with pytest.raises(ValueError, match=r"p\[0\] must be a distribution"):
        win_rate(2 * model.probs, model.probs, R)
