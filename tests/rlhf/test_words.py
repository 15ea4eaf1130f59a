"""The worlds of the story: what was read, what is liked, and what a bigram cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.rlhf.distillation import distill
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.pretraining import pretrain, sentence_log_prob
from gridrl.rlhf.rejection import self_improvement
from gridrl.rlhf.sampling import best_of_n
from gridrl.rlhf.supervised import sft
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.words import (
    Story,
    cat_hat_world,
    clip,
    clip_reward,
    grammatical,
    move_world,
    thought_world,
    word_world,
)
from gridrl.worlds import penguin_world

STORIES = (word_world(), move_world(), cat_hat_world(), thought_world())


@pytest.mark.parametrize("story", STORIES, ids=["words", "moves", "cat and hat", "thoughts"])
def test_a_story_can_be_read_and_shown(story: Story) -> None:
    model = pretrain(story.world, story.corpus, smoothing=0.1)
    tuned = sft(model, story.demonstrations)
    R = story.world.rewards(story.reward)
    before, after = ((m.probs * R).sum(axis=1).mean() for m in (model, tuned))
    assert np.isfinite(model.log_probs).all()
    assert after > before
    assert "texts" in repr(story)


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        ("eats fish $", True), ("eats the fish $", True), ("likes the ice $", True),
        ("is cold $", True), ("is not very big", True), ("is very cold $", True),
        ("$", False), ("eats $", False), ("is $", False), ("eats the $", False),
        ("is fish $", False), ("eats cold $", False), ("fish eats $", False),
        ("eats fish fish $", False), ("the the the the", False), ("is very not cold", False),
    ],
)  # fmt: skip
def test_grammar(answer: str, fine: bool) -> None:
    assert grammatical(answer) is fine
    assert (word_world().reward("the cat", answer) > 0) is fine


def test_pretrained_babbles_and_demonstrations_help() -> None:
    story = word_world()
    says = np.array([grammatical(y) for y in story.world.texts])
    model = pretrain(story.world, story.corpus)
    assert 0.3 < (model.probs * says).sum(axis=1).mean() < 0.7
    assert (sft(model, story.demonstrations).probs * says).sum(axis=1) == pytest.approx(1.0)
    assert best_of_n(model, story.reward, 16).reward.min() > 1.9


# --- moves --------------------------------------------------------------------------------------


def test_clips_are_where_the_moves_lead() -> None:
    ice = penguin_world()
    seen = clip(ice, "2", "right right down $")
    assert seen is not None
    assert (seen.states.tolist(), seen.actions.tolist(), seen.final) == ([1, 2, 3], [1, 1, 2], 7)
    assert clip_reward(ice, seen) == pytest.approx(1 - 0.3)  # the fish on square 4
    assert clip(ice, "2", "$") is None
    assert clip_reward(ice, None) == 0


def test_a_fish_is_eaten_once() -> None:
    likes = move_world().reward
    assert likes("3", "right left right left") == pytest.approx(1 - 0.4)
    assert likes("3", "right $") == pytest.approx(0.9)
    assert likes("1", "left left $") == pytest.approx(-0.2)


def test_demonstrations_are_shortest_ways() -> None:
    story = move_world()
    assert len(story.demonstrations) == 16
    R = story.world.rewards(story.reward)
    for x, y in story.demonstrations:
        k, length = story.world.prompt(x), len(y.split()) - 1
        assert story.reward(x, y) == pytest.approx(1 - 0.1 * length)
        shorter = [
            R[k, i]
            for i, text in enumerate(story.world.texts)
            if 1 <= len(text.split()) - 1 < length
        ]
        assert max(shorter, default=0.0) < 1 - 0.1 * length


# --- the cat and the hat ------------------------------------------------------------------------


def test_what_was_too_big_depends_on_the_line_and_a_bigram_forgets_it() -> None:
    story = cat_hat_world()
    into, over = story.world.prompts
    tree = pretrain(story.world, story.corpus)
    bigram = distill(tree, LanguageModel(story.world, context=1)).model
    line = "{} the {} is too {}".format
    big = [sentence_log_prob(tree, line(into, thing, "big")) for thing in ("cat", "hat")]
    assert np.exp(big) == pytest.approx([3 / 6, 1 / 6])
    small = [sentence_log_prob(tree, line(over, thing, "small")) for thing in ("hat", "cat")]
    assert np.exp(small) == pytest.approx([2 / 6, 1 / 6])
    for thing in ("cat", "hat"):
        asked = [bigram.log_prob(x, f"the {thing} is too big") for x in (into, over)]
        assert asked[0] == pytest.approx(asked[1])


# --- thoughts -----------------------------------------------------------------------------------


def chance(story: Story, model: LanguageModel, prompt: str) -> float:
    R = story.world.rewards(story.reward)[story.world.prompt(prompt)]
    return float(model.distribution(prompt) @ R)


def test_a_bigram_model_needs_its_scratch_tokens() -> None:
    direct, thinking = thought_world(scratch=False), thought_world()
    for name in ("Rex", "Tom", "Tux"):
        models = [pretrain(s.world, s.corpus, context=1) for s in (direct, thinking)]
        assert chance(direct, models[0], name) == 0
        assert chance(thinking, models[1], name) == pytest.approx(0.5)


def test_a_tree_has_not_read_how_facts_go_on() -> None:
    story = thought_world()
    tree = pretrain(story.world, story.corpus)
    assert chance(story, tree, "Tux") == 0


def test_self_improvement_teaches_the_bigram_to_think_to_the_end() -> None:
    story = thought_world()
    model = pretrain(story.world, story.corpus, context=1)
    better = self_improvement(model, story.reward)
    assert better.reward == pytest.approx(1.0)
    assert better.model.log_prob("Tux", "penguin feathers $") == pytest.approx(0.0)
    direct = thought_world(scratch=False)
    with pytest.raises(ValueError, match="model must sometimes answer 'Rex' right; it never does"):
        self_improvement(pretrain(direct.world, direct.corpus, context=1), direct.reward)


def test_lengths_may_be_chosen() -> None:
    assert word_world(3).world.length == 3
    assert isinstance(move_world(3).world, TokenWorld)
    with pytest.raises(ValueError, match="length must be at least 3; it is 2"):
        word_world(2)
