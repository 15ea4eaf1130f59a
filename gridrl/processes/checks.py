"""A linter for processes: not what is wrong (constructors refuse that) but what is odd.

`process.check()` returns a list of findings, empty where nothing is odd; each prints as a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridrl.processes import structure
from gridrl.processes.transitions import Chain, average_over_actions, staying
from gridrl.tables import Array, Indices

if TYPE_CHECKING:
    from gridrl.processes.decision import MDP
    from gridrl.processes.markov import MarkovProcess
    from gridrl.processes.reward import RewardProcess


@dataclass(frozen=True)
class Finding:
    """One thing that is odd: `kind` for programs, `message` for people, `states` it is about."""

    kind: str
    message: str
    states: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    __repr__ = __str__


def finding(kind: str, message: str, states: Iterable[int] | Indices = ()) -> Finding:
    """Make a finding about some states."""
    return Finding(kind, message, tuple(int(s) for s in states))


def check_chain(process: MarkovProcess) -> list[Finding]:
    """Report unreachable states, absorbing classes, and a period."""
    return _check(process, process.P, "")


def check_decisions(mdp: MDP) -> list[Finding]:
    """Report what holds whatever one does: the chain in which every action has its chance."""
    uniform = np.full((mdp.n_states, mdp.n_actions), 1 / mdp.n_actions)
    return _check(mdp, average_over_actions(mdp.P, uniform), ", whatever one does")


def check_rewards(process: RewardProcess | MDP, on_leaving: Array) -> list[Finding]:
    """Report rewards in states where nobody collects them, or where they are collected for ever.

    Args:
        process: what to look at.
        on_leaving: the rewards it was given for leaving a state, (S, A), terminal ones included.
    """
    found, labels = [], process.labels
    unpaid = np.flatnonzero(process.terminal & (on_leaving != 0).any(axis=1))
    if len(unpaid):
        advice = "pay on arrival (`arrive(R)`) or let it lead to an end state"
        message = f"terminal {_states(labels, unpaid)} would pay on being left, which nobody does"
        found.append(finding("reward at the end", f"{message}; {advice}", unpaid))
    stays = (staying(process.P) > 1 - 1e-12).all(axis=1) & ~process.terminal
    pays = (process.R.reshape(process.n_states, -1) != 0).any(axis=1)
    if len(forever := np.flatnonzero(stays & pays)):
        message = f"{_states(labels, forever)} absorbs and pays at every step"
        advice = "if the episode ends there, say `terminal`"
        found.append(finding("reward for ever", f"{message}; {advice}", forever))
    return found


def _check(process: MarkovProcess | MDP, P: Chain, always: str) -> list[Finding]:
    found, labels = [], process.labels
    reached = structure.reachable(P, np.flatnonzero(process.start))
    if len(lost := np.flatnonzero(~reached)):
        message = f"no path from the start leads to {_states(labels, lost)}"
        found.append(finding("unreachable", message, lost))
    closed = structure.closed_classes(P)
    for states in closed:
        if len(states) < process.n_states and not process.terminal[list(states)].all():
            message = f"nobody leaves {_states(labels, states)}{always}"
            found.append(finding("absorbing", message, states))
    for states in closed:
        if (d := structure.period(P, states)) > 1:
            verb = "have" if 1 < len(states) < len(labels) else "has"
            message = f"{_states(labels, states)} {verb} period {d}: P^n never converges{always}"
            found.append(finding("period", message, states))
    return found


def _states(labels: Sequence[str], states: Sequence[int] | Indices) -> str:
    if len(states) == len(labels):
        return "the whole process"
    shown = ", ".join(labels[s] for s in states[:8]) + ", ..." * (len(states) > 8)
    return f"state {shown}" if len(states) == 1 else f"states {shown}"
