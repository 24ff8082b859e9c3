"""The command doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import Json, Preset, app, print_result
from resight.errors import RecipeError
from resight.outputs import check_output_folder
from resight.progress import progress_bar


@app.command
def doctor(
    name: str | None = None, *, model: Path | None = None, preset: Preset = None, out: Path | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Check a data set, a video, a file of cameras or a network, and report problems and what to do about them.

    Exit status 0 if there is no error, 1 if there is one. Nothing is changed or downloaded.

    Args:
        name: Data set as KIND:PATH, such as mars:/data/MARS; or a TOML file of cameras, a video, or a folder of frames.
        model: Instead of NAME, a network as onnx:FILE: score it on synthetic people, with its pixel format and others.
        out: Folder for doctor.json and, for a data set, statistics.png and statistics.svg.
        everything: Decode every frame. By default, a sample of a large data set is decoded.
        strict: Exit with status 1 for warnings too.
    """
    from functools import partial

    if (name is None) == (model is None):
        raise RecipeError("expected either the name of a data set, or --model onnx:FILE")
    if name is None:
        _check_network(model, preset, out, as_json)
        return
    from resight.doctor.examine import examine
    from resight.outputs import replace_file

    if out is not None:
        check_output_folder(out)
    report, statistics = examine(name, everything=everything, stage=partial(progress_bar, shown=not as_json))
    if out is not None:
        with replace_file(out / "doctor.json") as temporary:
            temporary.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
        if statistics is not None:
            from resight.explanation.dataset_plots import plot_dataset
            from resight.explanation.plots import save_figure

            figure = plot_dataset(
                statistics.lengths, statistics.per_camera, statistics.cameras_per_person,
                statistics.tracklets_per_person, name,
            )  # fmt: skip
            save_figure(figure, out / "statistics.png")
            save_figure(figure, out / "statistics.svg")
    print_result(report.to_json(), report.to_text() + (f"\nwrote {out}" if out else ""), as_json)
    if status := report.status(strict):
        raise SystemExit(status)


def _check_network(model: Path | None, preset: str | None, out: Path | None, as_json: bool) -> None:
    """Score a network on synthetic people; exit status 1 if another pixel format is clearly better."""
    from resight.api.model import load_model
    from resight.doctor.pixels import check_encoder
    from resight.models.external import ExternalEncoder
    from resight.outputs import replace_file

    if out is not None:
        check_output_folder(out)
    encoder = load_model(model or "", preset=preset, device="cpu", keep_features=False).checkpoint.encoder
    if not isinstance(encoder, ExternalEncoder):
        raise RecipeError(f"--model checks the input of ONNX networks, but {model} has an encoder of another kind")
    with progress_bar("checking", "formats", not as_json) as progress:
        check = check_encoder(encoder, progress=progress)
    if out is not None:
        with replace_file(out / "doctor.json") as temporary:
            temporary.write_text(json.dumps(check.to_json(), indent=1) + "\n", encoding="utf-8")
    print_result(check.to_json(), check.to_text() + (f"\nwrote {out}" if out else ""), as_json)
    if check.problems:
        raise SystemExit(1)
