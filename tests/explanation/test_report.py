from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest

from resight.errors import ShapeError
from resight.explanation.blocks import Commands, Curves, Facts, Picture, Section, SideBySide, Text
from resight.explanation.evidence import MatchEvidence
from resight.explanation.films import Strips, Verdict
from resight.explanation.report import write_report, write_search_page
from resight.explanation.sections import (
    contact_sheet,
    matrix_blocks,
    pair_blocks,
    query_strip,
    ranked_strips,
    share_blocks,
)
from resight.tables import Row, Table
from resight.tracklet import Tracklet

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Parsed(HTMLParser):
    """Tags with their attributes, text, table cells, and what scripts hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.scripts: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag].append({name: value or "" for name, value in attributes})
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.open.append(f"/{tag}")

    def values(self, kind: str) -> list[float]:
        return [float(d["value"]) for d in self.tags["data"] if d.get("class") == kind]


def parse(path: Path) -> Parsed:
    """The page, having checked that it holds all that it shows and runs nothing."""
    html = path.read_text(encoding="utf-8")
    page = Parsed(html)
    for tag, found in page.tags.items():
        for attributes in found:
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
            address = attributes.get("src", attributes.get("href", ""))
            assert not re.match(r"\s*([a-z]+:)?//", address, re.IGNORECASE), (tag, address)
            if tag == "img":
                assert address.startswith("data:image/")
                assert attributes["alt"]
    assert not page.tags["link"]
    assert not page.tags["iframe"]
    assert {s.get("type") for s in page.tags["script"]} <= {"application/json"}
    assert "url(" not in html
    assert "@import" not in html
    policy = next(m["content"] for m in page.tags["meta"] if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:")
    assert "generated locally" in page.text
    return page


def test_the_page_of_a_match_contains_its_numbers(tmp_path: Path, evidence: MatchEvidence) -> None:
    path = tmp_path / "pages" / "match.html"
    evidence.save(path, verdict="right", k=2)
    page = parse(path)
    assert page.values("importance") == [4.0, 2.0, 0.01, 0.5]
    assert page.values("cosine") == [0.9, 0.6, 0.95, 0.7]
    every = [float(d["value"]) for d in page.tags["data"]]
    assert every[0] == pytest.approx(evidence.scored.score)
    for matrix in (evidence.shares, evidence.scored.cosine, evidence.scored.contribution):
        assert all(value in every for value in matrix.ravel())
    for sentence in evidence.in_words()[1:]:
        assert sentence in page.text
    assert "✓ same person" in page.text
    assert json.loads(page.scripts[0]) == json.loads(json.dumps(evidence.to_json()))
    # 2 shares strips (2 + 3), 4 pairs of clips of 3 frames, 3 matrices (2 + 3)
    assert len(page.tags["img"]) == 5 + 4 * 6 + 3 * 5


def test_no_clip_pair_is_shown_twice(tmp_path: Path, evidence: MatchEvidence) -> None:
    path = tmp_path / "match.html"
    evidence.save(path, k=4)
    assert parse(path).values("importance") == [4.0, 2.0, 1.0, 0.5, 0.01, 0.5]


def test_search_page_ranks_and_links(tmp_path: Path, query: Tracklet, gallery: Tracklet) -> None:
    path = tmp_path / "search.html"
    other = replace(gallery, id="0002C2T0001")
    ranked: list[tuple[Tracklet, float, Verdict]] = [(gallery, 0.875, "right"), (other, 0.25, "wrong")]
    write_search_page(path, query, ranked, searched=7, links={other.id: "why #2.html"})
    page = parse(path)
    assert [float(d["value"]) for d in page.tags["data"]] == [0.875, 0.25]
    assert "in 7 tracklets is 0001C2T0001 (camera 2), similarity 0.88" in page.text
    assert "The second is 0.62 lower." in page.text
    assert [a["href"] for a in page.tags["a"]] == ["why%20%232.html"]
    films = [d["class"].split()[-1] for d in page.tags["div"] if d.get("class", "").startswith("film")]
    assert films == ["probe", "right", "wrong"]
    assert json.loads(page.scripts[0])["ranked"][1]["id"] == other.id


def test_the_search_page_shows_names_of_cameras(tmp_path: Path, query: Tracklet, gallery: Tracklet) -> None:
    names = {query.camera: "back door", gallery.camera: "gate"}
    path = tmp_path / "search.html"
    write_search_page(path, query, [(gallery, 0.5, "unknown")], camera_name=names.__getitem__)
    text = path.read_text(encoding="utf-8")
    assert f"{gallery.id} (gate), similarity 0.50" in text and "back door, " in text
    assert f"camera {gallery.camera}," not in text


def test_search_page_without_answers(tmp_path: Path, query: Tracklet) -> None:
    write_search_page(tmp_path / "search.html", query, [])
    assert "There are no candidates in the gallery." in parse(tmp_path / "search.html").text


def test_markup_in_names_is_escaped(tmp_path: Path, evidence: MatchEvidence) -> None:
    path = tmp_path / "page.html"
    query, gallery = replace(evidence.query, id=HOSTILE), replace(evidence.gallery, id="</script><b>")
    replace(evidence, query=query, gallery=gallery).save(path)
    page = parse(path)
    assert HOSTILE in page.text
    assert len(page.tags["b"]) == 4, "the page's own, one a pair"
    assert json.loads(page.scripts[0])["gallery"]["id"] == "</script><b>"
    write_search_page(path, query, [(gallery, 0.5, "unknown")], links={gallery.id: "javascript:alert(1)"})
    page = parse(path)
    assert HOSTILE in page.text
    assert page.tags["a"][0]["href"] == "javascript%3Aalert%281%29"
    write_report(
        path, HOSTILE, [HOSTILE], [Section(HOSTILE, (Text((HOSTILE,)), Commands(HOSTILE, (HOSTILE,))), HOSTILE)]
    )
    assert parse(path).text.count(HOSTILE) == 8


def test_report_renders_every_part(tmp_path: Path, evidence: MatchEvidence) -> None:
    table = Table(
        "Scores",
        ("mAP", "rank-1"),
        (Row("mean", ((60.8, 62.26), 70.0), (58.0, None)), Row("learned", (86.91, 90.0)), Row("not run", (None, None))),
        head="method",
        note="protocol mars, 320 of 320 queries valid",
        groups=(("corrupted", 2),),
        best=(0, 1),
    )
    curves = Curves("CMC", {"mean": [0.5, 0.75, 1.0], "learned": [0.9, 1.0, 1.0]}, note="protocol mars")
    sections = (
        Section(
            "Results",
            (Facts((("86.9", "mAP"),)), table, SideBySide((curves, Picture("p", "data:image/png;base64,", "x")))),
        ),
        Section(
            "Pictures",
            (
                Strips("Search", (query_strip(evidence.query), *ranked_strips([(evidence.gallery, 0.5, "wrong")]))),
                *share_blocks(evidence),
                pair_blocks(evidence),
                *matrix_blocks(evidence),
                contact_sheet("Data", [evidence.query, evidence.gallery]),
            ),
        ),
        Section("Again", (Commands("", ("resight demo --seed 0", "resight explain a b")),)),
    )
    path = tmp_path / "report.html"
    write_report(path, "A report", ["What this is."], sections, kicker="seed 0")
    page = parse(path)
    assert "61.5 ± 1.0" in page.text and "mean, published" in page.text and "58.0" in page.text
    assert [t.get("class") for t in page.tags["td"] if "best" in t.get("class", "")] == ["number best"] * 2
    assert "protocol mars, 320 of 320 queries valid" in page.text
    assert "resight demo --seed 0\nresight explain a b" in page.text
    assert [p["points"] for p in page.tags["polyline"]] == [
        "0.0,260.0 280.0,130.0 560.0,0.0",
        "0.0,52.0 280.0,0.0 560.0,0.0",
    ]
    assert not page.scripts


def test_a_page_is_replaced_in_one_step(
    tmp_path: Path, evidence: MatchEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_report(path, "First", [], [])
    write_report(path, "Second", [], [])
    assert "Second" in path.read_text(encoding="utf-8")

    def fail(*_: object, **__: object) -> str:
        raise MemoryError("no more")

    monkeypatch.setattr(jinja2.Template, "render", fail)
    with pytest.raises(MemoryError, match="no more"):
        evidence.save(path)
    assert "Second" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.glob("*.*") if p.is_file()] == ["report.html"]


def test_a_missing_frame_is_marked_on_the_page(tmp_path: Path, evidence: MatchEvidence) -> None:
    evidence.query.frame(1).unlink()
    path = tmp_path / "match.html"
    evidence.save(path)
    holes = [i for i in parse(path).tags["img"] if i.get("class") == "missing"]
    assert holes
    assert all(i["alt"] == "0001C1T0001, frame 2 of 6: cannot be read" for i in holes)


def test_invalid_parts_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected a data:image/ address"):
        Picture("p", "https://example.org/p.png", "x")


@pytest.mark.parametrize(("lowest", "floor"), [(0.0, 0.0), (0.4, 0.4), (0.66, 0.6), (0.95, 0.9), (1.0, 0.9)])
def test_curves_start_at_a_round_value_below_the_lowest(lowest: float, floor: float) -> None:
    curves = Curves("c", {"a": [lowest, 1.0]})
    assert curves.floor == pytest.approx(floor)
    assert curves.y_ticks[0] == 1
    assert min(curves.y_ticks) >= floor - 1e-9
