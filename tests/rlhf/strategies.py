"""Random small worlds of tokens, and random models in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array
from tests.strategies import seeds


@st.composite
def worlds(draw: st.DrawFn) -> TokenWorld:
    """One to three prompts, one to three letters, answers of one to three tokens."""
    prompts = draw(st.sampled_from((["?"], ["?", "a?"], ["?", "a", "b a"])))
    return TokenWorld(prompts, "abc"[: draw(st.integers(1, 3))], draw(st.integers(1, 3)))


@st.composite
def models(draw: st.DrawFn, contexts: tuple[str | int, ...] = ("prefix", 0, 1, 2)) -> LanguageModel:
    """A random model of a random world."""
    world, context = draw(worlds()), draw(st.sampled_from(contexts))
    rng = np.random.default_rng(draw(seeds))
    blank = LanguageModel(world, context=context)
    return blank.with_logits(rng.normal(size=blank.logits.shape))


@st.composite
def rewarded(draw: st.DrawFn, contexts: tuple[str | int, ...] = ("prefix",)) -> tuple[Any, Array]:
    """A random model, and a reward for it with ties now and then, (P, N)."""
    model = draw(models(contexts))
    rng = np.random.default_rng(draw(seeds))
    R = rng.normal(size=model.probs.shape)
    return model, np.round(R) if draw(st.booleans()) else R
