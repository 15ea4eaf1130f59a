"""Pretraining: the next token of a text, by counting.

The log-likelihood of texts is a sum over contexts, and in each its optimum is the share of texts
that went on so. That holds for a tree and for shared contexts alike, so nothing here needs a
gradient: how a corpus is fitted is a matter of counting.

Symbols: x prompt, y completion; w weights of texts (..., P, N); V tokens.

Reading: Shannon (1948), A Mathematical Theory of Communication, section 3; Ouyang et al. (2022),
arXiv:2203.02155, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax

from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.rlhf.tokens import TokenWorld, a_world
from gridrl.rlhf.trees import rows_along
from gridrl.tables import Array, Indices, indices, number, read_only, restore, table

Text = str | tuple[str, str]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts, each an answer to a prompt, and how often each is counted.

    Attributes:
        world: prompts and tokens.
        prompts: number of the prompt of each text, (n,).
        tokens: what is written after it, (n, length), -1 after its end.
        weights: how often each is counted, (n,).

    >>> world = TokenWorld(["the cat"], ["eats", "fish"], 3)
    >>> Corpus.from_texts(world, [("the cat", "eats fish $"), "the cat eats $"])
    Corpus(2 texts, 5 tokens)

    Raises:
        ValueError: no text; weights that are negative or all 0.
    """

    world: TokenWorld
    prompts: Indices
    tokens: Indices
    weights: Array

    def __post_init__(self) -> None:
        prompts = indices(self.prompts, "prompts", len(a_world(self.world, "world").prompts)).copy()
        if prompts.ndim != 1:
            raise ValueError(f"prompts must have shape (n,); it has {prompts.shape}")
        n, L = len(prompts), self.world.length
        tokens = _tokens(self.tokens, len(self.world.vocabulary))
        if tokens.shape != (n, L):
            raise ValueError(f"tokens must have shape ({n}, {L}); it has {tokens.shape}")
        weights = table(self.weights, "weights", (n,))
        if len(bad := np.flatnonzero(weights < 0)):
            k = int(bad[0])
            raise ValueError(f"weights[{k}] must not be negative; it is {weights[k]:g}")
        if not weights.sum() > 0:
            raise ValueError("weights must not all be 0")
        self._must_end(tokens)
        for name, values in (("prompts", prompts), ("tokens", tokens), ("weights", weights)):
            object.__setattr__(self, name, read_only(values))

    def _must_end(self, tokens: Indices) -> None:
        """Say which row goes on after its end, or stops before it."""
        end, L = len(self.world.vocabulary) - 1, self.world.length
        size = (tokens >= 0).sum(axis=1)
        before = np.arange(L) < size[:, None] - 1
        last = np.take_along_axis(tokens, np.maximum(size - 1, 0)[:, None], axis=1)[:, 0]
        whole_ = (
            (size > 0) & ((last == end) | (size == L)) & ~(before & (tokens == end)).any(axis=1)
        )
        whole_ &= ((tokens >= 0) == (np.arange(L) < size[:, None])).all(axis=1)
        if not whole_.all():
            k = int(whole_.argmin())
            raise ValueError(
                f"tokens[{k}] must be an answer, -1 after its end; it is {tokens[k].tolist()}"
            )

    __setstate__ = restore

    @classmethod
    def from_texts(
        cls, world: TokenWorld, texts: Iterable[Text], weights: ArrayLike | None = None
    ) -> Corpus:
        """Read pairs (prompt, completion), or sentences that begin with a prompt (the longest).

        Raises:
            TypeError, ValueError: no text, an unknown prompt or token, a completion that is too
                long or without its end.
        """
        read = [_read(world, text, k) for k, text in enumerate(texts)]
        if not read:
            raise ValueError("texts must have at least one; it has none")
        prompts, rows = zip(*read, strict=True)
        counted = np.ones(len(read)) if weights is None else np.asarray(weights)
        return cls(world, np.array(prompts, dtype=np.intp), np.array(rows), counted)

    @property
    def lengths(self) -> Indices:
        """Tokens of each text, the end token included, (n,)."""
        return (self.tokens >= 0).sum(axis=1)

    @property
    def shares(self) -> Array:
        """How often each answer follows its prompt, in all texts, (P, N); it sums to the weights.

        Raises:
            ValueError: the world is too large to enumerate.
        """
        self.world.must_be_enumerable()
        counts = np.zeros((len(self.world.prompts), self.world.n_completions))
        np.add.at(counts, (self.prompts, self.world.numbers_of(self.tokens)), self.weights)
        return counts

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        return f"Corpus({len(self)} texts, {int(self.lengths.sum())} tokens)"


