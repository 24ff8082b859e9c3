"""Matches and junk, compared with one rule at a time, and the official MARS counts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.data.readers import READERS
from resight.data.readers.mars import read_mars_info
from resight.errors import ProtocolError
from resight.evaluation.protocols import PROTOCOLS, Labels, default_protocol, find_protocol, judge_pairs
from resight.tracklet import DISTRACTOR, JUNK, Tracklet

RULES = {**PROTOCOLS, "nothing": replace(PROTOCOLS["mars"], same_camera="nothing", junk_persons=())}
QUERY = ("q", 5, 1)
GALLERY = {
    "itself": (5, 1),
    "same person, same camera": (5, 1),
    "same person, other camera": (5, 2),
    "same person, other camera, also a query": (5, 3),
    "other person, same camera": (6, 1),
    "other person, other camera": (6, 2),
    "distractor, other camera": (DISTRACTOR, 2),
    "junk, other camera": (JUNK, 2),
}


def labels(*rows: tuple[str, int, int]) -> Labels:
    return Labels.of([Tracklet(name, person, camera, Path(), ("1.jpg",)) for name, person, camera in rows])


@pytest.mark.parametrize(
    ("protocol", "right", "wrong"),
    [
        (
            ["standard", "mars", "duke-video", "ls-vid", "prid2011", "ilids-vid"],
            {"same person, other camera", "same person, other camera, also a query"},
            {"other person, same camera", "other person, other camera", "distractor, other camera"},
        ),
        (
            ["mars-queries-out"],
            {"same person, other camera"},
            {"other person, same camera", "other person, other camera", "distractor, other camera"},
        ),
        (
            ["cross-camera"],
            {"same person, other camera", "same person, other camera, also a query"},
            {"other person, other camera", "distractor, other camera"},
        ),
        (
            ["any-camera"],
            {
                "same person, same camera",
                "same person, other camera",
                "same person, other camera, also a query",
            },
            {
                "other person, same camera",
                "other person, other camera",
                "distractor, other camera",
            },
        ),
        (
            ["nothing"],
            {
                "itself",
                "same person, same camera",
                "same person, other camera",
                "same person, other camera, also a query",
            },
            {
                "other person, same camera",
                "other person, other camera",
                "distractor, other camera",
                "junk, other camera",
            },
        ),
    ],
)
def test_every_rule(protocol: list[str], right: set[str], wrong: set[str]) -> None:
    gallery = labels(*(("q" if name == "itself" else name, *own) for name, own in GALLERY.items()))
    is_query = np.array([name == "itself" or "also a query" in name for name in GALLERY])
    for name in protocol:
        match, junk = judge_pairs(RULES[name], labels(QUERY), gallery, is_query)
        assert match.shape == junk.shape == (1, len(GALLERY))
        assert {place for place, yes in zip(GALLERY, match[0], strict=True) if yes} == right
        assert {place for place, no in zip(GALLERY, ~match[0] & ~junk[0], strict=True) if no} == wrong


@pytest.mark.parametrize("person", [DISTRACTOR, JUNK])
def test_junk_and_distractors_never_match(person: int) -> None:
    for protocol in PROTOCOLS.values():
        match, _ = judge_pairs(protocol, labels(("q", person, 1)), labels(("g", person, 2)), np.array([False]))
        assert not match.any()


def test_names_and_defaults() -> None:
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert all(protocol.description and protocol.source for protocol in PROTOCOLS.values())
    assert default_protocol("mars").name == "mars"
    assert default_protocol("folder").name == "standard"
    assert find_protocol("cross-camera") is PROTOCOLS["cross-camera"]
    assert all(PROTOCOLS[name].splits == 10 for name in ("prid2011", "ilids-vid"))
    assert all(default_protocol(name).name == name for name in READERS if name not in ("folder", "manifest"))
    with pytest.raises(ProtocolError, match="'strict'; known: standard, mars"):
        find_protocol("strict")


def test_the_documentation_lists_every_protocol() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    assert [name for name in PROTOCOLS if f"| `{name}` |" not in text] == []


def test_official_mars_tables() -> None:
    folder = os.environ.get("RESIGHT_MARS_INFO")
    if not folder:
        pytest.skip("RESIGHT_MARS_INFO does not name a folder with the three official MARS tables")
    info = read_mars_info(Path(folder))
    gallery = Labels(tuple(map(str, range(len(info.test)))), info.test[:, 2], info.test[:, 3])
    query = Labels(tuple(map(str, info.query.tolist())), gallery.persons[info.query], gallery.cameras[info.query])
    is_query = np.isin(np.arange(len(info.test)), info.query)
    match, junk = judge_pairs(PROTOCOLS["mars"], query, gallery, is_query)
    assert (match.sum(axis=1) == 0).sum() == 0
    assert (gallery.persons != JUNK).sum() == 11_310
    match, junk = judge_pairs(PROTOCOLS["mars-queries-out"], query, gallery, is_query)
    assert (match.sum(axis=1) == 0).sum() == 140
    assert (~is_query & (gallery.persons != JUNK)).sum() == 9330
    assert junk[:, is_query].all()
