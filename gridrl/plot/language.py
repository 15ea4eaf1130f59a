"""Language models in pictures: the tree of answers, and reward against KL.

Symbols: P prompts, N completions of a prompt; T steps of a path, K runs; d = sqrt(KL).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from gridrl.plot.curve import COLOURS, STYLES
from gridrl.rlhf.divergences import must_share_world
from gridrl.rlhf.hacking import Overoptimisation, deviation, tilted
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import Reward, TokenWorld
from gridrl.tables import Array, distributions, kl, number, whole

DARK = "0.15"
BEND = 0.35  # of the way to the next token a branch is steep, then level
HALO = [withStroke(linewidth=3, foreground="white")]
MARKERS = "os^Dv<>PXhdp8"
WIDEST = 15  # inches; wider, and 12 points are no longer readable on a slide
FEW = 12  # steps of a path that are marked one by one


# --- the tree of completions ----------------------------------------------------------------------


class Branch(NamedTuple):
    """A text that was begun: its tokens, its probability, and where it is drawn."""

    tokens: tuple[int, ...]
    mass: float
    x: float
    y: float


def completion_tree(
    model: LanguageModel, prompt: str, *, most: int = 16, ax: Axes | None = None
) -> Axes:
    """Draw how answers grow token by token, and how likely each is, pi(y|x).

    A line is as thick as what is written there is likely; its number is pi(token | prompt, prefix).

    Args:
        model: the language model.
        prompt: what it answers.
        most: so many answers are drawn, the likeliest; what the others have is written below.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> ax = completion_tree(LanguageModel(TokenWorld(["?"], "a", 2)), "?")
    >>> [text.get_text() for text in ax.texts if text.get_gid() == "answer"]
    ['$  0.50', 'a$  0.25', 'aa  0.25']

    Raises:
        TypeError: `model` is no `LanguageModel`.
        ValueError: a prompt that is none of the world's, or a world too large.
    """
    if not isinstance(model, LanguageModel):
        raise TypeError(f"model must be a LanguageModel; it is {model!r}")
    p = model.distribution(prompt)
    shown = np.argsort(-p, kind="stable")[: whole(most, "most", least=1)]
    shown = shown[p[shown] > 0]
    written = [_written(model.world, y) for y in shown]
    branches = _branches(model, prompt, written)
    depth = max(len(tokens) for tokens in written)
    wide = max(len(model.world.texts[y]) for y in shown)
    step = 0.8 + 0.1 * (max(map(len, model.world.vocabulary)) + 5)  # inches from token to token
    named = step * depth + 0.125 * (wide + 6) < WIDEST  # else the branches alone spell the answers
    right = depth + 0.1 + 0.125 * (wide * named + 6) / step
    if ax is None:
        size = max(step * (right + 0.1), 0.13 * len(prompt)), 0.9 + 0.42 * len(shown)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    _draw_branches(ax, model.world, branches)
    for y, tokens in zip(shown, written, strict=True):
        leaf = branches[tokens]
        label = f"{model.world.texts[y]}  {_share(p[y])}" if named else _share(p[y])
        ax.text(depth + 0.06, leaf.y, label, size=13, color=DARK, va="center", gid="answer")
        ax.plot([leaf.x, depth + 0.03], [leaf.y, leaf.y], color="0.75", lw=0.8, ls=":", zorder=1)
    others = int((p > 0).sum()) - len(shown)
    below = f"{others:,} other answers: {_share(1 - p[shown].sum())}" if others else ""
    ax.set(xlim=(-0.1, right), ylim=(len(shown) - 0.4, -0.7))
    ax.set_axis_off()
    ax.set_title(prompt, size=15, loc="left")
    ax.text(0.0, -0.01, below, size=12, color=DARK, transform=ax.transAxes, va="top", gid="others")
    return ax


def _share(p: float) -> str:
    """A probability in two digits; what would read 0.00 though it is more is said so."""
    return "<0.01" if 0 < p < 0.005 else f"{p:.2f}"


def _written(world: TokenWorld, y: int) -> tuple[int, ...]:
    row = world.completion_tokens[y]
    return tuple(row[row >= 0].tolist())


def _branches(
    model: LanguageModel, prompt: str, written: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], Branch]:
    """Every beginning of the answers, with its probability; answers stand in the tree's order."""
    world, places = model.world, {tokens: float(i) for i, tokens in enumerate(sorted(written))}
    begun = sorted({tokens[:k] for tokens in written for k in range(len(tokens) + 1)})
    found = {}
    for start in begun:
        below = [y for tokens, y in places.items() if tokens[: len(start)] == start]
        mass = np.exp(model.log_prob(prompt, world.text(start)))
        found[start] = Branch(start, float(mass), float(len(start)), float(np.mean(below)))
    return found


