"""A moving picture: one window, or one display in a notebook."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gridrl.plot import frames
from gridrl.plot.frames import Screen

BLACK, WHITE = (np.full((20, 30, 3), value, np.uint8) for value in (0, 255))


def test_a_window_shows_the_last_frame() -> None:
    screen, before = Screen(seconds=0.0), plt.get_fignums()
    for frame in (BLACK, WHITE):
        screen.show(frame)
        np.testing.assert_array_equal(screen.figure.axes[0].images[0].get_array(), frame)
    assert len(plt.get_fignums()) == len(before) + 1
    assert screen.figure.get_size_inches().tolist() == [0.3, 0.2]
    screen.close()
    assert plt.get_fignums() == before
    screen.close()


def test_a_window_that_was_closed_opens_again() -> None:
    screen = Screen(seconds=0.0)
    screen.show(BLACK)
    plt.close(screen.figure)
    screen.show(WHITE)
    assert plt.fignum_exists(screen.figure.number)
    screen.close()


def test_a_backend_with_windows_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(plt, "pause", waited.append)
    screen = Screen(seconds=0.3)
    screen.show(BLACK)
    assert waited == []
    monkeypatch.setattr(type(screen.figure.canvas), "required_interactive_framework", "tk")
    screen.show(WHITE)
    assert waited == [0.3]
    screen.close()


def test_a_notebook_has_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Handle:
        def update(self, image: Any) -> None:
            calls.append(("update", image.size))

    def display(image: Any, display_id: bool) -> Handle:
        calls.append(("display", image.size))
        return Handle()

    monkeypatch.setattr(frames, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(time, "sleep", lambda seconds: calls.append(seconds))
    screen = Screen(seconds=0.1)
    for _ in range(3):
        screen.show(BLACK)
    assert calls == [
        ("display", (30, 20)),
        0.1,
        ("update", (30, 20)),
        0.1,
        ("update", (30, 20)),
        0.1,
    ]


def test_a_kernel_is_a_notebook_and_a_terminal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    assert not frames._in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: type("Shell", (), {"kernel": None})())
    assert frames._in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", object)
    assert not frames._in_notebook()
