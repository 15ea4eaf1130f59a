"""Which words may be prompts and tokens."""

from __future__ import annotations

from collections.abc import Sequence


def sequence(given: Sequence[str], name: str) -> tuple[str, ...]:
    """Words as a tuple.

    Raises:
        TypeError: they are no sequence.
    """
    try:
        return tuple(given)
    except TypeError as error:
        raise TypeError(f"{name} must be a sequence of words; it is {given!r}") from error


def check_words(words: tuple[str, ...], name: str, *, spaces: bool) -> None:
    """Say which word cannot be one: prompts may have spaces, tokens may not.

    Raises:
        TypeError, ValueError: no words, one that is no str or has a space in it, one given twice.
    """
    if not words:
        raise ValueError(f"{name} must have at least one; it has none")
    for k, word in enumerate(words):
        if not isinstance(word, str):
            raise TypeError(f"{name}[{k}] must be a str; it is {word!r}")
        if not word or (not spaces and word.split() != [word]):
            raise ValueError(f"{name}[{k}] must be a word without spaces; it is {word!r}")
        if word in words[:k]:
            raise ValueError(f"{name}[{k}] must not be given twice; it is {word!r}")
