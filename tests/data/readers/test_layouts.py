"""All readers read the same synthetic world from their layouts and must agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.readers.conftest import MakeLayout

from resight.data.frames import read_frame
from resight.data.readers import READERS, read_splits
from resight.data.readers.mars import read_mars
from resight.errors import DatasetError
from resight.tracklet import DISTRACTOR, JUNK, Dataset, Tracklet

KINDS = ["duke-video", "duke-video-old", "ilids-vid", "ls-vid", "prid2011"]


def read(layouts: MakeLayout, kind: str) -> tuple[Dataset, ...]:
    return read_splits(f"{kind.removesuffix('-old')}:{layouts(kind)}")


def pixels(tracklet: Tracklet) -> tuple[bytes, ...]:
    return tuple(read_frame(tracklet.frame(number)).tobytes() for number in range(len(tracklet)))


def known(dataset: Dataset) -> dict[tuple[bytes, ...], Tracklet]:
    return {pixels(tracklet): tracklet for tracklet in (*dataset.train, *dataset.query, *dataset.gallery)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_tracklet_shows_the_frames_of_one_person_in_order(layouts: MakeLayout, world: Path, kind: str) -> None:
    originals = known(read_mars(world))
    two_cameras = kind in ("ilids-vid", "prid2011")
    for frames, tracklet in known(read(layouts, kind)[0]).items():
        original = originals[frames]
        assert original.person in (tracklet.person, DISTRACTOR)
        assert tracklet.camera == original.camera or two_cameras


@pytest.mark.parametrize("kind", ["duke-video", "duke-video-old", "ls-vid"])
def test_only_junk_is_lost(layouts: MakeLayout, world: Path, kind: str) -> None:
    expected = {frames for frames, tracklet in known(read_mars(world)).items() if tracklet.person != JUNK}
    assert set(known(read(layouts, kind)[0])) == expected


@pytest.mark.parametrize("kind", [*KINDS, "mars"])
def test_the_order_of_the_listing_does_not_matter(
    layouts: MakeLayout, world: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    root = world if kind == "mars" else layouts(kind)
    name = f"{kind.removesuffix('-old')}:{root}"
    before = read_splits(name)
    request.getfixturevalue("shuffled_disk")
    assert read_splits(name) == before


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_unique_and_queries_have_matches(layouts: MakeLayout, kind: str) -> None:
    for split in read(layouts, kind):
        everyone = {t for role in (split.train, split.query, split.gallery) for t in role}
        assert len({t.id for t in everyone}) == len(everyone)
        assert not {t.person for t in split.train} & {t.person for t in split.gallery}
        matches = {(t.person, t.camera) for t in split.gallery}
        assert all(any(p == t.person and c != t.camera for p, c in matches) for t in split.query)
        assert all(split.find(t.id) == t for t in everyone)


@pytest.mark.parametrize("kind", [*KINDS, "mars"])
def test_an_archive_unpacked_with_extra_folders_is_read(
    layouts: MakeLayout, world: Path, tmp_path: Path, kind: str
) -> None:
    root = world if kind == "mars" else layouts(kind)
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / root.name).symlink_to(root, target_is_directory=True)
    splits = read_splits(f"{kind.removesuffix('-old')}:{tmp_path / 'unpacked'}")
    direct = read_splits(f"{kind.removesuffix('-old')}:{root}")
    assert [[t.id for t in split.gallery] for split in splits] == [[t.id for t in split.gallery] for split in direct]


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_or_empty_folder_is_named(tmp_path: Path, kind: str) -> None:
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DatasetError, match=r"there is n|no tracklet") as caught:
            read_splits(f"{kind}:{root}")
        what, _, layout = str(caught.value).partition(": ")
        assert str(root) in what
        assert layout
