"""The language model: sums over the tree, gradients, and samples that follow it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import chi2

from gridrl.planning import expected_return
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from tests.rlhf.strategies import models, rewarded

WORLD = TokenWorld(["?", "a?"], "ab", 3)
CONTEXTS: tuple[str | int, ...] = ("prefix", 0, 1, 2)


def random_model(context: str | int, seed: int = 0) -> LanguageModel:
    blank = LanguageModel(WORLD, context=context)
    return blank.with_logits(np.random.default_rng(seed).normal(size=blank.logits.shape))


@given(models())
def test_probabilities_sum_to_1_and_agree_with_log_prob(model: LanguageModel) -> None:
    assert np.abs(model.probs.sum(axis=1) - 1).max() < 1e-12
    for x, prompt in enumerate(model.world.prompts):
        for y, text in enumerate(model.world.texts):
            assert abs(model.log_prob(prompt, text) - model.log_probs[x, y]) < 1e-12


@given(models())
def test_an_unfinished_text_has_the_probability_of_all_that_begin_so(model: LanguageModel) -> None:
    for x, prompt in enumerate(model.world.prompts):
        for row in model.world.prefixes:
            begun = model.world.text(row[row >= 0])
            total = sum(
                p
                for p, text in zip(model.probs[x], model.world.texts, strict=True)
                if text.startswith(begun)
            )
            assert abs(np.exp(model.log_prob(prompt, begun)) - total) < 1e-12


@given(models())
def test_log_prob_is_the_sum_of_next_tokens(model: LanguageModel) -> None:
    prompt, text = model.world.prompts[-1], model.world.texts[-1]
    product = 1.0
    for k, token in enumerate(text):
        product *= model.next_token(prompt, text[:k])[token]
    assert abs(np.log(product) - model.log_prob(prompt, text)) < 1e-12


@settings(max_examples=50)
@given(rewarded(CONTEXTS))
def test_the_mdp_agrees(case: Any) -> None:
    model, R = case
    mean = (model.probs * R).sum(axis=1).mean()
    assert abs(expected_return(model.world.mdp(R), model.policy) - mean) < 1e-9


@settings(max_examples=50)
@given(rewarded(CONTEXTS))
def test_flow_is_the_adjoint_of_along(case: Any) -> None:
    model, weights = case
    tables = model.tables
    steps = np.random.default_rng(1).normal(size=tables.flow(weights).shape)
    left, right = (weights * tables.along(steps)).sum(), (tables.flow(weights) * steps).sum()
    assert abs(left - right) < 1e-9


@settings(max_examples=50)
@given(rewarded(CONTEXTS))
def test_the_gradient_is_that_of_differences(case: Any) -> None:
    model, weights = case
    direction, h = np.random.default_rng(1).normal(size=model.logits.shape), 1e-5
    ahead, behind = (
        (weights * model.with_logits(model.logits + e * direction).log_probs).sum() for e in (h, -h)
    )
    gradient = model.tables.gradient(model.logits, weights)
    scale = 1 + np.abs(weights).sum()
    assert abs((ahead - behind) / (2 * h) - (gradient * direction).sum()) < 1e-7 * scale


@pytest.mark.parametrize("context", CONTEXTS)
def test_runs_are_each_as_if_alone(context: str | int) -> None:
    several = [random_model(context, seed) for seed in range(3)]
    tables, theta = several[0].tables, np.stack([m.logits for m in several])
    weights = np.random.default_rng(9).normal(size=(3, 2, 15))
    together = tables.gradient(theta, weights)
    assert np.abs(tables.log_probs(theta) - [m.log_probs for m in several]).max() < 1e-13
    for k, model in enumerate(several):
        alone = tables.gradient(model.logits, weights[k])
        assert np.abs(together[k] - alone).max() < 1e-13


def test_a_bigram_model_shares_and_a_tree_does_not() -> None:
    tree, bigram = LanguageModel(WORLD), LanguageModel(WORLD, context=1)
    assert len(np.unique(tree.tables.contexts)) == tree.tables.contexts.size
    assert (bigram.tables.contexts[0, 1:] == bigram.tables.contexts[1, 1:]).all()
    assert bigram.tables.contexts[0, 0] == bigram.tables.contexts[1, 0]  # both prompts end with ?
    assert LanguageModel(WORLD, context=0).logits.shape == (1, 3)


def test_two_tokens_back_reach_into_the_prompt() -> None:
    model = random_model(2)
    assert model.next_token("?", "") != model.next_token("a?", "")
    assert model.next_token("?", "ab") == model.next_token("a?", "ab")


def test_words_of_a_prompt_may_be_none_of_the_tokens() -> None:
    world = TokenWorld(["the cat", "the dog"], ["eats", "sleeps"], 2)
    model = LanguageModel(world, context=1)
    assert model.logits.shape == (7, 3)  # nothing, eats, sleeps, $, the, cat, dog
    assert len(set(model.tables.contexts[:, 0].tolist())) == 2


# --- chance -----------------------------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
def test_samples_follow_the_enumerated_distribution(context: str | int) -> None:
    model, n = random_model(context), 20_000
    for x, prompt in enumerate(WORLD.prompts):
        texts = model.sample(prompt, n, rng=7)
        counts = np.bincount([WORLD.completion(t) for t in texts], minlength=WORLD.n_completions)
        statistic = ((counts - n * model.probs[x]) ** 2 / (n * model.probs[x])).sum()
        assert statistic < chi2.ppf(1 - 1e-6, 14)  # a false alarm once in 10^6, eight tests


def test_temperature() -> None:
    model = random_model("prefix")
    hot = LanguageModel(WORLD, model.logits / 0.5)
    cold = model.sample("?", 20_000, temperature=0.5, rng=1)
    counts = np.bincount([WORLD.completion(t) for t in cold], minlength=15)
    expected = 20_000 * hot.probs[0]
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-6, 14)  # once in 10^6
    greedy = {model.generate("?", temperature=0, rng=seed) for seed in range(5)}
    assert len(greedy) == 1
    text = greedy.pop()
    for k, token in enumerate(text):
        chances = model.next_token("?", text[:k])
        assert chances[token] == max(chances.values())


def test_a_world_too_large_to_enumerate_is_sampled() -> None:
    world = TokenWorld(["?"], "abcdefghij", 9)
    model = LanguageModel(world, context=1)
    texts = model.sample("?", 4000, rng=0)
    ended = np.mean([text == "$" for text in texts])
    assert abs(ended - 1 / 11) < 5 * np.sqrt(10 / 121 / 4000)  # five sigma: once in 10^6
    assert abs(model.log_prob("?", "$") + np.log(11)) < 1e-12
    with pytest.raises(ValueError, match="sample instead"):
        _ = model.probs


def test_the_same_seed_writes_the_same() -> None:
    model = random_model(1)
    assert model.sample("?", 50, rng=3) == model.sample("?", 50, rng=3)
    assert model.sample("?", 50, rng=3) != model.sample("?", 50, rng=4)


def test_a_token_never_written_has_probability_0_and_no_nan() -> None:
    logits = np.zeros((14, 3))
    logits[:, 0] = -np.inf
    model = LanguageModel(WORLD, logits)
    assert model.distribution("?")[WORLD.completion("a$")] == 0
    assert not any("a" in text for text in model.sample("?", 500, rng=0))
    gradient = model.tables.gradient(model.logits, model.probs)
    assert np.abs(gradient).max() < 1e-15  # E[d log pi] = 0


def test_a_model_survives_pickling() -> None:
    model = random_model(1)
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.probs == model.probs).all()


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((3, 3)), r"logits must have shape \(14, 3\); it has \(3, 3\)"),
        (np.full((14, 3), np.nan), r"logits\[0, 0\] must be finite or -inf; it is nan"),
        (np.full((14, 3), np.inf), r"logits\[0, 0\] must be finite or -inf; it is inf"),
        (np.full((14, 3), -np.inf), r"logits\[0\] must leave a token to write"),
    ],
)
def test_logits_that_are_none(logits: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LanguageModel(WORLD, logits)


def test_other_bad_arguments() -> None:
    model = LanguageModel(WORLD)
    with pytest.raises(TypeError, match="world must be a TokenWorld; it is 'ab'"):
        LanguageModel("ab")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="context must be at least 0; it is -1"):
        LanguageModel(WORLD, context=-1)
    with pytest.raises(TypeError, match="context must be a whole number; it is 'tree'"):
        LanguageModel(WORLD, context="tree")
    with pytest.raises(ValueError, match="prompt must be one of"):
        model.sample("why", 3)
    with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
        model.sample("?", 0)
    with pytest.raises(ValueError, match="temperature must be in"):
        model.generate("?", temperature=-1)
    with pytest.raises(ValueError, match=r"prefix\[0\] must be one of a b \$; it is 'x'"):
        model.next_token("?", "x")
    for over in ("a$", "aba"):
        with pytest.raises(ValueError, match="prefix must not be at its end"):
            model.next_token("?", over)
