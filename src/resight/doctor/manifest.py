"""Check every line of a manifest. The reader stops at the first line that it cannot read."""

from __future__ import annotations

import io
from pathlib import Path

from resight.data.readers.manifest import parse_entry, parse_lines
from resight.doctor.report import Findings
from resight.doctor.tables import check_encoding
from resight.errors import DatasetError


def check_manifest(path: Path, findings: Findings) -> None:
    """Check the lines of a manifest, and that the frames in it exist.

    Args:
        path: The .jsonl or .csv file.
        findings: Receives ``text-encoding``, ``manifest-line``, ``frames-missing``.
    """
    check_encoding(path, findings)
    wrong: list[str] = []
    missing: list[str] = []
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for line in parse_lines(io.StringIO(text), path.suffix):
        where = f"line {line.number}"
        if line.problem:
            wrong.append(f"{where}: {line.problem}")
            continue
        try:
            entry = parse_entry(line.values, where)
        except DatasetError as error:
            wrong.append(str(error))
            continue
        missing += (f"{where}: {frame}" for frame in entry.frames if not (path.parent / frame).exists())
    findings.add_each(
        "manifest-line", wrong, f"{len(wrong)} such lines in {path.name}", expected="one tracklet or frame per line"
    )
    findings.add_each(
        "frames-missing", missing, f"{len(missing)} paths in {path.name} that do not exist",
        expected=f"paths relative to {path.parent}", remedy="copy the missing frames, or correct the paths",
    )  # fmt: skip
