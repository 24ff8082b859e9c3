"""Packed data sets: every reader and command must see what it sees in the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.api.sources import find_tracklet
from resight.data.draw_splits import SplitRule, make_splits
from resight.data.frames import frame_size, frame_state, read_frame, read_frames
from resight.data.readers import READERS, read_dataset, read_splits
from resight.data.readers.folder import read_tracklet
from resight.data.write_pack import pack_dataset
from resight.doctor.examine import examine
from resight.errors import DatasetError, FrameError, OutputError
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.colour_histogram import ColourHistogram
from resight.packs import INDEX, ROWS, frames_file, open_pack, packed_frame
from resight.recipe import ClipSpec
from resight.synthetic.layouts import make_layout
from resight.synthetic.world import SCALES
from resight.tracklet import Dataset, Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


@pytest.fixture
def crops(make_tracklets: MakeTracklets, tmp_path: Path) -> Path:
    make_tracklets(persons=4, tracklets=2, frames=3)
    return tmp_path / "tracklets"


def moved(dataset: Dataset, root: Path) -> Dataset:
    """Return a data set as it would be if its folder were `root`."""

    def there(tracklets: tuple[Tracklet, ...]) -> tuple[Tracklet, ...]:
        return tuple(replace(t, folder=root / t.folder.relative_to(dataset.root)) for t in tracklets)

    return replace(dataset, root=root, train=there(dataset.train), query=there(dataset.query),
                   gallery=there(dataset.gallery))  # fmt: skip


@pytest.mark.parametrize("layout", sorted(READERS))
def test_every_layout_is_the_same_in_a_pack(layout: str, tmp_path: Path) -> None:
    world = tmp_path / "world"
    make_layout(world, layout, SCALES["tiny"], 0)
    name = f"{layout}:{world}"
    report = pack_dataset(name, tmp_path / "world.pack", file_bytes=40_000)
    originals, packed = read_splits(name), read_splits(report.name)
    assert list(packed) == [moved(dataset, tmp_path / "world.pack") for dataset in originals]
    assert report.files > 1 and report.frames == len({t.frame(n) for d in originals for t in
        (*d.train, *d.query, *d.gallery) for n in range(len(t))})  # fmt: skip
    for before, after in zip(originals[0].gallery[::5], packed[0].gallery[::5], strict=True):
        assert np.array_equal(read_frame(before.frame(1)), read_frame(after.frame(1)))
        assert frame_state(before.frame(1)) == frame_state(after.frame(1))
        assert frame_size(before.frame(1)) == frame_size(after.frame(1))


def test_a_manifest_with_frames_elsewhere_is_packed(crops: Path, tmp_path: Path) -> None:
    picture = tmp_path / "elsewhere.png"
    Image.new("RGB", (8, 16), (250, 0, 0)).save(picture)
    home = tmp_path / "home"
    home.mkdir()
    (home / "manifest.csv").write_text(
        f"tracklet,person,camera,frame\na,1,c,{picture}\n"
        "b,1,d,../tracklets/0001/c1/0001/000000.jpg\nb,1,d,../tracklets/0001/c2/0001/000000.jpg\n"
    )
    name = pack_dataset(f"manifest:{home}", tmp_path / "home.pack").name
    before, after = read_dataset(f"manifest:{home}"), read_dataset(name)
    assert [t.id for t in after.gallery] == ["a", "b"]
    for one, other in zip(before.gallery, after.gallery, strict=True):
        assert [frame.shape for frame in read_frames([one.frame(n) for n in range(len(one))])] == [
            frame.shape for frame in read_frames([other.frame(n) for n in range(len(other))])
        ]
        assert np.array_equal(read_frame(one.frame(0)), read_frame(other.frame(0)))


def test_features_of_a_pack_are_equal_and_found_in_the_store(crops: Path, tmp_path: Path) -> None:
    name = pack_dataset(f"folder:{crops}", tmp_path / "crops.pack").name
    spec, encoder, store = ClipSpec(2, 2, height=32, width=16), ColourHistogram(), FeatureStore(tmp_path / "store")
    plain = extract_clip_features(encoder, read_dataset(f"folder:{crops}").gallery, spec)
    gallery = read_dataset(name).gallery
    for workers in (0, 1):
        packed = extract_clip_features(encoder, gallery, spec, workers=workers)
        assert np.array_equal(plain.values, packed.values)
    extract_clip_features(encoder, gallery, spec, store=store)
    (tmp_path / "crops.pack" / frames_file(0)).write_bytes(b"")  # features are found without reading a frame
    assert np.array_equal(extract_clip_features(encoder, gallery, spec, store=store).values, plain.values)


def test_a_pack_knows_its_splits_and_takes_new_ones(crops: Path, tmp_path: Path) -> None:
    name = pack_dataset(f"folder:{crops}", tmp_path / "without.pack").name
    assert read_splits(name)[0].number is None
    made = make_splits(name, SplitRule(2, 0.5, "one-per-camera", 1, 0), replace=False)
    assert made.path == tmp_path / "without.pack" / "splits.json" and len(read_splits(name)) == 2
    make_splits(f"folder:{crops}", SplitRule(3, 0.5, "one-per-camera", 1, 0), replace=False)
    name = pack_dataset(f"folder:{crops}", tmp_path / "with.pack").name
    assert len(read_splits(name)) == 3 and len(read_splits(f"{name}#all")) == 1
    assert [t.id for t in read_splits(f"{name}#2")[0].query] == [
        t.id for t in read_splits(f"folder:{crops}#2")[0].query
    ]


def test_a_tracklet_of_a_pack_can_be_a_query(crops: Path, tmp_path: Path) -> None:
    name = pack_dataset(f"folder:{crops}", tmp_path / "crops.pack").name
    folder = tmp_path / "crops.pack" / "0002" / "c1" / "0001"
    dataset = read_dataset(name)
    assert find_tracklet(str(folder), dataset).id == "0002/c1/0001"
    assert len(read_tracklet(folder)) == 3
    assert find_tracklet(str(folder / "000001.jpg")).names == ("000001.jpg",)
    with pytest.raises(DatasetError, match="neither a folder of frames"):
        find_tracklet(str(folder / "000009.jpg"), dataset)


def test_the_doctor_examines_a_pack(crops: Path, tmp_path: Path) -> None:
    name = pack_dataset(f"folder:{crops}", tmp_path / "crops.pack").name
    report, statistics = examine(name, everything=True)
    plain, expected = examine(f"folder:{crops}", everything=True)
    assert report.looked_at == plain.looked_at and statistics == expected
    assert [finding.kind for finding in report.findings] == [finding.kind for finding in plain.findings]
    path = tmp_path / "crops.pack" / frames_file(0)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    (finding,) = [f for f in examine(name, everything=True)[0].findings if f.severity == "error"]
    assert finding.kind == "unreadable" and "(byte 0 of" in finding.found
    (tmp_path / "crops.pack" / ROWS).unlink()
    report, statistics = examine(name)
    assert statistics is None and [finding.kind for finding in report.findings] == ["reader-refuses"]


def test_damage_is_reported_and_never_read(crops: Path, tmp_path: Path) -> None:
    root = tmp_path / "crops.pack"
    name = pack_dataset(f"folder:{crops}", root).name
    frame = read_dataset(name).gallery[0].frame(0)
    with pytest.raises(FrameError, match=r"no frame 0001/c1/0001/x.jpg in .*crops.pack"):
        read_frame(frame.with_name("x.jpg"))
    path = root / frames_file(0)
    content = path.read_bytes()
    path.write_bytes(content[:50] + b"?" + content[51:])
    open_pack(root)
    with pytest.raises(FrameError, match="is damaged"):
        read_frame(frame)
    path.write_bytes(content[:-1])
    with pytest.raises(DatasetError, match=r"not a complete pack .*another size"):
        read_dataset(name)
    path.unlink()
    with pytest.raises(DatasetError, match="not a complete pack"):
        read_dataset(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99 of packs, expected 1"),
        ({"frames": 3}, "not a complete pack"),
        ({"files": None}, "not a complete pack"),
    ],
)
def test_an_index_of_another_kind_is_refused(crops: Path, tmp_path: Path, change: Any, message: str) -> None:
    name = pack_dataset(f"folder:{crops}", tmp_path / "crops.pack").name
    index = json.loads((tmp_path / "crops.pack" / INDEX).read_text())
    (tmp_path / "crops.pack" / INDEX).write_text(json.dumps(index | change))
    with pytest.raises(DatasetError, match=message):
        read_dataset(name)


def test_what_cannot_be_packed_is_refused_before_anything_is_written(crops: Path, tmp_path: Path) -> None:
    name = f"folder:{crops}"
    with pytest.raises(OutputError, match=r"ends in \.pack"):
        pack_dataset(name, tmp_path / "crops")
    made = pack_dataset(name, tmp_path / "a.pack").name
    with pytest.raises(OutputError, match="it exists"):
        pack_dataset(name, tmp_path / "a.pack")
    with pytest.raises(DatasetError, match="selects a split"):
        pack_dataset(f"{name}#2", tmp_path / "b.pack")
    with pytest.raises(DatasetError, match="a pack of the kind folder, expected mars"):
        read_dataset(made.replace("folder:", "mars:"))
    frame = crops / "0003" / "c1" / "0001" / "000001.jpg"
    frame.unlink()
    frame.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FrameError, match="cannot read frame"):
        pack_dataset(name, tmp_path / "c.pack")
    assert {path.name for path in tmp_path.iterdir()} == {"tracklets", "a.pack"}


def test_a_pack_can_be_packed_again(crops: Path, tmp_path: Path) -> None:
    first = pack_dataset(f"folder:{crops}", tmp_path / "a.pack")
    second = pack_dataset(first.name, tmp_path / "b.pack", file_bytes=1000)
    assert second.frames == first.frames == 48 and second.files > 20
    frames = [
        packed_frame(read_dataset(f"folder:{tmp_path / name}").gallery[5].frame(2)) for name in ("a.pack", "b.pack")
    ]
    assert frames[0] is not None and frames[1] is not None and frames[0].read() == frames[1].read()
