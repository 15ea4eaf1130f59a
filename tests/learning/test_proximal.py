"""PPO: the surrogate and its corners, minibatches, the entropy's slope, and the book's loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl import POMDP, gae, lost_penguin_world, occupancy, penguin_world, softmax_policy
from gridrl.learning import (
    PPOSettings,
    clipped_surrogate,
    clipped_surrogate_gradient,
    exact_policy_gradient,
    exact_returns,
    ppo,
)
from gridrl.learning.batches import Batches, Experience
from gridrl.learning.proximal import _Steps, entropy_gradient
from gridrl.tables import Array, entropy
from gridrl.worlds import random_walk
from tests.learning.oracles import descent, differences, roundabout, score, unlikely
from tests.strategies import seeds

ICE, WALK = penguin_world().mdp(gamma=0.9), random_walk(3).mdp(gamma=1)
LOST = lost_penguin_world().pomdp(gamma=0.9)
DOWN, ROUND = descent("lottery", 0.8)[0], roundabout("lottery", 0.9)[0]
WORLDS: dict[str, tuple[Any, int | None]] = {
    "ends": (DOWN, None), "cut": (ROUND, 3), "lost": (LOST, 6)
}  # fmt: skip
every_world = pytest.mark.parametrize("name", list(WORLDS))


def logits(world: Any, seed: int = 0) -> Array:
    Z = world.n_observations if isinstance(world, POMDP) else world.n_states
    return np.random.default_rng(seed).normal(size=(Z, world.n_actions))


def steps_of(world: Any, steps: int | None, runs: int, plan: PPOSettings) -> tuple[Any, ...]:
    """A batch under random policies, as PPO sees it: (batch, its steps, policies, V)."""
    pi = np.stack([softmax_policy(logits(world, seed)) for seed in range(runs)])
    batch = Batches(world, 8, steps, runs, 1, dreams=plan.epochs).collect(pi)
    V = np.random.default_rng(1).normal(size=pi.shape[:2])
    A = batch.advantages(V, plan.advantage)
    return batch, _Steps.of(batch, A, pi, V, plan), pi, V


# --- the surrogate --------------------------------------------------------------------------------


def test_four_corners() -> None:
    # (ratio, advantage) -> paid, slope; epsilon = 0.2
    corners = {
        (1.5, 2.0): (2.4, 0.0),  # better, and far enough: no more is paid
        (0.5, 2.0): (1.0, 2.0),  # better, and moved away: come back
        (1.5, -2.0): (-3.0, -2.0),  # worse, and more likely: come back
        (0.5, -2.0): (-1.6, 0.0),  # worse, and far enough
    }
    for (r, A), (paid, slope) in corners.items():
        assert clipped_surrogate(r, A, 0.2) == pytest.approx(paid)
        assert clipped_surrogate_gradient(r, A, 0.2) == slope


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.1, 0.2, 1.0]))
def test_the_slope_away_from_the_kinks(seed: int, epsilon: float) -> None:
    rng, h = np.random.default_rng(seed), 1e-6
    r, A = rng.uniform(0.01, 2.5, size=50), rng.normal(size=50)
    smooth = (np.abs(r - 1 - epsilon) > 2 * h) & (np.abs(r - 1 + epsilon) > 2 * h)
    r, A = r[smooth], A[smooth]
    up, down = (clipped_surrogate(r + d, A, epsilon) for d in (h, -h))
    slope = clipped_surrogate_gradient(r, A, epsilon)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-8)  # rounding 1e-16 / h
    # never more than what the old policy's estimate pays, which at r = 1 it is
    assert (clipped_surrogate(r, A, epsilon) <= r * A + 1e-15).all()
    np.testing.assert_array_equal(clipped_surrogate(1.0, A, epsilon), A)
    np.testing.assert_array_equal(clipped_surrogate_gradient(1.0, A, epsilon), A)


def test_bad_ratios_are_refused() -> None:
    for function in (clipped_surrogate, clipped_surrogate_gradient):
        with pytest.raises(ValueError, match=r"ratio must not be negative; it is -0\.5"):
            function([1.0, -0.5], 1.0, 0.2)
        with pytest.raises(ValueError, match="ratio must not be negative; it is nan"):
            function(np.nan, 1.0, 0.2)
        with pytest.raises(ValueError, match=r"epsilon must be in \[0, 1\]; it is 1.2"):
            function(1.0, 1.0, 1.2)


@given(seeds)
def test_the_entropys_slope(seed: int) -> None:
    theta = np.random.default_rng(seed).normal(size=(3, 4))
    found = differences(lambda x: float(entropy(softmax_policy(x)).sum()), theta)
    np.testing.assert_allclose(entropy_gradient(theta), found, atol=1e-9)
    assert np.abs(entropy_gradient(np.zeros((3, 4)))).max() < 1e-15  # nothing is more uniform
    assert np.isfinite(entropy_gradient(1e3 * np.sign(theta))).all()


# --- minibatches ----------------------------------------------------------------------------------


@every_world
@pytest.mark.parametrize("parts", [1, 2, 5, 40])
def test_minibatches_part_the_steps_of_every_run(name: str, parts: int) -> None:
    world, limit = WORLDS[name]
    runs, plan = 3, PPOSettings(epochs=2, minibatches=parts)
    batch, data, _, _ = steps_of(world, limit, runs, plan)
    total = batch.alive.sum(axis=(1, 2))
    assert len(data.uniforms) == 2
    orders = []
    for uniform in data.uniforms:
        marks = np.arange(len(data.k), dtype=float)
        mine = [
            part.log_old for part in
            _Steps(**{**vars(data), "log_old": marks}).shuffled(uniform, parts)
        ]  # fmt: skip
        assert len(mine) <= parts
        everything = np.concatenate(mine)
        np.testing.assert_array_equal(np.sort(everything), marks)  # each step exactly once
        sizes = np.array(
            [np.bincount(data.k[m.astype(int)], minlength=runs) for m in mine]
        )  # of each run in each part
        np.testing.assert_array_equal(sizes.sum(axis=0), total)
        assert (sizes.max(axis=0) <= -(-total // parts)).all()
        assert (sizes.max(axis=0) - sizes.min(axis=0) <= 1).all() or len(mine) < parts
        orders.append(everything)
    assert parts == 1 or (orders[0] != orders[1]).any()  # every epoch has an order of its own


def test_the_part_of_a_run_does_not_depend_on_others() -> None:
    plan = PPOSettings(epochs=1, minibatches=3)
    _, many, _, _ = steps_of(LOST, 6, 3, plan)
    first = many.k == 0
    alone = many.at(np.flatnonzero(first), 1.0)
    together = [p.A[p.k == 0] for p in many.shuffled(many.uniforms[0], 3)]
    single = [p.A for p in alone.shuffled(alone.uniforms[0], 3)]
    for one, other in zip(together, single, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parts_of_the_gradient_average_to_the_whole() -> None:
    plan = PPOSettings(epochs=1, minibatches=3, entropy=0.1)
    _, data, pi, _ = steps_of(LOST, 6, 2, plan)
    theta = np.log(pi) + 0.3
    whole = data.gradient(theta, 0.2, 0.1)
    parts = [p.gradient(theta, 0.2, 0.1) for p in data.shuffled(data.uniforms[0], 3)]
    np.testing.assert_allclose(np.mean(parts, axis=0), whole, atol=1e-13)


# --- the objective --------------------------------------------------------------------------------


def book_objective(
    batch: Experience, A: Array, pi: Array, theta: Array, epsilon: float, bonus: float
) -> float:
    """sum over runs of the mean over episodes of sum_t gamma^t [clipped surrogate + c H]."""
    total = 0.0
    for k, i, t in np.argwhere(batch.alive):
        o, a = batch.seen[k, i, t], batch.actions[k, i, t]
        new = softmax_policy(theta[k, o])
        r = new[a] / pi[k, o, a]
        paid = min(r * A[k, i, t], min(max(r, 1 - epsilon), 1 + epsilon) * A[k, i, t])
        H = -(new * np.log(new)).sum()
        total += batch.gamma**t * (paid + bonus * H) / batch.alive.shape[1]
    return total


@every_world
@pytest.mark.parametrize("bonus", [0.0, 0.3])
def test_the_gradient_is_that_of_the_objective(name: str, bonus: float) -> None:
    world, limit = WORLDS[name]
    plan, epsilon = PPOSettings(entropy=bonus), 0.2
    batch, data, pi, V = steps_of(world, limit, 2, plan)
    A = batch.advantages(V, plan.advantage)
    theta = np.log(pi) + 0.8 * np.random.default_rng(3).normal(size=pi.shape)
    ratio = data.ratio(theta)
    assert np.abs(np.abs(ratio - 1) - epsilon).min() > 1e-3  # no kink is near
    assert 0 < data.clipped(theta, epsilon).max() < 1
    found = differences(lambda x: book_objective(batch, A, pi, x, epsilon, bonus), theta, h=1e-4)
    np.testing.assert_allclose(data.gradient(theta, epsilon, bonus), found, atol=1e-8)


def test_the_critics_step_lowers_its_loss() -> None:
    _, data, _, V = steps_of(LOST, 6, 2, PPOSettings())
    slope = differences(
        lambda x: -((data.target - x[data.k, data.o]) ** 2).sum() / 2, V
    )  # of minus the loss: sum of target - V over the visits
    visits = np.zeros(V.shape)
    np.add.at(visits, (data.k, data.o), 1)
    step = data.critic_error(V)
    np.testing.assert_allclose(step * visits, slope, atol=1e-8)
    assert (step[visits == 0] == 0).all()


@pytest.mark.parametrize("name", ["ends", "cut"])
def test_the_first_step_is_the_policy_gradient_in_the_mean(name: str) -> None:
    world, steps = WORLDS[name]
    theta = logits(world)
    plan = PPOSettings(epochs=1, minibatches=1, advantage=lambda r, V, gamma: gae(r, V, gamma, 1.0))
    learned = ppo(
        world, updates=1, episodes=2, alpha=0.5, settings=plan, theta=theta, steps=steps,
        runs=3000, rng=0,
    )  # fmt: skip
    unlikely(learned.theta - theta, 0.5 * exact_policy_gradient(world, theta, horizon=steps))


def test_the_bonus_is_the_entropys_gradient_in_the_mean() -> None:
    theta, mute = logits(DOWN), DOWN.replace(R=np.zeros((4, 2)))
    plan = PPOSettings(epochs=1, minibatches=1, entropy=0.5)
    learned = ppo(mute, updates=1, settings=plan, theta=theta, runs=500, rng=0)
    pi = softmax_policy(theta)
    visits = occupancy(mute, pi).sum(axis=1) * ~mute.terminal
    unlikely(learned.theta - theta, 0.5 * visits[:, None] * entropy_gradient(theta))


# --- the book's loop ------------------------------------------------------------------------------


def book_ppo(world: Any, steps: int | None, plan: PPOSettings, scaled: bool) -> list[Any]:
    """Algorithm 1, a step at a time, for one run."""
    n, epsilon, gamma = 3, 0.1, world.gamma
    batches = Batches(world, n, steps, None, 7, dreams=plan.epochs)
    theta, film = logits(world), []
    V = np.zeros(len(theta))
    for _ in range(3):
        pi = softmax_policy(theta)
        batch = batches.collect(pi[None])
        A = batch.advantages(V[None], plan.advantage)[0]
        where = [(int(i), int(t)) for i, t in np.argwhere(batch.alive[0])]
        target = {at: A[at] + V[batch.seen[0][at]] for at in where}
        if scaled:
            mean, spread = (f([A[at] for at in where]) for f in (np.mean, np.std))
            A = (A - mean) / max(float(spread), 1e-8)  # all the same: 0
        for epoch in range(plan.epochs):
            order = sorted(where, key=lambda at: batch.uniforms[(0, *at, epoch)])
            parts = np.arange(len(order)) * plan.minibatches // len(order)
            for j in range(plan.minibatches):
                now, gradient = softmax_policy(theta), np.zeros(theta.shape)
                errors = [list[float]() for _ in V]
                for at in (at for at, part in zip(order, parts, strict=True) if part == j):
                    o, a, w = batch.seen[0][at], batch.actions[0][at], gamma ** at[1] / n
                    r = now[o, a] / pi[o, a]
                    far = r > 1 + epsilon if A[at] > 0 else r < 1 - epsilon
                    gradient[o] += w * (0 if far else r * A[at]) * score(now, o, a)
                    H = -(now[o] * np.log(now[o])).sum()
                    gradient[o] -= w * plan.entropy * now[o] * (np.log(now[o]) + H)
                    errors[o].append(target[at] - V[o])
                theta = theta + 0.8 * plan.minibatches * gradient
                V = V + plan.alpha_critic * np.array([np.mean(e) if e else 0.0 for e in errors])
        now = softmax_policy(theta)
        held = []
        for at in where:
            r = now[batch.seen[0][at], batch.actions[0][at]]
            r = r / pi[batch.seen[0][at], batch.actions[0][at]]
            held.append(A[at] != 0 and (r > 1 + epsilon if A[at] > 0 else r < 1 - epsilon))
        film.append((theta, V, np.mean(held)))
    return film


@every_world
@pytest.mark.parametrize("minibatches", [1, 3, 30])
@pytest.mark.parametrize("scaled", [False, True])
def test_ppo_is_the_books_loop(name: str, minibatches: int, scaled: bool) -> None:
    world, steps = WORLDS[name]
    plan = PPOSettings(
        epochs=3, minibatches=minibatches, entropy=0.05, scale=np.std if scaled else None
    )
    by_hand = book_ppo(world, steps, plan, scaled)
    film = ppo.iterates(
        world, updates=3, episodes=3, epsilon=0.1, alpha=0.8, settings=plan, theta=logits(world),
        steps=steps, rng=7,
    )  # fmt: skip
    for found, (theta, V, clipped) in zip(film, by_hand, strict=True):
        np.testing.assert_allclose(found.theta, theta, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found.V, V, rtol=1e-9, atol=1e-11)
        assert found.clipped == pytest.approx(clipped, abs=1e-12)


def test_every_run_is_scaled_by_itself() -> None:
    plan = PPOSettings(scale=np.std)
    _, data, _, _ = steps_of(LOST, 6, 3, plan)
    for k in range(3):
        assert data.A[data.k == k].mean() == pytest.approx(0, abs=1e-12)
        assert data.A[data.k == k].std() == pytest.approx(1)
    still = PPOSettings(scale=lambda A: 0.0)  # all advantages the same: no division by 0
    learned = ppo(WALK, updates=2, settings=still, rng=0)
    assert np.isfinite(learned.theta).all()


# --- clipping, and where it gets to ---------------------------------------------------------------


def test_the_clipped_share() -> None:
    for alpha, epsilon in ((1e-6, 0.2), (1.0, 0.2), (50.0, 0.2), (1.0, 0.0), (1.0, 1.0)):
        film = ppo.iterates(ICE, updates=3, alpha=alpha, epsilon=epsilon, steps=20, runs=3, rng=0)
        shares = np.array([f.clipped for f in film])
        assert (shares >= 0).all()
        assert (shares <= 1).all()
        if alpha < 1e-3:
            assert (shares == 0).all()  # nothing has moved by a fifth
        if alpha > 10 or epsilon == 0:
            assert (shares[0] > 0.05).all()


def test_clipping_holds_the_new_policy_near_the_old() -> None:
    plan = PPOSettings(epochs=20, minibatches=1)
    same: dict[str, Any] = {
        "updates": 1, "episodes": 50, "alpha": 2.0, "settings": plan, "steps": 20, "rng": 0
    }  # fmt: skip
    near, far = (ppo(ICE, epsilon=epsilon, **same) for epsilon in (0.05, 1.0))
    assert near.kl < 0.3 * far.kl


def test_entropy_keeps_the_policy_open() -> None:
    closed, opened = (
        ppo(ICE, updates=20, settings=PPOSettings(entropy=c), steps=20, runs=3, rng=0)
        for c in (0.0, 0.3)
    )
    H = [entropy(f.policy).mean(axis=1) for f in (closed, opened)]
    assert (H[1] > H[0] + 0.1).all()


def test_all_settings_reach_the_end_of_the_walk() -> None:
    for plan in (None, PPOSettings(epochs=10, minibatches=1), PPOSettings(scale=np.std)):
        learned = ppo(WALK, updates=30, alpha=0.5, settings=plan, runs=5, rng=0)
        assert (exact_returns(WALK, learned.policy) > 0.97).all()  # 1 is best, 0.5 the coin's


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1; it is 0"),
        ({"minibatches": 0}, ValueError, "minibatches must be at least 1; it is 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be a whole number; it is 2.0"),
        ({"alpha_critic": 1.5}, ValueError, r"alpha_critic must be in \[0, 1\]; it is 1.5"),
        ({"entropy": -0.1}, ValueError, r"entropy must be in \[0, inf\]; it is -0.1"),
        ({"entropy": np.nan}, ValueError, "entropy must be in .*; it is nan"),
        ({"entropy": np.inf}, ValueError, "entropy must be"),
    ],
)
def test_bad_plans_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PPOSettings(**options)
