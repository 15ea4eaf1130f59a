"""A language model small enough to know: a table of logits over contexts.

The context is all that was written (a tree, each answer on its own branch), or the last n tokens (a
bigram model has n = 1), where one row serves many places: what is learned of one answer moves
others too. As a policy of the token MDP, pi(token | prompt, prefix) = softmax(logits[context]).

Symbols: x prompt, y completion; lp[x, prefix, token] = log pi; P prompts, n prefixes, V tokens, N
completions of a prompt. A leading axis of runs is understood wherever tables are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from gridrl.rlhf.tokens import TokenWorld, a_world, paid
from gridrl.rlhf.trees import Completions, first_rows, n_contexts, onward, rows_along
from gridrl.tables import (
    Array,
    Indices,
    draw,
    generator,
    indices,
    number,
    read_only,
    restore,
    whole,
)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """log pi(y|x) = sum_t log softmax(logits[context of x, y_<t])[y_t].

    Attributes:
        world: prompts and tokens.
        logits: (contexts, V); -inf is a token that is never written. None is uniform.
        context: "prefix", or the number n of last tokens.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> world = TokenWorld(["?"], "ab", 2)
    >>> model = LanguageModel(world)
    >>> model.distribution("?").round(3)
    array([0.333, 0.111, 0.111, 0.111, 0.111, 0.111, 0.111])

    Raises:
        TypeError, ValueError: logits of another shape, a NaN, a row without a token to write.
    """

    world: TokenWorld
    logits: Array
    context: str | int = "prefix"

    def __init__(
        self, world: TokenWorld, logits: ArrayLike | None = None, *, context: str | int = "prefix"
    ) -> None:
        a_world(world, "world")
        if context != "prefix":
            context = whole(context, "context", least=0)
        shape = (n_contexts(world, context), len(world.vocabulary))
        table = np.zeros(shape) if logits is None else _logits(logits, shape)
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "logits", read_only(table))
        object.__setattr__(self, "context", context)

    __setstate__ = restore

    def with_logits(self, logits: ArrayLike) -> LanguageModel:
        """The same model with other numbers."""
        return LanguageModel(self.world, logits, context=self.context)

    # --- exact ------------------------------------------------------------------------------

    @cached_property
    def tables(self) -> Completions:
        """The sums over the tree of completions."""
        return Completions(self.world, self.context)

    @cached_property
    def log_probs(self) -> Array:
        """log pi(y|x) of all prompts and completions, (P, N)."""
        return read_only(self.tables.log_probs(self.logits))

    @cached_property
    def probs(self) -> Array:
        """pi(y|x), (P, N)."""
        return read_only(np.exp(self.log_probs))

    def distribution(self, prompt: str) -> Array:
        """pi(y|x) of one prompt, in the order of `world.completions`, (N,)."""
        return self.probs[self.world.prompt(prompt)]

    @property
    def policy(self) -> Array:
        """The policy of `world.mdp(...)`, (S, A)."""
        rows = softmax(self.logits, axis=-1)[self.tables.contexts].reshape(-1, self.logits.shape[1])
        last = np.full((1, rows.shape[1]), 1 / rows.shape[1])
        return np.concatenate([rows, last])

    # --- one text ---------------------------------------------------------------------------

    def log_prob(self, prompt: str, completion: str) -> float:
        """log pi(y|x), in nats; also of an unfinished text: of all answers that begin so."""
        x, tokens = self.world.prompt(prompt), self.world.tokens(completion)
        rows = rows_along(self.world, self.context, x, tokens)
        lp = log_softmax(self.logits[rows], axis=-1)
        return float(lp[np.arange(len(tokens)), tokens].sum())

    def next_token(self, prompt: str, prefix: str = "") -> dict[str, float]:
        """pi(token | prompt, prefix), by token.

        >>> from gridrl.rlhf.tokens import TokenWorld
        >>> LanguageModel(TokenWorld(["?"], "a", 2)).next_token("?", "a")
        {'a': 0.5, '$': 0.5}
        """
        x, tokens = self.world.prompt(prompt), self.world.tokens(prefix, "prefix")
        if len(tokens) >= self.world.length or len(self.world.vocabulary) - 1 in tokens:
            raise ValueError(f"prefix must not be at its end; it is {prefix!r}")
        row = rows_along(self.world, self.context, x, [*tokens, -1])[-1]
        chances = softmax(self.logits[row]).tolist()
        return dict(zip(self.world.vocabulary, chances, strict=True))

    def sample(
        self,
        prompt: str,
        n: int,
        *,
        temperature: float = 1.0,
        rng: int | np.random.Generator | None = None,
    ) -> tuple[str, ...]:
        """Write `n` answers to a prompt, token by token."""
        x = np.full(whole(n, "n", least=1), self.world.prompt(prompt))
        rows = self.write(x, temperature=temperature, rng=rng)
        return self.world.texts_of(rows)

    def generate(
        self,
        prompt: str,
        *,
        temperature: float = 1.0,
        rng: int | np.random.Generator | None = None,
    ) -> str:
        """Write one answer; temperature 0 takes the likeliest token each time."""
        return self.sample(prompt, 1, temperature=temperature, rng=rng)[0]

    def write(
        self,
        prompts: ArrayLike,
        *,
        temperature: float = 1.0,
        rng: int | np.random.Generator | None = None,
    ) -> Indices:
        """Answers to prompts given by number, (B,), as tokens, (B, length), -1 after the end.

        Of worlds of any size.
        """
        x = indices(prompts, "prompts", len(self.world.prompts))
        if x.ndim != 1:
            raise ValueError(f"prompts must have shape (B,); it has {x.shape}")
        heat, chance = number(temperature, "temperature", 0), generator(rng)
        uniform = chance.random((self.world.length, len(x))).T
        return write(self, _next_tokens(self.logits, heat)[None], x, uniform[None])[0]

    def __repr__(self) -> str:
        what = "all that was written" if self.context == "prefix" else f"last {self.context} tokens"
        return f"LanguageModel({self.logits.shape[0]} contexts ({what}), {self.world!r})"


def a_model(value: object, name: str) -> LanguageModel:
    """Return a language model.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, LanguageModel):
        raise TypeError(f"{name} must be a LanguageModel; it is {value!r}")
    return value


