"""Measure what the rules of time and place gain in a gallery.

``python -m experiments.gallery_times FOLDER mars:WORLD ...`` uses the features in FOLDER of
`experiments.gallery_calibration`, or makes them, and prints the tables of docs/gallery.md. The persons of a world walk
through a site: six cameras at random places of a square of 300 m, no two of which see the same place. A person begins
at a random time, goes from camera to camera, each time to one of the two nearest that are left, at about 1.3 m/s, and
stops on the way for 1 to 20 minutes in a fifth of the trips. The rules know what an operator reads off a map: the
distances. Half of the persons are in the gallery; the others are searched for as impostors.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from cyclopts import run
from numpy.typing import NDArray

from experiments.gallery_calibration import features_of
from resight.api.gallery import Gallery
from resight.api.gallery_answers import GalleryAnswers
from resight.api.model import Model, load_model
from resight.data.readers import read_dataset
from resight.errors import GalleryError
from resight.features.types import ClipFeatures
from resight.gallery.describe import storable, unit_mean
from resight.gallery.travel import TravelRules, TravelTime
from resight.gallery.types import Entry, StoredTracklet
from resight.tables import Row, Table

SIZE, SPEED, FASTEST = 300.0, 1.3, 2.5
"""Side of the site in metres, usual speed and highest speed in metres per second."""

STOPS, STOP = 0.2, (60.0, 1200.0)
"""Share of the trips with a stop, and its least and greatest length in seconds."""

FRAME = 1 / 12
"""Seconds between two frames of a synthetic world."""

LABELLED = 20
"""Persons of the gallery whose tracklets are labelled, from whom travel times are learned. They are not queries."""

RULES = ("none", "disjoint views", "travel times of a map", "travel times of labels", "map and disjoint views")


@dataclass(frozen=True)
class Site:
    """Where and when the tracklets of a world were.

    Attributes:
        start: (T,) seconds.
        end: (T,) seconds.
        distance: (6, 6) metres between the cameras.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    distance: NDArray[np.float64]

    def rules(self, names: Sequence[str], *, disjoint: bool, travel: bool) -> TravelRules:
        """Return rules that state what is known of the site."""
        times: dict[tuple[str, str], TravelTime] = {}
        for first, second in combinations(range(len(names)), 2) if travel else ():
            metres = float(self.distance[first, second])
            time = TravelTime(metres / FASTEST, metres / SPEED)
            times |= {(names[first], names[second]): time, (names[second], names[first]): time}
        return TravelRules((frozenset(names),) if disjoint else (), times)


def draw_site(features: ClipFeatures, frames: Sequence[int], span: float, seed: int) -> Site:
    """Return when each tracklet was seen.

    Args:
        features: Features of the tracklets, with persons and cameras from 1 to 6.
        frames: Number of frames of each.
        span: Seconds within which persons begin their walk.
        seed: Seed.
    """
    rng = np.random.default_rng([seed, 7])
    place = rng.uniform(0, SIZE, (6, 2))
    distance = np.linalg.norm(place[:, None] - place, axis=2)
    start, end = np.zeros(len(features)), np.zeros(len(features))
    for person in np.unique(features.persons).tolist():
        own = np.flatnonzero(features.persons == person)
        left = sorted({int(camera) - 1 for camera in features.cameras[own]})
        now, here = float(rng.uniform(0, span)), left[int(rng.integers(len(left)))]
        speed = SPEED * float(np.exp(rng.normal(0, 0.2)))
        while True:
            for row in own[features.cameras[own] == here + 1].tolist():
                start[row], end[row] = now, now + frames[row] * FRAME
                now = float(end[row]) + float(rng.uniform(1, 5))
            left.remove(here)
            if not left:
                break
            nearest = sorted(left, key=lambda camera: float(distance[here, camera]))[:2]
            there = nearest[int(rng.integers(len(nearest)))]
            now += float(distance[here, there]) / speed * float(np.exp(rng.normal(0, 0.15)))
            if rng.random() < STOPS:
                now += float(rng.uniform(*STOP))
            here = there
    return Site(start, end, distance)


@dataclass(frozen=True)
class Result:
    """Results of one division of a world with one kind of rules, in percent.

    Attributes:
        mean_precision: mAP: mean over the queries of the mean precision at their matches.
        first: Queries whose first answer is right.
        identified: Queries whose first answer is right and reported.
        alarms: Impostors with a reported answer.
    """

    mean_precision: float
    first: float
    identified: float
    alarms: float


