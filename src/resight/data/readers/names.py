"""What the names of persons, columns and files mean: one spelling, and names that are not persons."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from resight.data.readers.listing import natural_order
from resight.tracklet import DISTRACTOR, JUNK

_JUNK = {"-1", "00-1", "junk", "unknown"}
_DISTRACTORS = {"0000", "distractor", "distractors", "background"}


def plain_name(text: str) -> str:
    """Return the name of a column or a class in lower case, without blanks, punctuation and units in brackets."""
    return re.sub(r"[\W_]+", "", re.sub(r"[\[(].*?[\])]", "", text.casefold()))


def one_spelling(name: str) -> str:
    """Return a name in Unicode normal form C. macOS stores ``é`` as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Number distinct names 1, 2, … in natural order; names that differ only in their Unicode form are one.

    Returns:
        The name in one spelling → its number.
    """
    distinct = sorted({one_spelling(name) for name in names}, key=natural_order)
    return {name: number for number, name in enumerate(distinct, start=1)}


def special_person(name: str) -> int | None:
    """Return `JUNK` or `DISTRACTOR` if a person's name says so, as in MARS and Market-1501; else None."""
    folded = name.casefold()
    return JUNK if folded in _JUNK else DISTRACTOR if folded in _DISTRACTORS else None


def number_persons(names: Iterable[str]) -> dict[str, int]:
    """Number persons as `numbered` does, without those that are junk or distractors, which get their own numbers."""
    distinct = {one_spelling(name) for name in names}
    special = {name: person for name in distinct if (person := special_person(name)) is not None}
    return numbered(distinct - special.keys()) | special


def describe_special(names: Iterable[str]) -> list[str]:
    """Return a sentence for each name that stands for junk or distractors."""
    meanings = {JUNK: "junk, neither correct nor wrong", DISTRACTOR: "distractors, wrong for every query"}
    return [
        f"{name!r} is not a person: its tracklets are {meanings[person]}; rename it if it is one"
        for name in sorted({one_spelling(name) for name in names}, key=natural_order)
        if (person := special_person(name)) is not None
    ]


def find_alike(root: Path, name: str) -> str | None:
    r"""Return the name of an existing path that is spelt a little differently, relative to `root`; None if none is.

    Backslashes of Windows count as slashes, and Unicode forms as equal.
    """
    place, found = root, Path()
    for part in Path(name.replace("\\", "/")).parts:
        match = part
        try:
            if not (place / part).exists():
                alike = [entry for entry in os.listdir(place) if one_spelling(entry) == one_spelling(part)]  # noqa: PTH208
                if len(alike) != 1:
                    return None
                match = alike[0]
        except OSError:  # not a folder, or a name that is too long
            return None
        place, found = place / match, found / match
    return str(found)
