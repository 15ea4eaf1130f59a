"""The networks: gradients against differences, shapes, Adam by hand, a fit that no table can do."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.preferences.design import differences
from gridrl.preferences.likelihood import Votes
from gridrl.preferences.linear import Linear
from gridrl.preferences.networks import LEAK, Network, adam
from gridrl.preferences.segments import Segment
from gridrl.tables import Array


def clip(*states: int) -> Segment:
    return Segment(list(states), [0] * len(states))


def some_votes(members: int = 2, error: float = 0.1) -> Votes:
    chance = np.random.default_rng(0)
    pairs = [(clip(*chance.integers(0, 6, 3)), clip(*chance.integers(0, 6, 3))) for _ in range(20)]
    W = chance.poisson(1.0, (members, 20)).astype(float)
    return Votes(differences(pairs, (6,)), chance.choice([0, 0.5, 1], 20), W, error)


def network(*hidden: int, d: int = 3) -> Network:
    return Network(np.random.default_rng(1).normal(size=(6, d)), hidden)


def losses(model: Network, votes: Votes, theta: Array) -> Array:
    return votes.loss_and_slope(model.rewards(theta))[0]


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4), (4, 4, 4)])
@pytest.mark.parametrize("error", [0.0, 0.1])
def test_gradient_against_differences(hidden: tuple[int, ...], error: float) -> None:
    model, votes, chance = network(*hidden), some_votes(error=error), np.random.default_rng(2)
    theta = model.start(2, chance) + 0.1 * chance.normal(size=model.start(2, chance).shape)
    r, inputs = model.forward(theta)
    gradient = model.backward(theta, inputs, votes.loss_and_slope(r)[1])
    for _ in range(5):
        along = chance.normal(size=theta.shape)
        h = 1e-6
        ahead, behind = (losses(model, votes, theta + d * along) for d in (h, -h))
        # central differences are off by h^2, rounding by 1e-16 / h
        expected = (ahead - behind) / (2 * h)
        np.testing.assert_allclose((gradient * along).sum(axis=1), expected, atol=1e-7)


def test_forward_by_hand() -> None:
    model = Network(np.array([[2.0]]), (1,))
    theta = np.array([[3.0, -1.0, 4.0, 0.5], [-3.0, 1.0, 4.0, 0.5]])  # W1 b1 W2 b2
    np.testing.assert_allclose(model.rewards(theta), [[4 * 5 + 0.5], [4 * LEAK * -5 + 0.5]])


def test_no_hidden_layer_is_the_linear_reward() -> None:
    model, chance = network(), np.random.default_rng(3)
    theta = chance.normal(size=(2, 4))
    linear = Linear(6, model.features)
    np.testing.assert_allclose(
        model.rewards(theta), linear.rewards(theta[:, :3]) + theta[:, 3:], atol=1e-12
    )


def test_members_do_not_touch_each_other() -> None:
    model, votes = network(4, 4), some_votes(2)
    theta = model.start(2, np.random.default_rng(4))
    alone = Votes(votes.X, votes.mu, votes.W[1:], votes.error)
    both = model.fit(votes, theta, np.array([0.1, 0.01]))
    one = model.fit(alone, theta[1:], np.array([0.01]))
    np.testing.assert_allclose(both[1:], one, rtol=1e-6, atol=1e-8)


def test_first_step_of_adam_is_alpha_long() -> None:
    gradient = np.array([1e-3, -5.0, 200.0])
    start = np.zeros(3)
    moved = adam(lambda _: gradient, start, steps=1, alpha=0.1)
    np.testing.assert_allclose(moved, [-0.1, 0.1, -0.1], rtol=1e-4)
    np.testing.assert_array_equal(start, 0)


def test_activations_keep_their_size() -> None:
    model = Network(np.random.default_rng(5).normal(size=(400, 50)), (64, 64))
    theta = model.start(20, np.random.default_rng(6))
    r = model.rewards(theta)
    # in the mean over 20 networks r^2 is about 2, as the last layer is not bent: within a factor 3
    assert 2 / 3 < float((r**2).mean()) < 6


def test_fit_lowers_the_loss_and_l2_holds_it() -> None:
    model, votes = network(8, 8, d=6), some_votes(2)
    theta = model.start(2, np.random.default_rng(7))
    free, held = (model.fit(votes, theta, np.full(2, l2)) for l2 in (0.0, 1.0))
    assert (losses(model, votes, free) < losses(model, votes, held)).all()
    assert (np.linalg.norm(held, axis=1) < 0.7 * np.linalg.norm(free, axis=1)).all()


def test_exclusive_or_of_two_features() -> None:
    """What no reward linear in the features can do: the cells where exactly one is on are good."""
    F = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    pairs = [(clip(good), clip(bad)) for good in (1, 2) for bad in (0, 3)]
    votes = Votes(differences(pairs, (4,)), np.ones(4), np.ones((1, 4)), 0.1)
    model = Network(F, (16, 16))
    theta = model.fit(votes, model.start(1, np.random.default_rng(8)), np.full(1, 1e-4))
    r = model.rewards(theta)[0]
    assert min(r[1], r[2]) > max(r[0], r[3]) + 1
    linear = Linear(4, F)
    s = linear.rewards(linear.fit(votes, linear.start(1, np.random.default_rng(9)), np.zeros(1)))[0]
    assert min(s[1], s[2]) <= max(s[0], s[3]) + 1e-9
