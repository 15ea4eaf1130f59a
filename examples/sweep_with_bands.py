"""Step sizes compared over seeds, on all cores: means, bootstrap intervals, and the exact optimum.

An interrupted run goes on where it stopped: the results are in `out`, a line a run.
"""

import sys
import tempfile
from pathlib import Path

from gridrl import exact_returns, penguin_world, plot, reinforce, value_baseline, value_iteration
from gridrl.experiments import sweep


def learn(alpha: float, seed: int) -> list[float]:
    """The exact return of REINFORCE's policy after every update."""
    mdp = penguin_world().mdp(gamma=0.9)
    film = reinforce.iterates(
        mdp, updates=40, episodes=10, alpha=alpha, baseline=value_baseline, steps=40, rng=seed
    )
    return [float(exact_returns(mdp, snapshot.policy)) for snapshot in film]


def main(folder: Path) -> None:
    """Sweep, print, draw."""
    settings = [{"alpha": alpha} for alpha in (0.3, 3.0, 30.0)]
    results = sweep(learn, settings, seeds=10, out=folder / "alphas.jsonl")
    for name, band in results.bands().items():
        print(f"{name}: {band.mean[-1]:.3f}, between {band.low[-1]:.3f} and {band.high[-1]:.3f}")
    best = value_iteration(penguin_world().mdp(gamma=0.9)).V[0]
    axes = plot.curves(results.bands(), "update", "exact J", marks={"V*": best})
    axes.figure.savefig(folder / "alphas.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
