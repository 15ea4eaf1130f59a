"""Bradley-Terry: the design, what is identified, whether a maximum exists, its information."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.sparse.csgraph import connected_components

from gridrl.preferences.bradley_terry import (
    BradleyTerry,
    fit_bradley_terry,
    hessian,
    objective,
    preference_probability,
)
from gridrl.preferences.design import design, differences, visits
from gridrl.preferences.likelihood import (
    information,
)
from gridrl.preferences.measures import predicted
from gridrl.preferences.segments import Comparison, Segment
from gridrl.tables import Array
from gridrl.worlds import penguin_world

REWARD = np.array([0.3, -0.7, 1.1, 0.2])
BAD = [
    ([], {}, ValueError, r"at least one left, right or tie; there are none"),
    (["skip", "skip"], {}, ValueError, r"at least one left, right or tie; there are 2 skips"),
    (["left"], {"l2": -1.0}, ValueError, r"l2 must be in \[0, inf\]; it is -1"),
    (["left"], {"error": 1.0}, ValueError, r"error must be in \[0, 1\]; it is 1"),
    (["left"], {"observed": True}, ValueError, "observed needs segments with observations"),
    (["left"], {"features": np.ones((3, 2))}, ValueError, r"features must have shape \(4, d\)"),
    (["left"], {"features": np.ones(4)}, ValueError, r"a row a cell; it has \(4,\)"),
]


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


def walks(length: int) -> list[Segment]:
    """All walks of so many steps on the penguin's ice: a step changes the colour."""
    P = np.asarray(penguin_world().markov_process().P)
    found = [[s] for s in range(16)]
    for _ in range(length - 1):
        found = [[*walk, int(s)] for walk in found for s in np.flatnonzero(P[walk[-1]])]
    return [clip(*walk) for walk in found]


def staying(length: int) -> list[Segment]:
    """The walks, where the last step may be a rest."""
    return walks(length) + [clip(*one.states, one.states[-1]) for one in walks(length - 1)]


