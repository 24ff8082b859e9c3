"""How well a threshold from persons kept back keeps to its false-alarm rate on the test set.

``python -m experiments.open_set mars:demo/world --model demo/seed0/model.safetensors`` prints the table of
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
"""How often two groups of test persons are drawn."""


def open_set(dataset: str, *, model: Path, draws: int = 20, workers: int = os.cpu_count() or 1) -> None:
    """Print asked and measured false-alarm rates, as a table in Markdown, and what comes of few persons alone.

    Args:
        dataset: The data that the model was trained on, as KIND:PATH.
        model: A trained model; features are kept beside it.
        draws: How often strangers are drawn, half of the persons each time.
        workers: Processes that read frames.
    """
    loaded, split = load_checkpoint(model), read_dataset(dataset)
    recipe, protocol = loaded.recipe, default_protocol(split.name)
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    kept_back = TrainingSplit.draw(split.train, recipe.validation_share, recipe.seed).validation
    with progress_bar("encoding", "tracklets") as progress:
        validation, features = (
            extract_clip_features(
                loaded.encoder, tracklets, recipe.clips,
                store=FeatureStore(), workers=workers, progress=progress,
            )
            for tracklets in (kept_back, everyone)
        )  # fmt: skip
    query, gallery = features.of(split.query), features.of(split.gallery)
    ranking = rank_features(query, gallery, loaded.aggregator)
    asked, searched = labels_of(query), labels_of(gallery)
    searches = [
        replace(
            search_open_set(ranking, asked, searched, protocol, draw_impostors(asked, seed=seed)),
            frames=query.frames, reranking="none",
        )
        for seed in range(draws)
    ]  # fmt: skip
    size = round(float(np.mean([one.gallery for one in searches])))
    print("| asked for | chosen for | false alarms | identified |\n|---|---|---|---|")
    for rate in RATES:
        for meant in (None, size):
            chosen = calibrate_threshold(validation, loaded.aggregator, rate, meant)
            alarms = np.mean([one.false_alarm_rate(chosen.similarity) for one in searches])
            found = np.mean([one.identification_rate(chosen.similarity) for one in searches])
            print(f"| {100 * rate:g} % | {chosen.gallery} tracklets | {100 * alarms:.1f} % | {100 * found:.1f} % |")
    print(
        f"\n{searches[0].line()}; mean of {draws} draws of impostors; threshold calibrated with "
        f"{chosen.impostor_searches} searches."
    )
    areas = [[one.detection_auroc(), one.identification_auc()] for one in searches]
    print("Area under the ROC: {:.3f} (detection), {:.3f} (identification at rank 1).".format(*np.mean(areas, axis=0)))
    persons = len(by_person(kept_back))
    measured = rates_between_groups(ranking.table(), asked, searched, protocol, persons)
    for rate, values in zip(RATES, measured, strict=True):
        low, high = np.quantile(values, [0.05, 0.95])
        print(
            f"Chosen by {persons} persons of the test and judged on {persons} others, {100 * rate:g} % asked for: "
            f"{100 * values.mean():.1f} % false alarms; {100 * low:.0f} to {100 * high:.0f} % in nine of ten of "
            f"{REPEATS} draws."
        )


def rates_between_groups(
    similarity: NDArray[np.floating], query: Labels, gallery: Labels, protocol: Protocol, persons: int
) -> NDArray[np.float64]:
    """False-alarm rates where nothing but the number of persons can spoil the threshold.

    It is chosen by some persons that no training ever saw, and judged on as many others, both searched among their own
    tracklets alone.

    Args:
        similarity: (Q, G).
        query: Q labels.
        gallery: G labels.
        protocol: what matches, and what is junk.
        persons: in each group; fewer if the queries have fewer.

    Returns:
        (rates, `REPEATS`), a row for each of `RATES`.
    """
    everybody, rng = np.unique(query.persons), np.random.default_rng(0)
    size = min(persons, len(everybody) // 2)
    measured = np.zeros((len(RATES), REPEATS))
    for repeat in range(REPEATS):
        groups = rng.permutation(everybody)[: 2 * size].reshape(2, size)
        chosen_by, judged_on = (_among(similarity, query, gallery, protocol, group) for group in groups)
        measured[:, repeat] = [judged_on.false_alarm_rate(chosen_by.threshold_at(rate)) for rate in RATES]
    return measured


def _among(
    similarity: NDArray[np.floating], query: Labels, gallery: Labels, protocol: Protocol, persons: NDArray[np.int64]
) -> OpenSet:
    """The open set of some persons alone."""
    rows, columns = (np.flatnonzero(np.isin(labels.persons, persons)) for labels in (query, gallery))
    own, searched = (
        Labels(tuple(labels.ids[i] for i in places), labels.persons[places], labels.cameras[places])
        for labels, places in ((query, rows), (gallery, columns))
    )
    ranking = Ranking.from_scores(similarity[np.ix_(rows, columns)], own.ids, searched.ids)
    return search_open_set(ranking, own, searched, protocol)


if __name__ == "__main__":
    run(open_set)
