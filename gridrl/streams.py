"""A stream of chance for each of many runs: run k draws the same, whoever else runs."""

from __future__ import annotations

import numpy as np

from gridrl.tables import whole


def seeds(rng: int | np.random.Generator | None, K: int) -> list[np.random.SeedSequence]:
    """One SeedSequence a run: of a seed, of a Generator (which gives one), or of fresh chance.

    >>> alone, (_, second) = seeds(0, 2)[1], seeds(0, 2)
    >>> alone.generate_state(1) == second.generate_state(1)
    array([ True])

    Raises:
        TypeError, ValueError: a seed that is no whole number from 0.
    """
    if isinstance(rng, np.random.Generator):
        rng = int(rng.integers(2**63))
    seed = np.random.SeedSequence(None if rng is None else whole(rng, "rng", least=0)).entropy
    return [np.random.SeedSequence(seed, spawn_key=(k,)) for k in range(K)]


def streams(rng: int | np.random.Generator | None, K: int) -> list[np.random.Generator]:
    """One Generator a run, of `seeds`."""
    return [np.random.default_rng(seed) for seed in seeds(rng, K)]
