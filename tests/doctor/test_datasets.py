"""Intact data sets of every kind, and the text of findings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.doctor.breaking import examine
from tests.doctor.conftest import KINDS as DATASETS
from tests.doctor.test_cameras import BROKEN as CAMERAS
from tests.doctor.test_own_datasets import CASES as OWN
from tests.doctor.test_public_datasets import CASES as PUBLIC

from resight.doctor.kinds import KINDS, Severity
from resight.doctor.report import Finding, Findings, Report


@pytest.mark.parametrize("kind", DATASETS)
def test_an_intact_data_set_has_only_notes(kind: str, healthy: dict[str, Path]) -> None:
    report = examine(kind, healthy[kind])
    assert [f for f in report.findings if f.severity != "note"] == []
    assert report.status(strict=True) == 0
    assert report.looked_at["frames decoded"] == report.looked_at["frames of tracklets"] > 80
    assert report.statistics["roles"]


def test_a_synthetic_world_is_not_the_published_data_set(healthy: dict[str, Path]) -> None:
    kinds = {finding.kind for finding in examine("mars", healthy["mars"]).findings}
    assert kinds >= {"not-published", "size-not-published"}


def test_every_kind_has_a_meaning_and_a_remedy() -> None:
    for name, kind in KINDS.items():
        assert name == name.lower() and " " not in name
        assert kind.meaning and kind.remedy and not kind.remedy.endswith(".")


def test_every_kind_occurs_in_a_test() -> None:
    cases = {case.finding for case in (*PUBLIC, *OWN)} | {finding for _, finding, _ in CAMERAS.values()}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert {name for name in KINDS if name not in cases and tests.count(f'"{name}"') < 1} == set()
    assert len(cases) >= 50


def test_a_finding_names_the_first_few_places_and_counts_all() -> None:
    findings = Findings()
    findings.add_each("zero-bytes", [f"{n}.jpg" for n in range(9)], "9 frames of no bytes", expected="pictures")
    findings.add_each("truncated", [], "no frames")
    (one,) = findings.sorted()
    assert one.to_text().splitlines() == [
        "error: zero-bytes (9)",
        "  expected pictures, found 9 frames of no bytes",
        "  where: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 4 more",
        "  do: copy or unpack the data set again",
    ]


@pytest.mark.parametrize(("severity", "usual", "strict"), [("note", 0, 0), ("warning", 0, 1), ("error", 1, 1)])
def test_the_status_is_that_of_the_worst_finding(severity: Severity, usual: int, strict: int) -> None:
    report = Report("mars:x", "mars", (Finding("x", severity, 1, "", "", (), ""),))
    assert (report.status(), report.status(strict=True)) == (usual, strict)
