"""Independent answers: every episode of a tiny world with its chance, differences, a diary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl import MDP, arrive, leave
from gridrl.learning import SampledProcess
from gridrl.tables import Array
from tests.strategies import lottery, sparse_rows

Pays = Callable[[int, int, int], list[tuple[float, float]]]  # (s, a, s') -> [(reward, chance)]


@dataclass(frozen=True)
class Story:
    """One possible episode: how likely it is, what was seen, done and paid."""

    chance: float
    seen: tuple[int, ...]
    actions: tuple[int, ...]
    rewards: tuple[float, ...]


def every_story(
    mdp: MDP,
    pi: Array,
    horizon: int,
    *,
    shows: Array | None = None,
    pays: Pays | None = None,
) -> Iterator[Story]:
    """All episodes that may happen, cut off at `horizon`; `shows` is Pr(o|s)."""
    seen = np.eye(mdp.n_states) if shows is None else shows
    paid = pays or (lambda s, a, _: [(float(mdp.R[s, a]), 1.0)])
    P = np.asarray(mdp.P)

    def go_on(s: int, told: Story) -> Iterator[Story]:
        if mdp.terminal[s] or len(told.actions) == horizon:
            yield told
            return
        for o in np.flatnonzero(seen[s]):
            for a in np.flatnonzero(pi[o]):
                for s_next in np.flatnonzero(P[s, a]):
                    for r, chance in paid(s, int(a), int(s_next)):
                        p = told.chance * seen[s, o] * pi[o, a] * P[s, a, s_next] * chance
                        saw, did = (*told.seen, int(o)), (*told.actions, int(a))
                        yield from go_on(int(s_next), Story(p, saw, did, (*told.rewards, r)))

    for s in np.flatnonzero(mdp.start):
        yield from go_on(int(s), Story(float(mdp.start[s]), (), (), ()))


def returns(story: Story, gamma: float) -> list[float]:
    """G_t of every step, forwards, by definition."""
    r = story.rewards
    return [sum(gamma**k * r[t + k] for k in range(len(r) - t)) for t in range(len(r))]


def score(pi: Array, o: int, a: int) -> Array:
    """d log pi(a|o) / dtheta(o,.), (A,)."""
    return np.eye(pi.shape[1])[a] - pi[o]


def estimate_and_noise(story: Story, pi: Array, gamma: float) -> tuple[Array, Array]:
    """Y = sum_t gamma^t G_t phi_t and U = sum_t gamma^t phi_t, (Z, A) each."""
    Y, U, G = np.zeros(pi.shape), np.zeros(pi.shape), returns(story, gamma)
    for t, (o, a) in enumerate(zip(story.seen, story.actions, strict=True)):
        Y[o] += gamma**t * G[t] * score(pi, o, a)
        U[o] += gamma**t * score(pi, o, a)
    return Y, U


def differences(J: Callable[[Array], float], theta: Array, h: float = 1e-3) -> Array:
    """dJ/dtheta by central differences, extrapolated: the error is of the order h^4."""
    gradient = np.zeros(theta.shape)
    for at in np.ndindex(*theta.shape):
        e = np.zeros(theta.shape)
        e[at] = h
        wide = (J(theta + e) - J(theta - e)) / (2 * h)
        narrow = (J(theta + e / 2) - J(theta - e / 2)) / h
        gradient[at] = (4 * narrow - wide) / 3
    return gradient


def unlikely(samples: Array, exact: Array) -> None:
    """5 standard errors: a false alarm in 1.7 million, for each number compared."""
    error = samples.std(axis=0) / len(samples) ** 0.5
    assert (np.abs(samples.mean(axis=0) - exact) <= 5 * error + 1e-12).all()


# --- tiny worlds ----------------------------------------------------------------------------------

FORMS = ["(S, A)", "(S, A, S)", "leave", "arrive", "lottery"]


def payments(rng: np.random.Generator, S: int, A: int, form: str) -> tuple[Any, Pays]:
    """What to give to an MDP, and the same as a list of (reward, chance) for each step."""
    R, r, square = rng.normal(size=(S, A)), rng.normal(size=(S, A, S)), rng.normal(size=S)
    values, probs = rng.normal(size=2), rng.dirichlet(np.ones(2), size=(S, A, S))
    forms: dict[str, tuple[Any, Pays]] = {
        "(S, A)": (R, lambda s, a, _: [(R[s, a], 1.0)]),
        "(S, A, S)": (r, lambda s, a, s_next: [(r[s, a, s_next], 1.0)]),
        "leave": (leave(square), lambda s, a, s_next: [(square[s], 1.0)]),
        "arrive": (arrive(square), lambda s, a, s_next: [(square[s_next], 1.0)]),
        "lottery": (
            lottery(values, probs),
            lambda s, a, s_next: list(zip(values, probs[s, a, s_next], strict=True)),
        ),
    }
    return forms[form]


def descent(form: str, gamma: float, seed: int = 0) -> tuple[MDP, Pays]:
    """Three states and an end, always downhill: an episode has at most three steps."""
    rng = np.random.default_rng(seed)
    P = np.zeros((4, 2, 4))
    for s in range(3):
        P[s, :, s + 1 :] = rng.dirichlet(np.ones(3 - s), size=2)
    P[3, :, 3] = 1
    R, pays = payments(rng, 4, 2, form)
    start = np.append(rng.dirichlet(np.ones(3)), 0.0)
    return MDP(P, R, gamma, start=start, terminal=np.arange(4) == 3), pays


def roundabout(form: str, gamma: float, seed: int = 0) -> tuple[MDP, Pays]:
    """Two states that lead to each other, and perhaps to an end."""
    rng = np.random.default_rng(seed)
    P = sparse_rows(rng, 3, 2, 3)
    P[:2] = rng.dirichlet(np.ones(3), size=(2, 2))
    R, pays = payments(rng, 3, 2, form)
    return MDP(P, R, gamma, start=[0.6, 0.4, 0], terminal=[False, False, True]), pays


# --- a world that can only be tried, and what was done in it --------------------------------------


@dataclass
class Diary:
    """Episodes as they happened: states, actions, rewards, and whether they terminated."""

    episodes: list[tuple[list[int], list[int], list[float], list[bool]]]
    seeds: list[int | None]


def by_hand(
    mdp: MDP, *, limit: int | None = None, gamma: float | None = None
) -> tuple[SampledProcess, Diary]:
    """An MDP whose last state is its only end, as reset and step of somebody else's program."""
    R, diary = mdp.R, Diary([], [])
    first, edges = np.cumsum(mdp.start), np.cumsum(np.asarray(mdp.P), axis=2)
    chance, here = np.random.default_rng(), 0

    def reset(seed: int | None) -> int:
        nonlocal chance, here
        diary.seeds.append(seed)
        if seed is not None:
            chance = np.random.default_rng(seed)
        here = int((chance.random() * first[-1] >= first).sum())
        diary.episodes.append(([here], [], [], []))
        return here

    def step(action: int) -> tuple[int, float, bool, bool]:
        nonlocal here
        states, actions, rewards, ended = diary.episodes[-1]
        assert not (ended and ended[-1]), "a step after the end"
        paid = float(R[here, action])
        row = edges[here, action]
        here = int((chance.random() * row[-1] >= row).sum())
        over = bool(mdp.terminal[here])
        states.append(here)
        actions.append(action)
        rewards.append(paid)
        ended.append(over)
        return here, paid, over, len(actions) == limit

    discount = mdp.gamma if gamma is None else gamma
    size = mdp.n_states, mdp.n_actions
    return SampledProcess(reset, step, *size, discount, mdp.labels, mdp.action_labels), diary
