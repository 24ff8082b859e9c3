"""BatchNorm statistics of each camera from its unlabelled tracklets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resight.adaptation.agreement import agreement_table, cameras_text, compare_agreement, helped
from resight.adaptation.steps import Step, note_on, part_similarities
from resight.adaptation.unlabelled import Parts, assign_folds, folds_of
from resight.checkpoints import Checkpoint
from resight.compute import Compute
from resight.data.clips import sample_clips, tracklet_rng
from resight.data.frames import load_clips
from resight.data.transforms import prepare_clips
from resight.models.camera_encoder import CameraEncoder, camera_statistics, read_statistics
from resight.models.encoders import ClipEncoder, encoder_body, is_frame_wise
from resight.models.external import ExternalEncoder
from resight.progress import Progress, progress_bar
from resight.recipe import ClipSpec
from resight.tensor_files import content_hash, read_tensors, write_tensors
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

HALF, MOST = 80, 0.2
"""Of n tracklets, a camera gets the share n / (n + `HALF`) of its own statistics, at most `MOST`."""

LEAST = 5
"""Fewest tracklets of a camera that gets statistics of its own."""

_LEAST_IN_FOLD = 2

MOST_CLIPS = 512
"""Most clips of a camera; they are distributed over all of its tracklets."""

_BATCH, _BATCH_PIXELS = 64, 2**22
"""Most clips of a batch, and most pixels, which bound the memory."""

_KIND = "resight camera statistics"


def own_share(n_tracklets: int) -> float:
    """Return the share of its own statistics that a camera with that many tracklets gets, 0 … `MOST`.

    Few tracklets show few persons, whose clothes would be taken for the camera.
    """
    return min(MOST, n_tracklets / (n_tracklets + HALF))


def without_statistics(encoder: ClipEncoder) -> str:
    """Return why an encoder cannot get statistics of cameras; empty if it can."""
    if isinstance(encoder_body(encoder), ExternalEncoder):
        return "the encoder is an ONNX network or a Python object, whose layers cannot be changed"
    return "" if read_statistics(encoder).shape[1] else "the encoder has no BatchNorm layers"


def adapt_statistics(
    encoder: ClipEncoder,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    folder: Path,
    *,
    least: int = LEAST,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> tuple[CameraEncoder, dict[str, dict[str, Any]]]:
    """Return an encoder with statistics for each camera that has enough tracklets.

    Args:
        encoder: An encoder for which `without_statistics` is empty. Cameras that it knows already keep their
            statistics, unless they have tracklets here.
        tracklets: Tracklets without labels, see `strip_labels`.
        spec: How they are cut into clips.
        folder: Where the statistics of each camera are kept, so that an interrupted call continues.
        least: Fewest tracklets of a camera.
        compute: Where the encoder runs.
        progress: Called with (cameras done, all).

    Returns:
        The encoder, and for each new camera its number of ``tracklets`` and ``share`` of its own statistics.

    Raises:
        FrameError: If a frame cannot be read.
    """
    trained: Any = encoder.trained if isinstance(encoder, CameraEncoder) else encoder
    known = dict(zip(encoder.cameras, encoder.values.cpu(), strict=True)) if isinstance(encoder, CameraEncoder) else {}
    cameras: dict[str, list[Tracklet]] = {}
    for tracklet in sorted(tracklets, key=lambda t: (t.camera_label, t.id)):
        cameras.setdefault(tracklet.camera_label, []).append(tracklet)
    enough = {camera: own for camera, own in cameras.items() if len(own) >= least}
    identity = content_hash(trained.state_dict())
    if is_frame_wise(trained):  # the frames of its clips are normalised alone, and the same ones are in several clips
        spec = replace(spec, length=1)
    for done, (camera, own) in enumerate(enough.items(), 1):
        share = own_share(len(own))
        key = hashlib.sha256(repr((identity, spec, share, [t.id for t in own])).encode()).hexdigest()[:32]
        path = folder / f"camera-{key}.safetensors"
        if not path.is_file():
            values = camera_statistics(trained, _batches(own, spec, compute.torch_device), share)
            write_tensors(path, {"values": values}, _KIND, {})
        known[camera] = read_tensors(path, _KIND)[0]["values"]
        if progress is not None:
            progress(done, len(enough))
    report = {camera: {"tracklets": len(own), "share": round(own_share(len(own)), 3)} for camera, own in enough.items()}
    return CameraEncoder(trained, known).eval(), report


def fold_encoder(
    encoder: ClipEncoder,
    tracklets: Sequence[Tracklet],
    spec: ClipSpec,
    folder: Path,
    *,
    compute: Compute = Compute(),
    progress: Progress | None = None,
) -> CameraEncoder:
    """Return an encoder that encodes each tracklet with statistics of other tracklets of its camera.

    The tracklets of each camera are divided into two folds, and each fold gets the statistics of the other, so that
    what they do to tracklets that they were not computed from can be measured. Tracklets have to be named by
    `in_fold`. For the arguments see `adapt_statistics`.
    """
    folds = assign_folds(tracklets)
    exchanged = [replace(t, camera_name=_name(t, 1 - folds[t.id])) for t in tracklets]
    return adapt_statistics(encoder, exchanged, spec, folder, least=_LEAST_IN_FOLD, compute=compute, progress=progress)[
        0
    ]


def in_fold(tracklet: Tracklet, fold: int) -> Tracklet:
    """Return a tracklet, or a part of one, for `fold_encoder`."""
    return replace(tracklet, camera_name=_name(tracklet, fold))


def _name(tracklet: Tracklet, fold: int) -> str:
    return f"{tracklet.camera_label}, fold {fold}"


def _batches(tracklets: Sequence[Tracklet], spec: ClipSpec, device: torch.device) -> Iterator[Tensor]:
    """Yield batches of clips (B, 3, L, H, W), each of which shows as many tracklets as possible."""
    per_tracklet = min(spec.count, math.ceil(MOST_CLIPS / len(tracklets)))
    spec = replace(spec, count=per_tracklet)
    clips = [
        (tracklet, numbers[None])
        for number in range(per_tracklet)
        for tracklet in tracklets[:MOST_CLIPS]
        for numbers in sample_clips(len(tracklet), spec, tracklet_rng(tracklet.id, 0))[number : number + 1]
    ]
    size = max(4, min(_BATCH, _BATCH_PIXELS // (spec.length * spec.height * spec.width)))
    n_batches = math.ceil(len(clips) / size)
    for first in range(n_batches):
        pixels = [load_clips(t, numbers, (spec.height, spec.width))[0] for t, numbers in clips[first::n_batches]]
        yield prepare_clips(torch.from_numpy(np.stack(pixels)).to(device))


def try_statistics(
    model: Checkpoint, own: Sequence[Tracklet], parts: Parts, seed: int, options: RunOptions
) -> tuple[Checkpoint, Step]:
    """Try statistics of each camera.

    Each fold of the tracklets is judged with the statistics of the other. For the arguments see `adapt_model`.
    """
    reason = without_statistics(model.encoder)
    if reason:
        return model, Step(False, (f"no statistics of cameras, because {reason}",))
    clips, compute = model.recipe.clips, options.compute
    fold = folds_of(parts, own)
    judged = parts.within(fold)
    first, last = (tuple(map(in_fold, side, fold.tolist())) for side in (parts.first, parts.last))
    with progress_bar("statistics", "cameras", options.progress) as progress:
        exchanged = fold_encoder(model.encoder, own, clips, options.folder, compute=compute, progress=progress)
    before = part_similarities(model, parts, options)
    after = part_similarities(replace(model, encoder=exchanged), replace(judged, first=first, last=last), options)
    changes = compare_agreement(before, after, judged, seed)
    table = agreement_table(changes, "Statistics of each camera, percent", note_on(judged))
    encoder, cameras = adapt_statistics(model.encoder, own, clips, options.folder, compute=compute)
    tried = replace(model, encoder=encoder)
    if helped(changes):
        lines = ("statistics of cameras helped, and are used", *cameras_text(cameras))
        return tried, Step(True, lines, table, {"cameras": cameras}, tried)
    return model, Step(False, ("statistics of cameras did not help, and are not used",), table, {"cameras": {}}, tried)
