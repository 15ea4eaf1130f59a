"""Which row of logits serves which place in the tree of answers, and sums over the whole tree.

A context is all that was written, or the last n tokens. Numbers along answers are added up level by
level, and weights of answers flow back the same way: all exact quantities of the chapter are made
of these two, and the gradient of log pi(y|x) is the second.

Symbols: P prompts, n prefixes, V tokens, N completions of a prompt; before each a leading axis of
runs may stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_softmax, softmax

from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, Indices, read_only


def words_of(world: TokenWorld) -> tuple[str, ...]:
    """What a context of last tokens may hold: the tokens, then other words of prompts."""
    others = [w for x in world.prompts for w in _spelt(world, x) if w not in world.vocabulary]
    return (*world.vocabulary, *dict.fromkeys(others))


def n_contexts(world: TokenWorld, context: str | int) -> int:
    """How many rows of logits there are."""
    if context == "prefix":
        world.must_be_enumerable()
        return len(world.prompts) * world.n_prefixes
    return int((len(words_of(world)) + 1) ** int(context))


def context_rows(
    world: TokenWorld, context: str | int, prompts: Indices, begun: Indices
) -> Indices:
    """The row of logits after each prompt (B,) and what was written, (B, length) padded with -1."""
    if context == "prefix":
        W, number = len(world.vocabulary) - 1, np.zeros(len(prompts), dtype=np.intp)
        lengths = (begun >= 0).sum(axis=1)
        for t in range(world.length - 1):
            there = t < lengths
            number[there] = number[there] * W + begun[there, t]
        starts = np.array([level.start for level in world.levels])
        return prompts * world.n_prefixes + starts[np.minimum(lengths, world.length - 1)] + number
    return _last(world, int(context), prompts, begun)


def _last(world: TokenWorld, n: int, prompts: Indices, begun: Indices) -> Indices:
    """The last n words of prompt and text as a number in base words + 1; 0 stands for nothing."""
    words = {word: i + 1 for i, word in enumerate(words_of(world))}
    rows, lengths = np.zeros(len(prompts), dtype=np.intp), (begun >= 0).sum(axis=1)
    asked = np.zeros((len(world.prompts), n), dtype=np.intp)
    for k, prompt in enumerate(world.prompts):
        spelt = [words[word] for word in _spelt(world, prompt)][-n:] if n else []
        asked[k, n - len(spelt) :] = spelt
    line = np.concatenate([asked[prompts], begun + 1], axis=1)
    for k in range(n):
        rows = rows * (len(words) + 1) + line[np.arange(len(rows)), lengths + k]
    return rows


def _spelt(world: TokenWorld, prompt: str) -> list[str]:
    """A prompt's words: between spaces; or, if tokens are characters, its characters."""
    if " " in prompt or world.separator:
        return prompt.split()
    return list(prompt)


def begun_before(world: TokenWorld, tokens: Indices) -> Indices:
    """What was written before each of the tokens, (k, length) padded with -1."""
    line = np.full(world.length, -1, dtype=np.intp)
    line[: len(tokens)] = tokens
    return np.where(np.arange(world.length) < np.arange(len(tokens))[:, None], line, -1)


@dataclass(frozen=True, eq=False)
class Completions:
    """Sums over all completions of a model's world, and their adjoint.

    Attributes:
        world: prompts and tokens.
        context: what a row of logits belongs to.
    """

    world: TokenWorld
    context: str | int

    @cached_property
    def contexts(self) -> Indices:
        """The row of logits of each prompt and prefix, (P, n)."""
        self.world.must_be_enumerable()
        P, n = len(self.world.prompts), self.world.n_prefixes
        begun = np.full((n, self.world.length), -1, dtype=np.intp)
        begun[:, : self.world.length - 1] = self.world.prefixes
        asked = np.repeat(np.arange(P), n)
        rows = context_rows(self.world, self.context, asked, np.tile(begun, (P, 1)))
        return read_only(rows.reshape(P, n))

    def log_probs(self, logits: Array) -> Array:
        """log pi(y|x), (..., P, N), of logits (..., contexts, V)."""
        return self.along(log_softmax(logits, axis=-1)[..., self.contexts, :])

    def along(self, steps: Array) -> Array:
        """Add up numbers (..., P, n, V), one a token, along each completion, (..., P, N)."""
        reached = self.reached(steps)
        W = steps.shape[-1] - 1
        last = self.world.levels[-1]
        full = reached[..., last, None] + steps[..., last, :W]
        closed = reached + steps[..., W]
        return np.concatenate([closed, full.reshape(*full.shape[:-2], -1)], axis=-1)

    def reached(self, steps: Array) -> Array:
        """The same sums up to each prefix, (..., P, n)."""
        W, levels = steps.shape[-1] - 1, self.world.levels
        sums = np.zeros(steps.shape[:-1])
        for above, below in pairwise(levels):
            down = sums[..., above, None] + steps[..., above, :W]
            sums[..., below] = down.reshape(*down.shape[:-2], -1)
        return sums

    def flow(self, weights: Array) -> Array:
        """How much of weights (..., P, N) passes through each token, (..., P, n, V).

        The adjoint of `along`: sum(weights * along(steps)) = sum(flow(weights) * steps).
        """
        levels, n, V = self.world.levels, self.world.n_prefixes, len(self.world.vocabulary)
        through = np.zeros((*weights.shape[:-1], n, V))
        through[..., V - 1] = weights[..., :n]
        full = weights[..., n:]
        last = levels[-1]
        through[..., last, : V - 1] = full.reshape(*full.shape[:-1], last.stop - last.start, V - 1)
        for above, below in zip(levels[-2::-1], levels[:0:-1], strict=True):
            mass = through[..., below, :].sum(axis=-1)
            through[..., above, : V - 1] = mass.reshape(*mass.shape[:-1], -1, V - 1)
        return through

    def gradient(self, logits: Array, weights: Array) -> Array:
        """sum_xy w(x,y) d log pi(y|x) / d logits, of the shape of the logits.

        d log softmax(z)_k / d z = e_k - softmax(z), once for each token on the way.
        """
        flow = self.flow(weights)
        steps = (
            flow
            - flow.sum(axis=-1, keepdims=True) * softmax(logits, axis=-1)[..., self.contexts, :]
        )
        return self.gather(steps, logits.shape)

    def gather(self, steps: Array, shape: tuple[int, ...]) -> Array:
        """Add numbers (..., P, n, V) up into the rows of logits, (..., contexts, V)."""
        if self.context == "prefix":
            return steps.reshape(shape)
        batch, V = shape[:-2], shape[-1]
        places = np.moveaxis(steps.reshape(*batch, -1, V), -2, 0)  # (P n, ..., V)
        rows = self._shared @ places.reshape(len(places), -1)
        return np.moveaxis(rows.reshape(-1, *batch, V), 0, -2)

    @cached_property
    def _shared(self) -> csr_array:
        """Which places a row of logits serves, (contexts, P n)."""
        rows = self.contexts.ravel()
        count = n_contexts(self.world, self.context)
        ones = (np.ones(rows.size), (rows, np.arange(rows.size)))
        return csr_array(ones, shape=(count, rows.size))
