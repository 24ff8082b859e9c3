from pathlib import Path

import numpy as np
import pytest

from resight.errors import DatasetError
from resight.synthetic.faults import FAULTS, Stretch, read_faults, write_faults
from resight.synthetic.film import film
from resight.synthetic.plan import Shot


def frames_of(*faults: Stretch) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    shot = Shot("0001C2T0001", "train", 1, 1, 2, 2, 2, 1, 12, faults)
    return np.concatenate(list(film(shot, 0, 64, 32))).astype(float)


def test_a_world_without_a_list_has_no_faults(tmp_path: Path) -> None:
    assert read_faults(tmp_path) == {}


def test_written_faults_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "info").mkdir()
    rows = [(f"0001C1T0001F{i:03d}.jpg", fault) for i, fault in enumerate(FAULTS)]
    write_faults(tmp_path / "info" / "faults.csv", rows)
    assert read_faults(tmp_path) == dict(rows)


@pytest.mark.parametrize("text", ["", "picture,fault\n", "frame,fault\na.jpg,tired\n", "frame,fault\na.jpg\n"])
def test_invalid_lists_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "info").mkdir()
    (tmp_path / "info" / "faults.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"faults\.csv"):
        read_faults(tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_its_frames(fault: str) -> None:
    sound = frames_of()
    faulty = frames_of(Stretch(fault, 5, 8))
    # The noise is small and the same, so differences come from the fault. Passers-by may differ.
    change = np.abs(sound - faulty).mean((1, 2, 3))
    assert change[5:8].min() > 4


@pytest.mark.parametrize("fault", ["motion_blur", "low_resolution"])
def test_motion_blur_and_low_resolution_remove_detail_and_change_no_other_frame(fault: str) -> None:
    sound, faulty = frames_of(), frames_of(Stretch(fault, 5, 8))

    def detail(frames: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        return float(np.abs(np.diff(frames, axis=2)).mean())

    assert detail(faulty[5:8]) < 0.8 * detail(sound[5:8])
    unaffected = [*range(5), *range(8, 12)]
    np.testing.assert_array_equal(sound[unaffected], faulty[unaffected])
