"""Means over seeds, and how far to trust them: the percentile bootstrap.

Symbols: n runs, T points of a curve, B resamples.

Reading: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; Agarwal et al.,
Deep Reinforcement Learning at the Edge of the Statistical Precipice [arXiv:2108.13264].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridrl.tables import Array, number, read_only, restore, whole


@dataclass(frozen=True, eq=False)
class Band:
    """A mean over runs and its interval; curves have an axis (T,), single numbers none.

    Attributes:
        mean: over the runs, (T,) or a number.
        low: lower end of the interval, like `mean`.
        high: upper end.
        n: how many runs it is the mean of; the fewest, if that differs from point to point.
        x: where the points stand, (T,); None counts 1, 2, 3, ...
    """

    mean: Array
    low: Array
    high: Array
    n: int
    x: Array | None = None

    def __post_init__(self) -> None:
        for values in (self.mean, self.low, self.high, self.x):
            read_only(np.asarray(values))

    __setstate__ = restore

    def __repr__(self) -> str:
        if self.mean.ndim:
            return f"Band({len(self.mean)} points, n = {self.n})"
        return f"Band({self.mean:.4g} in [{self.low:.4g}, {self.high:.4g}], n = {self.n})"


def band(values: Array, *, level: float, resamples: int, rng: np.random.Generator) -> Band:
    """The mean of `values` (n, ...) over runs, and the percentiles of means of n runs redrawn.

    The interval is NaN where a run is not finite, and has no width where all runs agree: if there
    is only one, for example.

    >>> band(np.arange(10.0), level=0.95, resamples=1000, rng=np.random.default_rng(0))
    Band(4.5 in [2.7, 6.3], n = 10)

    Raises:
        ValueError: `level` outside [0, 1], no resamples.
    """
    tail = (1 - number(level, "level", 0, 1)) / 2
    B, n = whole(resamples, "resamples", least=1), len(values)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=B)  # how often each run is drawn, (B, n)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = values.mean(axis=0)
        means = mean + (counts / n) @ (values - mean)
        low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return Band(mean, low, high, n)
