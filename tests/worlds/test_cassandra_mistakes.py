"""Malformed .POMDP files: the line is named, and the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl.worlds import cassandra_tables, student
from gridrl.worlds.cassandra import read_pomdp
from gridrl.worlds.cassandra_writer import write_pomdp
from tests.worlds.pomdp_texts import HEAD, MDP_HEAD, TABLES, read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file.POMDP: the statement 'states' is missing"),
        ("# nothing", "file.POMDP: the statement 'states' is missing"),
        (HEAD.replace("discount: 0.9\n", ""), "file.POMDP: the statement 'discount' is missing"),
        (HEAD.replace("values: reward\n", ""), "file.POMDP: the statement 'values' is missing"),
        (HEAD.replace("actions: x y\n", ""), "file.POMDP: the statement 'actions' is missing"),
        ("\npomdp\n" + HEAD, "line 2: a file begins with one of discount, .*; found 'pomdp'"),
        (HEAD + "states: 3", "line 6: 'states' stands here a second time; first on line 3"),
        (HEAD + "start: a\nstart include: b", "line 7: the start is given a second time"),
        (HEAD + "start: a\nstart: b", "line 7: 'start' stands here a second time; first on"),
        (HEAD.replace("0.9", "1.5"), "line 1: 'discount' wants a number from 0 to 1; found '1.5'"),
        (HEAD.replace("0.9", "-1"), "line 1: 'discount' wants a number from 0 to 1; found '-1'"),
        (HEAD.replace("0.9", "high"), "line 1: 'discount' wants a number; found 'high'"),
        (HEAD.replace("0.9", "0_9"), "line 1: 'discount' wants a number; found '0_9'"),
        (HEAD.replace("0.9", ""), "line 1: 'discount' wants 1 number; it has 0"),
        (HEAD.replace("0.9", "0.9 0.8"), "line 1: 'discount' wants 1 number; it has 2"),
        (HEAD.replace("reward", "points"), "line 2: 'values' wants reward or cost; found 'points'"),
        (HEAD.replace("reward", ""), "line 2: 'values' wants reward or cost; it has nothing"),
        (HEAD.replace("reward", "cost low"), "line 2: 'values' wants one word; found 'low'"),
        (HEAD.replace("x y", ""), "line 4: 'actions' wants a number or names; it has nothing"),
        (HEAD.replace("x y", "0"), "line 4: 'actions' wants a number from 1 to .*; found '0'"),
        (HEAD.replace("x y", "2.0"), "line 4: 'actions' wants names that are no .*; found '2.0'"),
        (HEAD.replace("x y", "1 2"), "line 4: 'actions' wants names that are no .*; found '1'"),
        (HEAD.replace("x y", "x *"), r"line 4: 'actions' wants names .*; found '\*'"),
        (HEAD.replace("x y", "x\nreset"), "line 5: 'actions' wants names .*; found 'reset'"),
        (HEAD.replace("x y", "x\ny x"), "line 5: 'actions' has 'x' twice"),
        (HEAD + "horizon: 3", "line 6: 'horizon' is no word of the format; there are discount"),
        (HEAD + "start: d", "line 6: 'start': 'd' is no state; there are a, b, c"),
        (HEAD + "start: 3", "line 6: 'start': '3' is no state"),
        (HEAD + "start: *", r"line 6: 'start' wants one state, or 'uniform'; found '\*'"),
        (HEAD + "start:", "line 6: 'start' wants states or probabilities; it has nothing"),
        (HEAD + "start:\na c", "line 7: 'start' wants numbers .*'start include'.*; found 'a'"),
        (HEAD + "start: 0.5 0.5", "line 6: 'start' wants 3 probabilities, one a state; it has 2"),
        (HEAD + "start: 0.5 0.5 0.5", "line 6: 'start' must sum to 1 within 1e-05; it sums to 1.5"),
        (HEAD + "start: 2 -1 0", "line 6: 'start' wants a probability, from 0 to 1; found '2'"),
        (HEAD + "start include: a\nd", "line 7: 'start include': 'd' is no state"),
        (HEAD + "start include:", "line 6: 'start include' wants states or probabilities"),
        (HEAD + "start exclude: a b c", "line 6: 'start exclude' leaves no state"),
        (MDP_HEAD + TABLES, "line 7: 'O' stands in a file without 'observations'"),
    ],
)
def test_a_bad_preamble_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("T: z : a : b 1.0", "line 10: 'T': 'z' is no action; there are x, y"),
        ("T: x :\na : 3 1.0", "line 11: 'T': '3' is no state; there are a, b, c"),
        ("O: x : a : q 1.0", "line 10: 'O': 'q' is no observation; there are o, p"),
        ("T: x : a : b high", "line 10: 'T' wants a number; found 'high'"),
        ("T: x : a : b nan", "line 10: 'T' wants a number; found 'nan'"),
        ("T: x : a : b\n1.5", "line 11: 'T' wants a probability, from 0 to 1; found '1.5'"),
        ("T: x : a 1.2 -0.2 0", "line 10: 'T' wants a probability, from 0 to 1; found '1.2'"),
        ("T: x : a : b", "line 10: 'T' wants 1 probability; it has 0"),
        ("T: x : a : b 0.5 0.5", "line 10: 'T' wants 1 probability; it has 2"),
        ("T: x : a 0.5 0.5", "line 10: 'T' wants 3 probabilities, one a state; it has 2"),
        ("O: x : a 0.5", "line 10: 'O' wants 2 probabilities, one an observation; it has 1"),
        ("T: x 0.5 0.5", "line 10: 'T' wants 9 probabilities, a row a state and a column a state;"),
        ("O: x\n1 0\n1 0", "'O' wants 6 probabilities, .* a column an observation; it has 4"),
        ("T: x : a : b : 0.5", "line 10: 'T' names at most 3 .*no colon stands before the values"),
        ("T: x : a : b :", "line 10: 'T' names at most 3"),
        ("T: x : a :", "line 10: 'T' ends with a colon"),
        ("T:", "line 10: 'T' wants an action; it has nothing"),
        ("T: : a", "line 10: 'T': ':' is no action"),
        ("T: x : a identity", "line 10: 'T' wants a number; found 'identity'"),
        ("O: x\nidentity", "line 11: 'O' wants a number; found 'identity'"),
        ("O: x reset", "line 10: 'O' wants a number; found 'reset'"),
        ("T: x : a : b 1.0\nt: x : b : b 1.0", "line 11: 't' is no word of the format"),
        ("R: x : a : b : q 1", "line 10: 'R': 'q' is no observation"),
        ("R: x : a : b : o 1e999", "line 10: 'R' wants a finite number; found '1e999'"),
        ("R: x : a : b : o one", "line 10: 'R' wants a number; found 'one'"),
        ("R: x : a : b : o 1 2", "line 10: 'R' wants 1 number; it has 2"),
        ("R: x : a : b 1", "line 10: 'R' wants 2 numbers, one for each .* not named; it has 1"),
        ("R: x : a 1 2 3", "line 10: 'R' wants 6 numbers, one for each .* not named; it has 3"),
        ("R: x 1 2 3", "line 10: 'R' must name an action and a state; it names 'R: action'"),
        ("R: x : a : b : o : 1", r"line 10: 'R' names at most 4 \(action, state, state, obs"),
        ("T: x : b : b 0.9", "line 10: 'T: x : b' must sum to 1 within 1e-05; it sums to 1.56"),
        ("T: x : * : * 0", "line 10: 'T: x : a' must sum to 1 within 1e-05; it sums to 0"),
        ("O: y : * : p 0.4\nO: y : c 1 0", "line 10: 'O: y : a' must sum to 1 .*; it sums to 0.9"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, said: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^file\.POMDP, .*" + message):
        read(tmp_path, HEAD + TABLES + said)


def test_rows_that_nothing_is_said_of_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"file\.POMDP: nothing is said of 'T: x : a'"):
        read(tmp_path, HEAD)
    with pytest.raises(ValueError, match=r"file\.POMDP: nothing is said of 'O: x : a'"):
        read(tmp_path, HEAD + "T: *\nuniform")
    with pytest.raises(ValueError, match=r"file\.POMDP: nothing is said of 'O: y : b'"):
        read(tmp_path, HEAD + "T: *\nuniform\nO: *\nuniform".replace("O: *", "O: x")
             + "\nO: y : a 1 0\nO: y : c 1 0")  # fmt: skip


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("{terminal: 2}", "line 1: the note is no JSON"),
        ("[2]", r"line 1: the note must be a JSON object; it is \[2\]"),
        ('{"horizon": 2}', "line 1: the note says 'horizon' of 2, which no note does"),
        ('{"terminal": 2}', "line 1: the note says 'terminal' of 2, which no note does"),
        ('{"terminal": [3]}', r"terminal\[0\] must be in 0..2; it is 3"),
        ('{"labels": ["a b"]}', "labels must hold 3 labels; it holds 1"),
        ('{"seen_at_once": true}', "says 'seen_at_once', but O depends on the action"),
    ],
)
def test_bad_notes_are_refused(tmp_path: Path, note: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, f"# gridrl: {note}\n" + HEAD + TABLES + "O: x : a 1 0")


def test_other_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tol must be in \[0, 1\]; it is -1"):
        read(tmp_path, HEAD + TABLES, tol=-1)
    with pytest.raises(FileNotFoundError):
        read_pomdp(tmp_path / "nowhere.POMDP")
    with pytest.raises(TypeError, match="pomdp must be a POMDP or an MDP; it is a RewardProcess"):
        write_pomdp(student(), tmp_path / "student.POMDP")  # type: ignore[arg-type]
    assert not (tmp_path / "student.POMDP").exists()


def test_tables_that_would_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = HEAD.replace("a b c", "999999").replace("x y", "1000001")
    with pytest.raises(ValueError, match="line 4: 'actions' wants a number from 1 to 1000000"):
        read(tmp_path, head + TABLES)
    head = HEAD.replace("a b c", "5000").replace("x y", "5000")
    with pytest.raises(ValueError, match="'T' has 25000000 rows; at most 20000000 fit"):
        read(tmp_path, head + TABLES)
    head = HEAD.replace("o p", "100000").replace("x y", "100") + "T: *\nuniform"
    with pytest.raises(ValueError, match="'O' has 30000000 entries; at most 20000000 fit"):
        read(tmp_path, head)
    monkeypatch.setattr(cassandra_tables, "LARGEST", 20)
    with pytest.raises(ValueError, match="line 8: 'T' has more than 20 entries by now"):
        read(tmp_path, HEAD + "T: *\nuniform\nT: x\nidentity\n" + TABLES)
    with pytest.raises(ValueError, match="line 8: 'T' has more than 20 entries by now"):
        read(tmp_path, HEAD + "T: *\nuniform\nT: * : * : b 0.5\n" + TABLES)
