"""Measure how honest the probabilities and thresholds of a gallery are, before and after it calibrates itself.

``python -m experiments.gallery_calibration FOLDER mars:WORLD ...`` keeps features and similarities in FOLDER, prints
the table of docs/gallery.md and writes its figure. Persons are only used to judge the result: half of the persons of a
world are in the gallery, which is calibrated without labels, and the others are the impostors who are searched for in
it. Tracklets get times, so that six of a camera are there at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cyclopts import run
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.adaptation import TOGETHER
from resight.api.model import Model, load_model
from resight.data.readers import read_dataset
from resight.evaluation.threshold import Threshold
from resight.explanation.plots import save_figure
from resight.features.types import ClipFeatures
from resight.gallery.calibration import Calibration, Similarities, fit, shipped
from resight.gallery.describe import unit_mean
from resight.gallery.facts import half_length
from resight.gallery.levels import adjustment, level_of
from resight.models.aggregators import Aggregator
from resight.scoring.all_pairs import score_all_pairs
from resight.tables import Row, Table
from resight.tracklet import by_person

RATE = 0.05
"""False-alarm rate that the thresholds promise."""

SIZES = (30, 60, 1000)
"""Numbers of tracklets in the gallery; the last one is the half of the world."""

ANSWERS = 5
"""Best answers of each search whose probabilities are judged."""

LEAST_ANSWERS = 30
"""Fewest answers in a bin of the figure."""

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "gallery-calibration.png"

BINS = np.linspace(0, 1, 11)

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Similarities of all tracklets of a world.

    Attributes:
        name: Name of its folder.
        similarity: (T, T).
        cosine: (T, T) cosines of the mean features.
        half: (T,) similarity of the first to the last clips of each tracklet; NaN if they have frames in common.
        persons: (T,)
        cameras: (T,)
    """

    name: str
    similarity: _Array
    cosine: _Array
    half: _Array
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]

    def rows(self, chosen: NDArray[np.int64]) -> World:
        """Return some of the tracklets."""
        square = np.ix_(chosen, chosen)
        return World(
            self.name, self.similarity[square], self.cosine[square], self.half[chosen], self.persons[chosen],
            self.cameras[chosen],
        )  # fmt: skip

    def adjusted(self, gallery: NDArray[np.int64]) -> World:
        """Return the world with similarities adjusted by levels that refer to some of the tracklets."""
        level = level_of(self.cosine[:, gallery])
        typical = float(np.median(level[gallery]))
        return replace(self, similarity=self.similarity - adjustment(level[:, None], level, typical))

    def known(self) -> Similarities:
        """Return what a gallery of these tracklets knows about their similarities."""
        upper = np.triu(np.ones_like(self.similarity, bool), 1)
        camera = self.cameras[:, None] == self.cameras
        slot = np.zeros(len(self.cameras), np.int64)
        for number in np.unique(self.cameras):
            own = np.flatnonzero(self.cameras == number)
            slot[own] = slots(self.persons[own], int(number))
        at_once = camera & (slot[:, None] == slot)
        across, within, different = (self.similarity[pairs & upper] for pairs in (~camera, camera & ~at_once, at_once))
        halves = self.half[np.isfinite(self.half)]
        return Similarities(across, within, different, halves, np.zeros((0, 2)), len(self.persons), len(self.persons))


def main(folder: Path, *worlds: str, persons: int = 60, splits: int = 10, write: bool = True) -> None:
    """Print the table, and write it with the figure to docs/.

    Args:
        folder: Folder for features and similarities.
        worlds: Data sets as KIND:PATH.
        persons: Most persons of each world, drawn at random from the test persons, then from the training persons.
        splits: Number of times that the persons of a world are divided into gallery and impostors.
    """
    model = load_model(keep_features=False)
    threshold = model.threshold(1)
    assert threshold is not None
    rows: list[Row] = []
    shown: dict[str, list[Trial]] = {}
    for name in worlds:
        world = open_world(folder, name, model, persons)
        trials = list(judge(world, threshold, splits))
        rows += table_rows(world, trials)
        shown[world.name] = trials
    print(Table("", COLUMNS, tuple(rows), head="world").to_markdown())
    if write:
        save_figure(plot_reliability(shown), FIGURE)


COLUMNS = (
    "tracklets", "pairs at once", "false alarms before", "after", "identified before", "after", "ECE before", "after",
    "halves as matches",
)  # fmt: skip


