from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resight.errors import RecipeError
from resight.synthetic.faults import FAULTS
from resight.synthetic.plan import SCALES, WorldScale, plan_world, query_rows, track_rows


@pytest.mark.parametrize("name", ["demo", "bench"])
def test_tracklet_lengths_match_mars(name: str) -> None:
    scale = SCALES[name]
    lengths = np.array([shot.frames for shot in plan_world(scale, seed=3)])
    assert lengths.min() >= 2
    assert lengths.max() <= scale.max_frames <= 920
    low, median, high = np.percentile(lengths, [25, 50, 75])
    # MARS: quartiles 17 … 18, 30 … 36, 76 … 90.
    assert 15 <= low <= 24
    assert 30 <= median <= 42
    assert 60 <= high <= 95


def test_all_faults_occur_and_affect_15_to_20_percent_of_the_frames() -> None:
    shots = plan_world(SCALES["demo"], seed=0)
    frames = sum(shot.frames for shot in shots)
    faulty = Counter(fault for shot in shots for _, fault in shot.fault_rows())
    assert 0.15 <= sum(faulty.values()) / frames <= 0.20
    assert set(faulty) == set(FAULTS)
    assert min(faulty.values()) > 0.01 * frames


def test_a_frame_has_one_fault_and_a_tracklet_keeps_sound_frames() -> None:
    for shot in plan_world(SCALES["demo"], seed=1):
        names = [name for name, _ in shot.fault_rows()]
        assert len(names) == len(set(names))
        assert set(names) < set(shot.names())


def test_numbers_of_persons_and_shares_of_junk_and_distractors() -> None:
    for name in ("demo", "bench"):
        scale = SCALES[name]
        shots = plan_world(scale, seed=0)
        train = {shot.listed for shot in shots if shot.role == "train"}
        test = [shot for shot in shots if shot.role == "test"]
        assert train == set(range(1, scale.train_persons + 1))
        assert not train & {shot.listed for shot in test}
        assert 0.05 < sum(shot.listed == -1 for shot in test) / len(test) < 0.09
        assert 0.15 < sum(shot.listed == 0 for shot in test) / len(test) < 0.25
        assert any(shot.first > 1 for shot in shots)


def test_every_query_has_a_match_in_another_camera() -> None:
    test = [shot for shot in plan_world(SCALES["demo"], seed=2) if shot.role == "test"]
    queries = query_rows(test, seed=2)
    assert queries.dtype == np.uint16
    assert queries.shape[0] == 1
    queried = [(test[i - 1].listed, test[i - 1].camera) for i in queries[0]]
    assert len(queried) == len(set(queried)) > 0
    for person, camera in queried:
        assert person > 0
        assert any(shot.listed == person and shot.camera != camera for shot in test)


def test_a_person_seen_by_one_camera_is_never_a_query() -> None:
    scale = WorldScale("x", 64, 2, 3, (1, 1), 2.0, 0, 0)
    test = [shot for shot in plan_world(scale, seed=0) if shot.role == "test"]
    assert query_rows(test, seed=0).size == 0


@pytest.mark.parametrize(
    "change",
    [{"height": 63}, {"test_persons": 1}, {"cameras_per_person": (2, 7)}, {"max_frames": 1000}, {"median_frames": 5}],
)
def test_invalid_scales_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="'tiny'"):
        replace(SCALES["tiny"], **change)


def test_rows_follow_each_other_without_gaps() -> None:
    shots = [shot for shot in plan_world(SCALES["tiny"], seed=0) if shot.role == "test"]
    rows = track_rows(shots)
    assert rows.dtype == np.int32
    assert rows[0, 0] == 1
    assert (rows[1:, 0] == rows[:-1, 1] + 1).all()
    assert rows[-1, 1] == sum(shot.frames for shot in shots)
