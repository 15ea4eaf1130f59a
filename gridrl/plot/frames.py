"""A moving picture, frame by frame: one display in a notebook, elsewhere a matplotlib window."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image


class Screen:
    """Shows one frame after the other in the same place.

    A backend without windows (agg) draws and shows nothing.

    Args:
        seconds: how long a frame stands at least.
    """

    def __init__(self, *, seconds: float = 0.25) -> None:
        self.seconds = seconds
        self.figure: Any = None
        self._display: Any = None

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show a frame (H, W, 3)."""
        if _in_notebook():
            self._show_in_notebook(frame)
        else:
            self._show_in_window(frame)

    def close(self) -> None:
        """Close the window; what a notebook shows stays."""
        if self.figure is not None:
            plt.close(self.figure)
        self.figure = self._display = None

    def _show_in_notebook(self, frame: NDArray[np.uint8]) -> None:
        from IPython.display import display

        image = Image.fromarray(frame)
        if self._display is None:
            self._display = display(image, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._display.update(image)
        time.sleep(self.seconds)

    def _show_in_window(self, frame: NDArray[np.uint8]) -> None:
        if self.figure is None or not plt.fignum_exists(self.figure.number):
            height, width = frame.shape[:2]
            self.figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
            ax = self.figure.add_axes((0, 0, 1, 1))
            ax.set_axis_off()
            ax.imshow(frame)
        self.figure.axes[0].images[0].set_data(frame)
        self.figure.canvas.draw_idle()
        if self.figure.canvas.required_interactive_framework is not None:
            plt.pause(self.seconds)


def _in_notebook() -> bool:
    """Say whether a Jupyter kernel runs this; IPython in a terminal has none."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
