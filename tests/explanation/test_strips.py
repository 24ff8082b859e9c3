from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import simplejpeg

from resight.explanation.strips import TILE_SIZE, clip_frames, clip_middles, load_tiles, tracklet_frames
from resight.features.types import PADDING
from resight.tracklet import Tracklet


def test_tiles_show_the_requested_frames(query: Tracklet) -> None:
    tiles = load_tiles(query, [0, 5, 0])
    assert [t.pixels.shape for t in tiles] == [(*TILE_SIZE, 3)] * 3
    assert tiles[0] is tiles[2]
    assert tiles[1].pixels[..., 2].mean() > tiles[0].pixels[..., 2].mean()
    assert tiles[1].label == "0001C1T0001, frame 6 of 6"


def test_a_tile_contains_its_image_data(query: Tracklet) -> None:
    kind, _, content = load_tiles(query, [2])[0].uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert simplejpeg.decode_jpeg(base64.b64decode(content)).shape == (*TILE_SIZE, 3)


def test_missing_and_damaged_frames_become_placeholders(query: Tracklet) -> None:
    query.frame(1).unlink()
    query.frame(2).write_bytes(b"\xff\xd8 not a picture")
    good, gone, damaged = load_tiles(query, [0, 1, 2])
    assert [t.missing for t in (good, gone, damaged)] == [False, True, True]
    assert gone.label.endswith("frame 2 of 6: cannot be read")
    assert np.array_equal(gone.pixels, damaged.pixels)
    assert gone.pixels.std() > 0


def test_corrupted_clips_are_shown_corrupted(query: Tracklet) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (128, 64, 3), dtype=np.uint8)
    query.frame(0).write_bytes(simplejpeg.encode_jpeg(noise, quality=95))
    clean, corrupted = clip_middles(query, np.array([[0], [0]]), np.array([False, True]))
    assert corrupted.pixels.std() < clean.pixels.std() / 2


def test_padding_is_never_shown(query: Tracklet) -> None:
    clips = np.array([[3, 4, PADDING, PADDING]])
    assert clip_frames(clips[0]) == [3, 4]
    assert clip_middles(query, clips, np.array([False]))[0].label.startswith("0001C1T0001, frame 5")


def test_long_tracklets_are_sampled_including_both_ends() -> None:
    long = Tracklet("t", 1, 1, Path(), tuple(f"{n}.jpg" for n in range(100)))
    numbers = tracklet_frames(long, 7)
    assert len(numbers) == 7
    assert (numbers[0], numbers[-1]) == (0, 99)
    assert clip_frames(np.arange(500), 4) == [0, 166, 333, 499]
