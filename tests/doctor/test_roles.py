"""Small data sets made by hand: matches, roles, and published counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.doctor import roles
from resight.doctor.report import Findings
from resight.doctor.roles import PUBLISHED, check_roles, count_split, find_unmatched
from resight.doctor.tree import Listed, Tree
from resight.evaluation.protocols import PROTOCOLS
from resight.tracklet import DISTRACTOR, JUNK, Dataset, Tracklet

ROOT = Path("/data")


def tracklet(person: int, camera: int, role: str = "t") -> Tracklet:
    return Tracklet(f"{role}{person}c{camera}", person, camera, ROOT, ("1.jpg",))


def kinds(dataset: Dataset, kind: str) -> dict[str, str]:
    tree = Tree(ROOT, {"": Listed(pictures={"1.jpg": 9})})
    findings = Findings()
    check_roles([dataset], kind, tree, findings)
    return {finding.kind: finding.severity for finding in findings.sorted()}


def test_a_query_whose_person_is_in_its_own_camera_only_has_no_match() -> None:
    gallery = tuple(tracklet(*who) for who in ((1, 1), (1, 2), (2, 1), (DISTRACTOR, 2), (JUNK, 2)))
    dataset = Dataset("mars", ROOT, (), gallery, gallery)
    assert find_unmatched(dataset, PROTOCOLS["mars"]) == ["t2c1"]


def test_pairs_in_parts_and_at_once_give_the_same_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = tuple(tracklet(person, camera) for person in range(1, 9) for camera in range(1, 2 + person % 2))
    dataset = Dataset("mars", ROOT, (), gallery, gallery)
    whole = find_unmatched(dataset, PROTOCOLS["mars"])
    monkeypatch.setattr(roles, "_ROWS", 25)
    assert find_unmatched(dataset, PROTOCOLS["mars"]) == whole == [f"t{n}c1" for n in (2, 4, 6, 8)]


def test_queries_belong_in_the_gallery_of_mars() -> None:
    gallery = tracklet(2, 1), tracklet(2, 2)
    dataset = Dataset("mars", ROOT, (tracklet(1, 1),), (gallery[0], tracklet(2, 3)), gallery)
    assert kinds(dataset, "mars")["query-not-in-gallery"] == "warning"
    apart = Dataset("duke-video", ROOT, (tracklet(1, 1),), (tracklet(2, 3),), gallery)
    assert "query-not-in-gallery" not in kinds(apart, "duke-video")


def test_no_match_is_an_error_in_a_public_data_set_and_a_warning_in_your_own() -> None:
    alone = tracklet(2, 1), tracklet(3, 1)
    dataset = Dataset("x", ROOT, (tracklet(1, 1),), alone, alone)
    assert kinds(dataset, "mars")["no-match"] == "error"
    assert kinds(dataset, "folder")["no-match"] == "warning"
    some = (*alone, tracklet(2, 2))
    assert kinds(Dataset("x", ROOT, some, some, some), "folder")["no-match"] == "note"


@pytest.mark.parametrize(("missing", "kind"), [(0, None), (1, "differs-from-published"), (60, "not-published")])
def test_counts_that_are_nearly_the_published_ones_are_a_warning(missing: int, kind: str | None) -> None:
    test = [(tracklet(n, 1, "q"), tracklet(n, 2, "g")) for n in range(1, 90 - missing)]
    train = [tracklet(n, camera) for n in range(101, 190 - missing) for camera in (1, 2)]
    query, gallery = zip(*test, strict=True)
    splits = [Dataset("prid2011", ROOT, tuple(train), query, gallery, number=n) for n in range(1, 11)]
    wrong = {what for what, number in PUBLISHED["prid2011"].items() if count_split(splits)[what] != number}
    assert bool(wrong) == bool(missing)
    findings = Findings()
    check_roles(splits, "prid2011", Tree(ROOT, {"": Listed(pictures={"1.jpg": 9})}), findings)
    found = {finding.kind for finding in findings.sorted()} & {"differs-from-published", "not-published"}
    assert found == ({kind} if kind else set())
