"""A few clips on the penguin's ice, and an oracle that sees its fish."""

from __future__ import annotations

from gridrl import penguin_world
from gridrl.preferences import PreferenceOracle, Segment, fingerprint

ICE = penguin_world()
MDP = ICE.mdp(gamma=0.9)
HERE = fingerprint(MDP)
FISH = [1.0 * (tile == "F") for tile in ICE.state_tiles]
ORACLE = PreferenceOracle(FISH)


def clip(*states: int, world: str = HERE) -> Segment:
    """A walk through these states."""
    actions = [1] * (len(states) - 1)
    return Segment(states[:-1], actions, final=states[-1], world=world)


STROLL, MEAL, FEAST = clip(0, 1, 2, 1), clip(2, 3, 2, 1), clip(9, 8, 9, 10)
PAIRS = [(STROLL, MEAL), (MEAL, STROLL), (FEAST, STROLL), (MEAL, FEAST), (STROLL, clip(4, 5, 6, 7))]
ANSWERS = ["right", "left", "left", "tie", "tie"]
