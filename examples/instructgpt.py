"""InstructGPT in three steps, on a model that one can see whole.  [arXiv:2203.02155]"""

from gridrl.rlhf import (
    fit_reward_model,
    label_pairs,
    objective,
    optimality_gap,
    ppo,
    pretrain,
    sft,
    token_counts,
    word_world,
)

story, beta = word_world(length=3), 0.5
human = story.world.rewards(story.reward)  # only used to answer, and to judge at the end

# Step 1: read everything, then imitate a few demonstrations (and go on reading a little).
model = pretrain(story.world, story.corpus, smoothing=1.0)
reference = sft(model, story.demonstrations, mix=story.corpus, mix_share=0.5)

# Step 2: people compare answers of the model; fit a reward to what they say.
votes = label_pairs(story.world, human, reference, 1000, rng=0)
reward = fit_reward_model(story.world, votes, features=token_counts(story.world), l2=1e-3).reward

# Step 3: reinforcement learning on that reward, not far from the reference.
learned = ppo(reference, reward, reference=reference, beta=beta, alpha=3.0, updates=100, rng=0)

for name, p in {"reference": reference.probs, "after PPO": learned.probs}.items():
    J, gap = (f(p, reference, human, beta) for f in (objective, optimality_gap))
    said = ", ".join(f"{story.world.texts[y]!r} {p[0, y]:.2f}" for y in (-p[0]).argsort()[:3])
    print(f"{name}: J {J:.2f}, {gap:.2f} below the optimum; {story.world.prompts[0]}: {said}")
