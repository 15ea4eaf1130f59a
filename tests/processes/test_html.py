"""Rich representations: static, escaped, headed as on the slide."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from gridrl import MDP, POMDP, MarkovProcess, RewardProcess
from gridrl.processes.html import html_table, number

EVIL = ["<script>alert(1)</script>", "a & b", '"c"']
CHAIN = [[0, 1 / 3, 2 / 3], [0, 1, 0], [1, 0, 0]]
DECISIONS = np.array(CHAIN)[:, None].repeat(3, axis=1)
BEHIND = MDP(DECISIONS, [1, 2, 3], 0.9, labels=EVIL, action_labels=EVIL)

PROCESSES = {
    "chain": MarkovProcess(CHAIN, labels=EVIL),
    "sparse chain": MarkovProcess(csr_array(CHAIN), labels=EVIL),
    "rewards": RewardProcess(CHAIN, [1, 2, 3], 0.9, labels=EVIL),
    "decisions": BEHIND,
    "sparse decisions": BEHIND.replace(P=csr_array(DECISIONS.reshape(9, 3))),
    "partial": POMDP(BEHIND, np.eye(3), observation_labels=EVIL),
    "partial by action": POMDP(BEHIND, np.stack([np.eye(3)] * 3), observation_labels=EVIL),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_static_and_escaped(name: str) -> None:
    html = PROCESSES[name]._repr_html_()  # type: ignore[attr-defined]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "a &amp; b" in html
    assert "<script" not in html
    assert not re.search(r"\bon\w+=|javascript:|<img|<link|<iframe|https?:", html)
    for tag in ("table", "tr", "td", "th", "p", "details", "summary", "sub"):
        opened = len(re.findall(rf"<{tag}[ >]", html))
        assert opened == html.count(f"</{tag}>")


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_the_table_is_laid_out_as_on_the_slide() -> None:
    table = cells(MarkovProcess(CHAIN)._repr_html_())
    assert table == [
        [r"s<sub>t+1</sub> \ s<sub>t</sub>", "1", "2", "3"],
        ["1", "0", "0", "1"],
        ["2", "0.3333", "1", "0"],
        ["3", "0.6667", "0", "0"],
    ]


def test_a_label_does_not_become_the_heading() -> None:
    table = cells(MarkovProcess(np.eye(2), labels=["CORNER", "b"])._repr_html_())
    assert table[0] == [r"s<sub>t+1</sub> \ s<sub>t</sub>", "CORNER", "b"]


def test_rewards_stand_beside_their_states() -> None:
    table = cells(RewardProcess(np.eye(2), [1, -2.5], 0.9)._repr_html_())
    assert table[-3:] == [["s", "R(s)"], ["1", "1"], ["2", "-2.5"]]
    table = cells(MDP(np.eye(2)[:, None], [1, -2.5], 0.9, action_labels=["up"])._repr_html_())
    assert table[-3:] == [["R(s, a)", "up"], ["1", "1"], ["2", "-2.5"]]
    assert table[0][0] == r"s&#x27; \ s"


def test_every_action_has_its_table() -> None:
    P = np.stack([np.eye(2), np.eye(2)[::-1]], axis=1)
    table = cells(MDP(P, [0, 0], 0.9)._repr_html_())
    assert table[1:3] == [["1", "1", "0"], ["2", "0", "1"]]
    assert table[4:6] == [["1", "0", "1"], ["2", "1", "0"]]


def test_a_long_table_is_cut_and_says_so() -> None:
    html = MarkovProcess(np.eye(50))._repr_html_()
    assert "the first 40 x 40 of 50 x 50" in html
    assert len(cells(html)) == 41
    assert "the first" not in MarkovProcess(np.eye(40))._repr_html_()


def test_numbers_are_short() -> None:
    assert [number(x) for x in (0.1, -0.0, 1e-9, 1234567, 100)] == [
        "0.1", "0", "1e-09", "1.235e+06", "100",
    ]  # fmt: skip


def test_zero_and_positive_cells_are_told_apart() -> None:
    shaded: Any = html_table("x", ["a", "b"], ["c"], np.array([[0.0, 1.0]]), shade=True)
    assert shaded.count("opacity:0.4") == 1
    assert shaded.count("background:rgba(0,114,178,0.50)") == 1
