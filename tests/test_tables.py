"""What every chapter checks, draws from and compares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl import tables
from tests.strategies import seeds, sparse_rows

BAD_TABLES = [
    ([[1, 2], [3]], ValueError, "V must be a rectangular table; its rows differ in length"),
    ([1 + 1j, 0], TypeError, "V must hold real numbers; it holds complex128"),
    (["1", "2"], TypeError, "V must hold real numbers; it holds <U1"),
    ([None, 1], TypeError, "V must hold real numbers; it holds object"),
    ([1, 2, 3], ValueError, r"V must have shape \(2,\); it has \(3,\)"),
    ([1, np.nan], ValueError, r"V\[1\] must be finite; it is nan"),
    ([-np.inf, np.nan], ValueError, r"V\[0\] must be finite; it is -inf"),
]


@pytest.mark.parametrize(("values", "error", "message"), BAD_TABLES)
def test_a_bad_table_is_refused_by_name(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tables.table(values, "V", (2,))


def test_all_shapes_that_would_do_are_named_once() -> None:
    with pytest.raises(ValueError, match=r"^R must have shape \(2,\) or \(2, 3\); it has \(4,\)$"):
        tables.table(np.zeros(4), "R", (2,), (2, 3), (2,))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, bool, np.longdouble])
def test_every_real_type_becomes_float64(dtype: type) -> None:
    copied = tables.table(np.array([0, 1, 1], dtype), "V")
    assert copied.dtype == np.float64
    np.testing.assert_array_equal(copied, [0.0, 1.0, 1.0])


def test_a_table_is_a_locked_copy() -> None:
    given_ = np.array([1.0, 2.0])
    kept = tables.table(given_, "V")
    given_[0] = 9
    assert kept[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 9


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.4]], r"pi\[1\] must be a distribution; it sums to 0\.9$"),
        ([[0.5, 0.5], [1.5, -0.5]], r"pi\[1, 1\] must not be negative; it is -0\.5$"),
        ([[[0.5, 0.5]], [[1, 1e-7]]], r"pi\[1, 0\] must be a distribution; it sums to 1\.0000001"),
        ([], r"pi must not be empty; it has shape \(0,\)"),
        (np.zeros((2, 0)), r"pi must not be empty; it has shape \(2, 0\)"),
        (1.0, r"pi must not be empty; it has shape \(\)"),
    ],
)
def test_a_row_that_is_no_distribution_is_named(p: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables.distributions(p, "pi")


@given(seeds)
def test_what_rounding_does_to_a_distribution_is_allowed(seed: int) -> None:
    p = sparse_rows(np.random.default_rng(seed), 3, 7)
    np.testing.assert_array_equal(tables.distributions(p, "p"), p)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([0, 1.0], TypeError, r"a must hold whole numbers \(counted from 0\); it holds float64"),
        ([True], TypeError, "a must hold whole numbers .*; it holds bool"),
        ([0, 3], ValueError, r"a\[1\] must be in 0\.\.2; it is 3"),
        ([[0, -1]], ValueError, r"a\[0, 1\] must be in 0\.\.2; it is -1"),
        (np.array([255], np.uint8), ValueError, r"a\[0\] must be in 0\.\.2; it is 255"),
    ],
)
def test_bad_indices_are_refused(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tables.indices(values, "a", 3)


def test_no_indices_are_indices() -> None:
    assert tables.indices([], "a", 3).shape == (0,)


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "2", None, [2]])
def test_what_only_looks_like_a_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="n must be a whole number; it is "):
        tables.whole(value, "n")


def test_numpy_integers_are_whole_numbers() -> None:
    number = tables.whole(np.uint8(3), "n")
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize("value", [1.1, -0.1, np.nan, np.inf])
def test_a_number_outside_its_interval_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=rf"gamma must be in \[0, 1\]; it is {value:g}"):
        tables.number(value, "gamma", 0, 1)


@pytest.mark.parametrize("value", [True, np.True_, "0.9", None, 1j, [0.5], np.array([0.5])])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="gamma must be a number; it is "):
        tables.number(value, "gamma", 0, 1)


def test_a_mask_says_true_or_false_for_each() -> None:
    np.testing.assert_array_equal(tables.mask(None, "terminal", 2), [False, False])
    with pytest.raises(TypeError, match=r"terminal must say .*; it holds int64"):
        tables.mask([0, 1], "terminal", 2)
    with pytest.raises(ValueError, match=r"terminal must have shape \(2,\); it has \(1,\)"):
        tables.mask([True], "terminal", 2)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["a", 1.0], TypeError, r"labels\[1\] must be text or a whole number; it is 1\.0"),
        ([True, "a"], TypeError, r"labels\[0\] must be text or a whole number; it is True"),
        (["a"], ValueError, "labels must hold 2 labels; it holds 1"),
        ([1, "1"], ValueError, "labels must differ from each other; '1' stands there twice"),
    ],
)
def test_bad_labels_are_refused(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tables.names(labels, "labels", 2)


@given(seeds, st.floats(-500, 500))
def test_softmax_is_a_distribution_and_ignores_a_shift(seed: int, shift: float) -> None:
    theta = np.random.default_rng(seed).normal(scale=5, size=(3, 4))
    p = tables.softmax(theta)
    np.testing.assert_allclose(p, np.exp(theta) / np.exp(theta).sum(axis=1, keepdims=True))
    # theta + shift rounds to about 500 * 1e-16 = 5e-14, and so, relatively, does p
    np.testing.assert_allclose(tables.softmax(theta + shift), p, rtol=1e-12)
    np.testing.assert_allclose(tables.log_softmax(theta), np.log(p), atol=1e-12)


def test_log_softmax_is_finite_where_softmax_underflows() -> None:
    assert tables.softmax([0.0, 1000.0])[0] == 0
    assert tables.log_softmax([0.0, 1000.0])[0] == -1000


def test_entropy_and_kl_by_hand() -> None:
    assert tables.entropy([1.0, 0.0]) == 0
    assert tables.entropy(np.full(8, 1 / 8)) == pytest.approx(3 * np.log(2))
    assert tables.kl([0.5, 0.5, 0.0], [0.25, 0.5, 0.25]) == pytest.approx(0.5 * np.log(2))
    assert tables.kl([0.5, 0.5], [1.0, 0.0]) == np.inf


@given(seeds)
def test_kl_is_positive_and_zero_only_on_itself(seed: int) -> None:
    p, q = np.random.default_rng(seed).dirichlet(np.ones(4), size=2)
    assert tables.kl(p, q) > 0
    assert tables.kl(p, p) == 0


def test_ties_are_relative_to_the_largest() -> None:
    Q = np.array([[0.0, 1e-13, -1.0], [1e6, 1e6 + 1e-7, 0.0], [1.0, 1 + 1e-9, 0.0], [-5, -6, -5]])
    best = [[True, True, False], [True, True, False], [False, True, False], [True, False, True]]
    np.testing.assert_array_equal(tables.best(Q), best)
    np.testing.assert_array_equal(tables.best(1e-9 * Q), best)  # in any unit


@given(seeds, st.floats(0, np.nextafter(1, 0)))
def test_nothing_impossible_is_ever_drawn(seed: int, uniform: float) -> None:
    p = sparse_rows(np.random.default_rng(seed), 20, 6)
    at = tables.draw(p, np.full(20, uniform))
    assert (p[np.arange(20), at] > 0).all()


def test_each_index_is_drawn_on_an_interval_of_its_probability() -> None:
    p = np.array([0.0, 0.2, 0.5, 0.0, 0.3])
    uniform = (np.arange(1000) + 0.5) / 1000
    counts = np.bincount(tables.draw(np.tile(p, (1000, 1)), uniform), minlength=5)
    np.testing.assert_array_equal(counts, 1000 * p)
