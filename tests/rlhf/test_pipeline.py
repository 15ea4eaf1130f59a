"""The table of methods: exact sums hold in every row, and the optimum is the optimum."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from gridrl.rlhf import pipeline, word_world
from gridrl.rlhf.pipeline import ask, begin, compare, methods
from gridrl.rlhf.rows import Row

STORY = word_world(length=3)
BETA = 0.5


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in compare(STORY, votes=300, runs=2, beta=BETA)}


def test_the_rows_are_the_lectures(rows: dict[str, Row]) -> None:
    assert list(rows) == [
        "pretrained", "SFT", "best of 8", "rejection sampling", "REINFORCE", "PPO", "GRPO", "DPO",
        "IPO", "KTO", "Nash-MD", "optimum",
    ]  # fmt: skip
    assert rows["pretrained"].labels == 0
    assert rows["SFT"].labels == len(STORY.demonstrations)
    assert rows["PPO"].labels == 300 + len(STORY.demonstrations)


def test_j_is_reward_less_kl_and_the_gap_is_to_the_optimum(rows: dict[str, Row]) -> None:
    best = rows["optimum"].means["J"]
    for row in rows.values():
        m = row.means
        assert abs(m["J"] - (m["gold"] - BETA * m["KL"])) < 1e-9, row
        assert abs(m["J"] + m["gap"] - best) < 1e-9, row
        assert m["gap"] > -1e-12
    assert rows["optimum"].means["gap"] < 1e-12


def test_the_reference_is_nobody_s_enemy(rows: dict[str, Row]) -> None:
    sft = rows["SFT"].means
    assert abs(sft["KL"]) < 1e-12
    assert abs(sft["wins"] - 0.5) < 1e-12
    assert rows["pretrained"].means["J"] < sft["J"]


def test_what_was_asked_helps(rows: dict[str, Row]) -> None:
    sft = rows["SFT"].means
    for name in ("best of 8", "rejection sampling", "REINFORCE", "PPO", "GRPO", "KTO", "Nash-MD"):
        assert rows[name].means["gold"] > sft["gold"] + 0.1, name
        assert rows[name].means["wins"] > 0.52, name
    assert rows["PPO"].means["gap"] < 0.5 * sft["gap"]


def test_a_seed_is_a_story() -> None:
    begun = begin(STORY, beta=BETA)
    one, again, other = (ask(begun, 100, np.random.default_rng(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.reward, again.reward)
    assert (one.reward != other.reward).any()
    for name in ("rejection sampling", "PPO", "KTO"):
        method = methods(begun)[name]
        both = method(begun, [one, other], 0)
        np.testing.assert_allclose(both[:1], method(begun, [again], 0), rtol=1e-9)
        assert np.abs(both[0] - both[1]).max() > 1e-3


def test_every_answer_can_be_written() -> None:
    begun = begin(STORY)
    assert np.isfinite(begun.reference.log_probs).all()
    assert np.isfinite(begun.pretrained.log_probs).all()


def test_nash_is_left_out_where_its_table_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "LARGEST", 1)
    names = [row.name for row in compare(STORY, votes=50, runs=1)]
    assert "Nash-MD" not in names
    assert "KTO" in names


def test_a_seed_of_seeds_gives_the_same_rows() -> None:
    one, again, other = (compare(STORY, votes=50, runs=1, rng=seed) for seed in (3, 3, 4))
    for mine, same, different in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(mine.probs, same.probs)
        if mine.name in ("PPO", "DPO", "rejection sampling", "Nash-MD"):
            assert (mine.probs != different.probs).any()


def test_the_rows_print_as_a_table() -> None:
    rows = compare(STORY, votes=50, runs=1)
    lines = repr(rows).splitlines()
    assert lines[0].split() == ["method", "J", "±", "sd", "gap", "KL", "gold", "wins", "length",
                                "labels", "seconds"]  # fmt: skip
    assert [line.split("  ")[0] for line in lines[1:]] == [row.name for row in rows]
    assert len({len(line) for line in lines}) == 1
    html = rows._repr_html_()
    assert html.count("<tr>") == len(rows) + 1
    assert f"{rows[-1].means['J']:.3f} ± 0.000" in html
    assert repr(pickle.loads(pickle.dumps(rows))) == repr(rows)
