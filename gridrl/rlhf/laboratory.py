"""The expectation laboratory: what an estimator gives on average, by trying all that can happen.

An estimator is a function of a prompt and the answers drawn to it. Its mean, variance and bias are
finite sums over all groups of n answers, weighted with their probabilities: no noise, no doubt.
Prompts are drawn for independently, and averaged.

Symbols: x prompt, y (n,) answers, both by number; P prompts, N answers to each.

Reading: lecture 003, where an expectation is replaced by samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from gridrl.rlhf.divergences import Policy, log_probs_of, must_share_world
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld, a_world
from gridrl.tables import Array, Indices, called, generator, read_only, restore, table, whole

MOST = 1_000_000  # groups that are tried


@dataclass(frozen=True, eq=False)
class Expectation:
    """What an estimator gives, exactly.

    Attributes:
        mean: of the average over prompts, of the estimate's shape.
        variance: of that average, entry by entry.
        by_prompt: the mean for each prompt, (P, ...).
        truth: what should have come out, or None.
        samples: groups drawn for each prompt, or None if all were tried.
    """

    mean: Array
    variance: Array
    by_prompt: Array
    truth: Array | None
    samples: int | None = None

    def __post_init__(self) -> None:
        for values in (self.mean, self.variance, self.by_prompt):
            read_only(values)

    __setstate__ = restore

    @property
    def bias(self) -> Array:
        """Mean less truth.

        Raises:
            ValueError: no truth was given.
        """
        if self.truth is None:
            raise ValueError("truth must be given to `expectation_of` for a bias; it is None")
        return self.mean - self.truth

    @property
    def error(self) -> Array:
        """Standard error of the mean, entry by entry: 0 if all groups were tried."""
        return np.sqrt(self.variance / self.samples) if self.samples else 0 * self.variance

    @property
    def total_variance(self) -> float:
        """The variances of all entries together: E|estimate - mean|^2."""
        return float(self.variance.sum())

    @property
    def cosine(self) -> float:
        """How far the mean points the way of the truth: 1 if it is a multiple, nan of 0."""
        true = self.mean - self.bias
        lengths = np.linalg.norm(self.mean) * np.linalg.norm(true)
        return float((self.mean * true).sum() / lengths) if lengths > 0 else float("nan")

    def __repr__(self) -> str:
        bias = "" if self.truth is None else f", largest bias {np.abs(self.bias).max():.3g}"
        return f"Expectation(shape {self.mean.shape}, variance {self.total_variance:.4g}{bias})"


def expectation_of(
    estimator: Callable[[int, Indices], Any],
    world: TokenWorld,
    model: Policy,
    *,
    n: int,
    truth: ArrayLike | None = None,
    symmetric: bool = False,
    samples: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Expectation:
    """E[estimator(x, y)], y = n answers drawn from the model: mean, variance, bias, all exact.

    Args:
        estimator: (x, y (n,)) -> a number or an array, always of one shape; prompt and answers are
            numbers, of `world.prompts` and `world.texts`.
        world: prompts and answers.
        model: who draws: a model, or a table (P, N) of probabilities.
        n: answers to a prompt.
        truth: what should come out, for the bias.
        symmetric: a promise that the order of y does not matter: far fewer groups are tried.
        samples: draw so many groups for each prompt instead of trying all, whether symmetric or
            not; `.error` says how far off the mean may be. In worlds of up to 4e18 answers.
        rng: a seed, a Generator, or None for fresh chance; of samples.

    >>> from gridrl.rlhf.language import LanguageModel
    >>> world = TokenWorld(["?"], "a", 1)
    >>> R = np.array([0.0, 4.0])
    >>> def spread(x, y):
    ...     return R[y].var()  # divided by n, not by n - 1
    >>> found = expectation_of(spread, world, LanguageModel(world), n=2, truth=4.0)
    >>> float(found.mean), float(found.bias)
    (2.0, -2.0)

    Raises:
        TypeError, ValueError: more than a million groups (how many is said), n < 1, a model of
            another shape, estimates of different shapes, or that are not finite.
    """
    called(estimator, "estimator")
    n, P = whole(n, "n", least=1), len(a_world(world, "world").prompts)
    many = None if samples is None else whole(samples, "samples", least=2)
    if many is None:
        groups = _all_groups(world, model, n, symmetric)
    else:
        groups = _drawn_groups(world, model, n, many, generator(rng))
    found = [_moments(estimator, x, each) for x, each in enumerate(groups)]
    by_prompt, variances = (np.array(moment) for moment in zip(*found, strict=True))
    variance = variances.sum(axis=0) / P**2 * (many / (many - 1) if many else 1.0)
    true = None if truth is None else table(truth, "truth", by_prompt.shape[1:])
    mean = np.asarray(by_prompt.mean(axis=0))
    return Expectation(mean, np.asarray(variance), by_prompt, true, many)


def _all_groups(
    world: TokenWorld, model: Policy, n: int, symmetric: bool
) -> list[Iterator[tuple[Indices, float]]]:
    """All groups of n answers to each prompt, with their probabilities."""
    a_world(world, "world").must_be_enumerable()
    if isinstance(model, LanguageModel):
        must_share_world(world, model.world)
    lp = log_probs_of(model, "model")
    shape = (len(world.prompts), world.n_completions)
    if lp.shape != shape:
        raise ValueError(f"model must have shape {shape}; it has {lp.shape}")
    possible = [np.flatnonzero(row > -np.inf) for row in lp]
    _must_be_few([len(y) for y in possible], n, symmetric)
    return [_groups(y, row, n, symmetric) for y, row in zip(possible, lp, strict=True)]


def _drawn_groups(
    world: TokenWorld, model: Policy, n: int, samples: int, chance: np.random.Generator
) -> list[Iterator[tuple[Indices, float]]]:
    """Groups of n answers that the model wrote to each prompt, all of one weight."""
    if not isinstance(model, LanguageModel):
        raise TypeError(f"model must be a LanguageModel that can write samples; it is {model!r}")
    must_share_world(world, model.world)
    x = np.repeat(np.arange(len(world.prompts)), samples * n)
    y = world.numbers_of(model.write(x, rng=chance)).reshape(-1, samples, n)
    return [((group, 1 / samples) for group in groups) for groups in y]


def _must_be_few(sizes: list[int], n: int, symmetric: bool) -> None:
    groups = sum(comb(N + n - 1, n) if symmetric else N**n for N in sizes)
    if groups > MOST:
        way = (
            "take fewer answers, or samples="
            if symmetric
            else "take fewer, symmetric=True or samples="
        )
        raise ValueError(
            f"n must leave at most {MOST:,} groups to try; {n} leaves {groups:,} ({way})"
        )


def _groups(
    answers: Indices, lp: Array, n: int, symmetric: bool
) -> Iterator[tuple[Indices, float]]:
    """All groups of n answers, with their probabilities."""
    if not symmetric:
        for group in product(answers.tolist(), repeat=n):
            y = np.array(group, dtype=np.intp)
            yield y, float(np.exp(lp[y].sum()))
        return
    for group in combinations_with_replacement(answers.tolist(), n):
        y = np.array(group, dtype=np.intp)
        repeats = np.unique(y, return_counts=True)[1]
        orders = gammaln(n + 1) - gammaln(repeats + 1).sum()
        yield y, float(np.exp(lp[y].sum() + orders))


def _moments(
    estimator: Callable[[int, Indices], Any], x: int, groups: Iterator[tuple[Indices, float]]
) -> tuple[Array, Array]:
    """Mean and variance, entry by entry, with weights that come one after the other."""
    y, total = next(groups)
    mean = _estimate(estimator, x, y)
    spread = np.zeros(mean.shape)
    for y, weight in groups:
        value = _estimate(estimator, x, y)
        if value.shape != mean.shape:
            raise ValueError(
                f"estimator must give one shape; it gives {mean.shape}, and {value.shape} for"
                f" x = {x}, y = {y.tolist()}"
            )
        total += weight
        step = value - mean
        mean = mean + weight / total * step
        spread = spread + weight * step * (value - mean)
    return mean, spread / total


def _estimate(estimator: Callable[[int, Indices], Any], x: int, y: Indices) -> Array:
    value = np.asarray(estimator(x, y), dtype=np.float64)
    if not np.isfinite(value).all():
        raise ValueError(f"estimator must be finite; it is not for x = {x}, y = {y.tolist()}")
    return value
