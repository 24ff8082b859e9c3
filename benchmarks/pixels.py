"""From image files to the encoder's input: frames per second of one core, and cores that the loader keeps busy."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.plain.pixels import read_picture, test_clip, training_clip
from benchmarks.timing import Row, Turns, take_turns
from resight.data.batches import BatchPlan, ClipBatches, load_batches
from resight.data.clips import sample_clips
from resight.data.frames import load_clips, read_frames
from resight.data.transforms import prepare_clips, resize_frames
from resight.recipe import ClipSpec, Optimisation, Stage1
from resight.tracklet import Tracklet

LENGTHS = (9, 12, 14, 16, 19, 21, 26, 30, 37, 45, 57, 70, 90, 107, 142, 203)
"""Tracklet lengths in frames: quantiles 1/32, 3/32, ... of the 11,310 gallery tracklets of MARS."""

PERSONS = 8
FILES = 64
BATCHES = 20
CPU = torch.device("cpu")
TRAINING = ClipSpec(length=4, count=1, sampler="consec")
TEST = ClipSpec()


def bench(repeats: int) -> list[Row]:
    """Measure four tasks in one thread each, and the loader with two processes against none."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        tracklets = write_tracklets(Path(folder))
        paths = [tracklets[-1].frame(n) for n in range(FILES)]
        return [
            *one_core_rows(tracklets, paths, repeats),
            loader_row(tracklets, repeats),
        ]


def one_core_rows(tracklets: list[Tracklet], paths: list[Path], repeats: int) -> list[Row]:
    """Measure decoding alone, with augmentation, with preparation, and with corruption."""
    contents, buffer = [path.read_bytes() for path in paths], np.empty((256, 128, 3), np.uint8)
    plan = BatchPlan(tracklets, Optimisation(persons=PERSONS), seed=0)
    batches = ClipBatches(tracklets, plan, TRAINING, Stage1())
    rng = np.random.default_rng(0)
    numbers = {t.id: sample_clips(len(t), TEST) for t in tracklets}
    test = tracklets[: len(LENGTHS)]

    def plain_training() -> Tensor:
        chosen = [tracklets[i] for i in plan.batch(0)]
        return torch.stack(
            [training_clip([t.frame(n) for n in sample_clips(len(t), TRAINING, rng)[0]], rng) for t in chosen]
        )

    def plain_test(corrupted: bool = False) -> list[Tensor]:
        return [
            torch.stack([test_clip([t.frame(n) for n in clip], corrupted=corrupted) for clip in numbers[t.id]])
            for t in test
        ]

    def our_test(corrupted: bool = False) -> list[Tensor]:
        damage = np.full(TEST.count, corrupted)
        return [prepare_clips(torch.from_numpy(load_clips(t, numbers[t.id], (256, 128), damage))) for t in test]

    turns = take_turns(
        {
            "limit": lambda: [simplejpeg.decode_jpeg(content, buffer=buffer) for content in contents],
            "plain decode": lambda: np.stack([read_picture(path) for path in paths]),
            "decode": lambda: read_frames(paths),
            "plain training": plain_training,
            "training": lambda: prepare_clips(batches[0][0].flatten(0, 1)),
            "plain test": plain_test,
            "test": our_test,
            "plain corrupted": lambda: plain_test(True),
            "corrupted": lambda: our_test(True),
        },
        repeats,
    )
    clips, frames = len(plan.batch(0)), len(test) * TEST.count * TEST.length
    distinct = sum(len(np.unique(numbers[t.id])) for t in test)
    difference = 127.5 * max(
        float((a.float() - b.float()).abs().max()) for a, b in zip(plain_test(), our_test(), strict=True)
    )
    frame_block = read_frames(paths)[0]
    pillow = [Image.fromarray(frame).resize((144, 288), Image.Resampling.BILINEAR) for frame in frame_block]
    levels = np.abs(resize_frames(frame_block, (288, 144)).astype(int) - np.stack([np.asarray(p) for p in pillow]))
    resized = f"{levels.astype(bool).mean():.1%} of resized values differ from Pillow's, by at most {levels.max()}"
    shared = f"{distinct} of {frames} frames are distinct, as in MARS; each is read once"
    return [
        one_core(
            turns,
            "decode",
            f"decode, {FILES} frames of 256 x 128",
            FILES,
            FILES,
            f"largest difference from Pillow: {round(difference)} levels",
        ),
        one_core(turns, "training", f"decode and augment, {clips} clips of 4", clips * 4, clips * 4, resized),
        one_core(turns, "test", f"decode and prepare, {len(test)} tracklets of 8 clips of 4", frames, distinct, shared),
        one_core(turns, "corrupted", "decode and prepare with corruption (paper, Sec. 4.4)", frames, distinct, shared),
    ]


