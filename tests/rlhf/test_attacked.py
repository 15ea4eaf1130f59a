"""Wrong input of every kind, and numbers at the edge of what a float holds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from gridrl import plot
from gridrl.rlhf import (
    Corpus,
    GRPOTerms,
    LanguageModel,
    Pairs,
    PPOPlan,
    Rankings,
    TokenRewards,
    TokenWorld,
    accuracy_by_gap,
    adaptive_kl,
    as_tree,
    ask,
    beam_search,
    begin,
    best_of_n,
    best_of_n_law,
    bradley_terry_scores,
    cat_hat_world,
    compare,
    derivation,
    displacement,
    distill,
    dpo,
    expectation_of,
    fit_law,
    fit_preference_model,
    fit_reward_model,
    forward_kl_gradient,
    group_gradient,
    grpo,
    implied_reward,
    ipo,
    k3,
    kl,
    kl_gradient,
    kto,
    kto_loss,
    label_pairs,
    margins,
    mirror_descent,
    mixture,
    moments,
    move_world,
    nash_md,
    objective,
    optimality_gap,
    overoptimisation,
    perplexity,
    policy_gradient,
    ppo,
    ppo_gradient,
    pretrain,
    regularised_optimum,
    rejection_sampling,
    reward_accuracy,
    reward_calibration,
    reward_ceiling,
    rewards_to_come,
    sample_best_of_n,
    self_improvement,
    sentence_log_prob,
    sft,
    soft_values,
    thought_world,
    token_counts,
    win_rate,
    word_world,
)

WORLD = TokenWorld(["?", "!"], "ab", 2)
OTHER = LanguageModel(TokenWorld(["?", "!"], "cd", 2))  # as large, other words
TINY = TokenWorld(["?"], "a", 1)
RNG = np.random.default_rng(0)
R = RNG.normal(size=(2, 7))
MODEL = LanguageModel(WORLD, RNG.normal(size=(6, 3)))
REFERENCE = LanguageModel(WORLD, RNG.normal(size=(6, 3)))
PAIRS = Pairs(WORLD, [0, 0, 1, 1, 0, 1], [1, 2, 1, 2, 2, 0], [2, 1, 2, 1, 0, 1])
TEXTS = [("?", "a$"), ("!", "bb")]
NANS = np.full((2, 7), np.nan)
NAN = float("nan")
Call = Callable[[], object]


def two(*votes: float) -> LanguageModel:
    return LanguageModel(TINY, [votes])


# --- refused, and named -----------------------------------------------------------------------

ANOTHER_WORLD: dict[str, Call] = {
    "pretrain": lambda: pretrain(WORLD, TEXTS, prior=OTHER),
    "group_gradient": lambda: group_gradient(MODEL, R, beta=0.1, old=OTHER),
    "ppo_gradient": lambda: ppo_gradient(MODEL, R, beta=0.1, old=OTHER),
    "moments": lambda: moments(k3, OTHER, MODEL),
    "kl_gradient": lambda: kl_gradient(MODEL, OTHER),
    "forward_kl_gradient": lambda: forward_kl_gradient(MODEL, OTHER),
    "implied_reward": lambda: implied_reward(OTHER, MODEL, 1.0),
    "expectation_of": lambda: expectation_of(lambda x, y: 1.0, WORLD, OTHER, n=1),
    "distill": lambda: distill(MODEL, OTHER),
    "reward_accuracy": lambda: reward_accuracy(
        fit_reward_model(WORLD, PAIRS, l2=0.1), Pairs(OTHER.world, [0], [1], [2])
    ),
    "margins": lambda: margins(MODEL, OTHER, PAIRS),
}


@pytest.mark.parametrize("name", ANOTHER_WORLD)
def test_models_of_another_world_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be of the same world"):
        ANOTHER_WORLD[name]()


NO_MODEL: dict[str, Call] = {
    "sft": lambda: sft(None, TEXTS),  # type: ignore[arg-type]
    "perplexity": lambda: perplexity(None, TEXTS),  # type: ignore[arg-type]
    "best_of_n": lambda: best_of_n(None, R, 2),  # type: ignore[arg-type]
    "beam_search": lambda: beam_search(None, "?", width=2),  # type: ignore[arg-type]
    "rejection_sampling": lambda: rejection_sampling(3, R, 2),  # type: ignore[arg-type]
    "self_improvement": lambda: self_improvement(3, R),  # type: ignore[arg-type]
    "objective": lambda: objective(MODEL, None, R, 1.0),  # type: ignore[arg-type]
    "optimum": lambda: regularised_optimum(None, R, 1.0),  # type: ignore[arg-type]
    "soft_values": lambda: soft_values("?", R, 1.0),  # type: ignore[arg-type]
    "derivation": lambda: derivation(MODEL, None, R, 1.0),  # type: ignore[arg-type]
    "dpo": lambda: dpo(None, PAIRS),  # type: ignore[arg-type]
    "dpo's reference": lambda: dpo(MODEL, PAIRS, reference=3),  # type: ignore[arg-type]
    "displacement": lambda: displacement(None, "?", "$", "a$"),  # type: ignore[arg-type]
    "label_pairs": lambda: label_pairs(WORLD, R, None, 3),  # type: ignore[arg-type]
    "distill": lambda: distill(None, MODEL),  # type: ignore[arg-type]
    "prior": lambda: pretrain(WORLD, TEXTS, prior=5),  # type: ignore[arg-type]
    "sentence": lambda: sentence_log_prob(None, "?a$"),  # type: ignore[arg-type]
    "kl_gradient": lambda: kl_gradient(MODEL.probs, MODEL),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", NO_MODEL)
def test_what_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=r"must be a LanguageModel( or None)?; it is"):
        NO_MODEL[name]()


NOT_A_NUMBER: dict[str, Call] = {
    "kl": lambda: kl(NANS, MODEL),
    "objective": lambda: objective(NANS, MODEL, R, 0.5),
    "gap": lambda: optimality_gap(NANS, MODEL, R, 0.5),
    "implied": lambda: implied_reward(NANS, MODEL, 0.5),
    "moments": lambda: moments(k3, NANS, MODEL),
    "win_rate": lambda: win_rate([[NAN, 1.0]], [[0.5, 0.5]], [[0.0, 1.0]]),
    "win_rate's reward": lambda: win_rate([[0.5, 0.5]], [[0.5, 0.5]], [[0.0, np.inf]]),
    "expectation": lambda: expectation_of(lambda x, y: 1.0, WORLD, NANS, n=1),
    "best": lambda: sample_best_of_n(MODEL, lambda x, y: NAN, "?", 2, rng=0),
    "beam": lambda: beam_search(MODEL, "?", width=2, guide=lambda x, y: NAN),
    "reward": lambda: ppo(MODEL, lambda x, y: NAN, updates=1),
    "fit_law": lambda: fit_law(best_of_n_law, [0.0, 1.0, 2.0], [0.0, NAN, 1.0]),
    "scale": lambda: grpo(
        MODEL, R, updates=1, rng=0, terms=GRPOTerms(scale=lambda r, a: r[..., :1] * NAN)
    ),
    "estimator": lambda: moments(lambda p, q: p * NAN, MODEL, MODEL),
}


@pytest.mark.parametrize("name", NOT_A_NUMBER)
def test_nan_is_not_handed_on(name: str) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        NOT_A_NUMBER[name]()


REFUSED: list[tuple[Call, type[Exception], str]] = [
    (lambda: pretrain(WORLD, TEXTS, context=1, prior=MODEL), ValueError, "context of the model, 1"),
    (lambda: kl([["0.5", "0.5"]], [[0.5, 0.5]]), TypeError, "p must hold real numbers"),
    (
        lambda: forward_kl_gradient(two(-np.inf, 0.0), two(0.0, 0.0)),
        ValueError, "model must not give probability 0 .* 'a'",
    ),
    (
        lambda: group_gradient(two(0.0, 0.0), [[0.0, 1.0]], beta=0.0, old=two(0.0, -np.inf)),
        ValueError, r"old must not give probability 0 .* '\$'",
    ),
    (lambda: fit_law(best_of_n_law, [1, 2, 3], [1, 2, 3]), ValueError, "begin with the reference"),
    (
        lambda: sentence_log_prob(LanguageModel(TokenWorld(["the cat"], ["eats", "fish"], 3)),
                                  "the catfish $"),
        ValueError, "sentence must begin with a prompt",
    ),
    (lambda: reward_accuracy(R, np.zeros((2, 7, 7))), ValueError, "at least one vote"),
    (lambda: reward_accuracy(R, -np.ones((2, 7, 7))), ValueError, "must not be negative"),
    (lambda: reward_ceiling(np.zeros((2, 7))), ValueError, r"shape \(P, N, N\)"),
    (lambda: accuracy_by_gap(R, PAIRS, [2.0, 1.0]), ValueError, "edges must be two numbers"),
    (
        lambda: Corpus(WORLD, np.array([0, -1]), np.array([[0, 2], [1, 1]]), np.ones(2)),
        ValueError, r"prompts\[1\] must be in 0..1",
    ),
    (
        lambda: Corpus(WORLD, np.array([0, 1]), np.array([[2, 0], [1, 1]]), np.ones(2)),
        ValueError, r"tokens\[0\] must be an answer, -1 after its end",
    ),
    (lambda: Corpus(WORLD, np.array([0]), np.array([[-1, 0]]), np.ones(1)), ValueError, "answer"),
    (lambda: Corpus(WORLD, np.array([0]), np.array([[0, -1]]), np.ones(1)), ValueError, "answer"),
    (lambda: MODEL.write([-1]), ValueError, r"prompts\[0\] must be in 0..1"),
    (lambda: MODEL.write([[0]]), ValueError, r"prompts must have shape \(B,\)"),
    (
        lambda: policy_gradient(MODEL, R * 1e8, beta=0.0, alpha=1e302, updates=9),
        ValueError, "alpha must be smaller",
    ),
    (
        lambda: dpo(MODEL, PAIRS, iterations=3, rule=lambda g, m, s, t: (g * NAN, m, s)),
        ValueError, "alpha must be smaller",
    ),
    (
        lambda: ppo(MODEL, R, updates=2, rng=0, plan=PPOPlan(control=lambda b, k: -b)),
        ValueError, r"control\(beta, KL\) must not be negative",
    ),
    (lambda: moments(lambda p, q: None, MODEL, MODEL), TypeError, "estimator must give numbers"),
    (lambda: LanguageModel(WORLD, context=30), ValueError, "context must leave at most"),
    (lambda: TokenWorld(None, "ab", 2), TypeError, "prompts must be a sequence"),  # type: ignore[arg-type]
    (lambda: TokenWorld(["?"], ["a\tb", "c"], 2), ValueError, r"vocabulary\[0\] must be a word"),
    (lambda: TokenWorld(["?"], ["$", "a", "$"], 2), ValueError, "must not be given twice"),
    (lambda: WORLD.completion(None), TypeError, "completion must be a sequence"),  # type: ignore[arg-type]
    (lambda: WORLD.text([9]), ValueError, "token must be in 0..2; it is 9"),
    (lambda: WORLD.text([-1]), ValueError, "token must be in 0..2; it is -1"),
    (lambda: LanguageModel(TINY, [["1", "0"]]), TypeError, "logits must hold real numbers"),
    (lambda: LanguageModel(TINY, [[1.0], [0.0, 1.0]]), ValueError, "rectangular table"),
    (lambda: best_of_n(MODEL, lambda x, y: None, 2), TypeError, r"reward\('\?', '\$'\) must"),  # type: ignore[arg-type,return-value]
    (lambda: best_of_n(MODEL, lambda x, y: "3", 2), TypeError, "must be a number"),  # type: ignore[arg-type,return-value]
    (lambda: overoptimisation(MODEL, R, [[1.0]]), ValueError, "proxy must have shape"),
    (lambda: self_improvement(MODEL, [[1.0]]), ValueError, "success must have shape"),
    (lambda: PAIRS.take([99]), ValueError, r"which\[0\] must be in 0..5"),
    (lambda: PAIRS.take([True]), ValueError, r"which must have shape \(6,\) as a mask"),
    (lambda: margins(MODEL, MODEL, np.ones((2, 7, 7))), TypeError, "votes must be Pairs"),  # type: ignore[arg-type]
    (lambda: dpo(MODEL, Rankings(WORLD, [0], [[0, 1, 2]])), TypeError, r"such as its .pairs\(\)"),  # type: ignore[arg-type]
    (lambda: kto_loss(0.0, True, 1.0, weights=(1.0,)), ValueError, "weights must be two"),  # type: ignore[arg-type]
    (lambda: mirror_descent([[0.5]], [1.0], step=None), TypeError, "step must be a number"),  # type: ignore[arg-type]
    (lambda: mixture(WORLD, {"a": TEXTS}, {}), ValueError, "shares must hold at least one"),
    (lambda: begin(word_world(3), smoothing=0), ValueError, "smoothing must be above 0"),
    (lambda: begin(word_world(3), beta=0), ValueError, "beta must be above 0"),
    (lambda: compare(word_world(3), rng=-1), ValueError, "rng must be at least 0"),
    (lambda: ppo(MODEL, R, plan=0), TypeError, "plan must be a PPOPlan"),  # type: ignore[arg-type]
    (lambda: grpo(MODEL, R, terms=GRPOTerms), TypeError, "terms must be GRPOTerms"),  # type: ignore[arg-type]
    (lambda: GRPOTerms(baseline=None), TypeError, "baseline must be a function"),  # type: ignore[arg-type]
    (lambda: PPOPlan(control=3), TypeError, "control must be a function"),  # type: ignore[arg-type]
    (lambda: dpo(MODEL, PAIRS, rule=0), TypeError, "rule must be a function"),  # type: ignore[arg-type]
    (lambda: expectation_of(3, WORLD, MODEL, n=1), TypeError, "estimator must be a function"),  # type: ignore[arg-type]
    (lambda: move_world().reward("2", "fly $"), ValueError, "answer must be of .*; it has 'fly'"),
    (lambda: rejection_sampling(MODEL, R, 2, samples=2, rng=-1), ValueError, "rng must be at"),
    (lambda: WORLD.tokens_of([99]), ValueError, r"completions\[0\] must be in 0..6; it is 99"),
    (lambda: WORLD.tokens_of([1.7]), TypeError, "completions must hold whole numbers"),
    (lambda: WORLD.numbers_of([[0]]), ValueError, r"tokens must have shape \(..., 2\)"),
    (lambda: ppo(MODEL, [[1, 2], [1]], updates=1), ValueError, "reward must be a rectangular"),
    (lambda: ppo(MODEL, np.zeros((0, 2, 7)), updates=1), ValueError, "reward must have shape"),
    (lambda: ppo(MODEL, R, updates=1, rng=0).run(5), ValueError, "k must be in 0..0; it is 5"),
    (
        lambda: group_gradient(MODEL, np.stack([R, R]), beta=0.1),
        ValueError, r"reward must have shape \(2, 7\); it has \(2, 2, 7\)",
    ),
    (lambda: ppo_gradient(MODEL, R, beta=0.1, values=[1.0] * 5), ValueError, "values must have sh"),
    (
        lambda: Corpus(WORLD, np.array([0]), np.array([[6, 0]]), np.ones(1)),
        ValueError, r"tokens\[0, 0\] must be in -1..2; it is 6",
    ),
    (lambda: compare(word_world(3), votes=0), ValueError, "votes must be at least 1"),
    (lambda: plot.frontier(MODEL, R, {"?": OTHER}), ValueError, "must be of the same world"),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_wrong_input_is_named(k: int) -> None:
    call, error, message = REFUSED[k]
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(error, match=message):
        call()


# --- the edge of what a float holds -------------------------------------------------------------


def test_who_wrote_the_answers_may_know_other_contexts() -> None:
    """Importance ratios are those of the answers' writer, whatever its contexts are."""
    old = LanguageModel(WORLD, context=1)
    old = old.with_logits(np.random.default_rng(5).normal(size=old.logits.shape))
    terms = GRPOTerms(scale=None, penalty=None, epsilon=1.0)
    by_tree, by_bigram = (
        group_gradient(MODEL, R, beta=0.0, old=writer, terms=terms)(0, [3, 4, 6])
        for writer in (as_tree(old), old)
    )
    np.testing.assert_allclose(by_bigram, by_tree, atol=1e-14)


