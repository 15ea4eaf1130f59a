"""For the board: the arithmetic of one update, and an episode replayed update by update."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridrl.iterates import algorithm
from gridrl.planning.bellman import state_values
from gridrl.planning.policies import greedy, softmax_policy
from gridrl.planning.returns import returns_to_go
from gridrl.processes import MDP, Trajectories
from gridrl.processes.decision import an_mdp
from gridrl.tables import Array, index, number, read_only, restore, softmax, table


def explain_update(
    mdp: MDP,
    s: int,
    a: int,
    *,
    alpha: float,
    V: ArrayLike | None = None,
    Q: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    r: float = 0.0,
    s_next: int | None = None,
    a_next: int | None = None,
    G: float = 0.0,
    baseline: float = 0.0,
) -> str:
    """The arithmetic of one update, as lines for the board; which one, the table given says.

    Args:
        mdp: says gamma, and what states and actions are called.
        s: where one was.
        a: what one did.
        alpha: step size.
        V: values (S,): TD(0), after r and s_next.
        Q: action values (S, A): Q-learning, after r and s_next; SARSA if a_next is given too.
        theta: logits (S, A): REINFORCE at time 0, after the return G, with a baseline.
        r: the reward, in reward units.
        s_next: where the step led.
        a_next: what one did there.
        G: the return, in reward units.
        baseline: what was expected of it.

    >>> from gridrl.worlds import penguin_world
    >>> ice = penguin_world()
    >>> mdp, Q = ice.mdp(gamma=0.9), np.zeros((16, 4))
    >>> Q[ice.index(13)] = [0.5, 1.0, 0.0, 0.0]
    >>> print(explain_update(mdp, ice.index(9), 2, alpha=0.1, Q=Q, r=1, s_next=ice.index(13)))
    delta = r + gamma max_a Q(13,a) - Q(9,down) = 1 + 0.9 * max(0.5, 1, 0, 0) - 0 = 1.9
    Q(9,down) <- Q(9,down) + alpha delta = 0 + 0.1 * 1.9 = 0.19

    Raises:
        TypeError, ValueError: not exactly one table, a table of another shape, no s_next, a state
            or an action that is none.
    """
    s, a = index(s, "s", an_mdp(mdp).n_states), index(a, "a", mdp.n_actions)
    alpha, given = number(alpha, "alpha", 0), [x is not None for x in (V, Q, theta)]
    if sum(given) != 1:
        raise ValueError(f"exactly one of V, Q and theta must be given; {sum(given)} are")
    if mdp.terminal[s]:
        raise ValueError(f"s must be a state where one acts; {mdp.labels[s]} is terminal")
    if theta is not None:
        logits = table(theta, "theta", mdp.R.shape)
        return _explain_policy(
            mdp, s, a, logits, alpha, number(G, "G"), number(baseline, "baseline")
        )
    if s_next is None:
        raise ValueError("s_next must be given: where the step led")
    values = _values(mdp, V, Q)
    name = f"V({mdp.labels[s]})" if Q is None else _pair(mdp, s, a)
    old, r = values[s] if Q is None else values[s, a], number(r, "r")
    ahead, symbol, written = _look_ahead(mdp, values, index(s_next, "s_next", mdp.n_states), a_next)
    delta = r + mdp.gamma * ahead - old
    return (
        f"delta = r + gamma {symbol} - {name}"
        f" = {r:.4g} + {mdp.gamma:g} * {written} - {_signed(old)} = {delta:.4g}\n"
        f"{name} <- {name} + alpha delta"
        f" = {old:.4g} + {alpha:g} * {_signed(delta)} = {old + alpha * delta:.4g}"
    )


@dataclass(frozen=True, eq=False)
class Update:
    """What is known after one update of an episode that is replayed.

    Attributes:
        V: state values, (S,): the table itself, max_a Q, or exact ones under softmax(theta).
        policy: (S, A), or None where only V is learned.
        table: the table that is learned, V (S,), Q or theta (S, A).
        s: the state that was learned about.
        words: the arithmetic.
    """

    V: Array
    policy: Array | None
    table: Array
    s: int
    words: str

    def __post_init__(self) -> None:
        for values in (self.V, self.policy, self.table):
            if values is not None:
                read_only(values)

    __setstate__ = restore

    def explain(self, s: int | None = None) -> str:
        """The arithmetic of the update; of other states there is nothing to say."""
        return self.words if s in (None, self.s) else "nothing was learned here in this step"

    def __repr__(self) -> str:
        return f"Update(state {self.s})"


@algorithm
def replay(
    mdp: MDP,
    trajectory: Trajectories,
    *,
    alpha: float,
    V: ArrayLike | None = None,
    Q: ArrayLike | None = None,
    theta: ArrayLike | None = None,
) -> Iterator[Update]:
    """Go through one episode again, an update a step: TD(0), Q-learning or REINFORCE.

    For `plot.stepper(world, replay.iterates(mdp, episode, alpha=0.5, Q=Q))`: the picture, and the
    arithmetic beside it. Which update, the table given says, as in `explain_update`.

    >>> from gridrl import penguin_world, rollout, uniform_policy
    >>> mdp = penguin_world().mdp(gamma=0.9)
    >>> episode = rollout(mdp, uniform_policy(mdp), episodes=1, steps=50, rng=0)[0]
    >>> last = replay(mdp, episode, alpha=0.5, V=np.zeros(16))
    >>> last.words.splitlines()[0]
    'delta = r + gamma V(6) - V(2) = 0 + 0.9 * 0 - 0 = 0'

    Raises:
        TypeError, ValueError: more than one episode or one without steps, not exactly one table.
    """
    if not isinstance(trajectory, Trajectories) or trajectory.states.ndim != 1:
        raise TypeError(
            f"trajectory must be a single episode, say episodes[0]; it is {trajectory!r}"
        )
    if len(trajectory.actions) == 0:
        raise ValueError("trajectory must hold at least one step; it has none")
    tables: dict[str, Any] = {"V": V, "Q": Q, "theta": theta}
    tables = {name: values for name, values in tables.items() if values is not None}
    if len(tables) != 1:
        raise ValueError(f"exactly one of V, Q and theta must be given; {len(tables)} are")
    ((kind, values),) = tables.items()
    values = table(values, kind, (an_mdp(mdp).n_states,) if kind == "V" else mdp.R.shape)
    returns = returns_to_go(trajectory.rewards, mdp.gamma)
    for t, a in enumerate(trajectory.actions):
        s, s_next = int(trajectory.states[t]), int(trajectory.states[t + 1])
        r, G = float(trajectory.rewards[t]), float(mdp.gamma**t * returns[t])
        tables = {kind: values}
        words = explain_update(mdp, s, int(a), alpha=alpha, r=r, s_next=s_next, G=G, **tables)
        values = _updated(mdp, kind, values, (s, int(a), r, s_next), alpha, G)
        yield _snapshot(mdp, kind, values, s, words)


def _updated(
    mdp: MDP, kind: str, old: Array, step: tuple[int, int, float, int], alpha: float, G: float
) -> Array:
    """The table after one step (s, a, r, s')."""
    values, (s, a, r, s_next) = old.copy(), step
    gamma = 0.0 if mdp.terminal[s_next] else mdp.gamma  # nothing comes after the end
    if kind == "theta":
        values[s] += alpha * G * (np.eye(mdp.n_actions)[a] - softmax(old[s]))
    elif kind == "Q":
        values[s, a] += alpha * (r + gamma * old[s_next].max() - old[s, a])
    else:
        values[s] += alpha * (r + gamma * old[s_next] - old[s])
    return values


def _snapshot(mdp: MDP, kind: str, values: Array, s: int, words: str) -> Update:
    if kind == "V":
        return Update(values.copy(), None, values.copy(), s, words)
    if kind == "Q":
        return Update(values.max(axis=1), greedy(values), values.copy(), s, words)
    pi = softmax_policy(values)
    return Update(state_values(mdp, pi), pi, values.copy(), s, words)


def _values(mdp: MDP, V: ArrayLike | None, Q: ArrayLike | None) -> Array:
    if V is not None:
        return table(V, "V", (mdp.n_states,))
    return table(np.asarray(Q), "Q", mdp.R.shape)


def _look_ahead(mdp: MDP, values: Array, s_next: int, a_next: int | None) -> tuple[float, str, str]:
    """What is expected from s' on: the number, its symbol, and how it comes about."""
    there, ahead = mdp.labels[s_next], values[s_next]
    if mdp.terminal[s_next]:  # nothing comes after the end, whatever the table says
        ahead = 0 * ahead
    if values.ndim == 1:
        return float(ahead), f"V({there})", f"{ahead:.4g}"
    if a_next is not None:
        after = index(a_next, "a_next", mdp.n_actions)
        return float(ahead[after]), _pair(mdp, s_next, after), f"{ahead[after]:.4g}"
    numbers = ", ".join(f"{q:.4g}" for q in ahead)
    return float(ahead.max()), f"max_a Q({there},a)", f"max({numbers})"


def _explain_policy(
    mdp: MDP, s: int, a: int, theta: Array, alpha: float, G: float, b: float
) -> str:
    """theta(s,c) <- theta(s,c) + alpha (G - b) [1(c = a) - pi(c|s)], a line for each action c."""
    pi, here = softmax(theta[s]), mdp.labels[s]
    lines = [f"G - b = {G:.4g} - {_signed(b)} = {G - b:.4g}"]
    for c, p in enumerate(pi):
        name = f"theta({here},{mdp.action_labels[c]})"
        new = theta[s, c] + alpha * (G - b) * ((c == a) - p)
        lines.append(
            f"{name} <- {name} + alpha (G - b) [{int(c == a)} - pi({mdp.action_labels[c]}|{here})]"
            f" = {theta[s, c]:.4g} + {alpha:g} * {_signed(G - b)} * ({int(c == a)} - {p:.3g})"
            f" = {new:.4g}"
        )
    return "\n".join(lines)


def _pair(mdp: MDP, s: int, a: int) -> str:
    return f"Q({mdp.labels[s]},{mdp.action_labels[a]})"


def _signed(x: float) -> str:
    return f"({x:.4g})" if x < 0 else f"{x:.4g}"