def one_core(turns: Turns, name: str, title: str, frames: int, decoded: int, note: str) -> Row:
    """Return a row whose limit is JPEG decoding by libjpeg-turbo, without file access and memory allocation."""
    return Row(
        group="pixels",
        name=title,
        unit="frames/s per core",
        plain=frames / turns.median(f"plain {name}"),
        ours=frames / turns.median(name),
        ratio=turns.ratio(f"plain {name}", name),
        target=3.0,
        limit=turns.ratio("limit", name) * decoded / FILES,
        limit_name="JPEG decoding alone, from memory to memory",
        note=note,
    )


def loader_row(tracklets: list[Tracklet], repeats: int) -> Row:
    """Measure stage-1 batches loaded by two processes, against none."""
    optimisation = Optimisation(persons=PERSONS, epochs=BATCHES)
    plan = BatchPlan(tracklets, optimisation, seed=0)
    batches = ClipBatches(tracklets, plan, TRAINING, Stage1())
    shares: list[float] = []

    def load(workers: int) -> None:
        before, start = core_seconds(), time.perf_counter()
        for _ in load_batches(batches, range(BATCHES), CPU, workers):
            pass
        if workers:
            shares.append((core_seconds() - before) / (time.perf_counter() - start) / workers)

    turns = take_turns({"none": lambda: load(0), "two": lambda: load(2)}, repeats)
    frames = BATCHES * PERSONS * optimisation.tracklets * TRAINING.length
    return Row(
        group="pixels",
        name="loader with 2 processes against none",
        unit="frames/s",
        plain=frames / turns.median("none"),
        ours=frames / turns.median("two"),
        ratio=turns.ratio("none", "two"),
        limit=statistics.median(shares),
        limit_name="two cores, by processor time, including start and end of the processes",
        note="passing a batch to another process takes about a sixth of the time of decoding it",
    )


def core_seconds() -> float:
    """Return the processor time of this process and of its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_tracklets(folder: Path) -> list[Tracklet]:
    """Write tracklets with lengths and file sizes as in MARS (5 to 6 kB per frame); frames share `FILES` files."""
    rng = np.random.default_rng(0)
    files = []
    for n in range(FILES):
        files.append(f"{n:04d}.jpg")
        Image.fromarray(draw_frame(rng)).save(folder / files[-1], "JPEG", quality=85)
    lengths = [*LENGTHS, *LENGTHS]
    return [
        Tracklet(f"{i}", 1 + i % PERSONS, 1 + i // PERSONS, folder, tuple(np.resize(np.roll(files, i), n)))
        for i, n in enumerate(lengths)
    ]


def draw_frame(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return noise with about the spatial frequencies of photographs."""
    frame = np.full((256, 128, 3), 120.0, np.float32)
    for columns, strength in ((2, 40), (4, 30), (8, 20), (16, 12), (32, 7), (64, 3)):
        noise = rng.normal(0, strength, (3, 2 * columns, columns)).astype(np.float32)
        for channel in range(3):
            frame[..., channel] += np.asarray(
                Image.fromarray(noise[channel]).resize((128, 256), Image.Resampling.BICUBIC)
            )
    return frame.clip(0, 255).astype(np.uint8)


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, as a worker process does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
