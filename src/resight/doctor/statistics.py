"""What a data set consists of, in numbers: what the pictures of `resight doctor --out` show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.tracklet import Dataset, Tracklet, by_person


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts of a data set; of one with several official splits, those of the first.

    Attributes:
        roles: role → tracklets, persons, cameras, frames. The roles are train, query and gallery, or all where one
            tracklet is everything.
        lengths: ``train`` and ``test``, or ``all`` → frames of each tracklet. Queries and gallery are ``test``.
        per_camera: the same → camera → tracklets.
        cameras_per_person: the same → number of cameras → persons whom so many see.
        tracklets_per_person: the same → tracklets of each person.
    """

    roles: dict[str, dict[str, int]]
    lengths: dict[str, list[int]]
    per_camera: dict[str, dict[int, int]]
    cameras_per_person: dict[str, dict[int, int]]
    tracklets_per_person: dict[str, list[int]]

    def to_json(self) -> dict[str, Any]:
        """Plain values; lengths as quantiles."""
        return {
            "roles": self.roles,
            "frames_per_tracklet": {part: _quantiles(values) for part, values in self.lengths.items()},
            "tracklets_per_camera": _with_text(self.per_camera),
            "persons_by_cameras": _with_text(self.cameras_per_person),
            "tracklets_per_person": {part: _quantiles(values) for part, values in self.tracklets_per_person.items()},
        }


def count_dataset(splits: Sequence[Dataset]) -> DatasetStatistics:
    """The statistics of a data set, from its first split."""
    split = splits[0]
    if {t.id for t in split.train} == {t.id for t in split.gallery}:
        roles = parts = {"all": list(split.gallery)}
    else:
        roles = {"train": list(split.train), "query": list(split.query), "gallery": list(split.gallery)}
        parts = {"train": list(split.train), "test": list({t.id: t for t in (*split.query, *split.gallery)}.values())}
    persons = {part: by_person(own) for part, own in parts.items()}
    return DatasetStatistics(
        roles={role: _count(own) for role, own in roles.items()},
        lengths={part: [len(t) for t in own] for part, own in parts.items()},
        per_camera={part: dict(sorted(Counter(t.camera for t in own).items())) for part, own in parts.items()},
        cameras_per_person={
            part: dict(sorted(Counter(len({t.camera for t in theirs}) for theirs in own.values()).items()))
            for part, own in persons.items()
        },
        tracklets_per_person={part: [len(theirs) for theirs in own.values()] for part, own in persons.items()},
    )


def _count(tracklets: Sequence[Tracklet]) -> dict[str, int]:
    return {
        "tracklets": len(tracklets),
        "persons": len(by_person(tracklets)),
        "cameras": len({t.camera for t in tracklets}),
        "frames": sum(map(len, tracklets)),
    }


def _quantiles(values: Sequence[int]) -> dict[str, float]:
    if not values:
        return {}
    least, median, most = np.quantile(values, (0, 0.5, 1)).tolist()
    return {"least": least, "median": median, "most": most}


def _with_text(counts: dict[str, dict[int, int]]) -> dict[str, dict[str, int]]:
    """JSON has text as keys only."""
    return {part: {str(key): number for key, number in own.items()} for part, own in counts.items()}