def _tokens(tokens: ArrayLike, V: int) -> Indices:
    """Numbers of tokens, -1 where there is none."""
    given = np.asarray(tokens)
    if given.dtype.kind not in "iu":
        raise TypeError(f"tokens must hold whole numbers; it holds {given.dtype}")
    if len(bad := np.argwhere((given < -1) | (given >= V))):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"tokens[{', '.join(map(str, at))}] must be in -1..{V - 1}; it is {given[at]}"
        )
    return given.astype(np.intp)


def _read(world: TokenWorld, text: Text, k: int) -> tuple[int, Indices]:
    """The number of a text's prompt, and its tokens, (length,)."""
    if isinstance(text, str):
        text = _parted(world, text, f"texts[{k}]")
    if len(text) != 2:
        raise ValueError(f"texts[{k}] must be a prompt and a completion; it is {text!r}")
    return world.prompt(text[0]), world.answer(text[1], f"texts[{k}]")


def a_corpus(world: TokenWorld, texts: Corpus | Sequence[Text], name: str = "corpus") -> Corpus:
    """Texts of this world.

    Raises:
        TypeError, ValueError: they are of another.
    """
    if not isinstance(texts, Corpus):
        return Corpus.from_texts(world, texts)
    if (texts.world.prompts, texts.world.vocabulary, texts.world.length) != (
        world.prompts, world.vocabulary, world.length,
    ):  # fmt: skip
        raise ValueError(f"{name} must be of the world {world!r}; it is of {texts.world!r}")
    return texts


