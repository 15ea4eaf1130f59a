"""Identities of direct methods, games and over-optimisation, on random worlds.

Each side is computed by other code: the library's on the left, a sum over all answers, tokens,
groups or orders, or a difference of one, on the right.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from gridrl.rlhf import (
    LanguageModel,
    Pairs,
    TokenWorld,
    all_pairs,
    best_of_n_law,
    covariance,
    displacement,
    dpo,
    dpo_weight,
    dpo_without_reference,
    exploitability,
    fit_law,
    ipo,
    kto,
    margins,
    mirror_descent,
    nash_md,
    overoptimisation,
    preference_game,
    regularised_nash,
    regularised_optimum,
    rl_law,
    tilted,
)
from gridrl.rlhf.descent import steepest
from gridrl.rlhf.self_play import Playing
from gridrl.tables import Array, kl
from tests.rlhf.identities import (
    CONTEXTS,
    SEEDS,
    TWO,
    Scalar,
    beside,
    is_gradient_of,
    mean_of,
    slope,
)
from tests.rlhf.strategies import models
from tests.strategies import seeds

# --- votes without a reward ---------------------------------------------------------------------


def printed(which: str, reference: LanguageModel, w: Array, beta: float, z0: Any = 0.0) -> Scalar:
    """The mean over votes w (P, N, N) of a loss as it is printed; beta is also tau."""

    def loss(m: LanguageModel) -> float:
        h = m.log_probs - (0 if which == "free" else reference.log_probs)
        h = h / [len(y) for y in m.world.texts] if which == "ipo, mean" else h
        margin = h[:, :, None] - h[:, None, :]
        if which in ("dpo", "free"):
            return float((w * np.logaddexp(0, -(beta if which == "dpo" else 1) * margin)).sum())
        if which != "kto":
            return float((w * (margin - 1 / (2 * beta)) ** 2).sum())
        liked, other = 1.2 - 1.2 * expit(beta * (h - z0)), 0.7 - 0.7 * expit(beta * (z0 - h))
        return float((w * (liked[:, :, None] + other[:, None, :])).sum() / 2)

    return loss


def methods(reference: LanguageModel, beta: float) -> dict[str, Any]:
    """One plain step of each, as a function of the model and the votes."""
    step: dict[str, Any] = {"rule": steepest, "iterations": 1, "alpha": 1.0}
    return {
        "dpo": partial(dpo, reference=reference, beta=beta, **step),
        "free": partial(dpo_without_reference, **step),
        "ipo": partial(ipo, reference=reference, tau=beta, **step),
        "ipo, mean": partial(ipo, reference=reference, tau=beta, length_normalised=True, **step),
        "kto": partial(kto, reference=reference, beta=beta, weights=(1.2, 0.7), **step),
    }


@pytest.mark.parametrize("which", ["dpo", "free", "ipo", "ipo, mean", "kto"])
@settings(max_examples=10)
@given(model=models(CONTEXTS), seed=seeds)
def test_a_step_goes_down_the_loss_as_printed(model: LanguageModel, seed: int, which: str) -> None:
    reference, R, beta = beside(model, seed)
    w = all_pairs(model.world, R, model, 1.0)
    stepped = methods(reference, beta)[which](model, w)
    z0 = (model.probs * np.log(model.probs / reference.probs)).sum(axis=1, keepdims=True)
    loss = printed(which, reference, w, beta, z0)
    assert stepped.loss == pytest.approx(loss(model), rel=1e-10)
    is_gradient_of(model.logits - stepped.logits, loss, model)


@pytest.mark.parametrize("which", ["dpo", "free", "ipo"])
@settings(max_examples=10)
@given(reference=models(CONTEXTS), seed=seeds)
def test_the_optimum_is_the_closed_form(reference: LanguageModel, seed: int, which: str) -> None:
    """Losses are convex in log pi, and a tree is free: what is stationary is best."""
    _, R, beta = beside(reference, seed)
    even = LanguageModel(reference.world).with_logits(_as_even_answers(reference.world))
    p, mu = expit(R[:, :, None] - R[:, None, :]), reference.probs[:, None, :]
    Psi = {"dpo": logit, "free": logit, "ipo": np.positive}[which]  # E_mu[Psi(P(y > y'))] is paid
    paid, anchor = (Psi(p) * mu).sum(axis=2), even if which == "free" else reference
    best = regularised_optimum(anchor, paid, 1.0 if which == "free" else beta).model
    w = all_pairs(reference.world, R, reference, 1.0)
    stepped, loss = methods(reference, beta)[which](best, w), printed(which, reference, w, beta)
    np.testing.assert_allclose(stepped.logits, best.logits, atol=1e-11)
    noise = np.random.default_rng(seed).normal(size=best.logits.shape)
    assert loss(best.with_logits(best.logits + noise)) > loss(best)


def _as_even_answers(world: TokenWorld) -> Array:
    """Logits of a tree whose answers are all as likely: how many begin so, in logs."""
    logits = np.zeros((len(world.prompts), world.n_prefixes, len(world.vocabulary)))
    for i, row in enumerate(world.prefixes):
        begun = world.text(row[row >= 0])
        for k, token in enumerate(world.vocabulary):
            logits[:, i, k] = np.log(sum(y.startswith(begun + token) for y in world.texts))
    return logits.reshape(-1, len(world.vocabulary))


@given(models(CONTEXTS), seeds, st.floats(0.05, 5))
def test_before_the_first_step_every_vote_weighs_a_half(
    model: LanguageModel, seed: int, beta: float
) -> None:
    votes = _random_pairs(model.world, seed, 5)
    margin = margins(model, model, votes)
    assert (margin == 0).all()
    assert (dpo_weight(margin, beta) == 0.5).all()
    assert dpo(model, votes, beta=beta, iterations=1).loss == pytest.approx(np.log(2), rel=1e-12)


def _random_pairs(world: TokenWorld, seed: int, n: int) -> Pairs:
    rng, N = np.random.default_rng(seed), world.n_completions
    y = rng.integers(N, size=n)
    return Pairs(world, rng.integers(len(world.prompts), size=n), y,
                 (y + rng.integers(1, N, size=n)) % N)  # fmt: skip


@settings(max_examples=30)
@given(models(CONTEXTS), seeds)
def test_displacement_is_how_the_chosen_answer_moves(model: LanguageModel, seed: int) -> None:
    votes = _random_pairs(model.world, seed, 1)
    (x, chosen, rejected), y = votes.texts[0], int(votes.chosen[0])
    move = dpo(model, votes, beta=0.7, rule=steepest, alpha=1.0, iterations=1).logits - model.logits
    moved = slope(lambda m: float(m.log_probs[votes.prompt[0], y]), model, move)
    found = displacement(model, x, chosen, rejected)
    assert 0.7 / 2 * found == pytest.approx(moved, abs=1e-6, rel=1e-6)
    if model.context != "prefix":
        return
    # shared prefixes cancel; at the first other token 1 - pi(a) + pi(b), then squares
    first = next(t for t, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    pi = model.next_token(x, chosen[:first])
    total = 1 - pi[chosen[first]] + pi[rejected[first]]
    for t in range(first + 1, len(chosen)):
        pi = model.next_token(x, chosen[:t])
        total += sum(((token == chosen[t]) - p) ** 2 for token, p in pi.items())
    assert found == pytest.approx(total, rel=1e-10)
    assert found > 0


@given(seeds, st.floats(0.51, 0.99), st.floats(0.1, 3))
def test_votes_that_contradict_each_other(seed: int, share: float, beta: float) -> None:
    """Two answers: DPO and IPO come to rest at their odds, KTO goes on to the majority's."""
    start, reference = (LanguageModel(TWO, row[None])
                        for row in np.random.default_rng(seed).normal(size=(2, 2)))  # fmt: skip
    said = Pairs(TWO, [0], [1], [0], share)
    a_step = methods(reference, beta)
    for which, odds in (("dpo", logit(share) / beta), ("ipo", (2 * share - 1) / (2 * beta))):
        rest = reference.with_logits(reference.logits + np.array([[odds, 0]]))
        np.testing.assert_allclose(a_step[which](rest, said).logits, rest.logits, atol=1e-12)
    for m in (start, reference.with_logits(reference.logits + np.array([[5.0, 0]]))):
        move = kto(m, said, reference=reference, beta=beta, rule=steepest, iterations=1).logits
        assert np.diff(move - m.logits)[0, 0] < 0


