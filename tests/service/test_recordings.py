"""The recordings of tracklets: shown picture by picture, searched by a box, and no other file of the machine."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.service.conftest import RATES, START, client_of, figure, stored

from resight.api.gallery import Gallery
from resight.service.recordings import SHOWN_SIDE
from resight.service.service import Service
from resight.service.settings import ServiceSettings
from resight.tracklet import Recording

RATE = 10
COUNT = 40
SIZE = (160, 240)


def scene(index: int) -> Image.Image:
    """Return a picture of a street with a figure that walks to the right; the grey of the sky encodes the index."""
    picture = Image.new("RGB", SIZE[::-1], (5 * index,) * 3)
    picture.paste(figure(2), (4 * index, 30))
    return picture


def index_of(jpeg: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return round(float(pixels[:20].mean()) / 5)


def write_video(path: Path, count: int = COUNT, size: tuple[int, int] = SIZE) -> Path:
    av = pytest.importorskip("av", exc_type=ImportError, reason="PyAV is not installed: pip install 'resight[video]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 4_000_000
        for index in range(count):
            frame = av.VideoFrame.from_image(scene(index).resize(size[::-1]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def add(gallery: Gallery, number: int, **facts: Any) -> str:
    tracklet = replace(stored(number, gallery.store.header.dim), **facts)
    gallery.store.add([tracklet])
    return tracklet.id


@pytest.fixture
def filmed(gallery: Gallery, tmp_path: Path) -> str:
    """The id of a tracklet that begins 1.2 s after the beginning of a video."""
    return add(gallery, 30, recording=Recording(write_video(tmp_path / "door.mp4"), 1.2))


@pytest.fixture
def photographed(gallery: Gallery, tmp_path: Path) -> str:
    """The id of a tracklet that begins with the fifth picture of a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(12):
        scene(index).save(folder / f"{index + 1}.png")
    (folder / "notes.txt").write_text("secret")
    return add(gallery, 31, recording=Recording(folder / "5.png"))


def test_a_video_opens_where_the_tracklet_begins(program: TestClient, filmed: str) -> None:
    assert (
        program.get(f"/tracklet.json?id={filmed}").json()["recording"] == f"/recording?id={filmed.replace('/', '%2F')}"
    )
    page = program.get(f"/recording.json?id={filmed}").json()
    assert (page["name"], page["at"], page["begin"], page["video"]) == ("door.mp4", 1.2, 1.2, True)
    assert page["length"] == pytest.approx(COUNT / RATE, abs=0.1) and page["place"].startswith("0:00:01.2 of 0:00:0")
    assert page["time"] == START + 97 * 30
    picture = program.get(page["picture"])
    assert picture.headers["content-type"] == "image/jpeg" and index_of(picture.content) == 12


def test_stepping_stays_inside_of_the_video(program: TestClient, filmed: str) -> None:
    def steps(at: float) -> dict[str, str]:
        page = program.get(f"/recording.json?id={filmed}&at={at}").json()
        return {step["label"]: step["link"] for step in page["steps"]}

    middle = steps(1.2)
    assert list(middle) == ["−1 s", "previous picture", "next picture", "+1 s"]
    following = program.get(middle["next picture"].replace("/recording", "/recording.json")).json()
    assert following["at"] == 1.3 and index_of(program.get(following["picture"]).content) == 13
    assert list(steps(0)) == ["next picture", "+1 s", "beginning of the tracklet"]
    assert "next picture" not in steps(3.9) and "previous picture" in steps(3.9)
    beyond = program.get(f"/recording.json?id={filmed}&at=5000").json()
    assert beyond["at"] == 3.9 and index_of(program.get(beyond["picture"]).content) == 39


def test_a_folder_of_pictures_opens_at_the_picture(program: TestClient, photographed: str) -> None:
    page = program.get(f"/recording.json?id={photographed}").json()
    assert (page["name"], page["at"], page["length"], page["video"]) == ("5.png", 4, 12, False)
    assert page["place"] == "picture 5 of 12" and page["time"] is None
    assert index_of(program.get(page["picture"]).content) == 4
    assert program.get(f"/recording.json?id={photographed}&at=99").json()["name"] == "12.png"


def test_without_a_recording_the_frames_of_the_tracklet_are_shown(
    gallery: Gallery, program: TestClient, tmp_path: Path
) -> None:
    for index in range(3):
        scene(index).save(tmp_path / f"{index}.png")
    id_ = add(gallery, 32, recording=Recording(tmp_path / "gone.mp4"), folder=str(tmp_path), names=("2.png", "0.png"))
    page = program.get(f"/recording.json?id={id_}&at=1").json()
    assert (page["name"], page["length"]) == ("0.png", 2)


