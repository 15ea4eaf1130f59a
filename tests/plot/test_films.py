"""Films and the stepper: frames in order, files whole or not at all, buttons that work."""

from __future__ import annotations

import builtins
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from gridrl import (
    GridWorld,
    penguin_world,
    plot,
    policy_evaluation,
    uniform_policy,
    value_iteration,
)
from gridrl.files import write_whole

ICE = penguin_world()
MDP = ICE.mdp(gamma=0.9)


def film(**options: Any) -> plot.Film:
    return plot.animate(ICE, islice(value_iteration.iterates(MDP), 12), **options)


def test_a_gif_has_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    shown = film(path=path, seconds=0.25)
    with Image.open(path) as moving:
        assert getattr(moving, "n_frames", 1) == len(shown.frames) == 12
        assert moving.info["duration"] == 250


def test_a_page_plays_without_a_network(tmp_path: Path) -> None:
    page = film().save(tmp_path / "film.html").read_text()
    assert page.count("data:image/png;base64,") == 12
    assert "http" not in page.replace("http-equiv", "")


def test_in_jupyter_it_moves_without_script() -> None:
    html = film(frames=3)._repr_html_()
    assert html.startswith('<img alt="film" src="data:image/gif;base64,')
    assert "script" not in html


def test_frames_are_spread_from_the_first_to_the_last() -> None:
    few = film(frames=4)
    assert [title.split()[0] for title in few.titles] == ["1", "5", "8", "12"]


def test_plain_tables_and_pictures_of_ones_own() -> None:
    assert len(plot.animate(ICE, [np.zeros(16), np.ones(16)]).frames) == 2
    seen: list[int] = []

    def draw(world: GridWorld, snapshot: Any, ax: Axes) -> None:
        seen.append(snapshot)
        plot.trajectory(world, range(snapshot), ax=ax)

    plot.animate(ICE, [1, 2, 3], draw=draw)
    assert seen == [1, 2, 3]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path must end in \.gif or \.html; it is 'film\.mp4'"):
        film(frames=1).save("film.mp4")


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "film.gif"
    target.write_bytes(b"the old one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"the new one")
    assert target.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [target]


def find(widget: Any, kind: str) -> list[Any]:
    """All widgets of a kind inside another."""
    inside = [w for child in getattr(widget, "children", ()) for w in find(child, kind)]
    return [widget, *inside] if type(widget).__name__ == kind else inside


def test_the_stepper_goes_forward_and_back() -> None:
    stepper = plot.stepper(ICE, islice(value_iteration.iterates(MDP), 5))
    slider, (back, forward) = find(stepper, "IntSlider")[0], find(stepper, "Button")
    picture, words = find(stepper, "Image")[0], find(stepper, "HTML")[0]
    shown = [bytes(picture.value)]
    for expected in (1, 2, 3, 4, 4):
        forward.click()
        assert slider.value == expected
        shown.append(bytes(picture.value))
    assert len(set(shown)) == 5
    back.click()
    assert slider.value == 3
    assert bytes(picture.value) == shown[3]
    assert words.value.count("&lt;-") == 1


def test_the_stepper_explains_the_chosen_state() -> None:
    stepper = plot.stepper(ICE, islice(value_iteration.iterates(MDP), 3))
    choice, words = find(stepper, "Dropdown")[0], find(stepper, "HTML")[0]
    choice.value = ICE.index(9)
    assert "V(9) &lt;- max(1, 1, 1, 1) = 1" in words.value
    choice.value = ICE.index(4)
    assert "V(4) &lt;-" in words.value


def test_the_stepper_steps_through_any_algorithm() -> None:
    sweeps = policy_evaluation.iterates(MDP, uniform_policy(MDP))
    words = find(plot.stepper(ICE, sweeps, steps=4), "HTML")[0]
    assert "0.25 *" in words.value
    tables = plot.stepper(ICE, [np.zeros(16), np.ones(16)])
    assert find(tables, "HTML")[0].value == ""


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_widgets(name: str, *rest: Any, **options: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    with pytest.raises(ImportError, match=r"pip install 'gridrl\[notebooks\]'"):
        plot.stepper(ICE, [np.zeros(16)])
