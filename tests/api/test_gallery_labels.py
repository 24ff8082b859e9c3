"""Labels, calibration, rules of time and place, suggestions and events of a gallery."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.api.conftest import MakeModel
from tests.gallery.stored import stored

from resight.api.gallery import Gallery
from resight.errors import GalleryError
from resight.gallery import judge as judge_module
from resight.gallery.judge import SETTING
from resight.gallery.travel import TravelRules
from resight.gallery.types import Event, StoredTracklet
from resight.gallery.watch import Match, check_webhook, post


@pytest.fixture
def gallery(make_model: MakeModel, tmp_path: Path) -> Gallery:
    """A gallery of 60 tracklets of 20 persons in three cameras; tracklets of a person differ a little."""
    gallery = Gallery(tmp_path / "site.gallery", make_model())
    gallery.store.add([seen(gallery, person, camera) for person in range(20) for camera in range(3)])
    return gallery


def seen(gallery: Gallery, person: int, camera: int, visit: int = 0, name: str = "") -> StoredTracklet:
    """Return a tracklet of a person: ten seconds long, a camera has two persons at once."""
    dim = gallery.store.header.dim
    rng = np.random.default_rng([person, camera, visit])
    look = np.random.default_rng(person).normal(size=dim)
    features = (look + 0.6 * rng.normal(size=(3, dim))).astype(np.float16)
    unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).mean(0)
    start = 1000.0 * visit + 100.0 * camera + 20.0 * (person // 2)
    facts = {"id": name or f"p{person}c{camera}", "camera": f"c{camera}", "start": start, "end": start + 10}
    made = stored(1000 * visit + 3 * person + camera, **facts)
    return StoredTracklet(
        made.entry, made.key, features, (unit / np.linalg.norm(unit)).astype(np.float32),
        np.arange(12, dtype=np.int32).reshape(3, 4), made.strip,
    )  # fmt: skip


def pair_similarity(gallery: Gallery, *ids: str) -> float:
    first, second = (tracklet.features.astype(np.float32) for tracklet in gallery.store.fetch(ids))
    return float(gallery.model.similarity(first, second))


def answers(gallery: Gallery, query: str, **options: object) -> list[str]:
    return [answer.id for answer in gallery.search(query, k=5, **options)]  # type: ignore[arg-type]


def test_a_confirmed_group_searches_as_one(gallery: Gallery) -> None:
    assert set(answers(gallery, "p3c0")[:2]) == {"p3c1", "p3c2"}
    gallery.confirm("p3c0", "p3c1", author="ana")
    found = gallery.search("p3c0", k=5)
    assert {reference.id for reference in found.references} == {"p3c0", "p3c1"}
    by_id = {answer.id: answer for answer in found}
    assert by_id["p3c1"].identity == "confirmed" and by_id["p3c2"].identity is None
    assert by_id["p3c1"].similarity == pytest.approx(pair_similarity(gallery, "p3c0", "p3c1"), abs=1e-3)
    group = gallery.groups().ids()[0]
    of_group = gallery.search(group, k=5)
    assert of_group[0].id == "p3c2" and "p3c1" not in [answer.id for answer in of_group]
    assert of_group[0].similarity == pytest.approx(by_id["p3c2"].similarity, abs=1e-3)


def test_rejected_pairs_are_not_shown_again(gallery: Gallery) -> None:
    first = answers(gallery, "p3c0")[0]
    event = gallery.reject("p3c0", first, author="ana")
    assert first not in answers(gallery, "p3c0") and "p3c0" not in answers(gallery, first)
    gallery.same("p3c0", "p5c0")
    assert first not in answers(gallery, "p5c0")
    gallery.undo(event.number)
    assert first in answers(gallery, "p3c0")


def test_contradictions_and_unknown_tracklets_are_refused(gallery: Gallery) -> None:
    gallery.same("p1c0", "p1c1", author="ana")
    with pytest.raises(GalleryError, match=r"cannot be different persons, because of label 1 .* ana same p1c0 p1c1"):
        gallery.different("p1c1", "p1c0")
    with pytest.raises(GalleryError, match="nobody"):
        gallery.same("p1c0", "nobody")
    assert len(gallery.log(labels=True)) == 1 and gallery.log()[0].author == "ana"


def test_erasing_a_tracklet_erases_its_labels_and_keeps_the_others(gallery: Gallery) -> None:
    gallery.same("p1c0", "p1c1")
    gallery.same("p1c1", "p1c2")
    group = gallery.groups().ids()
    gallery.remove(["p1c1"])
    assert gallery.groups().ids() == group and gallery.groups().members(group[0]) == ("p1c0", "p1c2")
    assert "p1c1" not in json.dumps([event.to_json() for event in gallery.log()])


def test_a_gallery_calibrates_itself(gallery: Gallery) -> None:
    assert gallery.judge is None and gallery.search("p3c0")[0].probability is None
    calibration = gallery.calibrate()
    assert calibration.pairs["across"] == 60 * 40 // 2 and calibration.pairs["different"] == 30
    assert calibration.pairs["halves"] == 60
    found = gallery.search("p3c0", k=10)
    chances = [answer.probability or 0 for answer in found]
    assert min(chances[:2]) > 0.5 > max(chances[3:]) and found[0].above
    assert "pairs of 60 tracklets of this gallery" in found.judged and found.judged in str(found)
    assert found[0].to_json()["probability"] == chances[0]


def test_too_few_tracklets_fall_back_to_the_model(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    model.checkpoint.metadata["threshold"] = {
        "location": 0.4, "scale": 0.09, "searched": 140, "impostor_searches": 144, "persons": 36,
        "source": "synthetic persons", "false_alarm_rate": 0.05, "gallery": 140,
    }  # fmt: skip
    gallery = Gallery(tmp_path / "small.gallery", model)
    gallery.store.add([seen(gallery, person, camera) for person in range(4) for camera in range(2)])
    with pytest.raises(GalleryError, match=r"16 pairs .* at least 1,000"):
        gallery.calibrate()
    assert gallery.judge is not None and not gallery.judge.own
    assert "36 synthetic persons" in gallery.search("p0c0").judged


def test_calibration_is_erased_with_the_features(gallery: Gallery) -> None:
    gallery.calibrate()
    saved = gallery.store.read_setting(SETTING)
    assert all(isinstance(value, (int, float, str, dict)) for value in saved.values())  # no copy of any feature
    assert judge_module.judge_of(gallery.store, None) is not None


def test_rules_exclude_and_change_the_odds(gallery: Gallery) -> None:
    gallery.calibrate()
    plain = {answer.id: answer for answer in gallery.search("p3c0", k=20)}
    neighbour = "p2c0"  # at the same time in the same camera
    found = gallery.search("p3c0", k=60, rules=TravelRules())
    assert neighbour in plain or neighbour not in answers(gallery, "p3c0")
    assert neighbour not in [answer.id for answer in found] and neighbour in dict(found.excluded)
    assert "two persons" in dict(found.excluded)[neighbour].text
    for person in range(5, 11):
        gallery.same(f"p{person}c0", f"p{person}c1")
    found = gallery.search("p3c0", k=5, rules=TravelRules())
    best = found[0]
    assert best.id == "p3c1" and best.effects[0].rule == "travel time" and best.effects[0].odds > 5
    assert (best.probability or 0) > (plain["p3c1"].probability or 0)
    assert best.similarity == pytest.approx(plain["p3c1"].similarity, abs=1e-6)
    assert best.to_json()["effects"][0]["text"].startswith("90 s from c0 to c1")


def test_suggestions_are_likely_and_not_labelled(gallery: Gallery) -> None:
    gallery.calibrate()
    pairs = [(s.first.id, s.second.id) for s in gallery.suggest(50)]
    assert pairs and all(first.split("c")[0] == second.split("c")[0] for first, second in pairs)
    assert all((s.probability or 0) >= 0.5 for s in gallery.suggest(50))
    gallery.different(*pairs[0])
    gallery.same(*pairs[1])
    assert not {pairs[0], pairs[1]} & {(s.first.id, s.second.id) for s in gallery.suggest(50)}
    assert len(gallery.suggest(1)) == 1


def look(gallery: Gallery, *persons: str) -> list[Match]:
    matches: list[Match] = []
    assert list(gallery.watch(persons, matches.append, every=None)) == [len(matches)]
    return matches


def test_new_tracklets_of_a_watched_person_are_reported_once(gallery: Gallery) -> None:
    gallery.calibrate()
    assert look(gallery, "p3c0") == []  # what is there already is not new
    now = 2e9
    new = [seen(gallery, person, 1, visit=1, name=f"new{person}") for person in (3, 4)]
    gallery.store.add([
        StoredTracklet(
            type(t.entry)(**{**vars(t.entry), "added": now}), t.key, t.features, t.mean, t.frame_numbers, t.strip
        ) for t in new
    ])  # fmt: skip
    (match,) = look(gallery, "p3c0")
    assert match.entry.id == "new3" and match.person == "p3c0" and match.probability > 0.5
    again = Gallery(gallery.path, gallery.model)
    assert look(again, "p3c0") == []
    with pytest.raises(GalleryError, match="nobody"):
        look(gallery, "nobody")
    gallery.remove(["new3"])
    assert "new3" not in json.dumps([event.to_json() for event in gallery.log()])


class Receiver(BaseHTTPRequestHandler):
    got: list[tuple[str, bytes]] = []  # noqa: RUF012
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.headers["Idempotency-Key"], body))
        self.send_response(self.status)
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/events"
    server.shutdown()
    thread.join()
    server.server_close()


def test_matches_are_posted_to_this_machine_only(webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    match = Match("unknown-0001", stored(1).entry, 0.8, 0.9)
    post(match, webhook)
    key, body = Receiver.got[-1]
    assert key == match.id and json.loads(body) == match.to_json()
    for status in (500, 302):
        monkeypatch.setattr(Receiver, "status", status)
        with pytest.raises(GalleryError, match="did not take match"):
            post(match, webhook)
    for url, message in (
        ("http://192.0.2.1/x", "another machine"), ("https://localhost/x", "expected a URL"),
        ("localhost:80", "expected a URL"), ("http://localhost:99999/", "port"),
        ("http://no.such.invalid/", "not known"),
    ):  # fmt: skip
        with pytest.raises(GalleryError, match=message):
            check_webhook(url)


def test_a_match_that_is_not_delivered_is_reported_later(gallery: Gallery) -> None:
    gallery.calibrate()
    look(gallery, "p3c0")
    tracklet = seen(gallery, 3, 1, visit=1, name="new3")
    entry = type(tracklet.entry)(**{**vars(tracklet.entry), "added": 2e9})
    gallery.store.add([
        StoredTracklet(entry, tracklet.key, tracklet.features, tracklet.mean, tracklet.frame_numbers, tracklet.strip)
    ])  # fmt: skip

    def fail(match: Match) -> None:
        raise GalleryError(match.id)

    with pytest.raises(GalleryError) as failed:
        list(gallery.watch(["p3c0"], fail, every=None))
    (match,) = look(gallery, "p3c0")
    assert match.entry.id == "new3" and match.id == str(failed.value)  # delivered twice, with the same id
    assert look(gallery, "p3c0") == []


def test_merged_tracklets_are_new_to_a_watched_person(gallery: Gallery, tmp_path: Path) -> None:
    """They keep their time of adding, which is before the watch began. What follows them is found as well."""
    gallery.calibrate()
    assert look(gallery, "p3c0") == []
    gallery.store.add([seen(gallery, 3, 2, visit=2, name="later3")])
    with Gallery(tmp_path / "other.gallery", gallery.model) as other:
        other.store.add([seen(gallery, 3, 1, visit=1, name="merged3")])
        other.store.append_log([Event("match", ("merged3",), "", 1.0, {"person": "p3c0"})])
        gallery.merge(other)
    assert {match.entry.id for match in look(gallery, "p3c0")} == {"later3", "merged3"}
    assert look(gallery, "p3c0") == []


def test_merging_keeps_the_ids_of_groups(gallery: Gallery, tmp_path: Path) -> None:
    with Gallery(tmp_path / "other.gallery", gallery.model) as other:
        other.store.add([seen(gallery, person, camera) for person in (1, 2, 8) for camera in range(3)])
        other.same("p8c0", "p8c1")  # unknown-0001 there, and another person here
        other.same("p1c0", "p1c1")
        other.undo(other.same("p8c0", "p1c0").number)
        other.same("p2c0", "p2c1")
        other.remove(["p2c1"])
        gallery.same("p5c0", "p5c1")
        gallery.same("p1c1", "p1c2")
        assert gallery.groups().ids() == ["unknown-0001", "unknown-0002"]
        for _ in range(2):
            gallery.merge(other)
            groups = gallery.groups()
            assert groups.members("unknown-0001") == ("p5c0", "p5c1")
            assert groups.members("unknown-0002") == ("p1c0", "p1c1", "p1c2")
            assert groups.group("p8c0") == groups.group("p8c1") == "unknown-0003" and len(groups) == 3
            assert not groups.contradictions and len(gallery.log()) == 6