def _draw_branches(ax: Axes, world: TokenWorld, branches: Mapping[Any, Branch]) -> None:
    for tokens, branch in branches.items():
        if not tokens:
            ax.plot(branch.x, branch.y, "o", ms=9, color=DARK)
            continue
        above, width = branches[tokens[:-1]], 0.8 + 9 * branch.mass
        x = [above.x, above.x + BEND, branch.x]
        ax.plot(x, [above.y, branch.y, branch.y], color=COLOURS[0], lw=width, gid="branch",
                snap=False, solid_joinstyle="round", zorder=2)  # fmt: skip
        words = f"{world.vocabulary[tokens[-1]]} {_share(branch.mass / above.mass)}"
        ax.annotate(words, ((x[1] + x[2]) / 2, branch.y), (0, 1 + width / 2), size=12, gid="token",
                    textcoords="offset points", ha="center", va="bottom", color=DARK, zorder=4,
                    path_effects=HALO)  # fmt: skip


# --- reward against KL ----------------------------------------------------------------------------


def frontier(
    reference: LanguageModel,
    reward: Reward,
    policies: Mapping[str, Any] | None = None,
    *,
    beta: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw E[reward] against KL(policy || reference): no policy is above p_ref exp(r / beta) / Z.

    Args:
        reference: where KL is measured from.
        reward: (P, N), or a function of prompt and completion.
        policies: a name for each policy, a `LanguageModel` or its probabilities as an array, (P,
            N); or for each path, a sequence of those.
        beta: marks the optimum p* of J = E[r] - beta KL; on the line through it, of slope beta, all
            policies have its J.
        ax: axes to draw on; None makes new ones.

    >>> import matplotlib; matplotlib.use("agg")
    >>> model = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> ax = frontier(model, [[0.0, 1.0]], {"always a": np.array([[0.0, 1.0]])})
    >>> ax.lines[-1].get_xydata().round(3).tolist()  # log 2, 1
    [[0.693, 1.0]]

    Raises:
        TypeError: `reference` is no `LanguageModel`.
        ValueError: probabilities of another shape or no distributions; beta not above 0; a policy
            that writes what the reference never does (its KL is infinite).
    """
    if not isinstance(reference, LanguageModel):
        raise TypeError(f"reference must be a LanguageModel; it is {reference!r}")
    r = reference.world.rewards(reward)
    if ax is None:
        wide = 9.5 if len(policies or {}) > 6 else 7
        _, ax = plt.subplots(figsize=(wide, 4.8), layout="constrained")
    edge = _edge(reference, r)
    ax.plot(*edge.T, color=DARK, lw=2.4, label="p*, every β", gid="edge", zorder=2)
    low, high = edge[0, 1], edge[-1, 1]
    top = high + 0.06 * (high - low)
    ax.fill_between(edge[:, 0], edge[:, 1], np.full(len(edge), top), color="0.9", lw=0, zorder=0)
    if beta is not None:
        _mark_optimum(ax, reference, r, beta)
    for k, (name, given) in enumerate((policies or {}).items()):
        steps = given if isinstance(given, Sequence) or np.ndim(given) == 3 else [given]
        at = np.array([_place(reference, r, step, name) for step in steps])
        path = len(at) > 1
        ax.plot(*at.T, color=COLOURS[k % 7], ls=STYLES[k % 7] if path else "none", lw=1.8,
                label=name, zorder=3 if path else 4, marker=MARKERS[k % len(MARKERS)], ms=9,
                mec="white", markevery=_marked(at))  # fmt: skip
    ax.set_ylim(top=max(top, ax.get_ylim()[1]) if high == low else top)
    _dress(ax, "KL(policy || reference), nats", "expected reward")
    if len(policies or {}) > 6:  # too many to stand below the line
        ax.legend(fontsize=12, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        ax.legend(fontsize=12, frameon=False, loc="lower right")
    return ax


def _edge(reference: LanguageModel, r: Array) -> Array:
    """KL and reward of p* for all beta, (T, 2)."""
    spread = deviation(reference.probs, r)
    lambdas = np.geomspace(1e-2, 1e2, 120) / (spread if spread > 0 else 1.0)
    tilts = [tilted(reference, r, lambda_) for lambda_ in (0.0, *lambdas, np.inf)]
    return np.array([_place(reference, r, p, "p*") for p in tilts])


def _place(reference: LanguageModel, r: Array, policy: Any, name: str) -> tuple[float, float]:
    given = policy
    if isinstance(policy, LanguageModel):
        must_share_world(reference.world, policy.world, f"policies[{name!r}]")
        given = policy.probs
    p = distributions(given, f"policies[{name!r}]", r.shape)
    far = kl(p, reference.probs)
    if np.isinf(far).any():
        x, y = np.argwhere((p > 0) & (reference.probs == 0))[0]
        world = reference.world
        raise ValueError(
            f"policies[{name!r}] must write only what the reference does; it answers"
            f" {world.prompts[x]!r} with {world.texts[y]!r}"
        )
    return float(far.mean()), float((p * r).sum(axis=1).mean())


def _marked(path: Array) -> list[int]:
    """Which steps get a mark: all of a few, of many the last."""
    return list(range(len(path))) if len(path) <= FEW else [len(path) - 1]


def _mark_optimum(ax: Axes, reference: LanguageModel, r: Array, beta: float) -> None:
    if number(beta, "beta", 0) == 0:
        raise ValueError("beta must be above 0; it is 0")
    x, y = _place(reference, r, tilted(reference, r, 1 / beta), "p*")
    ax.axline((x, y), slope=beta, color="0.5", lw=1.2, ls=(0, (4, 3)), zorder=1,
              label="same J as p*", gid="same J")  # fmt: skip
    ax.plot(x, y, marker="*", ms=17, color="white", mec="black", ls="none", zorder=5,
            label=f"p*, β = {beta:g}")  # fmt: skip


def gold_and_proxy(found: Overoptimisation, *, ax: Axes | None = None) -> Axes:
    """Draw gold and proxy reward against sqrt(KL), along the tilting family and for best-of-N.

    The thin upright line is where Cov(gold, proxy) = 0: there the gold reward peaks.

    >>> import matplotlib; matplotlib.use("agg")
    >>> from gridrl.rlhf.hacking import overoptimisation
    >>> from gridrl.rlhf.hacks import length_hack
    >>> hack = length_hack()
    >>> ax = gold_and_proxy(overoptimisation(hack.reference, hack.gold, hack.proxy))
    >>> [line.get_label() for line in ax.lines[:2]]
    ['proxy, tilted', 'gold, tilted']

    Raises:
        TypeError: `found` is not what `overoptimisation` returns.
    """
    if not isinstance(found, Overoptimisation):
        raise TypeError(f"found must be an Overoptimisation; it is a {type(found).__name__}")
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
    far, best = found.tilted, found.best_of_n
    for k, name in ((1, "proxy"), (0, "gold")):
        look: dict[str, Any] = {"color": COLOURS[k], "ls": STYLES[k]}
        ax.plot(far.distance, getattr(far, name), lw=2.4, label=f"{name}, tilted", **look)
    for k, name in ((1, "proxy"), (0, "gold")):
        ax.plot(best.distance, getattr(best, name), MARKERS[k], color=COLOURS[k], mec="white",
                ms=8, label=f"{name}, best of N")  # fmt: skip
    if 0 < found.peak < np.inf:
        p = tilted(found.reference, found.proxy, found.peak)
        d = float(np.sqrt(kl(p, found.reference.probs).mean()))
        ax.axvline(d, color="0.4", lw=1.2, zorder=1)
        left = d > 0.6 * float(far.distance.max())  # no room on its right
        ax.annotate(f"Cov = 0, β = {found.beta:.3g}", (d, 1), xycoords=("data", "axes fraction"),
                    size=12, ha="right" if left else "left", va="top",
                    xytext=(-5 if left else 5, 0), textcoords="offset points")  # fmt: skip
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.07 * (high - low))  # room for the line's name
    _dress(ax, "√KL(policy || reference), √nats", "expected reward")
    ax.legend(fontsize=12, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return ax


def _dress(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, size=14)
    ax.set_ylabel(y, size=14)
    ax.tick_params(labelsize=12)
    ax.spines[["top", "right"]].set_visible(False)
