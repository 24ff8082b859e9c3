"""The commands search and explain."""

from __future__ import annotations

import json
from pathlib import Path

from resight.cli.app import (
    SHIPPED,
    Cameras,
    DatasetName,
    Device,
    Json,
    ModelFile,
    Precision,
    Preset,
    Top,
    app,
    open_model,
    print_result,
    print_search,
)
from resight.outputs import check_output_file, check_output_folder, replace_file


@app.command
def search(
    query: str, dataset: DatasetName, *, model: ModelFile = SHIPPED, k: Top = 10, out: Path | None = None,
    shortlist: int | None = None, cameras: Cameras = ":", preset: Preset = None, precision: Precision = "float32",
    device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Find the tracklets most similar to a query, and report whether the best match is above the model's threshold.

    Args:
        query: A folder of frames, one picture, or the id of a tracklet of the data set.
        out: HTML page to write, with film strips of the query and the answers.
        shortlist: Compare only this many tracklets by their clip pairs: those with the most similar mean features.
            Faster but approximate; by default the search is exact.
    """
    from resight.api.search import search as run
    from resight.api.sources import open_dataset, select_cameras

    if out is not None:
        check_output_file(out)
    loaded = open_model(model, device, precision, preset=preset)
    data = select_cameras(open_dataset(dataset), cameras)
    answers = run(query, data, loaded, k=k, shortlist=shortlist, progress=not as_json)
    print_search(answers, out, as_json)


@app.command
def explain(
    query: str, gallery: str, dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED, preset: Preset = None,
    device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Show which clip pairs decided how similar two tracklets are.

    Args:
        query: A folder of frames, one picture, or the id of a tracklet of the data set.
        gallery: The other tracklet, in either form.
        out: Folder for match.html, importance.png, clip_pairs.png and match.json.
    """
    from resight.api.explain import explain as run
    from resight.explanation.plots import plot_clip_pairs, plot_importance, save_figure

    check_output_folder(out)
    loaded = open_model(model, device, preset=preset)
    evidence = run(query, gallery, dataset, loaded)
    evidence.save(out / "match.html")
    save_figure(plot_importance(evidence), out / "importance.png")
    save_figure(plot_clip_pairs(evidence), out / "clip_pairs.png")
    with replace_file(out / "match.json") as temporary:
        temporary.write_text(json.dumps(evidence.to_json(), indent=1), encoding="utf-8")
    summary = "\n".join(evidence.in_words())
    written = f"wrote {out}: match.html, importance.png, clip_pairs.png, match.json"
    print_result(evidence.to_json(), f"{summary}\n{written}", as_json)
