"""Numbers with their nouns, for messages."""

from __future__ import annotations

import re

_NOUNS = (
    "archives", "boxes", "cameras", "columns", "copies", "counts", "folders", "frames", "gaps", "groups", "images",
    "lines", "links", "names", "numbers", "pairs", "paths", "persons", "pictures", "queries", "rows", "splits",
    "tables", "tracklets", "tracks",
)  # fmt: skip
_BEFORE = "(?:such |other |empty |repeated |missing |training |test )?"
_SEVERAL = re.compile(rf"(?<![\w.,/-])1 ({_BEFORE})({'|'.join(_NOUNS)})\b(?! are| have)")
_ENDINGS = (("boxes", "box"), ("ies", "y"), ("s", ""))


def counted(number: int, several: str) -> str:
    """Return a number with its noun: ``1 box`` and ``2 boxes`` for ``boxes``, ``1 frame read`` for ``frames read``."""
    return f"{number:,} {one_of(several) if number == 1 else several}"


def one_of(several: str) -> str:
    """Return the singular of a noun, which may be followed by other words."""
    noun, blank, rest = several.partition(" ")
    ending, replacement = next(((e, r) for e, r in _ENDINGS if noun.endswith(e)), ("", ""))
    return noun[: len(noun) - len(ending)] + replacement + blank + rest


def in_number(text: str) -> str:
    """Return a text with the noun after every number 1 in the singular: ``1 frames`` becomes ``1 frame``."""
    return _SEVERAL.sub(lambda match: f"1 {match[1]}{one_of(match[2])}", text)
