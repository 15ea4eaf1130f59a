"""Other horizons than the discounted one: a fixed number of steps, and for ever on average.

Symbols: V[t, s], Q[t, s, a] with T - t steps to go; g gain, average reward per step; h bias, what
starting in s is worth beyond the gain, sum_t (r_t - g).

Reading: Puterman, Markov Decision Processes (1994), chapters 4, 8 and 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from gridrl.errors import NotConverged
from gridrl.iterates import algorithm
from gridrl.planning.bellman import action_values, expected_return, explain_backup
from gridrl.planning.policies import greedy, uniform_policy
from gridrl.processes import MDP, RewardProcess, structure
from gridrl.processes.decision import an_mdp, policy_table
from gridrl.processes.html import html_table
from gridrl.processes.transitions import solve_linear
from gridrl.tables import Array, best, index, read_only, restore, whole


@dataclass(frozen=True, eq=False)
class FiniteHorizon:
    """The best one can do in T steps, as far as it is known: from time `t` on.

    Attributes:
        V: (T + 1, S), V[t] with T - t steps to go, in reward units; 0 before it is known.
        Q: (T, S, A).
        policy: (T, S, A), greedy, ties split; uniform before it is known.
        t: the time that was backed up last.
        mdp: the model.
    """

    V: Array
    Q: Array
    policy: Array
    t: int
    mdp: MDP = field(repr=False)

    def __post_init__(self) -> None:
        for values in (self.V, self.Q, self.policy):
            read_only(values)

    __setstate__ = restore

    def explain(self, s: int | None = None) -> str:
        """The arithmetic of the last backup of state `s`; None: of the most valuable state."""
        s = int(self.V[self.t].argmax()) if s is None else s
        return f"at time {self.t}\n{explain_backup(self.mdp, self.V[self.t + 1], s)}"

    def __repr__(self) -> str:
        return f"FiniteHorizon(T={len(self.Q)}, known from t={self.t} on, {self.V.shape[1]} states)"

    def _repr_html_(self) -> str:
        times = [str(t) for t in range(len(self.V))]
        return f"<p>{self!r}</p>" + html_table("t, s", self.mdp.labels, times, self.V)


@algorithm
def backward_induction(mdp: MDP, horizon: int) -> Iterator[FiniteHorizon]:
    """V_t(s) = max_a [R(s,a) + gamma sum_s' P(s'|s,a) V_{t+1}(s')], from V_T = 0.

    The best policy depends on the time. [Puterman 1994, sec. 4.5]

    >>> from gridrl.worlds import forest
    >>> backward_induction(forest(), horizon=2).V.round(2)
    array([[0.81, 3.24, 7.24],
           [0.  , 1.  , 4.  ],
           [0.  , 0.  , 0.  ]])
    """
    T, S = whole(horizon, "horizon", least=1), an_mdp(mdp).n_states
    V, Q = np.zeros((T + 1, S)), np.zeros((T, *mdp.R.shape))
    policy = np.tile(uniform_policy(mdp), (T, 1, 1))
    for t in reversed(range(T)):
        Q[t] = action_values(mdp, V[t + 1])
        V[t], policy[t] = Q[t].max(axis=1), greedy(Q[t])
        yield FiniteHorizon(V.copy(), Q.copy(), policy.copy(), t, mdp)


@dataclass(frozen=True, eq=False)
class AverageReward:
    """Where the search for the best average reward stands.

    Attributes:
        gain: reward per step from the start distribution, in the long run.
        gains: the same from each state, (S,); all equal where every state can reach every other.
        bias: (S,), in reward units; it averages to 0 over each closed class.
        Q: R(s,a) - g(s) + sum_s' P(s'|s,a) h(s'), (S, A).
        policy: (S, A), its policy, deterministic once it was improved.
        mdp: the model.
    """

    gain: float
    gains: Array
    bias: Array
    Q: Array
    policy: Array
    mdp: MDP = field(repr=False)

    def explain(self, s: int | None = None) -> str:
        """The arithmetic of Q(s,a) in state `s`; None: where most could be gained."""
        gap = self.Q.max(axis=1) - self.bias
        s = int(gap.argmax()) if s is None else index(s, "s", len(self.bias))
        shifted = self.mdp.replace(R=self.mdp.R - self.gains[:, None], gamma=1.0)
        lines = explain_backup(shifted, self.bias, s).replace(" V(", " h(").replace("(V(", "(h(")
        return f"each reward less the gain, {self.gains[s]:.4g}:\n{lines.replace('V(', 'h(')}"

    def __post_init__(self) -> None:
        for values in (self.gains, self.bias, self.Q, self.policy):
            read_only(values)

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"AverageReward(gain={self.gain:.6g}, {len(self.bias)} states)"

    def _repr_html_(self) -> str:
        states = [str(s) for s in range(1, len(self.bias) + 1)]
        heads = ["gain", "bias", *(f"π {a + 1}" for a in range(self.policy.shape[1]))]
        cells = np.column_stack([self.gains, self.bias, self.policy])
        return f"<p>{self!r}</p>{html_table('s', heads, states, cells)}"


@algorithm
def average_reward(mdp: MDP, *, max_iterations: int = 1000) -> Iterator[AverageReward]:
    """Maximise g = lim 1/T E[r_1 + ... + r_T], by policy iteration; gamma plays no part.

    Not by iterating values: under a policy of period 2 (any on the penguin's ice) they swing.
    Several closed classes are allowed, each with a gain of its own.  [Puterman 1994, sec. 9.2]

    >>> from gridrl.worlds import forest
    >>> round(average_reward(forest()).gain, 6)
    3.24

    Raises:
        NotConverged: something still gains after `max_iterations`.
    """
    policy = uniform_policy(an_mdp(mdp))
    for _ in range(whole(max_iterations, "max_iterations", least=1)):
        g, h = gain_and_bias(mdp.under(policy))
        ahead = mdp.P @ g  # (S, A): first the gain of where one goes, then the bias
        Q = np.where(best(ahead, _rounding(mdp.R)), mdp.R - g[:, None] + mdp.P @ h, -np.inf)
        yield AverageReward(float(mdp.start @ g), g, h, Q, policy, mdp)
        new = _improve(mdp, ahead, Q, policy)
        if new is policy:
            return
        policy = new
    raise NotConverged(f"the average reward still grows after {max_iterations} iterations")


def gain_and_bias(process: RewardProcess) -> tuple[Array, Array]:
    """The average reward g (S,) and the bias h (S,) of a reward process.

    On each closed class g = mu R, mu stationary; elsewhere the average of where one ends up. h
    solves (I - P) h = R - g with mu h = 0.  [Puterman 1994, th. 8.2.6]
    """
    P, R = process.P, process.R
    closed = process.closed_classes()
    mu = [structure.stationary(P, c) for c in closed]
    ends_in = structure.absorption_probabilities(P, closed)
    g = ends_in @ [m @ R[list(c)] for m, c in zip(mu, closed, strict=True)]
    h = np.zeros(len(R))
    for m, c in zip(mu, closed, strict=True):
        first, others = list(c[:1]), list(c[1:])  # h = 0 on the first, then shifted
        if others:
            h[others] = solve_linear(P[others][:, others], (R - g)[others])
        h[first + others] -= m @ h[first + others]
    T = np.setdiff1d(np.arange(len(R)), np.concatenate([np.array(c) for c in closed]))
    if len(T):
        h[T] = solve_linear(P[T][:, T], (R - g)[T] + P[T] @ h)
    return g, h


def _improve(mdp: MDP, ahead: Array, Q: Array, policy: Array) -> Array:
    """Greedy in the gain ahead, then in Q, wherever that is better than `policy`; else `policy`."""
    more_gain = ahead.max(axis=1) > (policy * ahead).sum(axis=1) + _rounding(mdp.R)
    now = (policy * np.where(policy > 0, Q, 0.0)).sum(axis=1)
    finite = np.where(np.isfinite(Q), Q, 0.0)
    more_bias = ~more_gain & (Q.max(axis=1) > now + max(_rounding(finite), _rounding(mdp.R)))
    if not (more_gain | more_bias).any():
        return policy
    first = np.eye(Q.shape[1])[Q.argmax(axis=1)]
    return np.where((more_gain | more_bias)[:, None], first, policy)


def _rounding(values: Array) -> float:
    return 1e-10 * float(np.abs(values).max())


def regret(mdp: MDP, policy: ArrayLike) -> float:
    """J(pi*) - J(pi), what `policy` loses from the start, in reward units; 0 for an optimal one.

    A time-dependent policy (T, S, A) is compared with the best that T steps allow.

    >>> from gridrl.worlds import penguin_world
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> round(regret(mdp, uniform_policy(mdp)), 3)
    0.808
    """
    from gridrl.planning.dynamic_programming import policy_iteration

    pi = policy_table(mdp, policy)
    best = policy_iteration(mdp).V if pi.ndim == 2 else backward_induction(mdp, len(pi)).V[0]
    return float(mdp.start @ best) - expected_return(mdp, pi)
