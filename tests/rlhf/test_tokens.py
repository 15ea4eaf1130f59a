"""The world of tokens: numbers of answers, and the decision process it is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from gridrl.rlhf.tokens import TokenWorld
from tests.rlhf.strategies import worlds


@given(worlds())
def test_every_answer_is_listed_once_and_knows_its_number(world: TokenWorld) -> None:
    letters, L = world.vocabulary[:-1], world.length
    closed = {"".join(w) + "$" for k in range(L) for w in itertools.product(letters, repeat=k)}
    full = {"".join(w) for w in itertools.product(letters, repeat=L)}
    assert set(world.texts) == closed | full
    assert len(world.texts) == world.n_completions == len(closed | full)
    assert [world.completion(text) for text in world.texts] == list(range(world.n_completions))
    assert world.lengths.tolist() == [len(text) for text in world.texts]
    assert world.n_prefixes == len(closed) == len(world.prefixes)


@given(worlds())
def test_prefix_i_closed_is_completion_i(world: TokenWorld) -> None:
    for i, row in enumerate(world.prefixes):
        assert world.texts[i] == world.text(row[row >= 0]) + "$"


def test_levels_are_the_prefixes_by_their_length() -> None:
    world = TokenWorld(["?"], "ab", 3)
    assert [level.stop - level.start for level in world.levels] == [1, 2, 4]
    assert [(world.prefixes[level] >= 0).sum(axis=1).tolist() for level in world.levels] == [
        [0], [1, 1], [2, 2, 2, 2],
    ]  # fmt: skip


def test_words_are_read_with_spaces_and_letters_without() -> None:
    words, letters = TokenWorld(["?"], ["the", "cat"], 3), TokenWorld(["?"], "ab", 3)
    assert words.tokens("the cat $").tolist() == [0, 1, 2]
    assert words.text([0, 1, 2]) == "the cat $"
    assert letters.tokens("ab$").tolist() == [0, 1, 2]
    assert letters.completion(["a", "$"]) == letters.completion("a$")


def test_the_end_token_is_last_wherever_it_was_given() -> None:
    assert TokenWorld("?", ["!", "a"], 1, end="!").vocabulary == ("a", "!")


def test_rewards_of_a_function_and_of_a_table_agree() -> None:
    world = TokenWorld(["?", "!"], "ab", 2)
    by_text = world.rewards(lambda x, y: len(y) + (x == "!"))
    assert (by_text == world.lengths + np.array([[0], [1]])).all()
    assert (world.rewards(by_text) == by_text).all()


def test_the_mdp_pays_with_the_last_token_only() -> None:
    world = TokenWorld(["?", "!"], "ab", 2)
    R = np.arange(14.0).reshape(2, 7) + 1
    mdp = world.mdp(R)
    assert (mdp.n_states, mdp.n_actions) == (7, 3)
    paid = {(s, a): mdp.R[s, a] for s in range(7) for a in range(3) if mdp.R[s, a]}
    assert paid == {
        (0, 2): 1, (1, 2): 2, (2, 2): 3, (1, 0): 4, (1, 1): 5, (2, 0): 6, (2, 1): 7,
        (3, 2): 8, (4, 2): 9, (5, 2): 10, (4, 0): 11, (4, 1): 12, (5, 0): 13, (5, 1): 14,
    }  # fmt: skip
    assert mdp.labels[:4] == ("?|", "?|a", "?|b", "!|")
    assert np.flatnonzero(mdp.terminal).tolist() == [6]
    assert mdp.start[[0, 3]].tolist() == [0.5, 0.5]


def test_a_large_world_says_its_size() -> None:
    world = TokenWorld(["?"], "abcdefghij", 7)
    assert not world.enumerable
    for ask in (lambda: world.texts, lambda: world.mdp(lambda x, y: 0.0), world.must_be_enumerable):
        with pytest.raises(ValueError, match=r"at most 1,000,000 .* it has 11,111,111 \(sample"):
            ask()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "ab", 2), "prompts must have at least one"),
        ((["?", "?"], "ab", 2), r"prompts\[1\] must not be given twice; it is '\?'"),
        ((["?"], ["a", "a"], 2), r"vocabulary\[1\] must not be given twice"),
        ((["?"], ["a b"], 2), r"vocabulary\[0\] must be a word without spaces; it is 'a b'"),
        (([""], "ab", 2), r"prompts\[0\] must be .*; it is ''"),
        ((["?"], [], 2), "besides the end token"),
        ((["?"], "ab", 0), "length must be at least 1; it is 0"),
    ],
)
def test_worlds_that_are_none(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenWorld(*arguments)


def test_words_must_be_text() -> None:
    with pytest.raises(TypeError, match=r"prompts\[1\] must be a str; it is 3"):
        TokenWorld(["?", 3], "ab", 2)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x$", r"completion\[0\] must be one of a b \$; it is 'x'"),
        ("a$b", r"completion must stop at '\$'; it is 'a\$b'"),
        ("aaaa", "completion must have at most 3 tokens; it has 4: 'aaaa'"),
        ("a", r"completion must end with '\$' or have 3 tokens; it is 'a'"),
        ("", r"completion must end with '\$' or have 3 tokens; it is ''"),
    ],
)
def test_answers_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenWorld(["?"], "ab", 3).completion(text)


def test_an_unknown_prompt_and_a_reward_of_another_shape() -> None:
    world = TokenWorld(["?"], "ab", 3)
    with pytest.raises(ValueError, match="prompt must be one of '\\?'; it is 'why'"):
        world.completions("why")
    with pytest.raises(ValueError, match=r"reward must have shape \(1, 15\); it has \(1, 2\)"):
        world.rewards([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"reward\('\?', '\$'\) must be finite; it is inf"):
        world.rewards(lambda x, y: np.inf if y == "$" else 0.0)
