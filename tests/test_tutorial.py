"""The tutorial: its code runs as it is written, its answers are those of the run, and its labels are right."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resight.api.gallery import Gallery
from resight.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
ANSWER = re.compile(r"^ *(\d+)\..*?(\w+-\d+/\w+/\d+)", re.MULTILINE)


def commands(block: str) -> Iterator[list[str]]:
    """Yield the commands of a block without the name of the program."""
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "resight"
        yield arguments


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", exc_type=ImportError, reason="videos need PyAV: pip install 'resight[video]'")
    pytest.importorskip("cv2", exc_type=ImportError, reason="following needs OpenCV: pip install 'resight[detect]'")
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    printed = ""
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, str(PAGE), "exec"), values)
        elif kind == "sh":
            for arguments in commands(block):
                capsys.readouterr()
                main(arguments)
            printed = capsys.readouterr().out
        else:
            assert kind == "text"
            assert ANSWER.findall(printed)[: len(ANSWER.findall(block))] == ANSWER.findall(block)
    with (tmp_path / "site" / "truth.csv").open() as file:
        person = {
            f"{r['camera']}-{r['track']:0>4}/{r['camera']}/{r['track']:0>4}": r["person"] for r in csv.DictReader(file)
        }
    rules = Gallery("site.gallery").search("unknown-0001", rules="site.toml")
    assert "gate-0002/gate/0002" in [id_ for id_, _ in rules.excluded]
    for event in Gallery("site.gallery").log(labels=True):
        first, second = event.ids
        assert (person[first] == person[second]) == (event.kind == "confirm")
    assert person[values["answers"][0].id] == person["gate-0003/gate/0003"]
    for page in ("answers.html", "why.html"):
        assert "<html" in (tmp_path / page).read_text(encoding="utf-8")
