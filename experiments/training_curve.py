"""Plot of a training run: the loss of each step and the validation mAP.

``python -m experiments.training_curve runs/open-small docs/images/open-small-training.svg``
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cyclopts import run
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resight.errors import CheckpointError
from resight.explanation.plots import save_figure

STAGES = {"stage1": "stage 1: clip encoder", "stage2": "stage 2: importance"}
WINDOW = 25
"""The loss is shown as a moving average over this many steps."""


def training_curve(folder: Path, picture: Path) -> None:
    """Plot the logs of a training run.

    Args:
        folder: Folder of the run, with stage1.metrics.jsonl, stage2.metrics.jsonl or both.
        picture: PNG, SVG or PDF file to write.

    Raises:
        CheckpointError: If the folder has neither of the logs.
    """
    logs = {name: read_log(path) for name in STAGES if (path := folder / f"{name}.metrics.jsonl").is_file()}
    if not logs:
        raise CheckpointError(
            f"{folder} has no {' or '.join(f'{name}.metrics.jsonl' for name in STAGES)}: expected a training run"
        )
    save_figure(plot_training(logs), picture)
    print(f"wrote {picture}")


def read_log(path: Path) -> list[Mapping[str, float]]:
    """Return the records of a log, one per step."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plot_training(logs: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Return a figure with one panel per stage: loss on the left axis, validation mAP on the right axis.

    Args:
        logs: Records by stage.
    """
    figure = Figure(figsize=(4.6 * len(logs), 3.2), layout="constrained")
    panels = figure.subplots(1, len(logs), squeeze=False)[0]
    for axes, (name, steps) in zip(panels, logs.items(), strict=True):
        _draw(axes, STAGES[name], steps)
    return figure


def _draw(axes: Axes, title: str, steps: Sequence[Mapping[str, float]]) -> None:
    losses = np.array([step["loss"] for step in steps])
    width = min(WINDOW, len(losses))
    smooth = np.convolve(losses, np.full(width, 1 / width), "valid")
    axes.plot(np.arange(len(smooth)) + width - 1, smooth, color="#2a68a8", linewidth=1.2)
    axes.set(title=title, xlabel="step", ylim=(0, None))
    axes.set_ylabel(f"loss, mean of {width} steps", color="#2a68a8")
    validations = [(step["step"], 100 * step["validation"]) for step in steps if "validation" in step]
    right = axes.twinx()
    right.plot(*zip(*validations, strict=True), "o-", color="#d9730d", markersize=4)
    right.set_ylabel("validation mAP, percent", color="#d9730d")
    right.set_ylim(0, 100)
    for side in (axes, right):
        side.spines["top"].set_visible(False)


if __name__ == "__main__":
    run(training_curve)
