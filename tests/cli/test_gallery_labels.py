from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.test_gallery import Run, folder, make_model, manifest, model_file, run

from resight.api.gallery import Gallery

__all__ = ["folder", "make_model", "manifest", "model_file", "run"]


def test_labels_and_the_log(run: Run, folder: Path) -> None:
    status, made = run("label", folder, "confirm", "door-0001", "hall-0001", "--author", "anna")
    assert status == 0 and made["group"] == "unknown-0001" and made["author"] == "anna"
    run("label", folder, "reject", "door-0001", "hall-0002", "--author", "anna")
    found = run("search", folder, "unknown-0001", "-k", "8")[1]
    assert len(found["query"]) == 2 and "hall-0002" not in [answer["id"] for answer in found["answers"]]
    confirmed = run("search", folder, "door-0001", "-k", "8")[1]["answers"]
    assert [a["identity"] for a in confirmed if a["id"] == "hall-0001"] == ["confirmed"]
    log = run("log", folder, "--labels")[1]
    assert [event["kind"] for event in log["events"]] == ["confirm", "reject"]
    assert log["groups"] == {"unknown-0001": ["door-0001", "hall-0001"]} and not log["contradictions"]
    status, text = run("label", folder, "different", "door-0001", "hall-0001", as_json=False)
    assert status == 1 and "anna" in text and text.count("\n") == 1
    assert run("label", folder, "undo", "1")[1]["group"] is None
    assert "3 events, 0 groups" in run("log", folder, as_json=False)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("undo", "first"), "undo needs the number of one label"),
        (("undo", "9"), "9"),
        (("same", "door-0001"), "same needs the ids of two tracklets or groups, found 1"),
        (("same", "door-0001", "nobody"), "nobody"),
    ],
)
def test_wrong_labels(run: Run, folder: Path, arguments: tuple[str, ...], said: str) -> None:
    status, text = run("label", folder, *arguments, as_json=False)
    assert status == 1 and said in text and text.count("\n") == 1
    assert run("log", folder)[1]["events"] == []


def test_suggestions(run: Run, folder: Path) -> None:
    found = run("suggest", folder)[1]["suggestions"]
    assert found and {suggestion["probability"] for suggestion in found} == {None}  # the model has no threshold
    for suggestion in found:
        ids = suggestion["first"]["id"], suggestion["second"]["id"]
        assert f"{ids[0]}  {ids[1]}" in run("suggest", folder, as_json=False)[1]
        assert run("label", folder, "different", *ids)[0] == 0
    left = run("suggest", folder)[1]["suggestions"]
    assert not {(s["first"]["id"], s["second"]["id"]) for s in found} & {
        (s["first"]["id"], s["second"]["id"]) for s in left
    }


def test_calibration_needs_more_tracklets(run: Run, folder: Path) -> None:
    status, text = run("calibrate", folder, as_json=False)
    assert status == 1 and "16 pairs of tracklets from two cameras, expected at least 1,000" in text


def test_calibration(run: Run, folder: Path) -> None:
    gallery = Gallery(folder)
    rng = np.random.default_rng(0)
    for number in range(60):
        picture = rng.integers(0, 255, (32, 16, 3), np.uint8)
        gallery.add([picture], camera=f"camera {number % 2}")
    status, result = run("calibrate", folder)
    assert status == 0 and 0 < result["threshold"] < 1 and result["pairs"]["across"] >= 1000
    assert run("search", folder, "door-0001")[1]["answers"][0]["probability"] is not None
    assert "false-alarm rate 5 %" in run("calibrate", folder, as_json=False)[1]


def test_watching_once(run: Run, folder: Path) -> None:
    status, text = run("watch", folder, "door-0001", "--once", as_json=False)
    assert status == 1 and "the gallery is not calibrated: calibrate it" in text
    for wrong, said in ((("--webhook", "http://192.0.2.1/"), "another machine"), (("--every", "0"), "more than 0")):
        status, text = run("watch", folder, "door-0001", *wrong, as_json=False)
        assert status == 1 and said in text and text.count("\n") == 1
    status, text = run("watch", folder, "nobody", "--once", as_json=False)
    assert status == 1 and "nobody" in text


def test_a_watched_person_is_reported(run: Run, folder: Path, manifest: Path) -> None:
    gallery = Gallery(folder)
    rng = np.random.default_rng(0)
    for number in range(60):
        gallery.add([rng.integers(0, 255, (32, 16, 3), np.uint8)], camera=f"camera {number % 2}")
    run("calibrate", folder)
    assert run("watch", folder, "door-0001", "--once", as_json=False) == (0, "")
    frames = [str(path) for path in sorted((manifest / "0001" / "c1" / "0001").iterdir())][:-1]
    gallery.add(frames)
    status, text = run("watch", folder, "door-0001", "--once", as_json=False)
    (line,) = text.splitlines()
    assert status == 0 and json.loads(line)["person"] == "door-0001"
    assert run("watch", folder, "door-0001", "--once", as_json=False) == (0, "")