def _logits(values: ArrayLike, shape: tuple[int, ...]) -> Array:
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise ValueError("logits must be a rectangular table; its rows differ in length") from error
    if raw.dtype.kind not in "iuf":
        raise TypeError(f"logits must hold real numbers; it holds {raw.dtype}")
    if raw.shape != shape:
        raise ValueError(f"logits must have shape {shape}; it has {raw.shape}")
    found = np.array(raw, dtype=np.float64)
    if (bad := np.isnan(found) | (found == np.inf)).any():
        row, token = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"logits[{row}, {token}] must be finite or -inf; it is {found[row, token]}"
        )
    if (silent := np.isneginf(found).all(axis=1)).any():
        raise ValueError(f"logits[{int(silent.argmax())}] must leave a token to write")
    return found


def _next_tokens(logits: Array, temperature: float) -> Array:
    """pi(token | context), (contexts, V); the likeliest, evenly, at temperature 0."""
    if temperature == 0:
        best = logits == logits.max(axis=1, keepdims=True)
        return np.asarray(best / best.sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):  # far below the likeliest: never
        colder = (logits - logits.max(axis=1, keepdims=True)) / temperature
    return softmax(colder, axis=-1)


def write(model: LanguageModel, chances: Array, x: Indices, uniform: Array) -> Indices:
    """Answers of K models of a kind, token by token, (K, B, length), -1 after the end.

    Args:
        model: whose world and contexts they share.
        chances: pi(token | context) of each, (K, contexts, V).
        x: prompts, (B,).
        uniform: what each token is drawn with, (K, B, length).
    """
    world, (K, C, V) = model.world, chances.shape
    flat, drawn = chances.reshape(K * C, V), uniform.reshape(-1, world.length)
    run, now = np.repeat(np.arange(K) * C, len(x)), np.tile(first_rows(world, model.context)[x], K)
    written, going = np.full(drawn.shape, -1, dtype=np.intp), np.arange(len(drawn))
    for t in range(world.length):
        token = draw(flat[run[going] + now[going]], drawn[going, t])
        written[going, t] = token
        now[going] = onward(world, model.context, now[going], token)
        going = going[token < V - 1]
    return written.reshape(K, len(x), world.length)


def scores(
    world: TokenWorld, reward: Callable[[str, str], float], x: Indices, answers: Indices
) -> Array:
    """What a function of two texts pays for answers (..., length) to prompts x, (n,).

    Each is asked for once.

    Raises:
        ValueError: it is not finite for one of them, which is named.
    """
    rows = np.column_stack([x, answers.reshape(len(x), -1)])
    once, place = np.unique(rows, axis=0, return_inverse=True)
    texts = [(world.prompts[row[0]], world.text(row[1:][row[1:] >= 0])) for row in once]
    values = np.array([paid(reward, *text) for text in texts])
    return np.asarray(values[place.ravel()])
