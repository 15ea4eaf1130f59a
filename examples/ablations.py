"""The parts of learning from preferences, left out one by one.  [arXiv:1706.03741, fig. 5]

In full, about a minute on two cores: python ablations.py full
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gridrl import PreferenceOracle, RewardEnsemble, ScoreEnsemble, learn_from_preferences, plot
from gridrl.experiments import sweep
from gridrl.planning import expected_return, policy_iteration
from gridrl.preferences import random_queries
from gridrl.worlds import GridWorld, slip_to_neighbours

MAP = """S.......
         ........
         ...H....
         .....H..
         ...H....
         .HH...H.
         .H..H.H.
         ...H...G"""
PAYS = {"G": 1.0, "H": -1.0}
LAKE = GridWorld.from_text(MAP, rewards=PAYS, slip=slip_to_neighbours(0.8))
HUMAN = PreferenceOracle([PAYS.get(tile, 0.0) for tile in LAKE.state_tiles])
SETTINGS: dict[str, dict[str, Any]] = {
    "the full method": {},
    "random queries": {"choose": random_queries},
    "no ensemble": {"model": partial(RewardEnsemble, members=1), "choose": random_queries},
    "no online queries": {"online": False},
    "no regularisation": {"model": partial(RewardEnsemble, l2=0)},
    "no segments": {"segment_length": 1},
    "target": {"model": partial(ScoreEnsemble, value=HUMAN.value)},
}


def learn(
    seed: int, votes: int, model: Callable[..., Any] = RewardEnsemble, **options: Any
) -> list[float]:
    """The return after each round, as a share of the best."""
    mdp, rng = LAKE.mdp(gamma=0.95), np.random.default_rng(seed)
    best = expected_return(mdp, policy_iteration(mdp).policy)
    film = learn_from_preferences.iterates(
        mdp, HUMAN, queries=votes, ensemble=model((64,), rng=rng), rng=rng, **options
    )
    return [expected_return(mdp, now.policy) / best for now in film]


if __name__ == "__main__":
    seeds, votes = (20, 350) if "full" in sys.argv else (2, 60)
    results = sweep(partial(learn, votes=votes), SETTINGS, seeds=seeds, workers=2)
    for name, band in results.bands().items():
        print(f"{name:18} {band.mean[-1]:5.2f}, from {band.low[-1]:5.2f} to {band.high[-1]:4.2f}")
    axes = plot.curves(results.bands(), "round", "share of the best return", marks={"best": 1})
    axes.figure.savefig("ablations.png")
