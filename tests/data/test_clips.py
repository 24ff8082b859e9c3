from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.data.clips import sample_clips
from resight.errors import DatasetError, RecipeError
from resight.recipe import ClipSpec, Sampler


@given(n=st.integers(1, 1000), length=st.integers(1, 16), count=st.integers(1, 16))
@settings(deadline=None)
def test_spaced_clips_are_consecutive_evenly_placed_and_inside(n: int, length: int, count: int) -> None:
    clips = sample_clips(n, ClipSpec(length=length, count=count))
    assert clips.shape == (count, length)
    assert clips.min() >= 0 and clips.max() < n
    if n >= length:
        assert (np.diff(clips, axis=1) == 1).all()
        gaps = np.diff(clips[:, 0])
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1
        if count > 1:
            assert clips[0, 0] == 0 and clips[-1, -1] == n - 1
    else:
        # A short tracklet is repeated: the first frame follows the last.
        for clip in clips:
            assert all(b == (a + 1) % n for a, b in pairwise(clip))


@pytest.mark.parametrize("sampler", ["consec", "random", "evenly"])
@given(n=st.integers(1, 200), length=st.integers(1, 32), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_one_clip_samplers(sampler: Sampler, n: int, length: int, seed: int) -> None:
    spec = ClipSpec(length=length, count=1, sampler=sampler)
    (clip,) = sample_clips(n, spec, np.random.default_rng(seed))
    assert len(clip) == length
    assert clip.min() >= 0 and clip.max() < n
    if n >= length:
        assert (np.diff(clip) > 0).all()
        if sampler == "consec":
            assert (np.diff(clip) == 1).all()
        if sampler == "evenly" and length > 1:
            assert np.diff(clip).max() - np.diff(clip).min() <= 1
    else:
        assert sorted(set(clip.tolist())) == list(range(n))


@given(n=st.integers(1, 300), length=st.integers(1, 16), count=st.integers(1, 12), stride=st.integers(1, 12))
@settings(deadline=None)
def test_strides_are_kept_if_they_fit(n: int, length: int, count: int, stride: int) -> None:
    fits = max(s for s in range(1, stride + 1) if s == 1 or (length - 1) * s < n)
    for sampler, clips in (("spaced", count), ("consec", 1)):
        spec = ClipSpec(length, clips, sampler, stride=stride)  # type: ignore[arg-type]
        found = sample_clips(n, spec, np.random.default_rng(0))
        assert found.shape == (clips, length) and found.min() >= 0 and found.max() < n
        if n >= length:
            assert (np.diff(found, axis=1) == fits).all()
        if clips > 1 and n >= length:
            assert found[0, 0] == 0 and found[-1, -1] == n - 1
        if stride == 1:
            plain = sample_clips(n, ClipSpec(length, clips, sampler), np.random.default_rng(0))  # type: ignore[arg-type]
            assert (found == plain).all()


def test_every_start_of_a_stride_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    starts = {int(sample_clips(12, ClipSpec(4, 1, "consec", stride=3), rng)[0, 0]) for _ in range(100)}
    assert starts == {0, 1, 2}  # the last start gives frames 2, 5, 8 and 11


@given(n=st.integers(1, 300), length=st.integers(1, 8), count=st.integers(1, 12), stride=st.integers(1, 12))
@settings(deadline=None)
def test_cover_samples_the_whole_tracklet_evenly(n: int, length: int, count: int, stride: int) -> None:
    clips = sample_clips(n, ClipSpec(length, count, "cover", stride=stride))
    assert clips.shape == (count, length)
    frames, times = np.unique(clips, return_counts=True)
    assert frames[0] >= 0 and frames[-1] < n
    assert len(frames) == min(n, count * length)  # every frame, or one per position
    assert times.max() - times.min() <= 1
    gaps = np.diff(frames)
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1
    assert (np.diff(clips, axis=1) >= 0).all()


def test_cover_is_as_close_to_the_stride_as_possible() -> None:
    for n, stride, steps in ((256, 8, {8}), (128, 8, {8}), (64, 8, {8}), (32, 8, {8}), (32, 3, {2}), (320, 8, {10})):
        assert set(np.diff(sample_clips(n, ClipSpec(4, 8, "cover", stride=stride)), axis=1).ravel().tolist()) == steps


def test_every_start_and_every_subset_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    consec = {int(sample_clips(6, ClipSpec(4, 1, "consec"), rng)[0, 0]) for _ in range(100)}
    assert consec == {0, 1, 2}
    random = {tuple(sample_clips(4, ClipSpec(2, 1, "random"), rng)[0].tolist()) for _ in range(200)}
    assert len(random) == 6


def test_all_takes_every_frame() -> None:
    assert sample_clips(5, ClipSpec(4, 1, "all")).tolist() == [[0, 1, 2, 3, 4]]


def test_impossible_requests_are_explained() -> None:
    with pytest.raises(DatasetError, match="0 frames"):
        sample_clips(0, ClipSpec())
    with pytest.raises(RecipeError, match="cuts one clip"):
        ClipSpec(count=8, sampler="random")
    with pytest.raises(RecipeError, match="sampler"):
        ClipSpec(count=1, sampler="often")  # type: ignore[arg-type]
