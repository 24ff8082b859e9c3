"""Examine the input of `resight ingest`: files of cameras, videos, and tracks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from resight.data.readers.folder import read_tracklet
from resight.doctor.datasets import Stage
from resight.doctor.frames import check_frames
from resight.doctor.numbers import Group, check_numbers
from resight.doctor.report import Findings, Report
from resight.doctor.tables import check_encoding
from resight.doctor.tracks import check_tracks
from resight.errors import DatasetError
from resight.ingest.cameras import Source, check_names, find_sources, load_tables, read_source
from resight.ingest.footage import open_footage, video_files
from resight.ingest.numbering import IN_ORDER
from resight.ingest.video import Footage
from resight.progress import Progress

_DECODED = 300
"""Number of pictures that are decoded at the beginning of a video, unless all are."""
_EVEN = 0.1
"""A picture is off schedule if its distance to the previous one differs from the median by more than this share."""


def examine_cameras(path: Path, stage: Stage, *, everything: bool = False) -> Report:
    """Examine a TOML file of cameras, a video, or a folder of frames.

    Args:
        path: Path as for `resight ingest`.
        stage: Shows progress.
        everything: Decode every picture, not only the first ones of each video.
    """
    findings = Findings()
    counts = {"cameras": 0, "pictures": 0, "pictures decoded": 0, "tracklets to cut": 0}
    for source in _find(path, findings):
        counts["cameras"] += 1
        footage = _open(source, findings)
        if footage is not None:
            counts["pictures"] += len(footage.times)
            with stage(f"decoding {source.name}", "pictures") as progress:
                counts["pictures decoded"] += _check_footage(source, footage, everything, findings, progress)
        if source.tracks is None:
            findings.add("no-tracks", f"camera {source.name}")
        counts["tracklets to cut"] += check_tracks(source, footage, findings)
    return Report(str(path), "cameras", findings.sorted(), counts)


def _find(path: Path, findings: Findings) -> list[Source]:
    """Return the cameras that can be read, and add findings for the others."""
    if path.suffix.lower() != ".toml":
        return list(find_sources(path))
    check_encoding(path, findings)
    sources: list[Source] = []
    try:
        tables = load_tables(path)
    except DatasetError as error:
        findings.add("cameras-file", str(error), expected="[[camera]] tables", places=[str(path)])
        return []
    for number, table in enumerate(tables, start=1):
        try:
            sources.append(read_source(table, path, number))
        except DatasetError as error:
            findings.add("cameras-file", str(error), expected="a camera", places=[f"{path}, camera {number}"])
    try:
        check_names(tuple(sources))
    except DatasetError as error:
        findings.add("cameras-file", str(error), expected="a different name for each camera", places=[str(path)])
    return sources


def _open(source: Source, findings: Findings) -> Footage | None:
    try:
        return open_footage(source.video, source.rate, in_order=source.numbers == "order")
    except DatasetError as error:
        kind = "frames-unnumbered" if IN_ORDER in str(error) else "video-unreadable"
        findings.add(kind, str(error), expected="a video or a folder of frames", places=[source.place])
        return None


def _check_footage(source: Source, footage: Footage, everything: bool, findings: Findings, progress: Progress) -> int:
    """Check the pictures of one camera, and return how many were decoded."""
    files = video_files(source.video)
    if not files:
        return _check_images(source.files[0], everything, findings, progress)
    expected = sum(map(_pictures_in_header, files))
    if expected > len(footage.times) + footage.lost:
        findings.add(
            "video-truncated", f"{len(footage.times):,} pictures", expected=f"{expected:,}, the number in its header",
            places=[source.place],
        )  # fmt: skip
    if footage.lost:
        findings.add("pictures-undecodable", f"{footage.lost} pictures of {source.place}", count=footage.lost)
    sizes = np.unique(footage.sizes, axis=0)
    if len(sizes) > 1:
        words = ", ".join(f"{height} × {width}" for height, width in sizes[:4].tolist())
        findings.add("picture-size-changes", f"{words} (height × width) in {source.place}", expected="one size")
    _check_rate(source, footage, findings)
    wanted = range(len(footage.times) if everything else min(_DECODED, len(footage.times)))
    for index, _ in footage.decode(wanted):
        progress(index + 1, len(wanted))
    return len(wanted)


def _check_images(folder: Path, everything: bool, findings: Findings, progress: Progress) -> int:
    """Check the images of one camera, and return how many were decoded."""
    group = Group(folder.name, "", read_tracklet(folder).names)
    of_folder = Findings()
    check_numbers([group], "folder", of_folder)
    for finding in of_folder.sorted():
        if finding.kind in ("same-number-twice", "unpadded-numbers", "frame-gaps"):
            findings.add_finding(finding)
    return check_frames(folder, [group], "folder", findings, everything=everything, progress=progress).decoded


def _check_rate(source: Source, footage: Footage, findings: Findings) -> None:
    steps = np.diff(footage.times)
    if not len(steps):
        return
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > max(_EVEN * usual, 0.002))
    # Tools that cut videos often leave two or three uneven steps at the ends.
    if len(uneven) > max(2, 0.01 * len(steps)):
        findings.add(
            "variable-frame-rate",
            f"steps of {steps.min():.3f} to {steps.max():.3f} s in {source.place}",
            expected=f"{usual:.3f} s, the median", count=len(uneven), places=[f"picture {n + 2}" for n in uneven[:5]],
            severity="warning" if source.tracks is not None and source.rate is None else "note",
        )  # fmt: skip


def _pictures_in_header(path: Path) -> int:
    """Return the number of pictures in the header of a video, 0 if it has none."""
    import av

    with suppress(av.error.FFmpegError, OSError), av.open(str(path)) as container:
        return int(container.streams.video[0].frames)
    return 0
