"""Every line of a manifest, also where the reader stops at the first bad one."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resight.doctor.report import Findings
from resight.doctor.tables import check_encoding


def check_manifest(path: Path, findings: Findings) -> None:
    """Check the lines of a manifest, and that what they name is there.

    Args:
        path: the .jsonl or .csv file.
        findings: receives ``text-encoding``, ``manifest-line``, ``frames-missing``.
    """
    check_encoding(path, findings)
    wrong: list[str] = []
    missing: list[str] = []
    for number, line in _lines(path):
        if isinstance(line, str):
            wrong.append(f"line {number}: {line}")
            continue
        frames = line.get("frames") or line.get("frame")
        names = [frames] if isinstance(frames, str) else frames
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            wrong.append(f"line {number}: neither frames nor frame")
            continue
        if line.get("frame") and not line.get("tracklet") and not line.get("id"):
            wrong.append(f"line {number}: a frame without a tracklet")
        missing += (f"line {number}: {name}" for name in names if not (path.parent / name).exists())
    findings.add_each(
        "manifest-line", wrong, f"{len(wrong)} such lines in {path.name}", expected="a tracklet or a frame a line"
    )
    findings.add_each(
        "frames-missing", missing, f"{len(missing)} paths in {path.name} that lead nowhere",
        expected=f"paths relative to {path.parent}", remedy="copy what is missing, or mend the paths",
    )  # fmt: skip


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Number and content of each line, or what is wrong with it."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix == ".csv":
        reader = csv.DictReader(text.replace("\0", "").splitlines())
        try:
            for row in reader:
                whole = None not in row and None not in row.values()
                yield reader.line_num, row if whole else "another number of columns than the header"
        except csv.Error as error:
            yield reader.line_num, str(error)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"not JSON ({error})"
            continue
        yield number, values if isinstance(values, dict) else "not an object"