def test_a_divergence_is_infinite_where_the_probability_underflows() -> None:
    far, never = two(1000.0, 0.0), two(0.0, -np.inf)
    assert kl(far, never) == np.inf
    assert objective(far, never, [[0.0, 1.0]], 1.0) == -np.inf
    assert kl(two(0.0, 0.0), far) == pytest.approx(500 - np.log(2))


def test_kto_learns_from_a_far_reference() -> None:
    far = two(1000.0, 0.0)
    learned = kto(two(0.0, 0.0), Pairs(TINY, [0], [1], [0]), reference=far, beta=1e-3)
    assert learned.probs[0, 1] > 0.9


def test_bradley_terry_settles_at_ninety_nine_to_one() -> None:
    scores = bradley_terry_scores([[0.5, 0.01], [0.99, 0.5]])
    np.testing.assert_allclose(scores, [-np.log(99) / 2, np.log(99) / 2], rtol=1e-9)
    r = np.array([0.0, 6.0, 12.0])
    np.testing.assert_allclose(bradley_terry_scores(expit(r[:, None] - r)), r - r.mean(), atol=1e-6)


def test_the_diagonal_of_votes_says_nothing() -> None:
    votes = np.zeros((2, 7, 7))
    votes[0, 0, 1], votes[0, 1, 0] = 3, 1
    full = votes.copy()
    full[0, 2, 2] = 96
    for M in (fit_preference_model(WORLD, w, smoothing=1) for w in (votes, full)):
        assert M[0, 0, 1] == pytest.approx(4 / 6)
    assert reward_accuracy(R, full) == reward_accuracy(R, votes)


