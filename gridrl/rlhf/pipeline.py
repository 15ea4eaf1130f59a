"""All methods on one world: pretrain, fine-tune, ask, and then whatever one likes.

InstructGPT's three steps are the functions `begin` (pretraining, supervised fine-tuning), `ask`
(votes, and a reward model fitted to them) and any of the methods: each turns what was begun and
asked into probabilities of answers. Everybody is judged by the human's own reward, which nobody
was told: J and its gap to the optimum beta KL(p || p*), exact.

Symbols: K seeds; p (P, N) probabilities of the answers to each prompt.

Reading: Ouyang et al. (2022), arXiv:2203.02155, figure 2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gridrl.rlhf.direct import dpo, ipo, kto
from gridrl.rlhf.divergences import kl
from gridrl.rlhf.groups import grpo
from gridrl.rlhf.labelling import label_pairs
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.policy_optimisation import policy_gradient
from gridrl.rlhf.preference_models import fit_bilinear_preferences
from gridrl.rlhf.pretraining import pretrain
from gridrl.rlhf.proximal import PPOPlan, ppo
from gridrl.rlhf.regularised import objective, optimality_gap, positive, regularised_optimum
from gridrl.rlhf.rejection import rejection_sampling
from gridrl.rlhf.reward_models import fit_reward_model, model_features, token_counts
from gridrl.rlhf.rows import COLUMNS, Row, Rows
from gridrl.rlhf.sampling import best_of_n, win_rate
from gridrl.rlhf.self_play import nash_md
from gridrl.rlhf.supervised import sft
from gridrl.rlhf.votes import LARGEST, Pairs
from gridrl.rlhf.words import Story
from gridrl.streams import seeds, streams
from gridrl.tables import Array, number, read_only, restore, whole


@dataclass(frozen=True, eq=False)
class Begun:
    """What there is before anybody is asked.

    Attributes:
        story: the world, and what the human likes.
        pretrained: the model of the corpus.
        reference: fine-tuned on demonstrations; every method starts here and stays near.
        beta: what a nat of KL costs, in reward units.
    """

    story: Story
    pretrained: LanguageModel
    reference: LanguageModel
    beta: float


@dataclass(frozen=True, eq=False)
class Asked:
    """What one seed's human said.

    Attributes:
        votes: pairs of the reference's answers, with verdicts.
        reward: the reward model fitted to them, (P, N).
        preference: the two-argument model fitted to them, M (P, N, N), or None where such a table
            would be too large.
    """

    votes: Pairs
    reward: Array
    preference: Array | None

    __setstate__ = restore


Method = Callable[[Begun, Sequence[Asked], int], Array]  # of K seeds, and a seed: (K, P, N)


def begin(story: Story, *, beta: float = 0.5, smoothing: float = 1.0, share: float = 0.5) -> Begun:
    """Step 1: pretrain on the corpus, fine-tune on demonstrations and some of the corpus.

    Args:
        story: the world.
        beta: what a nat of KL costs.
        smoothing: of the counts, so that every answer can be written.
        share: of the corpus among what is fine-tuned on.

    >>> from gridrl.rlhf.words import move_world
    >>> begin(move_world()).reference.world
    TokenWorld(16 prompts, 5 tokens, length 4, 341 completions each)
    """
    if not number(smoothing, "smoothing", 0) > 0:
        raise ValueError("smoothing must be above 0, so that every answer can be written; it is 0")
    context = pretrain(story.world, story.corpus, context=1, smoothing=smoothing)
    model = pretrain(story.world, story.corpus, smoothing=smoothing, prior=context)
    tuned = sft(model, story.demonstrations, mix=story.corpus, mix_share=share)
    reference = mixed(model, tuned)
    return Begun(story, model, reference, positive(beta))


def mixed(one: LanguageModel, other: LanguageModel) -> LanguageModel:
    """Half of one model's next token, half of the other's: nothing that one writes is lost."""
    halves = [
        np.exp(m.logits - np.logaddexp.reduce(m.logits, axis=1)[:, None]) for m in (one, other)
    ]
    return one.with_logits(np.log((halves[0] + halves[1]) / 2))


def ask(begun: Begun, votes: int, rng: int | np.random.Generator | None) -> Asked:
    """Step 2: a Bradley-Terry human judges pairs of the reference's answers; fit what was said.

    >>> from gridrl.rlhf.words import move_world
    >>> ask(begin(move_world()), 100, rng=0).votes
    Pairs(100 votes, TokenWorld(16 prompts, 5 tokens, length 4, 341 completions each))
    """
    world = begun.story.world
    whole(votes, "votes", least=1)
    said = label_pairs(world, begun.story.reward, begun.reference, votes, rng=rng)
    bigrams = model_features(LanguageModel(world, context=1))
    reward = fit_reward_model(world, said, features=bigrams, l2=1e-3).reward
    preference = None
    if len(world.prompts) * world.n_completions**2 <= LARGEST:
        preference = fit_bilinear_preferences(world, said, token_counts(world), l2=1e-3)
    return Asked(said, reward, preference)


def _nothing(begun: Begun, asked: Sequence[Asked], rng: int, *, model: LanguageModel) -> Array:
    return np.stack([model.probs for _ in asked])


def _best(begun: Begun, asked: Sequence[Asked], rng: int, *, n: int) -> Array:
    return np.stack([best_of_n(begun.reference, one.reward, n).probs for one in asked])


def _winners(begun: Begun, asked: Sequence[Asked], rng: int, *, n: int) -> Array:
    chances = zip(asked, streams(rng, len(asked)), strict=True)
    reference = begun.reference
    return np.stack(
        [
            rejection_sampling(reference, one.reward, n, samples=200, rng=c).probs
            for one, c in chances
        ]
    )


def _rewarded(
    begun: Begun, asked: Sequence[Asked], rng: int, *, learner: Any, **options: Any
) -> Array:
    """A learner of rewards, with a price on the distance from the reference; all seeds at once."""
    rewards = np.stack([one.reward for one in asked])
    reference, beta = begun.reference, begun.beta
    return learner(reference, rewards, reference=reference, beta=beta, rng=rng, **options).probs


def _directly(
    begun: Begun, asked: Sequence[Asked], rng: int, *, learner: Any, **options: Any
) -> Array:
    """A learner of votes, without a reward model; all seeds at once."""
    votes, reference = [one.votes for one in asked], begun.reference
    return learner(reference, votes, reference=reference, **options).probs


def _nash(begun: Begun, asked: Sequence[Asked], rng: int, *, tau: float) -> Array:
    mu, games = (
        begun.reference.probs,
        [one.preference for one in asked if one.preference is not None],
    )
    return np.stack([nash_md(M, mu, tau=tau, iterations=100).policy for M in games])


def _optimum(begun: Begun, asked: Sequence[Asked], rng: int) -> Array:
    best = regularised_optimum(begun.reference, begun.story.reward, begun.beta)
    return np.stack([best.probs for _ in asked])


def methods(begun: Begun) -> dict[str, Method]:
    """The rows of the table, in the lectures' order; every option that is not a default is here."""
    beta = begun.beta
    return {
        "pretrained": partial(_nothing, model=begun.pretrained),
        "SFT": partial(_nothing, model=begun.reference),
        "best of 8": partial(_best, n=8),
        "rejection sampling": partial(_winners, n=8),
        "REINFORCE": partial(_rewarded, learner=policy_gradient, samples=64, alpha=3.0),
        "PPO": partial(_rewarded, learner=ppo, alpha=3.0, plan=PPOPlan(samples=64)),
        "GRPO": partial(_rewarded, learner=grpo, alpha=3.0, group=64),
        "DPO": partial(_directly, learner=dpo, beta=beta, iterations=300),
        "IPO": partial(_directly, learner=ipo, tau=beta, iterations=300),
        "KTO": partial(_directly, learner=kto, beta=beta, iterations=300),
        "Nash-MD": partial(_nash, tau=beta),
        "optimum": _optimum,
    }