def open_world(folder: Path, name: str, model: Model, persons: int) -> World:
    """Return the similarities of a world, computed once."""
    label = Path(name.partition(":")[2]).name
    file = folder / f"{label}.similarities.npz"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        features = features_of(folder / f"{label}.safetensors", name, model, persons)
        aggregator = model.checkpoint.aggregator
        means = np.stack([unit_mean(values) for values in features.values])
        np.savez(
            file, similarity=score_all_pairs(features.values, features.values, aggregator), cosine=means @ means.T,
            half=halves(features, aggregator), persons=features.persons, cameras=features.cameras,
        )  # fmt: skip
    with np.load(file) as saved:
        similarity, cosine, half = (saved[key].astype(np.float64) for key in ("similarity", "cosine", "half"))
        numbers, cameras = saved["persons"], saved["cameras"]
    return World(label, similarity, cosine, half, numbers, cameras)


def slots(persons: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return when the tracklets of a camera are there: `TOGETHER` at once, all of different persons."""
    waiting = np.random.default_rng(seed).permutation(len(persons)).tolist()
    slot, number = np.zeros(len(persons), np.int64), 0
    while waiting:
        there: list[int] = []
        for place in waiting:
            if len(there) < TOGETHER and persons[place] not in persons[there]:
                there.append(place)
        slot[there] = number
        waiting = [place for place in waiting if place not in there]
        number += 1
    return slot


def features_of(file: Path, name: str, model: Model, persons: int) -> ClipFeatures:
    """Return the features of the tracklets of some persons of a world: test persons, then training persons."""
    if not file.is_file():
        data = read_dataset(name)
        groups = by_person({t.id: t for t in (*data.train, *data.gallery, *data.query)}.values())
        test = {tracklet.person for tracklet in (*data.gallery, *data.query)}
        random = np.random.default_rng(0).permutation(sorted(groups)).tolist()
        chosen = sorted(random, key=lambda person: person not in test)[:persons]
        model.features([t for person in sorted(chosen) for t in groups[person]], progress=True).save(file)
    return ClipFeatures.load(file)


def halves(features: ClipFeatures, aggregator: Aggregator) -> NDArray[np.float32]:
    """Return the similarity of the first to the last clips of each tracklet, without common frames; else NaN."""
    result = np.full(len(features), np.nan, np.float32)
    for place, (values, numbers) in enumerate(zip(features.values, features.frame_numbers, strict=True)):
        if clips := half_length(numbers):
            result[place] = score_all_pairs(values[None, :clips], values[None, -clips:], aggregator)[0, 0]
    return result


@dataclass(frozen=True)
class Trial:
    """One division of a world.

    Attributes:
        alarms: Share of impostors with an answer above the threshold, by gallery size, before and after.
        identified: Share of queries whose match is first and above the threshold, before and after.
        answers: By kind of calibration, (A, 2): probability of each of the best answers, and whether it is right.
        pairs: Number of pairs that were there at once.
        tracklets: Number of tracklets in the gallery.
    """

    alarms: dict[int, tuple[float, float]]
    identified: tuple[float, float]
    answers: dict[str, _Array]
    pairs: int
    tracklets: int


def judge(world: World, threshold: Threshold, splits: int) -> Iterator[Trial]:
    """Yield the results of each division of the persons into gallery and impostors."""
    everyone = np.unique(world.persons)
    for seed in range(splits):
        rng = np.random.default_rng([seed, 19])
        inside = rng.permutation(everyone)[: len(everyone) // 2]
        rows = np.flatnonzero(np.isin(world.persons, inside))
        outside = np.setdiff1d(np.arange(len(world.persons)), rows)
        gallery = world.rows(rows)
        known = gallery.known()
        adjusted = world.adjusted(rows)
        within = adjusted.rows(rows)
        after, before = fit(within.known()), shipped(threshold)
        assert after is not None
        alarms = {}
        for size in SIZES:
            chosen = rng.permutation(rows)[:size]
            allowed = world.cameras[outside][:, None] != world.cameras[chosen]
            best, best_adjusted = (
                np.where(allowed, side.similarity[np.ix_(outside, chosen)], -1).max(1) for side in (world, adjusted)
            )
            searched = allowed.sum(1)
            old = best >= [lowest_match(threshold, count) for count in searched.tolist()]
            new = best_adjusted >= [lowest_match(after, count) for count in searched.tolist()]
            alarms[size] = float(old.mean()), float(new.mean())
        yield Trial(
            alarms, (identified(gallery, threshold), identified(within, after)),
            answers(gallery, within, known, before, after),
            len(known.different), len(rows),
        )  # fmt: skip


def identified(gallery: World, calibration: Threshold | Calibration) -> float:
    """Return the share of queries with a match whose first answer is right and above the threshold."""
    allowed = gallery.cameras[:, None] != gallery.cameras
    right = gallery.persons[:, None] == gallery.persons
    similarity = np.where(allowed, gallery.similarity, -1)
    first, query = similarity.argmax(1), np.flatnonzero((allowed & right).any(1))
    best, size = similarity.max(1)[query], allowed.sum(1)[query].tolist()
    above = [value >= lowest_match(calibration, count) for value, count in zip(best, size, strict=True)]
    return float(np.mean(right[query, first[query]] & above))


def lowest_match(calibration: Threshold | Calibration, count: int) -> float:
    """Return the threshold for a search in this many tracklets."""
    if isinstance(calibration, Threshold):
        return calibration.for_gallery(max(1, count)).similarity
    return calibration.threshold(RATE, max(1, count))


def answers(
    gallery: World, adjusted: World, known: Similarities, before: Calibration, after: Calibration
) -> dict[str, _Array]:
    """Return probability and correctness of the best answers of every tracklet from other cameras."""
    allowed = gallery.cameras[:, None] != gallery.cameras
    similarity = np.where(allowed, gallery.similarity, -1)
    best = np.argsort(-similarity, axis=1)[:, :ANSWERS]
    values = np.take_along_axis(similarity, best, 1).ravel()
    right = (np.take_along_axis(gallery.persons[:, None] == gallery.persons, best, 1)).ravel().astype(float)
    moved = np.take_along_axis(adjusted.similarity, best, 1).ravel()
    size = len(gallery.persons)
    return {
        "before": np.stack([before.probability(values, size), right], 1),
        "after": np.stack([after.probability(moved, size), right], 1),
        "naive": np.stack([naive(known, values, size), right], 1),
    }


def naive(known: Similarities, values: _Array, size: int) -> _Array:
    """Return probabilities from halves as the same person, and pairs at once as different ones, both normal."""
    same, other = known.halves, known.different
    ratio = np.log(other.std() / same.std()) - 0.5 * (
        ((values - same.mean()) / same.std()) ** 2 - ((values - other.mean()) / other.std()) ** 2
    )
    odds = np.where(values > same.mean(), ratio.max(), ratio) - np.log(size - 2)
    result: _Array = 1 / (1 + np.exp(-odds))
    return result


def reliability(trials: list[Trial], kind: str) -> _Array:
    """Return (bins, 3): mean probability, share of right answers and number of answers in each bin."""
    pooled = np.concatenate([trial.answers[kind] for trial in trials])
    place = np.clip(np.digitize(pooled[:, 0], BINS) - 1, 0, len(BINS) - 2)
    rows = [pooled[place == b] for b in range(len(BINS) - 1)]
    return np.array([[*(r.mean(0) if len(r) else (np.nan, np.nan)), len(r)] for r in rows])


def calibration_error(trials: list[Trial], kind: str) -> float:
    """Return the expected calibration error in percent."""
    table = reliability(trials, kind)
    filled = table[table[:, 2] > 0]
    return float(100 * (np.abs(filled[:, 0] - filled[:, 1]) @ filled[:, 2]) / filled[:, 2].sum())


def plot_reliability(worlds: Mapping[str, list[Trial]]) -> Figure:
    """Return the share of right answers by probability, one line per world, before and after calibration."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind, title in zip(
        panels, ("before", "after"), ("values of the model", "calibrated gallery"), strict=True
    ):
        axes.plot([0, 100], [0, 100], color="#9aa1a9", linewidth=1)
        for name, trials in worlds.items():
            table = reliability(trials, kind)
            table = 100 * table[table[:, 2] >= LEAST_ANSWERS]
            axes.plot(table[:, 0], table[:, 1], marker="o", markersize=3, linewidth=1.2, label=name)
        axes.set(title=title, xlabel="probability, %", xlim=(0, 100), ylim=(0, 100), aspect="equal")
        axes.grid(color="#e3e6e9", linewidth=0.6)
    panels[0].set_ylabel("right answers, %")
    panels[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def table_rows(world: World, trials: list[Trial]) -> Iterator[Row]:
    """Yield a row for each gallery size of a world."""
    for size in SIZES:
        last = size == SIZES[-1]
        count = round(np.mean([min(size, t.tracklets) for t in trials]))
        old, new = (tuple(100 * t.alarms[size][side] for t in trials) for side in (0, 1))
        shown = tuple(tuple(100 * t.identified[side] for t in trials) if last else None for side in (0, 1))
        errors = tuple(calibration_error(trials, kind) if last else None for kind in ("before", "after", "naive"))
        pairs = round(np.mean([t.pairs for t in trials])) if last else None
        yield Row(world.name, (count, pairs, old, new, *shown, *errors))


if __name__ == "__main__":
    run(main)
