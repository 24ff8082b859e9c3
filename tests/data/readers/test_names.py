"""Names of persons, cameras and columns that are almost right."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from resight.data.readers.folder import read_folder
from resight.data.readers.manifest import read_manifest
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, JUNK, Dataset

JOSE = unicodedata.normalize("NFC", "Jose\u0301")
JOSE_OF_MACOS = unicodedata.normalize("NFD", JOSE)


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def labels(dataset: Dataset) -> list[tuple[str, int, int]]:
    return [(t.id, t.person, t.camera) for t in dataset.gallery]


def test_unicode_forms_of_a_name_are_one_person_and_one_camera(tmp_path: Path) -> None:
    assert JOSE != JOSE_OF_MACOS
    dataset = read_folder(
        touch(tmp_path, f"{JOSE}/caf{JOSE[-1]}/1/1.jpg", f"{JOSE_OF_MACOS}/caf{JOSE_OF_MACOS[-2:]}/2/1.jpg")
    )
    assert [(t.person, t.camera) for t in dataset.gallery] == [(1, 1), (1, 1)]
    assert dataset.camera_names == (f"caf{JOSE[-1]}",)


def test_system_folders_are_not_persons(tmp_path: Path) -> None:
    touch(tmp_path, "anna/door/1/1.jpg", "@eaDir/anna/1.jpg/SYNOPHOTO_THUMB_M.jpg", "anna/door/1/@eaDir/1.jpg/t.jpg")
    touch(tmp_path, "#recycle/bob/1/1.jpg", "__MACOSX/anna/door/1.jpg", "anna/$RECYCLE.BIN/1/1.jpg")
    assert labels(read_folder(tmp_path)) == [("anna/door/1", 1, 1)]


def test_junk_and_distractors_are_not_persons(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{person}/door/1/1.jpg" for person in ("anna", "junk", "-1", "0000", "Distractors", "0")))
    dataset = read_folder(tmp_path)
    assert {t.id.split("/")[0]: t.person for t in dataset.gallery} == {
        "-1": JUNK, "0": 1, "0000": DISTRACTOR, "Distractors": DISTRACTOR, "anna": 2, "junk": JUNK,
    }  # fmt: skip
    assert sum("is not a person" in note for note in dataset.notes) == 4


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("train/0001/a/1.jpg", "test/0002/a/1.jpg"), "test is a part of a data set, not a person"),
        (("cam1/anna/1/1.jpg", "cam2/bob/1/1.jpg"), "cam1 is a camera, not a person"),
        (("multi_shot/cam_a/person_0001/1.png", "multi_shot/cam_b/person_0001/1.png"), "perhaps it is prid2011"),
        (("anna/door/1.jpg",), "not deep enough .* in a manifest"),
    ],
)
def test_other_levels_are_refused_with_advice(tmp_path: Path, paths: tuple[str, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_folder(touch(tmp_path, *paths))


ROWS = [("crops/1", "anna", "door"), ("crops/2", "anna", "gate"), ("crops/3", "bob", "door")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("frames,person,camera", "{},{},{}"),
        ("frames, person, camera", "{}, {}, {}"),
        ("Frames,Person,CAMERA", "{},{},{}"),
        ("frames,person_id,camera_id", "{},{},{}"),
        ("frames;person;camera", "{};{};{}"),
        ("frames\tperson\tcamera", "{}\t{}\t{}"),
        ("folder;Person ID;Cam;;", "{};{};{};;"),
        ('"frames","person","camera"', '"{}","{}","{}"'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_by_its_column_names(tmp_path: Path, header: str, row: str, encoding: str) -> None:
    touch(tmp_path, *(f"{frames}/1.jpg" for frames, _, _ in ROWS))
    text = "\r\n".join([header, *(row.format(*values) for values in ROWS), ""])
    (tmp_path / "Manifest.csv").write_text(text, encoding=encoding, newline="")
    assert labels(read_manifest(tmp_path)) == [("crops/1", 1, 1), ("crops/2", 1, 2), ("crops/3", 2, 1)]


def test_keys_of_json_are_read_like_columns(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "manifest.jsonl").write_text('{"Frames": "a", "Person ID": "anna", "cam": 3, "colour": "red"}\n')
    dataset = read_manifest(tmp_path)
    assert labels(dataset) == [("a", 1, 1)]
    assert dataset.notes == ("the manifest has columns that are ignored: colour",)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("frames,persons,camera", "'persons' is not known: if it is person, name it so"),
        ("frames,persno,camera", "'persno' is not known"),
        ("frames,person,camra", "'camra' is not known: if it is camera"),
        ("frames,person,Person", "two columns are named 'person'"),
    ],
)
def test_a_name_that_is_almost_right_is_refused(tmp_path: Path, header: str, message: str) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "manifest.csv").write_text(f"{header}\na,anna,door\n")
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path)


def test_paths_may_have_backslashes_or_another_unicode_form(tmp_path: Path) -> None:
    touch(tmp_path, f"crops/{JOSE_OF_MACOS}/1.jpg", "crops/b/1.jpg")
    (tmp_path / "manifest.csv").write_text(f"frames,person\ncrops\\{JOSE},x\ncrops\\b,y\n", encoding="utf-8")
    dataset = read_manifest(tmp_path)
    assert {t.id for t in dataset.gallery} == {"crops/b", f"crops/{JOSE}"}
    assert all(t.frame(0).is_file() for t in dataset.gallery)


def test_a_manifest_marks_junk_and_distractors(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{n}/1.jpg" for n in range(1, 5)))
    (tmp_path / "manifest.csv").write_text("frames,person,mark\n1,anna,\n2,,junk\n3,,Distractor\n4,-1,\n")
    dataset = read_manifest(tmp_path)
    assert [t.person for t in dataset.gallery] == [1, JUNK, DISTRACTOR, JUNK]
    (tmp_path / "manifest.csv").write_text("frames,person,mark\n1,anna,noise\n")
    with pytest.raises(DatasetError, match="expected mark to be junk or distractor, found 'noise'"):
        read_manifest(tmp_path)
