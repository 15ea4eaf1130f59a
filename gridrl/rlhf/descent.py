"""Going down a loss of votes: what `direct`'s methods share.

theta <- theta - alpha rule(gradient), where the gradient of the mean loss is

    sum_xy (d loss / d h(x,y)) d log pi(y|x) / d theta,    h(x,y) = log pi(y|x) / pi_ref(y|x).

Symbols: K runs in lock-step; C answers that were voted on, all runs' in one line; theta logits,
(K, contexts, V).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.rlhf.direct_losses import kto_loss, kto_slope
from gridrl.rlhf.divergences import kl_by_tokens, memory_of, must_share_world
from gridrl.rlhf.duels import Comparisons, Duels, duels_of, must_be_written, of_runs
from gridrl.rlhf.language import LanguageModel, a_model
from gridrl.streams import streams
from gridrl.tables import Array, called, number, read_only, restore, whole

Rng = int | np.random.Generator | None
Pull = Callable[[Duels, Array, Array], tuple[Array, Array]]
Rule = Callable[[Array, Array, Array, int], tuple[Array, Array, Array]]


@dataclass(frozen=True, eq=False)
class Direct:
    """A policy after a step.

    Attributes:
        start: the model that it began with.
        logits: theta, (contexts, V), or (K, contexts, V) of K runs.
        loss: of the votes of this step before it, in nats where the loss is; (K,) of K runs.
        endless: pairs of answers whose margin has no finite optimum, since nobody ever voted
            otherwise, not even in a circle; (K,) of K runs. The longer one learns, the larger
            they grow. It counts as if each answer were free to move; where contexts are shared,
            other votes may hold a margin back. 0 where the loss has an optimum whatever the votes.
        iteration: steps so far.
    """

    start: LanguageModel
    logits: Array
    loss: Any
    endless: Any
    iteration: int

    __setstate__ = restore

    @property
    def models(self) -> tuple[LanguageModel, ...]:
        """The language models of all runs."""
        shape = (-1, *self.start.logits.shape)
        return tuple(self.start.with_logits(theta) for theta in self.logits.reshape(shape))

    @property
    def model(self) -> LanguageModel:
        """The language model of the only run."""
        if self.logits.ndim > 2:
            raise ValueError(f"there are {len(self.logits)} runs: .models has one model of each")
        return self.models[0]

    @property
    def probs(self) -> Array:
        """pi(y|x), (P, N), or (K, P, N)."""
        return np.exp(self.start.tables.log_probs(self.logits))

    def __repr__(self) -> str:
        pairs = int(np.max(self.endless))
        note = f", diverges: {pairs} pairs were voted on one way only" if pairs else ""
        return f"Direct(step {self.iteration}, loss {np.mean(self.loss):.4g}{note})"


def steepest(gradient: Array, mean: Array, square: Array, t: int) -> tuple[Array, Array, Array]:
    """The gradient as it is.

    >>> steepest(np.array([3.0, -0.1]), np.zeros(2), np.zeros(2), t=1)[0]
    array([ 3. , -0.1])
    """
    return gradient, mean, square


def adam(gradient: Array, mean: Array, square: Array, t: int) -> tuple[Array, Array, Array]:
    """Running mean over the root of the running square, both freed of their start.

    [arXiv:1412.6980, alg. 1]

    Args:
        gradient: of step t = 1, 2, ...
        mean: of gradients so far, to be handed on.
        square: of their squares, to be handed on.
        t: the step.

    >>> step, mean, square = adam(np.array([3.0, -0.1]), np.zeros(2), np.zeros(2), t=1)
    >>> step.round(4), mean.round(4)
    (array([ 1., -1.]), array([ 0.3 , -0.01]))
    """
    mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    return mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8), mean, square


class Start:
    """What a method is given, checked."""

    def __init__(
        self,
        model: LanguageModel,
        comparisons: Comparisons,
        reference: LanguageModel | None,
        runs: int | None,
        likelihood: bool = False,
    ) -> None:
        a_model(model, "model")
        self.model = model
        anchor = model if reference is None else a_model(reference, "reference")
        must_share_world(model.world, anchor.world, "reference")
        self.duels = duels_of(comparisons, model, runs)
        must_be_written(self.duels, anchor, "reference")
        must_be_written(self.duels, model, "model")
        self.reference = anchor
        self.log_ref = self.duels.answers.log_probs_under(anchor).sum(axis=-1)
        self.squeezed = runs is None and of_runs(comparisons) is None
        endless = self.duels.endless if likelihood else np.zeros(len(self.duels.weight))
        self.endless = self.duels.summed(endless.astype(np.float64)).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Descent:
    """How it goes down."""

    alpha: float
    iterations: int
    batch: int | None
    rule: Rule

    def __post_init__(self) -> None:
        number(self.alpha, "alpha", 0)
        whole(self.iterations, "iterations", least=1)
        called(self.rule, "rule")
        if self.batch is not None:
            whole(self.batch, "batch", least=1)


def descend(start: Start, pull: Pull, how: Descent, rng: Rng) -> Iterator[Direct]:
    """A snapshot a step; steps shrink evenly, since Adam's do not settle where none does."""
    model, answers, K = start.model, start.duels.answers, start.duels.runs
    theta = np.repeat(model.logits[None], K, axis=0)
    mean, square, chances = np.zeros(1), np.zeros(1), streams(rng, K)
    for t in range(1, how.iterations + 1):
        duels = start.duels if how.batch is None else start.duels.drawn(chances, how.batch)
        loss, slope = pull(duels, theta, answers.log_probs(theta).sum(axis=-1))
        gradient = answers.gradient(theta, slope[:, None])
        move, mean, square = how.rule(gradient, mean, square, t)
        theta = theta - how.alpha * (1 - (t - 1) / how.iterations) * move
        if np.isnan(theta).any():
            raise ValueError(f"alpha must be smaller: the logits are no numbers after {t} steps")
        k = 0 if start.squeezed else slice(None)
        yield Direct(model, read_only(theta)[k], read_only(loss)[k], read_only(start.endless)[k], t)


def on_margins(
    log_ref: Array | float,
    loss: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    scale: Array | float = 1.0,
) -> Pull:
    """The mean loss (K,) of margins of h times `scale`, and its slope by h, (C,)."""

    def pull(duels: Duels, theta: Array, log_probs: Array) -> tuple[Array, Array]:
        h = (log_probs - log_ref) * scale
        margin = h[duels.winner] - h[duels.loser]
        force = duels.weight * slope(margin)
        return duels.summed(duels.weight * loss(margin)), duels.pulled(force, -force) * scale

    return pull


def on_ratios(start: Start, beta: float, weights: tuple[float, float]) -> Pull:
    """The mean loss of answers one by one, (K,), and its slope by h, (C,)."""
    memory = memory_of(start.model, start.reference)

    def pull(duels: Duels, theta: Array, log_probs: Array) -> tuple[Array, Array]:
        h, answers = log_probs - start.log_ref, duels.answers
        z0 = kl_by_tokens(start.model, start.reference, theta, memory)[answers.run, answers.x]
        at = {True: duels.winner, False: duels.loser}
        cost, force = {}, {}
        for liked, places in at.items():
            r, kl = h[places], z0[places]
            cost[liked] = duels.weight * kto_loss(r, liked, beta, kl=kl, weights=weights)
            force[liked] = duels.weight * kto_slope(r, liked, beta, kl=kl, weights=weights)
        pulls = duels.pulled(force[True], force[False])
        return duels.summed(cost[True] + cost[False]) / 2, pulls / 2

    return pull
