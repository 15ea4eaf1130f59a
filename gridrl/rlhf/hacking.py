"""Over-optimisation: what is paid for goes up, what is wanted goes up and then down.

The gold reward is what we want, the proxy what we can pay for: a learned reward model, a rater who
likes long answers. Two families of policies go after the proxy, further and further from the
reference: its tilting p_ref exp(lambda r), which is the optimum of RLHF with beta = 1/lambda, and
the best of N answers. Along the first, all can be said exactly:

    d E[gold] / d lambda = Cov(gold, proxy),    d KL / d lambda = lambda Var(proxy)

so the gold reward peaks where the covariance, under the policy itself, is zero: from there on, of
the answers that are still written, those that are paid better are the worse ones.

Symbols: lambda = 1/beta strength, per reward unit; d = sqrt(KL), in nats^(1/2); P prompts, N
completions; all means are over prompts, each weighing the same.

Reading: Gao, Schulman, Hilton (2022), arXiv:2210.10760; Beirami et al. (2024), arXiv:2401.01879.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.sampling import best_of_n
from gridrl.rlhf.tokens import Reward
from gridrl.tables import Array, best, kl, number, read_only, restore, whole

POWERS_OF_TWO = tuple(2**k for k in range(11))
DECADES = np.geomspace(1e-3, 1e3, 601)  # strengths at which a peak is looked for, times sd(proxy)
NOISE = 1e-12  # a gain or a covariance this small, of the rewards' size, is rounding


@dataclass(frozen=True, eq=False)
class Optimised:
    """Policies that go after the proxy, ever harder, in numbers: one of each policy, (T,).

    Attributes:
        strength: lambda, or the number of answers of which the best is taken.
        kl: KL(policy || reference), in nats.
        gold: its gold reward.
        proxy: its proxy reward.
        length: tokens of its answers, the end token included.
    """

    strength: Array
    kl: Array
    gold: Array
    proxy: Array
    length: Array

    __setstate__ = restore

    @property
    def distance(self) -> Array:
        """d = sqrt(KL): the axis on which gold rewards bend.  [Gao et al. 2022]"""
        return np.sqrt(self.kl)

    def __repr__(self) -> str:
        return f"Optimised({len(self.kl)} policies, KL up to {self.kl.max(initial=0):.3g})"


@dataclass(frozen=True, eq=False)
class Overoptimisation:
    """Gold and proxy reward along two ways from a reference.

    Attributes:
        reference: where they start.
        gold: what is wanted, (P, N).
        proxy: what is paid, (P, N).
        tilted: p_ref exp(lambda proxy), from lambda = 0 to infinity.
        best_of_n: the best of N answers by the proxy.
        peak: lambda at which `tilted` earns the most gold; 0 or infinity if it is at an end.
    """

    reference: LanguageModel
    gold: Array
    proxy: Array
    tilted: Optimised
    best_of_n: Optimised
    peak: float

    __setstate__ = restore

    @property
    def beta(self) -> float:
        """The KL coefficient that earns the most gold, 1 / peak, in reward units per nat."""
        return np.inf if self.peak == 0 else 1 / self.peak

    @property
    def slope(self) -> float:
        """d gold / d sqrt(KL) at the reference: sqrt(2) Cov(gold, proxy) / sd(proxy)."""
        spread = deviation(self.reference.probs, self.proxy)
        rise = covariance(self.reference.probs, self.gold, self.proxy)
        return float(np.sqrt(2) * rise / spread) if spread > 0 else 0.0

    def answers(self, prompt: str, strength: float, n: int = 3) -> dict[str, float]:
        """The `n` likeliest answers to a prompt, tilted so far, with their probabilities."""
        p = tilted(self.reference, self.proxy, strength)[self.reference.world.prompt(prompt)]
        first = np.argsort(-p, kind="stable")[: whole(n, "n", least=1)]
        return {self.reference.world.texts[y]: float(p[y]) for y in first}

    def __repr__(self) -> str:
        return f"Overoptimisation(peak at beta = {self.beta:.4g}, {self.reference.world!r})"


def overoptimisation(
    reference: LanguageModel,
    gold: Reward,
    proxy: Reward,
    *,
    strengths: Sequence[float] | None = None,
    answers: Sequence[int] = POWERS_OF_TWO,
) -> Overoptimisation:
    """Go after the proxy by tilting and by best-of-N, exactly, and see what becomes of the gold.

    >>> from gridrl.rlhf.hacks import length_hack
    >>> hack = length_hack()
    >>> found = overoptimisation(hack.reference, hack.gold, hack.proxy)
    >>> found.tilted.gold[[0, -1]].round(3), round(float(found.tilted.gold.max()), 3)
    (array([0.564, 0.2  ]), 0.664)

    Args:
        reference: the policy to start from.
        gold: what is wanted, (P, N) or a function of prompt and completion.
        proxy: what is paid, likewise.
        strengths: lambdas, not negative, infinity allowed; None takes 0, 200 of them and infinity,
            and the peak.
        answers: the N of best-of-N.

    Raises:
        ValueError: rewards of another shape, a negative strength, an N below 1, a world too large.
    """
    _check_reference(reference)
    gold, proxy = (
        reference.world.rewards(R, name=name) for R, name in ((gold, "gold"), (proxy, "proxy"))
    )
    peak = gold_peak(reference, gold, proxy)
    asked = _default_strengths(reference, proxy, peak) if strengths is None else strengths
    lambdas = [_strength(lambda_, f"strengths[{k}]") for k, lambda_ in enumerate(asked)]
    counts = [whole(n, f"answers[{k}]", least=1) for k, n in enumerate(answers)]
    tilts = (tilted(reference, proxy, lambda_) for lambda_ in lambdas)
    winners = (best_of_n(reference, proxy, n).probs for n in counts)
    return Overoptimisation(
        reference,
        gold,
        proxy,
        _measured(reference, gold, proxy, lambdas, tilts),
        _measured(reference, gold, proxy, counts, winners),
        peak,
    )


def tilted(reference: LanguageModel, reward: Reward, strength: float) -> Array:
    """p(y|x) = p_ref(y|x) exp(lambda r(x, y)) / Z(x), (P, N).  [arXiv:2305.18290, eq. 4]

    With infinite strength, the reference among the best answers that it writes at all.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> tilted(model, [[0.0, 1.0]], np.log(3)).round(2), tilted(model, [[0.0, 1.0]], np.inf)
    (array([[0.25, 0.75]]), array([[0., 1.]]))

    Raises:
        ValueError: a strength below 0.
    """
    _check_reference(reference)
    r, log_p = reference.world.rewards(reward), reference.log_probs
    lambda_ = _strength(strength, "strength")
    if lambda_ == np.inf:
        written = np.where(np.isneginf(log_p), r.min() - 1, r)
        return softmax(np.where(best(written), log_p, -np.inf), axis=1)
    return softmax(log_p + lambda_ * r, axis=1)


def covariance(policy: Array, first: Array, second: Array) -> float:
    """Cov_p(f, g) = E_p[(f - E_p f) (g - E_p g)] of answers to one prompt, the mean over prompts.

    >>> covariance(np.array([[0.5, 0.5]]), np.array([[0.0, 1.0]]), np.array([[0.0, 2.0]]))
    0.5
    """
    f = first - (policy * first).sum(axis=1, keepdims=True)
    g = second - (policy * second).sum(axis=1, keepdims=True)
    return float((policy * f * g).sum(axis=1).mean())


def deviation(policy: Array, reward: Array) -> float:
    """Square root of the variance of a reward among answers to one prompt; 0 if it is rounding.

    >>> deviation(np.array([[0.5, 0.5]]), np.array([[0.0, 2.0]]))
    1.0
    """
    sd = float(np.sqrt(covariance(policy, reward, reward)))
    return sd if sd > NOISE * float(np.abs(reward).max()) else 0.0


def gold_peak(reference: LanguageModel, gold: Reward, proxy: Reward) -> float:
    """The lambda at which p_ref exp(lambda proxy) earns the most gold: a zero of Cov(gold, proxy).

    Where the covariance falls through zero there is a peak. Of several the highest is taken; 0 or
    infinity if the reference, or the best answers by the proxy, earn more than all of them.

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> model = LanguageModel(TokenWorld(["?"], "ab", 1))
    >>> round(gold_peak(model, [[0, 3, 1]], [[0, 1, 2]]), 6)  # 2 e^2l - 2 e^l = 3
    0.600415

    Peaks are looked for at strengths of 1e-3 to 1e3 deviations of the proxy.
    """
    _check_reference(reference)
    gold, proxy = (
        reference.world.rewards(R, name=name) for R, name in ((gold, "gold"), (proxy, "proxy"))
    )

    size = float(np.abs(gold).max())

    def slope(strength: float) -> float:
        return covariance(tilted(reference, proxy, strength), gold, proxy)

    def height(strength: float) -> float:
        return float((tilted(reference, proxy, strength) * gold).sum(axis=1).mean())

    noise = NOISE * size * float(np.abs(proxy).max())
    grid = [0.0, *_scaled(reference, proxy, DECADES)]
    known = [(x, y) for x, y in ((x, slope(x)) for x in grid) if abs(y) > noise]
    falls = [(a, b) for (a, up), (b, down) in pairwise(known) if up > 0 > down]
    peak = 0.0
    for other in (*(float(brentq(slope, a, b, xtol=1e-13)) for a, b in falls), np.inf):
        if height(other) > height(peak) + NOISE * size:
            peak = other
    return peak


# --- parts ----------------------------------------------------------------------------------------


def _measured(
    reference: LanguageModel,
    gold: Array,
    proxy: Array,
    strengths: Sequence[float] | Array,
    policies: Iterable[Array],
) -> Optimised:
    q, lengths = reference.probs, reference.world.lengths
    rows = [
        [max(kl(p, q).mean(), 0.0)]  # not below by rounding: a root is taken
        + [(p * each).sum(axis=1).mean() for each in (gold, proxy, lengths)]
        for p in policies
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    strength = np.array(strengths, dtype=np.float64)
    return Optimised(read_only(strength), *(read_only(column) for column in columns.copy()))


def _default_strengths(reference: LanguageModel, proxy: Array, peak: float) -> Array:
    grid = _scaled(reference, proxy, np.geomspace(1e-2, 1e2, 200))
    return np.unique([0.0, *grid, peak, np.inf])


def _scaled(reference: LanguageModel, proxy: Array, deviations: Array) -> Array:
    """Strengths in units in which the proxy has deviation 1 under the reference."""
    spread = deviation(reference.probs, proxy)
    return deviations / spread if spread > 0 else deviations


def _strength(value: float, name: str) -> float:
    return np.inf if isinstance(value, float) and value == np.inf else number(value, name, 0)


def _check_reference(reference: LanguageModel) -> None:
    if not isinstance(reference, LanguageModel):
        raise TypeError(f"reference must be a LanguageModel; it is {reference!r}")
    reference.world.must_be_enumerable()
