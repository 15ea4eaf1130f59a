"""Learning from preferences: the three processes here against those of the package `imitation`.

Both learn the penguin's ice from the same number of votes of the same oracle (the larger sum of
true rewards; a tie where they are equal) on clips of the same length, with the same seeds. A seed
is solved if the policy is worth 95 % of the optimum. It is valued exactly, on the true reward: each
learner's policy with its likeliest action in each square, and, "as is", with its probabilities.
`imitation` has PPO; we stand beside it with our PPO, which never sees the model, and with planning,
which does. The figure to quote is the ratio of processor seconds a seed; steps are interactions
with the world.

Both were tuned by hand on seeds that are not run here. Of `imitation` eight settings, one or two
seeds each: one reward network or three, a table in its place, rewards of squares or of actions too,
rates and epochs of its training (200 times the epochs in the first round, its default, took twice
as long as 20 times, and was no better on two seeds), PPO's rate and 20,000 or 50,000 steps. Of ours
ten of PPO's step size, batches and updates, five seeds each; nothing of planning. What was best is
set in `Peer` and in `LEARNERS`; 50,000 steps of theirs were no better than 20,000 on two seeds.

`imitation` wants gymnasium 0.29, which `gridrl.envs` does not, so the world is handed over as a
table that both versions take, and `imitation` lives in an environment of its own:

    python -m venv peer && peer/bin/pip install imitation scipy
    export OMP_NUM_THREADS=1 PYTHONPATH=.  # idle threads count as processor seconds
    peer/bin/python examples/benchmarks/preferences.py [its seeds] [our seeds]
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gridrl import (
    MDP,
    PreferenceOracle,
    expected_return,
    learn_from_preferences,
    penguin_world,
    plan,
    policy_iteration,
    ppo_step,
    seek_novelty,
    wander,
)
from gridrl.preferences.policy_steps import Explorer, PolicyStep
from gridrl.tables import Array

VOTES, CLIP, HORIZON, ROUNDS, GAMMA = 200, 10, 100, 10, 0.9
SOLVED = 0.95  # of the optimal return


@dataclass(frozen=True)
class Peer:
    """What was tuned of `imitation`; the defaults here are the best that was found.

    Attributes:
        members: reward networks; with more than one, queries are where they disagree.
        hidden: units of a reward network's layers; none is a table.
        actions: whether the reward may depend on the action.
        reward_rate, epochs: of the reward's training in a round.
        warm_up: how many times as many epochs in the first round.
        steps: of PPO in all, in `envs` worlds at once, `batch` steps a batch.
        rate, entropy, passes, minibatch: of PPO.
        exploring: share of the clips from a policy that acts at random now and then.
        noise: share of answers taken for guesses.
    """

    members: int = 1
    hidden: tuple[int, ...] = (32, 32)
    actions: bool = False
    reward_rate: float = 1e-2
    epochs: int = 3
    warm_up: float = 20.0
    steps: int = 20_000
    envs: int = 8
    batch: int = 512
    rate: float = 3e-3
    entropy: float = 0.01
    passes: int = 10
    minibatch: int = 64
    exploring: float = 0.0
    noise: float = 0.1


def table_world(mdp: MDP, horizon: int) -> Any:
    """The MDP as a Gymnasium environment, old or new, of episodes of one length."""
    import gymnasium as gym

    edges, first = np.asarray(mdp.P).cumsum(axis=2), mdp.start.cumsum()

    class Table(gym.Env):
        observation_space = gym.spaces.Discrete(mdp.n_states)
        action_space = gym.spaces.Discrete(mdp.n_actions)
        made = 0

        def reset(
            self, *, seed: int | None = None, options: Any = None
        ) -> tuple[int, dict[str, Any]]:
            super().reset(seed=seed)
            self.s, self.t = self.drawn(first), 0
            return self.s, {}

        def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
            reward = float(mdp.R[self.s, action])
            self.s, self.t = self.drawn(edges[self.s, action]), self.t + 1
            self.made += 1
            return self.s, reward, False, self.t >= horizon, {}

        def drawn(self, edge: Array) -> int:
            return min(int(edge.searchsorted(self.np_random.random(), "right")), len(edge) - 1)

    return Table()


def theirs(mdp: MDP, seed: int, peer: Peer) -> tuple[Array, int]:
    """`imitation`'s preference comparisons: the policy, (S, A), and steps made."""
    import torch
    from imitation.algorithms import preference_comparisons as pc
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # of networks this small more are slower
    rng = np.random.default_rng(seed)
    worlds = DummyVecEnv([partial(table_world, mdp, HORIZON)] * peer.envs)
    worlds.seed(seed)
    reward, trainer, fragmenter = _reward_model(worlds, peer, rng)
    agent = _agent(worlds, peer, seed)
    acting = pc.AgentTrainer(agent, reward, worlds, rng, exploration_frac=peer.exploring)
    comparisons = pc.PreferenceComparisons(
        acting, reward, num_iterations=ROUNDS, fragmenter=fragmenter, reward_trainer=trainer,
        preference_gatherer=pc.SyntheticGatherer(temperature=0, sample=False),
        fragment_length=CLIP, initial_comparison_frac=0.25, transition_oversampling=2,
        initial_epoch_multiplier=peer.warm_up, custom_logger=_silence(),
    )  # fmt: skip
    comparisons.train(peer.steps, VOTES)
    states = torch.arange(mdp.n_states)
    with torch.no_grad():
        policy = agent.policy.get_distribution(states).distribution.probs
    pi = policy.numpy().astype(np.float64)
    return pi / pi.sum(axis=1, keepdims=True), sum(worlds.get_attr("made"))


