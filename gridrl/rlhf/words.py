"""Worlds to tell the story of RLHF in: each with what was read, what was shown, what is liked.

Words: a penguin's and a cat's sentences, of a dozen words. Moves: the prompt is a square, the
tokens are the penguin's moves, and the human likes clips. The cat and the hat: lecture's question
what "it" was. Thoughts: facts that were only ever read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from gridrl.preferences.segments import Segment
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.tokens import TokenWorld
from gridrl.tables import restore, whole
from gridrl.worlds.grid import GridWorld
from gridrl.worlds.penguin import penguin_world

NOUNS = ("ice", "fish", "cat", "penguin")
VERBS = ("eats", "likes")
QUALITIES = ("big", "cold")
TRUE = {
    "the penguin": ("eats fish", "likes fish", "likes ice", "is cold", "is not big"),
    "the cat": ("eats fish", "likes fish", "is not cold", "is not big"),
    "the ice": ("is cold", "is very cold", "is big"),
}


@dataclass(frozen=True, eq=False)
class Story:
    """A world and the people in it.

    Attributes:
        world: prompts and tokens.
        corpora: what is there to read, by name: pairs (prompt, completion).
        demonstrations: a few good answers, the same.
        reward: what the human thinks of an answer, R(x, y).
    """

    world: TokenWorld
    corpora: Mapping[str, tuple[tuple[str, str], ...]]
    demonstrations: tuple[tuple[str, str], ...]
    reward: Callable[[str, str], float]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "corpora": dict(self.corpora)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, {**state, "corpora": MappingProxyType(state["corpora"])})

    @property
    def corpus(self) -> tuple[tuple[str, str], ...]:
        """All there is to read."""
        return tuple(text for texts in self.corpora.values() for text in texts)

    def __repr__(self) -> str:
        return f"Story({len(self.corpus)} texts, {len(self.demonstrations)} shown, {self.world!r})"


# --- words ----------------------------------------------------------------------------------


def word_world(length: int = 4) -> Story:
    """A dozen words about a penguin, a cat and the ice; the human likes grammar, and the truth.

    >>> story = word_world()
    >>> [story.reward("the cat", y) for y in ("eats the fish $", "eats the ice $", "fish fish $")]
    [2.0, 1.0, 0.0]
    >>> story
    Story(66 texts, 6 shown, TokenWorld(3 prompts, 13 tokens, length 4, 22,621 completions each))
    """
    words = ("the", *NOUNS, *VERBS, "is", "not", "very", *QUALITIES)
    world = TokenWorld(tuple(TRUE), words, whole(length, "length", least=3))
    books = [
        (x, f"{y} $")
        for x in TRUE
        for y in ("eats fish", "likes ice", "likes fish", "is cold", "is big", "is not big")
        if (x != "the ice" or y.startswith("is")) and len(y.split()) < length
    ]
    web = [(x, f"{y} $") for x in TRUE for y in CHATTER] * 2
    shown = [
        ("the penguin", "eats fish $"), ("the penguin", "likes ice $"), ("the cat", "likes fish $"),
        ("the cat", "eats fish $"), ("the ice", "is cold $"), ("the ice", "is big $"),
    ]  # fmt: skip
    corpora = {"books": tuple(books) * 2, "web": tuple(web)}
    return Story(world, MappingProxyType(corpora), tuple(shown), likes_sense)


CHATTER = ("is is", "fish fish", "eats ice", "likes the", "big", "is cat")


def likes_sense(prompt: str, answer: str) -> float:
    """0 for what is no sentence, 1 for a sentence, 2 for a true one, in reward units."""
    if not grammatical(answer):
        return 0.0
    plain = " ".join(word for word in answer.split() if word not in ("$", "the"))
    return 2.0 if plain in TRUE.get(prompt, ()) else 1.0


def grammatical(answer: str) -> bool:
    """Whether it goes on as a sentence: "eats [the] fish", "is [not] [very] cold".

    >>> grammatical("is not very cold"), grammatical("is fish $")
    (True, False)
    """
    words = answer.removesuffix("$").split()
    if not words:
        return False
    verb, rest = words[0], words[1:]
    if verb in VERBS:
        return len(rest) > 0 and rest[-1] in NOUNS and rest[:-1] in ([], ["the"])
    fine: tuple[list[str], ...] = ([], ["not"], ["very"], ["not", "very"])
    return verb == "is" and len(rest) > 0 and rest[-1] in QUALITIES and rest[:-1] in fine


# --- moves ----------------------------------------------------------------------------------


def move_world(
    length: int = 4,
    *,
    ice: GridWorld | None = None,
    rng: int | np.random.Generator | None = 0,
) -> Story:
    """The prompt is the penguin's square, the tokens are moves; a clip pays the fish it reaches.

    The ice is not slippery here. Corpus: wanderings; demonstrations: shortest ways to a fish.

    >>> story = move_world()
    >>> story.reward("2", "right right $"), story.reward("2", "left left $")
    (0.8, -0.2)
    """
    sheet = penguin_world() if ice is None else ice
    world = TokenWorld(sheet.labels, tuple(sheet.moves), length, end="$")
    wanderer = LanguageModel(world)
    x = np.repeat(np.arange(len(world.prompts)), 20)
    rows = wanderer.write(x, rng=rng)
    read = [
        (world.prompts[k], world.text(row[row >= 0]))
        for k, row in zip(x.tolist(), rows, strict=True)
    ]
    ways = tuple((label, way) for label in sheet.labels if (way := _way(world, sheet, label)))

    return Story(world, MappingProxyType({"wanderings": tuple(read)}), ways, partial(_likes, sheet))


def _likes(ice: GridWorld, prompt: str, answer: str) -> float:
    return round(clip_reward(ice, clip(ice, prompt, answer)), 12)


def clip(ice: GridWorld, prompt: str, answer: str) -> Segment | None:
    """What is seen when the moves are made from the prompt's square; None if there are none.

    >>> clip(penguin_world(), "2", "right right $")
    Segment(1 2, actions 1 1)
    """
    names = list(ice.moves)
    moves = [move for move in answer.split() if move != "$"]
    if len(bad := [move for move in moves if move not in names]):
        raise ValueError(f"answer must be of {' '.join(names)}; it has {bad[0]!r}")
    actions = [names.index(move) for move in moves]
    states = [ice.index(prompt)]
    for a in actions:
        states.append(int(ice.landing[states[-1], a]))
    return Segment(states[:-1], actions, final=states[-1]) if actions else None


def clip_reward(ice: GridWorld, seen: Segment | None, effort: float = 0.1) -> float:
    """What the tiles that a clip reaches pay, each square once, less `effort` a move."""
    if seen is None:
        return 0.0
    reached = {*seen.states[1:].tolist(), seen.final} - {int(seen.states[0])}
    tiles = [str(ice.state_tiles[s]) for s in reached]
    return sum(ice.rewards.get(tile, 0.0) for tile in tiles) - effort * len(seen.actions)


def _way(world: TokenWorld, ice: GridWorld, label: str) -> str:
    """The shortest way to a square that pays, as an answer; "" where none is in reach."""
    ways = [(ice.index(label), "")]
    for _ in range(world.length - 1):
        steps = zip(ice.moves, range(len(ice.moves)), strict=True)
        ways = [(int(ice.landing[s, a]), f"{way}{move} ") for move, a in steps for s, way in ways]
        for s, way in ways:
            if s != ice.index(label) and ice.rewards.get(str(ice.state_tiles[s]), 0.0) > 0:
                return f"{way}$"
    return ""


# --- questions ------------------------------------------------------------------------------


def cat_hat_world() -> Story:
    """What was too big, the cat or the hat? A sentence goes on after "because".

    The reward is 1 for what explains, else 0. It can be answered by a model that has read the
    whole line; to one of the last tokens, both prompts look alike.

    >>> from gridrl.rlhf.pretraining import pretrain, sentence_log_prob
    >>> story = cat_hat_world()
    >>> model = pretrain(story.world, story.corpus)
    >>> line = "the cat could not fit into the hat because the {} is too big".format
    >>> sentence_log_prob(model, line("cat")) > sentence_log_prob(model, line("hat"))
    True
    """
    into = "the cat could not fit into the hat because"
    over = "the hat could not fit over the cat because"
    world = TokenWorld((into, over), ("the", "cat", "hat", "is", "too", "big", "small"), 5)
    big = {into: "the cat is too big", over: "the cat is too big"}
    small = {into: "the hat is too small", over: "the hat is too small"}
    wrong = {into: "the hat is too big", over: "the cat is too small"}
    read = [(x, y[x]) for x in (into, over) for y in (big, big, big, small, small, wrong)]

    shown = ((into, big[into]), (over, small[over]))
    good = {x: (big[x], small[x]) for x in world.prompts}
    return Story(world, MappingProxyType({"stories": tuple(read)}), shown, partial(_explains, good))


def _explains(good: Mapping[str, tuple[str, ...]], prompt: str, answer: str) -> float:
    return float(answer in good.get(prompt, ()))


KINDS = {"Rex": "dog", "Tom": "cat", "Tux": "penguin"}
COATS = {"dog": "fur", "cat": "fur", "penguin": "feathers"}


def thought_world(*, scratch: bool = True) -> Story:
    """Has Tux fur or feathers? Read were only "Tux: penguin" and "penguin: feathers".

    A bigram model goes from one fact to the next, if it may write the first down: with scratch
    tokens before the answer (the last word) it can get there, without (`length` 2) it never does.
    [arXiv:2304.03843]

    >>> from gridrl.rlhf.pretraining import pretrain
    >>> for story in (thought_world(scratch=False), thought_world()):
    ...     model = pretrain(story.world, story.corpus, context=1)
    ...     model.log_prob("Tux", "feathers $"), model.next_token("Tux")["penguin"]
    (-inf, 1.0)
    (-inf, 1.0)
    >>> round(float(np.exp(model.log_prob("Tux", "penguin feathers $"))), 2)
    0.5
    """
    world = TokenWorld((*KINDS, *COATS), (*COATS, "fur", "feathers"), 3 if scratch else 2)
    read = [*((x, f"{y} $") for facts in (KINDS, COATS) for x, y in facts.items())]

    shown = [(x, f"{COATS[y]} $") for x, y in KINDS.items()]
    return Story(world, MappingProxyType({"facts": tuple(read)}), tuple(shown), _coated)


def _coated(prompt: str, answer: str) -> float:
    words = answer.split()
    coat = COATS.get(KINDS.get(prompt, prompt))
    return float(len(words) > 1 and words[-1] == "$" and words[-2] == coat)
