"""The policy gradient and PPO, against enumeration, differences and the optimum in closed form."""

from typing import Any

import numpy as np
import pytest

from gridrl.rlhf.divergences import kl
from gridrl.rlhf.group_terms import group_mean, no_baseline
from gridrl.rlhf.groups import grpo, rloo
from gridrl.rlhf.laboratory import expectation_of
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.policy_optimisation import gradient_terms, policy_gradient, sampled_gradient
from gridrl.rlhf.proximal import PPOPlan, _advantages, adaptive_kl, ppo, ppo_gradient
from gridrl.rlhf.regularised import objective, regularised_optimum
from gridrl.rlhf.rollouts import Task, one_group
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array

SEEDS = range(4)
CONTEXTS = ("prefix", 1)


def scene(
    seed: int,
    *,
    prompts: str = "?",
    vocabulary: str = "ab",
    length: int = 3,
    context: str | int = "prefix",
) -> tuple[LanguageModel, LanguageModel, Array]:
    """A random world: the policy, the reference, and the reward (P, N)."""
    rng = np.random.default_rng(seed)
    world = TokenWorld(list(prompts), vocabulary, length)
    blank = LanguageModel(world, context=context)
    policy, reference = (blank.with_logits(rng.normal(size=blank.logits.shape)) for _ in range(2))
    return policy, reference, rng.normal(size=(len(prompts), world.n_completions))


# --- the exact gradient ---------------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_is_that_of_the_objective(seed: int, context: str | int) -> None:
    policy, reference, R = scene(seed, prompts="?!", context=context)
    terms = gradient_terms(policy, R, reference=reference, beta=0.5)
    rng = np.random.default_rng(100 + seed)
    for _ in range(5):
        d, h = rng.normal(size=policy.logits.shape), 1e-5
        above, below = (
            objective(policy.with_logits(policy.logits + s * h * d), reference, R, 0.5)
            for s in (1, -1)
        )
        slope = (above - below) / (2 * h)  # error of order h^2, and of rounding 1e-16 / h
        assert (terms.total * d).sum() == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_second_term_of_lecture_003_is_zero(seed: int, context: str | int) -> None:
    policy, reference, R = scene(seed, prompts="?!", context=context)
    terms = gradient_terms(policy, R, reference=reference, beta=0.5)
    assert np.abs(terms.of_return).max() < 1e-15
    assert np.abs(terms.of_policy).max() > 1e-2
    score = sampled_gradient(policy, np.ones_like(R), beta=0.0, baseline=no_baseline)
    scores = expectation_of(
        score, policy.world, policy, n=1, truth=np.zeros(policy.logits.shape),
    )  # fmt: skip
    assert np.abs(scores.bias).max() < 1e-15


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_vanishes_at_the_optimum_and_so_does_its_noise(seed: int) -> None:
    _, reference, R = scene(seed)
    best = regularised_optimum(reference, R, 0.5).model
    assert np.abs(gradient_terms(best, R, reference=reference, beta=0.5).total).max() < 1e-14
    found = expectation_of(
        sampled_gradient(best, R, reference=reference, beta=0.5), best.world, best, n=2
    )
    assert found.total_variance < 1e-25


def test_a_token_that_is_never_written_does_no_harm() -> None:
    policy, reference, R = scene(0)
    logits, other = policy.logits.copy(), reference.logits.copy()
    logits[0, 0] = other[0, 0] = -np.inf
    model = policy.with_logits(logits)
    learned = policy_gradient(
        model, R, reference=reference.with_logits(other), beta=0.5, updates=3, alpha=0.5
    )
    assert np.isneginf(learned.logits[0, 0])
    assert np.isfinite(learned.J)
    sampled = policy_gradient(model, R, beta=0.5, updates=3, alpha=0.5, samples=4, rng=0)
    assert np.isfinite(sampled.J)


