"""Broken folders and manifests: the doctor reports each fault, and no reader raises an unexpected exception."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.doctor.breaking import Broken, breaks, check, examine, frames_of_one, move_below, remove, rewrite
from tests.doctor.conftest import Copy

CASES: list[Broken] = []


def add_line(root: Path, line: str) -> None:
    path = root / "manifest.jsonl"
    rewrite(path, path.read_bytes() + line.encode())


@breaks(CASES, "mars", "wrong-kind", "layout of mars", read_as="folder")
def another_data_set(root: Path) -> None:
    pass


@breaks(CASES, "folder", "wrong-kind", "layout of folder", read_as="duke-video")
def read_as_another(root: Path) -> None:
    pass


@breaks(CASES, "folder", "unpacked-too-deep", "all")
def one_level_too_many(root: Path) -> None:
    move_below(root, "all")


@breaks(CASES, "folder", "picture-depth", "folders of level 3")
def a_picture_too_high(root: Path) -> None:
    frame = frames_of_one(root)[0]
    shutil.copy(frame, frame.parents[1] / "x.jpg")


@breaks(CASES, "folder", "names-differ-in-case", "pair")
def a_person_in_two_spellings(root: Path) -> None:
    person = min(root.iterdir())
    shutil.copytree(person, person.with_name(person.name.upper()))


@breaks(CASES, "folder", "names-differ-in-case", "C")
def a_camera_in_two_spellings(root: Path) -> None:
    camera = frames_of_one(root)[0].parents[1]
    camera.rename(camera.with_name(camera.name.upper()))


@breaks(CASES, "folder", "names-differ-in-zeros", "pair")
def a_person_with_and_without_zeros(root: Path) -> None:
    for name in ("7", "07"):
        shutil.copytree(min(root.glob("p*")), root / name)


@breaks(CASES, "folder", "unpadded-numbers", "the same number of digits")
def numbers_without_zeros(root: Path) -> None:
    for number, path in enumerate(frames_of_one(root, 10), start=1):
        path.rename(path.with_name(f"frame{number}.jpg"))


@breaks(CASES, "folder", "same-number-twice", "one frame per number")
def a_number_twice(root: Path) -> None:
    frame = frames_of_one(root)[0]
    shutil.copy(frame, frame.with_name("1.jpg"))


@breaks(CASES, "folder", "same-bytes", "repeated")
def a_frame_twice(root: Path) -> None:
    frame = frames_of_one(root)[0]
    shutil.copy(frame, frame.with_name("000099.jpg"))


@breaks(CASES, "folder", "frame-gaps", "1 gap")
def a_frame_lost(root: Path) -> None:
    remove(frames_of_one(root, 9)[4])


@breaks(CASES, "folder", "short-tracklets", "at least 4")
def a_tracklet_of_one_frame(root: Path) -> None:
    remove(*frames_of_one(root)[1:])


@breaks(CASES, "folder", "no-match", "have none")
def one_camera_each(root: Path) -> None:
    for person in root.iterdir():
        remove(*sorted(person.iterdir())[1:])


@breaks(CASES, "folder", "one-camera-persons", "persons")
def a_person_of_one_camera(root: Path) -> None:
    remove(*sorted(min(root.iterdir()).iterdir())[1:])


@breaks(CASES, "folder", "link-outside", "outside")
def a_link_outside(root: Path) -> None:
    frame, away = frames_of_one(root)[0], root.parent / "away.jpg"
    frame.rename(away)
    frame.symlink_to(away)


@breaks(CASES, "folder", "empty-folder", "empty")
def an_empty_tracklet(root: Path) -> None:
    (frames_of_one(root)[0].parents[1] / "e").mkdir()


@breaks(CASES, "folder", "name-not-text", "not UTF-8")
def a_name_of_strange_bytes(root: Path) -> None:
    frame = frames_of_one(root)[0]
    frame.rename(os.fsdecode(os.fsencode(frame.parent) + b"/\xff1.jpg"))


@breaks(CASES, "folder", "layout-missing", "contains nothing")
def nothing_in_it(root: Path) -> None:
    remove(*root.iterdir())


@breaks(CASES, "folder", "name-case", "Folder")
def a_path_in_other_letters(root: Path) -> None:
    root.rename(root.with_name("Folder"))


@breaks(CASES, "folder", "path-missing", "a folder")
def nothing_there(root: Path) -> None:
    remove(root)


@breaks(CASES, "folder", "text-encoding", "UTF-16")
def splits_in_utf16(root: Path) -> None:
    (root / "splits.json").write_bytes("{}".encode("utf-16"))


@breaks(CASES, "manifest", "manifest-line", "1 such line")
def a_line_that_is_not_json(root: Path) -> None:
    add_line(root, "{oops")


@breaks(CASES, "manifest", "manifest-line", "1 such line")
def a_line_without_frames(root: Path) -> None:
    add_line(root, '{"person": "anna"}')


@breaks(CASES, "manifest", "manifest-line", "1 such line")
def a_number_of_5000_digits(root: Path) -> None:
    add_line(root, f'{{"frames": "crops", "person": {"9" * 5000}}}')


@breaks(CASES, "manifest", "frames-missing", "do not exist")
def a_path_that_leads_nowhere(root: Path) -> None:
    add_line(root, '{"frames": "gone"}')


@breaks(CASES, "manifest", "text-encoding", "UTF-8")
def lines_in_latin1(root: Path) -> None:
    path = root / "manifest.jsonl"
    rewrite(path, path.read_bytes() + '{"frames": "caf\xe9"}'.encode("latin-1"))


@breaks(CASES, "manifest", "wrong-kind", "folder")
def no_manifest(root: Path) -> None:
    (root / "manifest.jsonl").rename(root / "list.txt")


@breaks(CASES, "manifest", "reader-refuses", "absolute")
def absolute_beside_relative(root: Path) -> None:
    first, second, *_ = frames_of_one(root)
    add_line(root, json.dumps({"frames": [str(first), str(second.relative_to(root))], "id": "z"}))


@breaks(CASES, "manifest", "frames-out-of-order", "increasing")
def a_list_out_of_order(root: Path) -> None:
    frames = [str(path.relative_to(root)) for path in frames_of_one(root)[::-1]]
    add_line(root, json.dumps({"frames": frames, "id": "z"}))


@breaks(CASES, "manifest", "unknown-persons", "tracklets")
def nobody_known(root: Path) -> None:
    path = root / "manifest.jsonl"
    rewrite(path, path.read_bytes().replace(b'"person"', b'"who"'))


@breaks(CASES, "manifest", "manifest-line", "expected 3 columns")
def a_row_that_is_too_short(root: Path) -> None:
    remove(root / "manifest.jsonl")
    (root / "manifest.csv").write_text("frames,person,camera\ncrops,anna\n")


@breaks(CASES, "manifest", "reader-refuses", "'persn' is not known: if it is person")
def a_column_that_is_almost_person(root: Path) -> None:
    remove(root / "manifest.jsonl")
    (root / "manifest.csv").write_text("frames,persn,camera\ncrops,anna,door\n")


@breaks(CASES, "manifest", "names-differ-in-case", "Anna and anna")
def a_person_in_two_cases(root: Path) -> None:
    frames = [json.dumps(str(path.relative_to(root))) for path in frames_of_one(root)[:2]]
    add_line(root, f'{{"frames": [{frames[0]}], "id": "y", "person": "anna"}}\n')
    add_line(root, f'{{"frames": [{frames[1]}], "id": "z", "person": "Anna"}}\n')


@breaks(CASES, "folder", "system-folders", "@eaDir")
def thumbnails_of_a_nas(root: Path) -> None:
    (root / "@eaDir" / "a" / "b").mkdir(parents=True)
    shutil.copy(frames_of_one(root)[0], root / "@eaDir" / "a" / "b" / "SYNOPHOTO_THUMB_M.jpg")


@breaks(CASES, "folder", "frames-unread", "x.heic")
def a_format_that_is_not_read(root: Path) -> None:
    (frames_of_one(root)[0].parent / "x.heic").write_bytes(b"x")


@breaks(CASES, "folder", "reader-refuses", "is a part of a data set, not a person")
def roles_instead_of_persons(root: Path) -> None:
    for person, role in zip(sorted(root.iterdir()), ("train", "test"), strict=False):
        person.rename(root / role)
    remove(*(path for path in root.iterdir() if path.name not in ("train", "test")))


@breaks(CASES, "folder", "reader-note", "'distractors' is not a person")
def distractors_in_a_folder(root: Path) -> None:
    min(root.iterdir()).rename(root / "distractors")


def picture_of(root: Path) -> tuple[Path, Image.Image]:
    path = frames_of_one(root)[0]
    with Image.open(path) as picture:
        return path, picture.convert("RGB")


@breaks(CASES, "folder", "rotated", "EXIF")
def a_frame_on_its_side(root: Path) -> None:
    path, picture = picture_of(root)
    exif = Image.Exif()
    exif[0x0112] = 6
    remove(path)
    picture.save(path, exif=exif)


@breaks(CASES, "folder", "transparent", "1 frame")
def a_frame_with_alpha(root: Path) -> None:
    path, picture = picture_of(root)
    remove(path)
    picture.convert("RGBA").save(path.with_suffix(".png"))


@breaks(CASES, "folder", "more-than-8-bits", "1 frame")
def a_frame_of_16_bits(root: Path) -> None:
    path, picture = picture_of(root)
    remove(path)
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(path.with_suffix(".png"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_faults_are_found_and_readers_report_them(case: Broken, copy: Copy) -> None:
    check(case, copy(case.kind))


def test_splits_that_cannot_be_read_do_not_hide_the_tracklets(copy: Copy) -> None:
    root = copy("folder")
    (root / "splits.json").write_text("{}")
    report = examine("folder", root)
    assert report.statistics["roles"]["all"]["tracklets"] > 5


def test_splits_may_hold_file_names_that_are_not_utf8(copy: Copy) -> None:
    root = copy("folder")
    (root / "splits.json").write_bytes(b'{"seed": "\xff"}')
    kinds = {finding.kind for finding in examine("folder", root).findings}
    assert "reader-refuses" in kinds and "text-encoding" not in kinds


def test_the_splits_of_a_manifest_under_another_name_are_checked(copy: Copy) -> None:
    root = copy("manifest")
    (root / "manifest.jsonl").rename(root / "night.jsonl")
    (root / "night.splits.json").write_bytes("{}".encode("utf-16"))
    found = {finding.kind: finding for finding in examine("manifest", root / "night.jsonl").findings}
    assert found["text-encoding"].places == (str(root / "night.splits.json"),)
