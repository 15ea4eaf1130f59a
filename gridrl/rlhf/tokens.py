"""A world of tokens: the agent writes an answer word by word, and is paid when the last is chosen.

RLHF as RL: the state is the prompt and what was written so far, the action is the next token, and
the world does nothing but append it. An answer ends with the end token, or when it is full.

All answers of a prompt form a tree. Its nodes, the prefixes, are numbered level by level; prefix i
closed with the end token is completion i, and the full answers come after these.

Symbols: x prompt, y completion; P prompts, V tokens (the end token last), N completions of a
prompt, n prefixes.

Reading: Ouyang et al. (2022), arXiv:2203.02155; Prince (2023), section 19.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike

from gridrl.processes import MDP, SparseTransitions
from gridrl.tables import Array, Indices, read_only, table, whole

ENUMERABLE = 1_000_000  # completions of all prompts together
LARGEST = 2**62  # completions of a prompt that can be numbered
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
        asked = (prompts,) if isinstance(prompts, str) else tuple(prompts)
        tokens = (*(token for token in vocabulary if token != end), end)
        for name, words in (("prompts", asked), ("vocabulary", tokens)):
            _check_words(words, name, spaces=name == "prompts")
        if len(tokens) < 2:
            raise ValueError("vocabulary must have a token besides the end token; it has none")
        object.__setattr__(self, "prompts", asked)
        object.__setattr__(self, "vocabulary", tokens)
        object.__setattr__(self, "length", whole(length, "length", least=1))
        object.__setattr__(self, "end", end)

    # --- words ------------------------------------------------------------------------------

    @property
    def separator(self) -> str:
        """What stands between the tokens of a text."""
        return "" if all(len(token) == 1 for token in self.vocabulary) else " "

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
            if word not in self._number:
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
        words = [w if isinstance(w, str) else self.vocabulary[int(w)] for w in tokens]
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
            return list(text)
        return text.split() if self.separator else list(text)

    # --- the tree ---------------------------------------------------------------------------

    @property
    def n_completions(self) -> int:
        """N, the answers to a prompt."""
        return self.n_prefixes + (len(self.vocabulary) - 1) ** self.length

    @property
    def n_prefixes(self) -> int:
        """Answers that are not yet at an end, the empty one included."""
        return sum((len(self.vocabulary) - 1) ** d for d in range(self.length))

    @property
    def enumerable(self) -> bool:
        """Whether all answers to all prompts can be listed."""
        return self.n_completions * len(self.prompts) <= ENUMERABLE

    def must_be_enumerable(self) -> None:
        """Say that it is too large, if it is.

        Raises:
            ValueError: with the size.
        """
        if not self.enumerable:
            raise ValueError(
                f"the world must have at most {ENUMERABLE:,} completions to be enumerated; it has"
                f" {self.n_completions * len(self.prompts):,} (sample instead)"
            )

    @cached_property
    def levels(self) -> tuple[slice, ...]:
        """Which prefixes have 0, 1, ..., length - 1 tokens."""
        sizes = [(len(self.vocabulary) - 1) ** d for d in range(self.length)]
        ends = accumulate(sizes)
        return tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))

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

        The number of a prefix counts on in base V - 1 from the first of its level.

        Raises:
            ValueError: a world too large to number.
        """
        y, W = np.asarray(completions, dtype=np.intp), len(self.vocabulary) - 1
        depth = np.searchsorted(self._first, y, side="right") - 1
        left, rows = y - self._first[depth], np.full((*y.shape, self.length), -1, dtype=np.intp)
        for t in reversed(range(self.length)):
            there = t < depth
            rows[..., t] = np.where(there, left % W, np.where(t == depth, W, -1))
            left = np.where(there, left // W, left)
        return rows

    def numbers_of(self, tokens: ArrayLike) -> Indices:
        """The numbers of completions given by tokens (..., length), -1 after their end, (...).

        Raises:
            ValueError: a world too large to number.
        """
        rows, W = np.asarray(tokens, dtype=np.intp), len(self.vocabulary) - 1
        number, body = np.zeros(rows.shape[:-1], dtype=np.intp), (rows >= 0) & (rows < W)
        for t in range(self.length):
            number = np.where(body[..., t], number * W + rows[..., t], number)
        return np.asarray(self._first[body.sum(axis=-1)] + number)

    @cached_property
    def _first(self) -> Indices:
        """The first completion with 0, 1, ..., length tokens before the end."""
        if self.n_completions > LARGEST:
            raise ValueError(
                f"the world must have at most {LARGEST:.1e} completions to be numbered; it has"
                f" {self.n_completions:.1e} (write and score its texts instead)"
            )
        return np.array([*(level.start for level in self.levels), self.n_prefixes], dtype=np.intp)

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
        return tuple(self.text(row[row >= 0]) for row in tokens)

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

    def rewards(self, reward: Reward, *, runs: bool = False) -> Array:
        """R(x, y) of every prompt and completion, (P, N): of a function (x, y), or such a table.

        With `runs`, a table may be of several runs, (K, P, N).

        Raises:
            ValueError: another shape, or an entry that is not finite.
        """
        shape: tuple[int, ...] = (len(self.prompts), self.n_completions)
        self.must_be_enumerable()
        if callable(reward):
            reward = [[float(reward(x, y)) for y in self.texts] for x in self.prompts]
        elif runs and np.ndim(reward) == 3:
            shape = (len(np.asarray(reward)), *shape)
        return table(reward, "reward", shape)

    def mdp(self, reward: Reward, gamma: float = 1.0) -> MDP:
        """The token MDP: states are prompt and prefix, and one end; actions are tokens.

        A state's number is prompt * n + prefix. The reward comes with the last token.
        """
        R = self.rewards(reward)
        prompts, n, V = len(self.prompts), self.n_prefixes, len(self.vocabulary)
        S = prompts * n + 1
        leads, pays = self._moves()
        to = np.where(leads >= 0, leads + n * np.arange(prompts)[:, None, None], S - 1)
        paid = np.where(pays >= 0, R[:, pays], 0.0)
        from scipy.sparse import csr_array

        to = np.append(to.ravel(), np.full(V, S - 1))
        matrix = csr_array((np.ones(S * V), (np.arange(S * V), to)), shape=(S * V, S))
        start = np.zeros(S)
        start[: S - 1 : n] = 1 / prompts
        labels = [f"{x}|{self.text(row[row >= 0])}" for x in self.prompts for row in self.prefixes]
        return MDP(
            SparseTransitions(matrix, V),
            np.concatenate([paid.reshape(-1, V), np.zeros((1, V))]),
            gamma, start=start, terminal=np.arange(S) == S - 1,
            labels=[*labels, "end"], action_labels=self.vocabulary,
        )  # fmt: skip

    def _moves(self) -> tuple[Indices, Indices]:
        """Which prefix, and which completion, each token leads to; -1 for none. Both (n, V)."""
        n, V = self.n_prefixes, len(self.vocabulary)
        leads, pays = np.full((n, V), -1, dtype=np.intp), np.full((n, V), -1, dtype=np.intp)
        inner = self.levels[-1].start
        leads[:inner, : V - 1] = 1 + np.arange(n - 1).reshape(inner, V - 1)
        pays[:, V - 1] = np.arange(n)
        full = np.arange(n, self.n_completions)
        pays[inner:, : V - 1] = full.reshape(n - inner, V - 1)
        return leads, pays

    def __repr__(self) -> str:
        sizes = f"{len(self.prompts)} prompts, {len(self.vocabulary)} tokens"
        return f"TokenWorld({sizes}, length {self.length}, {self.n_completions:,} completions each)"


def _check_words(words: tuple[str, ...], name: str, *, spaces: bool) -> None:
    if not words:
        raise ValueError(f"{name} must have at least one; it has none")
    for k, word in enumerate(words):
        if not isinstance(word, str):
            raise TypeError(f"{name}[{k}] must be a str; it is {word!r}")
        if not word or (not spaces and word != word.strip()) or (not spaces and " " in word):
            raise ValueError(f"{name}[{k}] must be a word without spaces; it is {word!r}")
        if word in words[:k]:
            raise ValueError(f"{name}[{k}] must not be given twice; it is {word!r}")
