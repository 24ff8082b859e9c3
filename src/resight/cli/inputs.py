"""From what stands on the command line to tracklets, features and devices."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.app import WORKERS
from resight.errors import DatasetError
from resight.progress import progress_bar
from resight.shipped import weights_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resight.checkpoints import Checkpoint
    from resight.compute import Compute
    from resight.features.types import ClipFeatures
    from resight.tracklet import Dataset, Tracklet

_CACHES = {"win32": ("LOCALAPPDATA", "AppData/Local"), "darwin": ("XDG_CACHE_HOME", "Library/Caches")}


def open_model(named: Path) -> tuple[Checkpoint, Path]:
    """A model, and the folder for features that it makes: beside its file, but in the user's cache if it is shipped.

    Args:
        named: a model file; where there is none, the name of a model that comes with the package.

    Raises:
        CheckpointError: if there is neither, or it cannot be used.
    """
    from resight.checkpoints import load_checkpoint

    path = weights_of(named)
    if path == named:
        return load_checkpoint(path), path.parent / "features"
    print(f"note: `resight models {named}` says what the model {named} was trained on, and its limits", file=sys.stderr)
    return load_checkpoint(path), user_cache() / "features"


def user_cache() -> Path:
    """Our folder where this user's programs keep what they can make again."""
    variable, folder = _CACHES.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    return Path(os.environ.get(variable) or Path.home() / folder) / "resight"


def read_named(dataset: str, cameras: str = ":") -> Dataset:
    """The data set of a name, its notes printed, queries and gallery restricted to cameras.

    Raises:
        DatasetError: if it cannot be read, or nothing is left of the queries or of the gallery.
    """
    from resight.data.readers import read_dataset

    split = read_dataset(dataset)
    show_notes(split)
    return of_cameras(split, cameras)


def read_named_splits(dataset: str, cameras: str = ":") -> tuple[tuple[Dataset, ...], tuple[Dataset, ...]]:
    """The splits of a name, as `read_named` gives one, and all splits that the data set has.

    Raises:
        DatasetError: as `read_named`.
    """
    from resight.data.readers import read_splits

    splits = read_splits(dataset)
    one_of_many = len(splits) == 1 and splits[0].number is not None
    known = read_splits(dataset.rpartition("#")[0]) if one_of_many else splits
    show_notes(*splits)
    return tuple(of_cameras(split, cameras) for split in splits), known


def model_of_split(model: Path, number: int | None) -> Path:
    """The model file for a split: ``{split}`` in the name stands for its number, 1 where there is only one."""
    return Path(str(model).replace("{split}", str(number or 1)))


def seen_in_training(loaded: Checkpoint, split: Dataset, known: Sequence[Dataset]) -> tuple[str, ...]:
    """A sentence if queries of a split were trained on, as happens with one model for several splits; else none.

    Args:
        loaded: the model; its card says what it was trained on.
        split: what is asked.
        known: all splits of the data set.
    """
    from resight.training.loop import fingerprint

    trained = next((one for one in known if fingerprint(one.train) == loaded.card.get("trained_on")), None)
    if trained is None:
        return ()
    seen = len({t.id for t in trained.train} & {t.id for t in split.query})
    if not seen:
        return ()
    of = "" if split.number is None else f" of split {split.number}"
    advice = (
        "train a model for each split, and evaluate them as --model 'runs/split-{split}/model.safetensors'"
        if len(known) > 1
        else "divide the data into persons to train on and others to ask for"
    )
    return (f"{seen} of {len(split.query)} queries{of} were trained on, so the scores are too good: {advice}",)


def of_cameras(split: Dataset, cameras: str) -> Dataset:
    """A data set restricted as ``Q:G`` says.

    Raises:
        DatasetError: if `cameras` has another form, or nothing is left of the queries or of the gallery.
    """
    form = re.fullmatch(r"(\d*):(\d*)", cameras)
    if form is None:
        raise DatasetError(f"expected cameras as Q:G, such as 1:2, 1: or :2, found {cameras!r}")
    query_camera, gallery_camera = (int(one) if one else None for one in form.groups())
    chosen = split.between_cameras(query_camera, gallery_camera)
    for role, own, camera in (("query", chosen.query, query_camera), ("gallery", chosen.gallery, gallery_camera)):
        if not own:
            known = sorted({t.camera for t in getattr(split, role)})
            raise DatasetError(f"{split.root} has no {role} tracklet of camera {camera}; its cameras are {known}")
    return chosen


def find_query(name: str, split: Dataset) -> Tracklet:
    """A tracklet of the data set by its id, or a folder of frames."""
    from resight.data.readers.folder import read_tracklet

    found = split.find(name)
    if found is not None:
        return found
    folder = Path(name).expanduser()
    if folder.is_dir():
        # a folder of a folder set is that set's own tracklet, so that its person and camera are known
        own = split.gallery if split.name == "folder" else ()
        return next((t for t in own if t.folder.resolve() == folder.resolve()), None) or read_tracklet(folder)
    raise DatasetError(
        f"{name!r} is neither a folder of frames nor the id of a tracklet in {split.root} (ids look like "
        f"{split.gallery[0].id!r})"
    )


def nothing_to_search(asked: Tracklet, split: Dataset, dataset: str) -> str:
    """Why a search has no tracklet to answer with, and what to do."""
    cameras = sorted({t.camera for t in split.gallery})
    if cameras != [asked.camera]:
        return f"nothing to search: {dataset} has no tracklet but {asked.id}; add what is to be searched"
    return (
        f"nothing to search: all {len(split.gallery)} tracklets of {dataset} are of camera {asked.camera}, that of "
        f"{asked.id}, and answers from the query's own camera are left out. To search that camera too, name the "
        "tracklets in a manifest.jsonl without camera (each then counts as a camera of its own) and read it as "
        f"manifest:{split.root}; or ask with a folder of frames that lies outside of it"
    )


def clip_features(
    loaded: Checkpoint,
    kept: Path,
    compute: Compute,
    tracklets: Sequence[Tracklet],
    max_corrupted: int = 0,
) -> tuple[ClipFeatures, NDArray[np.bool_]]:
    """Features of tracklets, which the folder `kept` keeps, and which of their clips were corrupted."""
    from resight.features.damaged import extract_damaged_features

    with progress_bar("encoding", "tracklets") as progress:
        return extract_damaged_features(
            loaded.encoder.to(compute.torch_device), tracklets, loaded.recipe.clips, max_corrupted,
            cache=kept if len(tracklets) > 1 else None, workers=min(WORKERS, len(tracklets)),
            compute=compute, progress=progress,
        )  # fmt: skip


def chosen_device(name: str) -> str:
    """The device that ``auto`` stands for, or the name itself."""
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def show_notes(*splits: Dataset) -> None:
    """Print what a reader left out, each note once."""
    for note in dict.fromkeys(note for split in splits for note in split.notes):
        print(f"note: {note}", file=sys.stderr)
