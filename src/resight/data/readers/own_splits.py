"""The splits of your own data, as a file beside it: what ``resight splits`` writes and the readers apply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from resight.data.readers.listing import first_few
from resight.errors import DatasetError
from resight.tracklet import Dataset, Tracklet, by_person

FORMAT = 1
"""Version of the file's form."""

# Names of files need not be text.
_ODD_NAMES = "surrogateescape"
_ROLES = ("train", "query", "gallery")


@dataclass(frozen=True)
class OwnSplit:
    """One split as tracklet ids; a query is in the gallery too."""

    train: tuple[str, ...]
    query: tuple[str, ...]
    gallery: tuple[str, ...]


@dataclass(frozen=True)
class OwnSplits:
    """What a file of splits says.

    Attributes:
        seed: what they were drawn from.
        rule: how they were drawn, in words.
        made_for: `hash_ids` of all tracklets that the data set had.
        left_out: ids of tracklets that are in no split.
        splits: numbered from 1 in this order.
    """

    seed: int
    rule: str
    made_for: str
    left_out: tuple[str, ...]
    splits: tuple[OwnSplit, ...]

    def to_bytes(self) -> bytes:
        """The file: JSON, the same for the same splits."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"
        return text.encode(errors=_ODD_NAMES)

    def of(self, whole: Dataset) -> tuple[Dataset, ...]:
        """The splits of a data set whose tracklets are all in `whole.gallery`, each in the order of that."""
        return tuple(
            replace(
                whole,
                train=_chosen(whole, split.train),
                query=_chosen(whole, split.query),
                gallery=_chosen(whole, split.gallery),
                number=number if len(self.splits) > 1 else None,
            )
            for number, split in enumerate(self.splits, start=1)
        )


def hash_ids(ids: Iterable[str]) -> str:
    """SHA-256 of tracklet ids, whatever their order."""
    return "sha256:" + hashlib.sha256("\n".join(sorted(ids)).encode(errors=_ODD_NAMES)).hexdigest()


def apply_own_splits(whole: Dataset, path: Path, name: str) -> tuple[Dataset, ...]:
    """The splits that a file lists, or the whole data set if there is no such file.

    Args:
        whole: the data set with every tracklet in every role.
        path: where its splits are listed, if they are.
        name: ``KIND:PATH`` of the data set, for messages.

    Raises:
        DatasetError: if the file is not of this form, the data set has tracklets that it did not have when the splits
            were made or has lost some, a split has no query, or somebody is both trained on and tested on.
    """
    if not path.is_file():
        return (whole,)
    own = _parse(path, name)
    ids = {t.id for t in whole.gallery}
    listed = {id_ for split in own.splits for role in _ROLES for id_ in getattr(split, role)} | {*own.left_out}
    gone, new = sorted(listed - ids), sorted(ids - listed)
    made_for = hash_ids(ids)
    if own.made_for != made_for:
        changes = [
            f"{len(some)} {what} ({first_few(some)})" for some, what in ((gone, "are gone"), (new, "are new")) if some
        ]
        changes = changes or [f"its lists fit them; if you changed these on purpose, write made_for: {made_for}"]
        raise DatasetError(
            f"{path} was made for other tracklets than {name} has: "
            f"{' and '.join(changes)}; put the data back as it was, draw new splits (resight splits {name} --replace), "
            "or delete the file to use the data without splits"
        )
    if gone:
        raise DatasetError(
            f"{path} lists {len(gone)} tracklets that {name} never had ({first_few(gone)}); correct them, or draw new "
            f"splits: resight splits {name} --replace"
        )
    splits = own.of(whole)
    for number, split in enumerate(splits, start=1):
        if not split.query:
            raise DatasetError(f"{path}: split {number} has no query; give it some, or delete it")
        train, test = by_person(split.train), by_person((*split.query, *split.gallery))
        both = train.keys() & test.keys()
        if both:
            example = min(both)
            raise DatasetError(
                f"{path}: in split {number}, {len(both)} persons are both trained on and tested on, such as the "
                f"one of {train[example][0].id} (train) and {test[example][0].id} (query or gallery), so its score "
                f"would mean nothing; move each to one side, or draw new splits: resight splits {name} --replace"
            )
    notes = [f"{path} says what is train, query and gallery; {name}#all is everything"]
    if own.left_out:
        notes.append(f"{len(own.left_out)} tracklets are in no split ({first_few(own.left_out)})")
    return tuple(replace(split, notes=(*split.notes, *notes)) for split in splits)


def _parse(path: Path, name: str) -> OwnSplits:
    again = f"draw them again: resight splits {name} --replace"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8", errors=_ODD_NAMES))
        version = found["format"]
        if version != FORMAT:
            raise DatasetError(
                f"{path} has format {version!r}, and this version of Resight reads {FORMAT}; update Resight, or {again}"
            )
        splits = tuple(OwnSplit(*(_ids(split[role]) for role in _ROLES)) for split in found["splits"])
        own = OwnSplits(found["seed"], found["rule"], found["made_for"], _ids(found["left_out"]), splits)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatasetError(
            f"{path} does not list splits as resight splits writes them ({type(error).__name__}: {error}); {again}"
        ) from error
    if not splits:
        raise DatasetError(f"{path} lists no split; {again}")
    return own


def _ids(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"expected a list of tracklet ids, found {str(values)[:60]}")
    return tuple(values)


def _chosen(whole: Dataset, ids: Iterable[str]) -> tuple[Tracklet, ...]:
    wanted = set(ids)
    return tuple(t for t in whole.gallery if t.id in wanted)
