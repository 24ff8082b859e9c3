from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.api.conftest import MakeModel

import resight
from resight.api.gallery import Gallery
from resight.data.frames import read_frame
from resight.errors import GalleryError, RecipeError
from resight.features.extract import extract_clip_features
from resight.gallery.types import Event
from resight.tracklet import Recording


@pytest.fixture
def gallery(make_model: MakeModel, manifest: Path, tmp_path: Path) -> Gallery:
    gallery = Gallery(tmp_path / "site.gallery", make_model())
    assert len(gallery.add(f"manifest:{manifest}").added) == 8
    return gallery


def test_what_is_added_is_found(gallery: Gallery, manifest: Path) -> None:
    dataset = resight.read_dataset(f"manifest:{manifest}")
    tracklet = dataset.gallery[0]
    entry = gallery[tracklet.id]
    assert (entry.camera, entry.start, entry.end, entry.frames) == (tracklet.camera_name, 0.0, 5.0, 6)
    assert entry.source == f"manifest:{manifest}" and entry.person is None and 0 < entry.quality < 1
    assert len(gallery) == 8 and tracklet.id in gallery and "nobody" not in gallery
    strip = gallery.strip(tracklet.id)
    assert len(strip) == 3 and Image.open(io.BytesIO(strip[0])).size == (64, 128)
    model = gallery.model
    features = extract_clip_features(model.checkpoint.encoder, [tracklet], model.recipe.clips)
    stored = gallery.store.fetch([tracklet.id])[0]
    assert np.allclose(stored.features, features.values[0], rtol=1e-3, atol=1e-3)
    assert np.array_equal(stored.frame_numbers, features.frame_numbers[0])
    assert stored.folder == str(tracklet.folder.resolve()) and stored.names == tracklet.names


def test_the_recording_is_kept(gallery: Gallery, manifest: Path, make_model: MakeModel) -> None:
    dataset = resight.read_dataset(f"manifest:{manifest}")
    known = replace(dataset.gallery[0], recording=Recording(manifest / "x" / ".." / "door.mp4", 2.5))
    gallery.remove([known.id])
    gallery.add([known])
    for _ in range(2):
        stored, other = gallery.store.fetch([known.id, dataset.gallery[1].id])
        assert stored.recording == Recording(manifest.resolve() / "door.mp4", 2.5) and other.recording is None
        gallery.rebuild(make_model(seed=2, name="other"))


def test_frames_are_known_again_under_another_name(gallery: Gallery, manifest: Path, tmp_path: Path) -> None:
    again = gallery.add(f"manifest:{manifest}")
    assert again.added == () and again.known == 8
    moved = tmp_path / "moved"
    shutil.copytree(manifest / "0001" / "c1" / "0001", moved)
    assert gallery.add(moved).known == 1
    frames = [read_frame(path) for path in sorted(moved.iterdir())]
    added = gallery.add(frames, camera="door").added
    assert added[0].startswith("frames-") and gallery[added[0]].camera == "door"
    assert gallery.add([np.stack(frames), moved]).known == 2


def test_features_are_not_kept_elsewhere(gallery: Gallery) -> None:
    from resight.features.store import FeatureStore

    assert FeatureStore().info().tracklets == 0


def test_unreadable_frames_fail_alone(gallery: Gallery, manifest: Path, tmp_path: Path) -> None:
    copies = []
    for number, name in enumerate(("fine", "broken", "also-fine")):
        folder = tmp_path / name
        shutil.copytree(manifest / "0001" / "c1" / "0001", folder)
        path = folder / "000002.jpg"
        Image.fromarray(np.full((32, 16, 3), 40 * number + 9, np.uint8)).save(path)
        if name == "broken":
            path.write_bytes(path.read_bytes()[:100])
        copies.append(folder)
    result = gallery.add(copies)
    assert result.added == ("fine", "also-fine") and [id_ for id_, _ in result.failed] == ["broken"]
    assert "000002.jpg" in result.failed[0][1] and len(gallery) == 10


