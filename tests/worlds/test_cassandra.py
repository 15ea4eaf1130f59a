"""Cassandra's .POMDP files: the field's, and every form of every entry."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import issparse

from gridrl import MDP, POMDP
from gridrl.processes import SparseTransitions
from gridrl.processes.payments import RewardTable
from gridrl.worlds import russell_norvig_4x3, tiger
from gridrl.worlds.cassandra import read_pomdp
from tests.strategies import seeds, sparse_rows
from tests.worlds.pomdp_texts import HEAD, MDP_HEAD, TABLES, assert_same, read, typed

FILES = Path(__file__).parent / "pomdp_files"

# --- files -----------------------------------------------------------------------------------


def test_the_tiger() -> None:
    names = {
        "labels": ["left", "right"],
        "action_labels": ["listen", "open-left", "open-right"],
        "observation_labels": ["growl-left", "growl-right"],
    }
    assert_same(read_pomdp(FILES / "tiger.POMDP"), tiger().replace(**names))


def test_the_shuttle() -> None:
    shuttle = read_pomdp(str(FILES / "shuttle.POMDP"))
    assert repr(shuttle) == "POMDP(8 states, 3 actions, 5 observations, gamma=0.95)"
    assert isinstance(shuttle, POMDP)
    # half a turn brings one from facing a station to one's back to it
    assert shuttle.P[:, 0].argmax(axis=1).tolist() == [1, 4, 5, 6, 1, 2, 3, 1]
    np.testing.assert_array_equal(shuttle.P[3, 2], [0.7, 0, 0, 0.3, 0, 0, 0, 0])
    np.testing.assert_array_equal(shuttle.P[7, 2], np.eye(8)[7])
    np.testing.assert_array_equal(shuttle.start, np.eye(8)[7])
    np.testing.assert_array_equal(shuttle.O, np.tile(shuttle.O[0], (3, 1, 1)))
    np.testing.assert_array_equal(shuttle.O[1, 2], [0, 0.7, 0, 0.3, 0])
    paid = np.zeros((8, 3))
    paid[[1, 6], 1], paid[3, 2] = -3, 0.7 * 10
    np.testing.assert_allclose(shuttle.R, paid, rtol=1e-15)


def test_a_file_without_observations_is_an_mdp() -> None:
    machine = read_pomdp(FILES / "machine.MDP")
    assert isinstance(machine, MDP)
    assert (machine.labels, machine.action_labels) == (("works", "broken"), ("run", "repair"))
    np.testing.assert_array_equal(machine.P, [[[0.8, 0.2], [1, 0]], [[0, 1], [1, 0]]])
    np.testing.assert_allclose(machine.R, np.array([[0.8 * 5 + 0.2 * 1, -2], [0, -3]]), rtol=1e-15)
    np.testing.assert_array_equal(machine.start, [1, 0])


def test_a_maze_that_pays_by_what_is_seen(tmp_path: Path) -> None:
    maze = russell_norvig_4x3(reward_on="arrive").mdp(gamma=0.95)
    paid = np.full(11, -0.04)
    paid[[3, 6]] = 1, -1
    seen = np.where(paid == 1, "good", np.where(paid == -1, "bad", "nothing"))
    lines = [f"T: {a} : {s} : {t} {maze.P[s, a, t]}" for s, a, t in np.argwhere(np.array(maze.P))]
    lines += [f"O: * : {s} : {o} 1.0" for s, o in enumerate(seen)]
    text = "\n".join([*lines, "R: * : * : * : nothing -0.04", "R: * : * : * : good 1.0"])
    head = "states: 11 actions: 4 observations: nothing good bad discount: 0.95 values: reward\n"
    start = "start: " + " ".join(["0.111111"] * 3 + ["0.0"] + ["0.111111"] * 2 + ["0.0"])
    start += " 0.111111" * 4 + "\n"  # nine of eleven squares, rounded: the sum is 0.999999
    found = read(tmp_path, f"{head}{start}{text}\nR: * : * : * : bad -1.0")
    np.testing.assert_allclose(found.R, maze.P @ paid, rtol=1e-13)
    np.testing.assert_allclose(found.start, np.where(np.isin(range(11), [3, 6]), 0, 1 / 9))
    assert found.start.sum() == pytest.approx(1, abs=1e-15)


@given(seeds)
@settings(max_examples=40)
def test_rewards_are_folded_over_observations(tmp_path_factory: Any, seed: int) -> None:
    text, P, O, R, start = typed(np.random.default_rng(seed))  # noqa: E741
    found = read(tmp_path_factory.mktemp("typed"), text)
    np.testing.assert_array_equal(found.start, start)
    np.testing.assert_allclose(found.P, P.transpose(1, 0, 2), rtol=1e-15)
    np.testing.assert_allclose(found.O, O, rtol=1e-15)
    expected = np.einsum("ast,ato,asto->sa", P, O, R)
    np.testing.assert_allclose(found.R, expected, rtol=1e-12, atol=1e-12)
    steps = np.where(P > 0, np.einsum("ato,asto->ast", O, R), 0).transpose(1, 0, 2)
    paid = found.mdp.payment.values  # what simulation draws
    paid = paid[:, :, None] * (found.P > 0) if paid.ndim == 2 else paid
    np.testing.assert_allclose(paid, steps, rtol=1e-12, atol=1e-12)


# --- forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ("T: y : b : * 0.0  T: y : b : c 1.0", [0, 0, 1]),
        ("T:y:b:* 0 T:y:b:c 1", [0, 0, 1]),
        ("T : 1 : 1 :\n*\n0\n\nT:\ny\n: b : 2\n+1.", [0, 0, 1]),
        ("T: y : * : * 0.0\nT: 1 : * : 0 1.0", [1, 0, 0]),
        ("T: y : b 0.2 0.3 0.5", [0.2, 0.3, 0.5]),
        ("T: * : b\n2e-1 .3\n5E-1", [0.2, 0.3, 0.5]),
        ("T: y : b 1 0 0\nT: y : b\nuniform", [1 / 3, 1 / 3, 1 / 3]),
        ("T: y : b reset", [0.25, 0.25, 0.5]),
        ("T: *\nreset", [0.25, 0.25, 0.5]),
        ("T: 01\nIdentity", [0, 1, 0]),
        ("T: y\n1 0 0 0 0 1\n0 1 0", [0, 0, 1]),
        ("T: y : b 1 0 0\nT: *\nidentity", [0, 1, 0]),  # what is said last counts
        ("T: y identity\nT: y : b : b 0.5\nT: y : b : a 0.5", [0.5, 0.5, 0]),
        ("T: y : b : a 1.0 T: y : b : b 0.0 T: y : b : c 0.0", [1, 0, 0]),
    ],
)
def test_transitions_in_every_form(tmp_path: Path, said: str, row: list[float]) -> None:
    start = "start: 0.25 0.25 0.5\n"
    for text in (said, said.replace("\n", "\r\n"), said.replace("\n", "  # T: y : b 0 0 1\n")):
        found = read(tmp_path, HEAD + TABLES + text + "\n" + start)  # the start may come last
        np.testing.assert_allclose(found.P[1, 1], row, rtol=1e-15)
    np.testing.assert_array_equal(found.start, [0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ("O: y : b : o 0.3\nO: y : b : p 0.7", [0.3, 0.7]),
        ("O: * : * : 0 0.3\nO: * : * : 1 0.7", [0.3, 0.7]),
        ("O: y : b : * 0.0\nO: y : b : p 1", [0, 1]),
        ("O: y : b 1 0", [1, 0]),
        ("O: y\n0.5 0.5 0.2 0.8 1 0", [0.2, 0.8]),
        ("O: * : b 1 0 O: y\nuniform", [0.5, 0.5]),
    ],
)
def test_observations_in_every_form(tmp_path: Path, said: str, row: list[float]) -> None:
    found = read(tmp_path, HEAD + TABLES + said)
    np.testing.assert_allclose(found.O[1, 1], row, rtol=1e-15)


def test_what_is_seen_may_be_the_state(tmp_path: Path) -> None:
    head = HEAD.replace("observations: o p", "observations: 3")
    found = read(tmp_path, head + "T: *\nuniform\nO: *\nidentity")
    np.testing.assert_array_equal(found.O, np.tile(np.eye(3), (2, 1, 1)))


@pytest.mark.parametrize(
    ("said", "reward"),  # R(b, y), where O(o|c) = 1/4 and all else is uniform
    [
        ("", 0),
        ("R: y : b : * : * 3", 3),
        ("R: * : * : * : * - 3.0", -3),
        ("R: 1 : b : c : * 3", 1),
        ("R: y : b : c : p 4", 1),
        ("R: y : b : * : o 1", (0.5 + 0.5 + 0.25) / 3),
        ("R: y : b : c\n-8 4", 1 / 3),
        ("R: y : b\n3 3\n0 0\n-8 4", 4 / 3),
        ("R: y : b\n3 3 0 0 -8 4 R: * : * : c : * 6", 3),
        ("R: * : * : c : * 6 R: y : b : * : * 2", 2),
        ("R: y : * : * : * 2\nR: * : b : a : * 5", 3),
        ("R: y : a : * : * 2\nR: x : b : * : * 2", 0),
        ("R: y : b : * : * 2\nR: y : b : * : * 0", 0),
    ],
)
def test_rewards_in_every_form(tmp_path: Path, said: str, reward: float) -> None:
    text = HEAD + TABLES + "O: y : c 0.25 0.75\n" + said
    assert read(tmp_path, text).R[1, 1] == pytest.approx(reward, rel=1e-14)
    cost = read(tmp_path, text.replace("values: reward", "values: cost"))
    assert cost.R[1, 1] == pytest.approx(-reward, rel=1e-14)
    assert not np.signbit(cost.R[cost.R == 0]).any()  # a cost of 0 is 0, not -0


def test_rewards_that_depend_on_nothing_else_are_a_table_of_pairs(tmp_path: Path) -> None:
    text = HEAD + TABLES + "O: * : * : o 0.1\nO: * : * : p 0.9\nR: x : * : * : * -0.3\n"
    found = read(tmp_path, text + "R: y : a : * : o 1.0\nR: y : a : * : p 1.0")
    assert found.mdp.payment.values.shape == (3, 2)
    np.testing.assert_array_equal(found.R, [[-0.3, 1], [-0.3, 0], [-0.3, 0]])  # exactly


@pytest.mark.parametrize(
    ("said", "start"),
    [
        ("", [1 / 3, 1 / 3, 1 / 3]),
        ("start: uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("start:\n0.5 0.25 2.5e-1", [0.5, 0.25, 0.25]),
        ("start: b", [0, 1, 0]),
        ("start : 1", [0, 1, 0]),
        ("start include: a c", [0.5, 0, 0.5]),
        ("start include : c", [0, 0, 1]),
        ("Start Include: * a", [1 / 3, 1 / 3, 1 / 3]),
        ("start exclude: 0", [0, 0.5, 0.5]),
        ("start\nexclude: a\n1", [0, 0, 1]),
    ],
)
def test_the_start_in_every_form(tmp_path: Path, said: str, start: list[float]) -> None:
    for head in (HEAD, MDP_HEAD):
        tables = TABLES if head is HEAD else TABLES[: TABLES.index("O")]
        np.testing.assert_array_equal(read(tmp_path, head + said + "\n" + tables).start, start)


@pytest.mark.parametrize(("said", "sees"), [("0", 1), ("1", 1), ("1.0", 1), ("only", 1)])
def test_the_start_where_there_is_one_state(tmp_path: Path, said: str, sees: float) -> None:
    head = f"discount: 1 values: reward states: only actions: 1 start: {said} "
    assert read(tmp_path, head + "T: 0 identity").start.tolist() == [sees]


def test_names_and_numbers(tmp_path: Path) -> None:
    head = HEAD.replace("states: a b c", "states: 3").replace("actions: x y", "ACTIONS: Up-2 T_1")
    found = read(tmp_path, head.replace("o p", "\nstarting 9-lives\n# no: comment") + TABLES)
    assert found.labels == ("0", "1", "2")
    assert found.action_labels == ("Up-2", "T_1")
    assert found.observation_labels == ("starting", "9-lives")
    head = HEAD.replace("states: a b c", "states: Start reSet STATES")
    found = read(tmp_path, head + TABLES + "T: x : Start : * 0\nT: x : Start : STATES 1")
    assert found.P[0, 0].tolist() == [0, 0, 1]


def test_the_preamble_in_any_order_and_place(tmp_path: Path) -> None:
    lines = [*HEAD.splitlines(), "T: *\nuniform", "O: *\nuniform", "R: x : a : * : * 1"]
    for k in range(len(lines)):
        found = read(tmp_path, "\ufeff# café\n" + "\n".join(lines[k:] + lines[:k]))
        assert_same(found, read(tmp_path, "\n".join(lines)))
    assert read(tmp_path, "\n".join(lines).replace("0.9", "1.0")).gamma == 1


def test_a_reward_of_an_mdp_may_leave_out_its_observation_or_not(tmp_path: Path) -> None:
    text = MDP_HEAD + "T: *\nuniform\n"
    short = read(tmp_path, text + "R: x : a : b 3\nR: y : c\n1 2 3")
    long = read(tmp_path, text + "R: x : a : b : * 3\nR: y : c\n1 2 3")
    np.testing.assert_array_equal(short.R, long.R)
    np.testing.assert_allclose(short.R, [[1, 0], [0, 0], [0, 2]], rtol=1e-15)


def test_a_wildcard_may_touch_its_number(tmp_path: Path) -> None:
    text = HEAD + "T: *\nuniform\nO: *\nuniform\n"
    apart = read(tmp_path, text + "R: x : a : * : * 1")
    assert_same(read(tmp_path, text + "R:x:a:*:*1"), apart)
    assert_same(read(tmp_path, text + "R: x : a :* :*1"), apart)


def test_a_stranger_after_a_word_is_named(tmp_path: Path) -> None:
    text = HEAD + "T: *\nuniform\nO: *\nuniform\n"
    line = text.count("\n") + 1
    with pytest.raises(ValueError, match=rf"line {line}: 'Q' is no word of the format"):
        read(tmp_path, text + "Q: x : a")
    with pytest.raises(ValueError, match=r"'O' wants nothing more after 'uniform'; found '0.5'"):
        read(tmp_path, text + "0.5")
    with pytest.raises(ValueError, match=r"'start' must sum to 1 .* to 0.99 \(printed with"):
        read(tmp_path, text + "start: 0.33 0.33 0.33")


# --- rounding and size -----------------------------------------------------------------------


def test_rounded_rows_are_divided_by_their_sum_and_no_others(tmp_path: Path) -> None:
    text = HEAD + TABLES + "T: x : a 0.333333 0.333333 0.333333\nT: x : b 0.1 0.2 0.7"
    found = read(tmp_path, text)
    np.testing.assert_allclose(found.P[0, 0], 1 / 3, rtol=1e-15)
    np.testing.assert_array_equal(found.P[1, 0], [0.1, 0.2, 0.7])
    rule = r"file.POMDP, line 10: 'T: x : a' must sum to 1 within 0; it sums to 0.999999 "
    with pytest.raises(ValueError, match=rule):
        read(tmp_path, text, tol=0)
    with pytest.raises(ValueError, match=r"must sum to 1 within 1e-05; it sums to 0\.99 "):
        read(tmp_path, text.replace("0.333333", "0.33"))
    np.testing.assert_allclose(
        read(tmp_path, text.replace("0.333333", "0.33"), tol=0.02).P[0, 0], 1 / 3
    )


def test_a_hallway_printed_to_six_digits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    S, A, Z = 60, 5, 21
    P, O = sparse_rows(rng, S, A, S), sparse_rows(rng, S, Z)  # noqa: E741
    lines = [f"discount: 0.95 values: reward states: {S} actions: {A} observations: {Z}"]
    lines += [f"T: {a} : {s} : {t} {P[s, a, t]:.6f}" for s, a, t in np.argwhere(P > 0)]
    lines += [f"O: * : {s} : {o} {O[s, o]:.6f}" for s, o in np.argwhere(O > 0)]
    found = read(tmp_path, "\n".join([*lines, "R: * : * : 56 : * 1.000000"]), tol=1e-4)
    assert isinstance(found.P, np.ndarray)
    np.testing.assert_allclose(found.P, P, atol=2e-6)  # 5e-7 a digit, and the sum of those
    np.testing.assert_allclose(found.O, np.tile(O, (A, 1, 1)), atol=2e-6)
    np.testing.assert_allclose(found.P.sum(axis=2), 1, rtol=1e-12)
    np.testing.assert_allclose(found.R, found.P[:, :, 56], rtol=1e-15)


def test_a_large_file_is_never_a_dense_table(tmp_path: Path) -> None:
    S, A = 3000, 3  # dense: 216 MB
    rng = np.random.default_rng(1)
    to = (np.arange(S)[:, None] + rng.integers(1, S, size=(S, A))) % S  # or, as often, one stays
    lines = [f"discount: 0.95 values: reward states: {S} actions: {A} observations: 2"]
    lines += ["T: * : * : * 0", "O: *", "uniform", "R: * : * : * : * -1", "R: * : * : 7 : * 5"]
    lines += [f"T: * : {s} : {s} 0.5" for s in range(S)]
    lines += [f"T: {a} : {s} : {to[s, a]} 0.5" for s in range(S) for a in range(A)]
    (tmp_path / "large.POMDP").write_text("\n".join(lines))
    tracemalloc.start()
    found = read_pomdp(tmp_path / "large.POMDP")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < S * A * S * 8 / 4
    assert isinstance(found, POMDP)
    assert isinstance(found.P, SparseTransitions)
    assert isinstance(found.mdp.payment, RewardTable)
    assert issparse(found.mdp.payment.values)
    s, a = np.divmod(np.arange(S * A), A)
    np.testing.assert_array_equal(found.P[s, a, s], 0.5)
    np.testing.assert_array_equal(found.P[s, a, to[s, a]], 0.5)
    arriving = np.where(np.stack([to.ravel(), s]) == 7, 5, -1)
    np.testing.assert_array_equal(found.R.ravel(), arriving.mean(axis=0))
