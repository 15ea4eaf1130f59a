"""DPO, IPO, KTO: losses, gradients, and the policies they reach, beside their closed forms."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit

from gridrl.rlhf.descent import Pull, Start, on_margins, on_ratios, steepest
from gridrl.rlhf.direct import displacement, dpo, dpo_without_reference, ipo, kto, margins
from gridrl.rlhf.direct_losses import (
    dpo_loss,
    dpo_slope,
    dpo_weight,
    ipo_loss,
    ipo_slope,
    kto_loss,
    kto_slope,
)
from gridrl.rlhf.duels import Duels, duels_of
from gridrl.rlhf.labelling import all_pairs, label_pairs
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.regularised import optimality_gap, regularised_optimum
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs
from gridrl.tables import Array, kl

SEEDS = st.integers(0, 2**32 - 1)
TWO = TokenWorld(["?"], "a", 1)  # answers "$" and "a"
METHODS: list[Any] = [dpo, dpo_without_reference, ipo, kto]


def random_case(seed: int, context: str | int = "prefix") -> tuple[TokenWorld, Any, Array]:
    """A world, a reference and a reward."""
    rng = np.random.default_rng(seed)
    world = TokenWorld(["?", "!"][: rng.integers(1, 3)], "abc"[: rng.integers(1, 4)], 2)
    shape = LanguageModel(world, context=context).logits.shape
    reference = LanguageModel(world, 0.7 * rng.normal(size=shape), context=context)
    return world, reference, rng.normal(size=(len(world.prompts), world.n_completions))


def lowest(model: LanguageModel, pull: Pull, duels: Duels) -> Array:
    """The policy (P, N) of least loss, by L-BFGS."""

    def loss(theta: Array) -> tuple[float, Array]:
        logits = theta.reshape(1, *model.logits.shape)
        value, slope = pull(duels, logits, duels.answers.log_probs(logits).sum(axis=-1))
        return float(value[0]), duels.answers.gradient(logits, slope[:, None]).ravel()

    theta = model.logits.ravel()
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-16, "gtol": 1e-11}
    for _ in range(3):  # each time with a fresh memory
        theta = minimize(loss, theta, jac=True, method="L-BFGS-B", options=options).x
    return model.with_logits(theta.reshape(model.logits.shape)).probs


# --- losses -------------------------------------------------------------------------------------


def test_first_step_golden() -> None:
    assert dpo_loss(0.0, 0.3) == pytest.approx(np.log(2))  # .6931
    assert dpo_weight(0.0, 0.3) == 0.5
    world, reference, reward = random_case(0)
    votes = label_pairs(world, reward, reference, 20, rng=0)
    np.testing.assert_array_equal(margins(reference, reference, votes), 0)
    first = next(dpo.iterates(reference, votes, beta=0.3, iterations=1))
    assert first.loss == pytest.approx(np.log(2))


@pytest.mark.parametrize("point", [-3.0, -0.2, 0.0, 1.7])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (partial(dpo_loss, beta=0.4), partial(dpo_slope, beta=0.4)),
        (partial(ipo_loss, tau=0.4), partial(ipo_slope, tau=0.4)),
        *[
            tuple(
                partial(f, desirable=liked, beta=0.4, kl=0.3, weights=(1.2, 0.7))
                for f in (kto_loss, kto_slope)
            )
            for liked in (True, False)
        ],
    ],
)
def test_slopes_are_derivatives(
    loss: Callable[[float], Array], slope: Callable[[float], Array], point: float
) -> None:
    h = 1e-5
    assert slope(point) == pytest.approx((loss(point + h) - loss(point - h)) / (2 * h), abs=1e-7)


def test_the_weight_grows_with_the_mistake() -> None:
    """Section 4's sign: sigma(r(rejected) - r(chosen)), not the appendix's."""
    weights = dpo_weight([-5.0, 0.0, 5.0], 1.0)
    np.testing.assert_allclose(weights, expit([5.0, 0.0, -5.0]))
    assert (np.diff(weights) < 0).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(["prefix", 0, 1]), st.sampled_from(["dpo", "ipo", "kto"]))
def test_gradients_by_logits(seed: int, context: str | int, which: str) -> None:
    world, reference, reward = random_case(seed, context)
    rng = np.random.default_rng([seed, 1])
    theta, along = rng.normal(size=(2, 1, *reference.logits.shape))
    w, ref, tables = all_pairs(world, reward, reference, 1.0), reference.log_probs, reference.tables
    start = Start(reference, w, None, None)
    answers, lengths = start.duels.answers, np.tile(world.lengths, len(ref))
    z0 = kl(np.exp(tables.log_probs(theta)), reference.probs)[0]  # held still
    pulls = {
        "dpo": on_margins(ref.ravel(), partial(dpo_loss, beta=0.7), partial(dpo_slope, beta=0.7)),
        "ipo": on_margins(
            ref.ravel(), partial(ipo_loss, tau=0.7), partial(ipo_slope, tau=0.7), 1 / lengths
        ),
        "kto": on_ratios(start, 0.7, (1.2, 0.8)),
    }

    def loss(logits: Array) -> float:
        """The mean over all votes, written out."""
        h = tables.log_probs(logits)[0] - ref
        g = h / world.lengths if which == "ipo" else h
        margin = g[:, :, None] - g[:, None, :]
        if which != "kto":
            return float((w * (dpo_loss if which == "dpo" else ipo_loss)(margin, 0.7)).sum())
        liked, unliked = (
            kto_loss(h, side, 0.7, kl=z0[:, None], weights=(1.2, 0.8)) for side in (True, False)
        )
        return float((w * (liked[:, :, None] + unliked[:, None, :])).sum() / 2)

    value, slope = pulls[which](start.duels, theta, answers.log_probs(theta).sum(axis=-1))
    h = 1e-5
    difference = (loss(theta + h * along) - loss(theta - h * along)) / (2 * h)
    assert value[0] == pytest.approx(loss(theta), rel=1e-12)
    gradient = answers.gradient(theta, slope[:, None])
    assert (gradient * along).sum() == pytest.approx(difference, abs=1e-7)


def test_dpo_gradient_is_the_paper_s() -> None:
    """- beta sigma(-beta margin) (grad log pi(chosen) - grad log pi(rejected))."""
    world, reference, _ = random_case(3, 1)
    model = reference.with_logits(reference.logits + np.random.default_rng(0).normal(size=1))
    model = model.with_logits(np.random.default_rng(0).normal(size=model.logits.shape))
    votes = Pairs(world, [0], [2], [0])
    pick = np.zeros((2, *model.probs.shape))
    pick[0, 0, 2] = pick[1, 0, 0] = 1
    up, down = model.tables.gradient(np.stack([model.logits] * 2), pick)
    weight = dpo_weight(margins(model, reference, votes), 0.7)
    stepped = dpo(
        model, votes, reference=reference, beta=0.7, alpha=0.1, iterations=1, rule=steepest
    )
    np.testing.assert_allclose(
        stepped.logits - model.logits, 0.1 * 0.7 * weight * (up - down), atol=1e-14
    )


# --- optima -------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from([0.5, 1.0, 2.0]))
def test_dpo_s_optimum_is_the_closed_form(seed: int, beta: float) -> None:
    world, reference, reward = random_case(seed)
    duels = duels_of(all_pairs(world, reward, reference, 1.0), reference, None)
    loss, slope = partial(dpo_loss, beta=beta), partial(dpo_slope, beta=beta)
    found = lowest(reference, on_margins(reference.log_probs.ravel(), loss, slope), duels)
    best = regularised_optimum(reference, reward, beta).probs
    np.testing.assert_allclose(found, best, atol=1e-5)  # half the digits of a loss of 1e-16 / 1e-6


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_lecture_004_s_optimum_is_the_softmax(seed: int) -> None:
    world, reference, reward = random_case(seed)
    duels = duels_of(all_pairs(world, reward, reference, 1.0), reference, None)
    loss, slope = partial(dpo_loss, beta=1.0), partial(dpo_slope, beta=1.0)
    found = lowest(reference, on_margins(0.0, loss, slope), duels)
    np.testing.assert_allclose(found, np.exp(log_softmax(reward, axis=-1)), atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from([0.3, 1.0]))
def test_ipo_s_optimum_is_its_closed_form(seed: int, tau: float) -> None:
    world, reference, reward = random_case(seed)
    duels = duels_of(all_pairs(world, reward, reference, 1.0), reference, None)
    loss, slope = partial(ipo_loss, tau=tau), partial(ipo_slope, tau=tau)
    found = lowest(reference, on_margins(reference.log_probs.ravel(), loss, slope), duels)
    wins = expit(reward[:, :, None] - reward[:, None, :]) @ reference.probs[..., None]
    best = np.exp(log_softmax(reference.log_probs + wins[..., 0] / tau, axis=-1))
    np.testing.assert_allclose(found, best, atol=1e-5)


def test_learners_reach_their_optima() -> None:
    world, reference, reward = random_case(5)
    w = all_pairs(world, reward, reference, 1.0)
    learned = dpo(reference, w, beta=0.5, iterations=3000)
    assert optimality_gap(learned.model, reference, reward, 0.5) < 1e-6
    free = dpo_without_reference(reference, w, iterations=3000).probs
    np.testing.assert_allclose(free, np.exp(log_softmax(reward, axis=-1)), atol=1e-3)
    wins = (expit(reward[:, :, None] - reward[:, None, :]) @ reference.probs[..., None])[..., 0]
    pulled = ipo(reference, w, tau=0.5, iterations=3000).probs
    best = np.exp(log_softmax(reference.log_probs + wins / 0.5, axis=-1))
    np.testing.assert_allclose(pulled, best, atol=1e-3)


def test_length_normalised_ipo_is_another_objective() -> None:
    world, reference, reward = random_case(5)
    w = all_pairs(world, reward, reference, 1.0)
    paper, mean = (
        ipo(reference, w, iterations=2000, length_normalised=on).probs for on in (False, True)
    )
    assert np.abs(paper - mean).sum() / 2 > 0.05


@pytest.mark.parametrize(("tau", "share"), [(0.1, 0.993307), (1.0, 0.622459)])
def test_ipo_stops_where_all_votes_are_one_way(tau: float, share: float) -> None:
    learned = ipo(LanguageModel(TWO), Pairs(TWO, [0], [1], [0]), tau=tau, iterations=3000)
    assert learned.probs[0, 1] == pytest.approx(share, abs=1e-6)
    assert share == pytest.approx(expit(1 / (2 * tau)), abs=1e-6)


@pytest.mark.parametrize(("beta", "share"), [(0.1, 0.999), (1.0, 0.999), (5.0, 0.85)])
def test_dpo_does_not_and_says_so(beta: float, share: float) -> None:
    """The margin grows as log(steps) / beta, without end."""
    votes = Pairs(TWO, [0], [1], [0])
    path = list(dpo.iterates(LanguageModel(TWO), votes, beta=beta, iterations=2000))
    assert (np.diff([now.probs[0, 1] for now in path[::100]]) > -1e-15).all()
    learned = path[-1]
    assert learned.probs[0, 1] > share
    assert learned.endless == 1
    assert "diverges: 1 pairs were voted on one way only" in repr(learned)


def test_a_circle_of_votes_does_not_diverge() -> None:
    world = TokenWorld(["?", "!"], "abc", 1)
    circle = Pairs(world, [0, 0, 0], [0, 1, 2], [1, 2, 0])
    assert dpo(LanguageModel(world), circle, iterations=1).endless == 0
    broken = Pairs(world, [0, 0, 1], [0, 1, 2], [1, 2, 0])  # the third is about another prompt
    assert dpo(LanguageModel(world), broken, iterations=1).endless == 3
    assert "diverges" not in repr(ipo(LanguageModel(world), broken, iterations=1))


@pytest.mark.parametrize("beta", [0.1, 1.0])
@pytest.mark.parametrize(("votes", "fair"), [(0.75, 0.5), (0.55, 0.5)], ids=["75/25", "55/45"])
def test_contradictory_labels(votes: float, fair: float, beta: float) -> None:
    """KTO gives everything to the majority; DPO and IPO do not."""
    model, said = LanguageModel(TWO), Pairs(TWO, [0], [1], [0], votes)
    assert kto(model, said, beta=beta, iterations=3000).probs[0, 1] > 0.999
    held = dpo(model, said, beta=beta, iterations=4000).probs[0, 1]
    assert held == pytest.approx(expit(logit(votes) / beta), abs=1e-5)
    assert fair < held


@pytest.mark.parametrize(("votes", "share"), [(0.75, 0.562), (0.55, 0.5125)])
def test_ipo_with_contradictory_labels(votes: float, share: float) -> None:
    learned = ipo(LanguageModel(TWO), Pairs(TWO, [0], [1], [0], votes), iterations=3000)
    assert learned.probs[0, 1] == pytest.approx(share, abs=5e-4)


# --- likelihood displacement --------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_free_table_never_pushes_the_chosen_answer_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = TokenWorld(["?"], "ab", 3)
    model = LanguageModel(world, 2 * rng.normal(size=(world.n_prefixes, 3)))
    y, other = rng.choice(world.n_completions, 2, replace=False)
    assert displacement(model, "?", world.texts[y], world.texts[other]) > 0


def test_a_free_table_at_uniform_all_210() -> None:
    model = LanguageModel(TokenWorld(["?"], "ab", 3))
    texts = model.world.texts
    moves = [displacement(model, "?", y, other) for y in texts for other in texts if y != other]
    assert len(moves) == 210
    assert min(moves) > 0


def test_a_bigram_does_golden() -> None:
    world = TokenWorld(["?"], "ab", 5)
    bigram = LanguageModel(world, context=1)
    assert displacement(bigram, "?", "aaa$", "aaaa$") == pytest.approx(-1.0, abs=1e-12)
    votes = Pairs.from_texts(world, [("?", "aaa$", "aaaa$")])
    stepped = dpo(bigram, votes, alpha=1e-4, iterations=1, rule=steepest).model
    moved = stepped.log_prob("?", "aaa$") - bigram.log_prob("?", "aaa$")
    assert moved == pytest.approx(-1.0 * 1e-4 * 0.5, rel=1e-3)
    assert margins(stepped, bigram, votes)[0] > 0


# --- runs, batches, formats of votes ------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_run_k_of_many_is_run_k_alone(method: Any) -> None:
    world, reference, reward = random_case(2)
    many = [label_pairs(world, reward, reference, 12 + k, rng=k) for k in range(3)]
    kwargs = {"batch": 4, "iterations": 30, "rng": 7}
    three, two = method(reference, many, **kwargs), method(reference, many[:2], **kwargs)
    np.testing.assert_allclose(three.logits[:2], two.logits, atol=1e-14)
    assert three.loss.shape == (3,)
    assert len(three.models) == 3
    alone = method(reference, many[0], **kwargs)
    np.testing.assert_allclose(alone.logits, three.logits[0], atol=1e-14)
    np.testing.assert_allclose(three.models[0].probs, three.probs[0], atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_batches_are_unbiased(method: Any) -> None:
    world, reference, reward = random_case(2)
    votes = label_pairs(world, reward, reference, 30, rng=0)
    kwargs = {"iterations": 1, "rule": steepest, "alpha": 1.0}
    exact = method(reference, votes, **kwargs).logits - reference.logits
    moves = method(reference, votes, batch=5, runs=4000, rng=1, **kwargs).logits - reference.logits
    error = moves.std(axis=0) / np.sqrt(len(moves))
    off = np.abs(moves.mean(axis=0) - exact) - 5 * error  # each of <= 60 entries: 6e-7 false alarm
    assert (off < 1e-12).all()


def test_pairs_weights_and_ties_agree() -> None:
    world, reference, _ = random_case(2)
    votes = Pairs(world, [0, 0, 0], [0, 1, 2], [1, 0, 1], [1.0, 0.5, 0.8])
    by_pairs = dpo(reference, votes, iterations=20)
    by_weights = dpo(reference, votes.weights, iterations=20)
    np.testing.assert_allclose(by_pairs.logits, by_weights.logits, atol=1e-13)
    assert by_pairs.loss == pytest.approx(by_weights.loss)


def test_runs_share_votes() -> None:
    votes = Pairs(TWO, [0] * 4, [1, 1, 1, 0], [0, 0, 0, 1])
    learned = dpo(LanguageModel(TWO), votes, runs=2, batch=2, iterations=10, rng=0)
    assert learned.logits.shape == (2, 1, 2)
    assert (learned.logits[0] != learned.logits[1]).any()
    with pytest.raises(ValueError, match=r"there are 2 runs: \.models has one model of each"):
        learned.model  # noqa: B018


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "rejected", "role"), [(1, 0, "chosen 'a'"), (0, 1, "rejected 'a'")]
)
def test_a_reference_of_probability_0_is_refused(chosen: int, rejected: int, role: str) -> None:
    never, votes = LanguageModel(TWO, [[-np.inf, 0.0]]), Pairs(TWO, [0], [chosen], [rejected])
    for method in (dpo, ipo, kto):
        with pytest.raises(ValueError, match=f"reference must not give .* it does to the {role}"):
            method(LanguageModel(TWO), votes, reference=never)
    with pytest.raises(ValueError, match=f"model must not give .* it does to the {role}"):
        dpo(never, votes, reference=LanguageModel(TWO))
    with pytest.raises(ValueError, match=f"reference must not give .* it does to the {role}"):
        margins(LanguageModel(TWO), never, votes)


def test_answers_nobody_voted_on_may_have_probability_0() -> None:
    world = TokenWorld(["?"], "ab", 1)
    model = LanguageModel(world, [[0.0, -np.inf, 0.0]])
    votes = Pairs.from_texts(world, [("?", "a", "$")], 0.75)
    for method, share in ((dpo, 0.75), (kto, 1.0)):
        learned = method(model, votes, iterations=3000).probs[0]
        np.testing.assert_allclose(learned, [1 - share, share, 0.0], atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 0}, "beta must be above 0; it is 0"),
        ({"beta": -1}, "beta must be above 0; it is -1"),
        ({"alpha": -1}, r"alpha must be in \[0, inf\]; it is -1"),
        ({"iterations": 0}, "iterations must be at least 1; it is 0"),
        ({"batch": 0}, "batch must be at least 1; it is 0"),
        ({"runs": 0}, "runs must be at least 1; it is 0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dpo(LanguageModel(TWO), Pairs(TWO, [0], [1], [0]), **arguments)


def test_more_refusals() -> None:
    model, votes = LanguageModel(TWO), Pairs(TWO, [0], [1], [0])
    other = TokenWorld(["?"], "b", 1)
    with pytest.raises(ValueError, match="tau must be above 0; it is 0"):
        ipo(model, votes, tau=0)
    with pytest.raises(ValueError, match=r"weights\[1\] must be in \[0, inf\]; it is -1"):
        kto(model, votes, weights=(1, -1))
    with pytest.raises(ValueError, match="comparisons must be of the same world"):
        dpo(model, Pairs(other, [0], [1], [0]))
    with pytest.raises(ValueError, match="reference must be of the same world"):
        dpo(model, votes, reference=LanguageModel(other))
    with pytest.raises(ValueError, match="comparisons must hold at least one vote; there is none"):
        dpo(model, np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match=r"comparisons must have shape \(1, 2, 2\)"):
        dpo(model, np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"comparisons\[0, 0, 1\] must not be negative; it is -1"):
        dpo(model, [[[0, -1], [1, 0]]])
    with pytest.raises(ValueError, match="runs must be 2, one for each votes; it is 3"):
        dpo(model, [votes, votes], runs=3)