def test_search_by_every_kind_of_reference(gallery: Gallery, manifest: Path) -> None:
    by_id = gallery.search("door-0001", k=3)
    assert [a.rank for a in by_id] == [1, 2, 3] and len(by_id) == 3 and by_id.searched == 7
    assert by_id[0].similarity >= by_id[1].similarity and by_id[0].probability is by_id[0].identity is None
    folder = manifest / "0001" / "c1" / "0001"
    expected = {a.id: a.similarity for a in by_id}
    for reference in (folder, str(folder), sorted(folder.iterdir()), resight.Tracklet(
        "other", 1, 1, folder, tuple(sorted(path.name for path in folder.iterdir()))
    )):  # fmt: skip
        assert {a.id: a.similarity for a in gallery.search(reference, k=3)} == pytest.approx(expected, abs=1e-6)
    frames = [read_frame(path) for path in sorted(folder.iterdir())]
    arrays = gallery.search(frames, k=8)
    assert arrays[0].id == "door-0001" and arrays.searched == 8
    one = gallery.search(folder / "000000.jpg", k=8)
    assert one.searched == 8


def test_search_is_that_of_the_model(gallery: Gallery) -> None:
    model = gallery.model
    stored = {t.id: t.features.astype(np.float32) for block in gallery.store.scan() for t in block}
    for exact in (False, True):
        answers = gallery.search("hall-0002", k=7, exact=exact)
        expected = {
            id_: model.similarity(stored["hall-0002"], values) for id_, values in stored.items() if id_ != "hall-0002"
        }
        assert {a.id: a.similarity for a in answers} == pytest.approx(expected, abs=1e-5)
        assert [a.similarity for a in answers] == sorted((a.similarity for a in answers), reverse=True)


def test_several_references_are_one_person(gallery: Gallery, manifest: Path) -> None:
    answers = gallery.search(["door-0001", "hall-0001"], k=8)
    assert answers.searched == 6 and {"door-0001", "hall-0001"} & {a.id for a in answers} == set()
    mixed = gallery.search(["door-0001", manifest / "0001" / "c2" / "0001"], k=8)
    assert [a.id for a in mixed] == [a.id for a in answers]
    stored = [t.features.astype(np.float32) for t in gallery.store.fetch(["door-0001", "hall-0001"])]
    other = gallery.store.fetch([answers[0].id])[0].features.astype(np.float32)
    pooled = gallery.model.similarity(np.concatenate(stored), other)
    assert answers[0].similarity == pytest.approx(pooled, abs=1e-5)


def test_re_ranking_only_changes_the_order(gallery: Gallery) -> None:
    plain = [answer.id for answer in gallery.search("door-0001", k=7)]
    similarities = {answer.id: answer.similarity for answer in gallery.search("door-0001", k=7)}
    for k in (7, 3):
        answers = gallery.search("door-0001", k=k, rerank=True)
        assert len(answers) == k and [answer.rank for answer in answers] == list(range(1, k + 1))
        for answer in answers:
            assert answer.similarity == pytest.approx(similarities[answer.id], abs=1e-6)
            (effect,) = answer.effects
            place = plain.index(answer.id) + 1
            expected = f"from place {place} to {answer.rank}" if place != answer.rank else "in the same place"
            assert effect.rule == "re-ranking" and expected in effect.text


def test_conditions(gallery: Gallery) -> None:
    assert {a.camera for a in gallery.search("door-0001", k=8, cameras=["hall"])} == {"hall"}
    times = [entry.start or 0 for entry in gallery.entries(after="1970-01-01T00:02", before=250).entries]
    assert sorted(times) == [120.0, 180.0, 240.0]
    assert gallery.search("door-0001", cameras="nowhere").to_text().startswith("no tracklet meets")
    with pytest.raises(RecipeError, match="after is 'soon'"):
        gallery.entries(after="soon")
    with pytest.raises(RecipeError, match="'colour' is no condition"):
        gallery.entries(colour="red")  # type: ignore[call-arg]


def test_unknown_references(gallery: Gallery) -> None:
    for reference in ("nobody", "", "x" * 5000):
        with pytest.raises(GalleryError, match="neither the id"):
            gallery.search(reference)