def compare(
    story: Story,
    *,
    votes: int = 1000,
    runs: int = 20,
    beta: float = 0.5,
    rng: int = 0,
    progress: bool = False,
) -> Rows:
    """The table of methods: means and spreads over seeds, each judged by the human's own reward.

    Args:
        story: the world, small enough to list all answers; where it has more than some 2,000 of
            them to a prompt, the table of their pairs is too large, and Nash-MD is left out.
        votes: a seed.
        runs: seeds K.
        beta: what a nat of KL costs.
        rng: the seed of seeds: of all votes, and of what is drawn while learning.
        progress: whether to show how far it is.
    """
    from tqdm.auto import tqdm

    begun = begin(story, beta=beta)
    voting, learning = (int(seed.generate_state(1)[0]) for seed in seeds(rng, 2))
    each = streams(voting, whole(runs, "runs", least=1))
    asked = [ask(begun, votes, chance) for chance in tqdm(each, "votes", disable=not progress)]
    known = methods(begun)
    if asked[0].preference is None:
        del known["Nash-MD"]
    rows = []
    for name, method in tqdm(known.items(), "methods", disable=not progress):
        started = time.perf_counter()
        found = method(begun, asked, learning)
        seconds = (time.perf_counter() - started) / runs
        shown = 0 if name == "pretrained" else len(story.demonstrations)
        used = shown if name in ("pretrained", "SFT") else shown + votes
        rows.append(_judged(name, begun, found, 0 if name == "optimum" else used, seconds))
    return Rows(rows)


def _judged(name: str, begun: Begun, found: Array, labels: int, seconds: float) -> Row:
    scores = _scores(begun, found)
    means = dict(zip(COLUMNS, scores.mean(axis=0).tolist(), strict=True))
    spreads = dict(zip(COLUMNS, scores.std(axis=0).tolist(), strict=True))
    return Row(name, means, spreads, labels, seconds, read_only(found))


def _scores(begun: Begun, p: Array) -> Array:
    """J, gap, KL, gold reward, win rate and length, (K, 6), by the human's own reward, exact."""
    story, reference, beta = begun.story, begun.reference, begun.beta
    gold = story.world.rewards(story.reward)
    columns = [
        objective(p, reference, gold, beta),
        optimality_gap(p, reference, gold, beta),
        kl(p, reference).mean(axis=-1),
        (p * gold).sum(axis=-1).mean(axis=-1),
        win_rate(p, np.broadcast_to(reference.probs, p.shape), gold).mean(axis=-1),
        (p @ story.world.lengths).mean(axis=-1),
    ]
    return np.stack(columns, axis=-1)
