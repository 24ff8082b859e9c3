"""Features that were computed elsewhere: from files, arrays, and detections of the supervision library."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.api.model import Model, as_model
from resight.data.clips import sample_clips
from resight.errors import CheckpointError, DatasetError, RecipeError, ShapeError
from resight.features.keys import encoder_identity
from resight.features.types import FEATURES_KIND, ClipFeatures, comparable_values
from resight.ranking import Ranking
from resight.recipe import ClipSpec
from resight.scoring.search import search_exactly
from resight.tensor_files import kind_of, read_arrays
from resight.tracklet import JUNK

CLIPS = ClipSpec()
"""How rows of frames are grouped: 8 clips of 4 frames, as the models that come with the package."""


def read_features(
    source: str | Path | Mapping[str, NDArray[Any]], *, frames: bool = False, clips: ClipSpec = CLIPS
) -> ClipFeatures:
    """Return precomputed features, one array for each tracklet.

    Args:
        source: A dictionary from tracklet id to an array (M, D) of clip features; a .npz or .safetensors file of such
            arrays; or the file that ``resight extract`` wrote.
        frames: Whether the rows of an array are frames in order, of any number. They are averaged as the frames of
            `clips`, as an encoder of frames does it.
        clips: Number, length and stride of clips, and the sampler; ``consec`` and ``random`` are not possible.

    Returns:
        Features of T tracklets in the order of the source. Persons and cameras are unknown if the source has none.

    Raises:
        CheckpointError: If the file is missing or damaged.
        ShapeError: If an array is not (M, D) of finite numbers, or the tracklets differ in D, or in M unless the rows
            are frames.
        DatasetError: If there are no arrays.
        RecipeError: If the sampler of `clips` draws at random.
    """
    if isinstance(source, (str, Path)):
        path, where = Path(source).expanduser(), str(source)
        if path.suffix == ".safetensors" and kind_of(path) == FEATURES_KIND:
            if frames:
                raise ShapeError(f"{path} holds clip features, not features of frames: omit frames=True")
            return ClipFeatures.load(path)
        arrays: Mapping[str, NDArray[Any]] = _read_file(path)
    else:
        where, arrays = "the features", source
    if not arrays:
        raise DatasetError(f"{where}: expected an array of features for each tracklet, found none")
    if clips.sampler in ("consec", "random"):
        raise RecipeError(f"sampler is {clips.sampler!r}, which draws at random: use spaced, cover, evenly or all")
    rows = {str(id_): _checked(f"{where}: {id_}", values) for id_, values in arrays.items()}
    numbers = {
        id_: sample_clips(len(values), clips) if frames else np.arange(len(values))[:, None]
        for id_, values in rows.items()
    }
    values = {id_: rows[id_][numbers[id_]].mean(1) for id_ in rows}
    first = next(iter(values))
    for id_, of_tracklet in values.items():
        if of_tracklet.shape != values[first].shape:
            raise ShapeError(
                f"{where}: the features of {id_} are {of_tracklet.shape}, but those of {first} are "
                f"{values[first].shape}: expected the same number of clips M and of values D; if the rows are frames, "
                "use frames=True"
            )
    count = len(values)
    return ClipFeatures(
        tuple(values), np.full(count, JUNK), np.zeros(count, np.int64), np.stack(list(values.values())),
        np.stack(list(numbers.values())),
    )  # fmt: skip


def group_detections(
    detections: Iterable[Any], *, data: str = "embedding", least: int = 1
) -> dict[str, NDArray[np.float32]]:
    """Return the features of each track from detections of successive video frames.

    Args:
        detections: One object for each video frame, with the attributes of ``supervision.Detections``: ``xyxy``,
            ``tracker_id``, and ``data`` with an array (n, D). Frames without detections and detections without a track
            (None or negative) are skipped.
        data: Name of the features in ``data``.
        least: Tracks with fewer detections are left out.

    Returns:
        From track id to (n, D) in the order of frames; `read_features` with ``frames=True`` makes clips of them.

    Raises:
        DatasetError: If a frame has detections without track ids or without features.
        ShapeError: If the features are not one vector for each detection.
    """
    tracks: dict[Hashable, list[NDArray[np.float32]]] = {}
    for number, frame in enumerate(detections):
        count = len(frame.xyxy)
        if not count:
            continue
        if frame.tracker_id is None:
            raise DatasetError(f"the detections of frame {number} have no tracker_id: run a tracker first")
        if data not in frame.data:
            known = ", ".join(map(repr, frame.data)) or "nothing"
            raise DatasetError(
                f"the detections of frame {number} have no data[{data!r}], only {known}: store the features of your "
                "network there"
            )
        values = np.asarray(frame.data[data], np.float32)
        if values.ndim != 2 or len(values) != count or len(frame.tracker_id) != count:
            raise ShapeError(f"data[{data!r}] of frame {number} is {values.shape}, expected ({count}, D)")
        for track, row in zip(frame.tracker_id, values, strict=True):
            if track is not None and int(track) >= 0:
                tracks.setdefault(int(track), []).append(row)
    return {str(track): np.stack(rows) for track, rows in tracks.items() if len(rows) >= least}


def search_features(
    query: str | NDArray[np.floating], gallery: ClipFeatures, model: Model | str | Path | None = None, *, k: int = 10
) -> Ranking:
    """Return the tracklets that are most similar to a query, from precomputed features.

    Args:
        query: Clip features (M, D), or the id of a tracklet in `gallery`, which is then left out.
        gallery: Features from `read_features`.
        model: A model, its name or file, for the same encoder as the features; None is the default model.
        k: Number of answers, 1 or more.

    Returns:
        A ranking of one query.

    Raises:
        DatasetError: If `gallery` has no tracklet of that id, or no other one.
        ShapeError: If the features have another dimension or come from another encoder than the model's.
        RecipeError: If `k` is below 1.
    """
    if k < 1:
        raise RecipeError(f"k is {k}, expected 1 or more")
    model = as_model(model)
    values: Any = query
    name = "query"
    if isinstance(query, str):
        if query not in gallery.ids:
            raise DatasetError(f"there is no tracklet {query!r} in the features; ids look like {gallery.ids[0]!r}")
        place, name = gallery.ids.index(query), query
        values = gallery.values[place]
        gallery = gallery.rows([row for row in range(len(gallery)) if row != place])
    if not len(gallery):
        raise DatasetError("nothing to search: there are no other tracklets")
    identity = encoder_identity(model.checkpoint.encoder)
    comparable_values(gallery, model.dim, identity, model.name)
    rows = comparable_values(values, model.dim, identity, model.name)
    if rows.ndim != 2:
        raise ShapeError(f"expected the features (M, D) of one tracklet, found {rows.shape}")
    numbers = np.arange(len(rows))[None, :, None]
    one = ClipFeatures((name,), np.array([JUNK]), np.array([0]), rows[None].astype(np.float32), numbers)
    return search_exactly(one, gallery, model.checkpoint.aggregator, k, compute=model.compute)[0]


def _read_file(path: Path) -> Mapping[str, NDArray[Any]]:
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; expected .npz or .safetensors with an array for each tracklet")
    if path.suffix == ".safetensors":
        return read_arrays(path)
    if path.suffix != ".npz":
        raise CheckpointError(f"{path} has the suffix {path.suffix!r}, expected .npz or .safetensors")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as arrays: {error}") from error


def _checked(where: str, values: Any) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise ShapeError(f"{where} is {array.shape} of {array.dtype}, expected features (M, D): one row for each clip")
    if not np.isfinite(array).all():
        raise ShapeError(f"{where} has values that are not finite")
    return array.astype(np.float32)