def main(folder: Path, *worlds: str, persons: int = 60, splits: int = 5, queries: int = 60) -> None:
    """Print the tables.

    Args:
        folder: Folder of features.
        worlds: Data sets as KIND:PATH.
        persons: As in `experiments.gallery_calibration`.
        splits: Number of times that the persons of a world are divided into gallery and impostors.
        queries: Most queries and most impostors of a division.
    """
    model = load_model(keep_features=False)
    columns = ("mAP", "rank-1", "identified", "false alarms")
    for name in worlds:
        label = Path(name.partition(":")[2]).name
        features = features_of(folder / f"{label}.safetensors", name, model, persons)
        for minutes in (10, 120):
            found = [measure(model, features, name, 60.0 * minutes, split, queries) for split in range(splits)]
            rows = [
                Row(rules, tuple(tuple(getattr(r[rules], f) for r in found) for f in Result.__annotations__))
                for rules in RULES
            ]
            print(Table("", columns, tuple(rows), head=f"{label}, {minutes} min").to_markdown(), flush=True)


def measure(
    model: Model, features: ClipFeatures, name: str, span: float, split: int, queries: int
) -> dict[str, Result]:
    """Return the results of one division by kind of rules."""
    frames = frames_of(name, features)
    site = draw_site(features, frames, span, split)
    stored = list(tracklets(features, frames, site))
    everyone = np.unique(features.persons)
    rng = np.random.default_rng([split, 19])
    inside = set(rng.permutation(everyone)[: len(everyone) // 2].tolist())
    labelled = set(rng.permutation(sorted(inside))[:LABELLED].tolist())
    known: list[StoredTracklet] = []
    impostors: list[StoredTracklet] = []
    for tracklet, person in zip(stored, features.persons.tolist(), strict=True):
        (known if person in inside else impostors).append(tracklet)
    searched = [t for t in known if int(t.entry.person or 0) not in labelled]
    searched = [searched[n] for n in rng.permutation(len(searched))[:queries]]
    impostors = [impostors[n] for n in rng.permutation(len(impostors))[:queries]]
    names = [f"camera {n}" for n in range(1, 7)]
    kinds = {
        "disjoint views": site.rules(names, disjoint=True, travel=False),
        "travel times of a map": site.rules(names, disjoint=False, travel=True),
        "map and disjoint views": site.rules(names, disjoint=True, travel=True),
    }
    with tempfile.TemporaryDirectory() as folder, Gallery(folder + "/gallery", model) as gallery:
        gallery.store.add(known)
        try:
            gallery.calibrate()
        except GalleryError as error:
            print(error)
        learned = learned_rules(gallery, [[t for t in known if t.entry.person == str(p)] for p in sorted(labelled)])
        kinds |= {"travel times of labels": learned}
        return {
            kind: summary(
                [gallery.search(t, k=len(known), exact=True, rules=kinds.get(kind)) for t in searched],
                [gallery.search(t, k=len(known), exact=True, rules=kinds.get(kind)) for t in impostors],
                known,
            )
            for kind in RULES
        }


def learned_rules(gallery: Gallery, persons: Sequence[Sequence[StoredTracklet]]) -> TravelRules:
    """Return travel times that are learned from labelled persons, without their labels in the gallery."""
    return replace(gallery.rules(TravelRules()).learned_from([[t.entry for t in p] for p in persons]), disjoint=())


def frames_of(name: str, features: ClipFeatures) -> list[int]:
    """Return the number of frames of each tracklet."""
    data = read_dataset(name)
    lengths = {t.id: len(t) for t in (*data.train, *data.gallery, *data.query)}
    return [lengths[id_] for id_ in features.ids]


def tracklets(features: ClipFeatures, frames: Sequence[int], site: Site) -> Iterator[StoredTracklet]:
    """Yield the tracklets as a gallery stores them."""
    for row, id_ in enumerate(features.ids):
        values = storable(features.values[row])
        entry = Entry(
            id_, f"camera {features.cameras[row]}", float(site.start[row]), float(site.end[row]), "world",
            str(features.persons[row]), frames[row], 0.5, 0.0,
        )  # fmt: skip
        yield StoredTracklet(
            entry, hashlib.sha256(id_.encode()).digest(), values, unit_mean(values),
            features.frame_numbers[row].astype(np.int32), (b"",) * len(values),
        )  # fmt: skip


def summary(
    found: Sequence[GalleryAnswers], impostors: Sequence[GalleryAnswers], known: Sequence[StoredTracklet]
) -> Result:
    """Return the scores of searches. Answers of the person in the camera of the query are left out."""
    precisions, first, identified = [], [], []
    for answers in found:
        (query,) = answers.references
        person, camera = query.entry.person, query.entry.camera
        shown = [a for a in answers if a.entry.person != person or a.camera != camera]
        count = sum(t.entry.person == person and t.entry.camera != camera for t in known)
        if not count:
            continue
        right = [a.entry.person == person for a in shown]
        places = np.flatnonzero(right)
        precisions.append(float(((np.arange(len(places)) + 1) / (places + 1)).sum()) / count)
        first.append(bool(right and right[0]))
        identified.append(bool(right and right[0] and shown[0].above))
    alarms = [any(answer.above for answer in answers) for answers in impostors]
    return Result(*(100 * float(np.mean(values)) for values in (precisions, first, identified, alarms)))


if __name__ == "__main__":
    run(main)
