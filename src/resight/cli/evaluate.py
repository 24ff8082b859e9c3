"""The commands evaluate and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import (
    SHIPPED,
    WORKERS,
    Cameras,
    DatasetName,
    Device,
    Json,
    app,
    note_card,
    print_result,
)
from resight.outputs import check_output_folder

Models = Annotated[
    Path,
    Parameter(
        help="Model file written by `resight train`, or the name of a model listed by `resight models`; or a network "
        "as onnx:FILE (onnx:FILE#PRESET names the format of its input) or frames:FOLDER. {split} in a path stands "
        "for the number of the split, for one model per split."
    ),
]


@app.command
def evaluate(
    dataset: DatasetName, *, model: Models = SHIPPED, out: Path | None = None, protocol: str | None = None,
    max_corrupted: int = 0, cameras: Cameras = ":", rerank: Annotated[bool, Parameter(negative=())] = False,
    open_set: Annotated[bool, Parameter(negative=())] = False,
    cluster: str | None = None, device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Score the model and the usual baselines by a named protocol, on every split of the data set.

    Where damage is known, also measure how well low importance detects damaged clips.

    Args:
        out: Folder for report.html, figures, scores.json, the scores of each query (for `resight compare`), and the
            ranking.
        protocol: Name of a protocol in docs/protocols.md, such as mars or cross-camera. By default the data set's own.
        rerank: Re-rank by k-reciprocal neighbours (Zhong et al. 2017) before scoring.
        open_set: Also measure false alarms, with half of the persons removed from the gallery.
        max_corrupted: M_c^max of the paper's Sec. 4.4: corrupt 0 to this many clips of each tracklet.
        cluster: Score with workers on a Ray cluster, by its address, or on this machine: local. docs/scale.md says when
            this pays off.
    """
    from resight.api.evaluate import evaluate as run
    from resight.api.evaluation_page import write_evaluation_page

    if out is not None:
        check_output_folder(out)
    note_card(model)
    result = run(
        model, dataset, protocol=protocol, max_corrupted=max_corrupted, cameras=cameras, rerank=rerank,
        open_set=open_set, camera_pairs=out is not None, device=device, workers=WORKERS, cluster=cluster,
        progress=not as_json,
    )  # fmt: skip
    text = result.to_text()
    if out is not None:
        result.save(out)
        write_evaluation_page(out, result, dataset, model)
        text += f"\nwrote {out / 'report.html'} and more files beside it"
    print_result(result.to_json(), text, as_json)


@app.command
def compare(first: Path, second: Path, *, method: str | None = None, as_json: Json = False) -> None:
    """Compare two evaluations query by query, and report whether the difference is significant.

    Args:
        first: Folder written by `resight evaluate --out`, or one queries-....json in it.
        second: The other evaluation, of the same queries by the same protocol.
        method: For folders, the row of the table to compare, such as "mean of pairs". By default the last row, which is
            the trained model.
    """
    from resight.api.compare import compare as run

    comparison = run(first, second, method)
    print_result(comparison.to_json(), comparison.to_text(), as_json)
