"""Every accepted format of tracks gives the same boxes; what cannot be read is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from resight.errors import DatasetError
from resight.ingest.skipped import SkipLog
from resight.ingest.tracks import Tracks, read_tracks

COUNT = 30
Rows = Callable[[int, int, int, int, int, int], str]
"""Frame from 0, track, left, top, width, height → a line."""


def lines(row: Rows, tracks: int = 2) -> str:
    return "".join(
        row(n, track, 8 + 3 * n, 20 + 60 * track, 28, 72) + "\n" for n in range(COUNT) for track in range(1, 1 + tracks)
    )


def read(tmp_path: Path, text: str, name: str = "t.txt", **how: object) -> Tracks:
    (tmp_path / name).write_bytes(text.encode())
    return read_tracks(tmp_path / name, SkipLog(), **how)  # type: ignore[arg-type]


FORMS: dict[str, tuple[str, Rows, int]] = {
    "MOT": ("", lambda n, t, x, y, w, h: f"{n + 1},{t},{x},{y},{w},{h},0.9,-1,-1,-1", 1),
    "supervision": (
        "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,frame_index",
        lambda n, t, x, y, w, h: f"{x},{y},{x + w},{y + h},0,0.9,{t},{n}",
        0,
    ),
    "corners": ("frame,id,x1,y1,x2,y2", lambda n, t, x, y, w, h: f"{n + 1},{t},{x},{y},{x + w},{y + h}", 1),
    "id first": ("id,frame,x,y,w,h", lambda n, t, x, y, w, h: f"{t},{n + 1},{x},{y},{w},{h}", 1),
    "capitals and units": (
        "Track ID; Frame No.; BB Left [px]; BB Top [px]; BB Width; BB Height",
        lambda n, t, x, y, w, h: f"{t};{n + 1};{x};{y};{w};{h}",
        1,
    ),
    "decimal commas": (
        "frame;id;left;top;width;height",
        lambda n, t, x, y, w, h: f"{n + 1};{t};{x},0;{y},0;{w},00;{h},0",
        1,
    ),
    "decimal commas without header": ("", lambda n, t, x, y, w, h: f"{n + 1};{t};{x},0;{y},0;{w},0;{h},0;0,9", 1),
    "decimal commas and blanks": ("", lambda n, t, x, y, w, h: f"{n + 1} {t} {x},0 {y},0 {w},0 {h},0", 1),
    "a comment as header": (
        "# id frame x1 y1 x2 y2",
        lambda n, t, x, y, w, h: f"{t} {n + 1} {x} {y} {x + w} {y + h}",
        1,
    ),
    "centres": ("frame,id,cx,cy,w,h", lambda n, t, x, y, w, h: f"{n + 1},{t},{x + w / 2},{y + h / 2},{w},{h}", 1),
    "quotes": (
        '"frame","id","left","top","width","height"',
        lambda n, t, *b: f'"{n + 1}","{t}",' + ",".join(map(str, b)),
        1,
    ),
    "KITTI": (
        "",
        lambda n, t, x, y, w, h: f"{n} {t} Pedestrian 0 0 -1.57 {x} {y} {x + w} {y + h} 1.7 0.6 0.8 1 1 9 0.1 0.9",
        0,
    ),
    "VATIC": ("", lambda n, t, x, y, w, h: f'{t} {x} {y} {x + w} {y + h} {n} 0 0 1 "person"', 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_text_gives_the_same_boxes(tmp_path: Path, form: str) -> None:
    header, row, first = FORMS[form]
    tracks = read(tmp_path, (header + "\n" if header else "") + lines(row))
    boxes = tracks.boxes
    assert (boxes.frame - first).tolist() == [n for n in range(COUNT) for _ in (1, 2)]
    assert boxes.track.tolist() == [1, 2] * COUNT
    assert boxes.box[0].tolist() == [8, 80, 28, 72]
    assert boxes.box[-1].tolist() == [8 + 3 * (COUNT - 1), 140, 28, 72]
    assert tracks.base in (None, first)


def test_a_document_gives_the_same_boxes(tmp_path: Path) -> None:
    expected = read(tmp_path, lines(FORMS["MOT"][1])).boxes
    tracks = {
        t: "".join(
            f'<box frame="{n}" outside="0" xtl="{8 + 3 * n}" ytl="{20 + 60 * t}" '
            f'xbr="{36 + 3 * n}" ybr="{92 + 60 * t}"/>'
            for n in range(COUNT)
        )
        for t in (1, 2)
    }
    gone = '<box frame="40" xtl="0" ytl="0" xbr="9" ybr="9" outside="1"/>'
    xml = "".join(f'<track id="{t}" label="person">{boxes}{gone}</track>' for t, boxes in tracks.items())
    car = '<track id="7" label="car"><box frame="1" xtl="0" ytl="0" xbr="90" ybr="90" outside="0"/></track>'
    cvat = read(tmp_path, f"<annotations>{xml}{car}</annotations>", "a.xml")
    rows = [(n, t, [8 + 3 * n, 20 + 60 * t, 28, 72]) for n in range(COUNT) for t in (1, 2)]
    coco = {
        "images": [{"id": 5 + n, "file_name": f"{n:06d}.jpg", "frame_id": n} for n in range(COUNT)],
        "annotations": [{"image_id": 5 + n, "track_id": t, "bbox": box, "category_id": 1} for n, t, box in rows],
        "categories": [{"id": 1, "name": "person"}],
    }
    sink = [
        {"x_min": x, "y_min": y, "x_max": x + w, "y_max": y + h, "tracker_id": t, "frame_index": n}
        for n, t, (x, y, w, h) in rows
    ]
    for found in (cvat, read(tmp_path, json.dumps(coco), "a.json"), read(tmp_path, json.dumps(sink), "b.json")):
        assert found.base == 0
        assert (found.boxes.frame + 1).tolist() == expected.frame.tolist()
        assert found.boxes.track.tolist() == expected.track.tolist()
        assert found.boxes.box.tolist() == expected.box.tolist()


def test_a_folder_of_yolo_labels_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "classes.txt").write_text("person\ncar\n")
    for n in range(COUNT):
        (folder / f"door_{n + 1}.txt").write_text(
            "" if n == 4 else "0 0.5 0.5 0.1 0.4 0.8 7\n2 0.5 0.5 0.1 0.4 0.8 8\n"
        )
    tracks = read_tracks(folder, SkipLog(), classes=("0",))
    assert tracks.shares and len(tracks.boxes) == COUNT - 1
    assert set(tracks.boxes.track.tolist()) == {7} and 5 not in tracks.boxes.frame
    assert tracks.boxes.box[0] == pytest.approx([0.45, 0.3, 0.1, 0.4])
    assert "several classes" in read_tracks(folder, SkipLog()).notes[0]
    assert tracks.base is None
    (folder / "door_0.txt").write_text("")
    assert read_tracks(folder, SkipLog()).base == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("".join(f"0 0.{n:02d} 0.5 0.1 0.4 1\n" for n in range(10, 50)), "YOLO labels .*folder with a label file"),
        ("Pedestrian 0 0 -1.57 8 20 36 92 1.7 0.6\n" * 3, "KITTI object text .*neither frames nor ids"),
        ("frame;id;links;oben;breite;hoehe\n1;2;3;4;5;6\n", "no column for a box.*'links'"),
        ("id,x,y,w,h\n1,2,3,4,5\n", "no column for the frame"),
        ("frame,frame,x,y,w,h\n1,2,3,4,5,6\n", "two columns are named 'frame'"),
    ],
)
def test_a_form_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, text)


def test_one_file_for_all_cameras(tmp_path: Path) -> None:
    rows = [f"{c} 7 {n + 1} {8 + 3 * n + c} 20 28 72 -1 -1" for c in range(1, 13) for n in range(COUNT)]
    text = "\n".join(rows)
    boxes = read(tmp_path, text, camera="c003").boxes
    assert (len(boxes), boxes.box[0].tolist(), set(boxes.track.tolist())) == (COUNT, [11, 20, 28, 72], {7})
    with pytest.raises(DatasetError, match=r"cameras 1, 2, .* none is 'door'"):
        read(tmp_path, text, camera="door")


def test_classes_are_chosen_by_number_or_name(tmp_path: Path) -> None:
    text = lines(lambda n, t, x, y, w, h: f"{n + 1},{t},{x},{y},{w},{h},0.9,{16 * (t - 1)},-1,-1")
    assert "0 (30 rows), 16 (30 rows)" in read(tmp_path, text).notes[0]
    chosen = read(tmp_path, text, classes=("16",))
    assert (set(chosen.boxes.track.tolist()), chosen.notes) == ({2}, ())
    with pytest.raises(DatasetError, match=r"no row of .* is of the class 3: it has the classes 0"):
        read(tmp_path, text, classes=("3",))
    named = "frame,id,x,y,w,h,label\n1,1,1,1,9,9,Person\n1,2,1,1,9,9,dog\n"
    assert read(tmp_path, named).boxes.track.tolist() == [1]
    assert read(tmp_path, named, classes=("dog",)).boxes.track.tolist() == [2]


def test_columns_can_be_given(tmp_path: Path) -> None:
    text = lines(FORMS["corners"][1])
    boxes = read(tmp_path, text, columns=("frame", "id", "x1", "y1", "x2", "y2")).boxes
    assert boxes.box[0].tolist() == [8, 80, 28, 72]


def test_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(("frame\tid\tx\ty\tw\th\n" + "1\t2\t3\t4\t5\t6\n").encode("utf-16"))
    assert read_tracks(tmp_path / "t.csv", SkipLog()).boxes.box.tolist() == [[3, 4, 5, 6]]


def test_the_examples_of_the_documentation_are_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")
    section = text.split("## Tracks file\n")[1].split("\n## ")[0]
    parts = section.split("```\n")
    examples = [
        (re.findall(r"\*\*(.+?)\*\*", before)[-1], block)
        for before, block in zip(parts[::2], parts[1::2], strict=False)
    ]
    assert len(examples) == 8
    for name, example in examples:
        path = tmp_path / "t.txt"
        if name.startswith("A folder"):
            path = tmp_path / "labels"
            path.mkdir()
            (path / "door_17.txt").write_text(example)
        else:
            path = tmp_path / ("t.xml" if "XML" in name else "t.json" if "JSON" in name else "t.txt")
            path.write_text(example)
        boxes = read_tracks(path, SkipLog(), camera="c001").boxes
        assert 9 in boxes.track, name
        assert boxes.box[0].tolist() == pytest.approx([499, 158, 31, 75], abs=1) or name.startswith("A folder"), name
