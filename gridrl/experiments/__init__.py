"""Settings x seeds: the same experiment many times, on as many cores as there are.

Reading order: `settings` (what is run), `runs` (one run), `journal` (what survives a crash),
`executors` (who runs it), `intervals` (means and how far to trust them), `results`, `sweeps`.
"""

from gridrl.experiments.intervals import Band
from gridrl.experiments.results import Results, SweepStopped
from gridrl.experiments.runs import Run
from gridrl.experiments.sweeps import sweep

__all__ = ["Band", "Results", "Run", "SweepStopped", "sweep"]
