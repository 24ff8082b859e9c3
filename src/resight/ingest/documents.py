"""Read tracks from structured documents: CVAT video XML, COCO video JSON, and JSON rows with named columns."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from resight.data.readers.listing import decode_text, read_file
from resight.data.readers.names import plain_name
from resight.errors import DatasetError
from resight.ingest.columns import Columns, read_header

DocumentRow = tuple[str, tuple[float, ...], str]
"""Place of a row; frame, track, left, top, width, height, score; class."""


@dataclass(frozen=True)
class Document:
    """The boxes in a document.

    Attributes:
        form: Name of the format.
        base: Number of the first frame; None: the format does not define it.
        rows: The boxes.
    """

    form: str
    base: int | None
    rows: list[DocumentRow]


def read_document(path: Path, video: str) -> Document:
    """Read a document by its suffix.

    Args:
        path: An .xml or .json file.
        video: Name of the video without suffix, to choose it in a COCO document with several.

    Raises:
        DatasetError: If it cannot be read or has another format.
    """
    content = read_file(path, "the tracks")
    try:
        if path.suffix.lower() == ".xml":
            return _read_cvat(ElementTree.fromstring(content), path)
        values = json.loads(decode_text(content))
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not {path.suffix[1:].upper()} ({error}): export it again") from error
    try:
        if isinstance(values, dict) and "annotations" in values and "images" in values:
            return _read_coco(values, path, video)
        if isinstance(values, list) and values and all(isinstance(row, dict) for row in values):
            return _read_rows(values, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DatasetError(f"{path} has an entry that is not as in COCO video JSON ({error!r})") from error
    raise DatasetError(
        f"{path} is neither COCO video JSON (images, annotations with track_id) nor a list of rows with named columns"
    )


def _read_cvat(root: ElementTree.Element, path: Path) -> Document:
    """Read ``<track id label><box frame xtl ytl xbr ybr outside>``, as CVAT exports videos."""
    tracks = root.findall(".//track")
    if not tracks:
        kind = "CVAT images XML, which has no tracks" if root.find(".//image") is not None else f"<{root.tag}>"
        raise DatasetError(
            f"{path} is {kind}: expected CVAT video XML with <track> elements; export it as CVAT for video, or as MOT"
        )
    rows: list[DocumentRow] = []
    for number, track in enumerate(tracks):
        name = track.get("id", str(number))
        if not re.fullmatch(r"[0-9]{1,15}", name):
            raise DatasetError(f"{path}: a track has the id {name!r}, expected a number")
        for box in track.findall("box"):
            if box.get("outside") == "1":
                continue
            where = f"{path.name}, track {name}, frame {box.get('frame')}"
            try:
                frame, left, top, right, bottom = (float(box.attrib[k]) for k in ("frame", "xtl", "ytl", "xbr", "ybr"))
            except (KeyError, ValueError) as error:
                raise DatasetError(f"{where}: expected numbers frame, xtl, ytl, xbr, ybr ({error})") from error
            values = (frame, float(name), left, top, right - left, bottom - top, 1.0)
            rows.append((where, values, plain_name(track.get("label", ""))))
    return Document("CVAT video XML", 0, rows)


def _read_coco(values: Mapping[str, Any], path: Path, video: str) -> Document:
    """Read COCO JSON whose annotations have tracks: ``track_id``, ``instance_id`` or ``attributes.track_id``."""
    images = {image["id"]: image for image in values["images"]}
    names = {entry["id"]: plain_name(str(entry["name"])) for entry in values.get("categories", ())}
    videos = {
        entry["id"]: Path(str(entry.get("name", entry.get("file_name", "")))) for entry in values.get("videos", ())
    }
    used = Counter(image.get("video_id") for image in images.values())
    if len(used) > 1:
        chosen = [key for key in used if key in videos and video in (videos[key].name, videos[key].stem)]
        if len(chosen) != 1:
            known = ", ".join(str(name) for name in list(videos.values())[:8])
            raise DatasetError(
                f"{path} has the videos {known}, but none is named {video!r}; rename the video or export one"
            )
        images = {key: image for key, image in images.items() if image.get("video_id") == chosen[0]}
    numbers = _coco_frames(images, path)
    rows: list[DocumentRow] = []
    for number, box in enumerate(values["annotations"]):
        if box["image_id"] not in images:
            if len(used) > 1:
                continue
            raise DatasetError(f"{path}: annotation {number} is of image {box['image_id']}, which is not listed")
        track = next(
            (source[key] for source in (box, box.get("attributes") or {})
             for key in ("track_id", "instance_id", "trackId") if source.get(key) is not None), -1,
        )  # fmt: skip
        left, top, width, height = map(float, box["bbox"])
        score = box.get("score")
        where = f"{path.name}, annotation {number}"
        kind = names.get(box.get("category_id"), str(box.get("category_id", "")))
        frame = float(numbers[box["image_id"]])
        rows.append(
            (where, (frame, float(track), left, top, width, height, 1.0 if score is None else float(score)), kind)
        )
    least = min(numbers.values(), default=0)
    return Document("COCO video JSON", least if least in (0, 1) else None, rows)


def _coco_frames(images: Mapping[Any, Mapping[str, Any]], path: Path) -> dict[Any, int]:
    """Return the frame number of each image: its ``frame_id`` or the like, else the number in its file name."""
    for key in ("frame_id", "frame_index", "frame_number", "frame"):
        if all(isinstance(image.get(key), int) for image in images.values()):
            return {name: int(image[key]) for name, image in images.items()}
    digits = {name: re.findall(r"[0-9]+", Path(str(image.get("file_name", ""))).stem) for name, image in images.items()}
    if not all(digits.values()):
        raise DatasetError(f"{path}: images have neither frame_id nor a number in file_name; export the frame numbers")
    return {name: int(found[-1]) for name, found in digits.items()}


def _read_rows(values: list[Mapping[str, Any]], path: Path) -> Document:
    """Read a list of objects whose keys name the columns."""
    names = list(values[0])
    columns: Columns = read_header(names, str(path))

    def number(row: Mapping[str, Any], column: int) -> float:
        return float(row[names[column]])

    rows: list[DocumentRow] = []
    for position, row in enumerate(values, start=1):
        track = -1.0
        if columns.id is not None and row.get(names[columns.id]) not in (None, ""):
            track = number(row, columns.id)
        score = 1.0 if columns.score is None else number(row, columns.score)
        box = columns.corner_box([number(row, n) for n in columns.box])
        kind = "" if columns.class_ is None else plain_name(str(row.get(names[columns.class_], "")))
        rows.append((f"{path.name}, row {position}", (number(row, columns.frame), track, *box, score), kind))
    return Document("JSON rows with named columns", columns.base, rows)
