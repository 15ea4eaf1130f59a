"""What an independent examination tripped over."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.rlhf import (
    LanguageModel,
    Pairs,
    TokenWorld,
    best_of_n,
    fit_reward_model,
    kl,
    kto,
    reward_accuracy,
)


def test_kto_says_so_where_its_kl_is_infinite_and_nothing_would_be_learned() -> None:
    world = TokenWorld(["?"], "ab", 2)
    narrow = LanguageModel(world, np.array([[0, -np.inf, 0], [0, 0, 0], [0, 0, 0]]))
    votes = Pairs.from_texts(world, [("?", "ab", "aa")])
    with pytest.raises(ValueError, match="reference must not give probability 0 to an answer"):
        kto(LanguageModel(world), votes, reference=narrow, iterations=5)


def test_a_token_may_end_like_the_end_token() -> None:
    model = LanguageModel(TokenWorld(["p"], ["US$", "b"], 3))
    assert model.next_token("p", "US$") == {"US$": 1 / 3, "b": 1 / 3, "$": 1 / 3}
    with pytest.raises(ValueError, match="prefix must not be at its end"):
        model.next_token("p", "b $")


def test_models_of_two_worlds_have_no_kl() -> None:
    one, other = (LanguageModel(TokenWorld(["?"], words, 2)) for words in ("ab", "cd"))
    with pytest.raises(ValueError, match="q must be of the same world"):
        kl(one, other)


def test_votes_are_rankings_by_name() -> None:
    world = TokenWorld(["?"], "ab", 1)
    votes = Pairs.from_texts(world, [("?", "a", "b"), ("?", "b", "$"), ("?", "$", "a")])
    assert fit_reward_model(world, rankings=votes, l2=0.1).reward.shape == (1, 3)


def test_what_rounding_cannot_tell_is_a_tie() -> None:
    world = TokenWorld(["?"], "ab", 1)
    reward = np.zeros((1, 3))
    reward[0, [world.completion("a"), world.completion("b")]] = 0.1 + 0.2, 0.3
    assert reward[0, world.completion("a")] != reward[0, world.completion("b")]
    both = Pairs.from_texts(world, [("?", "a", "b"), ("?", "a", "$")])
    assert reward_accuracy(reward, both) == 0.75


def test_the_best_of_one_is_no_nearer_than_the_model_itself() -> None:
    world = TokenWorld(["?", "!"], "abc", 3)
    model = LanguageModel(world, np.random.default_rng(0).normal(size=(26, 4)))
    found = best_of_n(model, np.random.default_rng(1).normal(size=(2, world.n_completions)), 1)
    assert (found.kl >= 0).all()
