"""A linter for processes typed by hand, where a map says what should be near what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridrl.processes import MDP, POMDP, Finding, MarkovProcess
from gridrl.processes.checks import finding
from gridrl.processes.transitions import stacked
from gridrl.tables import Array

if TYPE_CHECKING:
    from gridrl.worlds.grid import GridWorld


def check_on_map(world: GridWorld, process: MDP | POMDP | MarkovProcess) -> list[Finding]:
    """Report moves that mostly go elsewhere, and steps to squares that are no neighbours."""
    if isinstance(process, POMDP):
        process = process.mdp
    if not isinstance(process, MDP | MarkovProcess):
        raise TypeError(f"process must be a Markov or decision process; it is {process!r}")
    if process.n_states != world.n_states:
        raise ValueError(
            f"the process must have the map's {world.n_states} states; it has {process.n_states}"
        )
    found = _jumps(world, process)
    if isinstance(process, MDP):
        if process.n_actions != len(world.moves):
            raise ValueError(
                f"the process must have the map's {len(world.moves)} actions;"
                f" it has {process.n_actions}"
            )
        return found + _wrong_ways(world, process)
    return found + _missing(world, process)


def _wrong_ways(world: GridWorld, mdp: MDP) -> list[Finding]:
    """'left' from 2 goes mostly right."""
    found, names = [], list(world.moves)
    p = _probability_of_directions(world, mdp)  # (S, A, D)
    for s, a in np.argwhere(world.open_ways & ~mdp.terminal[:, None]):
        d = int(p[s, a].argmax())
        if p[s, a, d] > p[s, a, a] + 1e-9:
            message = f"'{names[a]}' from {world.labels[s]} goes mostly {names[d]}"
            found.append(finding("wrong way", message, [s]))
    return found


def _missing(world: GridWorld, chain: MarkovProcess) -> list[Finding]:
    """No step from 10 to 11, its neighbour; and staying where there is a way out."""
    found, P = [], stacked(chain.P)
    for s, d in np.argwhere(world.open_ways & ~chain.terminal[:, None]):
        neighbour = int(world.landing[s, d])
        if P[s, neighbour] == 0:
            where = f"from {world.labels[s]} to {world.labels[neighbour]}"
            found.append(finding("missing", f"no step {where}, its neighbour", [s, neighbour]))
    stays = (P.diagonal() > 0) & world.open_ways.any(axis=1) & ~chain.terminal
    for s in np.flatnonzero(stays).tolist():
        message = f"from {world.labels[s]} one may stay, though there is a way out"
        found.append(finding("stay", message, [s]))
    return found


def _probability_of_directions(world: GridWorld, mdp: MDP) -> Array:
    """Pr(s' is where direction d leads | s, a), shape (S, A, D); 0 where that is blocked."""
    S, A = mdp.n_states, mdp.n_actions
    rows, to = np.arange(S * A)[:, None], np.repeat(world.landing, A, axis=0)
    p = np.asarray(stacked(mdp.P)[np.broadcast_to(rows, to.shape).ravel(), to.ravel()])
    return p.reshape(S, A, -1) * world.open_ways[:, None, :]


def _jumps(world: GridWorld, process: MDP | MarkovProcess) -> list[Finding]:
    """A step from one square to another that no move leads to."""
    found = []
    edges = stacked(process.P).tocoo()
    A = edges.shape[0] // edges.shape[1]
    steps = np.unique(np.stack([edges.row // A, edges.col], axis=1)[edges.data > 0], axis=0)
    for s, to in steps:
        if to != s and to not in world.landing[s] and not process.terminal[s]:
            where = f"from {world.labels[s]} to {world.labels[to]}"
            message = f"a step {where}{_what_is_between(world, s, to)}"
            found.append(finding("jump", message, [s, to]))
    return found


def _what_is_between(world: GridWorld, s: int, to: int) -> str:
    if max(s, to) >= len(world.positions):
        return ", which is off the map"
    a, b = world.positions[s], world.positions[to]
    middle = (a + b) / 2
    if (middle == middle.astype(int)).all() and world.tiles[
        tuple(middle.astype(int))
    ] in world.walls:
        return ", through a rock"
    return ", which is no neighbour"