# --- learners arrive ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_gradient_arrives_at_the_optimum(seed: int) -> None:
    policy, reference, R = scene(seed, prompts="?!", length=2)
    learned = policy_gradient(policy, R, reference=reference, beta=1.0, updates=6000, alpha=2.0)
    best = regularised_optimum(reference, R, 1.0)
    assert learned.probs == pytest.approx(best.probs, abs=1e-6)
    assert pytest.approx(best.value, abs=1e-10) == learned.J
    assert -1e-15 < learned.gap(1.0) < 1e-10  # -0 by rounding


def test_samples_arrive_as_well_since_the_noise_vanishes() -> None:
    policy, reference, R = scene(0, prompts="?!", length=2)
    learned = policy_gradient(
        policy, R, reference=reference, beta=1.0, updates=3000, samples=4, runs=5, rng=0
    )
    # each of 5 seeds arrives; a constant step of a noisy gradient would keep a gap of about 0.01
    assert (learned.gap(1.0) < 1e-6).all()


def test_ppo_arrives() -> None:
    policy, reference, R = scene(0, prompts="?!", length=2)
    learned = ppo(policy, R, reference=reference, beta=1.0, updates=2000, alpha=0.5, runs=3, rng=0)
    assert (learned.gap(1.0) < 1e-5).all()


def test_a_shared_model_climbs() -> None:
    policy, reference, R = scene(1, prompts="?!", context=1)
    path = policy_gradient.iterates(policy, R, reference=reference, beta=0.5, updates=50, alpha=0.3)
    gaps = [learned.gap(0.5) for learned in path]
    assert (np.diff(gaps) < 0).all()


@pytest.mark.parametrize("learn", [policy_gradient, ppo])
def test_a_run_does_the_same_alone_and_among_others(learn: Any) -> None:
    policy, reference, R = scene(0)
    extra = {"samples": 3} if learn is policy_gradient else {}
    many = learn(policy, R, reference=reference, updates=5, runs=3, rng=7, **extra)
    one = learn(policy, R, reference=reference, updates=5, rng=7, **extra)
    assert np.array_equal(many.logits[0], one.logits)
    assert not np.array_equal(many.logits[1], one.logits)


def test_a_snapshot_tells_its_numbers() -> None:
    policy, reference, R = scene(0, prompts="?!")
    learned = policy_gradient(policy, R, reference=reference, beta=0.5, updates=2, runs=2)
    model = learned.run(1)
    assert learned.kl[1] == pytest.approx(kl(model, reference).mean(), abs=1e-12)
    assert learned.reward[1] == pytest.approx((model.probs * R).sum(axis=1).mean(), abs=1e-12)
    assert learned.J[1] == pytest.approx(objective(model, reference, R, 0.5), abs=1e-12)
    assert repr(learned).startswith("Tuned(2 runs, J ")
    with pytest.raises(ValueError, match=r"model must be asked of one run, run\(k\); there are 2"):
        _ = learned.model


# --- PPO ------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_ppos_first_step_is_the_policy_gradient_whatever_the_values(
    seed: int, context: str | int
) -> None:
    policy, reference, R = scene(seed, prompts="?!", context=context)
    true = gradient_terms(policy, R, reference=reference, beta=0.5).total
    V = np.random.default_rng(seed).normal(size=(2, policy.world.n_prefixes))
    for values in (0.0, V):
        step = ppo_gradient(policy, R, reference=reference, beta=0.5, values=values)
        found = expectation_of(step, policy.world, policy, n=1, truth=true)
        assert np.abs(found.bias).max() < 1e-14


