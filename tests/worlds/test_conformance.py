"""One suite over every world and all its lenses."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridrl import MDP, POMDP, GridWorld, MarkovProcess, RewardProcess, worlds
from gridrl.processes.transitions import SparseTransitions, stacked
from gridrl.tables import Array
from gridrl.worlds import grid

WALLS = "S.#..\n.#..F\n..#H.\n#....\nF#.#G"
LARGE = "\n".join(["S" + "." * 24, *["....#" * 5, "..F.." * 5] * 12])

MAPS: dict[str, Callable[[], GridWorld]] = {
    "penguin_world": worlds.penguin_world,
    "lost_penguin_world": worlds.lost_penguin_world,
    "frozen_lake": worlds.frozen_lake,
    "frozen_lake 8": lambda: worlds.frozen_lake(8, 0.8),
    "frozen_lake drawn": lambda: worlds.frozen_lake(6, rng=1),
    "cliff_walking": worlds.cliff_walking,
    "windy_gridworld": worlds.windy_gridworld,
    "windy_gridworld kings": lambda: worlds.windy_gridworld(kings_moves=True),
    "random_walk": worlds.random_walk,
    "random_walk 1": lambda: worlds.random_walk(1, left=-1),
    "sutton_5x5": worlds.sutton_5x5,
    "sutton_4x4": worlds.sutton_4x4,
    "dyna_maze": worlds.dyna_maze,
    "short_corridor": worlds.short_corridor,
    "russell_norvig_4x3 leave": worlds.russell_norvig_4x3,
    "russell_norvig_4x3 arrive": lambda: worlds.russell_norvig_4x3("arrive"),
    "1 x 1": lambda: GridWorld.from_text("F"),
    "1 x 5": lambda: GridWorld.from_text("S..F."),
    "5 x 1": lambda: GridWorld.from_text("S\n.\n.\nF\n."),
    "walls": lambda: GridWorld.from_text(WALLS, terminal="G"),
    "walls and ends": lambda: GridWorld.from_text(WALLS, terminal="G", exits="F"),
    "walled in": lambda: GridWorld.from_text("S#F"),
    "two starts": lambda: GridWorld.from_text("S..S", slip=worlds.slip_anywhere(0.7)),
    "large, sparse": lambda: GridWorld.from_text(LARGE, slip=worlds.slip_sideways(0.8)),
}
OTHERS: dict[str, Callable[[], MDP | POMDP | RewardProcess]] = {
    "gamblers_problem": worlds.gamblers_problem,
    "maximisation_bias": worlds.maximisation_bias,
    "student": worlds.student,
    "forest": worlds.forest,
    "bandit": lambda: worlds.bandit([0.0, 1.0]),
    "tiger": worlds.tiger,
    "random_mdp": lambda: worlds.random_mdp(6, 3, rng=0),
}
LENSES: dict[str, Callable[[GridWorld], MarkovProcess | MDP | POMDP]] = {
    "markov_process": lambda world: world.markov_process(),
    "reward_process": lambda world: world.reward_process(gamma=0.9),
    "mdp": lambda world: world.mdp(gamma=0.9),
    "pomdp": lambda world: world.pomdp(gamma=0.9),
}
NOT_MAKERS = {"GridWorld", "Window", "no_slip", "slip_anywhere", "slip_sideways",
              "slip_to_neighbours", "read_pomdp", "write_pomdp"}  # fmt: skip

every_map = pytest.mark.parametrize("name", MAPS)
every_lens = pytest.mark.parametrize("lens", LENSES)
every_process = pytest.mark.parametrize(
    "process",
    [pytest.param(LENSES[lens](MAPS[m]()), id=f"{m}, {lens}") for m in MAPS for lens in LENSES]
    + [pytest.param(make(), id=name) for name, make in OTHERS.items()],
)


def test_every_maker_is_here() -> None:
    here = {name.split()[0] for name in (*MAPS, *OTHERS)}
    assert set(worlds.__all__) - NOT_MAKERS <= here


def rows_of(process: Any) -> Array:
    """P as a dense table with an action axis, (S, A, S)."""
    matrix = stacked(process.P)
    return matrix.toarray().reshape(process.n_states, -1, process.n_states)


@every_process
def test_rows_are_distributions_and_ends_absorb(process: Any) -> None:
    P = rows_of(process)
    assert P.min() >= 0
    np.testing.assert_allclose(P.sum(axis=2), 1, atol=1e-12)
    np.testing.assert_allclose(process.start.sum(), 1, atol=1e-12)
    ends = np.flatnonzero(process.terminal)
    np.testing.assert_array_equal(P[ends, :, ends], 1)
    if not isinstance(process, MarkovProcess) or isinstance(process, RewardProcess):
        np.testing.assert_array_equal(process.R[ends], 0)
        assert np.isfinite(process.R).all()


@every_process
def test_labels_are_distinct_and_of_the_right_number(process: Any) -> None:
    assert (
        len(set(process.labels)) == len(process.labels) == process.n_states == len(rows_of(process))
    )
    for name, n in (("action_labels", "n_actions"), ("observation_labels", "n_observations")):
        if hasattr(process, name):
            assert len(set(getattr(process, name))) == getattr(process, n)


@every_process
def test_what_is_seen_is_a_distribution(process: Any) -> None:
    if not isinstance(process, POMDP):
        assert not hasattr(process, "O")
        return
    assert process.O.min() >= 0
    np.testing.assert_allclose(process.O.sum(axis=-1), 1, atol=1e-12)
    assert (process.O.reshape(-1, process.n_observations).max(axis=0) > 0).all()


@every_process
def test_it_says_what_it_is(process: Any) -> None:
    kind = type(process).__name__
    assert repr(process).startswith(f"{kind}({process.n_states} states")
    assert "<script" not in process._repr_html_()
    kinds = {"unreachable", "absorbing", "period", "reward for ever"}
    assert {f.kind for f in process.check()} <= kinds


def arrays_in(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, SparseTransitions):
        return arrays_in(value.matrix)
    if hasattr(value, "indptr"):
        return [value.data, value.indices, value.indptr]
    if dataclasses.is_dataclass(value):
        return [a for f in dataclasses.fields(value) for a in arrays_in(getattr(value, f.name))]
    return []


@every_process
def test_it_is_immutable(process: Any) -> None:
    arrays = arrays_in(process)
    assert len(arrays) >= 3
    assert not any(a.flags.writeable for a in arrays)
    for field in dataclasses.fields(process):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(process, field.name, None)


@every_process
def test_it_survives_pickling_and_replacing(process: Any) -> None:
    for again in (pickle.loads(pickle.dumps(process)), process.replace()):
        assert repr(again) == repr(process)
        assert again.labels == process.labels
        for a, b in zip(arrays_in(again), arrays_in(process), strict=True):
            np.testing.assert_array_equal(a, b)


@every_process
def test_simulated_episodes_are_possible(process: Any) -> None:
    chain = process
    if not isinstance(process, MarkovProcess):
        mdp = process.mdp if isinstance(process, POMDP) else process
        chain = mdp.under(np.full(mdp.R.shape, 1 / mdp.n_actions))
    P, walk = rows_of(chain)[:, 0], chain.simulate(30, episodes=10, rng=0)
    assert (chain.start[walk.states[:, 0]] > 0).all()
    assert (P[walk.states[:, :-1], walk.states[:, 1:]] > 0).all()
    before_the_end = ~chain.terminal[walk.states[:, :-1]]
    np.testing.assert_array_equal(walk.lengths, before_the_end.sum(axis=1))
    assert (walk.rewards[~before_the_end] == 0).all()
    np.testing.assert_array_equal(walk.terminated, chain.terminal[walk.states[:, -1]])


# --- maps ---------------------------------------------------------------------------------------


@every_map
def test_the_start_is_on_the_start_squares(name: str) -> None:
    world = MAPS[name]()
    mdp = world.mdp(gamma=0.9)
    starts = [i for i, tile in enumerate("".join(str(world).split("\n")), 1) if tile == "S"]
    if starts:
        expected = {str(label): 1 / len(starts) for label in starts}
    else:
        free = [str(label) for label, end in zip(mdp.labels, mdp.terminal, strict=True) if not end]
        expected = dict.fromkeys(free, 1 / len(free))
    assert {label: p for label, p in zip(mdp.labels, mdp.start, strict=True) if p} == pytest.approx(
        expected
    )


@every_map
def test_the_lenses_agree(name: str) -> None:
    world = MAPS[name]()
    chain, rewards, mdp, pomdp = (make(world) for make in LENSES.values())
    np.testing.assert_array_equal(rows_of(chain), rows_of(rewards))
    np.testing.assert_array_equal(rows_of(mdp), rows_of(pomdp))
    for other in (rewards, mdp, pomdp):
        np.testing.assert_array_equal(chain.start, other.start)
        np.testing.assert_array_equal(chain.terminal, other.terminal)
        assert chain.labels == other.labels == world.labels
    large = world.n_states > 400
    assert [isinstance(x.P, np.ndarray) for x in (chain, rewards, mdp, pomdp)] == [not large] * 4


@every_map
def test_the_chain_is_equally_likely_in_every_free_direction(name: str) -> None:
    """Square by square, from the text alone; in worlds with rules of their own the rules decide."""
    world = MAPS[name]()
    if world.jumps is not None:
        for s, near in enumerate(world.landing.tolist()):
            free = [to for to in near if to != s and not world.mdp(0.9).terminal[s]] or [s]
            expected = np.bincount(free, minlength=world.n_states) / len(free)
            np.testing.assert_allclose(rows_of(world.markov_process())[s, 0], expected)
        return
    lines = str(world).split("\n")
    square = {
        (r, c): s
        for s, (r, c) in enumerate(
            (r, c) for r, line in enumerate(lines) for c, tile in enumerate(line) if tile != "#"
        )
    }
    expected = np.zeros((world.n_states, world.n_states))
    for (r, c), s in square.items():
        tile = lines[r][c]
        near = [
            square[r + dr, c + dc] for dr, dc in world.moves.values() if (r + dr, c + dc) in square
        ]
        if tile in world.exits:
            near = [world.n_states - 1]
        elif tile in world.terminal or not near:
            near = [s]
        expected[s, near] = 1 / len(near)
    if world.exits:
        expected[-1, -1] = 1
    np.testing.assert_allclose(rows_of(world.markov_process())[:, 0], expected, atol=1e-15)


@every_map
def test_on_its_own_map_nothing_is_odd(name: str) -> None:
    world = MAPS[name]()
    for lens in ("markov_process", "reward_process", "mdp"):
        assert world.check(LENSES[lens](world)) == []


@every_map
def test_mirrored_maps_have_mirrored_tables(name: str) -> None:
    """The trap of hand-typed tables: nothing may know left from right, or up from down."""
    world = MAPS[name]()
    if world.jumps is not None:
        world = world.replace(jumps=None, fees=None, slip=worlds.slip_to_neighbours(0.7))
    for axis, flip in ((0, (-1, 1)), (1, (1, -1))):
        mirrored = world.replace(tiles=np.flip(world.tiles, axis=axis))
        moves = list(world.moves.values())
        acts = [moves.index((dr * flip[0], dc * flip[1])) for dr, dc in moves]
        to = twins(world, axis)
        a, b = world.mdp(gamma=0.9), mirrored.mdp(gamma=0.9)
        np.testing.assert_allclose(rows_of(b)[to][:, acts][:, :, to], rows_of(a), atol=1e-15)
        np.testing.assert_allclose(b.R[to][:, acts], a.R, atol=1e-15)
        np.testing.assert_array_equal(b.start[to], a.start)


def twins(world: GridWorld, axis: int) -> list[int]:
    """The state that each state becomes on the mirrored map."""
    size = world.shape[axis]
    mirrored = world.replace(tiles=np.flip(world.tiles, axis=axis))
    to = []
    for place in world.positions.tolist():
        place[axis] = size - 1 - place[axis]
        to.append(mirrored.index(place[0] * world.shape[1] + place[1] + 1))
    return to + [world.n_states - 1] * (world.n_states - len(to))


@every_map
def test_sparse_and_dense_are_the_same_world(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for lens, threshold in itertools.product(LENSES, (0, 10**6)):
        expected: Any = LENSES[lens](MAPS[name]())
        monkeypatch.setattr(grid, "DENSE_STATES", threshold)
        built: Any = LENSES[lens](MAPS[name]())
        monkeypatch.undo()
        assert isinstance(built.P, np.ndarray) == (threshold > 0)
        np.testing.assert_array_equal(rows_of(built), rows_of(expected))
        if hasattr(expected, "R"):
            np.testing.assert_allclose(built.R, expected.R, atol=1e-15)


@every_map
def test_a_world_survives_pickling(name: str) -> None:
    world = MAPS[name]()
    again = pickle.loads(pickle.dumps(world))
    assert str(again) == str(world)
    assert repr(again) == repr(world)
    np.testing.assert_array_equal(rows_of(again.mdp(0.9)), rows_of(world.mdp(0.9)))
    np.testing.assert_array_equal(again.mdp(0.9).R, world.mdp(0.9).R)
