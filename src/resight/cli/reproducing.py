"""The command that regenerates tables and figures."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resight.cli.app import WORKERS, Device, Json, Workers, app, say
from resight.cli.inputs import chosen_device

if TYPE_CHECKING:
    from resight.studies.outcome import Outcome


@app.command
def reproduce(
    name: str, *, data: Annotated[str | None, Parameter(help="The data, as KIND:PATH; by default a synthetic world, "
                                                             "rendered into OUT.")] = None,
    out: Path = Path("runs/study"), setting: Literal["small", "bench", "full"] = "small", seeds: int | None = None,
    init: Path | None = None, model: Path | None = None,
    jobs: int | None = None, device: Device = "auto", workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Regenerate a table or figure of the paper, or a study of our own, with the published numbers beside ours.

    Interrupt it when you like: the same command goes on where it was, and studies share what they train and extract.

    Args:
        name: fig3 … fig7, table2 … table6, aggregators, damage, order, cost, recipes, joint, or all.
        out: Folder of results (JSON, CSV, Markdown, PNG, SVG, PDF) and of everything that was trained for them.
        setting: small is for two cores; bench is full size, for a GPU; full is what the paper states.
        seeds: Trainings, with seeds 0, 1, …; by default three.
        jobs: Studies at once; by default one, but of all of them on CPUs one a core, four at most. Numbers repeat to
            the last digit for the same jobs on the same machine.
        init: Kinetics weights of the I3D (rgb_imagenet.pt of the public PyTorch port) to start from, as the paper does.
        model: A model file, or the name of one that comes along: its encoder is taken, and only importance and
            baselines are trained, on the data. Studies that compare encoders (fig3, table6, recipes) are left out.
    """
    from resight.studies.setting import SETTINGS
    from resight.studies.studies import ALL, Laboratory
    from resight.studies.studies import reproduce as run

    chosen = SETTINGS[setting]
    if seeds is not None:
        chosen = replace(chosen, seeds=tuple(range(seeds)))

    def tell(outcome: Outcome, paths: list[Path]) -> None:
        if not as_json:
            print(f"{outcome.to_markdown()}\nwrote {', '.join(map(str, paths))}\n", flush=True)

    where = chosen_device(device)
    if jobs is None:
        jobs = min(4, os.cpu_count() or 1) if name == ALL and where == "cpu" else 1
    bars = not as_json and sys.stderr.isatty()
    found = run(name, Laboratory(data, out, chosen, where, workers, init, model, bars), jobs=jobs, say=tell)
    if as_json:
        say({one: outcome.to_json() for one, outcome in found.items()}, "", True)
