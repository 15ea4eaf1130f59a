"""Policy gradients: which way is uphill, how sure one is, and how far one may go."""

from __future__ import annotations

import numpy as np

from gridrl import (
    PPOSettings,
    actor_critic,
    exact_policy_gradient,
    exact_returns,
    gradient_estimates,
    gradient_variance,
    mean_baseline,
    optimal_baseline,
    penguin_world,
    plot,
    ppo,
    value_baseline,
    value_iteration,
    whole_return,
)
from gridrl.demo.story import Story
from gridrl.processes import MDP
from gridrl.worlds import GridWorld

TITLE = "6. Policy gradients and PPO: uphill in the space of policies"
BASELINES = {
    "none": None,
    "mean": mean_baseline,
    "value": value_baseline,
    "optimal": optimal_baseline,
}


def tell(story: Story) -> None:
    """The exact gradient, the noise of its estimates, the collapse of large steps, a film."""
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    gradient = exact_policy_gradient(mdp, np.zeros(mdp.R.shape))
    story.say(
        """Now the policy itself gets numbers, theta(s,a), and we ask which way to turn them. On a
        table the policy gradient theorem is one line, occupancy times advantage. From the uniform
        policy (the numbers are hundredths):"""
    )
    picture = plot.q_values(ice, 100 * gradient)
    story.picture("gradient", picture, "dJ/dtheta, exactly: where a turn of the screw pays.")
    _noise(story, mdp)
    _collapse(story, mdp)
    _film(story, ice, mdp)


def _noise(story: Story, mdp: MDP) -> None:
    theta, n, T = np.zeros(mdp.R.shape), 1000 if story.quick else 5000, 30
    story.say(
        f"""Who does not know the model estimates it from episodes. The variance of one episode's
        estimate, measured over {n} of them, and computed exactly:"""
    )
    whole = gradient_estimates(mdp, theta, episodes=n, credit=whole_return, steps=T, rng=story.seed)
    measured = {"whole return": float(whole.var(axis=0).sum())}
    for name, b in BASELINES.items():
        some = gradient_estimates(mdp, theta, episodes=n, baseline=b, steps=T, rng=story.seed)
        measured[f"to go, {name}"] = float(some.var(axis=0).sum())
    exact = {
        f"to go, {name}": gradient_variance(mdp, theta, baseline=b, horizon=T)
        for name, b in BASELINES.items()
    }
    rows = [[name, value, exact.get(name, "")] for name, value in measured.items()]
    story.table(["estimator", "measured", "exact"], rows)
    story.picture("variance", plot.variances(measured, exact), "A baseline costs nothing.")


def _collapse(story: Story, mdp: MDP) -> None:
    updates, runs = (15, 10) if story.quick else (40, 20)
    settings = PPOSettings(epochs=20, minibatches=1)
    story.say(
        """Large steps on small batches: the vanilla gradient makes actions impossible on the
        evidence of a few episodes, and what is never tried is never learned again. PPO takes the
        same way in twenty small steps, and clipping stops it. The exact J of all runs:"""
    )
    films = {
        "vanilla": actor_critic.iterates(
            mdp, updates=updates, episodes=10, alpha=100, steps=40, runs=runs, rng=story.seed
        ),
        "PPO": ppo.iterates(
            mdp, updates=updates, episodes=10, alpha=5, settings=settings, steps=40, runs=runs,
            rng=story.seed,
        ),
    }  # fmt: skip
    best = float(mdp.start @ value_iteration(mdp).V)
    curves = plot.curves(films, None, lambda s: exact_returns(mdp, s.policy), marks={"V*": best})
    curves.set(xlabel="batch", ylabel="exact J")
    story.picture("collapse", curves, "Instability, and what clipping does about it.")
    story.picture("clipping", plot.clipped_objective(), "PPO's objective for one step.")


def _film(story: Story, ice: GridWorld, mdp: MDP) -> None:
    film = ppo.iterates(mdp, updates=8 if story.quick else 20, steps=40, rng=story.seed)
    story.film(
        "ppo", plot.animate(ice, film), "The policy and the critic's values, batch by batch."
    )
