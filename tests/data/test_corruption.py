from __future__ import annotations

import numpy as np

from resight.data.corruption import choose_corrupted, corrupt_frame


def test_corruption_keeps_the_shape_and_removes_detail() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (256, 128, 3), np.uint8)
    damaged = corrupt_frame(frame)
    assert damaged.shape == frame.shape and damaged.dtype == np.uint8
    assert (
        np.abs(np.diff(damaged.astype(float), axis=1)).mean()
        < 0.1 * np.abs(np.diff(frame.astype(float), axis=1)).mean()
    )
    assert abs(damaged.mean() - frame.mean()) < 5  # only detail is lost
    assert corrupt_frame(frame[:3, :2]).shape == (3, 2, 3)


def test_the_number_of_corrupted_clips_and_their_choice_are_uniform() -> None:
    ids = [str(i) for i in range(4000)]
    chosen = choose_corrupted(ids, 8, 6, seed=1)
    counts = np.bincount(chosen.sum(1), minlength=9)
    assert counts[7:].sum() == 0
    assert np.abs(counts[:7] / 4000 - 1 / 7).max() < 0.03
    assert np.abs(chosen.mean(0) - chosen.mean()).max() < 0.03


def test_damage_depends_on_seed_and_tracklet_only() -> None:
    ids = ["a", "b", "c", "d"]
    whole = choose_corrupted(ids, 8, 6, seed=1)
    assert (whole[[3, 1]] == choose_corrupted(["d", "b"], 8, 6, seed=1)).all()
    assert (choose_corrupted(ids * 20, 8, 6, 1) != choose_corrupted(ids * 20, 8, 6, 2)).any()
    assert not choose_corrupted(ids, 8, 0, seed=1).any()
