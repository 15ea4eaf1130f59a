"""Process 1's half step: a policy that is good by the reward as it is believed to be now.

A policy step is a function of (mdp, before, rng): the world with the learned reward in it, what the
last step left, and chance. `plan` solves the world exactly; the others learn from experience and go
on from the logits of the last step, since the reward changes a little each time. Options are given
by `functools.partial(ppo_step, updates=50)`.

Reading: Christiano et al. (2017), arXiv:1706.03741, section 2.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from gridrl.learning.actor_critics import actor_critic
from gridrl.learning.policy_gradients import Ascent
from gridrl.learning.proximal import PPOSettings, ppo
from gridrl.planning.dynamic_programming import policy_iteration
from gridrl.planning.horizons import backward_induction
from gridrl.planning.policies import uniform_policy
from gridrl.processes import MDP
from gridrl.tables import Array, whole

# a policy that is sure of itself shows nothing new; r-hat has no unit, so advantages have none
ALWAYS_TRYING = PPOSettings(entropy=0.01, scale=np.std)
FAR_SIGHT = 0.99  # the largest discount with which one looks for what is new


@dataclass(frozen=True, eq=False)
class PolicyState:
    """What a policy step leaves for the next.

    Attributes:
        policy: pi(a|s), (S, A), or one for each time, (T, S, A).
        theta: its logits, (S, A); None where it was planned.
        steps: interactions with the world that this step needed.
    """

    policy: Array
    theta: Array | None = None
    steps: int = 0


Explorer = Callable[[MDP, Array], Array]
PolicyStep = Callable[[MDP, PolicyState | None, np.random.Generator], PolicyState]


def plan(mdp: MDP, before: PolicyState | None, rng: np.random.Generator) -> PolicyState:
    """The best policy for the reward believed in, by policy iteration: no interaction is needed.

    >>> from gridrl.worlds import penguin_world
    >>> plan(penguin_world().mdp(gamma=0.9), None, np.random.default_rng(0)).policy[7]
    array([1., 0., 0., 0.])

    Raises:
        ValueError: gamma = 1, and values are not finite: `plan_ahead` needs no discount.
    """
    return PolicyState(policy_iteration(mdp).policy)


def plan_ahead(
    mdp: MDP, before: PolicyState | None, rng: np.random.Generator, *, horizon: int
) -> PolicyState:
    """The best policy for `horizon` steps, which depends on the time, (T, S, A).

    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=1)
    >>> plan_ahead(mdp, None, np.random.default_rng(0), horizon=5).policy.shape
    (5, 16, 4)
    """
    return PolicyState(backward_induction(mdp, horizon).policy)


def actor_critic_step(
    mdp: MDP,
    before: PolicyState | None,
    rng: np.random.Generator,
    *,
    updates: int = 50,
    episodes: int = 10,
    steps: int = 50,
    alpha: float = 1.0,
) -> PolicyState:
    """A few updates of the actor-critic, from the logits of the last step.

    Args:
        mdp: the world, with the learned reward.
        before: the last step; None starts from the uniform policy.
        rng: draws the experience.
        updates: how many.
        episodes: of a batch.
        steps: of an episode: this world has no ends.
        alpha: the actor's step size.

    >>> from gridrl.planning import expected_return
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> now = actor_critic_step(mdp, None, np.random.default_rng(0))
    >>> expected_return(mdp, now.policy) > expected_return(mdp, uniform_policy(mdp))
    True
    """
    run = actor_critic.iterates(
        mdp, updates=updates, episodes=episodes, alpha=alpha, theta=_logits(before), steps=steps,
        rng=rng,
    )  # fmt: skip
    return _last(run, whole(episodes, "episodes", least=1))


def ppo_step(
    mdp: MDP,
    before: PolicyState | None,
    rng: np.random.Generator,
    *,
    updates: int = 10,
    episodes: int = 20,
    steps: int = 50,
    alpha: float = 0.3,
    settings: PPOSettings = ALWAYS_TRYING,
) -> PolicyState:
    """A few updates of PPO, from the logits of the last step.

    Args:
        mdp: the world, with the learned reward.
        before: the last step; None starts from the uniform policy.
        rng: draws the experience.
        updates: batches.
        episodes: of a batch.
        steps: of an episode: this world has no ends.
        alpha: step size.
        settings: what is done with a batch.

    >>> from gridrl.planning import expected_return
    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> now = ppo_step(mdp, None, np.random.default_rng(0))
    >>> expected_return(mdp, now.policy) > expected_return(mdp, uniform_policy(mdp))
    True
    """
    run = ppo.iterates(
        mdp, updates=updates, episodes=episodes, alpha=alpha, settings=settings,
        theta=_logits(before), steps=steps, rng=rng,
    )  # fmt: skip
    return _last(run, whole(episodes, "episodes", least=1))


def seek_novelty(world: MDP, visits: Array) -> Array:
    """A policy for exploring: the best one if a state paid 1 / sqrt(1 + visits), (S, A).

    The counts' bonus of exploration in known dynamics: a walk at random hardly crosses a large
    world, a plan does.  [Strehl & Littman 2008, MBIE-EB]

    Args:
        world: the model.
        visits: how often the agent was in each state, (S,).

    >>> from gridrl.worlds import penguin_world
    >>> visits = np.where(np.arange(16) == 12, 0, 100)  # never in square 13
    >>> seek_novelty(penguin_world().mdp(gamma=0.9), visits)[8]  # above it: down
    array([0., 0., 1., 0.])
    """
    # a bonus is no reward: gamma = 1 would have no finite values where nothing ends
    curious = world.replace(R=1 / np.sqrt(1 + visits), gamma=min(world.gamma, FAR_SIGHT))
    return policy_iteration(curious).policy


def wander(world: MDP, visits: Array) -> Array:
    """A policy for exploring that needs no model: the uniform one, (S, A).

    >>> from gridrl.worlds import penguin_world
    >>> wander(penguin_world().mdp(gamma=0.9), np.zeros(16))[0]
    array([0.25, 0.25, 0.25, 0.25])
    """
    return uniform_policy(world)


def _logits(before: PolicyState | None) -> Array | None:
    return None if before is None else before.theta


def _last(updates: Iterable[Ascent], episodes: int) -> PolicyState:
    made = list(updates)
    steps = sum(episodes * float(update.lengths) for update in made)
    return PolicyState(made[-1].policy, made[-1].theta, round(steps))
