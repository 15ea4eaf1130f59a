"""A simulated human who judges answers: pairs, rankings, and infinitely many pairs at once.

A Bradley-Terry human prefers y to y' with probability sigma(beta (R(x,y) - R(x,y'))), and ranks K
answers by choosing the best, then the best of the rest (Plackett-Luce).

Symbols: x prompt; y answer; P prompts, N answers to each; n votes; beta how sharply the human sees,
per reward unit; p (P, N) what the model writes.

Reading: Bradley & Terry (1952), Biometrika 39; Plackett (1975), Appl. Statist. 24; Ouyang et al.
(2022), arXiv:2203.02155, section 3.5.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.language import LanguageModel, a_model, scores
from gridrl.rlhf.tokens import Reward, TokenWorld, a_world
from gridrl.rlhf.votes import Pairs, Rankings, pair_shape
from gridrl.tables import Array, Indices, generator, number, whole

TRIES = 1000  # at answers that differ


def label_pairs(
    world: TokenWorld,
    reward: Reward,
    model: LanguageModel,
    n: int,
    *,
    beta: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> Pairs:
    """Ask a Bradley-Terry human about `n` pairs of different answers that the model wrote.

    Prompts are drawn evenly; pairs as `all_pairs` weighs them. Where there are too many answers to
    list, they are written, and the reward must be a function of two texts.

    >>> world = TokenWorld(["?"], "ab", 2)
    >>> votes = label_pairs(world, lambda x, y: 9.0 * y.count("a"), LanguageModel(world), 5, rng=0)
    >>> [(chosen, rejected) for _, chosen, rejected in votes.texts][:3]
    [('ab', 'bb'), ('ab', '$'), ('ba', '$')]

    Raises:
        TypeError, ValueError: n < 1, beta < 0, a model of another world, one that gives only one
            answer to a prompt, a world that is too large.
    """
    a_model(model, "model")
    sharp, chance = number(beta, "beta", 0), generator(rng)
    x = chance.integers(len(a_world(world, "world").prompts), size=whole(n, "n", least=1))
    if world.enumerable or not callable(reward):
        R, p = world.rewards(reward), _probs(world, model)
        first, second = _two_answers(p, x, chance.random((2, n)))
        gap = R[x, first] - R[x, second]
    else:
        first, second = _written(world, model, x, 2, chance, both=True).T
        paid = (scores(world, reward, x, world.tokens_of(y)) for y in (first, second))
        gap = np.subtract(*paid)
    wins = chance.random(n) < expit(sharp * gap)
    return Pairs(world, x, np.where(wins, first, second), np.where(wins, second, first))


def all_pairs(world: TokenWorld, reward: Reward, reference: LanguageModel, beta: float) -> Array:
    """Infinitely many votes: w[x,i,j] = P(asked x, shown i and j, i preferred), (P, N, N).

    w = (1/P) 2 p_i p_j sigma(beta (R_i - R_j)) / (1 - sum_k p_k^2) for i != j, in all one.

    >>> world = TokenWorld(["?"], "a", 1)
    >>> all_pairs(world, [[np.log(3), 0.0]], LanguageModel(world), 1.0)
    array([[[0.  , 0.75],
            [0.25, 0.  ]]])

    Raises:
        TypeError, ValueError: as `label_pairs`.
    """
    pair_shape(a_world(world, "world"))
    R, p = world.rewards(reward), _probs(world, reference)
    shown = p[:, :, None] * p[:, None, :]
    shown[:, np.arange(p.shape[1]), np.arange(p.shape[1])] = 0.0
    shown *= 2 / (shown.sum(axis=(1, 2), keepdims=True) * len(p))
    return np.asarray(shown * expit(number(beta, "beta", 0) * (R[:, :, None] - R[:, None, :])))


def label_rankings(
    world: TokenWorld,
    reward: Reward,
    model: LanguageModel,
    n: int,
    k: int,
    *,
    beta: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> Rankings:
    """Ask a Plackett-Luce human to rank `k` different answers that the model wrote, `n` times.

    The human ranks by beta R plus Gumbel noise, which is Plackett-Luce. The answers are drawn in
    the same way: the k largest of log p plus Gumbel noise are k draws without putting back.

    >>> world = TokenWorld(["?"], "ab", 1)
    >>> said = label_rankings(world, [[0.0, 1.0, 5.0]], LanguageModel(world), 4, 3, rng=0)
    >>> said.completions
    array([[1, 2, 0],
           [2, 0, 1],
           [2, 1, 0],
           [2, 1, 0]])

    Raises:
        TypeError, ValueError: as `label_pairs`; k < 2, or more than the model can write.
    """
    a_model(model, "model")
    sharp, chance, many = number(beta, "beta", 0), generator(rng), whole(n, "n", least=1)
    x, many_each = chance.integers(len(world.prompts), size=many), whole(k, "k", least=2)
    if world.enumerable or not callable(reward):
        R, p = world.rewards(reward), _probs(world, model)
        shown = _several(p, x, many_each, chance)
        paid = R[x[:, None], shown]
    else:
        shown = _written(world, model, x, many_each, chance)
        asked, tokens = np.repeat(x, many_each), world.tokens_of(shown.ravel())
        paid = scores(world, reward, asked, tokens).reshape(shown.shape)
    felt = sharp * paid + chance.gumbel(size=shown.shape)
    return Rankings(world, x, np.take_along_axis(shown, np.argsort(-felt, axis=1), axis=1))


def _several(p: Array, x: Indices, k: int, chance: np.random.Generator) -> Indices:
    """K different answers to each prompt, (n, k), one after the other, without putting back."""
    if k > (least := int((p > 0).sum(axis=1).min())):
        raise ValueError(
            f"k must be at most {least}, the answers that the model can give; it is {k}"
        )
    with np.errstate(divide="ignore"):
        drawn = np.log(p)[x] + chance.gumbel(size=(len(x), p.shape[1]))
    return np.argsort(-drawn, axis=1)[:, :k]


def _written(
    world: TokenWorld,
    model: LanguageModel,
    x: Indices,
    k: int,
    chance: np.random.Generator,
    both: bool = False,
) -> Indices:
    """The same by writing, (n, k): what repeats is written again; `both` of a pair, if asked for.

    Raises:
        ValueError: the model writes too few different answers.
    """
    must_share_world(a_world(world, "world"), a_model(model, "model").world)
    shown = np.zeros((len(x), k), dtype=np.intp)
    again = np.ones(shown.shape, dtype=bool)
    for _ in range(TRIES):
        row, _ = np.nonzero(again)
        shown[again] = world.numbers_of(model.write(x[row], rng=chance))
        earlier = np.tril(shown[:, :, None] == shown[:, None, :], -1)
        again = earlier.any(axis=2)
        if not again.any():
            return shown
        if both:
            again[:] = again.any(axis=1, keepdims=True)
    asked = world.prompts[x[int(again.any(axis=1).argmax())]]
    raise ValueError(
        f"model must have {k} answers to compare, and not be all but sure of one; {TRIES} tries"
        f" find fewer to {asked!r}"
    )


def _two_answers(p: Array, x: Indices, uniform: Array) -> tuple[Indices, Indices]:
    """Two different answers to each prompt x (n,): i with p_i (1 - p_i), j with p_j / (1 - p_i)."""
    answers = np.zeros((2, len(x)), dtype=np.intp)
    for prompt in np.unique(x):
        mine, row = np.flatnonzero(x == prompt), p[prompt]
        first = _invert(np.cumsum(row * (1 - row)), uniform[0, mine])
        edges = np.concatenate([[0.0], np.cumsum(row)])
        target = uniform[1, mine] * (edges[-1] - row[first])
        target += np.where(target >= edges[first], row[first], 0.0)  # leap over the first one
        second = np.searchsorted(edges[1:], target, side="right")
        answers[:, mine] = first, np.minimum(second, int(np.flatnonzero(row)[-1]))
    return answers[0], answers[1]


def _invert(sums: Array, uniform: Array) -> Indices:
    return np.asarray(np.searchsorted(sums, uniform * sums[-1], side="right"))


def _probs(world: TokenWorld, model: LanguageModel) -> Array:
    """What the model writes, (P, N), if it writes more than one answer."""
    must_share_world(a_world(world, "world"), a_model(model, "model").world)
    if (alone := (model.probs > 0).sum(axis=1) < 2).any():
        asked = world.prompts[int(alone.argmax())]
        raise ValueError(f"model must have two answers to compare; it has one to {asked!r}")
    return model.probs
