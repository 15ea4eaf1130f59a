"""Processes as .POMDP files, and back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import csr_array

from gridrl import MDP, POMDP, GridWorld, lost_penguin_world, penguin_world, potential_shaping
from gridrl.processes import RewardDistribution, arrive
from gridrl.processes.transitions import stacked
from gridrl.worlds import russell_norvig_4x3, short_corridor, tiger
from gridrl.worlds.cassandra_writer import write_pomdp
from tests.strategies import mdps, rewards, seeds, sparse_rows
from tests.worlds.pomdp_texts import again, assert_same


def own_worlds() -> dict[str, POMDP | MDP]:
    pays = RewardDistribution([0.0, 1.0], np.full((16, 2), 0.5))
    ice = penguin_world().mdp(gamma=0.9)
    large = GridWorld.from_text("\n".join(["." * 21] * 20 + ["F" * 21]), reward_on="arrive")
    return {
        "tiger": tiger(),
        "lost penguin": lost_penguin_world().pomdp(0.9),
        "penguin": ice,
        "corridor": short_corridor().mdp(gamma=1),
        "corridor, unseen": short_corridor().pomdp(gamma=1),
        "exits": russell_norvig_4x3().mdp(gamma=1),
        "ends": russell_norvig_4x3(reward_on="arrive").pomdp(gamma=0.5),
        "sparse": large.mdp(gamma=0.99),
        "shaped": potential_shaping(ice.replace(R=pays), np.arange(16.0)),
    }


@pytest.mark.parametrize("name", own_worlds())
def test_our_own_worlds_come_back(tmp_path: Path, name: str) -> None:
    world = own_worlds()[name]
    assert_same(again(tmp_path, world), world)


@given(mdps(), seeds)
@settings(max_examples=60)
def test_random_models_come_back(tmp_path_factory: Any, mdp: MDP, seed: int) -> None:
    rng = np.random.default_rng(seed)
    S, A, Z = mdp.n_states, mdp.n_actions, int(rng.integers(1, 4))
    R = list(rewards(rng, S, A).values())[rng.integers(9)]
    start = rng.choice(np.array([None, sparse_rows(rng, S), 0], dtype=object))
    labels = [["go", "stay", "T"], ["0", "1", "2"], ["a b", "#", 'ü"\n'], None][rng.integers(4)]
    mdp = mdp.replace(R=R, start=start, action_labels=labels and labels[:A])
    shape = [(S, Z), (A, S, Z)][rng.integers(2)]
    pomdp = POMDP(mdp, sparse_rows(rng, *shape), observation_labels=labels and [*labels][:Z])
    folder = tmp_path_factory.mktemp("again")
    for process in (mdp, pomdp):
        assert_same(again(folder, process), process)


def test_a_step_pays_what_it_paid(tmp_path: Path) -> None:
    mdp = russell_norvig_4x3(reward_on="arrive").mdp(gamma=1)
    found = again(tmp_path, mdp.replace(R=arrive(np.arange(11))))
    assert isinstance(found, MDP)
    values = found.payment.values  # type: ignore[attr-defined]
    steps = (stacked(mdp.P).toarray().reshape(11, 4, 11) > 0) & ~mdp.terminal[:, None, None]
    np.testing.assert_array_equal(values, np.where(steps, np.arange(11), 0))


def test_zeros_are_not_written(tmp_path: Path) -> None:
    P = csr_array(([1.0, 0.0, 1.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    write_pomdp(MDP(P, [0, -1], 0.5), tmp_path / "stay.MDP")
    lines = (tmp_path / "stay.MDP").read_text().splitlines()
    assert lines[-3:] == ["T: 0 : 0 : 0 1.0", "T: 0 : 1 : 1 1.0", "R: 0 : 1 : * -1.0"]


def test_what_is_written_is_in_the_grammar(tmp_path: Path) -> None:
    number, name = r"-?\d+(\.\d+)?(e[+-]?\d+)?", r"(\*|\d+|[A-Za-z][\w-]*)"
    lines = [
        r"# gridrl: .*", rf"discount: {number}", "values: reward", rf"start:( {number})+",
        rf"(states|actions|observations|start include):( {name})+", "start: uniform",
        rf"T: {name} : {name} : {name} {number}", rf"O: {name} : {name} : {name} {number}",
        rf"R: {name} : {name} : {name} : {name} {number}", "",
    ]  # fmt: skip
    for world in own_worlds().values():
        if isinstance(world, POMDP):
            write_pomdp(world.replace(R=world.R * 1e-9), tmp_path / "world.POMDP")
            for line in (tmp_path / "world.POMDP").read_text("ascii").split("\n"):
                assert any(re.fullmatch(pattern, line) for pattern in lines), line


def test_the_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tiger.POMDP"
    write_pomdp(tiger(), str(file))
    before = file.read_text()

    def full(*paths: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_pomdp(lost_penguin_world().pomdp(0.9), file)
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]