def rank(clips: list[Segment]) -> BradleyTerry:
    return fit_bradley_terry([Comparison(a, b, "tie") for a, b in pairwise(clips)], (16,))


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_gradient_and_hessian(error: float) -> None:
    D, mu = design(votes(REWARD, 30, 0), (4,))
    theta, h = np.array([0.5, -1.0, 2.0, 0.1]), 1e-5
    args = (D, mu, 0.3, error)
    wrong = check_grad(lambda x: objective(x, *args)[0], lambda x: objective(x, *args)[1], theta)
    assert wrong < 1e-6
    columns = [
        (objective(theta + h * e, *args)[1] - objective(theta - h * e, *args)[1]) / (2 * h)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(hessian(theta, *args), np.stack(columns), atol=1e-8)


def test_design_is_the_counts() -> None:
    known = [
        Comparison(Segment([0, 1, 1], [1, 0, 0]), Segment([2], [1]), "left"),
        Comparison(clip(0), clip(1), "skip"),
        Comparison(clip(0, 0), clip(1, 0), "tie"),
    ]
    for shape in ((3,), (3, 2)):
        X, mu = design(known, shape)
        rows = [c.first.counts(shape) - c.second.counts(shape) for c in (known[0], known[2])]
        np.testing.assert_array_equal(X, [row.ravel() for row in rows])
        np.testing.assert_array_equal(mu, [1, 0.5])


def test_observed_cells() -> None:
    one = Segment([5, 6], [0, 1], [1, 1])
    np.testing.assert_array_equal(visits([one], (2, 2), True).toarray(), [[0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        (walks(3), 15),
        (walks(4), 14),
        (walks(2) + walks(4), 15),
        (walks(3) + walks(5)[::7], 16),
        (walks(3) + walks(4), 16),
        (staying(3), 15),
        (staying(4), 15),
        (staying(3) + staying(4), 16),
    ],
    ids=["odd", "even", "evens", "odds", "mixed", "stay-3", "stay-4", "stay-mixed"],
)
def test_ranks_on_the_ice(clips: list[Segment], expected: int) -> None:
    fitted = rank(clips)
    null = fitted.null_space
    assert fitted.rank == expected
    assert null.shape == (16 - expected, 16)
    np.testing.assert_allclose(null @ null.T, np.eye(16 - expected), atol=1e-12)
    np.testing.assert_allclose(differences([(clips[0], clips[-1])], (16,)) @ null.T, 0, atol=1e-12)


def test_what_even_lengths_leave_open() -> None:
    null = rank(walks(4)).null_space
    colours = np.array([(-1.0) ** (s // 4 + s % 4) for s in range(16)])
    for open_ in (np.ones(16), colours):
        np.testing.assert_allclose(null.T @ (null @ open_), open_, atol=1e-12)


def test_all_ties_are_reward_zero() -> None:
    fitted = rank(walks(2))
    np.testing.assert_array_equal(fitted.reward, np.zeros(16))
    assert (fitted.exists, fitted.separable) == (True, 0)
    same = fit_bradley_terry([Comparison(clip(0), clip(0), "left")], (2,))
    assert (same.rank, same.exists, same.null_space.shape) == (0, True, (2, 2))


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_endless_data_give_the_reward(error: float) -> None:
    """Answers in exact proportion: pairs of one length, so all but the constant."""
    # differences of log 3 and log 9: shares that 400 votes can have exactly, with guesses too
    r = np.log(3) * np.array([0.0, 1.0, 2.0])
    known = []
    for a, b in ((1, 0), (2, 1), (2, 0)):
        p = preference_probability(r, clip(a), clip(b), error)
        wins = round(p * 400)
        assert wins == pytest.approx(p * 400, abs=1e-9)
        known += [Comparison(clip(a), clip(b), side) for side in ["left"] * wins]
        known += [Comparison(clip(a), clip(b), side) for side in ["right"] * (400 - wins)]
    fitted = fit_bradley_terry(known, (3,), error=error)
    np.testing.assert_allclose(fitted.reward, r - r.mean(), atol=1e-6)  # gradient 1e-10
    assert fitted.exists


def test_many_votes_come_near() -> None:
    fitted = fit_bradley_terry(votes(REWARD, 4000, 1), (4,))
    away = fitted.reward - REWARD
    # away' I away is chi-squared with 4 degrees of freedom: over 40 with chance 4e-8
    assert 0 < away @ fitted.fisher @ away < 40


def test_fisher_information_by_simulation() -> None:
    """The covariance of the estimate is the inverse information, by 300 repetitions."""
    r = REWARD[:2]
    pairs = [(clip(0), clip(1)), (clip(0, 0), clip(1)), (clip(0), clip(1, 1))] * 200
    p = predicted(r, pairs)
    X = differences(pairs, (2,)).toarray()
    exact = np.linalg.inv(X.T @ (information(X @ r)[:, None] * X))
    chance, found = np.random.default_rng(2), []
    for _ in range(300):
        sides = np.where(chance.random(600) < p, "left", "right")
        known = [Comparison(*pair, str(side)) for pair, side in zip(pairs, sides, strict=True)]
        found.append(fit_bradley_terry(known, (2,)).reward)
    # each entry's relative error has deviation sqrt(2 / 300) = 0.08: 0.4 is 5 of them, 2e-6
    ratio = np.diag(np.cov(np.array(found).T)) / np.diag(exact)
    assert np.abs(ratio - 1).max() < 0.4


def test_information_of_a_cell_is_the_diagonal() -> None:
    fitted = fit_bradley_terry(votes(REWARD, 200, 3), (4,), error=0.1, l2=0.01)
    np.testing.assert_allclose(fitted.information, np.diag(fitted.fisher))
    assert fitted.loss > -np.log(0.95)


@pytest.mark.parametrize("seed", range(12))
def test_exists_where_the_win_graph_is_strongly_connected(seed: int) -> None:
    """Segments that share no cell are the competitors of Ford's condition."""
    chance = np.random.default_rng(seed)
    known, wins = [], np.zeros((5, 5))
    for _ in range(9):
        a, b = chance.choice(5, 2, replace=False)
        side = str(chance.choice(["left", "right", "tie"], p=[0.45, 0.45, 0.1]))
        known.append(Comparison(clip(a), clip(b), side))
        wins[a, b] += side != "right"
        wins[b, a] += side != "left"
    _, strong = connected_components(wins, connection="strong")
    _, weak = connected_components(wins, connection="weak")
    expected = len(set(zip(strong, weak, strict=True))) == len(set(weak))
    across = sum(strong[c.first.states[0]] != strong[c.second.states[0]] for c in known)
    fitted = fit_bradley_terry(known, (5,))
    assert fitted.exists == expected
    assert fitted.separable == across  # votes between strong components are won by one side only


def test_no_maximum_is_said_and_still_finite() -> None:
    known = [Comparison(clip(0), clip(1), "left"), Comparison(clip(1), clip(2), "left")]
    fitted = fit_bradley_terry(known, (3,))
    assert (fitted.exists, fitted.separable) == (False, 2)
    assert "no maximum: 2 separable" in repr(fitted)
    assert fitted.reward[0] > fitted.reward[1] + 5 > fitted.reward[2] + 10
    least = fit_bradley_terry(known, (3,), l2=1e-6).reward  # the one that stands in for it
    np.testing.assert_array_equal(fitted.reward, least)
    contradicted = [*known, Comparison(clip(0), clip(1), "right")]
    assert fit_bradley_terry(contradicted, (3,)).separable == 1


def test_a_tie_contradicts_both_sides() -> None:
    known = [Comparison(clip(0), clip(1), "left"), Comparison(clip(0), clip(1), "tie")]
    fitted = fit_bradley_terry(known, (2,))
    assert fitted.exists
    assert fitted.reward[0] - fitted.reward[1] == pytest.approx(np.log(3))  # mean mu is 3/4


def test_a_slip_hardly_matters_with_guesses() -> None:
    """Of 100 clear votes one is wrong; the mixture explains it, the bare fit must not be sure."""
    known = [Comparison(clip(0, 0, 0, 0), clip(1), "left")] * 99
    slip = [*known, Comparison(clip(0, 0, 0, 0), clip(1), "right")]
    bare, mixed = (fit_bradley_terry(slip, (2,), error=e, l2=1e-4).reward for e in (0.0, 0.1))
    x = np.array([4, -1])
    assert x @ bare < np.log(99) + 0.1
    assert x @ mixed > x @ bare + 1


def test_no_part_in_the_null_space_and_l2() -> None:
    known = votes(REWARD, 60, 4)
    same = [c for c in known if len(c.first) == len(c.second)]
    fitted = fit_bradley_terry(same, (4,))
    np.testing.assert_allclose(fitted.null_space @ fitted.reward, 0, atol=1e-12)
    small = fit_bradley_terry(same, (4,), l2=1.0)
    assert np.linalg.norm(small.reward) < np.linalg.norm(fitted.reward)
    X, mu = design(same, (4,))
    np.testing.assert_allclose(objective(small.weights, X, mu, 1.0, 0.0)[1], 0, atol=1e-9)


def test_features() -> None:
    F = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    known = [c for c in votes(REWARD, 300, 5) if len(c.first) == len(c.second)]
    fitted = fit_bradley_terry(known, (4,), features=F)
    np.testing.assert_allclose(fitted.reward, F @ fitted.weights)
    assert (fitted.rank, fitted.fisher.shape) == (1, (2, 2))
    np.testing.assert_allclose(np.abs(fitted.null_space), [[0.5] * 4])  # the constant


def test_state_action_rewards_keep_their_shape() -> None:
    known = [Comparison(Segment([0], [a]), Segment([1], [1 - a]), "left") for a in (0, 1)]
    fitted = fit_bradley_terry(known, (2, 2), l2=0.1)
    assert fitted.reward.shape == fitted.information.shape == (2, 2)
    assert fitted.null_space.shape == (2, 2, 2)
    assert (fitted.reward[0] > 0).all()
    assert (fitted.reward[1] < 0).all()


def test_results_are_read_only_also_after_pickling() -> None:
    fitted = pickle.loads(pickle.dumps(fit_bradley_terry(votes(REWARD, 20, 6), (4,), l2=0.1)))
    with pytest.raises(ValueError, match="read-only"):
        fitted.reward[0] = 1


@pytest.mark.parametrize(("labels", "options", "kind", "message"), BAD)
def test_bad_input(labels, options, kind, message) -> None:  # type: ignore[no-untyped-def]
    known = [Comparison(clip(0), clip(1), label) for label in labels]
    with pytest.raises(kind, match=message):
        fit_bradley_terry(known, (4,), **options)


def test_bad_cells_worlds_and_shapes() -> None:
    known = [Comparison(clip(0), clip(1), "left"), Comparison(clip(0), clip(1, 7), "left")]
    with pytest.raises(ValueError, match=r"states\[1\] of segment 1 must be in 0..3; it is 7"):
        fit_bradley_terry(known, (4,))
    with pytest.raises(ValueError, match=r"actions\[0\] of segment 0 must be in 0..1; it is 3"):
        design([Comparison(Segment([0], [3]), clip(1), "left")], (4, 2))
    other = [
        known[0],
        Comparison(Segment([0], [0], world="b"), Segment([1], [0], world="b"), "tie"),
    ]
    with pytest.raises(ValueError, match=r"comparisons\[1\] must be of the world of the first, ''"):
        fit_bradley_terry(other, (4,))
    with pytest.raises(TypeError, match=r"comparisons\[0\] must be a Comparison; it is a str"):
        fit_bradley_terry(["left"], (4,))  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"shape must be \(S,\) or \(S, A\)"):
        fit_bradley_terry(known, (4, 2, 2))
    with pytest.raises(ValueError, match=r"shape\[0\] must be at least 1"):
        fit_bradley_terry(known, (0,))