def test_a_distilled_divergence_may_be_tiny() -> None:
    world = TokenWorld(["?"], "a", 2)
    teacher = LanguageModel(world, [[-600.0, 0.0], [0.0, 0.0]])
    found = distill(teacher, LanguageModel(world, context=0))
    assert 0 <= found.forward[0] < 1e-200


def test_k3_far_away_is_infinite_not_nan() -> None:
    assert k3(-1e4, 0.0) == np.inf
    sharp = MODEL.with_logits(MODEL.logits * 1000)
    with pytest.raises(ValueError, match="estimator must be finite"):
        moments(k3, sharp, MODEL)


def test_a_feature_s_unit_does_not_matter() -> None:
    F = np.concatenate([token_counts(WORLD), RNG.normal(size=(2, 7, 1))], axis=-1)
    small = F * np.array([1.0, 1.0, 1.0, 1e-8])
    found, again = (fit_reward_model(WORLD, PAIRS, features=f) for f in (F, small))
    assert again.loss == pytest.approx(found.loss, rel=1e-9)
    gap, gap_again = (m.reward - m.reward[:, :1] for m in (found, again))
    np.testing.assert_allclose(gap_again, gap, atol=1e-6)


def test_one_huge_penalty_makes_no_ties() -> None:
    model = LanguageModel(TokenWorld(["?"], "ab", 1))
    found, plain = (
        best_of_n(model, [[low, 0.0, 1.0]], 2).probs for low in (-1e12, -1.0)
    )  # fmt: skip
    np.testing.assert_allclose(found, plain, atol=1e-12)
    near = best_of_n(model, [[0.0, 0.1 + 0.2, 0.3]], 2).probs[0]  # these do tie
    assert near[1] == pytest.approx(near[2])


