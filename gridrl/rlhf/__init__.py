"""The agent is a language model: every method of RLHF on a table, beside its exact optimum.

Reading order: `spelling`, `numbering`, `tokens` (a world of tokens), `trees`, `language` (the
model), `words` (worlds to tell the story in); `pretraining`, `supervised`, `sampling`, `rejection`,
`search`, `distillation`; `votes`, `labelling`, `choices`, `likeliest`, `reward_models`,
`reward_measures`; `divergences`, `kl_estimators`, `regularised` (the objective and its optimum),
`proof`, `answers`, `estimates`; `rollouts`, `tuning`, `policy_optimisation`, `proximal`,
`group_terms`, `groups`, `laboratory` (what an estimator really estimates); `duels`,
`direct_losses`, `descent`, `direct`; `preference_models`, `games`, `self_play`; `hacking`,
`scaling_laws`, `hacks`; `rows`, `pipeline` (all methods on one world).
"""

from gridrl.rlhf.choices import pairwise, plackett_luce
from gridrl.rlhf.descent import adam, steepest
from gridrl.rlhf.direct import displacement, dpo, dpo_without_reference, ipo, kto, margins
from gridrl.rlhf.direct_losses import dpo_loss, dpo_weight, ipo_loss, kto_loss
from gridrl.rlhf.distillation import distill, distill_reverse
from gridrl.rlhf.divergences import kl
from gridrl.rlhf.estimates import Estimate, Estimates, estimate_objective
from gridrl.rlhf.games import (
    PreferenceGame,
    borda,
    bradley_terry_scores,
    exploitability,
    preference_game,
    preference_matrix,
    regularised_nash,
)
from gridrl.rlhf.group_terms import (
    GRPOTerms,
    dead_groups,
    group_advantages,
    group_mean,
    group_std,
    leave_one_out,
    no_baseline,
    per_answer,
    per_token,
    sample_std,
    success_weight,
    to_old,
    to_reference,
)
from gridrl.rlhf.groups import (
    TokenRewards,
    group_gradient,
    grpo,
    own_reward,
    rewards_to_come,
    rloo,
)
from gridrl.rlhf.hacking import Overoptimisation, covariance, gold_peak, overoptimisation, tilted
from gridrl.rlhf.hacks import Hack, authority_hack, length_hack
from gridrl.rlhf.kl_estimators import (
    as_reward,
    forward_kl_gradient,
    importance_weighted,
    k1,
    k2,
    k3,
    kl_gradient,
    loss_gradient,
    moments,
    token_loss_gradient,
)
from gridrl.rlhf.labelling import all_pairs, label_pairs, label_rankings
from gridrl.rlhf.laboratory import Expectation, expectation_of
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.pipeline import ask, begin, compare
from gridrl.rlhf.policy_optimisation import gradient_terms, policy_gradient, sampled_gradient
from gridrl.rlhf.preference_models import fit_bilinear_preferences, fit_preference_model
from gridrl.rlhf.pretraining import Corpus, as_tree, mixture, pretrain, sentence_log_prob
from gridrl.rlhf.proof import derivation
from gridrl.rlhf.proximal import PPOPlan, adaptive_kl, ppo, ppo_gradient
from gridrl.rlhf.regularised import (
    Optimum,
    implied_reward,
    objective,
    optimality_gap,
    regularised_optimum,
    soft_values,
    token_model,
    unregularised_optimum,
)
from gridrl.rlhf.rejection import rejection_sampling, self_improvement
from gridrl.rlhf.reward_measures import (
    accuracy_by_gap,
    reward_accuracy,
    reward_calibration,
    reward_ceiling,
)
from gridrl.rlhf.reward_models import (
    RewardModel,
    centred,
    fit_reward_model,
    model_features,
    token_counts,
)
from gridrl.rlhf.rows import Row, Rows
from gridrl.rlhf.sampling import BestOfN, best_of_n, sample_best_of_n, win_rate
from gridrl.rlhf.scaling_laws import best_of_n_law, fit_law, rl_law
from gridrl.rlhf.search import beam_search
from gridrl.rlhf.self_play import current_policy, mirror_descent, nash_md, past_mixture
from gridrl.rlhf.supervised import log_likelihood, perplexity, sft, teacher_forcing
from gridrl.rlhf.tokens import TokenWorld
from gridrl.rlhf.votes import Pairs, Rankings
from gridrl.rlhf.words import (
    Story,
    cat_hat_world,
    grammatical,
    move_world,
    thought_world,
    word_world,
)

__all__ = [
    "BestOfN",
    "Corpus",
    "Estimate",
    "Estimates",
    "Expectation",
    "GRPOTerms",
    "Hack",
    "LanguageModel",
    "Optimum",
    "Overoptimisation",
    "PPOPlan",
    "Pairs",
    "PreferenceGame",
    "Rankings",
    "RewardModel",
    "Row",
    "Rows",
    "Story",
    "TokenRewards",
    "TokenWorld",
    "accuracy_by_gap",
    "adam",
    "adaptive_kl",
    "all_pairs",
    "as_reward",
    "as_tree",
    "ask",
    "authority_hack",
    "beam_search",
    "begin",
    "best_of_n",
    "best_of_n_law",
    "borda",
    "bradley_terry_scores",
    "cat_hat_world",
    "centred",
    "compare",
    "covariance",
    "current_policy",
    "dead_groups",
    "derivation",
    "displacement",
    "distill",
    "distill_reverse",
    "dpo",
    "dpo_loss",
    "dpo_weight",
    "dpo_without_reference",
    "estimate_objective",
    "expectation_of",
    "exploitability",
    "fit_bilinear_preferences",
    "fit_law",
    "fit_preference_model",
    "fit_reward_model",
    "forward_kl_gradient",
    "gold_peak",
    "gradient_terms",
    "grammatical",
    "group_advantages",
    "group_gradient",
    "group_mean",
    "group_std",
    "grpo",
    "implied_reward",
    "importance_weighted",
    "ipo",
    "ipo_loss",
    "k1",
    "k2",
    "k3",
    "kl",
    "kl_gradient",
    "kto",
    "kto_loss",
    "label_pairs",
    "label_rankings",
    "leave_one_out",
    "length_hack",
    "log_likelihood",
    "loss_gradient",
    "margins",
    "mirror_descent",
    "mixture",
    "model_features",
    "moments",
    "move_world",
    "nash_md",
    "no_baseline",
    "objective",
    "optimality_gap",
    "overoptimisation",
    "own_reward",
    "pairwise",
    "past_mixture",
    "per_answer",
    "per_token",
    "perplexity",
    "plackett_luce",
    "policy_gradient",
    "ppo",
    "ppo_gradient",
    "preference_game",
    "preference_matrix",
    "pretrain",
    "regularised_nash",
    "regularised_optimum",
    "rejection_sampling",
    "reward_accuracy",
    "reward_calibration",
    "reward_ceiling",
    "rewards_to_come",
    "rl_law",
    "rloo",
    "sample_best_of_n",
    "sample_std",
    "sampled_gradient",
    "self_improvement",
    "sentence_log_prob",
    "sft",
    "soft_values",
    "steepest",
    "success_weight",
    "teacher_forcing",
    "thought_world",
    "tilted",
    "to_old",
    "to_reference",
    "token_counts",
    "token_loss_gradient",
    "token_model",
    "unregularised_optimum",
    "win_rate",
    "word_world",
]
