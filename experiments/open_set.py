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

from resight.checkpoints import load_model
from resight.data.batches import hold_out_persons
from resight.data.readers import read_dataset
from resight.evaluation.evaluate import labels_of
from resight.evaluation.open_set import calibrate_threshold, draw_strangers, search_open_set
from resight.evaluation.protocols import default_protocol
from resight.features import extract_clip_features
from resight.progress import progress_bar
from resight.scoring.all_pairs import score_all_pairs

RATES = (0.05, 0.1)


def open_set(dataset: str, *, model: Path, draws: int = 20, workers: int = os.cpu_count() or 1) -> None:
    """Print asked and measured false-alarm rates, as a table in Markdown.

    Args:
        dataset: The data that the model was trained on, as KIND:PATH.
        model: A trained model; features are kept beside it.
        draws: How often strangers are drawn, half of the persons each time.
        workers: Processes that read frames.
    """
    loaded, split = load_model(model), read_dataset(dataset)
    recipe, protocol = loaded.recipe, default_protocol(split.name)
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    kept_back = hold_out_persons(split.train, recipe.validation_share, recipe.seed)[1]
    with progress_bar("encoding", "tracklets") as progress:
        validation, features = (
            extract_clip_features(
                loaded.encoder, tracklets, recipe.clips,
                cache=model.parent / "features", workers=workers, progress=progress,
            )
            for tracklets in (kept_back, everyone)
        )  # fmt: skip
    query, gallery = features.of(split.query), features.of(split.gallery)
    similarity = score_all_pairs(query.values, gallery.values, loaded.aggregator)
    asked, searched = labels_of(query), labels_of(gallery)
    searches = [
        replace(
            search_open_set(similarity, asked, searched, protocol, draw_strangers(asked, seed=seed)),
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
    print(f"\n{searches[0].line()}; mean of {draws} draws of strangers; {chosen.source}: {chosen.strangers} queries.")


if __name__ == "__main__":
    run(open_set)
