"""Read and write the records of an ingested folder: settings, cameras, manifest and report.

``.ingest/settings.json`` holds the settings. ``.ingest/camera-<name>.json`` holds what a camera is made from and, when
it is finished, its tracklets and what was skipped. ``manifest.jsonl`` and ``report.json`` are derived from these files
after each camera.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from resight.data.readers.listing import is_ignored
from resight.errors import DatasetError
from resight.ingest.cameras import Source
from resight.ingest.crops import PlannedTracklet
from resight.ingest.settings import IngestSettings
from resight.ingest.skipped import Skipped
from resight.outputs import replace_file
from resight.tracklet import Recording
from resight.words import counted

HIDDEN = ".ingest"
MANIFEST = "manifest.jsonl"
BACKUP = "manifest-before-redo.jsonl"


@dataclass(frozen=True)
class CameraReport:
    """Result of ingesting one camera.

    Attributes:
        camera: Camera name.
        video_frames: Number of video frames.
        boxes: Number of usable boxes in the tracks or detections.
        tracklets: One manifest line per tracklet: id, person (None: unknown), camera, start, end, frames, count.
        skipped: What was skipped, and why.
        notes: What else the user should know.
    """

    camera: str
    video_frames: int
    boxes: int
    tracklets: tuple[dict[str, Any], ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "camera": self.camera, "video_frames": self.video_frames, "boxes": self.boxes,
            "tracklets": list(self.tracklets), "skipped": [entry.to_json() for entry in self.skipped],
            "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CameraReport:
        """Return the report that `to_json` was called on."""
        skipped = tuple(Skipped(**entry) for entry in values["skipped"])
        notes = tuple(values.get("notes", ()))
        return cls(
            values["camera"], values["video_frames"], values["boxes"], tuple(values["tracklets"]), skipped, notes
        )

    def to_text(self) -> str:
        """Return one line of totals, followed by one line per note and per reason for skipping something."""
        frames = sum(tracklet["count"] for tracklet in self.tracklets)
        noun = "frame" if self.video_frames == 1 else "frames"
        totals = (
            f"camera {self.camera}: {self.video_frames} video {noun}, {counted(self.boxes, 'boxes')}, "
            f"{counted(len(self.tracklets), 'tracklets')} with {counted(frames, 'frames')}"
        )
        notes = [f"  note: {note}" for note in self.notes]
        return "\n".join([totals, *notes, *(f"  skipped: {entry}" for entry in self.skipped)])


@dataclass(frozen=True)
class IngestReport:
    """Result of ingesting all cameras of a folder, including those of earlier runs.

    Attributes:
        out: The folder.
        cameras: One report per camera, ordered by name.
        seconds: Duration of this run; not written to the folder.
    """

    out: Path
    cameras: tuple[CameraReport, ...]
    seconds: float

    @property
    def tracklets(self) -> int:
        """Number of tracklets of all cameras."""
        return sum(len(camera.tracklets) for camera in self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, without the duration, so that equal folders have equal reports."""
        return {"tracklets": self.tracklets, "cameras": [camera.to_json() for camera in self.cameras]}

    def to_text(self) -> str:
        """Return the text of all camera reports."""
        return "\n".join(camera.to_text() for camera in self.cameras)


