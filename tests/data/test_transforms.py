from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resight.data import transforms
from resight.data.transforms import (
    GREY,
    Augmentation,
    augment_clip,
    draw_augmentation,
    enlarged_size,
    prepare_clips,
    resize_frames,
)
from resight.recipe import Stage1


def test_prepare_puts_channels_second_and_values_in_range() -> None:
    pixels = torch.arange(2 * 3 * 4 * 5 * 3).remainder(256).to(torch.uint8).view(2, 3, 4, 5, 3)
    out = prepare_clips(pixels)
    assert out.shape == (2, 3, 3, 4, 5)
    assert out[1, 2, 0, 3, 4] == pixels[1, 0, 3, 4, 2] / 127.5 - 1
    assert out.min() >= -1 and out.max() <= 1
    assert prepare_clips(torch.full((1, 1, 1, 1, 3), 255, dtype=torch.uint8)).max().item() == 1


@pytest.mark.parametrize("at_once", [7, 64, 10**6])
def test_prepare_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(transforms, "CACHED", at_once)
    pixels = torch.randint(0, 256, (3, 6, 2, 5, 3), dtype=torch.uint8).transpose(1, 2)  # not contiguous
    expected = pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    assert torch.equal(prepare_clips(pixels), expected)
    assert prepare_clips(pixels[:0]).shape == (0, 3, 2, 6, 5)
    assert prepare_clips(pixels.to("meta")).device.type == "meta"  # converted on the device of the pixels


sizes = st.tuples(st.integers(1, 70), st.integers(1, 40))


@given(sizes, sizes, st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_resizing_is_bilinear_to_a_grey_level(
    before: tuple[int, int], after: tuple[int, int], count: int, seed: int
) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (count, *before, 3), np.uint8)
    frames.flags.writeable = False
    resized = resize_frames(frames, after)
    assert resized.shape == (count, *after, 3) and resized.flags.c_contiguous
    planes = torch.from_numpy(frames.astype(np.float64)).permute(0, 3, 1, 2)
    if count:
        exact = F.interpolate(planes, size=after, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
        assert np.abs(resized - exact).max() < 1.05
    for frame, ours in zip(frames, resized, strict=True):
        pillow = np.asarray(Image.fromarray(frame).resize((after[1], after[0]), Image.Resampling.BILINEAR))
        assert np.abs(ours.astype(int) - pillow).max() <= 2


def test_the_paper_s_sizes() -> None:
    assert enlarged_size(256, 128, Stage1()) == (288, 144)


def test_crop_flip_and_tint() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3), np.uint8)
    corner = augment_clip(clip, (8, 8), Augmentation(crop=(1.0, 0.0)))
    assert (corner == clip[:, 1:, :8]).all()
    assert (augment_clip(clip, (9, 9), Augmentation(flip=True)) == clip[:, :, ::-1]).all()
    tinted = augment_clip(clip, (9, 9), Augmentation(gain=(1.2, 1.0, 0.8), contrast=1.1))
    expected = ((clip * np.array([1.2, 1.0, 0.8]) - 128) * 1.1 + 128).clip(0, 255)
    assert np.abs(tinted - expected).max() <= 1


def test_erasing_paints_one_rectangle_in_every_frame_of_a_copy() -> None:
    clip = np.random.default_rng(0).integers(0, 100, (3, 20, 10, 3), np.uint8)
    before = clip.copy()
    for out in (None, np.empty_like(clip)):
        erased = augment_clip(clip, (20, 10), Augmentation(erased=(0.25, 0.5, 0.5, 0.3)), out)
        painted = np.zeros((20, 10), bool)
        painted[5:15, 5:8] = True
        assert (erased[:, painted] == GREY).all() and (erased[:, ~painted] == clip[:, ~painted]).all()
    assert (clip == before).all()
    assert abs(prepare_clips(torch.full((1, 1, 1, 1, 3), GREY, dtype=torch.uint8)).max().item()) < 0.01


def test_erasing_has_its_probability_and_changes_no_other_draw() -> None:
    drawn = [draw_augmentation(Stage1(erasing=0.5), np.random.default_rng(n)) for n in range(500)]
    plain = [draw_augmentation(Stage1(), np.random.default_rng(n)) for n in range(500)]
    assert [(d.crop, d.flip, d.gain, d.contrast) for d in drawn] == [
        (d.crop, d.flip, d.gain, d.contrast) for d in plain
    ]
    assert {d.erased for d in plain} == {None}
    rectangles = np.array([d.erased for d in drawn if d.erased is not None])
    assert 0.4 < len(rectangles) / 500 < 0.6
    top, left, height, width = rectangles.T
    assert min(top.min(), left.min()) >= 0 and max((top + height).max(), (left + width).max()) <= 1 + 1e-9
    assert (height * width).min() > 0.015 and (height * width).max() <= 0.4 + 1e-9


def test_draws_cover_all_offsets_and_flip_half() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_augmentation(Stage1(), rng) for _ in range(500)]
    assert 0.4 < np.mean([d.flip for d in drawn]) < 0.6
    assert min(d.crop[0] for d in drawn) < 0.05 and max(d.crop[1] for d in drawn) > 0.95
    assert {d.gain for d in drawn} == {(1.0, 1.0, 1.0)}  # the paper does not change colours
    assert {d.contrast for d in drawn} == {1.0}
