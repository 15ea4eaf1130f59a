"""Worlds of too many answers to list: where both ways can go, they agree.

Where a world is small, the limit is lowered, so that the same call goes the way of large worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl.rlhf import (
    LanguageModel,
    Pairs,
    PPOPlan,
    Rankings,
    TokenWorld,
    beam_search,
    best_of_n,
    distill,
    dpo,
    estimate_objective,
    expectation_of,
    fit_preference_model,
    fit_reward_model,
    group_gradient,
    grpo,
    ipo,
    kl,
    kto,
    label_pairs,
    label_rankings,
    margins,
    objective,
    overoptimisation,
    policy_gradient,
    ppo,
    ppo_gradient,
    pretrain,
    regularised_optimum,
    rejection_sampling,
    reward_accuracy,
    rloo,
    sample_best_of_n,
    self_improvement,
    sft,
    token_counts,
    tokens,
    win_rate,
)
from gridrl.rlhf.divergences import kl_by_tokens
from gridrl.tables import Array, Indices
from tests.rlhf.strategies import models

LARGE = TokenWorld(["the cat", "the dog"], [*"abcdefgh"], 12)  # 10^11 answers
Numbers = Callable[[TokenWorld], Array]


def likes_a(prompt: str, answer: str) -> float:
    return answer.count("a") - 0.5 * answer.count("b") + 0.1 * len(prompt) - 0.2 * len(answer)


def bigram(world: TokenWorld, seed: int = 0, context: int = 1) -> LanguageModel:
    blank = LanguageModel(world, context=context)
    return blank.with_logits(np.random.default_rng(seed).normal(size=blank.logits.shape))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and no world can be listed from then on."""
    return lambda: monkeypatch.setattr(tokens, "ENUMERABLE", 1)


# --- both ways agree --------------------------------------------------------------------------


