"""A model whose beliefs are found late, by luck; what an independent examination tripped over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl import POMDP, NotConverged, belief_bounds, pbvi, penguin_world, value_iteration
from gridrl.worlds import read_pomdp

# A choice among three, twice, and one of the first two remembered: after Parr & Russell (1995).
MAZE = """discount: 0.95 values: reward
states: i high low c d good bad   actions: a b c   observations: i seen c d good bad
T: * : i : high 0.5
T: * : i : low 0.5
T: a : high : c 1
T: b : high : bad 1
T: c : high : good 1
T: a : low : d 1
T: b : low : good 1
T: c : low : bad 1
T: a : c : high 1
T: b : c : i 1
T: c : c : i 1
T: a : d : low 1
T: b : d : i 1
T: c : d : i 1
T: * : good : i 1
T: * : bad : i 1
O: * : i : i 1
O: * : high : seen 1
O: * : low : seen 1
O: * : c : c 1
O: * : d : d 1
O: * : good : good 1
O: * : bad : bad 1
R: * : good : * : * 2
"""


def maze_in(folder: Path) -> POMDP:
    (folder / "maze.POMDP").write_text(MAZE)
    found = read_pomdp(folder / "maze.POMDP")
    assert isinstance(found, POMDP)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_pbvi_does_not_stop_where_only_luck_found_nothing_new(seed: int, tmp_path: Path) -> None:
    maze = maze_in(tmp_path)
    bounds = belief_bounds(maze, tol=1e-3)
    found = pbvi(maze, rng=seed).value  # seeds 0 and 4 once ended at 6.53, of 7.49
    assert bounds.lower - 1e-3 <= found <= bounds.upper + 1e-9


def test_pbvi_ends_early_where_no_other_belief_can_be_reached(tmp_path: Path) -> None:
    maze = maze_in(tmp_path)
    rounds = list(pbvi.iterates(maze, expansions=200, rng=0))
    assert 3 < len(rounds) < 30


def test_what_an_unfinished_run_has_found_comes_with_the_error() -> None:
    ice = penguin_world().mdp(gamma=0.9)
    with pytest.raises(NotConverged) as caught:
        value_iteration(ice, max_sweeps=7)
    unfinished = caught.value.so_far
    exact = value_iteration(ice).V
    assert unfinished.backups == 7 * ice.R.size
    assert abs(unfinished.V - exact).max() <= unfinished.bound + 1e-9
