"""Experiments for the tests: in a file of their own that loads little, since workers load it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from gridrl.tables import Array

SETTINGS = [{"size": 1.0}, {"size": 2.0}]


def noise(seed: int, size: float) -> dict[str, float | Array]:
    """A number and a curve, with values that no rounding leaves alone."""
    rng = np.random.default_rng(seed)
    return {"end": float(rng.normal()), "curve": rng.normal(scale=size, size=5).cumsum()}


def number(seed: int, size: float = 1.0) -> float:
    return float(np.random.default_rng(seed).normal(scale=size))


def fragile(seed: int, bad: tuple[int, ...] = (), size: float = 1.0) -> float:
    if seed in bad:
        raise ZeroDivisionError(f"seed {seed} is bad")
    return number(seed, size)


def deadly(seed: int, bad: tuple[int, ...] = ()) -> float:
    if seed in bad:
        os._exit(3)
    return number(seed)


def slow(seed: int, folder: str, seconds: float = 0.05) -> float:
    """Says which process does it."""
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(seconds)
    return number(seed)


def sleepy(seed: int) -> float:
    time.sleep(60.0 if seed == 4 else 0.05)
    return number(seed)


def threads(seed: int) -> float:
    return float(os.environ.get("OPENBLAS_NUM_THREADS", "0"))
