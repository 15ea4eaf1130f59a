"""Two rewards that can be had without what they were meant for, each in a world that one can read.

Reading: Gao, Schulman, Hilton (2022), arXiv:2210.10760; lecture 002, on reward hacking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.pretraining import pretrain
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import Array, read_only, restore


@dataclass(frozen=True, eq=False)
class Hack:
    """A reward that can be had without what it was meant for.

    Attributes:
        reference: a model that was pretrained on a few answers.
        gold: what is wanted, (P, N).
        proxy: what is paid, (P, N).
    """

    reference: LanguageModel
    gold: Array
    proxy: Array

    __setstate__ = restore


def length_hack() -> Hack:
    """Length bias: each word costs the reader 0.3, and pays the writer 0.2.

    Wanted are the two things that penguins eat, 1 each, in few words.

    >>> hack = length_hack()
    >>> y = hack.reference.world.completion("fish krill fish $")
    >>> round(float(hack.gold[0, y]), 1), round(float(hack.proxy[0, y]), 1)
    (1.1, 2.6)
    """
    world = TokenWorld(["what do penguins eat ?"], ["fish", "krill", "snow"], 6)
    says = {"fish $": 4, "krill $": 3, "snow $": 2, "fish krill $": 2, "fish fish krill $": 1}
    facts = np.array([[("fish" in y) + ("krill" in y) for y in world.texts]], dtype=np.float64)
    words = world.lengths - np.array([y.endswith(world.end) for y in world.texts])
    reference = pretrain(world, _texts(world.prompts[0], says), smoothing=1.2)
    return Hack(reference, read_only(facts - 0.3 * words), read_only(facts + 0.2 * words))


def authority_hack() -> Hack:
    """What sounds authoritative is paid, whatever the truth where the rater cannot check it.

    Wanted is the right answer (1; a wrong one -1, none 0). Paid is "surely" (1) and not "perhaps"
    (-1); and, for the first question, which the rater can check, the right answer (1.5, -1.5). The
    model that was pretrained is careful where it knows, and loud where it does not.

    >>> hack = authority_hack()
    >>> y = hack.reference.world.completion("surely yes $")
    >>> hack.gold[:, y].tolist(), hack.proxy[:, y].tolist()
    ([1.0, -1.0], [2.5, 1.0])
    """
    world = TokenWorld(["do penguins swim ?", "do penguins chew ?"],
                       ["surely", "perhaps", "yes", "no"], 3)  # fmt: skip
    swims = {"yes $": 4, "no $": 2, "perhaps yes $": 3, "perhaps no $": 2, "surely yes $": 1}
    chews = {"no $": 3, "yes $": 1, "perhaps no $": 5, "surely yes $": 1}
    gold = np.array([[_right(y, "yes", "no"), -_right(y, "yes", "no")] for y in world.texts]).T
    sound = np.array([("surely" in y) - 1.0 * ("perhaps" in y) for y in world.texts])
    corpus = _texts(world.prompts[0], swims) + _texts(world.prompts[1], chews)
    proxy = sound + np.array([[1.5], [0.0]]) * gold
    return Hack(pretrain(world, corpus, smoothing=0.25), read_only(gold), read_only(proxy))


def _right(text: str, true: str, false: str) -> float:
    words = text.split()
    return float(true in words) - float(false in words)


def _texts(prompt: str, says: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(prompt, text) for text, times in says.items() for _ in range(times)]
