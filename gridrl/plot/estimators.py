"""Policy gradients in pictures: how noisy the estimators are, and where PPO stops paying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from gridrl.learning import clipped_surrogate
from gridrl.plot.curve import COLOURS
from gridrl.tables import number


def clipped_objective(epsilon: float = 0.2, *, ax: Axes | None = None) -> Axes:
    """Draw L(r) = min(r A, clip(r, 1 - epsilon, 1 + epsilon) A) for A = +1 and for A = -1.

    [arXiv:1707.06347, figure 1]

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = clipped_objective(0.2)
    >>> ax.lines[0].get_ydata().max()
    np.float64(1.2)

    Raises:
        ValueError: epsilon outside [0, 1].
    """
    epsilon = number(epsilon, "epsilon", 0, 1)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    kinks = [1 - epsilon, 1.0, 1 + epsilon]
    r = np.sort(np.concatenate([np.linspace(0, 2, 81), kinks]))
    looks: Any = ((1.0, COLOURS[0], "-", "A = +1"), (-1.0, COLOURS[1], "--", "A = -1"))
    for A, colour, dash, name in looks:
        ax.plot(r, clipped_surrogate(r, A, epsilon), color=colour, ls=dash, lw=2.6, label=name)
        ax.plot([1], [A], "o", color=colour, ms=9)
    for edge in (1 - epsilon, 1 + epsilon):
        ax.axvline(edge, color="0.5", lw=1, ls=":", zorder=1)
    ax.set_xticks([0, *kinks, 2], ["0", "1 - ε", "1", "1 + ε", "2"])
    ax.set_xlabel("ratio r = π(a|s) / π_old(a|s)", size=14)
    ax.set_ylabel("objective L", size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=13, frameon=False)
    return ax


def variances(
    measured: Mapping[str, float],
    exact: Mapping[str, float] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw a bar for each estimator's measured variance, on a log scale, the exact one as a mark.

    Args:
        measured: a name for each variance, in the units of the estimate squared.
        exact: the exact variances of some of them.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = variances({"no baseline": 10.4, "value": 2.1}, {"value": 2.11})
    >>> [float(round(bar.get_width(), 1)) for bar in ax.patches]
    [10.4, 2.1]

    Raises:
        ValueError: nothing to draw, a variance that is not positive, an exact one without a bar.
    """
    exact = exact or {}
    if not measured:
        raise ValueError("measured must hold at least one variance; it is empty")
    for name, value in [*measured.items(), *exact.items()]:
        if name not in measured:
            raise ValueError(f"exact must name what is measured; {name!r} is not")
        if not 0 < value < np.inf:
            raise ValueError(f"variances must be positive; that of {name!r} is {value:g}")
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 0.7 * len(measured) + 1.6), layout="constrained")
    places = {name: y for y, name in enumerate(measured)}
    ax.barh(list(places.values()), list(measured.values()), height=0.55, color=COLOURS[5],
            edgecolor="0.2", label="measured")  # fmt: skip
    for name, value in measured.items():
        ax.annotate(f"{value:.3g}", (value, places[name]), xytext=(14, 0), size=13,
                    textcoords="offset points", va="center")  # fmt: skip
    if exact:
        ax.plot(list(exact.values()), [places[name] for name in exact], "d", color="0.1", ms=9,
                label="exact")  # fmt: skip
        ax.legend(fontsize=12, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    everything = [*measured.values(), *exact.values()]
    ax.set_xscale("log")
    ax.set_xlim(min(everything) / 3, max(everything) * 3)
    ax.set_yticks(list(places.values()), list(places), size=13)
    ax.invert_yaxis()
    ax.set_xlabel("variance of one episode's estimate", size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