LEARNERS: dict[str, Callable[..., Any]] = {
    "policy_gradient": lambda m, r, q: policy_gradient(
        m, r, reference=q, beta=0.3, updates=15, samples=6, runs=3, rng=1
    ),
    "rloo": lambda m, r, q: rloo(m, r, reference=q, beta=0.3, updates=15, group=4, rng=1),
    "grpo": lambda m, r, q: grpo(m, r, reference=q, beta=0.3, updates=15, group=4, epochs=2, rng=1),
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("context", [0, 1, 2])
def test_learners_learn_the_same_to_the_last_digit(
    name: str, context: int, small: Callable[[], None]
) -> None:
    world = TokenWorld(["?", "a b"], "ab", 4)
    model, reference = bigram(world, 0, context), bigram(world, 1)
    listed = LEARNERS[name](model, likes_a, reference)
    exact = listed.kl
    small()
    written = LEARNERS[name](model, likes_a, reference)
    np.testing.assert_array_equal(written.logits, listed.logits)
    np.testing.assert_allclose(written.kl, exact, rtol=1e-10)
    assert repr(written).startswith("Tuned(")
    assert "J" not in repr(written)


def test_ppo_is_the_same_where_contexts_are_prefixes(small: Callable[[], None]) -> None:
    """Its values belong to prefixes, or to contexts; here each prefix is one."""
    model = bigram(TokenWorld(["?"], "ab", 3), context=3)
    plan = PPOPlan(samples=8)
    listed = ppo(model, likes_a, beta=0.3, updates=15, plan=plan, runs=2, rng=1).logits
    small()
    written = ppo(model, likes_a, beta=0.3, updates=15, plan=plan, runs=2, rng=1).logits
    np.testing.assert_array_equal(written, listed)


@settings(max_examples=60, deadline=None)
@given(models((0, 1, 2, 3)), models((0, 1, 2)))
def test_the_chain_rule_gives_the_divergence(model: LanguageModel, other: LanguageModel) -> None:
    rng = np.random.default_rng(0)
    shape = LanguageModel(model.world, context=other.context).logits.shape
    reference = LanguageModel(model.world, rng.normal(size=shape), context=other.context)
    np.testing.assert_allclose(kl_by_tokens(model, reference), kl(model, reference), atol=1e-12)
    tree = LanguageModel(model.world, rng.normal(size=LanguageModel(model.world).logits.shape))
    for p, q in ((model, tree), (tree, model)):
        np.testing.assert_allclose(kl_by_tokens(p, q), kl(p, q), atol=1e-12)


def test_a_token_that_only_the_reference_never_writes_is_named() -> None:
    model = bigram(LARGE)
    mute = np.array(model.logits)
    mute[:, 2] = -np.inf
    with pytest.raises(
        ValueError, match=r"reference must not give .* 'c' in an answer .* 'the cat'"
    ):
        policy_gradient(model, likes_a, reference=model.with_logits(mute), samples=2, updates=1)
    assert kl(model, model.with_logits(mute)) == pytest.approx(np.inf)
    learned = policy_gradient(
        model.with_logits(mute), likes_a, reference=model, samples=2, updates=1, rng=0
    )
    assert np.isfinite(learned.kl)


@settings(max_examples=20, deadline=None)
@given(models((0, 1, 2)))
def test_estimates_are_near_the_exact_numbers(model: LanguageModel) -> None:
    """Within 5 standard errors and what rounding leaves: false alarms 1e-6 of a comparison."""
    reference, beta = bigram(model.world, 3), 0.4
    found = estimate_objective(model, reference, likes_a, beta, n=400, rng=0)
    R = model.world.rewards(likes_a)
    exact = {
        "reward": float((model.probs * R).sum(axis=1).mean()),
        "J": objective(model, reference, R, beta),
        "win_rate": float(win_rate(model.probs, reference.probs, R).mean()),
        "length": float((model.probs @ model.world.lengths).mean()),
    }
    for name, value in exact.items():
        estimate = getattr(found, name)
        assert abs(estimate.mean - value) <= 5 * estimate.error + 0.02, name
    assert found.kl == pytest.approx(np.mean(kl(model, reference)), abs=1e-12)


def test_the_objective_of_the_optimum_is_estimated_without_error() -> None:
    reference = LanguageModel(TokenWorld(["?"], "ab", 3))
    best = regularised_optimum(reference, likes_a, 0.5)
    found = estimate_objective(best.model, reference, likes_a, 0.5, n=50, rng=0)
    assert found.J.error < 1e-12
    assert found.J.mean == pytest.approx(best.value, abs=1e-12)
    assert found.reward.error > 0.01


def test_rejection_sampling_writes_what_it_would_draw(small: Callable[[], None]) -> None:
    """The share of each token among winners, chi^2 of 8000 draws; false alarms 1e-6."""
    from scipy.stats import chi2

    model = bigram(TokenWorld(["?"], "ab", 3), context=0)
    exact = rejection_sampling(model, likes_a, 3).model.probs
    share = np.exp(rejection_sampling(model, likes_a, 3).logits)[0]
    small()
    written = rejection_sampling(model, likes_a, 3, samples=8000, rng=0)
    counts = 8000 * 3 * (np.exp(written.logits[0]) - share) ** 2 / share
    assert counts.sum() < chi2.isf(1e-6, 2) * 3  # tokens of an answer depend on each other
    again = rejection_sampling(model, likes_a, 3, samples=8000, runs=2, rng=0)
    np.testing.assert_array_equal(again.logits[0], written.logits)
    assert exact.shape == (1, model.world.n_completions)


@pytest.mark.parametrize("online", [True, False])
def test_rounds_of_rejection_sampling_agree(online: bool, small: Callable[[], None]) -> None:
    model = bigram(TokenWorld(["?"], "ab", 2))
    listed = rejection_sampling(model, likes_a, 2, rounds=2, online=online).probs
    small()
    written = rejection_sampling(
        model, likes_a, 2, rounds=2, samples=40_000, online=online, rng=0
    ).model
    assert "KL" in repr(rejection_sampling(model, likes_a, 2, samples=5, rng=0))
    tokens.ENUMERABLE = 1000  # look at it; the fixture restores the limit
    np.testing.assert_allclose(written.probs, listed, atol=0.02)  # 5 sd, twice over


def test_offline_winners_of_all_rounds_are_kept(small: Callable[[], None]) -> None:
    small()
    model = bigram(TokenWorld(["?"], "abcdefgh", 1))
    film = rejection_sampling.iterates(model, likes_a, 2, rounds=5, samples=1, online=False, rng=3)
    wins = [
        k * np.array(list(found.model.next_token("?").values())) for k, found in enumerate(film, 1)
    ]
    steps = np.diff(np.round(wins, 9), axis=0)  # each round one winner more
    assert (np.sort(steps, axis=1)[:, -1] == 1).all()
    assert (steps.sum(axis=1) == 1).all()
    assert (wins[-1] > 0).sum() > 1


def test_votes_are_drawn_alike(small: Callable[[], None]) -> None:
    """Both ways have one distribution of pairs and of rankings; chi^2, false alarms 1e-5."""
    from scipy.stats import chi2_contingency

    world = TokenWorld(["?"], "ab", 1)
    model, n = LanguageModel(world, np.log([[0.12, 0.44, 0.44]])), 6000

    def pairs() -> Indices:
        votes = label_pairs(world, likes_a, model, n, rng=0)
        return np.asarray(np.bincount(votes.chosen * 3 + votes.rejected, minlength=9), np.intp)

    def ranked(k: int) -> Indices:
        votes = label_rankings(world, likes_a, model, n, k, rng=0)
        return np.asarray(np.bincount(votes.completions @ [9, 3, 1][:k], minlength=27), np.intp)

    listed = [pairs(), ranked(2), ranked(3)]
    small()
    for before, after in zip(listed, [pairs(), ranked(2), ranked(3)], strict=True):
        met = before + after > 0
        assert chi2_contingency(np.array([before, after])[:, met]).pvalue > 1e-5


@pytest.mark.parametrize("learner", [dpo, ipo, kto])
def test_direct_methods_know_one_way_only(
    learner: Callable[..., Any], small: Callable[[], None]
) -> None:
    model = bigram(TokenWorld(["?", "!"], "ab", 3))
    votes = label_pairs(model.world, likes_a, model, 60, rng=0)
    listed = learner(model, votes, iterations=30).logits
    small()
    np.testing.assert_array_equal(learner(model, votes, iterations=30).logits, listed)


def test_a_reward_model_of_texts_is_that_of_the_table() -> None:
    world = TokenWorld(["?", "!"], "ab", 3)
    votes = label_pairs(world, likes_a, LanguageModel(world), 300, rng=0)

    def counts(prompt: str, answer: str) -> Array:
        return np.array([answer.count(token) for token in world.vocabulary], dtype=np.float64)

    by_text = fit_reward_model(world, votes, features=counts, l2=1e-3)
    by_table = fit_reward_model(world, votes, features=token_counts(world), l2=1e-3)
    np.testing.assert_allclose(by_text.reward, by_table.reward, atol=1e-9)
    assert by_text("?", "ab$") == pytest.approx(by_table("?", "ab$"))
    assert reward_accuracy(by_text, votes) == reward_accuracy(by_table, votes)


# --- a large world ----------------------------------------------------------------------------


def test_numbers_of_answers_lead_there_and_back() -> None:
    rows = bigram(LARGE, 2).write(np.zeros(500, dtype=int), rng=0)
    numbers = LARGE.numbers_of(rows)
    np.testing.assert_array_equal(LARGE.tokens_of(numbers), rows)
    assert numbers.max() > 2**32
    assert [LARGE.completion(text) for text in LARGE.texts_of(rows)] == numbers.tolist()
    with pytest.raises(ValueError, match=r"at most 4.6e\+18 completions to be numbered; .* 10\^20"):
        TokenWorld(["?"], "abcdefghij", 20).completion("a$")


def test_a_policy_learner_climbs_to_what_can_be_known_of_a_large_world() -> None:
    """Each letter pays by itself, so that log Z follows backwards from the last token."""
    world, beta = TokenWorld(["?"], "abc", 14), 0.5
    pays = {"a": 0.3, "b": -0.2, "c": 0.0, "$": 0.0}
    reference = LanguageModel(world, context=0)

    def adds_up(prompt: str, answer: str) -> float:
        return sum(pays[token] for token in answer)

    log_z = 0.0  # of what is left to write, from the end backwards
    for _ in range(world.length):
        steps = [np.exp(pay / beta + log_z * (token != "$")) / 4 for token, pay in pays.items()]
        log_z = float(np.log(np.sum(steps)))
    learned = rloo(
        LanguageModel(world, context=0), adds_up, reference=reference, beta=beta,
        updates=150, alpha=0.2, group=64, rng=0,
    )  # fmt: skip
    found = estimate_objective(learned.model, reference, adds_up, beta, n=4000, rng=1)
    started = estimate_objective(reference, reference, adds_up, beta, n=4000, rng=1)
    gaps = [beta * log_z - estimate.J.mean for estimate in (found, started)]  # to J(p*)
    assert gaps[0] < 0.1 * gaps[1]
    assert gaps[0] > -5 * found.J.error  # nobody exceeds it


def test_the_three_steps_in_a_world_of_ten_to_the_eleven() -> None:
    corpus = [("the cat", "abc$"), ("the dog", "bbb$"), ("the cat", "bca$")]
    model = pretrain(LARGE, corpus, context=1, smoothing=1.0)
    model = sft(model, corpus, mix=corpus, mix_share=0.5)
    base = pretrain(LARGE, corpus, context=1, smoothing=2.0)
    votes = label_pairs(LARGE, likes_a, base, 400, beta=2.0, rng=0)
    reward = fit_reward_model(
        LARGE, votes, features=lambda x, y: [y.count("a"), y.count("b"), len(y)], l2=1e-3
    )
    assert np.abs(reward.weights / 2 - [1, -0.5, -0.2]).max() < 0.2
    assert reward_accuracy(reward, votes) > 0.75
    before = estimate_objective(base, base, likes_a, 0.3, rng=0)
    tuned = {
        "ppo": ppo(base, reward, reference=base, beta=0.3, alpha=0.5, updates=30, rng=0).model,
        "dpo": dpo(base, votes, beta=0.3, iterations=200).model,
        "kto": kto(base, votes, beta=0.3, iterations=200).model,
    }
    for name, learned in tuned.items():
        after = estimate_objective(learned, base, likes_a, 0.3, rng=0)
        assert after.reward.mean > before.reward.mean + 0.3, name
        assert 0 < after.kl < np.inf
    assert sample_best_of_n(base, reward, "the cat", 50, rng=0).count("a") > 1
    assert beam_search(base, "the cat", width=50, guide=reward, weight=5.0).best.count("a") > 3
    assert margins(tuned["dpo"], base, votes).mean() > 0
    unseen = [tuple(row) for row in zip(votes.prompt, votes.chosen, strict=True)]
    assert reward.scores(*np.array(unseen[:3]).T).shape == (3,)


def test_a_free_table_knows_what_was_shown() -> None:
    votes = Pairs.from_texts(LARGE, [("the cat", "ab$", "ba$")] * 3 + [("the cat", "ba$", "ab$")])
    fitted = fit_reward_model(LARGE, votes)
    assert fitted("the cat", "ab$") - fitted("the cat", "ba$") == pytest.approx(np.log(3))
    assert fitted("the dog", "ab$") == fitted("the cat", "aaaa$") == 0
    assert votes.texts[0] == ("the cat", "ab$", "ba$")
    ranked = Rankings.from_texts(LARGE, [("the cat", "ab$", ("ba$", "c$"))])
    assert not fit_reward_model(LARGE, ranked).exists
    with pytest.raises(ValueError, match=r"at most 1,000,000 completions .* it has 157,"):
        _ = fitted.reward


def test_expectations_by_samples() -> None:
    world = TokenWorld(["?", "!"], "ab", 2)
    model, R = bigram(world), np.random.default_rng(0).normal(size=(2, 7))

    def spread(x: int, y: Indices) -> Any:
        return [R[x, y].var(), R[x, y].mean()]

    exact = expectation_of(spread, world, model, n=3)
    drawn = expectation_of(spread, world, model, n=3, samples=4000, rng=0)
    assert (exact.error == 0).all()
    assert (np.abs(drawn.mean - exact.mean) < 5 * drawn.error).all()  # false alarms 1e-6
    np.testing.assert_allclose(drawn.variance, exact.variance, rtol=0.2)
    found = expectation_of(lambda x, y: len(y), LARGE, bigram(LARGE), n=2, samples=3, rng=0)
    assert (float(found.mean), float(found.variance)) == (2.0, 0.0)
    with pytest.raises(TypeError, match="model must be a LanguageModel that can write samples"):
        expectation_of(spread, world, model.probs, n=2, samples=3)


REFUSED: dict[str, Callable[[LanguageModel], object]] = {
    "best_of_n": lambda m: best_of_n(m, likes_a, 2),
    "regularised_optimum": lambda m: regularised_optimum(m, likes_a, 1.0),
    "policy_gradient": lambda m: policy_gradient(m, likes_a, updates=1),
    "objective": lambda m: objective(m, m, likes_a, 1.0),
    "distill": lambda m: distill(m, m),
    "self_improvement": lambda m: self_improvement(m, likes_a),
    "rejection_sampling": lambda m: rejection_sampling(m, likes_a, 2),
    "overoptimisation": lambda m: overoptimisation(m, likes_a, likes_a),
    "expectation_of": lambda m: expectation_of(lambda x, y: 0.0, m.world, m, n=1),
    "tree": lambda m: LanguageModel(m.world),
    "J": lambda m: policy_gradient(m, likes_a, updates=1, samples=2, rng=0).J,
    "table": lambda m: ppo(m, np.zeros((2, 3)), updates=1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_all_answers_says_how_many_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"at most 1,000,000 completions .* it has 157,\d{3},"):
        REFUSED[name](bigram(LARGE))


def test_tables_of_pairs_are_refused_with_their_size() -> None:
    votes = label_pairs(LARGE, likes_a, bigram(LARGE), 5, rng=0)
    asked: list[Callable[[], object]] = [
        lambda: fit_preference_model(LARGE, votes),
        lambda: votes.weights,
    ]
    for refused in asked:
        with pytest.raises(ValueError, match=r"at most 20,000,000 pairs of answers .* it has"):
            refused()
    with pytest.raises(ValueError, match="context must leave at most 50,000,000 logits; 9 tokens"):
        LanguageModel(LARGE, context=9)
    mute = np.full((13, 9), -np.inf)
    mute[:, 0] = 0.0
    alone = LanguageModel(LARGE, mute, context=1)
    with pytest.raises(ValueError, match=r"model must have 2 answers to compare, .* 'the "):
        label_pairs(LARGE, likes_a, alone, 2, rng=0)
    with pytest.raises(ValueError, match=r"reward\('the .*\) must be finite; it is nan"):
        ppo(bigram(LARGE), lambda x, y: np.nan, updates=1, rng=0)


def test_estimators_work_in_large_worlds_too() -> None:
    model = bigram(LARGE)
    old = model.with_logits(model.logits + 0.1)
    for make in (group_gradient, ppo_gradient):
        estimator = make(model, likes_a, beta=0.1, old=old)
        found = expectation_of(estimator, LARGE, model, n=2, samples=3, rng=0)
        assert found.mean.shape == model.logits.shape
    mute = np.array(model.logits)
    mute[:, 2] = -np.inf
    with pytest.raises(ValueError, match=r"old must not give probability 0 .* 'c'"):
        group_gradient(model, likes_a, beta=0.1, old=model.with_logits(mute))
    with pytest.raises(ValueError, match=r"reference must not give probability 0 .* 'c'"):
        estimate_objective(model, model.with_logits(mute), likes_a, 0.1, n=5)
