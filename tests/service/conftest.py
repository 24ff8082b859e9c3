"""A gallery of coloured figures with a small random model, and the service over it."""

from __future__ import annotations

import io
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from resight.api.gallery import Gallery
from resight.api.gallery_encoding import header_of
from resight.api.model import Model, load_model
from resight.checkpoints import Checkpoint, make_aggregator, save_checkpoint
from resight.gallery.describe import as_strip, unit_mean
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Entry, Header, StoredTracklet
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.service.app import create_app
from resight.service.service import Service
from resight.service.settings import ServiceSettings

CLIPS = 4
PERSONS = 6
CAMERAS = ("door", "hall", "yard")
START = 1777629600.0  # 2026-05-01 10:00 UTC
BASE = "http://127.0.0.1:8000"
RATES: dict[str, Any] = {
    "requests_per_second": 1e6,
    "searches_per_second": 1e6,
    "logins_per_minute": 1e6,
    "decode_seconds": 120,  # the machine of the tests may be busy
}


def figure(person: int, phase: float = 0.0, size: tuple[int, int] = (128, 64)) -> Image.Image:
    """Return a picture of a figure, whose clothes tell the person."""
    rng = np.random.default_rng(person)
    skin, top, bottom, back = (tuple(int(v) for v in rng.integers(40, 220, 3)) for _ in range(4))
    picture = Image.new("RGB", (64, 128), back)
    draw = ImageDraw.Draw(picture)
    swing = 8 * np.sin(phase)
    draw.line((32, 74, 32 + swing, 118), fill=bottom, width=9)
    draw.line((32, 74, 32 - swing, 118), fill=bottom, width=9)
    draw.rounded_rectangle((20, 32, 44, 78), 7, fill=top)
    draw.ellipse((24, 8, 40, 30), fill=skin)
    return picture.resize(size[::-1])


def jpeg(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()


def stored(number: int, dim: int, *, camera: str | None = None) -> StoredTracklet:
    """Return a tracklet of one of `PERSONS` persons."""
    person = number % PERSONS
    rng = np.random.default_rng(number)
    centre = np.random.default_rng(1000 + person).normal(size=dim)
    features = (centre + 0.5 * rng.normal(size=(CLIPS, dim))).astype(np.float16)
    pictures = [np.asarray(figure(person, phase + number)) for phase in range(CLIPS)]
    place = CAMERAS[number % len(CAMERAS)] if camera is None else camera
    start = START + 97.0 * number
    entry = Entry(
        f"{place}/{number:04d}", place, start, start + 6.0, "manifest:crops", None, 30, 0.4 + 0.02 * number, time.time()
    )
    frames = np.arange(CLIPS * 4, dtype=np.int32).reshape(CLIPS, 4)
    return StoredTracklet(
        entry, number.to_bytes(32, "big"), features, unit_mean(features), frames, as_strip(pictures), "", ()
    )


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights."""
    recipe = Recipe("small", ClipSpec(count=CLIPS, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
    torch.manual_seed(1)
    encoder = make_encoder(recipe.stage1).eval()
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    aggregator = make_aggregator("learned", encoder.dim, recipe)
    save_checkpoint(path, Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned"}))
    return path


@pytest.fixture(scope="session")
def model(model_file: Path) -> Model:
    return load_model(model_file)


@pytest.fixture(scope="session")
def header(model: Model) -> Header:
    return header_of(model)


@pytest.fixture(scope="session")
def filled_gallery(tmp_path_factory: pytest.TempPathFactory, header: Header) -> Path:
    """A gallery of eighteen tracklets, three of each person; copy it before changing it."""
    folder = tmp_path_factory.mktemp("galleries") / "site"
    store = SqliteStore(folder, header)
    store.add([stored(number, header.dim) for number in range(3 * PERSONS)])
    store.close()
    return folder


@pytest.fixture
def gallery(filled_gallery: Path, model: Model, tmp_path: Path) -> Iterator[Gallery]:
    shutil.copytree(filled_gallery, tmp_path / "site")
    with Gallery(tmp_path / "site", model) as opened:
        yield opened


@pytest.fixture
def service(gallery: Gallery) -> Service:
    return Service(gallery, ServiceSettings(author="tester", **RATES))


def client_of(service: Service, **headers: str) -> TestClient:
    """Return a client of a service that runs in this process. Without headers, it is a program."""
    app = create_app(service)
    return TestClient(app, BASE, raise_server_exceptions=False, follow_redirects=False, headers=headers)


@pytest.fixture
def program(service: Service) -> TestClient:
    return client_of(service)


@pytest.fixture
def browser(service: Service) -> TestClient:
    """A client that sends what a browser sends, and has a session."""
    client = client_of(service, **{"accept": "text/html", "origin": BASE, "sec-fetch-site": "same-origin"})
    client.get("/tracklets")
    return client


@contextmanager
def served(service: Service, **options: Any) -> Iterator[str]:
    """Serve in a thread, and yield the address."""
    config = uvicorn.Config(create_app(service), port=0, log_level="critical", lifespan="off", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def csrf_of(client: TestClient) -> str:
    """Return the token of the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/tracklet?id=door/0000").text)
    assert found is not None
    return found[1]
