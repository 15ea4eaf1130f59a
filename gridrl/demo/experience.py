"""Learning from experience: nobody gives the model away, but the exact answer stands beside."""

from __future__ import annotations

import numpy as np

from gridrl import (
    epsilon_greedy_bandit,
    expected_return,
    mc_prediction,
    plot,
    policy_iteration,
    q_learning,
    rms_error,
    sarsa,
    state_values,
    td0,
    ucb,
    uniform_policy,
)
from gridrl.demo.story import Story
from gridrl.worlds import bandit, cliff_walking, random_walk

TITLE = "5. Learning from experience: trial, error, and the exact answer beside"


def tell(story: Story) -> None:
    """Bandits, prediction on the random walk, control beside the cliff."""
    story.say(
        """Now the model is hidden: one acts, sees what happens, and learns. Many runs learn at
        once, so that chance averages out; and since the world is small, we know exactly how wrong
        they are."""
    )
    _bandits(story)
    _prediction(story)
    _control(story)


def _bandits(story: Story) -> None:
    arms, runs = bandit([0.0, 0.2, 0.5, 1.0]), 100 if story.quick else 500
    players = {
        "epsilon = 0.1": list(
            epsilon_greedy_bandit.iterates(arms, pulls=500, runs=runs, rng=story.seed)
        ),
        "UCB": list(ucb.iterates(arms, pulls=500, c=1.0, runs=runs, rng=story.seed)),
    }
    story.say("Four arms that pay 0, 0.2, 0.5 and 1 on average; the regret of 500 pulls, exactly:")
    story.table(
        ["player", "regret"],
        [[name, float(film[-1].regret.mean())] for name, film in players.items()],
    )
    curves = plot.curves(players, None, lambda pull: pull.regret.mean())
    curves.set(xlabel="pulls", ylabel="regret")
    story.picture("bandits", curves, "Regret: what is lost in expectation by not knowing.")


def _prediction(story: Story) -> None:
    walk, runs = random_walk().mdp(gamma=1), 50 if story.quick else 200
    pi, squares = uniform_policy(walk), slice(1, -1)
    exact = state_values(walk, pi)[squares]
    films = {
        "Monte Carlo": mc_prediction.iterates(walk, pi, episodes=100, runs=runs, rng=story.seed),
        "TD(0)": td0.iterates(walk, pi, episodes=100, initial=0.5, runs=runs, rng=story.seed),
    }
    story.say(
        """Five squares in a row, only the right end pays (Sutton & Barto, example 6.2): how far the
        estimated values are from 1/6, ..., 5/6, Monte Carlo against temporal differences."""
    )
    curves = plot.curves(films, None, lambda s: rms_error(s.V[:, squares], exact).mean())
    curves.set(xlabel="episodes", ylabel="RMS error")
    story.picture("prediction", curves, "The error to the exact values.")


def _control(story: Story) -> None:
    cliff = cliff_walking()
    mdp, runs = cliff.mdp(gamma=1), 20 if story.quick else 60
    episodes = 150 if story.quick else 300
    nearly = mdp.replace(gamma=0.9999)  # who never arrives is worth -10,000, not minus infinity
    story.say(
        f"""Beside a cliff (example 6.6; -1 a step, -100 over the edge) SARSA learns what its own
        stumbling costs and keeps away, Q-learning learns the shortest way, which is worth
        {float(mdp.start @ policy_iteration(mdp).V):.0f}, and falls off while exploring:"""
    )
    rows = []
    for learner in (sarsa, q_learning):
        film = list(learner.iterates(mdp, episodes=episodes, alpha=0.5, runs=runs, rng=story.seed))
        earned = float(np.mean([s.returns.mean() for s in film[-50:]]))
        worth = [expected_return(nearly, pi) for pi in film[-1].policy]
        rows.append([learner.__name__, earned, float(np.median(worth))])
        typical = int(np.argsort(worth)[len(worth) // 2])
        picture = plot.policy(cliff, film[-1].policy[typical])
        story.picture(f"cliff-{learner.__name__}", picture, f"What {learner.__name__} has found.")
    story.table(["learner", "earned while learning", "its greedy policy, exactly"], rows)
