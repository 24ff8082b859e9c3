"""Measure whether the threshold of a gallery holds for several references of one person, whose clips are pooled.

``python -m experiments.gallery_references FOLDER mars:WORLD ...`` uses the features in FOLDER of
`experiments.gallery_calibration`, or makes them, and prints the table of docs/gallery.md. As there, half of the persons
of a world are in the gallery, which is calibrated without labels. Searches are as in `resight gallery search`: all
cameras are searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cyclopts import run
from numpy.typing import NDArray

from experiments.gallery_calibration import World, features_of, open_world
from resight.api.model import Model, load_model
from resight.features.types import ClipFeatures
from resight.gallery.calibration import fit
from resight.gallery.describe import unit_mean
from resight.gallery.judge import Judge
from resight.models.aggregators import Aggregator
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Row, Table

REFERENCES = (1, 2, 4)
"""Numbers of references."""

DRAWS = 2
"""Times that references of a person are drawn."""

_Array = NDArray[np.float64]
_Ints = NDArray[np.int64]


def main(folder: Path, *worlds: str, persons: int = 60, splits: int = 5) -> None:
    """Print the table.

    Args:
        folder: Folder of features and similarities.
        worlds: Data sets as KIND:PATH.
        persons: As in `experiments.gallery_calibration`.
        splits: Number of times that the persons of a world are divided into gallery and impostors.
    """
    model = load_model(keep_features=False)
    rows = [row for name in worlds for row in world_rows(folder, name, model, persons, splits)]
    columns = [f"{what}, {count}" for what in ("false alarms", "identified") for count in REFERENCES]
    print(Table("", tuple(columns), tuple(rows), head="world").to_markdown())


def world_rows(folder: Path, name: str, model: Model, persons: int, splits: int) -> Iterator[Row]:
    """Yield the row of a world: false alarms and identified persons by number of references, in percent."""
    world = open_world(folder, name, model, persons)
    features = features_of(folder / f"{world.name}.safetensors", name, model, persons)
    searcher = Searcher(world, features, model.checkpoint.aggregator)
    results = [searcher.trial(split) for split in range(splits)]
    # Nobody may have that many tracklets.
    sides = [
        [tuple(100 * float(np.mean(r[side][n])) for r in results if r[side][n]) or None for n in REFERENCES]
        for side in (0, 1)
    ]
    yield Row(world.name, (*sides[0], *sides[1]))


@dataclass(frozen=True)
class Searcher:
    """Searches of a world with several references.

    Attributes:
        world: Similarities of its tracklets.
        features: Their features.
        aggregator: What compares them.
    """

    world: World
    features: ClipFeatures
    aggregator: Aggregator

    def trial(self, split: int) -> tuple[dict[int, list[bool]], dict[int, list[bool]]]:
        """Return, by number of references, which searches for impostors and for persons in the gallery are reported."""
        world = self.world
        everyone = np.unique(world.persons)
        rng = np.random.default_rng([split, 19])
        inside = rng.permutation(everyone)[: len(everyone) // 2]
        gallery = np.flatnonzero(np.isin(world.persons, inside))
        calibration = fit(world.adjusted(gallery).rows(gallery).known())
        assert calibration is not None
        means = np.stack([unit_mean(values) for values in self.features.values])
        level = np.quantile(world.cosine[np.ix_(gallery, gallery)], 0.8, axis=1)
        judge = Judge(calibration, True, float(np.median(level)), means[gallery], len(gallery))
        alarms: dict[int, list[bool]] = {count: [] for count in REFERENCES}
        found: dict[int, list[bool]] = {count: [] for count in REFERENCES}
        for count in REFERENCES:
            for person in everyone.tolist():
                own = np.flatnonzero(world.persons == person)
                known = person in inside
                for _ in range(DRAWS):
                    chosen = rng.permutation(own)[:count]
                    if len(chosen) < count or (known and len(own) == count):
                        continue
                    searched = np.setdiff1d(gallery, chosen)
                    above, first = self.search(judge, means, chosen, searched)
                    if known:
                        found[count].append(above and bool(world.persons[first] == person))
                    else:
                        alarms[count].append(above)
        return alarms, found

    def search(self, judge: Judge, means: NDArray[np.float32], chosen: _Ints, searched: _Ints) -> tuple[bool, int]:
        """Return whether an answer is above the threshold, and the first answer."""
        query = np.concatenate(self.features.values[chosen])[None]
        similarity = score_all_pairs(query, self.features.values[searched], self.aggregator)[0]
        mean = means[chosen].mean(0)
        adjusted = judge.adjust(similarity, mean[None] / np.linalg.norm(mean), means[searched])
        cameras: Sequence[int] = self.world.cameras[chosen].tolist()
        inside = [cameras.count(camera) / len(cameras) for camera in self.world.cameras[searched].tolist()]
        return bool(judge.above(adjusted, len(searched), inside).any()), int(searched[similarity.argmax()])


if __name__ == "__main__":
    run(main)
