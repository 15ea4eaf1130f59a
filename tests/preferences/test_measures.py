"""Accuracy with its exact ceiling, and calibration, of rewards that are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from gridrl.preferences.bradley_terry import preference_probability
from gridrl.preferences.measures import accuracy, accuracy_ceiling, calibration, predicted
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array

REWARD = np.array([0.3, -0.7, 1.1, 0.2])


def clip(*states: int) -> Segment:
    return Segment(list(states), [0] * len(states))


def votes(reward: Array, count: int, seed: int, length: int = 3) -> list[Comparison]:
    """Answers of a softmax human about clips of random states; lengths differ by one."""
    chance, found = np.random.default_rng(seed), []
    for _ in range(count):
        sizes = chance.integers(length, length + 2, 2)
        first, second = (clip(*chance.integers(0, len(reward), size)) for size in sizes)
        p = preference_probability(reward, first, second)
        found.append(Comparison(first, second, "left" if chance.random() < p else "right"))
    return found


class Softmax:
    """A human who is the model."""

    def probability(self, first: Segment, second: Segment) -> float:
        return preference_probability(REWARD, first, second)


def test_accuracy_ceiling_is_reached_and_not_passed() -> None:
    pairs = [(clip(a), clip(b)) for a, b in product(range(4), repeat=2)]
    p = predicted(REWARD, pairs)
    ceiling = accuracy_ceiling(Softmax(), pairs)
    assert ceiling == pytest.approx(np.maximum(p, 1 - p).mean())
    chance = np.random.default_rng(7)
    known = [
        Comparison(pairs[i][0], pairs[i][1], "left" if chance.random() < p[i] else "right")
        for i in chance.integers(0, len(pairs), 5000)
    ]
    # the sum of 5000 answers, each right with chance p: 0.035 is 5 deviations of 0.5 / sqrt(5000)
    assert abs(accuracy(REWARD, known) - ceiling) < 0.035
    assert accuracy(-REWARD, known) == pytest.approx(1 - accuracy(REWARD, known))
    with pytest.raises(ValueError, match="pairs must hold at least one pair"):
        accuracy_ceiling(Softmax(), [])


def test_calibration_of_the_truth_and_of_too_much_confidence() -> None:
    known = votes(REWARD, 6000, 8)
    true, sure = (calibration(r, known) for r in (REWARD, 4 * REWARD))
    assert true.counts.sum() == 6000
    # a bin's share has deviation below 0.5 / sqrt(count): 5 of them for 10 bins, 6e-6
    assert (np.abs(true.observed - true.predicted) < 2.5 / np.sqrt(true.counts)).all()
    assert sure.predicted[-1] - sure.observed[-1] > 0.1
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration(REWARD, known, bins=0)


def test_calibration_by_hand() -> None:
    r = np.log([1.0, 3.0])
    known = [Comparison(clip(1), clip(0), side) for side in ("left", "left", "right", "tie")]
    known.append(Comparison(clip(0), clip(1), "right"))
    curve = calibration(r, known, bins=3)
    np.testing.assert_allclose(curve.predicted, [0.25, 0.75])  # the bin in the middle is empty
    np.testing.assert_allclose(curve.observed, [0, 2.5 / 4])
    np.testing.assert_array_equal(curve.counts, [1, 4])
    np.testing.assert_array_equal(calibration(r, known, bins=2).counts, [1, 4])


def test_preference_probability_is_the_softmax_of_sums() -> None:
    first, second = clip(2, 0), clip(1)
    sums = np.array([1.4, -0.7])
    expected = np.exp(sums[0]) / np.exp(sums).sum()
    assert preference_probability(REWARD, first, second) == pytest.approx(expected)
    assert preference_probability(REWARD, first, second, 0.1) == pytest.approx(
        0.9 * expected + 0.05
    )
