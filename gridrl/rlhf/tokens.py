"""A world of tokens: the agent writes an answer word by word, and is paid when the last is chosen.

RLHF as RL: the state is the prompt and what was written so far, the action is the next token, and
the world does nothing but append it. An answer ends with the end token, or when it is full.

All answers to a prompt form a tree, whose nodes are numbered (see `numbering`).

Symbols: x prompt, y completion; P prompts, V tokens (the end token last), N completions of a
prompt, n prefixes.

Reading: Ouyang et al. (2022), arXiv:2203.02155; Prince (2023), section 19.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP, SparseTransitions
from gridrl.rlhf import numbering
from gridrl.rlhf.spelling import check_words, sequence
from gridrl.tables import Array, Indices, index, indices, number, read_only, restore, table, whole

ENUMERABLE = 1_000_000  # completions of all prompts together
Reward = Callable[[str, str], float] | ArrayLike


@dataclass(frozen=True, eq=False)
class TokenWorld:
    """Prompts, and the tokens that answers are made of.

    Texts are read and written as tokens side by side, "ab$", if all tokens are single characters;
    else with spaces between them, "the cat $".

    Attributes:
        prompts: what may be asked.
        vocabulary: the tokens, the end token last.
        length: most tokens of an answer, the end token included.
        end: the end token.

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> world.completions("?")
    ('$', 'a$', 'b$', 'aa', 'ab', 'ba', 'bb')

    Raises:
        TypeError, ValueError: no prompt, no token, one given twice or with a space in it.
    """

    prompts: tuple[str, ...]
    vocabulary: tuple[str, ...]
    length: int
    end: str = "$"

    def __init__(
        self, prompts: Sequence[str], vocabulary: Sequence[str], length: int, *, end: str = "$"
    ) -> None:
        asked = (prompts,) if isinstance(prompts, str) else sequence(prompts, "prompts")
        given = sequence(vocabulary, "vocabulary")
        if end in given:
            given = tuple(token for k, token in enumerate(given) if k != given.index(end))
        tokens = (*given, end)
        for name, words in (("end", (end,)), ("prompts", asked), ("vocabulary", tokens)):
            check_words(words, name, spaces=name == "prompts")
        if len(tokens) < 2:
            raise ValueError("vocabulary must have a token besides the end token; it has none")
        object.__setattr__(self, "prompts", asked)
        object.__setattr__(self, "vocabulary", tokens)
        object.__setattr__(self, "length", whole(length, "length", least=1))
        object.__setattr__(self, "end", end)

    __setstate__ = restore

    # --- words ------------------------------------------------------------------------------

    @property
    def separator(self) -> str:
        """What stands between the tokens of a text."""
        return "" if all(len(token) == 1 for token in self.vocabulary) else " "

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What a context of last tokens may hold: the tokens, then other words of prompts."""
        spelt = (word for x in self.prompts for word in self._spelt(x))
        return tuple(dict.fromkeys([*self.vocabulary, *spelt]))

    @cached_property
    def asked(self) -> Indices:
        """The words of each prompt, by number, -1 after its end, (P, most words)."""
        number, rows = {w: i for i, w in enumerate(self.words)}, [*map(self._spelt, self.prompts)]
        words = np.full((len(rows), max(map(len, rows))), -1, dtype=np.intp)
        for row, spelt in zip(words, rows, strict=True):
            row[: len(spelt)] = [number[word] for word in spelt]
        return read_only(words)

    def _spelt(self, prompt: str) -> list[str]:
        """A prompt's words: between spaces; or, if tokens are characters, its characters."""
        return prompt.split() if " " in prompt or self.separator else list(prompt)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.vocabulary)}

    def tokens(self, text: str | Sequence[str], name: str = "completion") -> Indices:
        """The numbers of the tokens of a text, (k,).

        Raises:
            ValueError: a token that is none, one after the end token, or too many of them.
        """
        words = self._split(text)
        for k, word in enumerate(words):
            if not isinstance(word, str) or word not in self._number:
                known = " ".join(self.vocabulary)
                raise ValueError(f"{name}[{k}] must be one of {known}; it is {word!r}")
        if self.end in words[:-1]:
            raise ValueError(f"{name} must stop at {self.end!r}; it is {self.text(words)!r}")
        if len(words) > self.length:
            raise ValueError(
                f"{name} must have at most {self.length} tokens; it has {len(words)}:"
                f" {self.text(words)!r}"
            )
        return np.array([self._number[word] for word in words], dtype=np.intp)

    def text(self, tokens: Sequence[str] | Sequence[int] | Indices) -> str:
        """The tokens, words or numbers, as one text."""
        V = len(self.vocabulary)
        words = [w if isinstance(w, str) else self.vocabulary[index(w, "token", V)] for w in tokens]
        return self.separator.join(words)

    def prompt(self, text: str) -> int:
        """The number of a prompt.

        Raises:
            ValueError: it is none of the world's.
        """
        if text not in self.prompts:
            known = ", ".join(map(repr, self.prompts[:8])) + ", ..." * (len(self.prompts) > 8)
            raise ValueError(f"prompt must be one of {known}; it is {text!r}")
        return self.prompts.index(text)

    def _split(self, text: str | Sequence[str]) -> list[str]:
        if not isinstance(text, str):
            return list(sequence(text, "completion"))
        return text.split() if self.separator else list(text)

    # --- the tree ---------------------------------------------------------------------------

    @property
    def _size(self) -> tuple[int, int]:
        """W tokens besides the end, L tokens at most."""
        return len(self.vocabulary) - 1, self.length

    @property
    def n_completions(self) -> int:
        """N, the answers to a prompt."""
        W, L = self._size
        return self.n_prefixes + W**L

    @property
    def n_prefixes(self) -> int:
        """Answers that are not yet at an end, the empty one included."""
        return numbering.n_prefixes(*self._size)

    @property
    def enumerable(self) -> bool:
        """Whether all answers to all prompts can be listed."""
        small = numbering.digits(*self._size) < 20  # the number itself may be huge
        return small and self.n_completions * len(self.prompts) <= ENUMERABLE

    def must_be_enumerable(self) -> None:
        """Say that it is too large, if it is.

        Raises:
            ValueError: with the size.
        """
        if not self.enumerable:
            raise ValueError(
                f"the world must have at most {ENUMERABLE:,} completions to be enumerated; it has"
                f" {self._many(len(self.prompts))} (sample instead)"
            )

    def _many(self, times: int = 1) -> str:
        """How many completions there are, times a number, if that can be written."""
        size = numbering.digits(*self._size)
        return f"{times * self.n_completions:,}" if size < 20 else f"about 10^{size:.0f}"

    @cached_property
    def levels(self) -> tuple[slice, ...]:
        """Which prefixes have 0, 1, ..., length - 1 tokens."""
        return numbering.levels(*self._size)

    @cached_property
    def prefixes(self) -> Indices:
        """The tokens of each prefix, (n, length - 1), -1 after its end."""
        closed = self.completion_tokens[: self.n_prefixes]
        return read_only(np.where(closed == len(self.vocabulary) - 1, -1, closed)[:, :-1])

    @cached_property
    def completion_tokens(self) -> Indices:
        """The tokens of each completion, (N, length), -1 after its end."""
        self.must_be_enumerable()
        return read_only(self.tokens_of(np.arange(self.n_completions)))

    def tokens_of(self, completions: ArrayLike) -> Indices:
        """The tokens of completions given by number, (..., length), -1 after their end.

        Raises:
            ValueError: a world too large to number.
        """
        numbering.first_of_level(*self._size)
        y = indices(completions, "completions", self.n_completions)
        return numbering.tokens_of(y, *self._size)

    def numbers_of(self, tokens: ArrayLike) -> Indices:
        """The numbers of completions given by tokens (..., length), -1 after their end, (...).

        Raises:
            ValueError: a world too large to number.
        """
        rows = np.asarray(tokens)
        if rows.ndim == 0 or rows.shape[-1] != self.length:
            raise ValueError(f"tokens must have shape (..., {self.length}); it has {rows.shape}")
        return numbering.numbers_of(rows, *self._size)

    @cached_property
    def lengths(self) -> Indices:
        """Tokens of each completion, the end token included, (N,)."""
        return read_only((self.completion_tokens >= 0).sum(axis=1))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """All completions as texts, (N,)."""
        return self.texts_of(self.completion_tokens)

    def texts_of(self, tokens: Indices) -> tuple[str, ...]:
        """Completions given by tokens (n, length), -1 after their end, as texts."""
        words = np.append(np.array(self.vocabulary, dtype=object), "")[tokens]
        ends = (tokens >= 0).sum(axis=1).tolist()
        between = self.separator
        return tuple(between.join(row[:k]) for row, k in zip(words, ends, strict=True))

    def completions(self, prompt: str) -> tuple[str, ...]:
        """All answers to a prompt, in the order of every table here."""
        self.prompt(prompt)
        return self.texts

    def completion(self, text: str | Sequence[str]) -> int:
        """The number of a completion.

        Raises:
            ValueError: it is none: an unknown token, too long, or without an end.
        """
        return int(self.numbers_of(self.answer(text)))

    def answer(self, text: str | Sequence[str], name: str = "completion") -> Indices:
        """The tokens of a whole answer, (length,), -1 after its end.

        Raises:
            ValueError: it is none: an unknown token, too long, or without an end.
        """
        row, tokens = np.full(self.length, -1, dtype=np.intp), self.tokens(text, name)
        row[: len(tokens)] = tokens
        if row[-1] < 0 and len(self.vocabulary) - 1 not in tokens:
            raise ValueError(
                f"{name} must end with {self.end!r} or have {self.length} tokens; it is"
                f" {self.text(tokens)!r}"
            )
        return row

    # --- as a decision process --------------------------------------------------------------

    def rewards(self, reward: Reward, *, runs: bool = False, name: str = "reward") -> Array:
        """R(x, y) of every prompt and completion, (P, N): of a function (x, y), or such a table.

        With `runs`, a table may be of several runs, (K, P, N).

        Raises:
            ValueError: another shape, or an entry that is not finite.
        """
        shape: tuple[int, ...] = (len(self.prompts), self.n_completions)
        self.must_be_enumerable()
        if callable(reward):
            reward = [[paid(reward, x, y, name) for y in self.texts] for x in self.prompts]
            return table(reward, name, shape)
        given = table(reward, name)
        if runs and given.ndim == 3 and len(given):
            shape = (len(given), *shape)
        return table(given, name, shape)

    def mdp(self, reward: Reward, gamma: float = 1.0) -> MDP:
        """The token MDP: states are prompt and prefix, and one end; actions are tokens.

        A state's number is prompt * n + prefix. The reward comes with the last token.
        """
        R = self.rewards(reward)
        prompts, n, V = len(self.prompts), self.n_prefixes, len(self.vocabulary)
        S = prompts * n + 1
        leads, pays = numbering.moves(*self._size)
        to = np.where(leads >= 0, leads + n * np.arange(prompts)[:, None, None], S - 1)
        paid = np.where(pays >= 0, R[:, pays], 0.0)
        from scipy.sparse import csr_array

        to = np.append(to.ravel(), np.full(V, S - 1))
        matrix = csr_array((np.ones(S * V), (np.arange(S * V), to)), shape=(S * V, S))
        start = np.zeros(S)
        start[: S - 1 : n] = 1 / prompts
        labels = [f"{x}|{y}" for x in self.prompts for y in self.texts_of(self.prefixes)]
        return MDP(
            SparseTransitions(matrix, V),
            np.concatenate([paid.reshape(-1, V), np.zeros((1, V))]),
            gamma, start=start, terminal=np.arange(S) == S - 1,
            labels=[*labels, "end"], action_labels=self.vocabulary,
        )  # fmt: skip

    def __repr__(self) -> str:
        sizes = f"{len(self.prompts)} prompts, {len(self.vocabulary)} tokens"
        return f"TokenWorld({sizes}, length {self.length}, {self._many()} completions each)"


def a_world(value: object, name: str) -> TokenWorld:
    """Return a world of tokens.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, TokenWorld):
        raise TypeError(f"{name} must be a TokenWorld; it is {value!r}")
    return value


def paid(
    reward: Callable[[str, str], float], prompt: str, answer: str, name: str = "reward"
) -> float:
    """What a function of two texts pays for an answer; True is 1.

    Raises:
        TypeError, ValueError: it is no finite number; prompt and answer are named.
    """
    value = reward(prompt, answer)
    if type(value) is float and isfinite(value):  # the usual, before a name is made up
        return value
    if isinstance(value, bool | np.bool_):
        return float(value)
    return number(value, f"{name}({prompt!r}, {answer!r})")
