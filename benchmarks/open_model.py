"""Frames per second of the shipped models next to a re-identification network that users have, in one run.

The plain implementation is the loop that a user would write: one frame at a time through onnxruntime. ``RESIGHT_OSNET``
names its ONNX file, such as OSNet x0.25 trained on MSMT17; without it nothing is measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Row, take_turns
from resight.checkpoints import load_checkpoint
from resight.models.encoders import inference_copy
from resight.progress import note
from resight.shipped import shipped_card, shipped_model

FRAMES = 64


def bench(repeats: int) -> list[Row]:
    """Measure clips of 4 different frames, so that no frame is shared between clips."""
    path = os.environ.get("RESIGHT_OSNET")
    if not path:
        note("open-model: skipped, because RESIGHT_OSNET names no ONNX file to compare with")
        return []
    plain, size = one_by_one(Path(path))
    rows = []
    for name in ("open", "open-small"):
        model = load_checkpoint(shipped_model(name))
        clips = model.recipe.clips
        encoder = inference_copy(model.encoder)
        batch = torch.rand(FRAMES // clips.length, 3, clips.length, clips.height, clips.width) * 2 - 1
        turns = take_turns({"plain": plain, "ours": partial(_infer, encoder, batch)}, repeats)
        rows.append(
            Row(
                group="open models",
                name=f"{name}, {clips.height} x {clips.width}, next to {Path(path).stem}, {size[0]} x {size[1]}",
                unit="frames/s",
                plain=FRAMES / turns.median("plain"),
                ours=FRAMES / turns.median("ours"),
                ratio=turns.ratio("plain", "ours"),
                target=1.0 if name == "open" else None,
                note=f"{shipped_card(name).megabytes:.1f} MB; plain: onnxruntime, one frame at a time, "
                f"{Path(path).stat().st_size / 1e6:.1f} MB",
            )
        )
    return rows


def one_by_one(path: Path) -> tuple[Callable[[], object], tuple[int, int]]:
    """Return the work of a plain loop over `FRAMES` frames, and the (height, width) of a frame."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    height, width = (int(n) for n in given.shape[2:])
    frame = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    return lambda: [session.run(None, {given.name: frame}) for _ in range(FRAMES)], (height, width)


@torch.inference_mode()
def _infer(encoder: torch.nn.Module, clips: torch.Tensor) -> None:
    encoder(clips)
