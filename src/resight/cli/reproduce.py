"""The command reproduce."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resight.cli.app import WORKERS, Device, Json, Workers, app, print_result

if TYPE_CHECKING:
    from resight.studies.framework.outcome import Outcome


@app.command
def reproduce(
    name: str, *,
    data: Annotated[
        str | None, Parameter(help="Data set as KIND:PATH. By default a synthetic world, rendered into OUT.")
    ] = None,
    out: Path = Path("runs/study"), setting: Literal["small", "bench", "full"] = "small", seeds: int | None = None,
    init: Path | None = None, model: Path | None = None,
    jobs: int | None = None, device: Device = "auto", workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Reproduce a table or figure of the paper, or run one of our own studies, with the published numbers alongside.

    Interrupt it at any time: the same command continues, and studies share training runs and features.

    Args:
        name: fig3 ... fig7, table2 ... table6, aggregators, damage, order, cost, recipes, joint, or all.
        out: Folder for the results (JSON, CSV, Markdown, PNG, SVG, PDF) and the training runs.
        setting: small is for two cores; bench is full size, for a GPU; full has the settings of the paper.
        seeds: Number of training runs, with seeds 0, 1, ...; by default three.
        jobs: Number of studies that run at the same time. By default 1; for `all` on CPUs, one per core, at most four.
            Results are identical to the last digit only for the same number of jobs on the same machine.
        init: Kinetics weights of the I3D (rgb_imagenet.pt of the public PyTorch port) to start from, as in the paper.
        model: Model file, or name of a model that comes with Resight. Its encoder is used as it is, and only the
            importance network and the baselines are trained. Studies that compare encoders (fig3, table6, recipes) are
            skipped.
    """
    from resight.compute import Compute
    from resight.errors import RecipeError
    from resight.outputs import check_output_folder
    from resight.studies.framework.setting import SETTINGS
    from resight.studies.studies import ALL, Laboratory
    from resight.studies.studies import reproduce as run

    chosen = SETTINGS[setting]
    if seeds is not None:
        if seeds < 1:
            raise RecipeError(f"--seeds is {seeds}, expected 1 or more training runs")
        chosen = replace(chosen, seeds=tuple(range(seeds)))

    def report(outcome: Outcome, paths: list[Path]) -> None:
        if not as_json:
            print(f"{outcome.to_markdown()}\nwrote {', '.join(map(str, paths))}\n", flush=True)

    compute = Compute.resolve(device)
    check_output_folder(out)
    if jobs is None:
        jobs = min(4, os.cpu_count() or 1) if name == ALL and compute.device == "cpu" else 1
    laboratory = Laboratory(
        data, out, chosen, compute, workers, init, model, progress=not as_json and sys.stderr.isatty()
    )
    results = run(name, laboratory, jobs=jobs, say=report)
    if as_json:
        print_result({study: outcome.to_json() for study, outcome in results.items()}, "", True)