def test_the_penalty_of_each_token_adds_up_to_that_of_the_answer() -> None:
    policy, reference, R = scene(0)
    task = Task.of(policy, R, reference)
    N = policy.world.n_completions
    draws = one_group(task.model, 0, np.arange(N))
    ratios = draws.log_probs(policy.logits[None]) - task.log_reference(draws)
    V = np.zeros((1, policy.world.n_prefixes))
    A = _advantages(task, draws, ratios, np.array([0.5]), V, 1.0)
    returns = R - 0.5 * (policy.log_probs - reference.log_probs)
    assert A[0, 0, :, 0] == pytest.approx(returns[0], abs=1e-13)
    paid_at_once = _advantages(task, draws, ratios, np.array([0.5]), V, 0.0)
    assert paid_at_once.sum(axis=-1)[0, 0] == pytest.approx(returns[0], abs=1e-13)


def test_one_epoch_of_ppo_is_a_reinforce_step_with_rewards_to_come() -> None:
    policy, reference, R = scene(0)
    plan = PPOPlan(samples=1, epochs=1)
    learned = ppo(policy, R, reference=reference, beta=0.5, updates=1, plan=plan, rng=3)
    step = ppo_gradient(policy, R, reference=reference, beta=0.5)
    moves = [policy.logits + step(0, [y]) for y in range(policy.world.n_completions)]
    assert min(np.abs(move - learned.logits).max() for move in moves) < 1e-14
    small = ppo(policy, R, reference=reference, updates=1, alpha=1e-3, plan=plan, rng=3)
    assert small.clipped == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_the_clip_holds_back_what_went_too_far(sign: int) -> None:
    world = TokenWorld(["?"], "a", 1)
    old = LanguageModel(world)
    new = old.with_logits([[1.0, 0.0]])  # rho is 1.46 for "a" and 0.54 for "$"
    R = np.array([[0.0, sign]])
    for y in (0, 1):
        A = R[0, y]
        got = ppo_gradient(new, R, beta=0.0, old=old)(0, [y])
        rho = new.probs[0, y] / 0.5
        held = A == 0 or (A > 0 and rho > 1.2) or (A < 0 and rho < 0.8)
        score = new.tables.gradient(new.logits, np.eye(2)[[y]])
        assert got == pytest.approx(0 * score if held else rho * A * score, abs=1e-15)


def test_the_clip_does_not_stop_the_ratio() -> None:
    policy, reference, R = scene(0, length=2)
    plan = PPOPlan(epochs=10, epsilon=0.1)
    learned = ppo(policy, 10 * R, reference=reference, beta=0.0, updates=1, plan=plan, rng=0)
    moved = np.exp(learned.log_probs - policy.log_probs)
    assert moved.max() > 1.5
    assert learned.clipped > 0.3


def test_beta_follows_the_divergence() -> None:
    policy, _, R = scene(0, length=2)
    plan = PPOPlan(samples=32, control=adaptive_kl(0.1))
    learned = ppo(policy, 3 * R, beta=0.01, updates=1500, alpha=0.3, plan=plan, rng=0)
    assert learned.beta > 0.02
    # 32 answers tell a KL of 0.1 to about 0.07, and beta averages over 50 batches or more
    assert learned.kl == pytest.approx(0.1, abs=0.04)
    control = adaptive_kl(6.0)
    assert control(np.ones(3), np.array([0.0, 6.3, 60.0])) == pytest.approx([0.98, 1.005, 1.02])


