from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.data.clips import sample_clips
from resight.errors import DatasetError, RecipeError
from resight.recipe import ClipSpec, Sampler


@given(n=st.integers(1, 1000), length=st.integers(1, 16), count=st.integers(1, 16))
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
        # looped in plain words: after the last frame comes the first
        for clip in clips:
            assert all(b == (a + 1) % n for a, b in pairwise(clip))


@pytest.mark.parametrize("sampler", ["consec", "random", "evenly"])
@given(n=st.integers(1, 200), length=st.integers(1, 32), seed=st.integers(0, 2**31))
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


def test_every_start_and_every_subset_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    consec = {int(sample_clips(6, ClipSpec(4, 1, "consec"), rng)[0, 0]) for _ in range(100)}
    assert consec == {0, 1, 2}
    random = {tuple(sample_clips(4, ClipSpec(2, 1, "random"), rng)[0].tolist()) for _ in range(200)}
    assert len(random) == 6


def test_all_takes_every_frame() -> None:
    assert sample_clips(5, ClipSpec(4, 1, "all")).tolist() == [[0, 1, 2, 3, 4]]


def test_impossible_requests_say_why() -> None:
    with pytest.raises(DatasetError, match="0 frames"):
        sample_clips(0, ClipSpec())
    with pytest.raises(RecipeError, match="cuts one clip"):
        ClipSpec(count=8, sampler="random")
    with pytest.raises(RecipeError, match="sampler"):
        ClipSpec(count=1, sampler="often")  # type: ignore[arg-type]