@pytest.mark.parametrize("beta", [1e3, 1e8, 1e12])
def test_the_value_keeps_its_digits_for_a_large_beta(beta: float) -> None:
    """beta log E_p[exp(R / beta)] = E[R] + Var[R] / (2 beta) + ..., the next term below 1e-7."""
    p = REFERENCE.probs
    mean = (p * R).sum(axis=1)
    spread = (p * R**2).sum(axis=1) - mean**2
    value = regularised_optimum(REFERENCE, R, beta).value
    assert value == pytest.approx((mean + spread / (2 * beta)).mean(), abs=1e-6)


def test_perplexity_may_be_infinite() -> None:
    assert perplexity(two(0.0, 2000.0), [("?", "a")]) == np.inf


def test_worlds_beyond_all_numbers_can_be_shown() -> None:
    huge = TokenWorld(["?"], "ab", 20_000)
    assert "about 10^6021 completions" in repr(huge)
    assert not huge.enumerable
    assert "10^6021" in repr(LanguageModel(huge, context=1))
    with pytest.raises(ValueError, match=r"it has about 10\^6021"):
        huge.must_be_enumerable()
    assert "10^300" in repr(TokenWorld(["?"], "ab", 10**3)).replace("301", "300")


def test_temperatures_near_zero_are_greedy() -> None:
    assert two(0.0, 1e3).sample("?", 3, temperature=1e-300, rng=0) == ("$",) * 3


