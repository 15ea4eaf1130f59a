"""Several reward models that were asked to learn from the same votes, each from its own sample.

Christiano et al. do three things beside the softmax of section 2.2.3. (a) An ensemble: each member
fits its own draw of the comparisons, is normalised, and then they are averaged. (b) 1/e of the
comparisons are held out, and l2 is raised or lowered so that the loss on them stays between 1.1 and
1.5 times the training loss. (c) 10% of the answers are taken for guesses.

1/e is the share that a bootstrap leaves out, so (a) and (b) are one thing here: a comparison counts
Poisson(1) times for a member, for good, and where that is 0 it is one of those held out. The paper
does not say so. Where members disagree, a vote is worth most: `gridrl.preferences.queries`.

Symbols: m members; n comparisons; W (m, n) how often each counts; theta (m, d) parameters;
r (m, cells) rewards, the reward table's cells row by row.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.preferences.design import (
    Pair,
    differences,
    feature_table,
    labelled,
    pairs_of,
    reward_shape,
    shares,
    visited,
)
from gridrl.preferences.likelihood import Votes, preference_loss, preferred
from gridrl.preferences.linear import Linear
from gridrl.preferences.networks import Network
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array, generator, number, read_only, restore, whole

LOW, HIGH = 1.1, 1.5  # validation loss over training loss
STEP = 2.0  # l2 is multiplied by it, or divided; the paper does not say
LEAST, MOST = 1e-6, 1e2  # of l2
ADAPTATIONS = 10  # of l2, at most, in one fit
CONSTANT = 1e-9  # a reward that varies less, relative to its size, is constant


@dataclass(frozen=True, eq=False)
class Losses:
    """Mean losses of each member, in nats a comparison.

    Attributes:
        training: on the comparisons drawn for the member, (m,); nan where there are none.
        validation: on those left out, (m,); nan where there are none.
    """

    training: Array
    validation: Array

    __setstate__ = restore


class RewardEnsemble:
    """Rewards of several models, normalised and averaged.  [arXiv:1706.03741, sec. 2.2.3]

    >>> pairs = [(Segment([0, 1], [a, 0]), Segment([2, 2], [a, 0])) for a in range(8)]
    >>> votes = [Comparison(good, bad, "left") for good, bad in pairs]
    >>> ensemble = RewardEnsemble((3,), rng=0).fit(votes)
    >>> ensemble.reward.round(2)
    array([ 0.71,  0.71, -1.41])
    >>> bool((ensemble.predict(*pairs[0]) > 0.5).all())
    True

    Args:
        shape: of the reward table: (S,), (S, A), or with observations in place of states.
        members: how many; 1 is no ensemble.
        error: the share of answers taken for guesses.
        l2: to begin with, the same for every member; 0 stays 0: no regularisation.
        features: (cells, d); the reward is linear in them, or a network of them.
        hidden: units of a network's hidden layers, (64, 64) in the paper; None is no network.
        observed: the rows are observations, r(o) or r(o, a).
        rng: a seed, a Generator, or None for fresh chance.

    Attributes:
        l2: as it stands, (m,).
        losses: of the last fit.

    `fit` puts new arrays in place of the old ones: `copy.copy(ensemble)` keeps how it stood.

    Raises:
        TypeError, ValueError: a shape that is none, no members, error outside [0, 1], l2 below 0,
            features of other cells.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        members: int = 3,
        error: float = 0.1,
        l2: float = 1e-2,
        features: ArrayLike | None = None,
        hidden: Sequence[int] | None = None,
        observed: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.shape = reward_shape(shape)
        self.error, self.observed = number(error, "error", 0, 1), observed
        m, cells, chance = whole(members, "members", least=1), self.cells, generator(rng)
        self._model = _model(feature_table(features, cells), cells, hidden)
        self._theta = self._model.start(m, chance)
        self._seed = int(chance.integers(2**63))
        self._drawn: dict[str, Array] = {}
        self._visited = np.ones(cells, bool)
        self.l2 = read_only(np.full(m, number(l2, "l2", 0)))
        self.losses = Losses(np.full(m, np.nan), np.full(m, np.nan))

    @property
    def cells(self) -> int:
        """Of the reward table."""
        return int(np.prod(self.shape))

    def fit(self, comparisons: Iterable[Comparison]) -> RewardEnsemble:
        """Fit every member, from where it stood, and adapt l2; skips are left out.

        Args:
            comparisons: all the votes so far, the old ones too.

        Returns:
            the ensemble itself.

        Raises:
            TypeError, ValueError: nothing but skips, two worlds, or a cell beyond the table.
        """
        known = labelled(comparisons)
        pairs = pairs_of(known)
        X = differences(pairs, self.shape, self.observed)
        votes = Votes(X, shares(known), self._sampled(known), self.error)
        for _ in range(ADAPTATIONS):
            self._theta = self._model.fit(votes, self._theta, self.l2)
            self.losses = _losses(votes, self._model.rewards(self._theta))
            l2, self.l2 = self.l2, _adapted(self.l2, self.losses)
            if (l2 == self.l2).all():
                break
        self._visited = visited(pairs, self.shape, self.observed)
        return self

    @property
    def raw(self) -> Array:
        """The members' rewards as they were fitted, (m, *shape)."""
        r = np.array(self._model.rewards(self._theta))
        return read_only(r.reshape(-1, *self.shape))

    @property
    def members(self) -> Array:
        """The members' rewards, (m, *shape); mean 0, deviation 1 over the cells that clips pass.

        A constant member is 0.
        """
        r = self.raw.reshape(-1, self.cells)
        seen = r[:, self._visited]
        mean, std = seen.mean(axis=1, keepdims=True), seen.std(axis=1, keepdims=True)
        flat = std <= CONSTANT * np.abs(seen).max(axis=1, keepdims=True)
        scaled = np.where(flat, 0.0, (r - mean) / np.where(flat, 1.0, std))
        return read_only(scaled.reshape(-1, *self.shape))

    @property
    def reward(self) -> Array:
        """r-hat: the mean of the normalised members, in their deviations, (shape)."""
        return read_only(self.members.mean(axis=0))

    @property
    def spread(self) -> Array:
        """The standard deviation between the normalised members, (shape)."""
        return read_only(self.members.std(axis=0))

    def predict(self, first: Segment, second: Segment) -> Array:
        """P(first preferred) as each member has it, guesses included, (m,)."""
        return self.predictions([(first, second)])[:, 0]

    def predictions(self, pairs: Sequence[Pair]) -> Array:
        """P(first preferred) as each member has it, of many pairs at once, (m, pairs)."""
        X = differences(pairs, self.shape, self.observed)
        return preferred((X @ self._model.rewards(self._theta).T).T, self.error)

    def __repr__(self) -> str:
        return f"RewardEnsemble{self.shape}, {len(self.l2)} members"

    def _sampled(self, comparisons: Sequence[Comparison]) -> Array:
        """How often each counts for each member, (m, n): drawn once a pair, and kept for good."""
        for pair in {vote.pair for vote in comparisons} - self._drawn.keys():
            chance = np.random.default_rng([self._seed, *pair.encode()])
            self._drawn[pair] = chance.poisson(1.0, len(self.l2)).astype(np.float64)
        return np.stack([self._drawn[vote.pair] for vote in comparisons], axis=1)


def _model(features: Array | None, cells: int, hidden: Sequence[int] | None) -> Linear | Network:
    if hidden is None:
        return Linear(cells, features)
    units = tuple(whole(size, f"hidden[{i}]", least=1) for i, size in enumerate(hidden))
    return Network(np.eye(cells) if features is None else features, units)


def _losses(votes: Votes, r: Array) -> Losses:
    loss = preference_loss(votes.delta(r), votes.mu, votes.error)
    return Losses(_mean(loss, votes.W), _mean(loss, (votes.W == 0).astype(np.float64)))


def _mean(loss: Array, weights: Array) -> Array:
    total = weights.sum(axis=1)
    mean = (weights * loss).sum(axis=1) / np.where(total, total, 1.0)
    return read_only(np.where(total, mean, np.nan))


def _adapted(l2: Array, losses: Losses) -> Array:
    """Raise l2 where validation is too far above training, lower it where too near."""
    too_far = losses.validation > HIGH * losses.training
    too_near = losses.validation < LOW * losses.training
    more = np.where(too_far, np.clip(l2 * STEP, l2, np.maximum(l2, MOST)), l2)
    return read_only(np.where(too_near, np.clip(l2 / STEP, np.minimum(l2, LEAST), l2), more))
