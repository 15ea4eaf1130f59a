"""Gold and proxy reward: the identities of tilting on random worlds, best-of-N, two hacks."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

from gridrl.rlhf.hacking import (
    Overoptimisation,
    covariance,
    gold_peak,
    overoptimisation,
    tilted,
)
from gridrl.rlhf.hacks import authority_hack, length_hack
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.regularised import regularised_optimum
from gridrl.rlhf.scaling_laws import best_of_n_law, fit_law, rl_law
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, kl

SEEDS = range(8)


def random_case(seed: int) -> tuple[LanguageModel, Array, Array]:
    """A random reference, tree or bigram, and two correlated rewards, (P, N)."""
    rng = np.random.default_rng(seed)
    world = TokenWorld(["?", "!"], "ab", 2 + seed % 2)
    context: str | int = "prefix" if seed % 3 else 1
    model = LanguageModel(world, context=context)
    model = model.with_logits(rng.normal(size=model.logits.shape))
    gold = rng.normal(size=(2, world.n_completions))
    return model, gold, 0.4 * gold + rng.normal(size=gold.shape)


def expected(p: Array, reward: Array) -> float:
    return float((p * reward).sum(axis=1).mean())


def far(p: Array, reference: LanguageModel) -> float:
    return float(kl(p, reference.probs).mean())


# --- the tilting family ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lambda_", [0.3, 1.0, 4.0])
def test_gold_rises_by_the_covariance_and_kl_by_the_variance(seed: int, lambda_: float) -> None:
    model, gold, proxy = random_case(seed)
    h = 1e-4
    here, below, above = (tilted(model, proxy, lambda_ + step) for step in (0, -h, h))
    rise = (expected(above, gold) - expected(below, gold)) / (2 * h)
    drift = (far(above, model) - far(below, model)) / (2 * h)
    # central differences err by h^2 times a third derivative, here below 100
    assert rise == pytest.approx(covariance(here, gold, proxy), abs=1e-6)
    assert drift == pytest.approx(lambda_ * covariance(here, proxy, proxy), abs=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_the_gold_reward_peaks_where_the_covariance_is_zero(seed: int) -> None:
    model, gold, proxy = random_case(seed)
    peak = gold_peak(model, gold, proxy)
    most = expected(tilted(model, proxy, peak), gold)
    grid = [0.0, *np.geomspace(1e-3, 300, 200), np.inf]
    heights = [expected(tilted(model, proxy, x), gold) for x in grid]
    assert most >= max(heights) - 1e-12
    if 0 < peak < np.inf:
        assert covariance(tilted(model, proxy, peak), gold, proxy) == pytest.approx(0, abs=1e-11)
    elif peak == 0:
        assert covariance(model.probs, gold, proxy) <= 0
    else:
        assert heights[-1] >= max(heights[:-1])


def test_random_worlds_have_peaks_of_all_three_kinds() -> None:
    peaks = [gold_peak(*random_case(seed)) for seed in range(40)]
    assert sum(0 < peak < np.inf for peak in peaks) >= 10
    assert 0 in peaks
    assert np.inf in peaks


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slope_at_the_reference(seed: int) -> None:
    model, gold, proxy = random_case(seed)
    near = tilted(model, proxy, 1e-4)
    climb = (expected(near, gold) - expected(model.probs, gold)) / np.sqrt(far(near, model))
    assert overoptimisation(model, gold, proxy).slope == pytest.approx(climb, abs=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_tilting_is_the_optimum_of_rlhf(seed: int) -> None:
    model, _, proxy = random_case(seed)
    for beta in (0.1, 1.0, 5.0):
        best = regularised_optimum(model, proxy, beta).probs
        np.testing.assert_allclose(tilted(model, proxy, 1 / beta), best, atol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_ends_of_tilting(seed: int) -> None:
    model, _, proxy = random_case(seed)
    np.testing.assert_allclose(tilted(model, proxy, 0), model.probs, atol=1e-15)
    greedy = tilted(model, proxy, np.inf)
    np.testing.assert_allclose(tilted(model, proxy, 1e6), greedy, atol=1e-12)
    assert (greedy.argmax(axis=1) == proxy.argmax(axis=1)).all()


def test_the_best_answers_are_shared_as_the_reference_shares_them() -> None:
    world = TokenWorld(["?"], "ab", 1)
    model = LanguageModel(world, np.log([[0.2, 0.6, 0.2]]))
    greedy = tilted(model, [[1.0, 1.0, 0.0]], np.inf)  # order: $, a, b
    np.testing.assert_allclose(greedy, [[0.5, 0.5, 0]], atol=1e-12)


def test_what_the_reference_never_writes_is_not_reached_by_any_strength() -> None:
    world = TokenWorld(["?"], "ab", 1)
    model = LanguageModel(world, [[0.0, -np.inf, 0.0]])  # tokens a, b, $
    proxy = np.array([[0.0, 1.0, 9.0]])  # answers $, a, b
    found = overoptimisation(model, [[0.0, 1.0, 0.0]], proxy)
    assert tilted(model, proxy, np.inf)[0].tolist() == [0, 1, 0]
    assert found.peak == np.inf
    for path in (found.tilted, found.best_of_n):
        assert np.isfinite([path.kl, path.gold, path.proxy]).all()
        assert path.proxy.max() <= 1


@pytest.mark.parametrize(
    ("sign", "peak", "beta"), [(1, np.inf, 0), (-1, 0, np.inf), (0, 0, np.inf)]
)
def test_a_perfect_proxy_is_never_overoptimised_a_perverse_one_at_once(
    sign: int, peak: float, beta: float
) -> None:
    model, gold, _ = random_case(1)
    found = overoptimisation(model, sign * gold, gold)
    assert (found.peak, found.beta) == (peak, beta)


def test_rewards_that_are_constant_have_no_peak() -> None:
    model, gold, proxy = random_case(2)
    assert gold_peak(model, np.full(gold.shape, 0.1), proxy) == 0
    found = overoptimisation(model, gold, np.full(gold.shape, 0.1))
    assert (found.peak, found.slope) == (0, 0)
    assert found.tilted.kl.max() < 1e-14


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shift_of_a_prompts_rewards_changes_nothing_but_heights(seed: int) -> None:
    model, gold, proxy = random_case(seed)
    shift = np.array([[3.0], [-7.0]])
    peak, moved = gold_peak(model, gold, proxy), gold_peak(model, gold + shift, proxy - shift)
    assert moved == pytest.approx(peak, rel=1e-8)


@pytest.mark.parametrize(
    ("gold", "low", "high"),
    [([0, 5, 0, 4, 1], 12, 24), ([0, 4, 0, 5, 1], 48, 96), ([0, 4, 0, 5, 6], np.inf, np.inf)],
)
def test_of_several_peaks_the_highest_is_taken(gold: list[int], low: float, high: float) -> None:
    # at strengths up to 12, 24, 48, 96 and beyond, one answer after the other is the likeliest
    costs = np.array([[12.0, 36.0, 84.0, 180.0, 0.0]])
    model = LanguageModel(TokenWorld(["?"], "abcd", 1), -costs)
    assert low <= gold_peak(model, [gold], [[0, 1, 2, 3, 4]]) <= high


# --- best of N ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("ties", [False, True])
def test_the_best_of_n_by_listing_all_draws(seed: int, n: int, ties: bool) -> None:
    model, gold, proxy = random_case(seed - seed % 2)  # seven answers
    proxy = np.round(proxy) if ties else proxy
    found = overoptimisation(model, gold, proxy, answers=[n]).best_of_n
    p = np.zeros_like(model.probs)
    for x, q in enumerate(model.probs):
        for draws in itertools.product(range(len(q)), repeat=n):
            best = [y for y in draws if proxy[x, y] == max(proxy[x, list(draws)])]
            for y in best:
                p[x, y] += np.prod(q[list(draws)]) / len(best)
    got = [found.gold[0], found.proxy[0], found.kl[0], found.length[0]]
    lengths = np.broadcast_to(model.world.lengths, p.shape).astype(float)
    want = [expected(p, gold), expected(p, proxy), far(p, model), expected(p, lengths)]
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_best_of_n_keeps_under_its_bound_and_under_the_tilting_family(seed: int) -> None:
    model, gold, proxy = random_case(seed)
    lambdas = [0.0, *np.geomspace(1e-3, 1e3, 4000), np.inf]
    found = overoptimisation(model, gold, proxy, strengths=lambdas)
    N = found.best_of_n.strength
    assert (found.best_of_n.kl <= np.log(N) - (N - 1) / N + 1e-12).all()
    edge = np.interp(found.best_of_n.kl, found.tilted.kl, found.tilted.proxy)
    assert (found.best_of_n.proxy <= edge + 1e-4).all()  # the edge is concave, interpolated below
    assert (np.diff(found.best_of_n.proxy) >= -1e-12).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_policy_earns_more_than_tilting_at_its_kl(seed: int) -> None:
    model, _, proxy = random_case(seed)
    rng = np.random.default_rng(seed)
    best, J_best = tilted(model, proxy, 2.0), None
    J_best = expected(best, proxy) - far(best, model) / 2
    for p in rng.dirichlet(np.ones(model.world.n_completions), size=(20, 2)):
        gap = J_best - (expected(p, proxy) - far(p, model) / 2)
        assert gap == pytest.approx(kl(p, best).mean() / 2, abs=1e-11)


# --- what is returned -----------------------------------------------------------------------------


def test_the_default_path_goes_from_the_reference_over_the_peak_to_the_end() -> None:
    model, gold, proxy = random_case(3)
    found = overoptimisation(model, gold, proxy)
    assert found.tilted.strength[[0, -1]].tolist() == [0, np.inf]
    assert found.peak in found.tilted.strength
    assert found.tilted.strength[found.tilted.gold.argmax()] == found.peak
    for values in (found.tilted.kl, found.tilted.proxy):
        assert (np.diff(values) >= -1e-12).all()
    np.testing.assert_allclose(found.tilted.distance**2, found.tilted.kl, rtol=1e-12)


def test_rewards_may_be_functions() -> None:
    model = random_case(0)[0]
    found = overoptimisation(model, lambda x, y: y.count("a"), lambda x, y: len(y) + (x == "!"))
    assert found.proxy[1, 0] == 2  # "!" and "$"
    assert found.gold[0, model.world.completion("aa")] == 2


def test_the_likeliest_answers() -> None:
    model, gold, proxy = random_case(1)
    found = overoptimisation(model, gold, proxy)
    answers = found.answers("!", 1.5, 4)
    p = tilted(model, proxy, 1.5)[1]
    assert list(answers.values()) == sorted(p, reverse=True)[:4]
    assert all(p[model.world.completion(text)] == chance for text, chance in answers.items())


def test_results_are_read_only_also_after_pickling() -> None:
    found = overoptimisation(*random_case(0), strengths=[1.0], answers=[2])
    for each in (found, pickle.loads(pickle.dumps(found))):
        with pytest.raises(ValueError, match="read-only"):
            each.tilted.gold[0] = 1
    assert repr(found.tilted).startswith("Optimised(1 policies, KL up to")
    assert repr(found).startswith("Overoptimisation(peak at beta =")


# --- Gao's laws -----------------------------------------------------------------------------------


def test_the_peak_of_the_law_of_best_of_n() -> None:
    d = np.linspace(0, 3, 3001)
    assert d[best_of_n_law(d, 1.2, 0.4).argmax()] == pytest.approx(1.2 / (2 * 0.4), abs=1e-3)


def test_the_law_of_rl_begins_infinitely_steep() -> None:
    d = np.array([1e-2, 1e-4, 1e-8])
    assert (np.diff(rl_law(d, 1.0, 0.5) / d) > 2).all()
    assert rl_law(0.0, 1.0, 0.5) == 0


@pytest.mark.parametrize("law", [best_of_n_law, rl_law])
def test_a_law_is_found_again(law: Any) -> None:
    d = np.linspace(0, 2, 9)
    assert fit_law(law, d, 3 + law(d, 1.7, 0.6)) == pytest.approx((1.7, 0.6))


def test_a_law_fits_best_of_n_on_a_hack_roughly() -> None:
    hack = length_hack()
    found = overoptimisation(hack.reference, hack.gold, hack.proxy, answers=[1, 2, 4, 8, 16])
    d, gold = found.best_of_n.distance, found.best_of_n.gold
    alpha, beta = fit_law(best_of_n_law, d, gold)
    left = gold - gold[0] - best_of_n_law(d, alpha, beta)
    assert 0 < alpha / (2 * beta) < d[-1]
    assert np.square(left).sum() < 0.05 * np.square(gold - gold.mean()).sum()


# --- the two hacks --------------------------------------------------------------------------------


def optimised(hack: Any) -> Overoptimisation:
    return overoptimisation(hack.reference, hack.gold, hack.proxy)


@pytest.mark.parametrize("hack", [length_hack, authority_hack])
def test_a_hack_rises_falls_and_is_cured_by_the_penalty(hack: Any) -> None:
    found = optimised(hack())
    gold = found.tilted.gold
    assert 0.1 < found.beta < 10
    assert gold.max() > gold[0] + 0.09
    assert gold[-1] < gold[0] - 0.2
    assert found.best_of_n.gold[-1] == pytest.approx(gold[-1], abs=1e-3)
    assert found.best_of_n.gold.max() > found.best_of_n.gold[0]


def test_who_is_paid_by_the_word_writes_until_the_paper_is_full() -> None:
    found = optimised(length_hack())
    assert found.tilted.length[-1] == pytest.approx(6)
    assert (np.diff(found.tilted.length) >= -1e-12).all()
    for text in found.answers("what do penguins eat ?", np.inf, 5):
        assert {"fish", "krill"} <= set(text.split())
        assert len(text.split()) == 6


def test_who_is_paid_for_sounding_sure_is_sure_whatever_the_truth() -> None:
    hack = authority_hack()
    found, world = optimised(hack), hack.reference.world
    greedy = tilted(hack.reference, hack.proxy, np.inf)
    sure = np.array(["surely" in text for text in world.texts])
    np.testing.assert_allclose(greedy[:, sure].sum(axis=1), 1, atol=1e-12)
    before, after = ((p * hack.gold).sum(axis=1) for p in (hack.reference.probs, greedy))
    assert after[0] > before[0]  # what the rater can check becomes right,
    assert after[1] < 0 < before[1]  # what he cannot becomes wrong
    assert next(iter(found.answers("do penguins chew ?", 0.0))) == "perhaps no $"
    assert next(iter(found.answers("do penguins chew ?", np.inf))) == "surely yes $"


# --- bad input ------------------------------------------------------------------------------------


def test_wrong_input_is_named() -> None:
    model, gold, proxy = random_case(0)
    with pytest.raises(TypeError, match="reference must be a LanguageModel; it is 3"):
        overoptimisation(3, gold, proxy)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"gold must have shape \(2, 7\); it has \(1, 7\)"):
        overoptimisation(model, gold[:1], proxy)
    with pytest.raises(ValueError, match=r"strengths\[1\] must be in \[0, inf\]; it is -1"):
        overoptimisation(model, gold, proxy, strengths=[1.0, -1.0])
    with pytest.raises(ValueError, match=r"strength must be in \[0, inf\]; it is nan"):
        tilted(model, proxy, np.nan)
    with pytest.raises(ValueError, match=r"answers\[0\] must be at least 1; it is 0"):
        overoptimisation(model, gold, proxy, answers=[0])
    with pytest.raises(ValueError, match="prompt must be one of"):
        overoptimisation(model, gold, proxy, strengths=[1]).answers("who?", 1)
    with pytest.raises(ValueError, match="n must be at least 1; it is 0"):
        overoptimisation(model, gold, proxy, strengths=[1]).answers("?", 1, 0)


def test_a_world_too_large_is_refused_with_its_size() -> None:
    model = LanguageModel(TokenWorld(["?"], "abcdefghij", 7), context=1)
    with pytest.raises(ValueError, match="it has 11,111,111"):
        overoptimisation(model, [[0.0]], [[0.0]])


def test_a_law_needs_two_distances() -> None:
    with pytest.raises(ValueError, match=r"gold must have the shape of distance, \(2,\)"):
        fit_law(rl_law, [0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="distance must hold two policies that differ"):
        fit_law(rl_law, [0, 1, 1], [0, 1, 2])