def test_calibration_counts_ties_half() -> None:
    tie = Pairs(TINY, [0], [0], [1])
    assert reward_accuracy([[0.1 + 0.2, 0.3]], tie) == 0.5
    assert reward_calibration([[0.3, 0.3]], tie, bins=2).observed.tolist() == [0.5]


# --- copies ---------------------------------------------------------------------------------------


STORIES: dict[str, Callable[[], Any]] = {
    "words": lambda: word_world(3), "moves": move_world, "hat": cat_hat_world,
    "thought": thought_world,
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_stories_travel(name: str) -> None:
    story = STORIES[name]()
    twin = pickle.loads(pickle.dumps(story))
    x = story.world.prompts[0]
    answers = story.world.texts[:50]
    assert [twin.reward(x, y) for y in answers] == [story.reward(x, y) for y in answers]
    assert twin.corpora == story.corpora
    with pytest.raises(TypeError):
        twin.corpora["web"] = ()


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_are_locked_too(twin: Callable[[Any], Any]) -> None:
    begun = begin(word_world(3))
    values = [
        MODEL, WORLD, MODEL.tables, begun, ask(begun, 50, 0), adaptive_kl(1.0),
        PPOPlan(control=adaptive_kl(1.0)), TokenRewards(np.zeros((2, 3, 3)), rewards_to_come),
        beam_search(MODEL, "?", width=2), ppo(MODEL, R, updates=1, rng=0),
        dpo(MODEL, [PAIRS, PAIRS], iterations=1), rejection_sampling(MODEL, R, 2),
        fit_reward_model(WORLD, PAIRS, l2=0.1), nash_md([[0.5]], [1.0], tau=1.0, iterations=1),
    ]  # fmt: skip
    for value in values:
        copied = twin(value)
        for name, part in getattr(copied, "__dict__", {}).items():
            if isinstance(part, np.ndarray):
                assert not part.flags.writeable, (type(value), name)
    other = twin(MODEL)
    np.testing.assert_array_equal(other.probs, MODEL.probs)


def test_a_corpus_leaves_its_caller_s_arrays_alone() -> None:
    prompts = np.array([0, 1])
    Corpus(WORLD, prompts, np.array([[0, 2], [1, 1]]), np.ones(2))
    prompts[0] = 1


def test_the_learner_of_a_list_of_votes_has_an_axis() -> None:
    assert ipo(MODEL, [PAIRS], iterations=2).probs.shape == (1, 2, 7)


@pytest.mark.parametrize("length", [1, 8])  # of the larger world no table of pairs would fit
def test_texts_where_votes_belong(length: int) -> None:
    world = TokenWorld(["?"], "abc", length)
    texts: Any = [("?", "a$", "b$")]
    with pytest.raises(TypeError, match=r"texts become votes by Pairs\.from_texts"):
        dpo(LanguageModel(world), texts, beta=0.1)
    with pytest.raises(TypeError, match=r"texts become votes by Pairs\.from_texts"):
        fit_reward_model(world, texts)
