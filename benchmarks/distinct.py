"""Each distinct frame of a tracklet encoded once, against every frame of every clip; and ONNX against a plain loop.

RESIGHT_OSNET names an OSNet x0.25 as an ONNX file, (1, 3, 256, 128); without it, only the first row is measured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.timing import Row, take_turns
from resight.data.clips import sample_clips
from resight.features.extract import extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.efficientnet import EfficientNetLite0
from resight.models.frame_encoder import FrameEncoder
from resight.models.onnx_encoder import OnnxEncoder
from resight.recipe import ClipSpec
from resight.tracklet import Tracklet

FRAMES = (8, 14, 20, 32)
"""Lengths of the tracklets. 47 % of the training tracklets of MARS have fewer than 32 frames, so that clips overlap."""


class EveryFrame(nn.Module):
    """An encoder of clips that encodes every frame of every clip."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, (B, 3, L, H, W) to (B, D)."""
        features: Tensor = self.encoder(clips)
        return features


def bench(repeats: int) -> list[Row]:
    """Measure tracklets of 8 to 32 frames, cut into 8 clips of 4 frames."""
    torch.manual_seed(0)
    encoders: dict[str, nn.Module] = {
        "EfficientNet-Lite0, 96 x 48": FrameEncoder(EfficientNetLite0(), 512, [0.5] * 3, [0.5] * 3)
    }
    path = os.environ.get("RESIGHT_OSNET")
    if path:
        encoders["OSNet x0.25 as ONNX, 256 x 128"] = OnnxEncoder.from_file(Path(path), "torchreid")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tracklets = [_tracklet(Path(folder), number, count) for number, count in enumerate(FRAMES)]
        for name, encoder in encoders.items():
            rows.append(_overlapping(name, encoder.eval(), tracklets, repeats))
    if path:
        rows.append(_plain_loop(Path(path), repeats))
    return rows


def _overlapping(name: str, encoder: nn.Module, tracklets: list[Tracklet], repeats: int) -> Row:
    height, width = (256, 128) if "ONNX" in name else (96, 48)
    spec, every = ClipSpec(height=height, width=width), EveryFrame(encoder)
    ways: dict[str, Callable[[], ClipFeatures]] = {
        "plain": lambda: extract_clip_features(every, tracklets, spec),
        "ours": lambda: extract_clip_features(encoder, tracklets, spec),
    }
    turns = take_turns(dict(ways), repeats)
    clips = spec.count * len(tracklets)
    distinct = sum(len(np.unique(sample_clips(len(tracklet), spec))) for tracklet in tracklets)
    difference = np.abs(ways["plain"]().values - ways["ours"]().values).max()
    scale = np.abs(ways["plain"]().values).max()
    return Row(
        "distinct frames", f"{name}; tracklets of {', '.join(map(str, FRAMES))} frames", "clips/s",
        clips / turns.median("plain"), clips / turns.median("ours"), turns.ratio("plain", "ours"),
        note=f"{distinct} distinct frames of {clips * spec.length}; largest difference {difference / scale:.0e} of the "
        "largest value",
    )  # fmt: skip


def _plain_loop(path: Path, repeats: int) -> Row:
    """Compare with onnxruntime on one prepared picture at a time, as its examples do."""
    import onnxruntime

    encoder = OnnxEncoder.from_file(path, "torchreid")
    frames = torch.rand(32, 3, 256, 128) * 2 - 1
    prepared = encoder.prepared(frames).numpy()
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    turns = take_turns(
        {
            "plain": lambda: [session.run(None, {name: picture[None]}) for picture in prepared],
            "ours": lambda: encoder.frame_features(frames),
        },
        repeats,
    )
    return Row(
        "distinct frames", f"OSNet x0.25 as ONNX, {torch.get_num_threads()} threads, with normalisation", "frames/s",
        len(frames) / turns.median("plain"), len(frames) / turns.median("ours"), turns.ratio("plain", "ours"),
        note="plain: an onnxruntime loop over prepared pictures",
    )  # fmt: skip


def _tracklet(folder: Path, number: int, count: int) -> Tracklet:
    rng = np.random.default_rng(number)
    home = folder / str(number)
    home.mkdir()
    names = tuple(f"{frame:04d}.jpg" for frame in range(count))
    for name in names:
        Image.fromarray(rng.integers(0, 255, (128, 64, 3), dtype=np.uint8)).save(home / name)
    return Tracklet(str(number), number, 1, home, names)
