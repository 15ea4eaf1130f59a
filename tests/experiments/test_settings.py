"""Names of settings, lists of seeds, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl.experiments import sweep
from gridrl.experiments.settings import check_call, listed_seeds, named_settings, told_apart
from gridrl.planning import gauss_seidel, value_iteration


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"one": {"a": 1}, "two": {"a": 1}}, ["one", "two"]),
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}], ["b=2", "b=3"]),
        ([{"a": np.float64(0.1)}, {"a": np.int64(2)}], ["a=0.1", "a=2"]),
        ([{"a": 1, "b": "x"}], ["a=1, b=x"]),
        ([{}], ["default"]),
        ([{}, {"a": None}], ["default", "a=None"]),
        ([{"f": gauss_seidel}, {"f": value_iteration}], ["f=gauss_seidel", "f=value_iteration"]),
        (({"a": k} for k in (1, 2)), ["a=1", "a=2"]),
    ],
)
def test_settings_are_named_by_what_differs(settings: Any, names: list[str]) -> None:
    assert list(named_settings(settings)) == names


def test_names_do_not_change_what_is_called() -> None:
    given = {"a": np.ones(2), "b": [1]}
    (found,) = named_settings([given]).values()
    assert found == given
    assert found is not given


def test_alike_settings_read_alike() -> None:
    assert told_apart([{"a": 1}, {"a": 1}]) == ["a=1", "a=1"]


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({}, ValueError, "settings must hold at least one setting; it is empty"),
        ([], ValueError, "settings must hold at least one setting; it is empty"),
        (3, TypeError, "settings must be dicts of keyword arguments; it is 3"),
        ("ab", TypeError, "settings must be dicts of keyword arguments; it is 'ab'"),
        ({"alpha": 0.1}, TypeError, r"settings\['alpha'\] must be a dict of keyword arguments"),
        ([0.1], TypeError, r"settings\[0\] must be a dict of keyword arguments; it is 0.1"),
        ({"a": {1: 2}}, TypeError, r"settings\['a'\] must be a dict of keyword arguments"),
        ({1: {}}, TypeError, "settings must have names that are text; one is 1"),
        ([{}, {"seed": 1}], ValueError, r"settings\[1\] must not hold 'seed': it is a column"),
        ({"a": {"error": 1}}, ValueError, r"settings\['a'\] must not hold 'error'"),
        ([{"a": 1}, {"a": 1}], ValueError, r"settings\[1\] reads like settings\[0\], 'a=1'"),
        ([{"f": lambda: 1}, {"f": lambda: 2}], ValueError, "'f=<lambda>'; leave it out, or give"),
    ],
)
def test_bad_settings_are_named(settings: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        named_settings(settings)


def test_seeds_are_a_number_or_a_list() -> None:
    assert listed_seeds(3) == (0, 1, 2)
    assert listed_seeds(np.arange(4, 6)) == (4, 5)
    assert listed_seeds(iter([9])) == (9,)


@pytest.mark.parametrize(
    ("seeds", "kind", "message"),
    [
        (0, ValueError, "seeds must be at least 1; it is 0"),
        ([], ValueError, "seeds must hold at least one seed; it is empty"),
        ([1, 2, 1], ValueError, "seeds must differ from each other; 1 stands there twice"),
        ([1, -1], ValueError, r"seeds\[1\] must be at least 0; it is -1"),
        ([0.5], TypeError, r"seeds\[0\] must be a whole number; it is 0.5"),
        (True, TypeError, "seeds must be a whole number; it is True"),
        ("12", TypeError, "seeds must be a whole number; it is '12'"),
    ],
)
def test_bad_seeds_are_named(seeds: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        listed_seeds(seeds)


def test_a_call_that_cannot_work_is_refused_first() -> None:
    other: Any = 3
    with pytest.raises(TypeError, match=r"arguments of settings\['a'\]: missing a required .*'y'"):
        check_call(lambda seed, y: 0, {"a": {}})
    with pytest.raises(TypeError, match=r"settings\['b'\]: got an unexpected keyword argument 'z'"):
        check_call(lambda seed, y=1: 0, {"a": {"y": 2}, "b": {"z": 2}})
    with pytest.raises(TypeError, match="experiment must be a function of a seed; it is 3"):
        check_call(other, {"a": {}})
    check_call(range, {"a": {}})  # no signature to be read: tried when it runs


def test_the_seed_goes_where_the_experiment_wants_it() -> None:
    def named(alpha: float, seed: int) -> float:
        return alpha + seed

    def like_a_learner(*, alpha: float, rng: int) -> float:
        return alpha + rng

    def first(k: int, alpha: float) -> float:
        return alpha + k

    for experiment in (named, like_a_learner, first):
        found = sweep(experiment, [{"alpha": 0.5}], seeds=[3, 4], executor="serial")
        assert [record["value"] for record in found.to_records()] == [3.5, 4.5]
    with pytest.raises(TypeError, match="must take a seed and the arguments of settings"):
        sweep(named, [{"beta": 0.5}], seeds=1, executor="serial")
