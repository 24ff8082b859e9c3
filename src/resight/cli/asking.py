"""Commands that answer: evaluate, search, explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import Cameras, Dataset, Device, Json, ModelFile, Precision, Top, app, say
from resight.cli.inputs import chosen_device, clip_features, find_query, products, read_named
from resight.errors import DatasetError
from resight.progress import progress_bar


@app.command
def evaluate(
    dataset: Dataset, *, model: ModelFile, out: Path | None = None, protocol: str | None = None,
    max_corrupted: int = 0, cameras: Cameras = ":", rerank: Annotated[bool, Parameter(negative=())] = False,
    precision: Precision = "float32", device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Score every way of aggregating clip pairs by a named protocol, and say how well importance points at damage.

    Args:
        out: Folder for scores.json, the CMC as PNG and SVG, and the learned ranking as NPZ.
        protocol: One of docs/protocols.md, such as mars or cross-camera; by default the data set's own.
        rerank: Re-rank by k-reciprocal neighbours (Zhong et al. 2017) before scoring.
        max_corrupted: M_c^max of the paper's Sec. 4.4: corrupt 0 to this many clips of each tracklet.
    """
    from resight.checkpoints import load_model
    from resight.evaluation.compare import clip_faults, compare_aggregators, usual_aggregators
    from resight.evaluation.protocols import default_protocol, find_protocol
    from resight.explain.plots import plot_cmc, save_figure
    from resight.synthetic.faults import read_faults

    loaded, split = load_model(model), read_named(dataset, cameras)
    rules = find_protocol(protocol) if protocol else default_protocol(split.name)
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    features, damage = clip_features(loaded, model, device, precision, everyone, max_corrupted)
    query, gallery = features.of(split.query), features.of(split.gallery)
    faults = clip_faults(everyone, features, read_faults(split.root), damage)
    with progress_bar("scoring", "methods", not as_json) as progress:
        comparison = compare_aggregators(
            usual_aggregators(loaded.aggregator.to(chosen_device(device))), query, gallery, rules,
            faults=faults[features.places(split.query)], reranked=rerank,
            precision=products(precision, device), progress=progress,
        )  # fmt: skip
    if out is not None:
        comparison.save(out)
        figure = plot_cmc({name: one.cmc for name, one in comparison.scores.items()}, comparison.protocol_line)
        save_figure(figure, out / "cmc.png")
        save_figure(figure, out / "cmc.svg")
    say(comparison.to_json(), comparison.to_text() + (f"\nwrote {out}" if out else ""), as_json)


@app.command
def search(
    query: str, dataset: Dataset, *, model: ModelFile, k: Top = 10, out: Path | None = None,
    shortlist: int | None = None, cameras: Cameras = ":", precision: Precision = "float32", device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Find the tracklets that show the person of one tracklet, best first.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        out: An HTML page to write, with film strips.
        shortlist: Score only so many tracklets, those of the most similar mean features: faster, and not exact.
    """
    from resight.checkpoints import load_model
    from resight.explain.report import write_search_page
    from resight.scoring.search import search_exactly, search_shortlist

    loaded, split = load_model(model), read_named(dataset, cameras)
    asked = find_query(query, split)
    others = [t for t in split.gallery if t.id != asked.id and not (t.camera == asked.camera and t.person >= 0)]
    if not others:
        raise DatasetError(f"nothing to search: {dataset} has no tracklet of another camera than that of {asked.id}")
    gallery, _ = clip_features(loaded, model, device, precision, others)
    features, _ = clip_features(loaded, model, device, precision, [asked])
    loaded.aggregator.to(chosen_device(device))
    of = products(precision, device)
    if shortlist is None:
        ranking, effort = search_exactly(features, gallery, loaded.aggregator, k, precision=of)
    else:
        ranking, effort = search_shortlist(features, gallery, loaded.aggregator, k, size=shortlist, precision=of)
    by_id = {t.id: t for t in others}
    best = [(by_id[id_], score) for id_, score in ranking.best(0, k)]
    lines = [f"{n:3}. {score:.3f}  {t.id}  camera {t.camera}" for n, (t, score) in enumerate(best, 1)]
    if shortlist is not None:
        lines.append(f"approximate: the best of a shortlist of {shortlist}")
    lines.append(f"{len(others)} tracklets searched, {effort.scored} of them scored pair by pair")
    if out is not None:
        write_search_page(out, asked, [(t, s, "unknown") for t, s in best], searched=len(others))
        lines.append(f"wrote {out}")
    answers = [{"id": t.id, "camera": t.camera, "similarity": score} for t, score in best]
    say(
        {"query": asked.id, "answers": answers, "searched": len(others), "scored": effort.scored},
        "\n".join(lines),
        as_json,
    )


@app.command
def explain(
    query: str, gallery: str, dataset: Dataset, *, model: ModelFile, out: Path, device: Device = "auto",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show which clip pairs decided how similar two tracklets are.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        gallery: The other tracklet, likewise.
        out: Folder for match.html, importance.png, clip_pairs.png and match.json.
    """
    from resight.checkpoints import load_model, replace_file
    from resight.explain.evidence import explain_match
    from resight.explain.plots import plot_clip_pairs, plot_importance, save_figure
    from resight.explain.report import write_match_page

    loaded, split = load_model(model), read_named(dataset)
    pair = find_query(query, split), find_query(gallery, split)
    first, second = (clip_features(loaded, model, device, "float32", [t])[0] for t in pair)
    evidence = explain_match(*pair, first, second, loaded.aggregator)
    write_match_page(out / "match.html", evidence)
    save_figure(plot_importance(evidence), out / "importance.png")
    save_figure(plot_clip_pairs(evidence), out / "clip_pairs.png")
    with replace_file(out / "match.json") as temporary:
        temporary.write_text(json.dumps(evidence.to_json(), indent=1), encoding="utf-8")
    words = "\n".join(evidence.in_words())
    say(evidence.to_json(), f"{words}\nwrote {out}: match.html, importance.png, clip_pairs.png, match.json", as_json)