# --- bad input ------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused() -> None:
    policy, reference, R = scene(0)
    never = reference.logits.copy()
    never[0, 0] = -np.inf
    other = LanguageModel(TokenWorld(["?"], "abc", 3))
    with pytest.raises(TypeError, match="model must be a LanguageModel; it is 3"):
        policy_gradient(3, R)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reference must be a LanguageModel or None; it is 3"):
        policy_gradient(policy, R, reference=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reference must be of the same world"):
        policy_gradient(policy, R, reference=other)
    with pytest.raises(ValueError, match="reference must not give probability 0 to an answer"):
        ppo(policy, R, reference=reference.with_logits(never))
    with pytest.raises(ValueError, match=r"beta must be in \[0, inf\]; it is -1"):
        policy_gradient(policy, R, beta=-1)
    with pytest.raises(ValueError, match=r"reward must have shape \(1, 15\); it has \(2,\)"):
        ppo(policy, [1.0, 2.0])
    with pytest.raises(ValueError, match="updates must be at least 1; it is 0"):
        ppo(policy, R, updates=0)
    with pytest.raises(ValueError, match="runs must be at least 1; it is 0"):
        ppo(policy, R, runs=0)
    with pytest.raises(ValueError, match="a group must have at least 2 answers"):
        policy_gradient(policy, R, samples=1, baseline=group_mean)
    with pytest.raises(ValueError, match="alpha must be in"):
        policy_gradient(policy, R, alpha=-1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples must be at least 1; it is 0"),
        ({"epochs": 0}, "epochs must be at least 1; it is 0"),
        ({"epsilon": 2}, r"epsilon must be in \[0, 1\]; it is 2"),
        ({"alpha_critic": -1}, r"alpha_critic must be in \[0, 1\]; it is -1"),
        ({"lambda_": 2}, r"lambda_ must be in \[0, 1\]; it is 2"),
    ],
)
def test_a_plan_that_makes_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PPOPlan(**settings)


def test_a_controller_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="target must be above 0; it is 0"):
        adaptive_kl(0.0)
    with pytest.raises(ValueError, match="gain \\* bound must be below 1; it is 2"):
        adaptive_kl(1.0, gain=2.0, bound=1.0)


def test_answers_by_number_are_checked() -> None:
    policy, _, R = scene(0)
    step = sampled_gradient(policy, R, beta=0.5)
    with pytest.raises(ValueError, match=r"y\[1\] must be in 0..14; it is 15"):
        step(0, [0, 15])
    with pytest.raises(
        ValueError, match=r"y must have shape \(G,\), G at least 1; it has \(1, 2\)"
    ):
        step(0, [[0, 1]])
    with pytest.raises(ValueError, match=r"x\[0\] must be in 0..0; it is 1"):
        step(1, [0, 1])


# --- rewards of several runs ----------------------------------------------------------------


@pytest.mark.parametrize("learner", [policy_gradient, ppo, grpo, rloo])
def test_runs_may_have_rewards_of_their_own(learner: Any) -> None:
    policy, reference, R = scene(1, prompts="?!")
    rewards = np.stack([R, -R, R + np.arange(R.shape[1])])
    options: dict[str, Any] = {"reference": reference, "beta": 0.5, "updates": 5, "rng": 1}
    if learner is policy_gradient:
        options["samples"] = 4
    together = learner(policy, rewards, **options)
    for k, own in enumerate(rewards):
        alone = learner(policy, own, runs=3, **options)
        np.testing.assert_array_equal(together.logits[k], alone.logits[k])
        for number in (together.J, together.kl, together.reward, together.gap(0.5)):
            assert number.shape == (3,)
        assert together.J[k] == pytest.approx(alone.J[k], rel=1e-12)
        assert together.gap(0.5)[k] == pytest.approx(alone.gap(0.5)[k], rel=1e-9, abs=1e-12)
    assert learner(policy, rewards[:1], **options).logits.shape == (1, *policy.logits.shape)
    with pytest.raises(ValueError, match="runs must be 3, one for each reward; it is 2"):
        learner(policy, rewards, runs=2, **options)


def test_the_exact_gradient_takes_rewards_of_several_runs() -> None:
    policy, reference, R = scene(2)
    rewards = np.stack([R, -R])
    together = policy_gradient(policy, rewards, reference=reference, beta=0.5, updates=5000)
    for k, reward in enumerate(rewards):
        best = regularised_optimum(reference, reward, 0.5)
        assert together.J[k] == pytest.approx(best.value, abs=1e-3)  # still on its way
        alone = policy_gradient(policy, reward, reference=reference, beta=0.5, updates=5000)
        np.testing.assert_allclose(together.logits[k], alone.logits, atol=1e-12)