def test_evidence_needs_no_frames(gallery: Gallery, manifest: Path, tmp_path: Path) -> None:
    answers = gallery.search("door-0001", k=2)
    several = gallery.search(["door-0001", "hall-0001"], k=2)
    shutil.rmtree(manifest)
    for answer in (answers[0], several[0]):
        evidence = answer.explain()
        assert evidence.scored.score == pytest.approx(answer.similarity, abs=1e-4)
        evidence.save(tmp_path / "why.html")
        page = (tmp_path / "why.html").read_text(encoding="utf-8")
        assert "cannot be read" not in page and "data:image/jpeg" in page
    several.save(tmp_path / "answers.html")
    assert "cannot be read" not in (tmp_path / "answers.html").read_text(encoding="utf-8")
    assert gallery.explain("door-0001", "hall-0003").gallery.id == "hall-0003"


def test_another_model_is_refused(gallery: Gallery, make_model: MakeModel) -> None:
    with pytest.raises(GalleryError, match="gallery rebuild"):
        Gallery(gallery.path, make_model(seed=2, name="other"))
    assert len(Gallery(gallery.path, make_model())) == 8
    assert len(Gallery(gallery.path)) == 8  # no model is loaded for this


def test_removing(gallery: Gallery, manifest: Path) -> None:
    assert gallery.remove(["door-0001", "nobody"]) == ["door-0001"]
    assert len(gallery) == 7 and "door-0001" not in gallery and gallery.verify() == []
    assert gallery.add(f"manifest:{manifest}").added == ("door-0001",)


def test_rebuilding_with_another_model(gallery: Gallery, make_model: MakeModel, manifest: Path) -> None:
    gallery.store.append_log([Event("same", ("door-0001", "hall-0001")), Event("same", ("door-0002", "hall-0002"))])
    before = {entry.id: entry for entry in gallery.entries().entries}
    other = make_model(seed=2, name="other")
    changed = manifest / "0002" / "c1" / "0001" / "000003.jpg"
    Image.new("RGB", (16, 32)).save(changed)
    with pytest.raises(GalleryError, match=r"such as those of 'door-0002'.*--drop-missing"):
        gallery.rebuild(other)
    assert gallery.store.header.model == "small" and len(gallery) == 8
    assert gallery.rebuild(other, drop_missing=True).dropped == ("door-0002",)
    assert len(gallery) == 7 and gallery.verify() == [] and not (gallery.path / "rebuild").exists()
    for entry in gallery.entries().entries:
        assert replace(entry, quality=0) == replace(before[entry.id], quality=0)
    assert [event.ids for event in gallery.store.read_log()] == [("door-0001", "hall-0001")]
    direct = other.encode(manifest / "0001" / "c1" / "0001")
    assert np.allclose(gallery.store.fetch(["door-0001"])[0].features, direct, rtol=1e-3, atol=1e-3)
    assert gallery.add(manifest / "0001" / "c1" / "0001").known == 1
    with pytest.raises(GalleryError, match="gallery rebuild"):
        Gallery(gallery.path, make_model())


def test_merging(gallery: Gallery, make_model: MakeModel, manifest: Path, tmp_path: Path) -> None:
    other = Gallery(tmp_path / "other.gallery", make_model())
    other.add(manifest / "0001" / "c1" / "0001")  # has the id of its folder there
    fourth = tmp_path / "door-0002"
    shutil.copytree(manifest / "0002" / "c1" / "0001", fourth)
    Image.new("RGB", (16, 32)).save(fourth / "000000.jpg")
    other.add(fourth)
    first = other.entries().entries[0].id
    label = other.store.append_log([Event("same", (first, "door-0002"), "anna", 5.0)])[0]
    other.store.append_log([Event("undo", (first, "door-0002"), "anna", 6.0, {"event": label.number})])
    gallery.store.append_log([Event("opened")])
    for added in (1, 0):
        result = gallery.merge(other.path)
        assert len(result.added) == added and result.known == 2 - added
        log = gallery.store.read_log()
        assert len(log) == 3 and log[1].ids[0] == "door-0001" and log[1].ids[1].startswith("door-0002~")
        assert log[2].data == {"event": log[1].number}
    with pytest.raises(GalleryError, match="two models"):
        gallery.merge(Gallery(tmp_path / "third.gallery", make_model(seed=3, name="third")))


