from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from resight.tracklet import DISTRACTOR, JUNK, Dataset, Tracklet, by_person


def make(id_: str, person: int, camera: int, frames: int = 2) -> Tracklet:
    return Tracklet(id_, person, camera, Path("frames") / id_, tuple(f"{n}.jpg" for n in range(frames)))


A1, A2, B1, B2 = make("a1", 1, 1), make("a2", 1, 2), make("b1", 2, 1), make("b2", 2, 2)


def make_dataset() -> Dataset:
    return Dataset("folder", Path("root"), train=(B2,), query=(A1, B2), gallery=(A1, A2, B1), notes=("one is missing",))


def test_a_tracklet_knows_its_frames() -> None:
    tracklet = make("t", 1, 1, frames=3)
    assert len(tracklet) == 3
    assert tracklet.frame(0) == Path("frames/t/0.jpg")
    assert tracklet.frame(2) == Path("frames/t/2.jpg")
    with pytest.raises(IndexError):
        tracklet.frame(3)


def test_a_tracklet_does_not_change_and_can_be_a_key() -> None:
    assert {A1: "first"}[make("a1", 1, 1)] == "first"
    with pytest.raises(FrozenInstanceError):
        A1.person = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("query_camera", "gallery_camera", "query", "gallery"),
    [
        (None, None, (A1, B2), (A1, A2, B1)),
        (1, None, (A1,), (A1, A2, B1)),
        (None, 2, (A1, B2), (A2,)),
        (2, 1, (B2,), (A1, B1)),
        (3, 3, (), ()),
    ],
)
def test_between_cameras(
    query_camera: int | None, gallery_camera: int | None, query: tuple[Tracklet, ...], gallery: tuple[Tracklet, ...]
) -> None:
    chosen = make_dataset().between_cameras(query_camera, gallery_camera)
    assert (chosen.query, chosen.gallery) == (query, gallery)
    assert (chosen.name, chosen.root, chosen.train, chosen.notes) == (
        "folder",
        Path("root"),
        (B2,),
        make_dataset().notes,
    )


def test_find_looks_in_every_role() -> None:
    assert make_dataset().find("a2") is A2
    assert make_dataset().find("b2") is B2
    assert Dataset("folder", Path(), train=(B1,), query=(), gallery=()).find("b1") is B1
    assert make_dataset().find("c1") is None


def test_by_person_omits_junk_and_distractors_and_sorts() -> None:
    nobody = [make("junk", JUNK, 1), make("distractor", DISTRACTOR, 2)]
    groups = by_person([B2, *nobody, A1, B1, A2])
    assert list(groups) == [1, 2]
    assert groups == {1: [A1, A2], 2: [B2, B1]}
    assert by_person(nobody) == {}


def test_a_camera_without_a_name_has_its_number() -> None:
    named = replace(make_dataset(), camera_names=("door", "gate"))
    assert [named.camera_name(camera) for camera in (1, 2, 3, 0)] == ["door", "gate", "camera 3", "camera 0"]
    assert named.between_cameras(1, 2).camera_names == ("door", "gate")
    assert make_dataset().camera_name(1) == "camera 1"
