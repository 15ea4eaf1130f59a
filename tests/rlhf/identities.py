"""What the tests of identities share: small random models, differences, sums written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import strategies as st

from gridrl.rlhf import Corpus, LanguageModel, TokenWorld
from gridrl.tables import Array
from tests.strategies import seeds

Scalar = Callable[[LanguageModel], float]
CONTEXTS: tuple[str | int, ...] = ("prefix", 0, 1)
SEEDS = range(8)
TWO = TokenWorld(["?"], "a", 1)  # answers "$" and "a"; tokens the other way round


@st.composite
def few(draw: st.DrawFn, prompts: tuple[str, ...] = ("?", "a?")) -> LanguageModel:
    """A random model of a world of two to seven answers, so that groups of three can be tried."""
    letters, length = draw(st.sampled_from([("a", 1), ("a", 3), ("ab", 1), ("ab", 2), ("abc", 1)]))
    world = TokenWorld(prompts[: draw(st.integers(1, 2))], letters, length)
    blank = LanguageModel(world, context=draw(st.sampled_from(CONTEXTS)))
    return blank.with_logits(np.random.default_rng(draw(seeds)).normal(size=blank.logits.shape))


def beside(model: LanguageModel, seed: int) -> tuple[LanguageModel, Array, float]:
    """Another model of the same kind, a reward (P, N), and a beta."""
    rng = np.random.default_rng([seed, 1])
    other = model.with_logits(rng.normal(size=model.logits.shape))
    return other, rng.normal(size=model.probs.shape), float(rng.uniform(0.2, 2))


def slope(f: Scalar, model: LanguageModel, along: Array) -> float:
    """The derivative by five points, which errs by h^4 / 30 times the fifth."""
    h = 1e-3
    f_of = {k: f(model.with_logits(model.logits + k * h * along)) for k in (-2, -1, 1, 2)}
    return (8 * (f_of[1] - f_of[-1]) - (f_of[2] - f_of[-2])) / (12 * h)


def is_gradient_of(found: Array, f: Scalar, model: LanguageModel) -> None:
    """Along three directions of length 1; fifth derivatives here are below 10^5."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        along = rng.normal(size=model.logits.shape)
        along /= np.linalg.norm(along)
        assert (found * along).sum() == pytest.approx(slope(f, model, along), abs=1e-7, rel=1e-7)


def mean_of(p: Array, values: Array) -> float:
    return float((p * values).sum(axis=1).mean())


def objective_of(model: LanguageModel, reference: LanguageModel, R: Array, beta: float) -> float:
    """E_p[R] - beta KL(p || p_ref), written out."""
    return mean_of(model.probs, R - beta * np.log(model.probs / reference.probs))


def by_token(model: LanguageModel, x: int, y: int) -> Array:
    """log pi of each token of an answer, (|y|,)."""
    prompt, text = model.world.prompts[x], model.world.texts[y]
    return np.diff([0.0, *(model.log_prob(prompt, text[: t + 1]) for t in range(len(text)))])


def corpus_of(world: TokenWorld, weights: Array) -> Corpus:
    return Corpus.from_texts(world, list(product(world.prompts, world.texts)), weights.ravel())