def _reward_model(worlds: Any, peer: Peer, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """The reward network or networks, what trains them, and what chooses clips."""
    from imitation.algorithms import preference_comparisons as pc
    from imitation.rewards import reward_nets as nets
    from imitation.util.networks import RunningNorm

    spaces = worlds.observation_space, worlds.action_space
    members = [
        nets.NormalizedRewardNet(
            nets.BasicRewardNet(*spaces, use_action=peer.actions, hid_sizes=peer.hidden),
            RunningNorm,
        )
        for _ in range(peer.members)
    ]
    training = {"rng": rng, "epochs": peer.epochs, "lr": peer.reward_rate}
    clips, loss = pc.RandomFragmenter(rng=rng), pc.CrossEntropyRewardLoss()
    if peer.members == 1:
        model = pc.PreferenceModel(members[0], noise_prob=peer.noise)
        return members[0], pc.BasicRewardTrainer(model, loss, **training), clips
    reward = nets.RewardEnsemble(*spaces, members)
    model = pc.PreferenceModel(reward, noise_prob=peer.noise)
    asking = pc.ActiveSelectionFragmenter(model, clips, 2, uncertainty_on="probability")
    return (
        nets.AddSTDRewardWrapper(reward, default_alpha=0),
        pc.EnsembleTrainer(model, loss, **training),
        asking,
    )


def _agent(worlds: Any, peer: Peer, seed: int) -> Any:
    from stable_baselines3 import PPO

    return PPO(
        "MlpPolicy", worlds, seed=seed, gamma=GAMMA, n_steps=peer.batch // peer.envs,
        batch_size=peer.minibatch, n_epochs=peer.passes, learning_rate=peer.rate,
        ent_coef=peer.entropy, device="cpu",
    )  # fmt: skip


def _silence() -> Any:
    from imitation.util.logger import configure

    return configure(tempfile.mkdtemp(), format_strs=[])


def ours(
    mdp: MDP, seed: int, policy_step: PolicyStep = plan, explore: Explorer = seek_novelty
) -> tuple[Array, int]:
    """gridrl: the policy, (S, A), and steps made; the reward is one of squares."""
    learned = learn_from_preferences(
        mdp, PreferenceOracle(mdp.R), queries=VOTES, segment_length=CLIP, horizon=HORIZON,
        rounds=ROUNDS, policy_step=policy_step, explore=explore, rng=seed,
    )  # fmt: skip
    return learned.policy, learned.steps


LEARNERS: dict[str, Callable[[MDP, int], tuple[Array, int]]] = {
    "imitation, PPO": partial(theirs, peer=Peer()),
    "gridrl, PPO": partial(ours, policy_step=partial(ppo_step, alpha=0.3), explore=wander),
    "gridrl, planning": ours,
}


@dataclass(frozen=True)
class Row:
    """Seeds of one learner: returns as shares of the optimum, processor seconds, steps."""

    likeliest: list[float]
    as_is: list[float]
    seconds: list[float]
    steps: list[int]


def compare(mdp: MDP, learn: Callable[[MDP, int], tuple[Array, int]], seeds: int) -> Row | None:
    """Run seeds; None where the learner is not installed."""
    best = float(mdp.start @ policy_iteration(mdp).V)
    row = Row([], [], [], [])
    for seed in range(seeds):
        started = time.process_time()
        try:
            with _quiet():
                policy, steps = learn(mdp, seed)
        except ImportError:
            return None
        row.seconds.append(time.process_time() - started)
        row.likeliest.append(expected_return(mdp, np.eye(mdp.n_actions)[policy.argmax(1)]) / best)
        row.as_is.append(expected_return(mdp, policy) / best)
        row.steps.append(steps)
    return row


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the peer's progress bars, prints and warnings."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    """Print a row for each learner."""
    mdp = penguin_world().mdp(gamma=GAMMA)
    counts = [int(given) for given in sys.argv[1:]]
    many, own = (counts + [5, 20][len(counts) :])[:2]
    print(f"{'':18}{'seeds':>6}{'solved':>8}{'return':>8}{'as is':>8}{'steps':>9}{'seconds':>9}"
          f"{'slowest':>9}{'ratio':>8}")  # fmt: skip
    compare(mdp, ours, 1)  # what is imported when first called
    with contextlib.suppress(ImportError):
        import imitation.algorithms.preference_comparisons  # noqa: F401
    first: float | None = None
    for name, learn in LEARNERS.items():
        peer = name.startswith("imitation")
        row = compare(mdp, learn, many if peer else own)
        if row is None:
            print(f"{name:18}" + "".join(f"{'-':>{w}}" for w in (6, 8, 8, 8, 9, 9, 9, 8)))
            continue
        seconds = float(np.mean(row.seconds))
        first = seconds if peer else first
        ratio = "-" if first is None else f"{first / seconds:.0f}"
        solved = sum(share >= SOLVED for share in row.likeliest)
        print(f"{name:18}{len(row.steps):6}{solved:8}{np.mean(row.likeliest):8.3f}"
              f"{np.mean(row.as_is):8.3f}{np.mean(row.steps):9.0f}{seconds:9.2f}"
              f"{max(row.seconds):9.2f}{ratio:>8}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
