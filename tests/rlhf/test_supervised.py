"""Pretraining and imitation: counting is the optimum, and 1/|y| is another objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.pretraining import (
    Corpus,
    as_tree,
    mixture,
    pretrain,
    sentence_log_prob,
    token_counts,
)
from gridrl.rlhf.supervised import log_likelihood, perplexity, sft, teacher_forcing
from gridrl.rlhf.tokens import TokenWorld
from tests.rlhf.strategies import models

WORLD = TokenWorld(["?", "!"], "ab", 3)
SHOWN = [("?", "ab$"), ("?", "ab$"), ("?", "a$"), ("!", "bbb")]


def all_texts(model: LanguageModel, seed: int = 0) -> Corpus:
    """Each answer to each prompt, with a random weight."""
    world = model.world
    pairs = [(x, y) for x in world.prompts for y in world.texts]
    return Corpus.from_texts(world, pairs, np.random.default_rng(seed).exponential(size=len(pairs)))


# --- counting -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(models(("prefix",)))
def test_a_tree_becomes_the_empirical_distribution(model: LanguageModel) -> None:
    corpus = all_texts(model)
    data = corpus.shares / corpus.shares.sum(axis=1, keepdims=True)
    assert np.abs(sft(model, corpus).probs - data).max() < 1e-12
    assert np.abs(pretrain(model.world, corpus).probs - data).max() < 1e-12


@settings(max_examples=50)
@given(models(("prefix",)))
def test_length_normalised_is_the_data_over_its_length(model: LanguageModel) -> None:
    corpus = all_texts(model)
    data = corpus.shares / model.world.lengths
    learned = sft(model, corpus, length_normalised=True)
    assert np.abs(learned.probs - data / data.sum(axis=1, keepdims=True)).max() < 1e-12
    lengths = [float((m.probs * model.world.lengths).sum()) for m in (sft(model, corpus), learned)]
    assert lengths[1] <= lengths[0] + 1e-12
    assert model.world.length == 1 or lengths[1] < lengths[0]


@settings(max_examples=30)
@given(models())
def test_at_the_optimum_the_gradient_is_0_and_no_model_is_better(model: LanguageModel) -> None:
    corpus = all_texts(model)
    learned, rng = sft(model, corpus), np.random.default_rng(0)
    best = log_likelihood(learned, corpus)
    assert np.abs(learned.tables.gradient(learned.logits, corpus.shares)).max() < 1e-9
    for _ in range(5):
        noise = rng.normal(size=model.logits.shape)
        assert log_likelihood(model.with_logits(learned.logits + noise), corpus) <= best + 1e-12


@settings(max_examples=30)
@given(models())
def test_counts_one_by_one_are_those_of_the_tree(model: LanguageModel) -> None:
    corpus, tables = all_texts(model), model.tables
    by_tree = tables.gather(tables.flow(corpus.shares), model.logits.shape)
    assert np.abs(token_counts(model, corpus) - by_tree).max() < 1e-12


def test_log_likelihood_and_perplexity() -> None:
    model = LanguageModel(WORLD)
    expected = np.mean([model.log_prob(*text) for text in SHOWN])
    assert abs(log_likelihood(model, SHOWN) - expected) < 1e-12
    assert abs(perplexity(model, SHOWN) - 3) < 1e-12  # three tokens, all alike
    assert log_likelihood(sft(model, SHOWN), [("?", "b$")]) == -np.inf


def test_every_token_is_scored_the_first_and_the_end_token_too() -> None:
    model = LanguageModel(WORLD)
    counts = token_counts(model, Corpus.from_texts(WORLD, [("?", "ab$")]))
    assert counts.sum() == 3
    assert (counts[0, 0], counts[1, 1]) == (1, 1)
    assert counts[:, 2].sum() == 1


# --- where to start -----------------------------------------------------------------------------


def test_what_is_not_shown_stays_as_it_was() -> None:
    rng = np.random.default_rng(0)
    before = LanguageModel(WORLD, rng.normal(size=(14, 3)))
    after = sft(before, [("?", "a$")])
    assert after.distribution("?")[WORLD.completion("a$")] == 1
    assert np.abs(after.distribution("!") - before.distribution("!")).max() < 1e-12


def test_teacher_forcing_climbs_to_the_optimum() -> None:
    steps, alpha = 2000, 0.5  # at most 1 / L: a row's curvature is half its tokens, at most 3 / 2
    for context in ("prefix", 1):
        before = LanguageModel(WORLD, context=context)
        before = before.with_logits(np.random.default_rng(1).normal(size=before.logits.shape))
        corpus = all_texts(before)
        best = sft(before, corpus)
        path = list(teacher_forcing.iterates(before, corpus, steps=steps, alpha=alpha))
        heights = np.array([step.objective for step in path])
        assert (np.diff(heights) > -1e-12).all()
        way = best.logits - before.logits
        way = way - way.mean(axis=1, keepdims=True)  # a shift of a row changes nothing
        left = log_likelihood(best, corpus) - heights
        assert (left > -1e-12).all()
        promised = (way**2).sum() / (2 * alpha * np.arange(1, steps + 1))
        assert (left <= promised + 1e-12).all()


def test_one_step_of_teacher_forcing_is_the_gradient() -> None:
    before = LanguageModel(WORLD, np.random.default_rng(2).normal(size=(14, 3)))
    corpus = all_texts(before)
    for normalised in (False, True):
        weights = corpus.shares / corpus.weights.sum()
        weights = weights / WORLD.lengths if normalised else weights
        step = teacher_forcing(before, corpus, steps=1, alpha=0.1, length_normalised=normalised)
        gradient = before.tables.gradient(before.logits, weights)
        assert np.abs(step.model.logits - before.logits - 0.1 * gradient).max() < 1e-12


def test_pretraining_helps_when_little_is_shown() -> None:
    truth = LanguageModel(WORLD, np.random.default_rng(3).normal(size=(14, 3)))
    corpus = [(x, y) for x in WORLD.prompts for y in truth.sample(x, 500, rng=0)]
    few = corpus[:3]
    scratch = sft(LanguageModel(WORLD), few)
    tuned = teacher_forcing(pretrain(WORLD, corpus, smoothing=1), few, steps=2, alpha=0.1).model
    assert log_likelihood(scratch, corpus) == -np.inf
    assert log_likelihood(tuned, corpus) > log_likelihood(LanguageModel(WORLD), corpus)


# --- pretraining --------------------------------------------------------------------------------


def test_smoothing_counts_the_prior() -> None:
    model = pretrain(WORLD, [("?", "a$")], smoothing=3.0)
    assert model.next_token("?") == pytest.approx({"a": 2 / 4, "b": 1 / 4, "$": 1 / 4})
    bigram = pretrain(WORLD, SHOWN, context=1, smoothing=1.0)
    tree = pretrain(WORLD, [("?", "a$")], smoothing=2.0, prior=bigram)
    old = bigram.next_token("?")
    assert tree.next_token("?")["a"] == pytest.approx((1 + 2 * old["a"]) / 3)
    assert tree.next_token("!", "b") == pytest.approx(bigram.next_token("!", "b"))


@settings(max_examples=30)
@given(models())
def test_a_model_as_a_tree_is_the_same(model: LanguageModel) -> None:
    assert np.abs(as_tree(model).probs - model.probs).max() < 1e-12


def test_a_mixture_has_the_shares_it_should() -> None:
    corpora = {"books": [("?", "a$")], "web": [("?", "b$"), ("?", "$")] * 7}
    for share in (0.0, 0.25, 1.0):
        texts = mixture(WORLD, corpora, {"books": share, "web": 1 - share})
        assert pretrain(WORLD, texts).next_token("?")["a"] == pytest.approx(share)


def test_going_on_predicting_the_corpus_keeps_its_words() -> None:
    corpus = [("?", "bb$")] * 9 + [("?", "a$")]
    model = pretrain(WORLD, corpus)
    assert sft(model, [("?", "a$")]).next_token("?")["b"] == 0
    mixed = sft(model, [("?", "a$")], mix=corpus, mix_share=0.5)
    assert mixed.next_token("?")["b"] == pytest.approx(0.45)


def test_sentences_begin_with_the_longest_prompt() -> None:
    world = TokenWorld(["the", "the cat"], ["cat", "eats"], 2)
    model = pretrain(world, ["the cat eats $", ("the", "cat $")])
    assert model.next_token("the cat")["eats"] == 1
    assert sentence_log_prob(model, "the cat eats $") == pytest.approx(0.0)
    with pytest.raises(ValueError, match="sentence must begin with a prompt; it is 'a dog'"):
        sentence_log_prob(model, "a dog")


def test_a_large_world_is_pretrained_too() -> None:
    world = TokenWorld(["?"], "abcdefghij", 9)
    model = pretrain(world, [("?", "abcabcabc"), ("?", "ab$")], context=1)
    assert model.next_token("?", "ab") == pytest.approx(model.next_token("?", "b"))
    assert model.next_token("?", "b")["c"] == pytest.approx(3 / 4)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "texts must have at least one; it has none"),
        ([("why", "a$")], "prompt must be one of '\\?', '!'; it is 'why'"),
        ([("?", "a$"), ("?", "x$")], r"texts\[1\]\[0\] must be one of a b \$; it is 'x'"),
        ([("?", "aaaa")], r"texts\[0\] must have at most 3 tokens; it has 4: 'aaaa'"),
        ([("?", "a")], r"texts\[0\] must end with '\$' or have 3 tokens; it is 'a'"),
        (["ab$"], r"texts\[0\] must begin with a prompt; it is 'ab\$'"),
        ([("?", "a", "b")], r"texts\[0\] must be a prompt and a completion"),
    ],
)
def test_texts_that_are_none(texts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(WORLD, texts)
    with pytest.raises(ValueError, match=message):
        sft(LanguageModel(WORLD), texts)


def test_other_bad_arguments() -> None:
    model, other = LanguageModel(WORLD), TokenWorld(["?"], "ab", 2)
    with pytest.raises(ValueError, match="smoothing must be in"):
        pretrain(WORLD, SHOWN, smoothing=-1)
    with pytest.raises(
        ValueError, match=r"prior must have the context of the model, 0; it has 'prefix'"
    ):
        pretrain(TokenWorld(["?", "!"], "ab", 3), SHOWN, context=0, prior=model)
    with pytest.raises(ValueError, match=r"weights\[1\] must not be negative; it is -1"):
        Corpus.from_texts(WORLD, SHOWN, [1, -1, 1, 1])
    with pytest.raises(ValueError, match="weights must not all be 0"):
        Corpus.from_texts(WORLD, SHOWN, np.zeros(4))
    with pytest.raises(ValueError, match="demonstrations must be of the world"):
        sft(model, Corpus.from_texts(other, [("?", "a$")]))
    with pytest.raises(ValueError, match=r"mix must be given with mix_share; mix_share is 0\.5"):
        sft(model, SHOWN, mix_share=0.5)
    with pytest.raises(ValueError, match="shares must be of books; 'web' is none of them"):
        mixture(WORLD, {"books": SHOWN}, {"web": 1.0})
    with pytest.raises(ValueError, match=r"shares\['books'\] must be in"):
        mixture(WORLD, {"books": SHOWN}, {"books": -1.0})
    with pytest.raises(ValueError, match="steps must be at least 1; it is 0"):
        teacher_forcing(model, SHOWN, steps=0)
    with pytest.raises(ValueError, match="alpha must be positive; it is 0"):
        teacher_forcing(model, SHOWN, steps=1, alpha=0.0)