def test_expiring_by_date_or_by_addition(gallery: Gallery) -> None:
    now = time.time()
    tracklets = [
        replace(t, entry=replace(t.entry, id=name, start=start, end=end), key=name.encode() * 4)
        for t in gallery.store.fetch(["door-0001"])
        for name, start, end in (
            ("recent--", now - 3 * 86400, now - 0.9 * 86400), ("old-----", now - 3 * 86400, now - 2 * 86400),
        )
    ]  # fmt: skip
    gallery.store.add(tracklets)
    for wrong in (0, -1, True):
        with pytest.raises(RecipeError, match="expected more than 0"):
            gallery.expire(wrong)
    assert gallery.expire(1) == ["old-----"]
    assert len(gallery) == 9  # the times of the others count from the beginning of a recording


def test_exporting(gallery: Gallery, tmp_path: Path) -> None:
    gallery.store.append_log([Event("same", ("door-0001", "hall-0001"), "anna", 5.0)])
    for table in ("csv", "jsonl"):
        assert gallery.export(tmp_path / table, table=table) == 8
    rows = list(csv.DictReader((tmp_path / "csv" / "entries.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "jsonl" / "entries.jsonl").read_text().splitlines()]
    entries = gallery.entries().entries
    assert [row["id"] for row in rows] == [line["id"] for line in lines] == [entry.id for entry in entries]
    assert lines[0] == entries[0].to_json()
    features = resight.read_features(tmp_path / "csv" / "features-00001.safetensors")
    stored = gallery.store.fetch([entries[3].id])[0]
    assert features.ids[3] == stored.id and np.array_equal(features.values[3], stored.features.astype(np.float32))
    assert (tmp_path / "csv" / "strips" / "000004-1.jpg").read_bytes() == stored.strip[0]
    assert json.loads((tmp_path / "csv" / "log.jsonl").read_text())["ids"] == ["door-0001", "hall-0001"]
    assert gallery.export(tmp_path / "part", cameras=["hall"]) == 4
    assert (tmp_path / "part" / "log.jsonl").read_text() == ""
    with pytest.raises(RecipeError, match="'xml'"):
        gallery.export(tmp_path / "xml", table="xml")  # type: ignore[arg-type]


def test_parquet_has_the_same_types_whatever_is_known(gallery: Gallery, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow: pip install 'resight[parquet]'")
    assert gallery.export(tmp_path / "all", table="parquet") == 8
    table = parquet.read_table(tmp_path / "all" / "entries.parquet")
    assert table.to_pylist() == [entry.to_json() for entry in gallery.entries().entries]
    gallery.add([np.zeros((40, 20, 3), np.uint8)])  # without camera, times and person
    assert gallery.export(tmp_path / "part", table="parquet", ids=[gallery.entries(newest=True).entries[0].id]) == 1
    other = parquet.read_table(tmp_path / "part" / "entries.parquet")
    assert other.schema.equals(table.schema) and other["start"].to_pylist() == [None]
    assert gallery.export(tmp_path / "none", table="parquet", cameras=["nowhere"]) == 0
    assert parquet.read_table(tmp_path / "none" / "entries.parquet").schema.equals(table.schema)


def test_parquet_without_its_library_is_refused_before_any_work(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(RecipeError, match="pip install 'resight\\[parquet\\]'"):
        gallery.export(tmp_path / "out", table="parquet")
    assert not (tmp_path / "out").exists()


def test_info(gallery: Gallery) -> None:
    info = gallery.info()
    assert (info.tracklets, info.cameras, info.first, info.last) == (8, {"door": 4, "hall": 4}, 0.0, 425.0)
    assert "door: 4 tracklets" in str(info) and "0 s to 425 s" in str(info) and json.dumps(info.to_json())
