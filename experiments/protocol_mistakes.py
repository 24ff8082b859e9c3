"""Measure the effect of common protocol mistakes: the same similarities, scored with correct and wrong rules.

``python -m experiments.protocol_mistakes mars:worlds/demo --model runs/demo/model.safetensors`` prints the table of
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
from resight.evaluation.confidence import confidence_intervals
from resight.evaluation.evaluate import labels_of
from resight.evaluation.metrics import Scores, score_similarities
from resight.evaluation.protocols import PROTOCOLS, Labels, Protocol
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.progress import progress_bar
from resight.scoring.all_pairs import score_all_pairs
from resight.tracklet import DISTRACTOR, JUNK

CORRECT = PROTOCOLS["mars"]

MISTAKES: dict[str, Protocol] = {
    "queries dropped from the gallery": PROTOCOLS["mars-queries-out"],
    "queries dropped, unmatched ones counted as zero": replace(
        PROTOCOLS["mars-queries-out"], name="queries out, zero", without_match="zero"
    ),
    "junk (person -1) counted as wrong": replace(CORRECT, name="junk kept", junk_persons=()),
    "distractors (person 0) ignored": replace(CORRECT, name="distractors out", junk_persons=(JUNK, DISTRACTOR)),
    "matches in the query's camera counted as correct": PROTOCOLS["any-camera"],
    "query counted as a match of itself": replace(CORRECT, name="finds itself", same_camera="nothing"),
    "all tracklets of the query's camera ignored": PROTOCOLS["cross-camera"],
}
"""Mistake → protocol with this mistake."""


def protocol_mistakes(dataset: str, *, model: Path, workers: int = os.cpu_count() or 1) -> None:
    """Print the effect of each mistake as a Markdown table.

    Args:
        dataset: The data, as KIND:PATH.
        model: A trained model.
        workers: Number of processes that read frames.
    """
    loaded, data = load_checkpoint(model), read_dataset(dataset)
    everyone = list({t.id: t for t in (*data.gallery, *data.query)}.values())
    with progress_bar("encoding", "tracklets") as progress:
        features = extract_clip_features(
            loaded.encoder, everyone, loaded.recipe.clips,
            store=FeatureStore(), workers=workers, progress=progress,
        )  # fmt: skip
    query, gallery = features.of(data.query), features.of(data.gallery)
    similarity = score_all_pairs(query.values, gallery.values, loaded.aggregator)
    frames = f"{loaded.recipe.clips.count} clips of {loaded.recipe.clips.length} frames"
    print(mistake_table(similarity, labels_of(query), labels_of(gallery), frames))


def mistake_table(similarity: NDArray[np.floating], query: Labels, gallery: Labels, frames: str) -> str:
    """Return a Markdown table of the scores with the correct protocol and with each mistake.

    Args:
        similarity: (Q, G) similarities.
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.
        frames: Which frames of each tracklet were used, for the line below the table.
    """
    correct = replace(score_similarities(similarity, query, gallery, CORRECT), frames=frames, reranking="none")
    rows = [_row("**correct protocol**", correct, correct)]
    rows += [
        _row(name, score_similarities(similarity, query, gallery, protocol), correct)
        for name, protocol in MISTAKES.items()
    ]
    rows.append(_row("trapezoid AP reported as mAP", replace(correct, map=correct.map_trapezoid), correct))
    interval = confidence_intervals(correct, groups=query.persons)["map"]
    return "\n".join(
        [
            "| | mAP | | rank-1 | | queries with a match |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"{correct.line()}; {len(gallery.ids)} gallery tracklets. 95 % interval of the correct mAP over persons: "
            f"{100 * interval.low:.1f} to {100 * interval.high:.1f}.",
        ]
    )


def _row(name: str, scores: Scores, correct: Scores) -> str:
    cells = [name]
    for value, reference in ((scores.map, correct.map), (scores.rank(1), correct.rank(1))):
        change = "" if scores is correct else f"{100 * (value - reference):+.1f}"
        cells += [f"{100 * value:.1f}", change]
    return "| " + " | ".join([*cells, f"{scores.valid_queries} of {scores.queries}"]) + " |"


if __name__ == "__main__":
    run(protocol_mistakes)
