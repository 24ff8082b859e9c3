"""Count what a data set consists of. `resight doctor --out` plots these numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.tracklet import Dataset, Tracklet, by_person


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts of a data set. If it has several official splits, those of the first.

    Attributes:
        roles: Role → tracklets, persons, cameras, frames. The roles are ``train``, ``query`` and ``gallery``, or
            ``all`` if every tracklet has every role.
        lengths: Part → frames of each tracklet. The parts are ``train`` and ``test`` (queries and gallery), or ``all``.
        per_camera: Part → camera → number of tracklets.
        cameras_per_person: Part → number of cameras → number of persons seen by that many cameras.
        tracklets_per_person: Part → number of tracklets of each person.
    """

    roles: dict[str, dict[str, int]]
    lengths: dict[str, list[int]]
    per_camera: dict[str, dict[int, int]]
    cameras_per_person: dict[str, dict[int, int]]
    tracklets_per_person: dict[str, list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values, with lists of numbers as quantiles."""
        return {
            "roles": self.roles,
            "frames_per_tracklet": {part: _quantiles(values) for part, values in self.lengths.items()},
            "tracklets_per_camera": _with_text_keys(self.per_camera),
            "persons_by_cameras": _with_text_keys(self.cameras_per_person),
            "tracklets_per_person": {part: _quantiles(values) for part, values in self.tracklets_per_person.items()},
        }


def count_dataset(splits: Sequence[Dataset]) -> DatasetStatistics:
    """Return the statistics of a data set, from its first split."""
    dataset = splits[0]
    if {t.id for t in dataset.train} == {t.id for t in dataset.gallery}:
        roles = parts = {"all": list(dataset.gallery)}
    else:
        roles = {"train": list(dataset.train), "query": list(dataset.query), "gallery": list(dataset.gallery)}
        test = {t.id: t for t in (*dataset.query, *dataset.gallery)}
        parts = {"train": list(dataset.train), "test": list(test.values())}
    persons = {part: by_person(tracklets) for part, tracklets in parts.items()}
    return DatasetStatistics(
        roles={role: _count(tracklets) for role, tracklets in roles.items()},
        lengths={part: [len(t) for t in tracklets] for part, tracklets in parts.items()},
        per_camera={
            part: dict(sorted(Counter(t.camera for t in tracklets).items())) for part, tracklets in parts.items()
        },
        cameras_per_person={
            part: dict(sorted(Counter(len({t.camera for t in seen}) for seen in groups.values()).items()))
            for part, groups in persons.items()
        },
        tracklets_per_person={part: [len(seen) for seen in groups.values()] for part, groups in persons.items()},
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


def _with_text_keys(counts: dict[str, dict[int, int]]) -> dict[str, dict[str, int]]:
    """Return the counts with text as keys, as JSON requires."""
    return {part: {str(key): number for key, number in numbers.items()} for part, numbers in counts.items()}
