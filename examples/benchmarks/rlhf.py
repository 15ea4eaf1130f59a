"""RLHF: the table of all methods over 20 seeds, and one method beside a PyTorch loop.

The table is judged by the human's own reward, exactly. The loop is DPO as a student would write it,
Adam on the same logits, the same votes and step size, as many steps: same policy, ratio of times.
Without PyTorch (pip install torch) its row is left out.

    python examples/benchmarks/rlhf.py [runs]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from gridrl.rlhf import LanguageModel, Pairs, dpo, word_world
from gridrl.rlhf.pipeline import ask, begin, compare
from gridrl.rlhf.rows import COLUMNS
from gridrl.tables import Array

BETA, STEPS, ALPHA = 0.5, 300, 0.05


def torch_dpo(reference: LanguageModel, votes: Pairs) -> Array:
    """Full-batch DPO with automatic differentiation; the step shrinks evenly to 0, as ours does."""
    import torch

    world, n = reference.world, len(votes.prompt)
    tokens = torch.tensor(np.maximum(world.completion_tokens, 0))
    there = torch.tensor(world.completion_tokens >= 0)
    nodes = torch.tensor(_nodes(reference))
    theta = torch.tensor(reference.logits.copy(), requires_grad=True)
    start = torch.tensor(reference.log_probs)
    prompt, chosen, rejected = (
        torch.tensor(x) for x in (votes.prompt, votes.chosen, votes.rejected)
    )
    adam = torch.optim.Adam([theta], lr=ALPHA)

    def log_prob(answer: torch.Tensor) -> torch.Tensor:
        steps = torch.log_softmax(theta, dim=1)[nodes[prompt, answer], tokens[answer]]
        return torch.where(there[answer], steps, 0.0).sum(dim=1)

    for t in range(STEPS):
        adam.param_groups[0]["lr"] = ALPHA * (1 - t / STEPS)
        margin = log_prob(chosen) - start[prompt, chosen]
        margin = margin - log_prob(rejected) + start[prompt, rejected]
        loss = -torch.nn.functional.logsigmoid(BETA * margin).sum() / n
        adam.zero_grad()
        loss.backward()
        adam.step()
    return np.exp(reference.with_logits(theta.detach().numpy()).log_probs)


def _nodes(model: LanguageModel) -> Array:
    """The row of logits of each token of each answer, (P, N, length)."""
    world, P = model.world, len(model.world.prompts)
    number = {tuple(row[row >= 0]): i for i, row in enumerate(world.prefixes)}
    rows = np.zeros((P, world.n_completions, world.length), dtype=np.int64)
    for y, answer in enumerate(world.completion_tokens):
        for t in range(int((answer >= 0).sum())):
            rows[:, y, t] = model.tables.contexts[:, number[tuple(answer[:t])]]
    return rows


def main() -> None:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    story, started = word_world(length=3), time.perf_counter()
    rows = compare(story, runs=runs, beta=BETA)
    print(f"{'method':20}" + "".join(f"{c:>16}" for c in COLUMNS) + f"{'labels':>8}{'seconds':>9}")
    for row in rows:
        cells = (f"{row.means[c]:8.3f} +- {row.spreads[c]:.3f}" for c in COLUMNS)
        print(f"{row.name:20}" + "".join(f"{x:>16}" for x in cells)
              + f"{row.labels:8}{row.seconds:9.3f}")  # fmt: skip
    print(f"{runs} seeds in {time.perf_counter() - started:.1f} s\n")
    begun = begin(story, beta=BETA)
    votes = ask(begun, 1000, np.random.default_rng(0)).votes
    started = time.perf_counter()
    ours = dpo(begun.reference, votes, beta=BETA, alpha=ALPHA, iterations=STEPS).probs
    seconds = time.perf_counter() - started
    try:
        started = time.perf_counter()
        theirs = torch_dpo(begun.reference, votes)
    except ImportError:
        print(f"DPO, {STEPS} steps: gridrl {seconds:.3f} s; PyTorch is not installed")
        return
    loop = time.perf_counter() - started
    times = f"gridrl {seconds:.3f} s, PyTorch {loop:.3f} s, {loop / seconds:.1f} times"
    off = np.abs(ours - theirs).max()
    print(f"DPO, {STEPS} steps: {times}; largest difference of a probability {off:.1e}")


if __name__ == "__main__":
    main()
