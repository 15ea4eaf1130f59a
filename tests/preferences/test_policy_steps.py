"""Policy steps: each against the exact answer for the reward it is given."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from gridrl.learning.proximal import PPOSettings
from gridrl.planning import (
    backward_induction,
    deterministic_policy,
    expected_return,
    policy_iteration,
    uniform_policy,
)
from gridrl.preferences.policy_steps import (
    PolicyState,
    PolicyStep,
    actor_critic_step,
    plan,
    plan_ahead,
    ppo_step,
    seek_novelty,
    wander,
)
from gridrl.worlds import penguin_world

ICE = penguin_world().mdp(gamma=0.9)
BEST = policy_iteration(ICE)
CHANCE = expected_return(ICE, uniform_policy(ICE))


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_plan_is_optimal_and_needs_no_experience() -> None:
    state = plan(ICE, None, chance())
    assert expected_return(ICE, state.policy) == pytest.approx(ICE.start @ BEST.V)
    assert (state.steps, state.theta) == (0, None)


def test_plan_says_what_is_wrong_without_a_discount() -> None:
    with pytest.raises(ValueError, match="values are not finite at gamma = 1"):
        plan(ICE.replace(gamma=1.0), None, chance())


def test_plan_ahead_is_backward_induction() -> None:
    endless = ICE.replace(gamma=1.0)
    state = plan_ahead(endless, None, chance(), horizon=7)
    exact = backward_induction(endless, 7)
    assert state.policy.shape == (7, 16, 4)
    assert expected_return(endless, state.policy) == pytest.approx(endless.start @ exact.V[0])


@pytest.mark.parametrize(("step", "made"), [(actor_critic_step, 50 * 10), (ppo_step, 10 * 20)])
def test_learners_improve_and_count_their_steps(step: PolicyStep, made: int) -> None:
    state = step(ICE, None, chance())
    assert state.theta is not None
    assert state.steps == made * 50  # episodes of 50 steps each: this world has no end
    # at best 2.17, by chance 1.36: half of the way, with fixed seeds
    assert expected_return(ICE, state.policy) > (CHANCE + ICE.start @ BEST.V) / 2


@pytest.mark.parametrize(
    "step", [partial(actor_critic_step, updates=1), partial(ppo_step, updates=1)]
)
def test_learners_go_on_from_the_last_logits(step: PolicyStep) -> None:
    sure = 20 * deterministic_policy(np.zeros(16, int), 4)
    state = step(ICE, PolicyState(uniform_policy(ICE), sure, 0), chance())
    assert state.theta is not None
    assert np.abs(state.theta - sure).max() < 1
    assert state.policy[:, 0].min() > 0.999


@pytest.mark.parametrize("step", [actor_critic_step, ppo_step])
def test_the_same_chance_gives_the_same_step(step: PolicyStep) -> None:
    assert (step(ICE, None, chance(3)).policy == step(ICE, None, chance(3)).policy).all()
    assert (step(ICE, None, chance(3)).policy != step(ICE, None, chance(4)).policy).any()


def test_ppo_takes_its_settings() -> None:
    calm = ppo_step(ICE, None, chance(), updates=2, settings=PPOSettings(epochs=1, minibatches=1))
    eager = ppo_step(ICE, None, chance(), updates=2)
    assert (calm.policy != eager.policy).any()


def test_seeking_novelty_heads_for_the_unseen_corner() -> None:
    visits = np.full(16, 100.0)
    visits[15] = 0
    explorer = seek_novelty(ICE, visits)
    corner = ICE.replace(R=np.arange(16) == 15)  # pays in the corner alone
    best = corner.start @ policy_iteration(corner).V
    assert expected_return(corner, explorer) == pytest.approx(best)


def test_novelty_may_be_sought_without_a_discount() -> None:
    assert seek_novelty(ICE.replace(gamma=1.0), np.zeros(16)).shape == (16, 4)


def test_wandering_is_uniform() -> None:
    assert (wander(ICE, np.zeros(16)) == uniform_policy(ICE)).all()
