"""Compare the false-alarm rate of a threshold on the test set with the rate that it was calibrated for.

``python -m experiments.open_set mars:worlds/demo --model runs/demo/model.safetensors`` prints the table of
docs/protocols.md.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from cyclopts import run
from numpy.typing import NDArray

from resight.checkpoints import load_checkpoint
from resight.data.readers import read_dataset
from resight.data.split import TrainingSplit
from resight.evaluation.evaluate import labels_of, rank_features
from resight.evaluation.open_set import OpenSet, calibrate_threshold, draw_impostors, search_open_set
from resight.evaluation.protocols import Labels, Protocol, default_protocol
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.progress import progress_bar
from resight.ranking import Ranking
from resight.tracklet import by_person

RATES = (0.05, 0.1)
REPEATS = 200
"""Number of draws of two groups of test persons."""


def open_set(dataset: str, *, model: Path, draws: int = 20, workers: int = os.cpu_count() or 1) -> None:
    """Print desired and measured false-alarm rates as a Markdown table, and the effect of few validation persons.

    Args:
        dataset: The data that the model was trained on, as KIND:PATH.
        model: A trained model.
        draws: Number of draws of impostors, half of the persons each time.
        workers: Number of processes that read frames.
    """
    loaded, data = load_checkpoint(model), read_dataset(dataset)
    recipe, protocol = loaded.recipe, default_protocol(data.name)
    everyone = list({t.id: t for t in (*data.gallery, *data.query)}.values())
    held_out = TrainingSplit.draw(data.train, recipe.validation_share, recipe.seed).validation
    with progress_bar("encoding", "tracklets") as progress:
        validation, features = (
            extract_clip_features(
                loaded.encoder, tracklets, recipe.clips,
                store=FeatureStore(), workers=workers, progress=progress,
            )
            for tracklets in (held_out, everyone)
        )  # fmt: skip
    query, gallery = features.of(data.query), features.of(data.gallery)
    ranking = rank_features(query, gallery, loaded.aggregator)
    query_labels, gallery_labels = labels_of(query), labels_of(gallery)
    searches = [
        replace(
            search_open_set(
                ranking, query_labels, gallery_labels, protocol, draw_impostors(query_labels, seed=seed)
            ),
            frames=query.frames, reranking="none",
        )
        for seed in range(draws)
    ]  # fmt: skip
    size = round(float(np.mean([one.gallery for one in searches])))
    print("| desired rate | threshold for | false-alarm rate | identification rate |\n|---|---|---|---|")
    for rate in RATES:
        for gallery_size in (None, size):
            threshold = calibrate_threshold(validation, loaded.aggregator, rate, gallery_size)
            alarms = np.mean([one.false_alarm_rate(threshold.similarity) for one in searches])
            identified = np.mean([one.identification_rate(threshold.similarity) for one in searches])
            cells = (
                f"{100 * rate:g} %",
                f"{threshold.gallery} tracklets",
                f"{100 * alarms:.1f} %",
                f"{100 * identified:.1f} %",
            )
            print(f"| {' | '.join(cells)} |")
    print(
        f"\n{searches[0].line()}; mean of {draws} draws of impostors; threshold calibrated with "
        f"{threshold.impostor_searches} searches."
    )
    areas = [[one.detection_auroc(), one.identification_auc()] for one in searches]
    print("Area under the ROC: {:.3f} (detection), {:.3f} (identification at rank 1).".format(*np.mean(areas, axis=0)))
    persons = len(by_person(held_out))
    measured = rates_between_groups(ranking.table(), query_labels, gallery_labels, protocol, persons)
    for rate, values in zip(RATES, measured, strict=True):
        low, high = np.quantile(values, [0.05, 0.95])
        print(
            f"Calibrated on {persons} test persons and measured on {persons} others, desired rate {100 * rate:g} %: "
            f"false-alarm rate {100 * values.mean():.1f} %, {100 * low:.0f} to {100 * high:.0f} % in 90 % of "
            f"{REPEATS} draws."
        )


def rates_between_groups(
    similarity: NDArray[np.floating], query: Labels, gallery: Labels, protocol: Protocol, persons: int
) -> NDArray[np.float64]:
    """Return false-alarm rates of thresholds whose only source of error is the number of persons.

    Each threshold is calibrated on a group of test persons and measured on another group of the same size. Each group
    is searched among its own tracklets only.

    Args:
        similarity: (Q, G) similarities.
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.
        protocol: The evaluation protocol.
        persons: Number of persons in each group; fewer if there are too few query persons.

    Returns:
        (R, `REPEATS`) false-alarm rates, one row for each of `RATES`.
    """
    everyone, rng = np.unique(query.persons), np.random.default_rng(0)
    size = min(persons, len(everyone) // 2)
    measured = np.zeros((len(RATES), REPEATS))
    for repeat in range(REPEATS):
        groups = rng.permutation(everyone)[: 2 * size].reshape(2, size)
        calibration, test = (_among(similarity, query, gallery, protocol, group) for group in groups)
        measured[:, repeat] = [test.false_alarm_rate(calibration.threshold_at(rate)) for rate in RATES]
    return measured


def _among(
    similarity: NDArray[np.floating], query: Labels, gallery: Labels, protocol: Protocol, persons: NDArray[np.int64]
) -> OpenSet:
    """Return the open-set result for some persons only."""
    rows, columns = (np.flatnonzero(np.isin(labels.persons, persons)) for labels in (query, gallery))
    query, gallery = (
        Labels(tuple(labels.ids[i] for i in places), labels.persons[places], labels.cameras[places])
        for labels, places in ((query, rows), (gallery, columns))
    )
    ranking = Ranking.from_scores(similarity[np.ix_(rows, columns)], query.ids, gallery.ids)
    return search_open_set(ranking, query, gallery, protocol)


if __name__ == "__main__":
    run(open_set)
