"""The pages and their ``.json`` twins: what they list, filter, find, explain, label, export and erase."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.service.conftest import CAMERAS, CLIPS, PERSONS, csrf_of, figure, jpeg

from resight.service.pictures import Films
from resight.service.service import Service

PAGES = (
    "/tracklets", "/tracklet?id=door/0000", "/search", "/search?id=door/0000&k=5",
    "/explain?query=door/0000&answer=door/0006",
    "/persons", "/suggestions", "/log",
)  # fmt: skip


def twin(page: str) -> str:
    path, _, query = page.partition("?")
    return f"{path}.json?{query}"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_json_twin(page: str, browser: TestClient, program: TestClient) -> None:
    html = browser.get(page)
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    values = program.get(twin(page))
    assert values.status_code == 200 and isinstance(values.json(), dict)
    # The policy of the pages would block them.
    assert "style=" not in html.text and "<script>" not in html.text and "onclick" not in html.text


def test_tracklets_are_listed_page_by_page(program: TestClient) -> None:
    seen: list[str] = []
    address = "/tracklets.json?limit=7"
    while address:
        page = program.get(address).json()
        assert page["total"] == page["matching"] == 3 * PERSONS
        seen += [card["id"] for card in page["tracklets"]]
        address = page["next"] and page["next"].replace("/tracklets", "/tracklets.json")
    assert len(seen) == len(set(seen)) == 3 * PERSONS


def test_a_cursor_that_is_none_is_refused(program: TestClient) -> None:
    assert program.get("/tracklets.json?cursor=x").status_code == 400


def test_filters(program: TestClient) -> None:
    page = program.get("/tracklets.json?camera=door&after=2026-05-01T10:02").json()
    assert page["filters"]["all_cameras"] == sorted(CAMERAS) and page["filters"]["cameras"] == ["door"]
    assert page["matching"] == len(page["tracklets"]) == 5
    assert {card["camera"] for card in page["tracklets"]} == {"door"}
    assert program.get("/tracklets.json?shortest=6.5").json()["matching"] == 0
    assert program.get("/tracklets.json?before=1777629700").json()["matching"] == 2
    for wrong in ("after=yesterday", "shortest=-1", "shortest=nan", "after=inf"):
        answer = program.get(f"/tracklets.json?{wrong}")
        assert answer.status_code == 400 and "expected" in answer.json()["detail"]


def test_a_search_finds_the_person(program: TestClient) -> None:
    page = program.get("/search.json?id=door/0000&k=3").json()
    assert [answer["rank"] for answer in page["answers"]] == [1, 2, 3]
    assert {answer["tracklet"]["id"] for answer in page["answers"][:2]} == {"door/0006", "door/0012"}
    assert page["searched"] == 3 * PERSONS - 1
    assert {bar["tone"] for bar in page["timeline"]["bars"]} >= {"query"}
    assert program.get("/search.json?id=door/0000&camera=hall").json()["searched"] == 6
    assert program.get("/search.json?id=nobody").status_code == 404
    assert program.get("/search.json?id=door/0000&k=0").status_code == 422


def test_an_id_is_never_a_path(program: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(figure(1)))
    for path in (f"/search.json?id={tmp_path / 'secret.jpg'}", f"/explain.json?query={tmp_path}&answer=door/0000"):
        assert program.get(path).status_code == 404


def test_a_search_with_pictures_can_be_opened_again(program: TestClient, browser: TestClient) -> None:
    files = [("pictures", (f"{n}.jpg", jpeg(figure(2, n)), "image/jpeg")) for n in range(3)]
    page = program.post("/search", files=files, data={"k": "4", "camera": "hall"}).json()
    assert page["upload"] and page["query"][0]["frames"] == 3 and len(page["answers"]) == 4
    assert {answer["tracklet"]["camera"] for answer in page["answers"]} == {"hall"}
    again = program.get(f"/search.json?upload={page['upload']}&k=2").json()
    assert [a["tracklet"]["id"] for a in again["answers"]] != [] and again["query"] == page["query"]
    picture = program.get(page["query"][0]["film"])
    assert Image.open(io.BytesIO(picture.content)).size == (64 * CLIPS, 128)
    assert program.get(page["answers"][0]["explain"].replace("/explain", "/explain.json")).status_code == 200
    shown = browser.post("/search", files=files, data={"csrf": csrf_of(browser)})
    assert shown.status_code == 303 and browser.get(shown.headers["location"]).status_code == 200
    assert program.get("/search.json?upload=unknown").status_code == 404


def test_a_box_cuts_the_person_out(service: Service, program: TestClient) -> None:
    scene = Image.new("RGB", (640, 256), (9, 9, 9))
    scene.paste(figure(3, size=(256, 128)), (256, 0))
    edges = {"left": "40", "right": "60", "top": "0", "bottom": "100"}
    page = program.post("/search", files={"pictures": ("scene.png", jpeg(scene), "image/png")}, data=edges).json()
    film = np.asarray(Image.open(io.BytesIO(program.get(page["query"][0]["film"]).content)).convert("RGB"))
    expected = np.asarray(figure(3), np.float64)
    assert np.abs(film[:, :64].astype(np.float64) - expected).mean() < 12
    empty = edges | {"right": "40"}
    assert program.post("/search", files={"pictures": jpeg(scene)}, data=empty).status_code == 400


def test_an_explanation_adds_up(program: TestClient) -> None:
    page = program.get("/explain.json?query=door/0000&answer=door/0006").json()
    for matrix in ("importance", "weight", "cosine", "contribution"):
        assert np.shape(page[matrix]) == (CLIPS, CLIPS)
    assert np.sum(page["contribution"]) == pytest.approx(page["similarity"], abs=1e-6)
    assert sum(clip["share"] for clip in page["query_clips"]) == pytest.approx(1)
    assert page["sentences"] and any("quality" in hint for hint in page["hints"])


def test_labels_are_kept_and_undone(program: TestClient) -> None:
    pair = {"first": "door/0000", "second": "door/0006"}
    said = program.post("/label", data={"kind": "confirm", **pair}).json()
    assert said["identity"] == "confirmed" and said["group"] == program.get("/persons.json").json()["persons"][0]["id"]
    answers = program.get("/search.json?id=door/0000").json()["answers"]
    assert {a["tracklet"]["id"]: a["identity"] for a in answers}.get("door/0006", "confirmed") == "confirmed"
    contradiction = program.post("/label", data={"kind": "reject", **pair})
    assert contradiction.status_code == 409 and "undo" in contradiction.json()["detail"]
    undone = program.post("/label", data={"kind": "undo", "event": said["event"], **pair}).json()
    assert undone["identity"] is None and program.get("/persons.json").json()["total"] == 0
    rejected = program.post("/label", data={"kind": "reject", **pair}).json()
    assert rejected["identity"] == "rejected" and rejected["group"] is None
    actions = [entry["action"] for entry in program.get("/log.json").json()["entries"]]
    assert actions[:2] == ["reject", "undo"] and "search" in actions
    assert {entry["author"] for entry in program.get("/log.json").json()["entries"]} == {"tester"}


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"kind": "confirm", "first": "door/0000", "second": "nobody"}, 404),
        ({"kind": "confirm", "first": "door/0000", "second": "door/0000"}, 409),
        ({"kind": "undo"}, 400),
        ({"kind": "undo", "event": "999999"}, 409),
        ({"kind": "marry", "first": "door/0000", "second": "hall/0001"}, 422),
    ],
)
def test_labels_that_mean_nothing_are_refused(form: dict[str, str], status: int, program: TestClient) -> None:
    before = program.get("/log.json").json()["entries"]
    assert program.post("/label", data=form).status_code == status
    assert program.get("/log.json").json()["entries"] == before


def test_a_case_is_exported(program: TestClient) -> None:
    for second in ("door/0006", "door/0012"):
        group = program.post("/label", data={"kind": "same", "first": "door/0000", "second": second}).json()["group"]
    case = program.get(f"/case.json?group={group}").json()
    assert [card["id"] for card in case["tracklets"]] == ["door/0000", "door/0006", "door/0012"]
    rows = list(csv.DictReader(io.StringIO(program.get(case["csv"]).text)))
    assert [row["tracklet"] for row in rows] == ["door/0000", "door/0006", "door/0012"]
    assert rows[0]["start_utc"] == "2026-05-01 10:00:00"
    page = program.get(case["html"]).text
    assert page.count("data:image/jpeg") == 3 * CLIPS and not re.search(r'(?:src|href)="https?:', page)
    assert program.get("/case.json?group=unknown-9999").status_code == 404
    assert program.get("/tracklets.json?labelled=yes").json()["matching"] == 3
    assert program.get("/tracklets.json?labelled=no").json()["matching"] == 3 * PERSONS - 3
    assert program.get(f"/tracklets.json?person={group}").json()["matching"] == 3


def test_deleting_erases_the_bytes(service: Service, program: TestClient) -> None:
    assert program.post("/delete", data={"id": "door/0000"}).status_code == 422  # without being sure
    program.get("/tracklet.json?id=door/0000")
    assert program.post("/delete", data={"id": "door/0000", "sure": "yes"}).json() == {"ids": ["door/0000"]}
    for page in ("/tracklet.json?id=door/0000", "/film?id=door/0000", "/picture?id=door/0000&clip=1"):
        assert program.get(page).status_code == 404
    contents = b"".join(path.read_bytes() for path in Path(service.gallery.path).iterdir() if path.is_file())
    assert b"door/0000" not in contents and b"door/0006" in contents


def test_a_label_replaces_its_form_in_place(browser: TestClient) -> None:
    form = {"kind": "confirm", "first": "door/0000", "second": "door/0006", "csrf": csrf_of(browser)}
    answer = browser.post("/label", data=form, headers={"hx-request": "true"})
    assert answer.status_code == 200 and answer.text.lstrip().startswith("<form") and "confirmed" in answer.text
    against = browser.post("/label", data=form | {"kind": "reject"}, headers={"hx-request": "true"})
    assert against.status_code == 409 and 'role="alert"' in against.text and "<html" not in against.text


def test_pictures_of_clips(program: TestClient) -> None:
    film = Image.open(io.BytesIO(program.get("/film?id=hall/0001").content))
    assert film.size == (64 * CLIPS, 128)
    assert Image.open(io.BytesIO(program.get("/picture?id=hall/0001&clip=2").content)).size == (64, 128)
    assert program.get(f"/picture?id=hall/0001&clip={CLIPS + 1}").status_code == 404


def test_an_uploaded_query_is_added_when_an_answer_is_labelled(program: TestClient, service: Service) -> None:
    page = program.post("/search", files={"pictures": ("a.jpg", jpeg(figure(1)), "image/jpeg")}).json()
    answer = page["answers"][0]["tracklet"]["id"]
    form = {"upload": page["upload"], "kind": "confirm", "answer": answer}
    assert program.post("/keep", data=form | {"answer": "nobody"}).status_code == 404
    assert len(service.gallery) == 3 * PERSONS
    kept = program.post("/keep", data=form).json()
    assert kept == {"id": kept["id"], "added": True, "identity": "confirmed"} and kept["id"].startswith("picture-")
    assert program.post("/keep", data=form | {"kind": ""}).json() == {
        "id": kept["id"],
        "added": False,
        "identity": None,
    }
    assert program.post("/keep", data=form | {"kind": "reject"}).status_code == 409
    answers = program.get("/search.json", params={"id": kept["id"]}).json()["answers"]
    assert {a["identity"] for a in answers if a["tracklet"]["id"] == answer} == {"confirmed"}
    (stored,) = service.gallery.store.fetch([kept["id"]])
    assert stored.entry.source == "upload:Your pictures" and stored.entry.frames == 1
    actions = [entry["action"] for entry in program.get("/log.json").json()["entries"]]
    assert actions.count("add") == 1 and "confirm" in actions
    assert program.post("/delete", data={"id": kept["id"], "sure": "yes"}).status_code == 200
    assert len(service.gallery) == 3 * PERSONS and program.get("/persons.json").json()["total"] == 0


def test_adding_an_uploaded_query_keeps_the_filters_of_the_page(browser: TestClient) -> None:
    form = {"csrf": csrf_of(browser)}
    files = {"pictures": ("a.jpg", jpeg(figure(1)), "image/jpeg")}
    shown = browser.post("/search", data=form | {"camera": ["door", "hall"], "k": "3"}, files=files).headers["location"]
    assert "Add and confirm" in browser.get(shown).text
    upload = shown.partition("upload=")[2].partition("&")[0]
    to = browser.post("/keep", data=form | {"upload": upload, "next": shown})
    assert to.status_code == 303 and to.headers["location"].startswith("/search?id=picture-")
    assert to.headers["location"].endswith("&camera=door&camera=hall&k=3")


def test_browsers_keep_pictures_until_a_deletion(program: TestClient, browser: TestClient, service: Service) -> None:
    film = program.get("/tracklet.json?id=hall/0001").json()["tracklet"]["film"]
    first = program.get(film)
    assert first.headers["cache-control"] == "private, max-age=3600, immutable" and first.headers["etag"][0] == '"'
    known = program.get(film, headers={"if-none-match": first.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"") and known.headers["etag"] == first.headers["etag"]
    assert program.get(film, headers={"if-none-match": '"other"'}).content == first.content
    assert program.get("/film?id=hall/0001").headers["cache-control"] == "private, no-cache"
    assert program.get("/film?id=hall/0001&v=old").headers["cache-control"] == "private, no-cache"
    (before,) = service.gallery.store.fetch(["hall/0001"])
    erased = browser.post("/delete", data={"csrf": csrf_of(browser), "id": "hall/0001", "sure": "yes"})
    assert erased.headers["clear-site-data"] == '"cache"' and program.get(film).status_code == 404
    service.gallery.store.add([replace(before, entry=replace(before.entry, added=before.entry.added + 1))])
    assert program.get("/tracklet.json?id=hall/0001").json()["tracklet"]["film"] != film


def test_the_films_in_memory_are_bounded() -> None:
    films = Films(most=50_000)
    for number in range(40):
        films.add(str(number), [jpeg(figure(number))] * 4)
    kept = [film for number in range(40) if (film := films.get(str(number)))]
    assert 2 < len(kept) < 40 and sum(map(len, kept)) <= 50_000 and films.get("39")
