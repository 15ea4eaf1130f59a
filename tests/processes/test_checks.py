"""The linter: what a student with a hand-typed matrix is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

from gridrl import MDP, MarkovProcess, RewardProcess, arrive
from gridrl.processes.checks import Finding
from tests.strategies import chains, lottery, mdps

LOOP = [[0.5, 0.5], [0.5, 0.5]]


def said(process: Any) -> list[str]:
    return [str(f) for f in process.check()]


def test_nothing_odd_is_nothing_said() -> None:
    assert said(MarkovProcess(LOOP)) == []
    assert said(RewardProcess(LOOP, [1, 2], 0.9)) == []
    assert said(MDP(np.full((2, 3, 2), 0.5), [1, 2], 0.9)) == []


def test_unreachable_states() -> None:
    P = [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0.5, 0, 0.5], [1, 0, 0, 0]]
    odd = MarkovProcess(P, start=0, labels=list("abcd"))
    assert said(odd)[0] == "unreachable: no path from the start leads to states c, d"
    assert odd.check()[0] == Finding("unreachable", odd.check()[0].message, (2, 3))


def test_absorbing_classes_unless_they_are_terminal() -> None:
    P = [[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]]
    assert said(MarkovProcess(P)) == [
        "absorbing: nobody leaves state 2", "absorbing: nobody leaves state 3",
    ]  # fmt: skip
    ended = MarkovProcess(P, terminal=[False, False, True])
    assert said(ended) == ["absorbing: nobody leaves state 2"]


def test_a_period() -> None:
    assert said(MarkovProcess(np.roll(np.eye(3), 1, axis=1))) == [
        "period: the whole process has period 3: P^n never converges"
    ]
    inside = MarkovProcess([[0.5, 0.5, 0], [0, 0, 1], [0, 1, 0]])
    assert inside.check()[1].states == (1, 2)
    assert said(inside)[1].endswith("period 2: P^n never converges")


def test_what_holds_whatever_one_does() -> None:
    stuck = MDP([[[1, 0], [1, 0]], [[1, 0], [0, 1]]], [0, 0], 0.9)
    assert said(stuck) == ["absorbing: nobody leaves state 1, whatever one does"]
    assert said(MDP([[[0, 1]], [[1, 0]]], [0, 0], 0.9)) == [
        "period: the whole process has period 2: P^n never converges, whatever one does"
    ]


ENDS: dict[str, Any] = {"terminal": [False, True], "start": 0}


@pytest.mark.parametrize(
    "process",
    [
        RewardProcess(LOOP, [0, 3], 0.9, **ENDS),
        RewardProcess(csr_array(LOOP), [0, 3], 0.9, **ENDS),
        RewardProcess(LOOP, lottery([0, 3], np.eye(2)), 0.9, **ENDS),
        MDP(np.full((2, 2, 2), 0.5), [0, 3], 0.9, **ENDS),
        MDP(np.full((2, 2, 2), 0.5), [[0, 0], [0, 3]], 0.9, **ENDS),
    ],
)
def test_a_reward_at_the_end_that_nobody_collects(process: Any) -> None:
    odd = process.check()
    assert [f.kind for f in odd] == ["reward at the end"]
    assert odd[0].states == (1,)
    assert odd[0].message.startswith("terminal state 2 would pay on being left, which nobody does")


def test_a_reward_for_reaching_the_end_is_not_odd() -> None:
    assert said(RewardProcess(LOOP, arrive([0, 3]), 0.9, **ENDS)) == []
    assert said(MDP(np.full((2, 2, 2), 0.5), arrive([0, 3]), 0.9, **ENDS)) == []


def test_a_reward_for_ever() -> None:
    odd = RewardProcess([[0.5, 0.5], [0, 1]], [0, 3], 0.9)
    assert said(odd)[1].startswith("reward for ever: state 2 absorbs and pays at every step")
    pays = MDP([[[0.5, 0.5]] * 2, [[0, 1]] * 2], [[0, 0], [0, 3]], 0.9)
    assert [f.kind for f in pays.check()] == ["absorbing", "reward for ever"]


def test_only_the_first_eight_states_are_written_out() -> None:
    many = MarkovProcess(np.eye(12), start=0)
    assert said(many)[0].endswith("leads to states 2, 3, 4, 5, 6, 7, 8, 9, ...")
    assert len(many.check()[0].states) == 11


@given(chains())
def test_findings_are_about_the_right_states(chain: MarkovProcess) -> None:
    found = {kind: [f.states for f in chain.check() if f.kind == kind] for kind in KINDS}
    assert found["unreachable"] == []  # the start is everywhere
    expected = [c for c in chain.closed_classes() if len(c) < chain.n_states]
    assert found["absorbing"] == expected
    assert bool(found["period"]) == (chain.period() > 1)


KINDS = ("unreachable", "absorbing", "period")


@given(mdps())
def test_dense_and_sparse_are_equally_odd(mdp: MDP) -> None:
    S, A = mdp.R.shape
    sparse = mdp.replace(P=csr_array(np.asarray(mdp.P).reshape(S * A, S)))
    assert said(mdp) == said(sparse)
