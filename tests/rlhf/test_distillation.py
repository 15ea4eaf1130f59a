"""Distillation: forward by counting, reverse by descent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import rel_entr

from gridrl.rlhf.distillation import distill, distill_reverse
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from tests.rlhf.strategies import models

WORLD = TokenWorld(["?", "!"], "ab", 3)


def random_model(seed: int = 0, context: str | int = "prefix", size: float = 1) -> LanguageModel:
    blank = LanguageModel(WORLD, context=context)
    return blank.with_logits(size * np.random.default_rng(seed).normal(size=blank.logits.shape))


@settings(max_examples=10)
@given(models(("prefix",)))
def test_a_tree_can_be_any_teacher(teacher: LanguageModel) -> None:
    for found in (
        distill(teacher, LanguageModel(teacher.world)),
        distill_reverse(teacher, LanguageModel(teacher.world)),
    ):
        assert np.abs(found.model.probs - teacher.probs).max() < 1e-3
        assert max(found.forward.max(), found.reverse.max()) < 1e-6


@settings(max_examples=30)
@given(models((0, 1, 2)))
def test_forward_is_a_stationary_point_and_a_minimum(student: LanguageModel) -> None:
    teacher = LanguageModel(student.world)
    rng = np.random.default_rng(0)
    teacher = teacher.with_logits(rng.normal(size=teacher.logits.shape))
    found = distill(teacher, student)
    gradient = student.tables.gradient(found.model.logits, teacher.probs)
    assert np.abs(gradient).max() < 1e-9
    for _ in range(5):
        near = found.model.logits + 0.1 * rng.normal(size=student.logits.shape)
        other = rel_entr(teacher.probs, student.with_logits(near).probs).sum(axis=1).mean()
        assert other >= found.forward.mean() - 1e-12


def test_each_direction_is_best_at_its_own() -> None:
    teacher, student = random_model(3, size=2), LanguageModel(WORLD, context=1)
    forward = distill(teacher, student)
    reverse = distill_reverse(teacher, forward.model)
    assert forward.forward.mean() < reverse.forward.mean() - 1e-3
    assert reverse.reverse.mean() < forward.reverse.mean() - 1e-3


def test_reverse_ends_where_its_gradient_is_0() -> None:
    teacher, student = random_model(3), LanguageModel(WORLD, context=1)
    found = distill_reverse(teacher, student).model
    direction, h = np.random.default_rng(0).normal(size=student.logits.shape), 1e-4
    ahead, here, behind = (
        rel_entr(found.with_logits(found.logits + e * direction).probs, teacher.probs).sum()
        for e in (h, 0, -h)
    )
    assert abs(ahead - behind) / (2 * h) < 1e-3
    assert ahead + behind - 2 * here > 0


def test_a_student_that_cannot_be_scored_is_named() -> None:
    logits = np.zeros((14, 3))
    logits[:, 0] = -np.inf
    with pytest.raises(
        ValueError, match=r"teacher must not give .* it does to 'a\$' of prompt '\?'"
    ):
        distill_reverse(LanguageModel(WORLD, logits), LanguageModel(WORLD, context=1))
    found = distill(LanguageModel(WORLD, logits), LanguageModel(WORLD, context=1))
    assert found.model.probs[:, WORLD.completion("a$")].max() == 0


def test_a_token_the_student_never_writes_stays_so() -> None:
    student = LanguageModel(WORLD, np.array([[-np.inf, 0.0, 0.0]]), context=0)
    found = distill_reverse(random_model(), student).model
    assert np.isneginf(found.logits[0, 0])
    assert np.isfinite(found.logits[0, 1:]).all()


def test_two_worlds_are_refused() -> None:
    other = LanguageModel(TokenWorld(["?"], "ab", 2))
    for learn in (distill, distill_reverse):
        with pytest.raises(ValueError, match="teacher must be of the same world"):
            learn(other, LanguageModel(WORLD))
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        distill_reverse(LanguageModel(WORLD), LanguageModel(WORLD), rounds=0)
