"""All that can happen on a step, laid out in one table: what toy-text environments call `P`.

A row is a pair s * A + a, or, the last one, the start of an episode; its entries are the outcomes
(s', r) with their probabilities. One search in a running sum draws an outcome for any rows at once.

Symbols: j an entry, one outcome; m their number; s, a, s', r of a step; q probability of a reward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridrl.processes import MDP, RewardDistribution
from gridrl.processes.payments import Payment, PolicyReward
from gridrl.processes.transitions import entries, stacked
from gridrl.tables import Array, Indices, read_only

ToyText = dict[int, dict[int, list[tuple[float, int, float, bool]]]]


@dataclass(frozen=True, eq=False)
class Lottery:
    """Distributions in rows of any length, to draw from many at once.

    Attributes:
        edges: running sums: row + the probability up to and including this entry, (m,).
        last: the last entry of each row, (n_rows,).
    """

    edges: Array
    last: Indices

    def draw(self, rows: Indices, uniform: Array) -> Indices:
        """An entry of each of `rows` (n,), given uniform numbers in [0, 1), (n,)."""
        found = self.edges.searchsorted(rows + uniform, side="right")
        return np.minimum(found, self.last[rows])  # row + uniform may round up to the next row


def lottery(row: Indices, p: Array) -> Lottery:
    """Rows 0, 1, ... from the row and the probability of every entry, (m,), sorted by row."""
    last = np.flatnonzero(np.append(np.diff(row), 1))
    total = p.cumsum()
    before = np.append(0.0, total[last[:-1]])[row]
    edges = row + (total - before) / (total[last][row] - before)
    edges[last] = np.arange(1, len(last) + 1)
    return Lottery(read_only(edges), read_only(last))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Pr(s', r | s, a), an entry an outcome, and as the last row Pr(s_0).

    Attributes:
        row: s * A + a, or S * A for the start, (m,), sorted.
        s_next, r, p: the outcome and its probability, (m,); at the start r is 0.
        chance: to draw from.
    """

    row: Indices
    s_next: Indices
    r: Array
    p: Array
    chance: Lottery


def outcomes(mdp: MDP) -> Outcomes:
    """List what can happen in a decision process; outcomes that agree in s' and r are one.

    >>> from gridrl.worlds import bandit
    >>> two_coins = outcomes(bandit([0.0, 1.0]))
    >>> two_coins.row, two_coins.r
    (array([0, 0, 1, 1, 2]), array([-1.,  1.,  0.,  2.,  0.]))
    """
    steps = stacked(mdp.P).tocoo()
    made = np.flatnonzero(steps.data)
    row, s_next = steps.row[made].astype(np.intp), steps.col[made].astype(np.intp)
    s, a = np.divmod(row, mdp.n_actions)
    i, r, q = rewards(mdp.payment, s, a, s_next)
    r = np.where(mdp.terminal[s[i]], 0.0, r)  # nothing is paid where an episode is over
    begins = np.flatnonzero(mdp.start)
    return _merged(
        np.append(row[i], np.full(len(begins), mdp.n_states * mdp.n_actions)),
        np.append(s_next[i], begins),
        np.append(r, np.zeros(len(begins))),
        np.append(steps.data[made][i] * q, mdp.start[begins]),
    )


def rewards(paid: Payment, s: Indices, a: Indices, s_next: Indices) -> tuple[Indices, Array, Array]:
    """Pr(r | s, a, s') of steps (n,): the step's number, a reward and its probability, (m,)."""
    if isinstance(paid, RewardDistribution):
        q = paid.probs[(s, a, s_next)[: paid.probs.ndim - 1]]
        i, k = np.nonzero(q)
        return i, paid.values[k], q[i, k]
    if isinstance(paid, PolicyReward):
        S, A, _ = paid.P.shape
        s_old, s_new = s % S, s_next % S
        weight = paid.policy[s] * entries(paid.P, s_old[:, None], np.arange(A), s_new[:, None])
        i, b = np.nonzero(weight)
        inner, r, q = rewards(paid.payment, s_old[i], b, s_new[i])
        return i[inner], r, q * (weight[i, b] / weight.sum(axis=1)[i])[inner]
    return np.arange(len(s)), paid.draw(s, a, s_next, np.zeros(len(s))), np.ones(len(s))


def toy_text(mdp: MDP, found: Outcomes) -> ToyText:
    """The same table as Gymnasium's toy-text has it: P[s][a] = [(p, s', r, terminated), ...]."""
    P: ToyText = {s: {a: [] for a in range(mdp.n_actions)} for s in range(mdp.n_states)}
    steps = found.row < mdp.n_states * mdp.n_actions
    s, a = np.divmod(found.row[steps], mdp.n_actions)
    s_next = found.s_next[steps]
    columns = (s, a, found.p[steps], s_next, found.r[steps], mdp.terminal[s_next])
    for s_k, a_k, *outcome in zip(*(column.tolist() for column in columns), strict=True):
        P[s_k][a_k].append((outcome[0], outcome[1], outcome[2], outcome[3]))
    return P


def _merged(row: Indices, s_next: Indices, r: Array, p: Array) -> Outcomes:
    order = np.lexsort((r, s_next, row))
    row, s_next, r = row[order], s_next[order], r[order]
    new = np.append(True, (np.diff(row) != 0) | (np.diff(s_next) != 0) | (np.diff(r) != 0))
    p = np.add.reduceat(p[order], np.flatnonzero(new))
    row, s_next, r = read_only(row[new]), read_only(s_next[new]), read_only(r[new])
    return Outcomes(row, s_next, r, read_only(p), lottery(row, p))
