"""The command adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resight.cli.app import SHIPPED, WORKERS, DatasetName, Device, Json, ModelFile, Workers, app, print_result

Steps = Annotated[
    tuple[Literal["statistics", "encoder", "projection", "importance"], ...], Parameter(consume_multiple=True)
]


@app.command
def adapt(
    dataset: DatasetName, *, out: Path, model: ModelFile = SHIPPED, steps: Steps = ("statistics", "projection"),
    seed: int = 0, device: Device = "auto", workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Adapt a model to your cameras, from tracklets without labels.

    Each camera gets BatchNorm statistics of its own, and directions in which the features of a person vary between
    tracklets are shrunk. On request, the encoder and the importance network are trained. Each step is kept only if it
    helps by the agreement of parts of tracklets. Persons in the data set are not used. Interrupt it at any time: the
    same command continues.

    Args:
        out: Model file to write. If adaptation does not help, it holds the model as it was.
        steps: Steps to try, of statistics, encoder, projection and importance.
        seed: Seed of the intervals and of training.
    """
    from resight.adaptation.adapt import steps_text
    from resight.api.adapt import adapt as run

    adapted = run(dataset, model, out=out, steps=steps, seed=seed, device=device, workers=workers, progress=not as_json)
    card = adapted.checkpoint.metadata["adapted"]
    text = f"{steps_text(card['steps'])}\nwrote {out}"
    print_result({"model": str(out), **card}, text, as_json)