@given(seeds, st.floats(0.1, 2))
def test_votes_all_one_way(seed: int, beta: float) -> None:
    """IPO comes to rest at a margin of 1 / (2 tau); DPO nowhere, for no beta."""
    start, reference = (LanguageModel(TWO, row[None])
                        for row in np.random.default_rng(seed).normal(size=(2, 2)))  # fmt: skip
    said, a_step = Pairs(TWO, [0], [1], [0]), methods(reference, beta)
    rest = reference.with_logits(reference.logits + np.array([[1 / (2 * beta), 0]]))
    stepped = a_step["ipo"](rest, said)
    np.testing.assert_allclose(stepped.logits, rest.logits, atol=1e-12)
    for m in (start, rest, rest.with_logits([[5.0, 0]])):
        assert np.diff(a_step["dpo"](m, said).logits - m.logits)[0, 0] < 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mean_over_tokens_moves_the_optimum_of_ipo(seed: int) -> None:
    world = TokenWorld(["?", "!"], "abc"[: 1 + seed % 3], 2 + seed % 2)
    reference = LanguageModel(world)
    _, R, tau = beside(reference, seed)
    w = all_pairs(world, R, reference, 1.0)
    wins = (expit(R[:, :, None] - R[:, None, :]) * reference.probs[:, None, :]).sum(axis=2)
    best = regularised_optimum(reference, wins, tau).model
    moves = {k: f(best, w).logits - best.logits for k, f in methods(reference, tau).items()}
    assert np.abs(moves["ipo"]).max() < 1e-12
    assert np.abs(moves["ipo, mean"]).max() > 1e-3


