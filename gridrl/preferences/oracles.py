"""The simulated human: whom it prefers is known exactly, and every weakness has a number.

The paper's human prefers the larger sum of true rewards, and is indifferent where sums are equal.
Here it may also be unable to tell where nothing happens, take small differences for ties, choose by
chance (`beta`), judge some pairs the wrong way round, or press any key; in this order.

Symbols: k steps of a clip; v(sigma) = sum_t myopia^(k-1-t) r(s_t, a_t), in reward units;
Delta = v(first) - v(second).

Reading: Christiano et al. (2017), arXiv:1706.03741, sections 2.1, 2.2.3 and 3.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gridrl.preferences.segments import LABELS, Segment, pair_of
from gridrl.tables import TIE, Array, draw, generator, index, number, restore, table

Judge = Callable[[Segment, Segment], float]
LEFT, RIGHT, TIED, SKIPPED = np.eye(4)  # certain answers, in the order of LABELS
ANY_KEY = np.array([0.5, 0.5, 0.0, 0.0])  # the paper's uniform answer has no ties
SWAPPED = [1, 0, 2, 3]


@dataclass(frozen=True, eq=False)
class PreferenceOracle:
    """Answer as a human would who sees the true reward.

    Attributes:
        reward: r(s) (S,) or r(s, a) (S, A), in reward units; r(o) or r(o, a) if `observed`; None
            where a judge does without.
        beta: rationality, per reward unit: P(first) = sigma(beta Delta). None is the paper's human:
            the larger sum for certain, a tie where they are equal (to 1e-12 of their size).
        error: chance of an answer that is left or right at random; the paper assumes 0.1.
        tie: where |Delta| is below, it is a tie.
        skip: where |v| of both clips is below, nothing happens that could be judged: "skip".
        myopia: weight of a step relative to the next one; below 1 the end of a clip counts most,
            at 0 the last step alone.
        mistake: share of pairs that are judged the wrong way round, always the same ones.
        judge: in place of Delta and beta any function of two clips that says with what probability
            the first is preferred; exactly 1/2 is a tie.
        observed: rewards are of observations.

    >>> oracle = PreferenceOracle([0.0, 1.0, 3.0])
    >>> here, there = Segment([0, 1], [0, 0]), Segment([2, 2], [0, 0])
    >>> oracle.label(here, there), oracle.probability(here, there)
    ('right', 0.0)
    >>> unsure = PreferenceOracle([0.0, 1.0, 3.0], beta=0.2, error=0.1)
    >>> round(unsure.probability(here, there), 4)  # 0.9 sigma(-1) + 0.05
    0.292

    Raises:
        TypeError, ValueError: a reward of another shape, a number out of its range, beta beside a
            judge, no reward where one is needed.
    """

    reward: Array | None
    beta: float | None
    error: float
    tie: float
    skip: float
    myopia: float
    mistake: float
    judge: Judge | None
    observed: bool

    def __init__(
        self,
        reward: ArrayLike | None = None,
        *,
        beta: float | None = None,
        error: float = 0.0,
        tie: float = 0.0,
        skip: float = 0.0,
        myopia: float = 1.0,
        mistake: float = 0.0,
        judge: Judge | None = None,
        observed: bool = False,
    ) -> None:
        fields = {
            "reward": None if reward is None else _reward_table(reward),
            "beta": None if beta is None else number(beta, "beta", 0),
            "error": number(error, "error", 0, 1),
            "tie": number(tie, "tie", 0),
            "skip": number(skip, "skip", 0),
            "myopia": number(myopia, "myopia", 0, 1),
            "mistake": number(mistake, "mistake", 0, 1),
            "judge": judge,
            "observed": bool(observed),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._check_judge()

    __setstate__ = restore

    def _check_judge(self) -> None:
        if self.judge is None and self.reward is None:
            raise ValueError("reward must be given where there is no judge; it is None")
        if self.judge is not None and not callable(self.judge):
            raise TypeError(f"judge must be a function of two segments; it is {self.judge!r}")
        if self.judge is not None and self.beta is not None:
            raise ValueError("beta must be None beside a judge, which gives its own probability")
        if self.reward is None and (self.tie, self.skip, self.myopia) != (0, 0, 1):
            raise ValueError("tie, skip and myopia are about a reward; there is a judge alone")

    def value(self, segment: Segment) -> float:
        """v(sigma) = sum_t myopia^(k-1-t) r(s_t, a_t), in reward units.

        >>> PreferenceOracle([1.0, 4.0], myopia=0.5).value(Segment([0, 0, 1], [0, 0, 0]))
        4.75

        Raises:
            ValueError: a state or action beyond the reward table, observations that were not kept,
                no reward.
        """
        return float(self._paid(segment).sum())

    def distribution(self, first: Segment, second: Segment) -> dict[str, float]:
        """The exact probability of each label.

        >>> flips = PreferenceOracle([0.0, 1.0], error=0.2)
        >>> flips.distribution(Segment([1], [0]), Segment([0], [0]))
        {'left': 0.9, 'right': 0.1, 'tie': 0.0, 'skip': 0.0}

        Raises:
            TypeError, ValueError: as `value`, or a judge that does not say a probability.
        """
        for name, clip in (("first", first), ("second", second)):
            if not isinstance(clip, Segment):
                raise TypeError(f"{name} must be a Segment; it is a {type(clip).__name__}")
        p = self._clean(first, second)
        if self.mistake and _place(pair_of(first, second)) < self.mistake:
            p = p[SWAPPED]
        p = (1 - self.error) * p + self.error * ANY_KEY
        return dict(zip(LABELS, p.tolist(), strict=True))

    def probability(self, first: Segment, second: Segment) -> float:
        """P(first preferred | an answer), ties shared: [P(left) + P(tie) / 2] / [1 - P(skip)].

        1/2 where there is never an answer. Raises: as `distribution`.
        """
        p = self.distribution(first, second)
        answer = p["left"] + p["right"] + p["tie"]
        return (p["left"] + p["tie"] / 2) / answer if answer > 0 else 0.5

    def label(
        self, first: Segment, second: Segment, rng: int | np.random.Generator | None = None
    ) -> str:
        """Draw an answer: "left", "right", "tie" or "skip"; one uniform, whatever the options.

        Raises: as `distribution`.
        """
        p = np.array([*self.distribution(first, second).values()])
        return LABELS[int(draw(p[None], generator(rng).random(1))[0])]

    def _clean(self, first: Segment, second: Segment) -> Array:
        """The answer before mistakes and errors, (4,)."""
        delta = rounding = 0.0
        if self.reward is not None:
            paid = [self._paid(clip) for clip in (first, second)]
            left, right = (float(r.sum()) for r in paid)
            delta, rounding = left - right, TIE * max(float(np.abs(r).sum()) for r in paid)
            if max(abs(left), abs(right)) < self.skip:
                return SKIPPED
            if abs(delta) < self.tie:
                return TIED
        if self.judge is not None:
            p = number(self.judge(first, second), "judge(first, second)", 0, 1)
            return TIED if p == 0.5 else p * LEFT + (1 - p) * RIGHT
        if self.beta is not None:
            p = float(expit(self.beta * delta))
            return p * LEFT + (1 - p) * RIGHT
        return TIED if abs(delta) <= rounding else LEFT if delta > 0 else RIGHT

    def _paid(self, segment: Segment) -> Array:
        """myopia^(k-1-t) r(s_t, a_t), (k,)."""
        if self.reward is None:
            raise ValueError("reward must be given to value a segment; it is None")
        rows = segment.observations if self.observed else segment.states
        if rows is None:
            raise ValueError("observed needs segments with observations; this one has none")
        cells = (rows, segment.actions)[: self.reward.ndim]
        names = ("observations" if self.observed else "states", "actions")
        for name, cell, size in zip(names, cells, self.reward.shape, strict=False):
            if cell.max() >= size:
                t = int(cell.argmax())
                raise ValueError(
                    f"reward must have an entry for {name}[{t}] = {cell[t]};"
                    f" its shape is {self.reward.shape}"
                )
        return self.myopia ** np.arange(len(rows))[::-1] * self.reward[cells]

    def __repr__(self) -> str:
        size = "no reward" if self.reward is None else f"reward of shape {self.reward.shape}"
        plain = {"beta": None, "error": 0, "tie": 0, "skip": 0, "myopia": 1, "mistake": 0}
        told = [f"{k}={getattr(self, k):g}" for k, v in plain.items() if getattr(self, k) != v]
        judge = [] if self.judge is None else ["a judge"]
        return f"PreferenceOracle({', '.join([size, *judge, *told])})"


def laps(segment: Segment, positions: ArrayLike, centre: ArrayLike) -> float:
    """How often a clip goes round the centre, clockwise as it is drawn; backwards is negative.

    >>> square = [[0, 0], [0, 2], [2, 2], [2, 0]]  # corners, in the order of a clock's hand
    >>> laps(Segment([0, 1, 2], [0, 0, 0]), square, (1, 1))
    0.5

    A step onto the centre, off it or straight across counts nothing: it has no direction.

    Args:
        segment: the clip; its final state counts if it is known.
        positions: (row, column) of each state, (S, 2), as `GridWorld.positions`.
        centre: (row, column), perhaps between squares.

    Raises:
        ValueError: another shape, or a state without a position.
    """
    return _laps(segment, _around(positions, centre))


def laps_judge(positions: ArrayLike, centre: ArrayLike) -> Judge:
    """A judge who wants to see laps: the clip that gets further round the centre is preferred.

    Nobody has to write a reward for it.

    >>> square = [[0, 0], [0, 2], [2, 2], [2, 0]]
    >>> oracle = PreferenceOracle(judge=laps_judge(square, (1, 1)))
    >>> oracle.label(Segment([0, 1], [0, 0]), Segment([1, 0], [0, 0]))
    'left'

    Args, Raises: as `laps`.
    """
    around = _around(positions, centre)

    def judge(first: Segment, second: Segment) -> float:
        ahead = _laps(first, around) - _laps(second, around)
        return 0.5 if abs(ahead) < 1e-9 else float(ahead > 0)

    return judge


def intransitive_judge(kind: Callable[[Segment], int]) -> Judge:
    """Rock, paper, scissors: 1 is preferred to 0, 2 to 1, and 0 to 2; no reward can say so.

    >>> oracle = PreferenceOracle(judge=intransitive_judge(lambda clip: int(clip.actions[0])))
    >>> rock, paper, scissors = (Segment([0], [a]) for a in range(3))
    >>> [oracle.label(*pair) for pair in [(rock, paper), (paper, scissors), (scissors, rock)]]
    ['right', 'right', 'right']

    Args:
        kind: of a clip: 0, 1 or 2.

    Raises:
        TypeError, ValueError: a clip is of another kind, when it is judged.
    """

    def judge(first: Segment, second: Segment) -> float:
        here, there = (index(kind(clip), "kind(segment)", 3) for clip in (first, second))
        return 0.5 if here == there else float(here == (there + 1) % 3)

    return judge


def _around(positions: ArrayLike, centre: ArrayLike) -> Array:
    """Where each state is as seen from the centre, (S, 2)."""
    places = table(positions, "positions")
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"positions must have shape (S, 2); it has {places.shape}")
    return places - table(centre, "centre", (2,))


def _laps(segment: Segment, around: Array) -> float:
    path = segment.states if segment.final is None else np.append(segment.states, segment.final)
    if path.max() >= len(around):
        raise ValueError(f"positions must have a row for state {path.max()}; it has {len(around)}")
    down, right = around[path].T
    angle, there = np.arctan2(down, right), np.hypot(down, right) > 0
    turn = (np.diff(angle) + np.pi) % (2 * np.pi) - np.pi
    directed = there[1:] & there[:-1] & ~np.isclose(np.abs(turn), np.pi)
    return float(turn[directed].sum() / (2 * np.pi))


def _reward_table(reward: ArrayLike) -> Array:
    paid = table(reward, "reward")
    if paid.ndim not in (1, 2) or paid.size == 0:
        raise ValueError(f"reward must have shape (S,) or (S, A); it has {paid.shape}")
    return paid


def _place(pair: str) -> float:
    """A number in [0, 1) that is the pair's own."""
    return int.from_bytes(hashlib.sha256(pair.encode()).digest()[:6], "big") / 2**48
