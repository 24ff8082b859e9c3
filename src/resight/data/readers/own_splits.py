"""Store and apply the splits of your own data: ``resight splits`` writes the file, the readers apply it."""

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
"""Version of the file format."""

UNDECODABLE = "surrogateescape"
"""How bytes that are not UTF-8 are read and written. Names of files, and so ids of tracklets, may contain some."""

_ROLES = ("train", "query", "gallery")


@dataclass(frozen=True)
class OwnSplit:
    """One split as tracklet ids. Every query is in the gallery too."""

    train: tuple[str, ...]
    query: tuple[str, ...]
    gallery: tuple[str, ...]


@dataclass(frozen=True)
class OwnSplits:
    """The content of a file of splits.

    Attributes:
        seed: Seed from which they were drawn.
        rule: How they were drawn, as text.
        made_for: `hash_ids` of all tracklets of the data set.
        left_out: Ids of tracklets that are in no split.
        splits: The splits, numbered from 1 in this order.
    """

    seed: int
    rule: str
    made_for: str
    left_out: tuple[str, ...]
    splits: tuple[OwnSplit, ...]

    def to_bytes(self) -> bytes:
        """Return the content of the file: JSON, identical for identical splits."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"
        return text.encode(errors=UNDECODABLE)

    def of(self, whole: Dataset) -> tuple[Dataset, ...]:
        """Return one data set per split, with tracklets in the order of `whole.gallery`.

        Args:
            whole: A data set with every tracklet in its gallery.
        """
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
    """Return the SHA-256 of tracklet ids, independent of their order."""
    return "sha256:" + hashlib.sha256("\n".join(sorted(ids)).encode(errors=UNDECODABLE)).hexdigest()


def apply_own_splits(whole: Dataset, path: Path, name: str) -> tuple[Dataset, ...]:
    """Return the splits listed in a file, or the whole data set if the file does not exist.

    Args:
        whole: The data set with every tracklet in every role.
        path: The file of splits.
        name: ``KIND:PATH`` of the data set, for messages.

    Raises:
        DatasetError: If the file has another form, tracklets were added to or removed from the data set since the
            splits were made, a split has no query, or a person is in both training and test.
    """
    if not path.is_file():
        return (whole,)
    own = _parse(path, name)
    ids = {t.id for t in whole.gallery}
    listed = {id_ for split in own.splits for role in _ROLES for id_ in getattr(split, role)} | {*own.left_out}
    removed, added = sorted(listed - ids), sorted(ids - listed)
    made_for = hash_ids(ids)
    if own.made_for != made_for:
        changes = [
            f"{len(changed)} {what} ({first_few(changed)})"
            for changed, what in ((removed, "were removed"), (added, "were added"))
            if changed
        ]
        changes = changes or [
            f"its lists match, but made_for does not; if you edited the lists on purpose, set it to {made_for}"
        ]
        raise DatasetError(
            f"{path} does not match the tracklets of {name}: {' and '.join(changes)}; restore the data, draw new "
            f"splits (resight splits {name} --replace), or delete the file to use the data without splits"
        )
    if removed:
        raise DatasetError(
            f"{path} lists {len(removed)} tracklets that are not in {name} ({first_few(removed)}); correct the list, "
            f"or draw new splits: resight splits {name} --replace"
        )
    splits = own.of(whole)
    for number, split in enumerate(splits, start=1):
        if not split.query:
            raise DatasetError(f"{path}: split {number} has no query; add some, or delete the split")
        train, test = by_person(split.train), by_person((*split.query, *split.gallery))
        both = train.keys() & test.keys()
        if both:
            example = min(both)
            raise DatasetError(
                f"{path}: in split {number}, {len(both)} persons are in both training and test, such as the person of "
                f"{train[example][0].id} (train) and {test[example][0].id} (query or gallery), so its score would be "
                f"meaningless; move each person to one side, or draw new splits: resight splits {name} --replace"
            )
    notes = [f"{path} defines train, query and gallery; {name}#all is the whole data set"]
    if own.left_out:
        notes.append(f"{len(own.left_out)} tracklets are in no split ({first_few(own.left_out)})")
    return tuple(replace(split, notes=(*split.notes, *notes)) for split in splits)


def _parse(path: Path, name: str) -> OwnSplits:
    redraw = f"draw the splits again: resight splits {name} --replace"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8", errors=UNDECODABLE))
        version = content["format"]
        if version != FORMAT:
            raise DatasetError(
                f"{path} has format {version!r}, but this version of Resight reads format {FORMAT}; update Resight, or "
                f"{redraw}"
            )
        splits = tuple(OwnSplit(*(_ids(split[role]) for role in _ROLES)) for split in content["splits"])
        own = OwnSplits(content["seed"], content["rule"], content["made_for"], _ids(content["left_out"]), splits)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not a file of splits as written by resight splits ({type(error).__name__}: {error}); {redraw}"
        ) from error
    if not splits:
        raise DatasetError(f"{path} lists no split; {redraw}")
    return own


def _ids(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"expected a list of tracklet ids, found {str(values)[:60]}")
    return tuple(values)


def _chosen(whole: Dataset, ids: Iterable[str]) -> tuple[Tracklet, ...]:
    wanted = set(ids)
    return tuple(t for t in whole.gallery if t.id in wanted)
