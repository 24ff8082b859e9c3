import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from scipy.io import loadmat

from resight.errors import DatasetError
from resight.synthetic.faults import FAULTS, read_faults
from resight.synthetic.plan import plan_world
from resight.synthetic.world import SCALES, WorldScale, make_world

SMALL = WorldScale("small", 64, 2, 3, (2, 2), 1.0, 1, 1, median_frames=8, spread=0.4, max_frames=10)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds") / "tiny"
    make_world(out, SCALES["tiny"], seed=0, workers=1)
    return out


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_runs_cannot_render_the_same_world(tmp_path: Path) -> None:
    out = tmp_path / "worlds" / "small"

    def during(done: int, total: int) -> None:
        with pytest.raises(DatasetError, match="another run is rendering"):
            make_world(out, SMALL, workers=1)

    make_world(out, SMALL, workers=1, progress=during)
    assert [path.name for path in out.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("role", ["train", "test"])
def test_lists_index_the_sorted_names(tiny: Path, role: str) -> None:
    on_disk = [path.name for folder in sorted((tiny / f"bbox_{role}").iterdir()) for path in sorted(folder.iterdir())]
    assert (tiny / "info" / f"{role}_name.txt").read_text().split() == on_disk
    rows = loadmat(tiny / "info" / f"tracks_{role}_info.mat")[f"track_{role}_info"]
    assert rows.dtype == np.int32
    assert rows[-1, 1] == len(on_disk)
    for first, last, person, camera in rows:
        names = on_disk[first - 1 : last]
        assert len({name[:11] for name in names}) == 1
        assert int(names[0][:4].replace("00-1", "-1")) == person
        assert names[0][4:6] == f"C{camera}"
        numbers = [int(name[12:15]) for name in names]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_junk_and_distractors_have_their_folders(tiny: Path) -> None:
    assert {"00-1", "0000"} < {folder.name for folder in (tiny / "bbox_test").iterdir()}
    assert not {"00-1", "0000"} & {folder.name for folder in (tiny / "bbox_train").iterdir()}


def test_queries_count_from_one_and_have_matches(tiny: Path) -> None:
    rows = loadmat(tiny / "info" / "tracks_test_info.mat")["track_test_info"]
    queries = loadmat(tiny / "info" / "query_IDX.mat")["query_IDX"]
    assert queries.dtype == np.uint16
    for _, _, person, camera in rows[queries[0] - 1]:
        assert person > 0
        assert ((rows[:, 2] == person) & (rows[:, 3] != camera)).any()


def test_frames_have_the_right_size(tiny: Path) -> None:
    for path in list(tiny.glob("bbox_*/*/*F001.jpg"))[::4]:
        pixels = simplejpeg.decode_jpeg(path.read_bytes())
        assert pixels.shape == (64, 32, 3)
        assert pixels.std() > 8


def test_faults_are_listed_frame_by_frame(tiny: Path) -> None:
    planned = dict(row for shot in plan_world(SCALES["tiny"], 0) for row in shot.fault_rows())
    assert read_faults(tiny) == planned
    assert set(planned.values()) <= set(FAULTS)
    assert set(planned) < {path.name for path in tiny.glob("bbox_*/*/*.jpg")}


def test_the_world_file_describes_the_persons(tiny: Path) -> None:
    world = json.loads((tiny / "info" / "world.json").read_text())
    assert world["seed"] == 0
    assert world["scale"]["name"] == "tiny"
    assert list(world["persons"]) == [f"{number:04d}" for number in range(1, 13)]
    assert len(set(world["persons"].values())) == 12


def test_bytes_depend_on_the_seed_and_not_on_the_workers(tmp_path: Path) -> None:
    report = make_world(tmp_path / "one", SMALL, seed=4, workers=1)
    make_world(tmp_path / "two", SMALL, seed=4, workers=2)
    make_world(tmp_path / "other", SMALL, seed=5, workers=1)
    assert report.frames == len(list((tmp_path / "one").rglob("*.jpg"))) > 0
    assert report.persons == 5
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    other = digest(tmp_path / "other")
    assert all(other.get(name) != value for name, value in digest(tmp_path / "one").items() if name.endswith(".jpg"))


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DatasetError, match="new or an empty folder"):
        make_world(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


class Interrupted(Exception):  # noqa: N818
    pass


def test_an_interrupted_run_leaves_nothing_and_is_resumed(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise Interrupted

    out = tmp_path / "world"
    out.mkdir()
    with pytest.raises(Interrupted):
        make_world(out, SMALL, seed=4, workers=1, progress=stop)
    assert not any(out.iterdir())
    calls: list[tuple[int, int]] = []
    report = make_world(out, SMALL, seed=4, workers=1, progress=lambda done, total: calls.append((done, total)))
    assert calls[0][0] > report.frames // 2
    assert calls[-1] == (report.frames, report.frames)
    make_world(tmp_path / "whole", SMALL, seed=4, workers=1)
    assert digest(out) == digest(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole", "world"]


def test_an_interrupted_run_with_other_arguments_is_discarded(tmp_path: Path) -> None:
    leftover = tmp_path / ".world.part" / ".done"
    leftover.mkdir(parents=True)
    (leftover / "arguments.json").write_text("{}")
    (tmp_path / ".world.part" / "stray.txt").touch()
    make_world(tmp_path / "world", SMALL, seed=4, workers=1)
    assert not (tmp_path / "world" / "stray.txt").exists()
    assert not (tmp_path / "world" / ".done").exists()


def test_planning_a_world_needs_no_torch() -> None:
    code = "import sys, resight.synthetic.world, resight.synthetic.faults; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
