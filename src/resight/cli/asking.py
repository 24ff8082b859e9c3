"""Commands that answer: search, explain."""

from __future__ import annotations

import json
from pathlib import Path

from resight.cli.app import SHIPPED, Cameras, DatasetName, Device, Json, ModelFile, Precision, Top, app, say
from resight.cli.inputs import (
    clip_features,
    find_query,
    nothing_to_search,
    open_model,
    read_named,
)
from resight.errors import DatasetError


@app.command
def search(
    query: str, dataset: DatasetName, *, model: ModelFile = SHIPPED, k: Top = 10, out: Path | None = None,
    shortlist: int | None = None, cameras: Cameras = ":", precision: Precision = "float32", device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Find the tracklets that show the person of one tracklet, best first, and say whether anybody is like them at all.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        out: An HTML page to write, with film strips.
        shortlist: Score only so many tracklets, those of the most similar mean features: faster, and not exact.
    """
    from resight.compute import Compute
    from resight.evaluation.threshold import Threshold
    from resight.explanation.report import write_search_page
    from resight.scoring.search import search_exactly, search_shortlist

    compute = Compute.resolve(device, precision)
    (loaded, kept), split = open_model(model), read_named(dataset, cameras)
    asked = find_query(query, split)
    others = [t for t in split.gallery if t.id != asked.id and not (t.camera == asked.camera and t.person >= 0)]
    if not others:
        raise DatasetError(nothing_to_search(asked, split, dataset))
    gallery, _ = clip_features(loaded, kept, compute, others)
    features, _ = clip_features(loaded, kept, compute, [asked])
    if shortlist is None:
        ranking, effort = search_exactly(features, gallery, loaded.aggregator, k, compute=compute)
    else:
        ranking, effort = search_shortlist(features, gallery, loaded.aggregator, k, size=shortlist, compute=compute)
    by_id = {t.id: t for t in others}
    best = [(by_id[id_], score) for id_, score in ranking.best(0, k)]
    learned = loaded.card.get("threshold")
    threshold = Threshold.from_json(learned).for_gallery(len(others)) if learned else None
    judged = threshold.judge(best[0][1]) if threshold else "this model says nothing about who is not in the gallery"
    lines = [judged]
    lines += [f"{n:3}. {score:.3f}  {t.id}  {split.camera_name(t.camera)}" for n, (t, score) in enumerate(best, 1)]
    if shortlist is not None:
        lines.append(f"approximate: the best of a shortlist of {shortlist}")
    lines.append(f"{len(others)} tracklets searched, {effort.scored} of them scored pair by pair")
    if out is not None:
        write_search_page(
            out, asked, [(t, s, "unknown") for t, s in best],
            searched=len(others), judged=judged, camera_name=split.camera_name,
        )  # fmt: skip
        lines.append(f"wrote {out}")
    found = {
        "query": asked.id,
        "in_gallery": threshold.believes(best[0][1]) if threshold else None,
        "threshold": threshold.to_json() if threshold else None,
        "answers": [{"id": t.id, "camera": t.camera, "similarity": score} for t, score in best],
        "searched": len(others),
        "scored": effort.scored,
    }
    say(found, "\n".join(lines), as_json)


@app.command
def explain(
    query: str, gallery: str, dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED, device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show which clip pairs decided how similar two tracklets are.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        gallery: The other tracklet, likewise.
        out: Folder for match.html, importance.png, clip_pairs.png and match.json.
    """
    from resight.checkpoints import replace_file
    from resight.compute import Compute
    from resight.explanation.evidence import explain_match
    from resight.explanation.plots import plot_clip_pairs, plot_importance, save_figure

    (loaded, kept), split = open_model(model), read_named(dataset)
    pair = find_query(query, split), find_query(gallery, split)
    first, second = (clip_features(loaded, kept, Compute.resolve(device), [t])[0] for t in pair)
    evidence = explain_match(*pair, first, second, loaded.aggregator)
    evidence.save(out / "match.html")
    save_figure(plot_importance(evidence), out / "importance.png")
    save_figure(plot_clip_pairs(evidence), out / "clip_pairs.png")
    with replace_file(out / "match.json") as temporary:
        temporary.write_text(json.dumps(evidence.to_json(), indent=1), encoding="utf-8")
    words = "\n".join(evidence.in_words())
    say(evidence.to_json(), f"{words}\nwrote {out}: match.html, importance.png, clip_pairs.png, match.json", as_json)