def test_a_box_is_searched_with_camera_and_time(program: TestClient, filmed: str) -> None:
    box = {"left": "20", "top": "18", "right": "47", "bottom": "99"}
    page = program.post("/search", data={"recording": filmed, "at": "1.2", "k": "5", **box}).json()
    (query,) = page["query"]
    assert (query["id"], query["camera"], query["start"]) == ("door.mp4, 0:00:01.2", "door", START + 97 * 30)
    assert len(page["answers"]) == 5 and page["upload"]
    assert Image.open(io.BytesIO(program.get(query["film"]).content)).height == 128
    again = program.get(f"/search.json?upload={page['upload']}&k=5").json()
    assert [a["tracklet"]["id"] for a in again["answers"]] == [a["tracklet"]["id"] for a in page["answers"]]
    assert any(bar["tone"] == "query" for bar in page["timeline"]["bars"])


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"recording": "door/0000"}, 404),
        ({"recording": "nobody"}, 404),
        ({"recording": "../../etc/passwd"}, 404),
        ({"recording": "{filmed}", "left": "50", "right": "50"}, 400),
        ({"recording": "{filmed}", "left": "10", "right": "11", "top": "0", "bottom": "5"}, 415),
        ({"recording": "{filmed}", "at": "nan"}, 422),
        ({"recording": "{filmed}", "id": "door/0000"}, 400),
    ],
)
def test_searches_that_mean_nothing_are_refused(
    form: dict[str, str], status: int, program: TestClient, filmed: str
) -> None:
    data = {name: value.replace("{filmed}", filmed) for name, value in form.items()}
    assert program.post("/search", data=data).status_code == status


@pytest.mark.parametrize("at", ["-1", "nan", "inf", "1e9", "x"])
def test_places_that_are_none_are_refused(at: str, program: TestClient, filmed: str) -> None:
    for path in ("/recording.json", "/frame"):
        assert program.get(path, params={"id": filmed, "at": at}).status_code == 422


def test_no_other_file_can_be_named(program: TestClient, gallery: Gallery, tmp_path: Path) -> None:
    secret = write_video(tmp_path / "secret.mp4")
    for name in (str(secret), "../secret.mp4", "secret.mp4", f"file://{secret}", "/etc/passwd"):
        for path in ("/recording.json", "/frame", "/film", "/tracklet.json"):
            assert program.get(path, params={"id": name}).status_code == 404
    # A path in the gallery leads to one file, and to the pictures beside it, never to anything else.
    text = tmp_path / "notes.txt"
    text.write_text("secret")
    named = add(gallery, 33, recording=Recording(text))
    answer = program.get("/frame", params={"id": named})
    assert answer.status_code == 415 and b"secret\n" not in answer.content
    folder = add(gallery, 34, recording=Recording(tmp_path))
    assert program.get("/frame", params={"id": folder}).status_code == 404


def test_a_recording_that_is_gone_or_damaged_is_reported(
    program: TestClient, filmed: str, gallery: Gallery, tmp_path: Path
) -> None:
    video = tmp_path / "door.mp4"
    video.write_bytes(video.read_bytes()[:400])
    answer = program.get("/recording.json", params={"id": filmed})
    assert answer.status_code == 415 and "door.mp4" in answer.json()["detail"]
    video.unlink()
    assert program.get("/recording.json", params={"id": filmed}).status_code == 404
    assert program.get("/tracklet.json", params={"id": filmed}).json()["recording"] is None


def test_huge_pictures_are_refused_and_large_ones_scaled_down(gallery: Gallery, tmp_path: Path) -> None:
    wide = add(gallery, 35, recording=Recording(write_video(tmp_path / "wide.mp4", 2, (720, 2048))))
    program = client_of(Service(gallery, ServiceSettings(**RATES)))
    assert Image.open(io.BytesIO(program.get("/frame", params={"id": wide}).content)).width == SHOWN_SIDE
    program = client_of(Service(gallery, ServiceSettings(picture_pixels=10**6, **RATES)))
    answer = program.get("/frame", params={"id": wide})
    assert answer.status_code == 415 and "pixels, expected at most 1,000,000" in answer.json()["detail"]
    program = client_of(Service(gallery, ServiceSettings(decode_bytes=200 << 20, **RATES)))
    assert program.get("/frame", params={"id": wide}).status_code == 415
    program = client_of(Service(gallery, ServiceSettings(**{**RATES, "decode_seconds": 0.05})))
    assert "longer than 0.05 s" in program.get("/frame", params={"id": wide}).json()["detail"]


def test_what_is_erased_is_not_shown_any_more(program: TestClient, service: Service, filmed: str) -> None:
    assert program.get("/frame", params={"id": filmed, "at": 1}).status_code == 200
    program.post("/delete", data={"id": filmed, "sure": "yes"})
    assert program.get("/frame", params={"id": filmed, "at": 1}).status_code == 404
    assert not service.scenes._kept


def test_the_decoder_loads_no_libraries_that_it_does_not_need() -> None:
    code = "import sys, resight.service.decoder; sys.exit(bool({'torch', 'fastapi', 'rich'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_view_is_in_the_log(program: TestClient, filmed: str) -> None:
    program.get(f"/recording.json?id={filmed}&at=2")
    entry = program.get("/log.json").json()["entries"][0]
    assert entry["action"] == "view" and filmed in entry["subject"] and "door.mp4" in entry["subject"]
