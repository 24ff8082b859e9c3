"""Stored tracklets for tests, made from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.gallery.types import Entry, Header, StoredTracklet
from resight.tracklet import Recording

DIM = 16
HEADER = Header("encoder-1", {"length": 4, "count": 3}, DIM, "open")


def stored(number: int, **facts: Any) -> StoredTracklet:
    """Return tracklet `number`: camera 0 to 2 and ten seconds long, unless `facts` say otherwise."""
    rng = np.random.default_rng(number)
    features = rng.normal(size=(3, DIM)).astype(np.float16)
    mean = (features / np.linalg.norm(features, axis=1, keepdims=True)).mean(0).astype(np.float32)
    start = 100.0 * number
    entry = Entry(
        f"t{number}", f"camera-{number % 3}", start, start + 10, "manifest:crops", None, 12, 0.5, 1000.0 + number
    )
    return StoredTracklet(
        replace(entry, **facts), hashlib.sha256(str(number).encode()).digest(), features,
        mean / np.linalg.norm(mean), rng.integers(0, 12, (3, 4), np.int32),
        tuple(rng.bytes(40) for _ in range(3)), f"/crops/t{number}", ("000.jpg", "001.jpg"),
        Recording(Path(f"/videos/camera-{number % 3}.mp4"), 1.5 * number) if number % 2 else None,
    )  # fmt: skip


def same(first: StoredTracklet, second: StoredTracklet) -> bool:
    """Return whether two tracklets are equal in every value."""
    arrays = ("features", "mean", "frame_numbers")
    others = ("entry", "key", "strip", "folder", "names", "recording")
    return all(getattr(first, n) == getattr(second, n) for n in others) and all(
        np.array_equal(getattr(first, n), getattr(second, n)) and getattr(first, n).dtype == getattr(second, n).dtype
        for n in arrays
    )


def traces(tracklet: StoredTracklet) -> list[bytes]:
    """Return bytes that only this tracklet has: beginning, middle and end of its features, mean and pictures."""
    parts = [tracklet.features.tobytes(), tracklet.mean.tobytes(), *tracklet.strip]
    whole = [part[place : place + 16] for part in parts for place in (0, len(part) // 2, len(part) - 16)]
    return [tracklet.key, f"erase-me-{tracklet.entry.source}".encode(), *whole]


def large(number: int, rng: np.random.Generator, pictures: int) -> StoredTracklet:
    """Return a tracklet with pictures of some bytes, whose id and source `traces` knows."""
    name = f"erase-me-{number:04d}"
    tracklet = stored(number, id=name, source=f"{number:04d}")
    return replace(tracklet, strip=tuple(rng.bytes(pictures) for _ in range(8)))
