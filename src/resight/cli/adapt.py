"""The command adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from resight.cli.app import SHIPPED, WORKERS, DatasetName, Device, Json, ModelFile, Workers, app, print_result


@app.command
def adapt(
    dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED,
    step: Literal["both", "statistics", "importance"] = "both", seed: int = 0, device: Device = "auto",
    workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Adapt a model to your cameras, from tracklets without labels.

    Tries BatchNorm statistics of each camera, then further training of the importance network. Each step is kept only
    if it helps by the agreement of parts of tracklets. Persons in the data set are not used. Interrupt it at any time:
    the same command continues.

    Args:
        out: Model file to write. If no step helps, it holds the model as it was.
        step: statistics takes seconds to minutes; importance encodes up to 300 tracklets with every kind of damage.
        seed: Seed of the training and of the intervals.
    """
    from resight.api.adapt import Step
    from resight.api.adapt import adapt as run
    from resight.tables import Table

    steps: tuple[Step, ...] = ("statistics", "importance") if step == "both" else (step,)
    adapted = run(
        dataset, model, out=out, steps=steps, seed=seed, device=device, workers=workers, progress=not as_json
    )  # fmt: skip
    card = adapted.checkpoint.metadata["adapted"]
    tables = [Table.from_json(table).to_text() for table in card["agreement"].values()]
    text = "\n".join([*tables, *card["report"], f"wrote {out}"])
    print_result({"model": str(out), **card}, text, as_json)
