"""The command doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import Json, app, print_result
from resight.outputs import check_output_folder
from resight.progress import progress_bar


@app.command
def doctor(
    name: str, *, out: Path | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=())] = False,
    strict: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Check a data set, a video or a file of cameras, and report problems and what to do about them.

    Exit status 0 if there is no error, 1 if there is one. Nothing is changed or downloaded.

    Args:
        name: Data set as KIND:PATH, such as mars:/data/MARS; or a TOML file of cameras, a video, or a folder of frames.
        out: Folder for doctor.json and, for a data set, statistics.png and statistics.svg.
        everything: Decode every frame. By default, a sample of a large data set is decoded.
        strict: Exit with status 1 for warnings too.
    """
    from functools import partial

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
