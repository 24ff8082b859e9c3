"""Check every line of a manifest. The reader stops at the first line that it cannot read."""

from __future__ import annotations

from pathlib import Path

from resight.data.readers.listing import decode_text, read_file, read_text
from resight.data.readers.manifest_lines import parse_entry, parse_lines
from resight.data.readers.names import find_alike, one_spelling
from resight.doctor.report import Findings
from resight.doctor.tables import check_encoding
from resight.errors import DatasetError


def check_manifest(path: Path, findings: Findings) -> None:
    """Check the lines of a manifest, and that the frames in it exist.

    Args:
        path: The .jsonl or .csv file.
        findings: Receives ``text-encoding``, ``manifest-line``, ``frames-missing``.
    """
    try:
        read_text(path)
    except DatasetError:
        check_encoding(path, findings)
    wrong: list[str] = []
    missing: list[str] = []
    text = decode_text(read_file(path))
    names: dict[str, set[str]] = {"person": set(), "camera": set()}
    for line in parse_lines(text, path.suffix):
        where = f"line {line.number}"
        if line.problem:
            wrong.append(f"{where}: {line.problem}")
            continue
        try:
            entry = parse_entry(line.values, where)
        except DatasetError as error:
            wrong.append(str(error))
            continue
        missing += (
            f"{where}: {frame}"
            for frame in entry.frames
            if not (path.parent / frame).exists() and find_alike(path.parent, frame) is None
        )
        names["person"].add(one_spelling(entry.person))
        names["camera"].add(one_spelling(entry.camera))
    for values in names.values():
        seen: dict[str, str] = {}
        first = [(seen.setdefault(name.casefold(), name), name) for name in sorted(values)]
        pairs = [f"{other} and {name}" for other, name in first if other != name]
        findings.add_each("names-differ-in-case", pairs, f"{len(pairs)} such pairs in {path.name}", expected="one name")
    findings.add_each(
        "manifest-line", wrong, f"{len(wrong)} such lines in {path.name}", expected="one tracklet or frame per line"
    )
    findings.add_each(
        "frames-missing", missing, f"{len(missing)} paths in {path.name} that do not exist",
        expected=f"paths relative to {path.parent}", remedy="copy the missing frames, or correct the paths",
    )  # fmt: skip
