"""What each mistake in a protocol is worth: the same similarities, judged right and judged wrong.

``python -m experiments.protocol_mistakes mars:demo/world --model demo/seed0/model.safetensors`` prints the table of
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

RIGHT = PROTOCOLS["mars"]


MISTAKES: dict[str, Protocol] = {
    "queries dropped from the gallery": PROTOCOLS["mars-queries-out"],
    "queries dropped, unmatched ones counted as zero": replace(
        PROTOCOLS["mars-queries-out"], name="queries out, zero", without_match="zero"
    ),
    "junk kept: person -1 counts as wrong": replace(RIGHT, name="junk kept", junk_persons=()),
    "distractors dropped: person 0 is ignored": replace(RIGHT, name="distractors out", junk_persons=(JUNK, DISTRACTOR)),
    "same camera kept: the person counts there too": PROTOCOLS["any-camera"],
    "same camera kept, and the query finds itself": replace(RIGHT, name="finds itself", same_camera="nothing"),
    "same camera emptied: everybody there is ignored": PROTOCOLS["cross-camera"],
}
"""What is done wrong, and the rules with that mistake."""


def protocol_mistakes(dataset: str, *, model: Path, workers: int = os.cpu_count() or 1) -> None:
    """Print what each mistake is worth, as a table in Markdown.

    Args:
        dataset: The data, as KIND:PATH.
        model: A trained model; features are kept beside it.
        workers: Processes that read frames.
    """
    loaded, split = load_checkpoint(model), read_dataset(dataset)
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    with progress_bar("encoding", "tracklets") as progress:
        features = extract_clip_features(
            loaded.encoder, everyone, loaded.recipe.clips,
            store=FeatureStore(), workers=workers, progress=progress,
        )  # fmt: skip
    query, gallery = features.of(split.query), features.of(split.gallery)
    similarity = score_all_pairs(query.values, gallery.values, loaded.aggregator)
    frames = f"{loaded.recipe.clips.count} clips of {loaded.recipe.clips.length} frames"
    print(mistake_table(similarity, labels_of(query), labels_of(gallery), frames))


def mistake_table(similarity: NDArray[np.floating], query: Labels, gallery: Labels, frames: str) -> str:
    """Markdown: a row for the right way, one for each mistake, and what the right scores are worth.

    Args:
        similarity: (Q, G).
        query: Q labels.
        gallery: G labels.
        frames: what was looked at of each tracklet.
    """
    right = replace(score_similarities(similarity, query, gallery, RIGHT), frames=frames, reranking="none")
    rows = [_row("**correct protocol**", right, right)]
    rows += [
        _row(name, score_similarities(similarity, query, gallery, rules), right) for name, rules in MISTAKES.items()
    ]
    rows.append(_row("trapezoid AP reported as mAP", replace(right, map=right.map_trapezoid), right))
    interval = confidence_intervals(right, groups=query.persons)["map"]
    return "\n".join(
        [
            "| | mAP | | rank-1 | | queries with a match |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"{right.line()}; {len(gallery.ids)} gallery tracklets. 95 % interval of the correct mAP over persons: "
            f"{100 * interval.low:.1f} to {100 * interval.high:.1f}.",
        ]
    )


def _row(name: str, scores: Scores, right: Scores) -> str:
    cells = [name]
    for value, reference in ((scores.map, right.map), (scores.rank(1), right.rank(1))):
        change = "" if scores is right else f"{100 * (value - reference):+.1f}"
        cells += [f"{100 * value:.1f}", change]
    return "| " + " | ".join([*cells, f"{scores.valid_queries} of {scores.queries}"]) + " |"


if __name__ == "__main__":
    run(protocol_mistakes)
