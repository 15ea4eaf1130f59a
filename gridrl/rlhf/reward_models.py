"""A reward from votes on answers: pairs and rankings, a free table or linear in features.

A table of rewards knows the answers that were shown, up to a constant a prompt; features carry what
was learned to other answers and prompts. The likelihood has no maximum where some answers never
lost to others: that is reported, `.exists`.

Symbols: x prompt, y answer; r (P, N) rewards; F (P, N, d) features, r = F theta.

Reading: Ouyang et al. (2022), arXiv:2203.02155, section 3.5; Bradley & Terry (1952), Biometrika 39;
Zhu, Jiao & Jordan (2023), arXiv:2301.11270.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from gridrl.rlhf.choices import Choices, Votes, pairwise
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.likeliest import fit_linear, fit_table, separable, unbeaten
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, Indices, Mask, number, read_only, restore, table

LEAST = 1e-6  # l2 where there is no maximum
Likelihood = Callable[[TokenWorld, Votes], Choices]
TextFeatures = Callable[[str, str], ArrayLike]
Features = ArrayLike | TextFeatures


@dataclass(frozen=True, eq=False)
class RewardModel:
    """What votes say about the reward.

    Attributes:
        world: whose answers it scores.
        features: (P, N, d), or a function of two texts; None is a free table.
        shown: prompts and answers that votes were on, two arrays (C,).
        weights: theta, (d,); the rewards of what was shown, (C,), without features.
        exists: the bare likelihood, l2 = 0, has a maximum.
        separable: choices that some reward satisfies strictly while contradicting none; 0 if
            exists.
        loss: mean over the votes, without l2, in nats.
    """

    world: TokenWorld
    features: Array | TextFeatures | None
    shown: tuple[Indices, Indices]
    weights: Array
    exists: bool
    separable: int
    loss: float

    def __post_init__(self) -> None:
        read_only(self.weights)

    __setstate__ = restore

    @cached_property
    def reward(self) -> Array:
        """r(x,y), (P, N), in units of the human's beta: beta R up to a constant a prompt.

        Raises:
            ValueError: there are too many answers to list: ask for one, model(prompt, answer).
        """
        self.world.must_be_enumerable()
        P, N = len(self.world.prompts), self.world.n_completions
        x, y = (k.ravel() for k in np.indices((P, N)))
        return read_only(self.scores(x, y).reshape(P, N))

    def scores(self, x: Indices, y: Indices) -> Array:
        """r of answers y to prompts x, by number, (n,)."""
        if self.features is not None:
            return np.asarray(_featured(self.features, self.world, x, y) @ self.weights)
        place = np.unique(np.concatenate([self.shown[1], y]))  # large numbers become small ones
        known, keys = (
            prompt * len(place) + np.searchsorted(place, answer)
            for prompt, answer in (self.shown, (x, y))
        )
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[at] == keys, self.weights[at], 0.0)

    def __call__(self, prompt: str, completion: str) -> float:
        """r(x,y) of one answer; also of a beginning, if the features are a function of texts."""
        x = self.world.prompt(prompt)
        if callable(self.features):
            text = self.world.text(self.world.tokens(completion))
            return float(_of_texts(self.features, [(prompt, text)])[0] @ self.weights)
        return float(self.scores(np.array([x]), np.array([self.world.completion(completion)]))[0])

    def __repr__(self) -> str:
        maximum = "" if self.exists else f", no maximum: {self.separable} separable"
        return f"RewardModel(loss {self.loss:.4g}{maximum}, {self.world!r})"


def fit_reward_model(
    world: TokenWorld,
    rankings: Votes,
    *,
    features: Features | None = None,
    l2: float = 0.0,
    likelihood: Likelihood = pairwise,
) -> RewardModel:
    """Minimise the votes' loss + l2/2 |theta|^2 by Newton's method.  [arXiv:2203.02155, eq. 1]

    >>> from gridrl.rlhf.votes import Pairs
    >>> world = TokenWorld(["?"], "a", 1)  # answers: $, a
    >>> votes = Pairs(world, [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1])
    >>> fit_reward_model(world, votes).reward.round(4)  # log 3 apart
    array([[-0.5493,  0.5493]])
    >>> fit_reward_model(world, votes.take([0, 1])).exists
    False

    Without features, the answers that votes connect have the mean 0, and one that was never shown
    has 0 too: only features say anything about it. Of all weights that are as good, the shortest
    are given. Where there is no maximum, it is the one of l2 = 1e-6.

    Args:
        world: whose answers are scored.
        rankings: pairs, rankings, or how often each answer was preferred to each other, (P, N, N).
        features: (P, N, d), of `token_counts` or `model_features`, say; where there are too many
            answers to list, a function of two texts that gives d numbers.
        l2: how much large weights cost.
        likelihood: `pairwise` or `plackett_luce`.

    Raises:
        TypeError, ValueError: no votes, votes of another world, features of another shape, l2 < 0.
        NotConverged: no minimum was found in 200 steps.
    """
    choices, ridge = likelihood(world, rankings), number(l2, "l2", 0)
    shown, given = (choices.prompt, choices.completion), None
    if features is not None:
        given = features if callable(features) else _feature_table(features, world)
    F = None if given is None else _featured(given, world, *shown)
    contradicted = unbeaten(choices) if F is None else separable(choices, F)
    if contradicted and not ridge:
        ridge = LEAST
    theta = fit_table(choices, ridge) if F is None else fit_linear(choices, F, ridge)
    loss = choices.loss(theta if F is None else F @ theta)
    return RewardModel(world, given, shown, theta, not contradicted, contradicted, loss)


def centred(world: TokenWorld, reward: Reward, demonstrations: Iterable[Sequence[str]]) -> Array:
    """The reward less its mean over demonstrations (prompt, answer), (P, N).

    So that what people wrote scores 0 on average.  [arXiv:2203.02155, sec. 3.5]

    >>> world = TokenWorld(["?"], "a", 1)
    >>> centred(world, [[1.0, 3.0]], [("?", "$"), ("?", "a")])
    array([[-1.,  1.]])

    Raises:
        ValueError: no demonstrations, an unknown prompt or answer.
    """
    shown = [(world.prompt(x), world.completion(y)) for x, y in demonstrations]
    if not shown:
        raise ValueError("demonstrations must hold at least one; there are none")
    R = world.rewards(reward)
    return np.asarray(R - R[tuple(np.array(shown).T)].mean())


# --- features -------------------------------------------------------------------------------


def token_counts(world: TokenWorld) -> Array:
    """How often each token stands in each answer, (P, N, V): the same for all prompts.

    >>> world = TokenWorld(["?"], "a", 2)
    >>> world.texts, token_counts(world)
    (('$', 'a$', 'aa'), array([[[0., 1.],
            [1., 1.],
            [2., 0.]]]))
    """
    tokens = world.completion_tokens
    counts = (tokens[:, :, None] == np.arange(len(world.vocabulary))).sum(axis=1)
    return np.broadcast_to(counts, (len(world.prompts), *counts.shape)).astype(np.float64)


def model_features(model: LanguageModel) -> Array:
    """How often the model was in each context and wrote each token, (P, N, contexts x V).

    What a reward model finds when it starts from the supervised one: its contexts, with new numbers
    in them. Contexts that stand in no answer are left out.

    >>> bigram = LanguageModel(TokenWorld(["?"], "a", 2), context=1)
    >>> bigram.world.texts, model_features(bigram)
    (('$', 'a$', 'aa'), array([[[0., 0., 0., 1.],
            [0., 1., 1., 0.],
            [1., 0., 1., 0.]]]))

    Raises:
        ValueError: the model knows each answer's prefix, so that no two answers share anything.
    """
    if model.context == "prefix":
        raise ValueError("model must share contexts (context=1, say); its context is the prefix")
    tables, V = model.tables, model.logits.shape[1]
    met = np.unique(tables.contexts)
    columns = [tables.along(_one(tables.contexts == row, V, k)) for row in met for k in range(V)]
    stacked = np.stack(columns, axis=-1)
    return np.asarray(stacked[..., stacked.any(axis=(0, 1))])


def _one(where: Mask, tokens: int, k: int) -> Array:
    """1 for token k at the places asked for, (P, n, V)."""
    steps = np.zeros((*where.shape, tokens))
    steps[..., k] = where
    return steps


def _feature_table(features: ArrayLike, world: TokenWorld) -> Array:
    """(P, N, d)."""
    world.must_be_enumerable()
    shape, given = (len(world.prompts), world.n_completions), np.shape(features)
    if len(given) != 3 or given[:2] != shape:
        raise ValueError(f"features must have shape ({shape[0]}, {shape[1]}, d); it has {given}")
    return table(features, "features")


def _featured(features: Array | TextFeatures, world: TokenWorld, x: Indices, y: Indices) -> Array:
    """The features of answers y to prompts x, by number, (n, d)."""
    if not callable(features):
        return np.asarray(features[x, y])
    texts = world.texts_of(world.tokens_of(y))
    return _of_texts(features, [(world.prompts[k], text) for k, text in zip(x, texts, strict=True)])


def _of_texts(features: TextFeatures, texts: Sequence[tuple[str, str]]) -> Array:
    rows = [features(prompt, text) for prompt, text in texts]
    sizes = {np.shape(row) for row in rows}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise ValueError(f"features must give d numbers, always as many; they give {sizes}")
    return table(np.array(rows), "features")
