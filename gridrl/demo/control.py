"""Optimal control: the best policy, by dynamic programming."""

from __future__ import annotations

import time
from itertools import islice

from gridrl import (
    average_reward,
    backward_induction,
    expected_return,
    explain_backup,
    gauss_seidel,
    linear_program,
    modified_policy_iteration,
    penguin_world,
    plot,
    policy_iteration,
    prioritized_sweeping,
    value_iteration,
)
from gridrl.demo.story import Story

TITLE = "4. Optimal control: the best the penguin can do"

ALGORITHMS = (
    value_iteration,
    gauss_seidel,
    modified_policy_iteration,
    policy_iteration,
    prioritized_sweeping,
    linear_program,
)


def tell(story: Story) -> None:
    """One backup by hand, the film, six algorithms side by side, other horizons."""
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    best = value_iteration(mdp)
    story.say(
        """The best value of a square is the best over its actions of the reward now plus gamma
        times the value of where one lands. Value iteration makes that equation an assignment. One
        backup, of square 9, with the values it converges to:"""
    )
    story.board(explain_backup(mdp, best.V, ice.index(9)))
    frames = 12 if story.quick else 24
    story.film(
        "value-iteration",
        plot.animate(ice, islice(value_iteration.iterates(mdp), 2 * frames), frames=frames),
        "Value iteration: values, and the policy that is greedy for them, sweep by sweep.",
    )
    story.picture(
        "optimal", plot.policy(ice, best.policy, ax=plot.values(ice, best.V)), "V* and pi*."
    )
    story.picture("q", plot.q_values(ice, best.Q), "Q*: what each action is worth.")
    _compare(story)
    _other_horizons(story)


def _compare(story: Story) -> None:
    ice = penguin_world()
    mdp = ice.mdp(gamma=0.9)
    story.say("Six roads lead there. Each promises a bound on |V - V*|, and keeps it:")
    rows, films = [], {}
    for algorithm in ALGORITHMS:
        started = time.perf_counter()
        snapshots = list(algorithm.iterates(mdp))
        seconds, last = time.perf_counter() - started, snapshots[-1]
        name = algorithm.__name__
        rows.append(
            [
                name,
                len(snapshots),
                last.backups,
                f"{last.bound:.0e}" if last.bound else "0",
                f"{1000 * seconds:.1f}",
            ]
        )
        if len(snapshots) > 1 and last.bound > 0:
            films[name] = [s for s in snapshots if s.bound > 0]
    story.table(["algorithm", "iterations", "backups", "bound", "ms"], rows)
    story.picture(
        "convergence",
        plot.curves(films, "backups", "bound"),
        "The bound on the error against the number of state-action pairs looked up.",
    )


def _other_horizons(story: Story) -> None:
    mdp = penguin_world().mdp(gamma=0.9)
    best = expected_return(mdp, value_iteration(mdp).policy)
    soon = expected_return(mdp, backward_induction(mdp, horizon=5).policy)
    long = average_reward(mdp)
    story.say(
        f"""From square 1 the best policy is worth {best:.3f} discounted; {soon:.3f} if all is over
        after five steps (the best policy then depends on the time left); and in the long run
        {long.gain:.3f} fish a step."""
    )
