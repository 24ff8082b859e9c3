"""Adapt: a model for your cameras, from tracklets without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resight.adaptation.adapt import DEFAULT as DEFAULT_STEPS
from resight.adaptation.adapt import adapt_model, check_steps
from resight.api.model import Model, load_model
from resight.api.sources import open_dataset
from resight.compute import Compute
from resight.errors import OutputError
from resight.features.store import FeatureStore
from resight.outputs import check_output_file
from resight.settings import whole_number
from resight.shipped import DEFAULT
from resight.tracklet import Dataset, Tracklet
from resight.training.loop import RunOptions


def adapt(
    data: str | Dataset | Sequence[Tracklet],
    model: Model | str | Path | None = None,
    *,
    out: Path | str,
    steps: Sequence[str] = DEFAULT_STEPS,
    seed: int = 0,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> Model:
    """Adapt a model to the cameras of unlabelled tracklets.

    Each camera gets BatchNorm statistics of its own, and directions in which the features of a person vary between
    tracklets are shrunk. On request, the encoder and the importance network are trained. Each step is kept only if it
    helps by the agreement of parts of tracklets, without labels. Persons are not used. Interrupt it at any time: the
    same call continues where it stopped.

    Args:
        data: ``KIND:PATH``, a data set, of which the training tracklets are used, or tracklets.
        model: A `Model`, the name or path of one, or None for the default; it is not changed.
        out: The model file to write, another one than that of `model`. If adaptation does not help, it holds the
            model as it was.
        steps: Steps to try: ``statistics``, ``encoder``, ``projection`` and ``importance``. They are tried in this
            order, each on top of those before it that helped.
        seed: Seed of the intervals and of training.
        device: As in `load_model`.
        workers: Processes that decode frames; 0 decodes in this process.
        progress: Whether to show progress bars.

    Returns:
        The adapted model. ``card["adapted"]`` has the data, and the agreement before and after each step.

    Raises:
        DatasetError: If the data set cannot be read, there are too few tracklets.
        CheckpointError: If there is no such model.
        RecipeError: If an option has an impossible value.
        OutputError: If `out` cannot be written, or is the file of `model`.
    """
    whole_number("seed", seed, 0)
    check_steps(steps)
    compute = Compute.resolve(device)
    path = Path(out)
    options = RunOptions(path.with_name(f".{path.name}.part"), workers=workers, compute=compute, progress=progress)
    loaded = model if isinstance(model, Model) else load_model(model or DEFAULT, device=device, workers=workers)
    if path.exists() and Path(loaded.name).exists() and path.samefile(loaded.name):
        raise OutputError(f"{path} is the model to adapt, which must not change: choose another file")
    if isinstance(data, (str, Dataset)):
        dataset = open_dataset(data)
        tracklets, source = dataset.train, f"{dataset.name}:{dataset.root.name}"
    else:
        tracklets, source = tuple(data), "tracklets"
    check_output_file(path)  # after the arguments were read: it creates the folder
    adapted, _ = adapt_model(loaded.checkpoint, tracklets, source, path, seed, options, steps)
    return Model(adapted, name=str(out), compute=compute, store=FeatureStore(), workers=workers)
