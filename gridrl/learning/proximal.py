"""Proximal policy optimisation: several steps on one batch, and no reward for going too far.

The ratio r(theta) = pi(a|o) / pi_old(a|o) says how much more likely an action has become. The
surrogate's gradient at theta_old is the policy gradient; clipping takes the gradient away where the
ratio has left [1 - epsilon, 1 + epsilon] in the direction that the advantage asks for.

Reading: lecture 004; Schulman et al. (2017), arXiv:1707.06347.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.learning.actor_critics import GAE, mean_by_sight
from gridrl.learning.baselines import ratio
from gridrl.learning.batches import Batches, Estimate, Experience
from gridrl.learning.gradients import sum_by_sight, sum_of_scores
from gridrl.learning.lockstep import Rate, rate
from gridrl.learning.outside import World
from gridrl.learning.policy_gradients import Ascent, ascent
from gridrl.processes import POMDP
from gridrl.tables import Array, Indices, entropy, log_softmax, number, softmax, whole


def clipped_surrogate(ratio: ArrayLike, advantage: ArrayLike, epsilon: float) -> Array:
    """L = min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), maximised.  [arXiv:1707.06347, eq. 7]

    >>> clipped_surrogate([0.5, 1.0, 1.5], 2.0, epsilon=0.2)
    array([1. , 2. , 2.4])
    >>> clipped_surrogate([0.5, 1.0, 1.5], -2.0, epsilon=0.2)
    array([-1.6, -2. , -3. ])

    Raises:
        ValueError: a negative ratio, epsilon outside [0, 1].
    """
    r, A, epsilon = _checked(ratio, advantage, epsilon)
    return np.minimum(r * A, np.clip(r, 1 - epsilon, 1 + epsilon) * A)


def clipped_surrogate_gradient(ratio: ArrayLike, advantage: ArrayLike, epsilon: float) -> Array:
    """dL/dr = A, and 0 where clipping bites: r > 1 + epsilon and A > 0, or r < 1 - epsilon, A < 0.

    >>> clipped_surrogate_gradient([0.5, 1.0, 1.5], 2.0, epsilon=0.2)
    array([2., 2., 0.])

    Raises:
        ValueError: a negative ratio, epsilon outside [0, 1].
    """
    r, A, epsilon = _checked(ratio, advantage, epsilon)
    bites = np.where(A > 0, r > 1 + epsilon, r < 1 - epsilon)
    return np.where(bites, 0.0, A)


@dataclass(frozen=True)
class PPOSettings:
    """What PPO does with a batch.

    Attributes:
        epochs: times that it goes through the batch.
        minibatches: parts into which the steps are shuffled each time.
        alpha_critic: the critic's step size, in [0, 1].
        entropy: weight of the policy's entropy in the objective, in reward units per nat.
        advantage: how A_t is estimated, a function of (rewards, values, gamma).
        scale: a function of the batch's advantages, (N,) -> a number, by which they are divided
            after their mean is taken off (`np.std` in many programs); None leaves them as they are.

    Raises:
        ValueError: no epochs, no minibatches, alpha_critic outside [0, 1], a negative entropy.
    """

    epochs: int = 4
    minibatches: int = 4
    alpha_critic: float = 0.2
    entropy: float = 0.0
    advantage: Estimate = GAE
    scale: Callable[[Array], float] | None = None

    def __post_init__(self) -> None:
        whole(self.epochs, "epochs", least=1)
        whole(self.minibatches, "minibatches", least=1)
        number(self.alpha_critic, "alpha_critic", 0, 1)
        number(self.entropy, "entropy", 0)


@algorithm
def ppo(
    mdp: World | POMDP,
    *,
    updates: int,
    episodes: int = 20,
    epsilon: float = 0.2,
    alpha: Rate = 1.0,
    settings: PPOSettings | None = None,
    theta: ArrayLike | None = None,
    steps: int | None = None,
    runs: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> Iterator[Ascent]:
    """Ascend the mean over episodes of sum_t gamma^t [min(r A, clip(r) A) + c H(pi(.|o_t))].

    A batch is gone through `epochs` times in shuffled `minibatches` of steps, the old policy being
    the one that drew it. The value loss is sum (V(o_t) - target_t)^2 / 2 with target A_t + V_old.
    With one epoch of one minibatch it is `actor_critic`.  [arXiv:1707.06347, algorithm 1]

    Args:
        mdp: the world; of a POMDP with O[s', o] policy and critic see observations.
        updates: batches; one snapshot each.
        episodes: of a batch.
        epsilon: how far the ratio may go and be paid for it, in [0, 1].
        alpha: step size, or a function of the update's number; it may exceed 1.
        settings: what is done with a batch; None is `PPOSettings()`.
        theta: the first logits, (Z, A); None is 0, the uniform policy.
        steps: time limit of an episode, after which the critic says what would have come.
        runs: learners at once; None is one, without the axis.
        rng: a seed, a Generator, or None for fresh chance.

    >>> from gridrl import exact_returns, penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)  # at best 2.17
    >>> learned = ppo(mdp, updates=30, steps=30, rng=0)
    >>> bool(exact_returns(mdp, learned.policy) > 1.9)
    True

    Raises:
        ValueError: epsilon outside [0, 1], a negative alpha, no updates, no episodes, no end and
            no time limit.
    """
    plan, epsilon = settings or PPOSettings(), number(epsilon, "epsilon", 0, 1)
    world = Batches(mdp, episodes, steps, runs, rng, dreams=plan.epochs)
    step_size, logits = rate(alpha, "alpha", np.inf), world.first_logits(theta)
    V = np.zeros(logits.shape[:2])
    for update in range(1, whole(updates, "updates", least=1) + 1):
        old, pi = logits, softmax(logits)
        batch = world.collect(pi)
        data = _Steps.of(batch, batch.advantages(V, plan.advantage), pi, V, plan)
        for uniform in data.uniforms:
            for part in data.shuffled(uniform, plan.minibatches):
                logits = logits + step_size(update) * part.gradient(logits, epsilon, plan.entropy)
                V = V + plan.alpha_critic * part.critic_error(V)
        yield ascent(world, batch, old, logits, V, data.clipped(logits, epsilon))


@dataclass(frozen=True, eq=False)
class _Steps:
    """Steps of all runs in a row, (N,): a batch, or a minibatch of `share` of it."""

    k: Indices
    o: Indices
    a: Indices
    weight: Array  # gamma^t / n
    A: Array
    target: Array  # of the critic
    log_old: Array  # log pi_old(a|o)
    uniforms: Array  # (epochs, N)
    share: float = 1.0

    @classmethod
    def of(cls, batch: Experience, A: Array, pi: Array, V: Array, plan: PPOSettings) -> _Steps:
        k, i, t = np.nonzero(batch.alive)
        o, a, A = batch.seen[k, i, t], batch.actions[k, i, t], A[k, i, t]
        target, weight = A + V[k, o], batch.weights[k, i, t] / batch.alive.shape[1]
        if plan.scale is not None:
            for run in np.unique(k):
                mine = k == run
                A[mine] = (A[mine] - A[mine].mean()) / max(float(plan.scale(A[mine])), 1e-8)
        return cls(k, o, a, weight, A, target, np.log(pi[k, o, a]), batch.uniforms[k, i, t].T)

    def shuffled(self, uniform: Array, parts: int) -> Iterator[_Steps]:
        """Minibatches: the steps of every run in a random order, cut into `parts`."""
        order = np.lexsort((uniform, self.k))
        size = np.bincount(self.k)
        place = np.arange(len(order)) - (size.cumsum() - size)[self.k[order]]
        part = place * parts // size[self.k[order]]
        for j in range(parts):
            if len(mine := order[part == j]):
                yield self.at(mine, 1 / parts)

    def at(self, mine: Indices, share: float) -> _Steps:
        """Some of the steps."""
        names = ("k", "o", "a", "weight", "A", "target", "log_old")
        own = {name: getattr(self, name)[mine] for name in names}
        return _Steps(**own, uniforms=self.uniforms[:, mine], share=share)

    def ratio(self, theta: Array) -> Array:
        """pi(a|o) / pi_old(a|o), (N,)."""
        return np.exp(log_softmax(theta)[self.k, self.o, self.a] - self.log_old)

    def gradient(self, theta: Array, epsilon: float, bonus: float) -> Array:
        """Of the clipped surrogate and the entropy, per episode, (K, Z, A)."""
        r, pi = self.ratio(theta), softmax(theta)
        slope = r * clipped_surrogate_gradient(r, self.A, epsilon)  # dL / d log pi(a|o)
        weight = self.weight / self.share
        gradient = sum_of_scores(self.k, self.o, self.a, weight * slope, pi)
        if bonus:
            visits = sum_by_sight(self.k, self.o, weight, pi.shape)
            gradient += bonus * visits[:, :, None] * entropy_gradient(theta)
        return gradient

    def critic_error(self, V: Array) -> Array:
        """The mean of target - V over the visits to each thing seen, (K, Z)."""
        return mean_by_sight(self.k, self.o, self.target - V[self.k, self.o], V.shape)

    def clipped(self, theta: Array, epsilon: float) -> Array:
        """The share of the steps where clipping bites, (K,)."""
        r, K = self.ratio(theta), len(theta)
        bites = (clipped_surrogate_gradient(r, self.A, epsilon) == 0) & (self.A != 0)
        return ratio(np.bincount(self.k[bites], minlength=K), np.bincount(self.k, minlength=K))


def entropy_gradient(theta: Array) -> Array:
    """dH(pi(.|o))/dtheta = -pi (log pi + H), the shape of theta, in nats."""
    pi = softmax(theta)
    return -pi * (log_softmax(theta) + entropy(pi)[..., None])


def _checked(ratio: ArrayLike, advantage: ArrayLike, epsilon: float) -> tuple[Array, Array, float]:
    r, A = np.asarray(ratio, dtype=np.float64), np.asarray(advantage, dtype=np.float64)
    if not (r >= 0).all():
        raise ValueError(f"ratio must not be negative; it is {r[~(r >= 0)].flat[0]:g}")
    return r, A, number(epsilon, "epsilon", 0, 1)
