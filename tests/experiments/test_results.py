"""Records, bands and what they say when there is nothing to average."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gridrl.experiments import Band, Results, Run, SweepStopped, sweep
from gridrl.experiments.intervals import band
from tests.experiments.laboratory import SETTINGS, fragile, noise, number

RNG = np.random.default_rng


def serial(experiment: Any, settings: Any, seeds: Any = 5) -> Results:
    return sweep(experiment, settings, seeds=seeds, executor="serial")


def test_records_have_a_column_for_everything() -> None:
    records = serial(noise, SETTINGS, 2).to_records()
    assert [list(record) for record in records] == [
        ["setting", "size", "seed", "end", "curve", "error"]
    ] * 4
    assert [(r["setting"], r["size"], r["seed"]) for r in records] == [
        ("size=1.0", 1.0, 0), ("size=1.0", 1.0, 1), ("size=2.0", 2.0, 0), ("size=2.0", 2.0, 1)
    ]  # fmt: skip
    np.testing.assert_array_equal(records[3]["curve"], noise(1, 2.0)["curve"])


def test_records_of_failed_runs_are_there() -> None:
    good, bad = serial(fragile, [{"bad": (1,)}], 2).to_records()
    assert (good["value"], good["error"]) == (number(0), None)
    assert bad["value"] is None
    assert bad["error"].endswith("ZeroDivisionError: seed 1 is bad\n")
    (nothing,) = serial(fragile, [{"bad": (0,)}], 1).to_records()
    assert list(nothing) == ["setting", "bad", "seed", "value", "error"]


def test_pandas_gets_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: rows))
    found = serial(number, SETTINGS)
    assert found.to_pandas() == found.to_records()


def test_a_band_is_the_mean_over_seeds() -> None:
    found = serial(noise, SETTINGS).bands("curve")
    assert list(found) == ["size=1.0", "size=2.0"]
    curves = np.array([noise(seed, 2.0)["curve"] for seed in range(5)])
    np.testing.assert_allclose(found["size=2.0"].mean, curves.mean(axis=0), rtol=1e-15)
    assert found["size=2.0"].n == 5
    assert (found["size=2.0"].low < found["size=2.0"].mean).all()
    assert (found["size=2.0"].high > found["size=2.0"].mean).all()


def test_the_interval_is_scipys() -> None:
    # each end is a quantile of 20,000 means; two estimates of it differ by a standard error of
    # about 0.013 of half the width; 5 of them are exceeded by one of four ends with chance 2e-6
    values = RNG(0).gamma(1.0, size=(12, 2))
    found = band(values, level=0.9, resamples=20_000, rng=RNG(1))
    other = stats.bootstrap(
        (values,), np.mean, axis=0, confidence_level=0.9, n_resamples=20_000,
        method="percentile", rng=RNG(2),
    ).confidence_interval  # fmt: skip
    half = (other.high - other.low) / 2
    np.testing.assert_array_less(np.abs(found.low - other.low), 5 * 0.013 * half)
    np.testing.assert_array_less(np.abs(found.high - other.high), 5 * 0.013 * half)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    # n = 100: 95 % are 94.6 %; of 4,000 intervals, fewer than 93 % or more than 96.5 % hold the
    # truth with probability 1e-5 and 1e-8 (binomial)
    values = RNG(3).normal(size=(100, 4000))
    found = band(values, level=0.95, resamples=1000, rng=RNG(4))
    assert 0.93 <= ((found.low <= 0) & (found.high >= 0)).mean() <= 0.965


def test_a_wider_level_is_a_wider_interval() -> None:
    found = serial(number, [{}], 20)
    widths = [float(np.ptp([b.low, b.high])) for level in (0, 0.5, 0.95, 1)
              for b in found.bands(level=level).values()]  # fmt: skip
    assert widths[0] == pytest.approx(0)
    assert (np.diff(widths) > 0).all()


def test_one_run_and_equal_runs_have_no_width() -> None:
    (one,) = serial(number, [{}], 1).bands().values()
    assert one.mean == one.low == one.high == number(0)
    (equal,) = serial(lambda seed: 0.1, [{}], 7).bands().values()
    assert equal.low == equal.high == pytest.approx(0.1)


def test_runs_that_are_not_finite_have_no_interval() -> None:
    (found,) = serial(lambda seed: [1.0, np.inf, np.nan], [{}], 3).bands().values()
    np.testing.assert_array_equal(found.mean, [1.0, np.inf, np.nan])
    np.testing.assert_array_equal(found.low, [1.0, np.nan, np.nan])


def test_failed_runs_are_left_out_and_counted() -> None:
    found = serial(fragile, {"a": {"bad": (1,)}, "b": {}}).bands()
    assert (found["a"].n, found["b"].n) == (4, 5)
    assert found["a"].mean == pytest.approx(np.mean([number(seed) for seed in (0, 2, 3, 4)]))


def test_a_setting_that_always_failed_is_left_out_with_a_warning() -> None:
    found = serial(fragile, {"a": {"bad": (0, 1)}, "b": {}}, 2)
    with pytest.warns(UserWarning, match="no run of 'a' has 'value'; it is left out"):
        assert list(found.bands()) == ["b"]


def test_bands_are_the_same_each_time() -> None:
    found = serial(number, SETTINGS)
    assert repr(found.bands()) == repr(found.bands()) != repr(found.bands(rng=1))


@pytest.mark.parametrize(
    ("experiment", "asked", "message"),
    [
        (noise, {}, r"field must be one of \['end', 'curve'\]; it is None"),
        (noise, {"field": "e"}, r"field must be one of \['end', 'curve'\]; it is 'e'"),
        (lambda seed, size: 1 / 0, {}, "every run failed, the first with ZeroDivisionError: div"),
        (lambda seed, size: [0] * (seed + 1), {}, r"seed 0 has \(1,\), seed 1 has \(2,\)"),
        (number, {"level": 1.5}, r"level must be in \[0, 1\]; it is 1.5"),
        (number, {"resamples": 0}, "resamples must be at least 1; it is 0"),
        (number, {"along": "alpha"}, "along must be an argument of every setting; 'size=1.0' has"),
        (noise, {"field": "curve", "along": "size"}, "along needs single numbers; 'curve' of "),
    ],
)
def test_bands_say_what_is_wrong(experiment: Any, asked: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        serial(experiment, SETTINGS, 2).bands(**asked)


def test_bands_along_an_argument_that_is_no_number() -> None:
    with pytest.raises(TypeError, match=r"settings\['f=max'\]\['f'\] must be a number; it is"):
        serial(lambda seed, f: seed, [{"f": max}, {"f": min}]).bands(along="f")


def test_no_runs_no_bands() -> None:
    with pytest.raises(ValueError, match="there is nothing to average: no run was made"):
        Results({"a": {}}, ()).bands()


def test_numbers_become_curves_along_an_argument() -> None:
    settings = [{"alpha": a, "n": n} for a in (0.5, 0.1, 1) for n in (1, 2)]
    found = serial(lambda seed, alpha, n: 10 * n + alpha + seed, settings, 3)
    joined = found.bands(along="alpha")
    assert list(joined) == ["n=1", "n=2"]
    np.testing.assert_array_equal(joined["n=2"].x, [0.1, 0.5, 1.0])
    np.testing.assert_allclose(joined["n=2"].mean, [21.1, 21.5, 22.0])
    alone = found.bands()["alpha=0.1, n=2"]
    assert joined["n=2"].low[0] == alone.low
    assert (joined["n=1"].n, repr(joined["n=1"])) == (3, "Band(3 points, n = 3)")
    only = serial(lambda seed, alpha: seed, [{"alpha": 1}, {"alpha": 2}])
    assert list(only.bands(along="alpha")) == ["value"]


def test_results_show_themselves() -> None:
    found = serial(fragile, {"<a>": {"bad": (0,)}, "b": {}}, 3)
    assert repr(found) == "Results(2 settings, 6 runs, 1 failed)"
    html = found._repr_html_()
    assert "&lt;a&gt;" in html
    assert "<a>" not in html
    assert f">{np.mean([number(1), number(2)]):.4g}<" in html
    curves = serial(lambda seed: {"up": [1.0] * seed + [7.5]}, {"a": {}}, 3)._repr_html_()
    assert ">up, last point<" in curves  # whatever the lengths
    assert curves.count(">7.5<") == 3  # the mean, and both ends
    assert "table" not in serial(lambda seed: 1 / 0, [{}], 2)._repr_html_()


def test_a_band_of_a_number_reads_as_one() -> None:
    assert repr(Band(np.array(1.0), np.array(0.5), np.array(1.5), 3)) == (
        "Band(1 in [0.5, 1.5], n = 3)"
    )


def test_results_can_be_pickled() -> None:
    found = serial(noise, SETTINGS)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_equal(again.to_records(), found.to_records())
    bands = pickle.loads(pickle.dumps(found.bands("curve")))
    assert not bands["size=1.0"].mean.flags.writeable
    stopped = pickle.loads(pickle.dumps(SweepStopped("the disk", found)))
    assert str(stopped) == "the disk"
    assert len(stopped.results.runs) == 10


def test_bands_cannot_be_changed() -> None:
    (found,) = serial(noise, [{"size": 1.0}]).bands("curve").values()
    with pytest.raises(ValueError, match="read-only"):
        found.mean[0] = 3
    with pytest.raises(AttributeError):
        found.n = 3  # type: ignore[misc]


def test_runs_tell_each_other_apart() -> None:
    assert Run("a", 1, {"value": 2.0}, None).reason == ""
