"""What a sweep runs: settings with a name each, and seeds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gridrl.tables import whole

Setting = Mapping[str, Any]
Settings = Mapping[str, Setting] | Iterable[Setting]
Experiment = Callable[..., Any]
COLUMNS = ("setting", "seed", "error")  # of every record, beside arguments and fields


def named_settings(settings: Settings) -> dict[str, dict[str, Any]]:
    """Keyword arguments by name; a sequence is named by what differs.

    >>> list(named_settings([{"n": 1, "alpha": 0.1}, {"n": 1, "alpha": 0.2}]))
    ['alpha=0.1', 'alpha=0.2']

    Raises:
        TypeError: a setting is no dict of keyword arguments.
        ValueError: none at all, two of one name, an argument with the name of a column.
    """
    if isinstance(settings, str) or not isinstance(settings, Iterable):
        raise TypeError(f"settings must be dicts of keyword arguments; it is {settings!r}")
    if not isinstance(settings, Mapping):
        found = list(settings)
        for i, setting in enumerate(found):
            _check(setting, f"settings[{i}]")
        return dict(zip(_names(found), map(dict, found), strict=True))
    if not settings:
        raise ValueError("settings must hold at least one setting; it is empty")
    for name, setting in settings.items():
        if not isinstance(name, str):
            raise TypeError(f"settings must have names that are text; one is {name!r}")
        _check(setting, f"settings[{name!r}]")
    return {name: dict(setting) for name, setting in settings.items()}


def listed_seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """0, 1, ..., n - 1 for a number n; otherwise the seeds themselves, each once.

    >>> listed_seeds(3), listed_seeds([7, 5])
    ((0, 1, 2), (7, 5))
    """
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        return tuple(range(whole(seeds, "seeds", least=1)))
    found = tuple(whole(seed, f"seeds[{i}]", least=0) for i, seed in enumerate(seeds))
    if not found:
        raise ValueError("seeds must hold at least one seed; it is empty")
    for i, seed in enumerate(found):
        if seed in found[:i]:
            raise ValueError(f"seeds must differ from each other; {seed} stands there twice")
    return found


def arguments(
    experiment: Experiment, seed: int, setting: Setting
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """What the experiment is called with: the seed as its `seed`, or its `rng`, else first of all.

    >>> arguments(lambda alpha, rng: alpha, 7, {"alpha": 0.1})
    ((), {'alpha': 0.1, 'rng': 7})
    >>> arguments(lambda k, alpha: alpha, 7, {"alpha": 0.1})
    ((7,), {'alpha': 0.1})
    """
    try:
        names = inspect.signature(experiment).parameters
    except ValueError:  # some that are written in C do not tell
        return (seed,), dict(setting)
    for name in ("seed", "rng"):
        if name in names and name not in setting:
            return (), {**setting, name: seed}
    return (seed,), dict(setting)


def check_call(experiment: Experiment, settings: Mapping[str, Setting]) -> None:
    """Raise a TypeError if the experiment cannot be called with a seed and each of `settings`."""
    if not callable(experiment):
        raise TypeError(f"experiment must be a function of a seed; it is {experiment!r}")
    try:
        signature = inspect.signature(experiment)
    except ValueError:  # some that are written in C do not tell
        return
    for name, setting in settings.items():
        try:
            first, named = arguments(experiment, 0, setting)
            signature.bind(*first, **named)
        except TypeError as error:
            raise TypeError(
                f"experiment must take a seed and the arguments of settings[{name!r}]: {error}"
            ) from error


def told_apart(settings: Sequence[Setting]) -> list[str]:
    """Write the arguments that differ, or all of them where none does; alike settings read alike.

    >>> told_apart([{"n": 1}, {"n": 2, "learner": max}, {}])
    ['n=1', 'n=2, learner=max', '']
    """
    said = [{key: _text(value) for key, value in setting.items()} for setting in settings]
    keys = dict.fromkeys(key for words in said for key in words)
    differ = [key for key in keys if len({words.get(key) for words in said}) > 1] or list(keys)
    return [", ".join(f"{k}={words[k]}" for k in differ if k in words) for words in said]


def _names(settings: Sequence[Setting]) -> list[str]:
    if not settings:
        raise ValueError("settings must hold at least one setting; it is empty")
    found = [name or "default" for name in told_apart(settings)]
    for i, name in enumerate(found):
        if name in found[:i]:
            raise ValueError(
                f"settings[{i}] reads like settings[{found.index(name)}], {name!r};"
                ' leave it out, or give names: {"one": {...}, "other": {...}}'
            )
    return found


def _check(setting: Any, name: str) -> None:
    if not isinstance(setting, Mapping) or not all(isinstance(key, str) for key in setting):
        raise TypeError(f"{name} must be a dict of keyword arguments; it is {setting!r}")
    for key in COLUMNS:
        if key in setting:
            raise ValueError(f"{name} must not hold {key!r}: it is a column of every record")


def _text(value: Any) -> str:
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    return plain if isinstance(plain, str) else repr(plain)
