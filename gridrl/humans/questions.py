"""Questions to a person: pairs of clips of one world, some of them put again as attention checks.

Reading: Christiano et al. (2017), arXiv:1706.03741, appendix B.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gridrl.humans.clips import moments
from gridrl.preferences import Comparison, PreferenceDataset, Segment, fingerprint
from gridrl.preferences.segments import pair_of
from gridrl.tables import generator, number
from gridrl.worlds import GridWorld

Pair = tuple[Segment, Segment]
GAP = 3  # questions at least between a pair and its repetition, where there are so many


def with_checks(
    pairs: Sequence[Pair], share: float, *, rng: int | np.random.Generator | None = None
) -> list[Pair]:
    """Mix attention checks in: some pairs come again later, left and right exchanged.

    >>> a, b = Segment([0], [0]), Segment([1], [0])
    >>> with_checks([(a, b)], 1.0)
    [(Segment(0, actions 0), Segment(1, actions 0)), (Segment(1, actions 0), Segment(0, actions 0))]

    Raises:
        ValueError: a share outside [0, 1].
    """
    return still_open(pairs, share, Counter(), generator(rng))


def still_open(
    pairs: Sequence[Pair], share: float, given: Counter[str], chance: np.random.Generator
) -> list[Pair]:
    """The pairs and their checks, without as many questions on a pair as answers were `given`."""
    n, keys = len(pairs), [pair_of(*pair) for pair in pairs]
    drawn = chance.choice(n, size=round(number(share, "checks", 0, 1) * n), replace=False).tolist()
    again = _with_those_made(drawn, keys, given)
    times = [(float(i), pair) for i, pair in enumerate(pairs)]
    for i in sorted(again):
        first, second = pairs[i]
        soonest = i + GAP + 0.5
        times.append((chance.uniform(soonest, max(n, soonest)), (second, first)))
    left, still_open = given.copy(), []
    for _, pair in sorted(times, key=lambda timed: timed[0]):
        left[pair_of(*pair)] -= 1
        if left[pair_of(*pair)] < 0:
            still_open.append(pair)
    return still_open


def _with_those_made(drawn: list[int], keys: list[str], given: Counter[str]) -> list[int]:
    """As many checks as were drawn, first those that were made before: fresh chance adds none."""
    made, before = given - Counter(keys), []
    for i, key in enumerate(keys):
        if made[key] > 0:
            made[key] -= 1
            before.append(i)
    return [*before, *(i for i in drawn if i not in before)][: len(drawn)]


def checked(world: GridWorld, pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs; an error names the first that is none, or not of this world."""
    if not isinstance(world, GridWorld):
        raise TypeError(f"world must be a GridWorld; it is {world!r}")
    if not isinstance(pairs, Iterable):
        raise TypeError(f"pairs must be pairs of clips; it is {pairs!r}")
    known, here = list(pairs), fingerprint(world.mdp(gamma=0.5))
    for i, pair in enumerate(known):
        _check_pair(world, pair, f"pairs[{i}]", here)
        if pair[0].world != known[0][0].world:
            raise ValueError(
                f"pairs[{i}] must be of the same world as pairs[0], {known[0][0].world!r};"
                f" it is of {pair[0].world!r}"
            )
    return known


def _check_pair(world: GridWorld, pair: Pair, name: str, here: str) -> None:
    if not isinstance(pair, tuple | list):
        raise TypeError(f"{name} must be two clips; it is {pair!r}")
    if len(pair) != 2:
        raise ValueError(f"{name} must be two clips; there are {len(pair)}")
    for clip in pair:
        if not isinstance(clip, Segment):
            raise TypeError(f"{name} must be two clips, each a Segment; one is {clip!r}")
        moments(world, clip)
        if clip.world not in ("", here):
            raise ValueError(f"{name} must be of this world, {here!r}; it is of {clip.world!r}")
    Comparison(*pair, "skip")  # both of one world


def check_dataset(dataset: PreferenceDataset, pairs: list[Pair]) -> None:
    """Refuse what is no dataset, or one of another world: no vote could be written there."""
    if not isinstance(dataset, PreferenceDataset):
        raise TypeError(f"dataset must be a PreferenceDataset; it is {dataset!r}")
    is_known = dataset.world != "" or len(dataset) > 0
    if pairs and is_known and dataset.world != pairs[0][0].world:
        raise ValueError(
            f"dataset must be of world {pairs[0][0].world!r}, as the pairs;"
            f" it is of world {dataset.world!r}"
        )