# --- games --------------------------------------------------------------------------------------


def random_game(seed: int, n: int) -> tuple[Array, Array]:
    """Preferences that no reward explains, and a reference."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n))
    return expit(X - X.T), rng.dirichlet(np.full(n, 3.0))


def between(policy: Array, mu: Array, share: float) -> Array:
    mixed = policy ** (1 - share) * mu**share
    return np.asarray(mixed / mixed.sum())


@settings(max_examples=20)
@given(seeds, st.integers(2, 5), st.floats(0.1, 1), st.floats(0.05, 0.9))
def test_mirror_descent_against_nash_mds_opponent_is_nash_md(
    seed: int, n: int, tau: float, share: float
) -> None:
    M, mu = random_game(seed, n)

    def opponent(now: Playing) -> Array:
        return between(now.policy, mu, share)

    same: dict[str, Any] = {"tau": tau, "step": share / tau, "iterations": 30}
    played = mirror_descent(M, mu, against=opponent, **same).policy
    np.testing.assert_allclose(played, nash_md(M, mu, **same).policy, atol=1e-10)
    pi = mu
    for _ in range(30):
        q = between(pi, mu, share)
        pi = q * np.exp(share / tau * M @ q)
        pi = pi / pi.sum()
    np.testing.assert_allclose(played, pi, atol=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_constant_step_comes_to_rest_at_another_point(seed: int) -> None:
    """Of three answers or more; of two, P(y > pi) - P(y' > pi) is the same against every pi."""
    n, tau = 2 + seed % 4, 0.3
    M, mu = random_game(seed, n)
    pi = nash_md(M, mu, tau=tau, step=0.2 / tau, iterations=400).policy
    answer = mu * np.exp(M @ between(pi, mu, 0.2) / tau)
    np.testing.assert_allclose(pi, answer / answer.sum(), atol=1e-12)
    apart = kl(regularised_nash(M, mu, tau=tau), pi)
    assert apart < 1e-14 if n == 2 else apart > 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_self_play_spirals_outward_while_its_average_settles(seed: int) -> None:
    a, b, c = np.random.default_rng(seed).uniform(0.1, 0.5, size=3)
    M = 0.5 + np.array([[0, a, -c], [-a, 0, b], [c, -b, 0]])
    nash, start, eta, T = np.array([b, c, a]) / (a + b + c), np.array([0.5, 0.3, 0.2]), 0.1, 2000
    np.testing.assert_allclose(preference_game(M).policy, nash, atol=1e-9)
    path = list(mirror_descent.iterates(M, start, step=eta, iterations=T))
    gaps = [float(kl(nash, policy)) for policy in (start, *(now.policy for now in path))]
    assert (np.diff(gaps) > 0).all()
    # Hedge's regret in T + 1 rounds of payoffs in [0, 1], and half is what one wins from oneself
    regret = -np.log(start.min()) / (eta * (T + 1)) + eta / 8
    assert exploitability(M, path[-1].average) <= regret


# --- over-optimisation --------------------------------------------------------------------------


@settings(max_examples=20)
@given(models(CONTEXTS), seeds, st.floats(0, 3))
def test_tilting_moves_gold_by_covariance(model: LanguageModel, seed: int, strength: float) -> None:
    other, gold, _ = beside(model, seed)
    proxy, h = gold - other.log_probs, 1e-4

    def by_hand(lambda_: float) -> tuple[float, float]:
        p = model.probs * np.exp(lambda_ * proxy)
        p = p / p.sum(axis=1, keepdims=True)
        return mean_of(p, gold), mean_of(p, np.log(p / model.probs))

    p = tilted(model, proxy, strength)
    (gold_up, kl_up), (gold_down, kl_down) = by_hand(strength + h), by_hand(strength - h)
    # central differences err by h^2 / 6 times a third derivative, a moment of rewards up to 10
    rise, drift = (gold_up - gold_down) / (2 * h), (kl_up - kl_down) / (2 * h)
    assert covariance(p, gold, proxy) == pytest.approx(rise, abs=1e-5)
    assert strength * covariance(p, proxy, proxy) == pytest.approx(drift, abs=1e-5)
    (gold_up, kl_up), (gold_down, kl_down) = by_hand(1e-3), by_hand(-1e-3)
    found = overoptimisation(model, gold, proxy, strengths=[strength], answers=[1])
    climb = (gold_up - gold_down) / (np.sqrt(kl_up) + np.sqrt(kl_down))
    assert found.slope == pytest.approx(climb, abs=1e-3)
    np.testing.assert_allclose([found.tilted.gold[0], found.tilted.kl[0]], by_hand(strength),
                               atol=1e-12)  # fmt: skip


@given(st.floats(0.1, 5), st.floats(0.05, 2), seeds)
def test_gaos_laws_have_their_peaks_and_slopes(alpha: float, beta: float, seed: int) -> None:
    d = np.append(0.0, np.random.default_rng(seed).uniform(0.05, 4, size=9))
    for law, peak, height in (
        (best_of_n_law, alpha / (2 * beta), alpha**2 / (4 * beta)),
        (rl_law, np.exp(alpha / beta - 1), beta * np.exp(alpha / beta - 1)),
    ):
        assert law(peak, alpha, beta) == pytest.approx(height, rel=1e-9)
        assert (law(d, alpha, beta) <= height * (1 + 1e-12)).all()
        assert fit_law(law, d, 7 + law(d, alpha, beta)) == pytest.approx((alpha, beta), rel=1e-6)
    assert rl_law(1e-200, alpha, beta) / 1e-200 == pytest.approx(alpha + 200 * beta * np.log(10))
