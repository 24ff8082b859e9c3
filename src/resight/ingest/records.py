"""What an ingested folder knows about itself: settings, cameras, manifest and report, all in ``.ingest/`` or derived.

``.ingest/settings.json`` holds the settings, ``.ingest/<camera>.json`` a camera's source and, when it is done, its
tracklets and what was left out. ``manifest.jsonl`` and ``report.json`` are written from these after each camera.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from resight.checkpoints import replace_file
from resight.errors import DatasetError
from resight.ingest.account import LeftOut
from resight.ingest.cameras import Source
from resight.ingest.crops import PlannedTracklet
from resight.ingest.settings import IngestSettings

HIDDEN = ".ingest"
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class CameraReport:
    """What became of one camera.

    Attributes:
        camera: its name.
        pictures: in its footage.
        boxes: that were usable, of the tracks or detections.
        tracklets: a line of the manifest each: id, person (None: not known), camera, start, end, frames, count.
        left_out: what was left out, and why.
    """

    camera: str
    pictures: int
    boxes: int
    tracklets: tuple[dict[str, Any], ...]
    left_out: tuple[LeftOut, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "camera": self.camera, "pictures": self.pictures, "boxes": self.boxes,
            "tracklets": list(self.tracklets), "left_out": [entry.to_json() for entry in self.left_out],
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CameraReport:
        """What `to_json` made."""
        left_out = tuple(LeftOut(**entry) for entry in values["left_out"])
        return cls(values["camera"], values["pictures"], values["boxes"], tuple(values["tracklets"]), left_out)

    def to_text(self) -> str:
        """A line, and one for each reason."""
        frames = sum(tracklet["count"] for tracklet in self.tracklets)
        head = (
            f"camera {self.camera}: {self.pictures} pictures, {self.boxes} boxes: {len(self.tracklets)} tracklets of "
            f"{frames} frames"
        )
        return "\n".join([head, *(f"  left out: {entry}" for entry in self.left_out)])


@dataclass(frozen=True)
class IngestReport:
    """What became of all cameras of a folder, those of earlier runs included.

    Attributes:
        out: the folder.
        cameras: in the order of their names.
        seconds: that this run took; not written to the folder.
    """

    out: Path
    cameras: tuple[CameraReport, ...]
    seconds: float

    @property
    def tracklets(self) -> int:
        """Number of tracklets."""
        return sum(len(camera.tracklets) for camera in self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the same for every run that ends with the same folder."""
        return {"tracklets": self.tracklets, "cameras": [camera.to_json() for camera in self.cameras]}

    def to_text(self) -> str:
        """A paragraph for each camera."""
        return "\n".join(camera.to_text() for camera in self.cameras)


class Records:
    """The records of one folder."""

    def __init__(self, out: Path):
        self.out = out
        self.hidden = out / HIDDEN

    def check(self, settings: IngestSettings) -> None:
        """Insist that the folder is new, empty, or was made with the same settings. Writes nothing.

        Raises:
            DatasetError: if not.
        """
        path = self.hidden / "settings.json"
        if path.is_file():
            made, asked = _read(path), _shared(settings)
            wrong = [name for name, value in asked.items() if made.get(name) != value]
            if wrong:
                differ = "; ".join(f"{name} = {made.get(name)}, not {asked[name]}" for name in wrong)
                raise DatasetError(
                    f"{self.out} was made with {differ}: one folder holds one way of cutting; use the same "
                    "settings, or another folder"
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise DatasetError(f"{self.out} holds something that ingestion did not make; name a new or an empty folder")
        self.labels()

    def check_camera(self, source: Source, identity: dict[str, Any]) -> CameraReport | None:
        """The report of a camera that is done, or None; insists that it is still the same camera.

        Raises:
            DatasetError: if the folder has a camera of this name that was made from something else.
        """
        path = self._camera(source.name)
        if not path.is_file():
            return None
        values = _read(path)
        changed = [key for key, value in identity.items() if values["source"].get(key) != value]
        if changed:
            raise DatasetError(
                f"{self.out} has a camera {source.name} made from another {' and '.join(changed)}; give the camera "
                "another name, or use another folder"
            )
        return CameraReport.from_json(values["report"]) if values["report"] else None

    def begin(self, settings: IngestSettings) -> None:
        """Write the settings."""
        _write(self.hidden / "settings.json", _shared(settings))

    def write_camera(self, source: Source, identity: dict[str, Any], report: CameraReport | None) -> None:
        """Write what a camera is made from and, when it is done, what became of it."""
        values = {"source": identity, "report": report.to_json() if report else None}
        _write(self._camera(source.name), values)

    def publish(self, seconds: float) -> IngestReport:
        """Write manifest and report from all cameras that are done; persons that somebody wrote into it stay."""
        paths = sorted(path for path in self.hidden.glob("*.json") if path.name != "settings.json")
        done = [values["report"] for values in map(_read, paths) if values["report"]]
        report = IngestReport(self.out, tuple(map(CameraReport.from_json, done)), seconds)
        labels = self.labels()
        lines = [line | {"person": labels.get(line["id"])} for camera in report.cameras for line in camera.tracklets]
        with replace_file(self.out / MANIFEST) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        _write(self.out / "report.json", report.to_json())
        return report

    def labels(self) -> dict[str, Any]:
        """Persons in the manifest by tracklet.

        Raises:
            DatasetError: if somebody edited the manifest so that it cannot be read.
        """
        path = self.out / MANIFEST
        if not path.is_file():
            return {}
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            return {line["id"]: line["person"] for line in lines if line.get("person") is not None}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DatasetError(
                f"{path} is no longer a manifest ({error!r}), and its persons would be lost: mend it, or delete it to "
                "have it written again without persons"
            ) from error

    def _camera(self, name: str) -> Path:
        # a camera may be called "settings"
        return self.hidden / f"camera-{name}.json"


def manifest_line(plan: PlannedTracklet, source: Source, count: int) -> dict[str, Any]:
    """One tracklet as a line of the manifest.

    Times are ISO 8601 where the camera's start is known, and seconds from its first picture where not.
    """
    times: list[str | float] = [round(plan.start, 3), round(plan.end, 3)]
    if source.start is not None:
        times = [
            (source.start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
            for seconds in (plan.start, plan.end)
        ]
    return {
        "id": plan.id, "person": None, "camera": plan.camera, "start": times[0], "end": times[1], "frames": plan.id,
        "count": count,
    }  # fmt: skip


def _shared(settings: IngestSettings) -> dict[str, Any]:
    """The settings that all cameras share: the detector belongs to those that have no tracks."""
    values = settings.to_json()
    del values["detector"]
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it to have its camera done again") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{path} is damaged: expected an object; delete it to have its camera done again")
    return values


def _write(path: Path, values: dict[str, Any]) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
