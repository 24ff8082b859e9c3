"""Input that users pass to the API: cameras by name, flat folders, one picture, and values of the wrong type."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.test_api import crops, model

import resight
from resight.api.sources import as_tracklets, find_tracklet, select_cameras
from resight.data.readers import read_dataset, read_splits
from resight.data.readers.folder import read_folder
from resight.errors import DatasetError, RecipeError, ResightError
from resight.ingest.cameras import Source
from resight.ingest.settings import IngestSettings
from resight.recipe import ClipSpec, Optimisation
from resight.tracklet import JUNK

__all__ = ["crops", "model"]


@pytest.mark.parametrize(
    ("names", "cameras", "expected"),
    [
        (("door", "gate"), "door:gate", (1, 2)),
        (("door", "gate"), "2:", (2, None)),
        (("Kamera: 1", "caf\u00e9 #2"), "Kamera: 1:cafe\u0301 #2", (1, 2)),
        (("Kamera: 1", "caf\u00e9 #2"), ":Kamera: 1", (None, 1)),
        (("2", "3"), "2:3", (1, 2)),
    ],
)
def test_cameras_are_chosen_by_name_or_number(
    tmp_path: Path, names: tuple[str, str], cameras: str, expected: tuple[int | None, int | None]
) -> None:
    for person in ("anna", "bob"):
        for name in names:
            (tmp_path / person / name / "1").mkdir(parents=True)
            (tmp_path / person / name / "1" / "1.jpg").touch()
    dataset = read_folder(tmp_path)
    chosen = select_cameras(dataset, cameras)
    for role, camera in zip((chosen.query, chosen.gallery), expected, strict=True):
        assert {t.camera for t in role} == ({1, 2} if camera is None else {camera})
    with pytest.raises(DatasetError, match=f"the cameras of .* are {names[0]}, {names[1]}"):
        select_cameras(dataset, "roof:")


def test_a_flat_folder_is_a_gallery_and_one_picture_a_query(crops: Path, model: resight.Model, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for n, path in enumerate(sorted((crops / "crops").glob("*/*/0001/0000.jpg"))):
        shutil.copy(path, flat / f"candidate{n}.jpg")
    dataset = read_dataset(f"folder:{flat}")
    assert [len(t) for t in dataset.gallery] == [1] * len(dataset.gallery)
    assert {t.person for t in dataset.gallery} == {JUNK}
    assert "tracklet of one frame" in dataset.notes[0]
    answers = resight.search(str(flat / "candidate3.jpg"), f"folder:{flat}", model, progress=False)
    assert len(answers) == len(dataset.gallery) - 1 and "candidate3.jpg" not in {answer.id for answer in answers}
    other = resight.search(str(flat / "candidate3.jpg"), f"folder:{crops / 'crops'}", model, k=1, progress=False)
    assert other[0].id.startswith("ben/")


def test_an_id_is_found_in_another_unicode_form(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "Jos\u00e9")
    (tmp_path / name / "door" / "1").mkdir(parents=True)
    (tmp_path / name / "door" / "1" / "1.jpg").touch()
    assert find_tracklet("Jos\u00e9/door/1", read_folder(tmp_path)).id == f"{name}/door/1"


WRONG: list[Any] = [5, None, 1.5, object(), [5], [[]], b"x", {"a": 1}, [[1, 2], [3]], "", "\0", "x" * 5000]


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_a_value_of_a_wrong_type_is_our_error(crops: Path, model: resight.Model, value: Any) -> None:
    dataset = read_folder(crops / "crops")
    calls: tuple[Callable[[], object], ...] = (
        lambda: as_tracklets(value), lambda: find_tracklet(value, dataset), lambda: read_splits(value),
        lambda: resight.search("anna/door/0001", dataset, model, k=value, progress=False),
        lambda: select_cameras(dataset, value), lambda: resight.load_model(workers=value),
        lambda: resight.load_model(device=value), lambda: ClipSpec(count=value), lambda: IngestSettings(margin=value),
        lambda: Optimisation(learning_rate=value), lambda: Source("door", "door.mp4", rate=value),  # type: ignore[arg-type]
    )  # fmt: skip
    for number, call in enumerate(calls):
        try:
            call()
        except ResightError as error:
            assert len(str(error)) > 20, number
        else:
            assert value in (5, None, 1.5, "x"), number


def test_settings_of_a_wrong_type_are_named() -> None:
    with pytest.raises(RecipeError, match="margin must be from 0 to 1, found 'wide'"):
        IngestSettings(margin="wide")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="count is '8'"):
        ClipSpec(count="8")  # type: ignore[arg-type]
    assert Source("door", "a/door.mp4").files == (Path("a/door.mp4"),)  # type: ignore[arg-type]
    assert Source("door", ["a.mp4", "b.mp4"]).files == (Path("a.mp4"), Path("b.mp4"))  # type: ignore[arg-type]


def test_a_turned_picture_is_a_query_as_it_is_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert find_tracklet(str(tmp_path / "a.jpg")).frame(0) == tmp_path / "a.jpg"
