"""The simulated human: exact distributions, and samples that follow them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import chi2

from gridrl.preferences.oracles import PreferenceOracle, intransitive_judge, laps, laps_judge
from gridrl.preferences.segments import LABELS, Segment
from gridrl.worlds import GridWorld, penguin_world
from tests.strategies import seeds

R = np.array([0.0, 1.0, 3.0, -2.0])
LOW, HIGH = Segment([0, 1], [0, 1]), Segment([2, 1], [0, 0])  # sums 1 and 4


def clip(rng: np.random.Generator, k: int | None = None) -> Segment:
    k = int(rng.integers(1, 7)) if k is None else k
    s, a, o = (rng.integers(0, n, k) for n in (4, 3, 5))
    return Segment(s, a, o)


def dist(oracle: PreferenceOracle, first: Segment, second: Segment) -> list[float]:
    found = oracle.distribution(first, second)
    assert list(found) == list(LABELS)
    return list(found.values())


def always(p: float) -> Any:
    return lambda first, second: p


# --- the paper's human ------------------------------------------------------------------------


def test_the_larger_sum_is_preferred() -> None:
    oracle = PreferenceOracle(R)
    assert dist(oracle, HIGH, LOW) == [1, 0, 0, 0]
    assert dist(oracle, LOW, HIGH) == [0, 1, 0, 0]
    assert (oracle.probability(HIGH, LOW), oracle.probability(LOW, HIGH)) == (1, 0)
    assert {oracle.label(HIGH, LOW) for _ in range(20)} == {"left"}


def test_equal_sums_are_a_tie_and_rounding_makes_no_preference() -> None:
    tenths = PreferenceOracle([0.1, 0.2, 0.3])
    a, b = Segment([0, 1], [0, 0]), Segment([2], [0])
    assert tenths.value(a) != tenths.value(b)  # 0.30000000000000004
    assert dist(tenths, a, b) == [0, 0, 1, 0]
    assert tenths.probability(a, b) == 0.5
    assert tenths.label(a, b) == "tie"
    tiny = PreferenceOracle([1.0, 1.0 + 1e-10])
    assert tiny.label(Segment([1], [0]), Segment([0], [0])) == "left"
    cancels = PreferenceOracle([1e6, -1e6, 1e-3])  # rounding is relative to what was added up
    assert cancels.label(Segment([0, 1], [0, 0]), Segment([1, 0], [0, 0])) == "tie"
    assert cancels.label(Segment([0, 1, 2], [0] * 3), Segment([1, 0], [0, 0])) == "left"


def test_lengths_may_differ() -> None:
    assert PreferenceOracle(R).label(Segment([1] * 5, [0] * 5), HIGH) == "left"


# --- values -----------------------------------------------------------------------------------


@given(seeds)
def test_values_are_weighted_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, myopia = clip(rng), float(rng.random())
    assert one.observations is not None
    tables: list[tuple[Any, bool, Any]] = [
        (rng.normal(size=4), False, lambda r, t: r[one.states[t]]),
        (rng.normal(size=(4, 3)), False, lambda r, t: r[one.states[t], one.actions[t]]),
        (rng.normal(size=5), True, lambda r, t: r[one.observations[t]]),
        (rng.normal(size=(5, 3)), True, lambda r, t: r[one.observations[t], one.actions[t]]),
    ]
    for r, observed, at in tables:
        k = len(one)
        by_hand = sum(myopia ** (k - 1 - t) * at(r, t) for t in range(k))
        oracle = PreferenceOracle(r, myopia=myopia, observed=observed)
        assert oracle.value(one) == pytest.approx(by_hand, abs=1e-12)
        plain = PreferenceOracle(r, observed=observed)
        counted = (one.counts(r.shape, observed=observed) * r).sum()
        assert plain.value(one) == pytest.approx(counted, abs=1e-12)


def test_the_myopic_see_the_end() -> None:
    early, late = Segment([2, 0, 0], [0] * 3), Segment([0, 0, 1], [0] * 3)
    assert PreferenceOracle(R).label(early, late) == "left"
    assert PreferenceOracle(R, myopia=0.5).value(early) == 0.75
    assert PreferenceOracle(R, myopia=0.5).label(early, late) == "right"
    assert PreferenceOracle(R, myopia=0).value(late) == 1


# --- the options, exactly ---------------------------------------------------------------------


def test_boltzmann() -> None:
    assert dist(PreferenceOracle(R, beta=0.5), HIGH, LOW) == pytest.approx(
        [expit(1.5), expit(-1.5), 0, 0], abs=1e-15
    )
    assert dist(PreferenceOracle(R, beta=0.5), LOW, LOW) == [0.5, 0.5, 0, 0]  # a coin, no tie
    assert dist(PreferenceOracle(R, beta=0), HIGH, LOW) == [0.5, 0.5, 0, 0]
    assert dist(PreferenceOracle(1e6 * R, beta=1e6), HIGH, LOW) == [1, 0, 0, 0]  # no overflow


def test_a_tenth_of_the_answers_are_chance() -> None:
    assert dist(PreferenceOracle(R, error=0.1), HIGH, LOW) == pytest.approx([0.95, 0.05, 0, 0])
    assert dist(PreferenceOracle(R, error=0.1), LOW, LOW) == pytest.approx([0.05, 0.05, 0.9, 0])
    mixed = PreferenceOracle(R, beta=1, error=0.1)
    assert mixed.probability(HIGH, LOW) == pytest.approx(0.9 * expit(3) + 0.05, abs=1e-15)
    # the paper's likelihood: between 0.0513 and 2.9957 nats
    far = PreferenceOracle(R, beta=1000, error=0.1).probability(HIGH, LOW)
    assert -np.log([far, 1 - far]) == pytest.approx([0.0513, 2.9957], abs=1e-4)


def test_small_differences_are_ties() -> None:
    assert dist(PreferenceOracle(R, tie=3.1), HIGH, LOW) == [0, 0, 1, 0]
    assert dist(PreferenceOracle(R, tie=3.0), HIGH, LOW) == [1, 0, 0, 0]  # below, not at
    assert dist(PreferenceOracle(R, tie=3.1, beta=1), LOW, HIGH) == [0, 0, 1, 0]


def test_clips_in_which_nothing_happens_are_skipped() -> None:
    nothing, pain = Segment([0, 0], [0, 0]), Segment([3], [0])
    oracle = PreferenceOracle(R, skip=1.5)
    assert dist(oracle, nothing, LOW) == [0, 0, 0, 1]
    assert dist(oracle, nothing, HIGH) == [0, 1, 0, 0]
    assert dist(oracle, nothing, pain) == [1, 0, 0, 0]  # what is bad is seen as well
    assert dist(PreferenceOracle(R), nothing, nothing) == [0, 0, 1, 0]
    assert oracle.probability(nothing, LOW) == 0.5
    assert dist(PreferenceOracle(R, skip=1.5, tie=9), nothing, LOW) == [0, 0, 0, 1]
    some = PreferenceOracle(R, skip=1.5, error=0.2)
    assert dist(some, nothing, LOW) == pytest.approx([0.1, 0.1, 0, 0.8])
    assert some.probability(nothing, LOW) == pytest.approx(0.5)


def test_some_pairs_are_always_judged_the_wrong_way_round() -> None:
    rng = np.random.default_rng(0)
    pairs = [(clip(rng, 5), clip(rng, 5)) for _ in range(2000)]
    wrong: dict[float, set[int]] = {}
    for share in (0.1, 0.3):
        oracle, clean = PreferenceOracle(R, mistake=share), PreferenceOracle(R)
        answers = [(oracle.label(*pair), clean.label(*pair)) for pair in pairs]
        decided = [i for i, pair in enumerate(answers) if pair[1] != "tie"]
        wrong[share] = {i for i in decided if answers[i][0] != answers[i][1]}
        assert all(a == "tie" for a, b in answers if b == "tie")
        n = len(decided)
        # a binomial share; 5 deviations: 6e-7
        assert abs(len(wrong[share]) / n - share) < 5 * np.sqrt(share * (1 - share) / n)
        again = [oracle.label(*pair) for pair in pairs]
        assert again == [a for a, _ in answers]
        swapped = [oracle.probability(b, a) for a, b in pairs]
        assert swapped == [1 - oracle.probability(*pair) for pair in pairs]
    assert wrong[0.1] < wrong[0.3]
    i = min(wrong[0.1])
    flipped = PreferenceOracle(R, mistake=0.1, beta=0.7, error=0.2)
    right = PreferenceOracle(R, beta=0.7, error=0.2)
    assert flipped.probability(*pairs[i]) == pytest.approx(1 - right.probability(*pairs[i]))
    assert PreferenceOracle(R, mistake=1).label(HIGH, LOW) == "right"


OPTIONS = {
    "beta": st.none() | st.floats(0, 50), "error": st.floats(0, 1), "tie": st.floats(0, 3),
    "skip": st.floats(0, 3), "myopia": st.floats(0, 1), "mistake": st.floats(0, 1),
}  # fmt: skip


@given(seed=seeds, options=st.fixed_dictionaries(OPTIONS))
def test_swapping_the_sides_swaps_the_answer(seed: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    first, second = clip(rng), clip(rng)
    oracle = PreferenceOracle(rng.integers(-2, 3, (4, 3)) / 4, **options)
    left, right, tie, skip = dist(oracle, first, second)
    assert min(left, right, tie, skip) >= 0
    assert left + right + tie + skip == pytest.approx(1, abs=1e-12)
    assert dist(oracle, second, first) == pytest.approx([right, left, tie, skip], abs=1e-12)
    there, back = oracle.probability(first, second), oracle.probability(second, first)
    assert there + back == pytest.approx(1, abs=1e-9)
    assert oracle.probability(first, first) == pytest.approx(0.5, abs=1e-9)


@given(seed=seeds, shift=st.floats(-5, 5))
def test_a_constant_changes_nothing_between_equal_lengths(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    first, second, r = clip(rng, 4), clip(rng, 4), rng.normal(size=4)
    a, b = (PreferenceOracle(r + c, beta=2).probability(first, second) for c in (0, shift))
    assert a == pytest.approx(b, abs=1e-9)


@given(seed=seeds, beta=st.floats(0.1, 5))
def test_the_more_rational_the_nearer_the_paper(seed: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    first, second, r = clip(rng), clip(rng), rng.normal(size=4)
    certain = PreferenceOracle(r).probability(first, second)
    near, nearer = (
        abs(PreferenceOracle(r, beta=x).probability(first, second) - certain)
        for x in (beta, 2 * beta)
    )
    assert nearer <= near + 1e-12


# --- samples ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"beta": 0.3}, {"error": 0.4}, {"beta": 0.3, "error": 0.1}, {"tie": 9, "error": 0.3},
     {"skip": 9, "error": 0.5}, {"judge": always(0.7)}, {"mistake": 1, "beta": 0.2}],
)  # fmt: skip
def test_labels_follow_the_distribution(options: dict[str, Any]) -> None:
    oracle, rng, n = PreferenceOracle(R, **options), np.random.default_rng(11), 4000
    p = np.array(dist(oracle, HIGH, LOW))
    drawn = [oracle.label(HIGH, LOW, rng) for _ in range(n)]
    seen = np.array([drawn.count(label) for label in LABELS])
    assert (seen[p == 0] == 0).all()
    possible = p > 0
    distance = ((seen - n * p)[possible] ** 2 / (n * p[possible])).sum()
    # Pearson's statistic; false alarm 1e-6 each
    assert distance < chi2.isf(1e-6, possible.sum() - 1)


def test_one_uniform_a_label_whatever_the_options() -> None:
    settings: list[dict[str, Any]] = [{}, {"beta": 1.0}, {"skip": 9.0, "error": 0.5}]
    for options in settings:
        rng = np.random.default_rng(5)
        PreferenceOracle(R, **options).label(HIGH, LOW, rng)
        other = np.random.default_rng(5)
        other.random()
        assert rng.random() == other.random()
    coin = PreferenceOracle(R, beta=0)
    assert {coin.label(HIGH, LOW, 3) for _ in range(5)} == {coin.label(HIGH, LOW, 3)}
    assert {coin.label(HIGH, LOW) for _ in range(60)} == {"left", "right"}  # 2^-59


# --- judges -----------------------------------------------------------------------------------


def test_a_judge_is_asked_in_place_of_the_sums() -> None:
    told: list[tuple[Segment, Segment]] = []

    def judge(first: Segment, second: Segment) -> float:
        told.append((first, second))
        return 0.25

    assert dist(PreferenceOracle(judge=judge), HIGH, LOW) == [0.25, 0.75, 0, 0]
    assert told == [(HIGH, LOW)]
    assert dist(PreferenceOracle(judge=always(0.5)), HIGH, LOW) == [0, 0, 1, 0]
    assert dist(PreferenceOracle(judge=always(1), error=0.1), HIGH, LOW) == pytest.approx(
        [0.95, 0.05, 0, 0]
    )
    assert dist(PreferenceOracle(judge=always(1), mistake=1), HIGH, LOW) == [0, 1, 0, 0]
    assert PreferenceOracle(R, judge=always(0)).value(HIGH) == 4
    assert dist(PreferenceOracle(R, judge=always(0), tie=4), HIGH, LOW) == [0, 0, 1, 0]


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan, np.inf])
def test_a_judge_says_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match=r"judge\(first, second\) must be in \[0, 1\]; it is"):
        PreferenceOracle(judge=always(p)).label(HIGH, LOW)


def test_a_judge_says_a_number() -> None:
    with pytest.raises(TypeError, match=r"judge\(first, second\) must be a number; it is 'left'"):
        PreferenceOracle(judge=always("left")).label(HIGH, LOW)  # type: ignore[arg-type]


def test_rock_paper_scissors() -> None:
    oracle = PreferenceOracle(judge=intransitive_judge(lambda one: int(one.states[0])))
    rock, paper, scissors = (Segment([s], [0]) for s in range(3))
    assert oracle.label(paper, rock) == "left"
    assert oracle.label(scissors, paper) == "left"
    assert oracle.label(rock, scissors) == "left"
    assert oracle.label(rock, paper) == "right"
    assert oracle.label(rock, rock) == "tie"
    with pytest.raises(ValueError, match=r"kind\(segment\) must be in 0\.\.2; it is 3"):
        oracle.label(rock, Segment([3], [0]))
    with pytest.raises(TypeError, match=r"kind\(segment\) must be a whole number; it is 'rock'"):
        PreferenceOracle(judge=intransitive_judge(lambda _: "rock")).label(rock, paper)  # type: ignore[arg-type, return-value]


RING = GridWorld.from_text("...\n.H.\n...")
CLOCKWISE = [0, 1, 2, 5, 8, 7, 6, 3, 0]


def walk(states: list[int]) -> Segment:
    return Segment(states[:-1], [0] * (len(states) - 1), final=states[-1])


def test_laps_are_turns_round_the_centre() -> None:
    centre = RING.positions[4]
    for k in range(1, 9):
        assert laps(walk(CLOCKWISE[: k + 1]), RING.positions, centre) == pytest.approx(k / 8)
        back = laps(walk(CLOCKWISE[: k + 1][::-1]), RING.positions, centre)
        assert back == pytest.approx(-k / 8)
    twice = walk(CLOCKWISE + CLOCKWISE[1:])
    assert laps(twice, RING.positions, centre) == pytest.approx(2)
    no_end = Segment(CLOCKWISE[:5], [0] * 5)
    assert laps(no_end, RING.positions, centre) == pytest.approx(0.5)  # its last step is not known
    assert laps(Segment([0], [0]), RING.positions, centre) == 0
    assert laps(walk([0, 0, 1, 0]), RING.positions, centre) == pytest.approx(0)
    for straight in ([3, 4, 5], [4, 0], [1, 7]):
        assert laps(walk(straight), RING.positions, centre) == 0


@given(seeds)
def test_who_comes_back_has_made_whole_laps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ice = penguin_world()
    positions = ice.positions
    path = [int(rng.integers(16))]
    for _ in range(30):
        near = np.abs(positions - positions[path[-1]]).sum(axis=1) == 1
        path.append(int(rng.choice(np.flatnonzero(near))))
    turns = laps(walk(path), positions, (1.5, 1.5)), laps(walk(path[::-1]), positions, (1.5, 1.5))
    assert turns[0] == pytest.approx(-turns[1])
    parts = [laps(walk(path[i : i + 2]), positions, (1.5, 1.5)) for i in range(30)]
    assert sum(parts) == pytest.approx(turns[0])
    if path[0] == path[-1]:
        assert turns[0] == pytest.approx(round(turns[0]))


def test_the_judge_of_laps() -> None:
    oracle = PreferenceOracle(judge=laps_judge(RING.positions, (1, 1)))
    far, near, back = walk(CLOCKWISE[:4]), walk(CLOCKWISE[:3]), walk(CLOCKWISE[3::-1])
    assert oracle.label(far, near) == "left"
    assert oracle.label(near, far) == "right"
    assert oracle.label(back, near) == "right"
    assert oracle.label(near, walk(CLOCKWISE[2:5])) == "tie"
    with pytest.raises(ValueError, match="positions must have a row for state 9; it has 9"):
        oracle.label(far, walk([0, 9]))
    with pytest.raises(ValueError, match=r"centre must have shape \(2,\); it has \(3,\)"):
        laps_judge(RING.positions, (1, 1, 1))
    with pytest.raises(ValueError, match=r"positions must have shape \(S, 2\); it has \(9,\)"):
        laps_judge(np.zeros(9), (1, 1))


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"reward": np.zeros((2, 2, 2))}, r"reward must have shape \(S,\) or \(S, A\); it has"),
        ({"reward": 1.0}, r"reward must have shape \(S,\) or \(S, A\); it has \(\)"),
        ({"reward": []}, r"reward must have shape"),
        ({"reward": [0, np.nan]}, r"reward\[1\] must be finite; it is nan"),
        ({"reward": R, "beta": -1}, r"beta must be in \[0, inf\]; it is -1"),
        ({"reward": R, "beta": np.inf}, r"beta must be finite; it is inf"),
        ({"reward": R, "error": 1.1}, r"error must be in \[0, 1\]; it is 1.1"),
        ({"reward": R, "tie": -1}, r"tie must be in \[0, inf\]; it is -1"),
        ({"reward": R, "skip": -1}, r"skip must be in \[0, inf\]; it is -1"),
        ({"reward": R, "myopia": 2}, r"myopia must be in \[0, 1\]; it is 2"),
        ({"reward": R, "mistake": -1}, r"mistake must be in \[0, 1\]; it is -1"),
        ({"reward": R, "beta": 1, "judge": always(1)}, r"beta must be None beside a judge"),
        ({}, r"reward must be given where there is no judge; it is None"),
        ({"judge": always(1), "tie": 1}, r"tie, skip and myopia are about a reward"),
        ({"judge": always(1), "skip": 1}, r"tie, skip and myopia are about a reward"),
        ({"judge": always(1), "myopia": 0.5}, r"tie, skip and myopia are about a reward"),
    ],
)
def test_bad_oracles(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceOracle(**given_)


def test_a_judge_is_a_function() -> None:
    with pytest.raises(TypeError, match=r"judge must be a function of two segments; it is 0.5"):
        PreferenceOracle(judge=0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="beta must be a number; it is True"):
        PreferenceOracle(R, beta=True)


def test_clips_that_do_not_fit_the_reward() -> None:
    with pytest.raises(ValueError, match=r"an entry for states\[1\] = 4; its shape is \(4,\)"):
        PreferenceOracle(R).label(HIGH, Segment([0, 4], [0, 0]))
    with pytest.raises(ValueError, match=r"entry for actions\[0\] = 2; its shape is \(4, 2\)"):
        PreferenceOracle(np.zeros((4, 2))).label(Segment([0], [2]), HIGH)
    with pytest.raises(ValueError, match=r"entry for observations\[0\] = 7"):
        PreferenceOracle(R, observed=True).value(Segment([0], [2], [7]))
    with pytest.raises(ValueError, match="needs segments with observations; this one has none"):
        PreferenceOracle(R, observed=True).value(HIGH)
    with pytest.raises(ValueError, match="reward must be given to value a segment"):
        PreferenceOracle(judge=always(1)).value(HIGH)


def test_it_is_frozen_says_what_it_is_and_travels() -> None:
    given_ = R.copy()
    oracle = PreferenceOracle(given_, beta=2, error=0.1, observed=False)
    given_[:] = 9
    assert oracle.value(HIGH) == 4
    assert repr(oracle) == "PreferenceOracle(reward of shape (4,), beta=2, error=0.1)"
    assert repr(PreferenceOracle(judge=always(1))) == "PreferenceOracle(no reward, a judge)"
    with pytest.raises(AttributeError, match="beta"):
        oracle.beta = 3  # type: ignore[misc]
    back = pickle.loads(pickle.dumps(oracle))
    assert back.distribution(HIGH, LOW) == oracle.distribution(HIGH, LOW)
    assert back.reward is not None
    assert not back.reward.flags.writeable


@pytest.mark.parametrize(("pair", "name"), [((HIGH, 3), "second"), ((3, HIGH), "first")])
def test_only_clips_are_compared(pair: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a Segment; it is a int"):
        PreferenceOracle([0.0, 1.0]).label(*pair)