@dataclass(frozen=True)
class Before:
    """The tracklets of a camera before it was done again.

    Attributes:
        persons: Id → start, end, number of frames and person of each tracklet for which a person had been entered.
    """

    persons: dict[str, list[Any]]

    def apply(self, tracklets: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
        """Return manifest lines with the persons of tracklets that have not changed, and a note about the others."""
        lines = [
            line | {"person": self.persons[line["id"]][3]} if self._same(line) else line for line in tracklets
        ]  # fmt: skip
        dropped = len(self.persons) - sum(map(self._same, tracklets))
        note = f"persons entered for {dropped} tracklets that have changed were dropped; they are in {HIDDEN}/{BACKUP}"
        return lines, [note] if dropped else []

    def _same(self, line: dict[str, Any]) -> bool:
        return self.persons.get(line["id"], [])[:3] == [line["start"], line["end"], line["count"]]


class Records:
    """The records of one ingested folder.

    Args:
        out: The folder.

    Attributes:
        out: The folder.
        hidden: Its subfolder for records and intermediate files.
    """

    def __init__(self, out: Path):
        self.out = out
        self.hidden = out / HIDDEN

    def check(self, settings: IngestSettings) -> None:
        """Check that the folder is new, empty, or was made with the same settings. Nothing is written.

        Raises:
            DatasetError: If it is not.
        """
        path = self.hidden / "settings.json"
        if path.is_file():
            recorded, requested = _read(path), _shared(settings)
            recorded = _shared(IngestSettings()) | recorded  # an earlier version did not know every setting
            changed = [name for name, value in requested.items() if recorded[name] != value]
            if changed:
                differences = "; ".join(f"{name} = {recorded[name]}, not {requested[name]}" for name in changed)
                raise DatasetError(
                    f"{self.out} was made with {differences}: all cameras of a folder must have the same settings; use "
                    "those settings, or another folder"
                )
        elif self.out.exists() and (
            not self.out.is_dir() or not all(is_ignored(path.name) for path in self.out.iterdir())
        ):
            raise DatasetError(
                f"{self.out} contains files that were not written by ingestion; use a new or an empty folder"
            )
        self.labels()

    def is_finished(self, source: Source, identity: dict[str, Any], *, redo: bool) -> bool:
        """Return whether a camera is finished. One that yielded no tracklet is not.

        Args:
            source: The camera.
            identity: What the camera is made from; must equal what is recorded for a camera of the same name.
            redo: Whether a camera that was made from something else is to be done again.

        Raises:
            DatasetError: If the folder has a camera of this name that was made from something else and `redo` is not
                set, or its tracklets were moved, so that it cannot be done again.
        """
        path = self._camera_path(source.name)
        if not path.is_file():
            return False
        values = _read(path)
        report = values["report"]
        if report and not report["tracklets"]:
            return False
        recorded = values["source"]
        if "numbers" not in recorded:  # written by an earlier version, which counted from 1 by default
            first = None if recorded.get("first_frame") == 1 else recorded.get("first_frame")
            recorded = {"numbers": "names", "columns": [], "classes": []} | recorded | {"first_frame": first}
        changed = [key for key, value in identity.items() if recorded.get(key) != value]
        if not changed:
            return bool(report)
        if not redo:
            raise DatasetError(
                f"the camera {source.name} in {self.out} was made from different input ({', '.join(changed)}); use "
                "--redo to delete its tracklets and cut it again, give this camera another name, or use another folder"
            )
        moved = [line["id"] for line in (report or {}).get("tracklets", ()) if not (self.out / line["id"]).is_dir()]
        if moved:
            raise DatasetError(
                f"the camera {source.name} in {self.out} cannot be done again: its tracklet {moved[0]} was moved or "
                "deleted; put it back, or use another folder"
            )
        return False

    def begin_camera(self, source: Source, identity: dict[str, Any], thumbnails: Path) -> Before:
        """Record what a camera is made from. If it was made from something else before, delete its tracklets.

        Args:
            source: The camera.
            identity: What it is made from.
            thumbnails: Folder of the thumbnail strips.

        Returns:
            The tracklets that it had.
        """
        path = self._camera_path(source.name)
        values = _read(path) if path.is_file() else {}
        before = Before(values.get("before", {}))
        if values and values["source"] != identity:
            report = values["report"] or {"tracklets": ()}
            labels = self.labels()
            before = Before({
                line["id"]: [line["start"], line["end"], line["count"], labels[line["id"]]]
                for line in report["tracklets"] if line["id"] in labels
            })  # fmt: skip
            if before.persons:
                with replace_file(self.hidden / BACKUP) as temporary:
                    shutil.copyfile(self.out / MANIFEST, temporary)
            folders = [self.out / line["id"] for line in report["tracklets"]]
            if not values["report"]:  # interrupted: only the tracklets that were cut so far
                folders = list(self.out.glob(f"*/{glob.escape(source.name)}/*"))
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
                for above in (folder.parent, folder.parent.parent):
                    with suppress(OSError):  # not empty: another camera of the same person
                        above.rmdir()
            shutil.rmtree(thumbnails / source.name, ignore_errors=True)
            for name in ("people", "detections", "tracks"):
                for file in self.hidden.glob(f"{name}-{glob.escape(source.name)}.*"):
                    file.unlink()
        _write(path, {"source": identity, "report": None, "before": before.persons})
        if values and values["source"] != identity:
            self.publish(0)  # otherwise the persons in the manifest would be entered for the new tracklets
        return before

    def begin(self, settings: IngestSettings) -> None:
        """Write the settings."""
        _write(self.hidden / "settings.json", _shared(settings))

    def write_camera(self, source: Source, identity: dict[str, Any], report: CameraReport) -> None:
        """Write what a camera is made from and its report: it is finished."""
        _write(self._camera_path(source.name), {"source": identity, "report": report.to_json()})

    def publish(self, seconds: float) -> IngestReport:
        """Write the manifest and the report of all finished cameras; persons entered in the manifest are kept.

        Args:
            seconds: Duration of the run, for the returned report.

        Returns:
            The report.
        """
        paths = sorted(path for path in self.hidden.glob("*.json") if path.name != "settings.json")
        finished = [values["report"] for values in map(_read, paths) if values["report"]]
        report = IngestReport(self.out, tuple(map(CameraReport.from_json, finished)), seconds)
        labels = self.labels()
        lines = [
            line | {"person": labels.get(line["id"], line["person"])}
            for camera in report.cameras
            for line in camera.tracklets
        ]
        with replace_file(self.out / MANIFEST) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        _write(self.out / "report.json", report.to_json())
        return report

    def labels(self) -> dict[str, Any]:
        """Return the persons entered in the manifest, by tracklet id.

        Raises:
            DatasetError: If the manifest was edited and can no longer be read.
        """
        path = self.out / MANIFEST
        if not path.is_file():
            return {}
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            return {line["id"]: line["person"] for line in lines if line.get("person") is not None}
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise DatasetError(
                f"{path} is not a valid manifest ({error!r}). Repair it to keep the persons entered in it, or delete "
                "it to have it written again without persons"
            ) from error

    def _camera_path(self, name: str) -> Path:
        # The prefix avoids a clash with settings.json for a camera named "settings".
        return self.hidden / f"camera-{name}.json"


def manifest_line(plan: PlannedTracklet, source: Source, count: int, recording: Recording, out: Path) -> dict[str, Any]:
    """Return the manifest line of a tracklet.

    Times are ISO 8601 if the start time of the camera is known, and seconds since its first video frame if not.

    Args:
        plan: The tracklet.
        source: Its camera.
        count: Number of frames that were written.
        recording: File and time of its first frame.
        out: Folder of the manifest, to which the path of the recording is relative.
    """
    times: list[str | float] = [round(plan.start, 3), round(plan.end, 3)]
    if source.start is not None:
        times = [
            (source.start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
            for seconds in (plan.start, plan.end)
        ]
    return {
        "id": plan.id, "person": None, "camera": plan.camera, "start": times[0], "end": times[1], "frames": plan.id,
        "count": count, "recording": _relative(recording.file, out), "recording_time": round(recording.seconds, 3),
    }  # fmt: skip


def _relative(file: Path, folder: Path) -> str:
    """Return the path of a file seen from a folder; the absolute path if they are on different drives."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return str(file.resolve())


def _shared(settings: IngestSettings) -> dict[str, Any]:
    """Return the settings that all cameras share; the detector only concerns cameras without tracks."""
    values = settings.to_json()
    del values["detector"]
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged ({error}); delete it and run again to redo its camera") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{path} is damaged: expected a JSON object; delete it and run again to redo its camera")
    return values


def _write(path: Path, values: dict[str, Any]) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