def mixture(
    world: TokenWorld, corpora: Mapping[str, Sequence[Text]], shares: Mapping[str, float]
) -> Corpus:
    """Mix corpora so that a text is of each with the given share, however large they are.

    >>> world = TokenWorld(["?"], "ab", 1)
    >>> corpora = {"books": [("?", "a")], "web": [("?", "b"), ("?", "b")]}
    >>> pretrain(world, mixture(world, corpora, {"books": 0.4, "web": 0.6})).next_token("?")
    {'a': 0.4, 'b': 0.6, '$': 0.0}

    Raises:
        ValueError: a share of an unknown corpus, or a negative one; all of them 0.
    """
    if not shares:
        raise ValueError("shares must hold at least one; there are none")
    for name in shares:
        if name not in corpora:
            known = ", ".join(corpora)
            raise ValueError(f"shares must be of {known}; {name!r} is none of them")
    parts = [Corpus.from_texts(world, corpora[name]) for name in shares]
    sizes = [
        np.full(len(part), number(shares[name], f"shares[{name!r}]", 0) / len(part))
        for name, part in zip(shares, parts, strict=True)
    ]
    return Corpus(
        world,
        np.concatenate([part.prompts for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate(sizes),
    )


def pretrain(
    world: TokenWorld,
    corpus: Corpus | Sequence[Text],
    *,
    context: str | int = "prefix",
    smoothing: float = 0.0,
    prior: LanguageModel | None = None,
) -> LanguageModel:
    """pi(token | context) = (count + smoothing prior) / (all counts + smoothing).

    Maximum likelihood of the next token if smoothing is 0. A context that no text has is as in the
    prior.

    >>> world = TokenWorld(["the cat"], ["eats", "fish"], 3)
    >>> model = pretrain(world, ["the cat eats fish $", "the cat eats $"], context=1)
    >>> model.next_token("the cat", "eats")
    {'eats': 0.0, 'fish': 0.5, '$': 0.5}

    Args:
        world: prompts and tokens, of any size.
        corpus: pairs (prompt, completion), or sentences that begin with a prompt.
        context: "prefix", or the number of last tokens.
        smoothing: how many texts the prior counts for, in each context.
        prior: a model of the same world, as of fewer last tokens; None is uniform.

    Raises:
        TypeError, ValueError: a prompt or token unknown, a text too long, smoothing < 0, a prior
            with another context that is not its own tree.
    """
    before = LanguageModel(world, context=context)
    if prior is not None:
        must_share_world(world, a_model(prior, "prior").world, "prior")
        prior = as_tree(prior) if before.context == "prefix" else prior
        if prior.context != before.context:
            raise ValueError(
                f"prior must have the context of the model, {before.context!r}; it has"
                f" {prior.context!r}"
            )
        before = prior
    strength = number(smoothing, "smoothing", 0)
    counts = token_counts(before, a_corpus(world, corpus))
    return counted(before, counts + strength * softmax(before.logits, axis=-1))


def token_counts(model: LanguageModel, corpus: Corpus, *, per_text: Array | None = None) -> Array:
    """How often each token follows each context, (contexts, V); of worlds of any size."""
    weights = corpus.weights if per_text is None else per_text
    there = corpus.tokens >= 0
    rows = rows_along(model.world, model.context, corpus.prompts, corpus.tokens)[there]
    V, each = model.logits.shape[1], np.repeat(weights, corpus.lengths)
    counts = np.bincount(rows * V + corpus.tokens[there], each, minlength=model.logits.size)
    return np.asarray(counts.reshape(model.logits.shape))


def counted(model: LanguageModel, counts: Array) -> LanguageModel:
    """The model whose next tokens follow the counts; where there are none, as `model`."""
    return model.with_logits(logits_of(model.logits, counts))


def logits_of(logits: Array, counts: Array) -> Array:
    """The log shares of counts (..., contexts, V), and `logits` in contexts without any."""
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        found = np.log(counts / np.where(total > 0, total, 1.0))
    return np.where(total > 0, found, logits)


def as_tree(model: LanguageModel) -> LanguageModel:
    """The same distribution, each answer on its own branch: what it learns moves nothing else.

    >>> bigram = LanguageModel(TokenWorld(["?"], "ab", 2), context=1)
    >>> tree = as_tree(bigram)
    >>> bigram.logits.shape, tree.logits.shape, bool(np.allclose(tree.probs, bigram.probs))
    ((5, 3), (3, 3), True)
    """
    steps = log_softmax(model.logits, axis=-1)[model.tables.contexts]
    return LanguageModel(model.world, steps.reshape(-1, steps.shape[-1]))


def sentence_log_prob(model: LanguageModel, sentence: str) -> float:
    """log pi of what follows the longest prompt that a sentence begins with, in nats.

    Lecture's question: is P("... because the cat is too big") > P("... the hat is too big")?

    >>> world = TokenWorld(["too big:"], ["cat", "hat"], 1)
    >>> model = pretrain(world, [("too big:", "cat")] * 3 + [("too big:", "hat")])
    >>> round(float(np.exp(sentence_log_prob(model, "too big: cat"))), 4)
    0.75
    """
    return a_model(model, "model").log_prob(*_parted(model.world, sentence, "sentence"))


def _parted(world: TokenWorld, sentence: str, name: str) -> tuple[str, str]:
    """The longest prompt that a sentence begins with, and the rest."""
    between = world.separator
    begins = [x for x in world.prompts if f"{sentence}{between}".startswith(f"{x}{between}")]
    if not begins:
        raise ValueError(f"{name} must begin with a prompt; it is {sentence!r}")
    prompt = max(begins, key=len)
    return prompt, sentence[len(prompt) :].strip()
