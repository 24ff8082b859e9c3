"""Hostile uploads: refused, with a status that says why, and without harm to the service."""

from __future__ import annotations

import io
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.service.conftest import RATES, client_of, figure, jpeg, served

from resight.api.gallery import Gallery
from resight.errors import FrameError
from resight.service.decoder import Limits, decode_pictures
from resight.service.serve import PatientProtocol
from resight.service.service import Service
from resight.service.settings import ServiceSettings
from resight.service.uploads import MOST, Uploads

GOOD = jpeg(figure(1))


def png(width: int, height: int, *, body: bytes | None = None) -> bytes:
    """Return a PNG file of black pixels, or with a given body of compressed pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    if body is None:
        compressor = zlib.compressobj(9)
        line = bytes(width + 1)
        body = b"".join(compressor.compress(line) for _ in range(height)) + compressor.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "html": b"<html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(40),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "zip": b"PK\x03\x04" + bytes(100),
    "truncated": GOOD[: len(GOOD) // 2],
    "head only": GOOD[:20],
    "wrong type inside": b"\xff\xd8\xff" + b"GIF89a" + bytes(200),
    "announced bomb": png(60_000, 60_000, body=zlib.compress(b"")),
    "real bomb": png(12_000, 12_000),
    "too many pixels": png(6_000, 5_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pictures_are_refused(kind: str, program: TestClient) -> None:
    answer = program.post("/search", files={"pictures": ("a.jpg", HOSTILE[kind], "image/jpeg")})
    assert answer.status_code == 415 and answer.json()["detail"].startswith("picture 1")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "a\x00.jpg", "x" * 3000, "é.jpg"]
)
def test_names_of_files_mean_nothing(name: str, program: TestClient, service: Service) -> None:
    before = sorted(Path(service.gallery.path).parent.rglob("*"))
    answer = program.post("/search", files={"pictures": (name, GOOD, "image/jpeg")})
    assert answer.status_code in (200, 400)
    assert sorted(Path(service.gallery.path).parent.rglob("*")) == before


def test_a_polyglot_becomes_pixels(program: TestClient) -> None:
    polyglot = GOOD + b"PK\x03\x04<script>alert(1)</script><?php system('id') ?>"
    page = program.post("/search", files={"pictures": ("a.jpg", polyglot, "text/html")}).json()
    film = program.get(page["query"][0]["film"])
    assert film.headers["content-type"] == "image/jpeg" and b"script" not in film.content and b"php" not in film.content


def test_too_many_and_too_large_pictures_are_refused(gallery: Gallery) -> None:
    program = client_of(Service(gallery, ServiceSettings(pictures=2, upload_bytes=100_000, **RATES)))
    assert program.post("/search", files=[("pictures", ("a.jpg", GOOD))] * 3).status_code == 413
    assert program.post("/search", files={"pictures": ("a.jpg", bytes(200_000))}).status_code == 413
    assert program.post("/label", data={"kind": "x" * 100_000}).status_code == 413

    def endless() -> Iterator[bytes]:  # no length is announced
        for _ in range(100):
            yield bytes(10_000)

    assert program.post("/search", content=endless()).status_code == 413
    assert program.post("/search", headers={"content-length": "-5"}, content=b"").status_code in (400, 413)


def test_a_form_without_a_reference_is_refused(program: TestClient) -> None:
    assert program.post("/search", data={"k": "3"}).status_code == 400
    both = program.post("/search", data={"id": "door/0000"}, files={"pictures": GOOD})
    assert both.status_code == 400
    assert (
        program.post(
            "/search", content=b"--x\r\nbroken", headers={"content-type": "multipart/form-data; boundary=x"}
        ).status_code
        == 400
    )
    assert program.post("/search", data={"id": "door/0000", "pictures": "a name, no file"}).status_code == 422


def test_decoding_is_bounded_in_memory_and_time() -> None:
    with pytest.raises(FrameError, match=r"memory and time|cannot be decoded"):
        decode_pictures([png(12_000, 12_000)], Limits(10**9, 20, 300 << 20))
    started = time.perf_counter()
    with pytest.raises(FrameError, match=r"longer than 0\.05 s"):
        decode_pictures([GOOD], Limits(10**7, 0.05, 1 << 30))
    assert time.perf_counter() - started < 5


MEASURE = """
import json, resource, sys
from pathlib import Path
from resight.errors import FrameError
from resight.service.decoder import decode_pictures
from resight.service.settings import ServiceSettings
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = []
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode_pictures([path.read_bytes()], ServiceSettings(decode_seconds=60).decoding)
    except FrameError:
        refused.append(path.name)
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([refused, own // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux counts it")
def test_hostile_pictures_take_little_memory(tmp_path: Path) -> None:
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    refused, own, decoder = json.loads(done.stdout)
    assert refused == sorted(HOSTILE)
    assert own < 16 and decoder < 150, "in MB; 12,000 x 12,000 pixels would take 432 MB"


def peak_memory() -> int:
    """Return the largest resident memory of this process since the peak was last cleared, in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory as Linux counts it")
def test_many_slow_bodies_take_little_memory(gallery: Gallery) -> None:
    size, clients = 8 << 20, 24
    service = Service(gallery, ServiceSettings(upload_bytes=size, upload_seconds=2, **RATES))
    body = bytes(size - 1000)

    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {size}\r\n\r\n"
            with suppress(OSError):  # refused before everything was sent
                connection.sendall(head.encode())
                connection.sendall(body)  # without a copy of it for each client
                read_all(connection)

    with served(service, http=PatientProtocol) as address:
        threads = [threading.Thread(target=send, args=(int(address.rpartition(":")[2]),)) for _ in range(clients)]
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here
        before = peak_memory()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = peak_memory()
        with urllib.request.urlopen(f"{address}/tracklets.json", timeout=60) as answer:
            assert answer.status == 200
    assert peak - before < 110, f"in MB; all bodies together have {clients * size >> 20}"


def test_old_queries_are_forgotten(gallery: Gallery) -> None:
    (tracklet,) = gallery.store.fetch(["door/0000"])
    uploads = Uploads()
    names = [uploads.add(tracklet, 1).name for _ in range(MOST + 5)]
    assert [uploads.get(name) is not None for name in names] == [False] * 5 + [True] * MOST


@pytest.fixture
def listening(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a service that has little patience."""
    monkeypatch.setattr("resight.service.serve.HEADER_SECONDS", 0.5)
    service = Service(gallery, ServiceSettings(upload_seconds=0.5, **RATES))
    with served(service, http=PatientProtocol) as address:
        yield int(address.rpartition(":")[2])


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_slow_bodies_and_heads_are_cut_off(listening: int) -> None:
    host = f"Host: 127.0.0.1:{listening}\r\n".encode()
    heads = {
        b"POST /search HTTP/1.1\r\n"
        + host
        + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x": b"408",
        b"GET /tracklets HTTP/1.1\r\nHost:": b"",
        b"": b"",
    }
    for head, expected in heads.items():
        with socket.create_connection(("127.0.0.1", listening), timeout=10) as connection:
            connection.sendall(head)
            answer = read_all(connection)
        assert expected in answer[:20] and (bool(answer) == bool(expected))
    with socket.create_connection(("127.0.0.1", listening), timeout=10) as connection:
        connection.sendall(b"GET /tracklets.json HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n")
        assert b"200 OK" in read_all(connection)


def test_what_is_not_http_is_refused(listening: int) -> None:
    for garbage in (b"\x16\x03\x01" + bytes(50) + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 200_000):
        with socket.create_connection(("127.0.0.1", listening), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                answer = read_all(connection)
            except ConnectionError:
                continue
            assert b"200 OK" not in answer


def test_a_picture_that_fills_a_pipe_is_decoded() -> None:
    noise = io.BytesIO()
    figure(1, size=(1200, 600)).save(noise, "PNG")
    (picture,) = decode_pictures([noise.getvalue()], Limits(10**7, 30, 1 << 30))
    assert picture.shape == (1024, 512, 3)
