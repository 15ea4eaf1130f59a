"""The errors that are not a wrong argument; wrong arguments are `ValueError` and `TypeError`."""

from __future__ import annotations

from typing import Any


class NotConverged(RuntimeError):
    """An iteration used up its budget before it kept its promise on the error.

    Attributes:
        so_far: the last snapshot; None where there is none.
        lower, upper: bounds that hold on the value at the start; None where there are none.
    """

    def __init__(
        self,
        message: str,
        *,
        so_far: Any = None,
        lower: float | None = None,
        upper: float | None = None,
    ) -> None:
        super().__init__(message)
        self.so_far, self.lower, self.upper = so_far, lower, upper


class ImpossibleObservation(ValueError):
    """What was seen has probability 0 under the model, so there is no belief after it."""
