"""Which row of logits serves which place in the tree of answers, and sums over the whole tree.

A context is all that was written, or the last n tokens. Either way the next row follows from the
row and the token written there, so that answers can be followed in worlds of any size. Where all
answers can be listed, numbers along them are added up level by level, and weights of answers flow
back the same way: all exact quantities of the chapter are made of these two, and the gradient of
log pi(y|x) is the second.

Symbols: P prompts, n prefixes, V tokens, N completions of a prompt; before each a leading axis of
runs may stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import log_softmax, softmax

from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, Indices, read_only, restore

LARGEST = 50_000_000  # logits of a model


def words_of(world: TokenWorld) -> tuple[str, ...]:
    """What a context of last tokens may hold: the tokens, then other words of prompts."""
    return world.words


def n_contexts(world: TokenWorld, context: str | int) -> int:
    """How many rows of logits there are.

    Raises:
        ValueError: too many.
    """
    if context == "prefix":
        world.must_be_enumerable()
        return len(world.prompts) * world.n_prefixes
    base, V = len(words_of(world)) + 1, len(world.vocabulary)
    if (size := int(context) * np.log10(base) + np.log10(V)) > np.log10(LARGEST):
        raise ValueError(
            f"context must leave at most {LARGEST:,} logits; {context} tokens leave 10^{size:.1f}"
        )
    return int(base ** int(context))


def first_rows(world: TokenWorld, context: str | int) -> Indices:
    """The row of logits where the answer to each prompt begins, (P,)."""
    if context == "prefix":
        return np.arange(len(world.prompts)) * world.n_prefixes
    rows = np.zeros(len(world.prompts), dtype=np.intp)
    for word in world.asked.T:  # -1 where a prompt has fewer: nothing stands there
        rows = np.where(word < 0, rows, onward(world, context, rows, word))
    return rows


def onward(world: TokenWorld, context: str | int, rows: ArrayLike, tokens: ArrayLike) -> Indices:
    """The row after each of `rows` and what was written there; any after the end of an answer.

    Prefix i has the children 1 + i W + token. The last n words are a number in base words + 1, in
    which 0 stands for nothing: the new word comes in, the oldest goes out.
    """
    now, written = np.asarray(rows, dtype=np.intp), np.asarray(tokens, dtype=np.intp)
    if context == "prefix":
        n, W = world.n_prefixes, len(world.vocabulary) - 1
        return np.asarray(now - now % n + (1 + now % n * W + written) % n)
    base = len(words_of(world)) + 1
    return np.asarray((now * base + written + 1) % base ** int(context))


def rows_along(world: TokenWorld, context: str | int, x: ArrayLike, tokens: ArrayLike) -> Indices:
    """The row of logits before each token of answers (..., L) to prompts x (...), (..., L)."""
    written = np.asarray(tokens, dtype=np.intp)
    rows = np.zeros(written.shape, dtype=np.intp)
    now = np.broadcast_to(first_rows(world, context)[np.asarray(x)], written.shape[:-1])
    for t in range(written.shape[-1]):
        rows[..., t] = now
        now = onward(world, context, now, written[..., t])
    return rows


@dataclass(frozen=True, eq=False)
class Completions:
    """Sums over all completions of a model's world, and their adjoint.

    Attributes:
        world: prompts and tokens.
        context: what a row of logits belongs to.
    """

    world: TokenWorld
    context: str | int

    __setstate__ = restore

    @cached_property
    def contexts(self) -> Indices:
        """The row of logits of each prompt and prefix, (P, n)."""
        self.world.must_be_enumerable()
        P, W, levels = len(self.world.prompts), len(self.world.vocabulary) - 1, self.world.levels
        rows = np.zeros((P, self.world.n_prefixes), dtype=np.intp)
        rows[:, 0] = first_rows(self.world, self.context)
        for above, below in pairwise(levels):
            grown = onward(self.world, self.context, rows[:, above, None], np.arange(W))
            rows[:, below] = grown.reshape(P, -1)
        return read_only(rows)

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
