"""Scores: exact sums give the exact reward, noisy ones what least squares gives."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.learning import rollout
from gridrl.planning import expected_return, policy_iteration, uniform_policy
from gridrl.preferences.christiano import learn_from_preferences
from gridrl.preferences.oracles import PreferenceOracle
from gridrl.preferences.scores import ScoreEnsemble, fit_scores
from gridrl.preferences.segments import Comparison, Segment, cut
from gridrl.worlds import penguin_world

ICE = penguin_world()
MDP = ICE.mdp(gamma=0.9)
FISH = np.array([float(tile == "F") for tile in ICE.tiles.ravel()])
ORACLE = PreferenceOracle(FISH)


def clips(length: int, count: int = 200, seed: int = 0) -> list[Segment]:
    walks = rollout(MDP, uniform_policy(MDP), episodes=50, steps=40, rng=seed)
    return cut(walks, length, count=count, rng=seed)


def test_exact_scores_of_odd_and_even_clips_give_the_reward_itself() -> None:
    segments = clips(5) + clips(6)
    found = fit_scores(segments, [ORACLE.value(clip) for clip in segments], (16,))
    assert found.rank == 16
    assert found.reward == pytest.approx(FISH, abs=1e-9)
    assert found.loss < 1e-18


def test_scores_of_even_clips_leave_the_colours_of_the_board_open() -> None:
    # every step changes colour: an even clip sees as many black squares as white ones
    segments = clips(6)
    found = fit_scores(segments, [ORACLE.value(clip) for clip in segments], (16,))
    colour = np.array([(-1.0) ** (s // 4 + s % 4) for s in range(16)])
    assert found.rank == 15
    assert found.reward @ colour == pytest.approx(0, abs=1e-9)
    assert found.reward - FISH == pytest.approx(-colour * (FISH @ colour) / 16, abs=1e-9)


def test_least_squares_solves_the_normal_equations() -> None:
    segments, rng = clips(4, 60), np.random.default_rng(0)
    y, Phi = rng.normal(size=60), np.array([clip.counts((16,)) for clip in segments])
    ridge = fit_scores(segments, y, (16,), l2=0.5)
    exact = np.linalg.solve(Phi.T @ Phi / 60 + 0.5 * np.eye(16), Phi.T @ y / 60)
    assert ridge.reward == pytest.approx(exact)
    assert ridge.loss == pytest.approx(((Phi @ exact - y) ** 2).mean())
    plain = fit_scores(segments, y, (16,))
    assert Phi.T @ (Phi @ plain.reward - y) == pytest.approx(np.zeros(16), abs=1e-9)


def test_rewards_of_states_and_actions() -> None:
    segments = clips(3) + clips(4)
    found = fit_scores(segments, [ORACLE.value(clip) for clip in segments], (16, 4))
    assert found.reward.shape == (16, 4)
    assert found.loss < 1e-18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], (3,)), "segments must hold at least one; there are none"),
        (([Segment([0], [0])], [1.0, 2.0], (3,)), r"scores must have shape \(1,\); it has \(2,\)"),
        (([Segment([4], [0])], [1.0], (3,)), r"must be in 0..2; it is 4"),
        (([Segment([0], [0])], [1.0], (3, 2, 2)), "shape must be"),
    ],
)
def test_bad_scores_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_scores(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="l2 must be"):
        fit_scores([Segment([0], [0])], [1.0], (3,), l2=-1)


def votes(n: int) -> list[Comparison]:
    segments = clips(5, 2 * n)
    return [Comparison(*pair, "tie") for pair in zip(segments[:n], segments[n:], strict=True)]


def test_the_ensemble_scores_the_first_clip_of_a_pair_once() -> None:
    seen: list[Segment] = []

    def value(clip: Segment) -> float:
        seen.append(clip)
        return ORACLE.value(clip)

    asked = votes(80)
    model = ScoreEnsemble((16,), value, rng=0).fit(asked)
    model.fit(asked)
    assert {clip.key for clip in seen} == {vote.first.key for vote in asked}
    assert len(seen) == len({clip.key for clip in seen})


def test_members_are_normalised_and_keep_their_draws() -> None:
    asked = votes(80)
    model = ScoreEnsemble((16,), ORACLE.value, members=4, rng=0).fit(asked)
    assert model.members.mean(axis=1) == pytest.approx(np.zeros(4), abs=1e-9)
    assert model.members.std(axis=1) == pytest.approx(np.ones(4))
    assert model.reward == pytest.approx(model.members.mean(axis=0))
    assert (model.spread > 0).any()
    fewer = ScoreEnsemble((16,), ORACLE.value, members=4, rng=0).fit(asked[:40])
    again = ScoreEnsemble((16,), ORACLE.value, members=4, rng=0).fit(asked).fit(asked[:40])
    assert (fewer.raw == again.raw).all()


def test_predictions_are_those_of_the_members() -> None:
    model = ScoreEnsemble((16,), ORACLE.value, rng=0).fit(votes(80))
    first, second = clips(5, 2, seed=1)
    delta = model.raw @ (first.counts((16,)) - second.counts((16,)))
    assert model.predictions([(first, second)])[:, 0] == pytest.approx(1 / (1 + np.exp(-delta)))


def test_a_constant_score_is_no_reward() -> None:
    model = ScoreEnsemble((16,), lambda clip: 0.0, rng=0).fit(votes(10))
    assert (model.reward == 0).all()


def test_bad_ensembles_are_refused() -> None:
    with pytest.raises(ValueError, match="members must be at least 1; it is 0"):
        ScoreEnsemble((16,), ORACLE.value, members=0)
    with pytest.raises(ValueError, match="comparisons must hold at least one; there are none"):
        ScoreEnsemble((16,), ORACLE.value).fit([])
    with pytest.raises(ValueError, match=r"value\(segment\) must be finite"):
        ScoreEnsemble((16,), lambda clip: np.nan).fit(votes(1))


def test_the_loop_learns_from_scores() -> None:
    model = ScoreEnsemble((16,), ORACLE.value, rng=0)
    learned = learn_from_preferences(MDP, ORACLE, queries=100, ensemble=model, rng=0)
    best = float(MDP.start @ policy_iteration(MDP).V)
    assert expected_return(MDP, learned.policy) > 0.98 * best
