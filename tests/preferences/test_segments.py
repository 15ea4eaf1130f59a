"""Clips: what is cut from where, and names that are made of contents."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.learning import rollout
from gridrl.planning import uniform_policy
from gridrl.preferences.segments import Comparison, Segment, cut, fingerprint, pair_of
from gridrl.processes import MDP, Trajectories
from gridrl.worlds import lost_penguin_world, penguin_world, random_mdp
from tests.strategies import seeds


def walks(episodes: int = 4, steps: int = 9) -> Trajectories:
    mdp = penguin_world().mdp(gamma=0.9)
    return rollout(mdp, uniform_policy(mdp), episodes=episodes, steps=steps, rng=0)


def test_a_segment_keeps_copies_that_are_locked() -> None:
    states = np.array([3, 4])
    clip = Segment(states, [0, 1], [7, 8], final=5, world="ice")
    states[0] = 9
    assert (clip.states.tolist(), clip.actions.tolist()) == ([3, 4], [0, 1])
    assert clip.observations is not None
    assert clip.observations.tolist() == [7, 8]
    assert (len(clip), clip.final, clip.world) == (2, 5, "ice")
    for row in (clip.states, clip.actions, clip.observations):
        with pytest.raises(ValueError, match="read-only"):
            row[0] = 1
    back = pickle.loads(pickle.dumps(clip))
    assert back.key == clip.key
    assert not back.states.flags.writeable


@pytest.mark.parametrize(
    ("states", "actions", "more", "message"),
    [
        ([], [], {}, r"states must have shape \(k,\), at least one step; it has \(0,\)"),
        ([[1]], [[1]], {}, r"states must have shape \(k,\), at least one step; it has \(1, 1\)"),
        ([1, 2], [1], {}, r"actions must have shape \(2,\) beside states; it has \(1,\)"),
        ([1], [1], {"observations": [1, 2]}, r"observations must have shape \(1,\) beside"),
        ([1, -1], [0, 0], {}, r"states\[1\] must be in 0\.\.\d+; it is -1"),
        ([1, 1], [0, -1], {}, r"actions\[1\] must be in 0\.\.\d+; it is -1"),
        ([1], [0], {"final": -1}, r"final must be at least 0; it is -1"),
    ],
)
def test_bad_segments(states: Any, actions: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segment(states, actions, **more)


def test_states_are_whole_numbers() -> None:
    with pytest.raises(TypeError, match="states must hold whole numbers"):
        Segment([0.0], [0])
    with pytest.raises(TypeError, match=r"final must be a whole number; it is 1\.5"):
        Segment([0], [0], final=1.5)  # type: ignore[arg-type]


def test_keys_are_the_contents() -> None:
    clips = [
        Segment([1, 2], [0, 0]),
        Segment([2, 1], [0, 0]),
        Segment([1, 2], [0, 1]),
        Segment([1, 2], [0, 0], [1, 2]),
        Segment([1, 2], [0, 0], world="ice"),
        Segment([12], [0]),
        Segment([1], [0]),
    ]
    assert len({clip.key for clip in clips}) == len(clips)
    assert Segment(np.array([1, 2], np.int8), (0, 0)).key == clips[0].key
    assert clips[0].key == "c4fb951dbbbf1166"  # on any machine, in any year: files hold them


def test_the_name_of_a_pair_has_no_sides() -> None:
    a, b, c = (Segment([s], [0]) for s in range(3))
    assert pair_of(a, b) == pair_of(b, a) == Comparison(b, a, "skip").pair
    assert len({pair_of(a, b), pair_of(a, c), pair_of(b, c), pair_of(a, a)}) == 4


@given(seeds)
def test_counts_are_how_often_each_cell_is_passed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 12))
    s, a, o = (rng.integers(0, n, k) for n in (5, 3, 4))
    clip, r = Segment(s, a, o), rng.normal(size=(5, 3))
    np.testing.assert_allclose((clip.counts((5, 3)) * r).sum(), r[s, a].sum(), atol=1e-12)
    np.testing.assert_array_equal(clip.counts((5,)), clip.counts((5, 3)).sum(axis=1))
    np.testing.assert_array_equal(clip.counts((4,), observed=True), np.bincount(o, minlength=4))
    assert clip.counts((4, 3), observed=True).sum() == k


def test_counts_beyond_the_table() -> None:
    clip = Segment([1, 4], [2, 0])
    with pytest.raises(ValueError, match=r"states\[1\] must be in 0\.\.3; it is 4"):
        clip.counts((4,))
    with pytest.raises(ValueError, match=r"actions\[0\] must be in 0\.\.1; it is 2"):
        clip.counts((5, 2))
    with pytest.raises(ValueError, match="this one has none"):
        clip.counts((5,), observed=True)


@pytest.mark.parametrize(
    ("label", "mu"),
    [("left", (1.0, 0.0)), ("right", (0.0, 1.0)), ("tie", (0.5, 0.5)), ("skip", None)],
)
def test_mu(label: str, mu: tuple[float, float] | None) -> None:
    assert Comparison(Segment([0], [0]), Segment([1], [0]), label).mu == mu


def test_bad_comparisons() -> None:
    a, b = Segment([0], [0]), Segment([1], [0], world="ice")
    with pytest.raises(ValueError, match="label must be one of left, right, tie, skip; it is 'up'"):
        Comparison(a, a, "up")
    with pytest.raises(ValueError, match="of one world; their fingerprints are '' and 'ice'"):
        Comparison(a, b, "left")
    with pytest.raises(TypeError, match="second must be a Segment; it is a list"):
        Comparison(a, [0], "left")  # type: ignore[arg-type]


def test_fingerprints_tell_worlds_apart() -> None:
    mdp = random_mdp(4, 2, rng=0)
    moved = np.array(mdp.P)
    moved[2, 1] = np.roll(moved[2, 1], 1)
    others = [mdp.replace(P=moved), random_mdp(4, 2, rng=1), random_mdp(5, 2, rng=0)]
    names = {fingerprint(world) for world in (mdp, *others)}
    assert len(names) == 4
    assert fingerprint(mdp.replace(R=mdp.R + 1)) not in names  # other fish are another map
    paid = mdp.replace(start=2, gamma=0.3)
    assert fingerprint(paid) == fingerprint(mdp)
    pomdp = lost_penguin_world().pomdp(gamma=0.9)
    assert fingerprint(pomdp) == fingerprint(lost_penguin_world().mdp(gamma=0.5))


def test_a_dense_and_a_sparse_world_are_one() -> None:
    from scipy.sparse import csr_array

    from gridrl.processes.transitions import SparseTransitions

    mdp = penguin_world().mdp(gamma=0.9)
    S, A = mdp.n_states, mdp.n_actions
    sparse = SparseTransitions(csr_array(np.array(mdp.P).reshape(S * A, S)), A)
    assert fingerprint(MDP(sparse, mdp.R, 0.9)) == fingerprint(mdp)


@given(seed=seeds, length=st.integers(1, 9))
def test_every_window_of_every_episode(seed: int, length: int) -> None:
    batch = walks()
    clips = cut(batch, length, world="ice")
    assert len(clips) == 4 * (9 - length + 1)
    at = int(np.random.default_rng(seed).integers(len(clips)))
    i, t = divmod(at, 9 - length + 1)
    assert clips[at].states.tolist() == batch.states[i, t : t + length].tolist()
    assert clips[at].actions.tolist() == batch.actions[i, t : t + length].tolist()
    assert clips[at].final == batch.states[i, t + length]
    assert clips[at].world == "ice"


def test_nothing_is_cut_across_an_end() -> None:
    batch = Trajectories(
        np.array([[0, 1, 2, 2, 2], [3, 4, 5, 6, 7]]), np.array([[0, 1, -1, -1], [0, 1, 0, 1]]),
        np.zeros((2, 4)), np.array([2, 4]), np.array([True, False]),
        np.array([[5, 6, 7, 7, 7], [1, 1, 2, 2, 3]]),
    )  # fmt: skip
    clips = cut(batch, 2)
    assert [clip.states.tolist() for clip in clips] == [[0, 1], [3, 4], [4, 5], [5, 6]]
    assert [clip.final for clip in clips] == [2, 5, 6, 7]
    seen = [clip.observations for clip in clips]
    np.testing.assert_array_equal(np.array(seen), [[5, 6], [1, 1], [1, 2], [2, 2]])
    assert len(cut(batch, 3)) == 2  # the short episode has none
    with pytest.raises(ValueError, match="length must be at most 4, the longest episode; it is 5"):
        cut(batch, 5)


def test_drawn_clips_do_not_repeat_until_they_must() -> None:
    batch = walks(episodes=2)
    everything = {(c.key, c.final) for c in cut(batch, 4)}
    drawn = cut(batch, 4, count=12, rng=3)
    assert len(drawn) == 12
    assert {(c.key, c.final) for c in drawn} == everything  # 12 places, each once
    assert len(cut(batch, 4, count=30, rng=3)) == 30
    assert [c.key for c in cut(batch, 4, count=5, rng=7)] == [
        c.key for c in cut(batch, 4, count=5, rng=7)
    ]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"length": 0}, "length must be at least 1; it is 0"),
        ({"length": 2, "count": 0}, "count must be at least 1; it is 0"),
    ],
)
def test_bad_cuts(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut(walks(), **given_)


def test_a_voter_is_a_text() -> None:
    clips = Segment([0], [0]), Segment([1], [0])
    with pytest.raises(TypeError, match="voter must be a str; it is 3"):
        Comparison(*clips, "left", 3)  # type: ignore[arg-type]
