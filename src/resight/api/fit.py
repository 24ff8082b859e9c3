"""Fit: an importance network for any encoder, trained on synthetic people."""

from __future__ import annotations

from pathlib import Path

from resight.api.model import Model, load_model
from resight.compute import Compute
from resight.errors import RecipeError
from resight.features.store import FeatureStore
from resight.outputs import check_output_file
from resight.training.fit import fit_importance, fit_recipe
from resight.training.fit_worlds import FitSize
from resight.training.loop import RunOptions

LEAST_PERSONS, MOST_PERSONS = 12, 5000
"""Numbers of persons to train on: at least those of one batch."""


def fit(
    encoder: Model | str | Path,
    *,
    out: Path | str,
    preset: str | None = None,
    persons: int = FitSize.persons,
    seed: int = 0,
    device: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> Model:
    """Train the importance network for an encoder on synthetic people; no data of yours is needed.

    Synthetic worlds with frames of the encoder's size are rendered once and kept in the cache folder. Interrupt it at
    any time: the same call continues where it stopped.

    Args:
        encoder: A `Model`, the name or path of one, ``onnx:FILE`` or ``frames:FOLDER``, as in `load_model`.
        out: The model file to write. It holds encoder and importance network.
        preset: For ``onnx:FILE``, the format of its input, as in `load_model`.
        persons: Number of synthetic persons to train on.
        seed: Seed of the training.
        device: As in `load_model`.
        workers: Processes that render and that decode frames; 0 does both in this process.
        progress: Whether to show progress bars.

    Returns:
        The fitted model. Its `card` has the scores of the validation persons under each kind of damage (``damage``),
        and what they mean (``verdict``).

    Raises:
        RecipeError: If an option has an impossible value, or the encoder has too few features or clips.
        CheckpointError: If there is no such encoder, or it cannot be run.
        CacheError: If the worlds cannot be kept.
        OutputError: If `out` cannot be written.
    """
    if not isinstance(persons, int) or not LEAST_PERSONS <= persons <= MOST_PERSONS:
        raise RecipeError(f"persons is {persons!r}, expected a whole number from {LEAST_PERSONS} to {MOST_PERSONS}")
    if preset is not None and isinstance(encoder, Model):
        raise RecipeError("preset is for ONNX files, but the encoder is a loaded model: omit it")
    compute = Compute.resolve(device)
    path = Path(out)
    options = RunOptions(path.with_name(f".{path.name}.part"), workers=workers, compute=compute, progress=progress)
    model = encoder if isinstance(encoder, Model) else load_model(encoder, preset=preset, device=device)
    fit_recipe(model.checkpoint, seed)
    check_output_file(path)  # after the arguments were read: it creates the folder
    fitted = fit_importance(model.checkpoint, path, FitSize(persons), seed, options)
    return Model(fitted, name=str(out), compute=compute, store=FeatureStore(), workers=workers)
