"""REINFORCE, actor-critic, natural gradient and PPO against the book's loops, and in the mean."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from gridrl import (
    MDP,
    POMDP,
    advantages,
    expected_return,
    gae,
    lost_penguin_world,
    n_step_advantages,
    occupancy,
    penguin_world,
    policy_iteration,
    softmax_policy,
    state_values,
)
from gridrl.errors import NotConverged
from gridrl.learning import (
    Moments,
    PPOSettings,
    actor_critic,
    exact_policy_gradient,
    exact_returns,
    lockstep,
    mean_baseline,
    natural_policy_gradient,
    optimal_baseline,
    ppo,
    reinforce,
    reward_to_go,
    value_baseline,
    whole_return,
)
from gridrl.learning.actor_critics import actor_gradient, critic_error, seen_fisher
from gridrl.learning.batches import Batches, Experience
from gridrl.tables import Array
from gridrl.worlds import random_walk, short_corridor
from tests.learning.oracles import (
    Story,
    descent,
    estimate_and_noise,
    every_story,
    returns,
    roundabout,
    score,
    unlikely,
)  # fmt: skip

CORRIDOR, LOST = short_corridor().pomdp(gamma=1), lost_penguin_world().pomdp(gamma=0.9)
ICE, WALK = penguin_world().mdp(gamma=0.9), random_walk(3).mdp(gamma=1)
DOWN, ROUND = descent("lottery", 0.8)[0], roundabout("lottery", 0.9)[0]
BLIND = POMDP(DOWN, [[1.0, 0.0], [1.0, 0.0], [0.3, 0.7], [0.0, 1.0]])
WORLDS: dict[str, tuple[Any, int | None]] = {
    "ends": (DOWN, None), "cut": (ROUND, 3), "blind": (BLIND, None), "lost": (LOST, 6)
}  # fmt: skip
BASELINES = {
    "none": None, "mean": mean_baseline, "value": value_baseline, "optimal": optimal_baseline
}  # fmt: skip
GAE = partial(gae, lambda_=0.95)
every_world = pytest.mark.parametrize("name", list(WORLDS))


def logits(world: MDP | POMDP, seed: int = 0) -> Array:
    Z = world.n_observations if isinstance(world, POMDP) else world.n_states
    return np.random.default_rng(seed).normal(size=(Z, world.n_actions))


# --- the book's loops, an episode at a time -------------------------------------------------------


def stories(batch: Experience, k: int) -> list[tuple[Story, int, bool]]:
    """The episodes of run k; what was seen last of each; was it cut off?"""
    told = []
    for i in range(batch.alive.shape[1]):
        T = int(batch.alive[k, i].sum())
        assert batch.alive[k, i, :T].all()
        seen, cut = batch.seen[k, i], bool(batch.cut[k, i].any())
        rewards = tuple(float(r) for r in batch.rewards[k, i, :T])
        actions = tuple(int(a) for a in batch.actions[k, i, :T])
        told.append(
            (Story(1.0, tuple(int(o) for o in seen[:T]), actions, rewards), int(seen[T]), cut)
        )
    return told


def book_moments(told: list[Story], pi: Array, gamma: float, credit: Any = reward_to_go) -> Moments:
    """The moments of a batch; Y is made of the credit that the learner uses."""
    total = {name: np.zeros(len(pi)) for name in ("visits", "returns", "UU", "YU", "YY")}
    for story in told:
        _, U = estimate_and_noise(story, pi, gamma)
        Y, earned = np.zeros(pi.shape), credit(np.array(story.rewards), gamma)
        for t, (o, a) in enumerate(zip(story.seen, story.actions, strict=True)):
            Y[o] += earned[t] * score(pi, o, a)
        for t, (o, G) in enumerate(zip(story.seen, returns(story, gamma), strict=True)):
            total["visits"][o] += gamma**t / len(told)
            total["returns"][o] += gamma**t * G / len(told)
        for name, x, y in (("UU", U, U), ("YU", Y, U), ("YY", Y, Y)):
            total[name] += (x * y).sum(axis=1) / len(told)
    return Moments(*total.values())


def book_reinforce(
    batches: Batches, gamma: float, theta: Array, updates: int, alpha: float, baseline: Any,
    credit: Any,
) -> list[Array]:  # fmt: skip
    """REINFORCE with a baseline of past batches, the first of which is for nothing else."""
    b, film = np.zeros(len(theta)), []
    if baseline is not None:
        pi = softmax_policy(theta)
        told = [story for story, _, _ in stories(batches.collect(pi[None]), 0)]
        past = book_moments(told, pi, gamma, credit)
        b = baseline(past)
    for _ in range(updates):
        pi = softmax_policy(theta)
        told = [story for story, _, _ in stories(batches.collect(pi[None]), 0)]
        for story in told:
            earned = credit(np.array(story.rewards), gamma)
            for t, (o, a) in enumerate(zip(story.seen, story.actions, strict=True)):
                step = (earned[t] - gamma**t * b[o]) * score(pi, o, a)
                theta = theta + alpha / len(told) * np.eye(len(theta))[o][:, None] * step
        film.append(theta)
        if baseline is not None:
            new = book_moments(told, pi, gamma, credit)
            names = ("visits", "returns", "UU", "YU", "YY")
            past = Moments(*(0.9 * getattr(past, n) + 0.1 * getattr(new, n) for n in names))
            b = baseline(past)
    return film


@every_world
@pytest.mark.parametrize("baseline", list(BASELINES))
@pytest.mark.parametrize("credit", [reward_to_go, whole_return])
def test_reinforce_is_the_books_loop(name: str, baseline: str, credit: Any) -> None:
    world, steps = WORLDS[name]
    theta, b = logits(world), BASELINES[baseline]
    batches = Batches(world, 3, steps, None, 5)
    by_hand = book_reinforce(batches, world.gamma, theta, 4, 0.3, b, credit)
    film = reinforce.iterates(
        world, updates=4, episodes=3, alpha=0.3, baseline=b, credit=credit, theta=theta,
        steps=steps, rng=5,
    )  # fmt: skip
    for found, exact in zip(film, by_hand, strict=True):
        np.testing.assert_allclose(found.theta, exact, atol=1e-12)  # sums in another order


def book_advantages(story: Story, last: int, cut: bool, V: Array, gamma: float, lam: float) -> Any:
    """GAE, term by term: the last guess is V of what was seen after a cut, and 0 after an end."""
    values = [*(V[o] for o in story.seen), V[last] if cut else 0.0]
    delta = [
        r + gamma * values[t + 1] - values[t] for t, r in enumerate(story.rewards)
    ]  # fmt: skip
    T = len(delta)
    return [sum((gamma * lam) ** j * delta[t + j] for j in range(T - t)) for t in range(T)]


def book_actor_critic(
    world: Any, steps: int | None, natural: bool, updates: int
) -> list[tuple[Array, Array]]:
    batches, theta = Batches(world, 4, steps, None, 3), logits(world)
    V, gamma, film = np.zeros(len(theta)), world.gamma, []
    for _ in range(updates):
        pi = softmax_policy(theta)
        told = stories(batches.collect(pi[None]), 0)
        gradient, errors = np.zeros(theta.shape), [list[float]() for _ in V]
        F = np.zeros((*theta.shape, theta.shape[1]))
        for story, last, cut in told:
            A = book_advantages(story, last, cut, V, gamma, 0.95)
            for t, (o, a) in enumerate(zip(story.seen, story.actions, strict=True)):
                phi = score(pi, o, a)
                gradient[o] += gamma**t * A[t] * phi / len(told)
                F[o] += gamma**t * (np.diag(pi[o]) - np.outer(pi[o], pi[o])) / len(told)
                errors[o].append(A[t])
        if natural:
            for o in range(len(theta)):
                gradient[o] = np.linalg.solve(F[o] + 1e-6 * np.eye(theta.shape[1]), gradient[o])
        theta = theta + 0.3 * gradient
        V = V + 0.2 * np.array([np.mean(e) if e else 0.0 for e in errors])
        film.append((theta, V))
    return film


@every_world
@pytest.mark.parametrize("learner", [actor_critic, natural_policy_gradient])
def test_actor_and_critic_are_the_books_loop(name: str, learner: Any) -> None:
    world, steps = WORLDS[name]
    by_hand = book_actor_critic(world, steps, learner is natural_policy_gradient, 4)
    film = learner.iterates(
        world, updates=4, episodes=4, alpha=0.3, alpha_critic=0.2, theta=logits(world),
        steps=steps, rng=3,
    )  # fmt: skip
    # F is nearly singular: 1 / DAMPING of the rounding in its sums
    size = 1e-7 if learner is natural_policy_gradient else 1e-12
    for found, (theta, V) in zip(film, by_hand, strict=True):
        np.testing.assert_allclose(found.theta, theta, rtol=size, atol=size)
        np.testing.assert_allclose(found.V, V, rtol=size, atol=size)


@every_world
def test_one_epoch_of_one_minibatch_is_actor_critic(name: str) -> None:
    world, steps = WORLDS[name]
    same: dict[str, Any] = {
        "updates": 5, "episodes": 3, "alpha": 0.7, "theta": logits(world), "steps": steps,
        "runs": 4, "rng": 9,
    }  # fmt: skip
    plan = PPOSettings(epochs=1, minibatches=1, alpha_critic=0.3)
    proximal = list(ppo.iterates(world, settings=plan, **same))
    plain = list(actor_critic.iterates(world, alpha_critic=0.3, **same))
    for one, other in zip(proximal, plain, strict=True):
        for field in ("theta", "V", "returns", "lengths", "kl"):  # exp(log pi - log pi) is rounded
            np.testing.assert_allclose(
                getattr(one, field), getattr(other, field), atol=1e-12, err_msg=field
            )


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["seen", "hazy", "cut"])
def test_every_story_is_told_as_often_as_it_should_be(world: str) -> None:
    # actions, moves, rewards and what is seen, all of it together: chance is never used twice
    build, steps = (roundabout, 2) if world == "cut" else (descent, 3)
    mdp, pays = build("lottery", 0.9)
    shows = np.random.default_rng(2).dirichlet(np.ones(2), size=mdp.n_states)
    haze = POMDP(mdp, shows) if world == "hazy" else None
    pi = np.stack([softmax_policy(logits(haze or mdp, seed)) for seed in range(2)])
    n = 5000
    batch = Batches(haze or mdp, n, steps, 2, 0).collect(pi)
    for k in range(2):
        counts = Counter(
            (told.seen, told.actions, tuple(round(r, 6) for r in told.rewards))
            for told, _, _ in stories(batch, k)
        )
        exact: Counter[Any] = Counter()
        for story in every_story(mdp, pi[k], steps, shows=shows if haze else None, pays=pays):
            rewards = tuple(round(float(r), 6) for r in story.rewards)
            exact[story.seen, story.actions, rewards] += story.chance  # type: ignore[assignment]
        assert set(counts) <= set(exact)
        p = np.array(list(exact.values()))
        share = np.array([counts[story] for story in exact]) / n
        # 5 deviations where some are expected: 6e-7 for each of at most 200 stories; and none of
        # the rest is seen ten times more often than that
        common = n * p > 20
        assert common.sum() > 10
        far = np.abs(share - p) / np.sqrt(p * (1 - p) / n)
        assert (far[common] < 5).all()
        assert (n * share[~common] < 60).all()


# --- what a snapshot says -------------------------------------------------------------------------

LEARNERS: dict[str, Any] = {
    "reinforce": reinforce, "actor_critic": actor_critic, "natural": natural_policy_gradient
}  # fmt: skip


@pytest.mark.parametrize("learner", list(LEARNERS))
@every_world
def test_returns_lengths_and_kl_by_hand(name: str, learner: str) -> None:
    world, steps = WORLDS[name]
    theta = logits(world, 2)
    pi, runs = softmax_policy(theta), 3
    first = next(
        LEARNERS[learner].iterates(
            world, updates=1, episodes=5, alpha=0.5, theta=theta, steps=steps, runs=runs, rng=4
        )
    )
    batch = Batches(world, 5, steps, runs, 4).collect(np.stack([pi] * runs))
    for k in range(runs):
        told = [story for story, _, _ in stories(batch, k)]
        G = [returns(story, world.gamma)[0] for story in told]
        assert first.returns[k] == pytest.approx(np.mean(G), abs=1e-12)
        assert first.lengths[k] == pytest.approx(np.mean([len(s.actions) for s in told]))
        far = (pi * np.log(pi / first.policy[k])).sum(axis=1)
        assert first.kl[k] == pytest.approx(np.mean([far[o] for s in told for o in s.seen]))
        assert first.kl[k] > 0
        assert first.clipped[k] == 0
    np.testing.assert_array_equal(first.policy, softmax_policy(first.theta))


def test_reinforce_shows_the_baseline_it_used() -> None:
    film = list(reinforce.iterates(DOWN, updates=3, episodes=4, baseline=value_baseline, rng=0))
    pi = np.full((4, 2), 0.5)
    told = [story for story, _, _ in stories(Batches(DOWN, 4, None, None, 0).collect(pi[None]), 0)]
    before = book_moments(told, pi, DOWN.gamma)  # of a batch of which no snapshot is seen
    np.testing.assert_allclose(film[0].V, value_baseline(before), atol=1e-13)
    assert (film[1].V != film[0].V).any()
    assert all(f.V[3] == 0 for f in film)  # the end is never visited
    plain = list(reinforce.iterates(DOWN, updates=3, episodes=4, rng=0))
    assert all((f.V == 0).all() for f in plain)


# --- in the mean ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ends", "cut", "blind"])
@pytest.mark.parametrize("baseline", list(BASELINES))
@pytest.mark.parametrize("credit", [reward_to_go, whole_return])
def test_a_step_of_reinforce_is_the_exact_gradient_in_the_mean(
    name: str, baseline: str, credit: Any
) -> None:
    world, steps = WORLDS[name]
    theta = logits(world)
    learned = reinforce(
        world, updates=1, episodes=2, alpha=0.5,
        baseline=BASELINES[baseline], credit=credit, theta=theta, steps=steps, runs=2500, rng=0,
    )  # fmt: skip
    unlikely(learned.theta - theta, 0.5 * exact_policy_gradient(world, theta, horizon=steps))


ESTIMATES = {
    **{f"lambda {x}": partial(gae, lambda_=x) for x in (0.0, 0.5, 1.0)},
    **{f"n {n}": partial(n_step_advantages, n=n) for n in (1, 2, 50)},
}


def mean_step(world: Any, steps: int | None, V: ArrayLike, estimate: Any, n: int = 6000) -> Array:
    """What an actor would add to theta with the critic V, an episode each."""
    pi = softmax_policy(logits(world))[None]
    batch = Batches(world, 1, steps, n, 1).collect(np.repeat(pi, n, axis=0))
    A = batch.advantages(np.tile(np.asarray(V, dtype=float), (n, 1)), estimate)
    assert (A[~batch.alive] == 0).all()
    return actor_gradient(batch, A, np.repeat(pi, n, axis=0))


@pytest.mark.parametrize("estimate", list(ESTIMATES))
def test_with_the_exact_critic_every_estimate_has_the_right_mean(estimate: str) -> None:
    for mdp, steps in ((DOWN, None), (ROUND, None), (ROUND, 3)):
        pi = softmax_policy(logits(mdp))
        V, A = state_values(mdp, pi), advantages(mdp, pi)
        # cut off after three steps, the critic says what comes: three terms of the exact gradient
        rho = occupancy(mdp, pi if steps is None else np.stack([pi] * steps))
        exact = (rho if steps is None else rho.sum(axis=0)) * A
        unlikely(mean_step(mdp, steps, V, ESTIMATES[estimate]), exact)


@pytest.mark.parametrize("estimate", ["lambda 1.0", "n 50"])
@pytest.mark.parametrize("name", ["ends", "blind"])
def test_what_does_not_bootstrap_forgives_a_wrong_critic(estimate: str, name: str) -> None:
    world, steps = WORLDS[name]
    wrong = np.linspace(3, -2, len(logits(world)))
    exact = exact_policy_gradient(world, logits(world))
    unlikely(mean_step(world, steps, wrong, ESTIMATES[estimate]), exact)


def test_what_bootstraps_does_not() -> None:
    pi, wrong = softmax_policy(logits(DOWN)), np.array([3.0, -2.0, 1.0, 0.0])
    delta = DOWN.R + DOWN.gamma * (DOWN.P @ wrong) - wrong[:, None]
    biased = occupancy(DOWN, pi) * (delta - (pi * delta).sum(axis=1, keepdims=True))
    for estimate in ("lambda 0.0", "n 1"):
        unlikely(mean_step(DOWN, None, wrong, ESTIMATES[estimate]), biased)
    assert np.abs(biased - exact_policy_gradient(DOWN, logits(DOWN))).max() > 0.05


def test_the_critic_finds_the_values() -> None:
    # the policy stands still: V -> V^pi, by averages of 60 batches of 20 episodes
    learned = actor_critic(
        WALK, updates=60, episodes=20, alpha=0.0, alpha_critic=lambda n: 1 / n, runs=50, rng=0,
        advantage=partial(gae, lambda_=1.0),
    )  # fmt: skip
    np.testing.assert_array_equal(learned.theta, np.zeros((50, 5, 2)))
    # each V is an average over 60 batches, nearly unbiased (a ratio): 1 / 20 of an error in each
    np.testing.assert_allclose(learned.V[:, 1:4].mean(axis=0), [0.25, 0.5, 0.75], atol=0.02)
    assert (learned.V[:, [0, 4]] == 0).all()


def test_moments_of_steps_by_loops() -> None:
    pi = np.stack([softmax_policy(logits(LOST, seed)) for seed in range(2)])
    batch = Batches(LOST, 4, 7, 2, 0).collect(pi)
    A = batch.advantages(np.random.default_rng(0).normal(size=(2, 5)), GAE)
    F, error = np.zeros((2, 5, 4, 4)), [[list[float]() for _ in range(5)] for _ in range(2)]
    for k in range(2):
        for i, (story, _, _) in enumerate(stories(batch, k)):
            for t, o in enumerate(story.seen[: len(story.actions)]):
                scores = [score(pi[k], o, b) for b in range(4)]
                F[k, o] += (
                    0.9**t * sum(pi[k, o, b] * np.outer(scores[b], scores[b]) for b in range(4)) / 4
                )
                error[k][o].append(A[k, i, t])
    np.testing.assert_allclose(seen_fisher(batch, pi), F, atol=1e-13)
    means = [[float(np.mean(e)) if e else 0.0 for e in row] for row in error]
    np.testing.assert_allclose(critic_error(batch, A, (2, 5)), means, atol=1e-13)


# --- where they get to ----------------------------------------------------------------------------

BEST = expected_return(ICE, policy_iteration(ICE).policy)


def test_what_is_best_on_the_ice() -> None:
    assert round(BEST, 3) == 2.172


@pytest.mark.parametrize(
    ("learner", "options"),
    [
        (reinforce, {"updates": 150, "episodes": 10, "alpha": 1.0, "baseline": value_baseline}),
        (actor_critic, {"updates": 150, "episodes": 10, "alpha": 2.0}),
        (natural_policy_gradient, {"updates": 80, "episodes": 20, "alpha": 0.2}),
        (ppo, {"updates": 50, "alpha": 0.5}),
    ],
)
def test_every_learner_comes_close_to_the_best(learner: Any, options: dict[str, Any]) -> None:
    learned = learner(ICE, steps=30, runs=4, rng=0, **options)
    J = exact_returns(ICE, learned.policy)
    assert (J <= BEST + 1e-12).all()
    # the worst of 40 runs of each learner had 1.84; the uniform policy is worth 1.36
    assert (J > 1.75).all()
    assert J.mean() > 1.9


def test_the_blind_learn_to_toss_a_coin() -> None:
    first = [[1.5, 0.0]]  # mostly left: worth -24.4
    learned = reinforce(
        CORRIDOR, updates=250, episodes=5, alpha=0.002, baseline=value_baseline, theta=first,
        steps=1000, runs=10, rng=0,
    )  # fmt: skip
    J = exact_returns(CORRIDOR, learned.policy)
    assert exact_returns(CORRIDOR, softmax_policy(first)) < -24
    assert (J > -13).all()  # the worst of 50 runs had -12.0
    assert (J <= -6 - 4 * np.sqrt(2) + 1e-9).all()  # -11.66, the best  [example 13.1]


def test_a_policy_that_avoids_the_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "ENDLESS", 50)
    with pytest.raises(NotConverged, match="still going on after 50 steps, in state 1; give a ti"):
        reinforce(CORRIDOR, updates=1, theta=[[1e3, 0.0]], rng=0)  # always left
    reinforce(CORRIDOR, updates=1, theta=[[1e3, 0.0]], steps=60, rng=0)


def test_the_natural_gradient_leaves_a_plateau_sooner() -> None:
    # two decisions, nearly sure of the wrong one: pi (1 - pi) is small, and so is the gradient
    P = np.zeros((3, 2, 3))
    P[0, :, 1] = P[1, :, 2] = P[2, :, 2] = 1
    mdp = MDP(P, [[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]], 1.0, start=0, terminal=np.arange(3) == 2)
    same: dict[str, Any] = {
        "updates": 20, "episodes": 200, "alpha": 0.5, "theta": [[4.0, 0.0]] * 3, "runs": 4, "rng": 0
    }  # fmt: skip
    vanilla = exact_returns(mdp, actor_critic(mdp, **same).policy)
    natural = exact_returns(mdp, natural_policy_gradient(mdp, **same).policy)
    assert (vanilla < 0.2).all()  # of 2, and 0.036 at first; theta moves by alpha pi (1 - pi)
    assert (natural > 1.5).all()  # theta moves by alpha A


# --- attacks --------------------------------------------------------------------------------------

ALL: dict[str, Any] = {**LEARNERS, "ppo": ppo}


@pytest.mark.parametrize("learner", list(ALL))
def test_hardly_a_doubt(learner: str) -> None:
    sure = 1e3 * np.sign(logits(ICE, 1))
    learned = ALL[learner](ICE, updates=5, theta=sure, steps=6, rng=0)
    assert np.isfinite(learned.theta).all()
    # with one sure action in a row there is nothing to learn; ties of 1e3 still learn
    lone = (sure == sure.max(axis=1, keepdims=True)).sum(axis=1) == 1
    np.testing.assert_allclose(learned.theta[lone], sure[lone], atol=1e-9)


@pytest.mark.parametrize("learner", list(ALL))
def test_rewards_in_the_hundred_millions(learner: str) -> None:
    rich = ICE.replace(R=1e8 * ICE.R)
    learned = ALL[learner](rich, updates=5, episodes=5, steps=6, rng=0)
    assert np.isfinite(learned.theta).all()
    assert (learned.returns >= 0).all()
    np.testing.assert_allclose(learned.policy.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("learner", list(ALL))
def test_tiny_and_finished_worlds(learner: str) -> None:
    over = MDP(np.ones((1, 2, 1)), [[1, 0]], 0.9, terminal=[True])
    learned = ALL[learner](over, updates=2, episodes=3, runs=2, rng=0)
    assert (learned.theta == 0).all()
    assert (learned.lengths == 0).all()
    assert (learned.returns == 0).all()
    arms = MDP(np.ones((1, 3, 1)), [[0.0, 1.0, 0.5]], 0.0)
    learned = ALL[learner](arms, updates=100, episodes=5, alpha=0.5, steps=1, rng=0)
    assert learned.policy.argmax() == 1
    half = MDP([[[0, 1.0]], [[0, 1.0]]], [1, 0], 1.0, start=[0.5, 0.5], terminal=[False, True])
    learned = ALL[learner](half, updates=1, episodes=400, rng=0)
    assert 0.3 < learned.returns < 0.7  # 8 deviations of 0.025
    assert (learned.theta == 0).all()  # one action: nothing to choose


@pytest.mark.parametrize("learner", list(ALL))
def test_step_sizes_must_be_finite(learner: str) -> None:
    with pytest.raises(ValueError, match="alpha must be"):
        ALL[learner](ICE, updates=2, alpha=np.inf, steps=5, rng=0)


def test_a_policy_that_became_certain_is_far_from_the_old_one() -> None:
    rich = ICE.replace(R=1e8 * ICE.R)
    learned = actor_critic(rich, updates=1, episodes=5, steps=6, rng=0)
    pi, sure = np.full((16, 4), 0.25), learned.theta - learned.theta.max(axis=1, keepdims=True)
    log_new = sure - np.log(np.exp(sure).sum(axis=1, keepdims=True))
    batch = Batches(rich, 5, 6, None, 0).collect(pi[None])
    seen = np.bincount(batch.seen[0, :, :-1].ravel(), minlength=16)
    exact = (seen * (pi * (np.log(pi) - log_new)).sum(axis=1)).sum() / seen.sum()
    assert learned.kl == pytest.approx(exact, rel=1e-9)
