"""Examining by name: reports, files and exit status; and docs/doctor.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.doctor.breaking import frames_of_one, silent
from tests.doctor.conftest import Copy

from resight.cli import main
from resight.doctor.examine import examine
from resight.doctor.kinds import KINDS
from resight.errors import DatasetError

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
BEGIN, END = "<!-- kinds: tests/doctor/test_examine.py writes this table -->\n", "<!-- end of kinds -->"


def table() -> str:
    rows = [f"| `{name}` | {kind.severity} | {kind.meaning} | {kind.remedy} |" for name, kind in KINDS.items()]
    return "\n".join(["", "| kind | severity | what it means | what to do |", "|---|---|---|---|", *rows, "", ""])


def test_the_page_has_every_kind() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == table(), "old: run `python -m tests.doctor.test_examine`"


def test_the_page_lists_the_exit_statuses() -> None:
    assert re.search(r"\| 0 \|.*\n\| 1 \|.*--strict", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["mars", "duke-video", "ls-vid", "prid2011", "ilids-vid", "manifest"])
def test_a_missing_kind_is_guessed(kind: str, healthy: dict[str, Path]) -> None:
    report, statistics = examine(str(healthy[kind]), stage=silent)
    assert report.kind == kind
    assert statistics is not None
    assert "kind-guessed" in {finding.kind for finding in report.findings}


def test_a_folder_of_pictures_is_a_camera(healthy: dict[str, Path]) -> None:
    report, _ = examine(str(frames_of_one(healthy["mars"])[0].parent), stage=silent)
    assert report.kind == "cameras"


def test_the_number_of_a_split_is_ignored(healthy: dict[str, Path]) -> None:
    report, _ = examine(f"prid2011:{healthy['prid2011']}#3", stage=silent)
    assert report.status() == 0


@pytest.mark.parametrize("name", ["market:/data", "/nowhere/at/all", "mars"])
def test_an_unknown_name_is_an_error(name: str) -> None:
    with pytest.raises(DatasetError):
        examine(name, stage=silent)


def test_a_missing_path_is_reported(tmp_path: Path) -> None:
    report, _ = examine(f"mars:{tmp_path}/nothing", stage=silent)
    assert [finding.kind for finding in report.findings] == ["path-missing"]


def test_an_archive_instead_of_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "MARS.zip").write_bytes(b"PK")
    report, _ = examine(f"mars:{tmp_path}/MARS.zip", stage=silent)
    assert [finding.kind for finding in report.findings] == ["not-unpacked"]


def test_a_part_of_a_data_set_is_found(healthy: dict[str, Path]) -> None:
    report, _ = examine(f"mars:{healthy['mars']}/bbox_train", stage=silent)
    assert report.findings[0].kind == "named-too-deep"


def test_a_withdrawn_data_set_is_noted_without_a_source(healthy: dict[str, Path]) -> None:
    report, _ = examine(f"duke-video:{healthy['duke-video']}", stage=silent)
    text = report.to_text()
    assert "withdrew" in KINDS["withdrawn"].meaning and "withdrawn" in text
    assert "http" not in text


def test_the_command_writes_and_prints(
    healthy: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", f"mars:{healthy['mars']}", "--out", str(tmp_path / "out"), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert printed["errors"] == printed["warnings"] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"doctor.json", "statistics.png", "statistics.svg"}
    assert printed["statistics"]["roles"]["train"]["persons"] == 3


def test_the_exit_status(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    root = copy("folder")
    main(["doctor", f"folder:{root}", "--strict", "--all"])
    (root / "empty").mkdir()
    main(["doctor", f"folder:{root}"])
    with pytest.raises(SystemExit, match="1"):
        main(["doctor", f"folder:{root}", "--strict"])
    frame = frames_of_one(root)[0]
    frame.unlink()
    frame.touch()
    with pytest.raises(SystemExit, match="1"):
        main(["doctor", f"folder:{root}"])
    assert "zero-bytes" in capsys.readouterr().out


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    start, rest = page.split(BEGIN)
    PAGE.write_text(start + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")
