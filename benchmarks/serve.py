"""Load on the web service: ``python -m benchmarks.serve --out FILE`` simulates users of a large gallery.

A gallery of synthetic features is made, `resight serve` is started as a process of its own, and every user, a thread,
browses, looks at pictures, searches, asks for explanations and labels, with a pause of half a second between requests.
In the middle, the service is killed with SIGKILL and started again; every label that was acknowledged must be there
afterwards. With playwright and Chromium, the first paint and the time of a search are measured in the browser as well.
"""

from __future__ import annotations

import atexit
import http.client
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from cyclopts import run
from PIL import Image

from resight.api.gallery_encoding import header_of
from resight.api.model import load_model
from resight.gallery.describe import storable, unit_mean
from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Entry, StoredTracklet
from resight.outputs import replace_file

CLIPS, DIM, PER_PERSON, CAMERAS = 8, 512, 10, 8
PAUSE = 0.5
_KINDS = ("list", "filter", "film", "tracklet", "search", "explain", "label")
_SHARES = (3, 2, 8, 3, 2, 1, 1)


def fill(folder: Path, size: int) -> None:
    """Make a gallery of synthetic features."""
    store = SqliteStore(folder, header_of(load_model(keep_features=False)))
    picture = io.BytesIO()
    Image.effect_noise((64, 128), 60).convert("RGB").save(picture, "JPEG", quality=60)
    strip, block = (picture.getvalue(),) * CLIPS, []
    for number in range(size):
        person = np.random.default_rng([1, number // PER_PERSON]).standard_normal(DIM)
        rng = np.random.default_rng([2, number])
        features = storable(person + 0.5 * rng.standard_normal(DIM) + 0.5 * rng.standard_normal((CLIPS, DIM)))
        start = 1.7e9 + 10.0 * number
        entry = Entry(
            name_of(number), f"camera-{number % CAMERAS}", start, start + 8, "synthetic", None, 24, 0.5, 1.7e9
        )
        frames = np.zeros((CLIPS, 4), np.int32)
        block.append(
            StoredTracklet(entry, number.to_bytes(32, "big"), features, unit_mean(features), frames, strip, "", ())
        )
        if len(block) == 256 or number == size - 1:
            store.add(block)
            block = []
    store.close()


def name_of(number: int) -> str:
    """Return the id of a tracklet."""
    return f"t{number:06d}"


class Server:
    """`resight serve` in a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        command = [sys.executable, "-m", "resight", "serve", str(folder), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"the service has ended: check that nothing else uses port {port}")
            try:
                get(self.port, "/tracklets.json?limit=1")
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("the service does not answer")

    def memory(self) -> float:
        """Return the resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def get(port: int, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Send one request, and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        if form is None:
            connection.request("GET", path, headers={"accept": "text/html" if ".json" not in path else "*/*"})
        else:
            content = {"content-type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(form), content)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Load:
    """What the users have done and seen."""

    def __init__(self, port: int, size: int) -> None:
        self.port, self.size = port, size
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []
        self.acknowledged: list[tuple[str, str]] = []
        self.down = threading.Event()
        self.done = threading.Event()
        self.lock = threading.Lock()

    def user(self, number: int) -> None:
        """Behave like one user until the load is over."""
        rng = random.Random(number)
        while not self.done.wait(PAUSE):
            kind = rng.choices(_KINDS, _SHARES)[0]
            query, other = name_of(rng.randrange(self.size)), name_of(rng.randrange(self.size))
            path = {
                "list": "/tracklets", "filter": f"/tracklets?camera=camera-{rng.randrange(CAMERAS)}&shortest=5",
                "film": f"/film?id={query}", "tracklet": f"/tracklet?id={query}", "search": f"/search?id={query}&k=10",
                "explain": f"/explain?query={query}&answer={other}", "label": "/label",
            }[kind]  # fmt: skip
            form = {"kind": "different", "first": query, "second": other} if kind == "label" else None
            started = time.perf_counter()
            try:
                status, _ = get(self.port, path, form)
            except (OSError, http.client.HTTPException) as error:
                if not self.down.is_set():
                    self.errors.append(f"{path}: {error!r}")
                continue
            with self.lock:
                self.seconds[kind].append(time.perf_counter() - started)
                if status != 200 and not (kind == "label" and status == 409):
                    self.errors.append(f"{path}: {status}")
                elif form is not None and status == 200:
                    self.acknowledged.append((query, other))


def percentiles(values: list[float]) -> dict[str, float]:
    """Return count, p50 and p95 in milliseconds."""
    p50, p95 = np.percentile(values, [50, 95]) * 1000
    return {"requests": len(values), "p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}


def measure_films(port: int, size: int, films: int = 200) -> dict[str, Any]:
    """Return the time of a film when it is joined, when it is still in memory, and when the browser has it."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for number in range(films):
            headers: dict[str, str] = {}
            for kind in ("joined", "in memory", "not changed"):
                started = time.perf_counter()
                connection.request("GET", f"/film?id={name_of(number * size // films)}", headers=headers)
                answer = connection.getresponse()
                answer.read()
                seconds[kind].append(time.perf_counter() - started)
                if kind == "in memory":
                    headers = {"if-none-match": answer.headers["etag"]}
    return {kind: percentiles(values) for kind, values in seconds.items()}


def measure_browser(port: int, size: int, searches: int = 20) -> dict[str, Any]:
    """Return the first paint of the list, and the time from a click on Search to the answers."""
    from playwright.sync_api import sync_playwright

    paints, seconds = [], []
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(bypass_csp=True)
        for number in range(searches):
            page.goto(f"http://127.0.0.1:{port}/tracklets")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
            page.goto(f"http://127.0.0.1:{port}/tracklet?id={name_of(number * size // searches)}")
            started = time.perf_counter()
            page.get_by_role("link", name="Search for this person", exact=True).last.click()
            page.locator(".answer").first.wait_for()
            seconds.append(time.perf_counter() - started)
        browser.close()
    return {"first_contentful_paint": percentiles(paints), "search_until_answers": percentiles(seconds)}


def main(
    *, size: int = 100_000, users: int = 20, seconds: float = 300, port: int = 8765, gallery: Path | None = None,
    out: Path | None = None,
) -> None:  # fmt: skip
    """Measure, and print the results as JSON.

    Args:
        size: Number of tracklets.
        users: Simultaneous users.
        seconds: Length of the load, half of it before the kill and half after.
        port: Port of the service.
        gallery: Folder in which the gallery is kept for the next time; its labels and log grow. It is made if missing.
        out: JSON file to write.
    """
    with tempfile.TemporaryDirectory() as root:
        folder = gallery or Path(root) / "gallery"
        if not folder.exists():
            fill(folder, size)
        server = Server(folder, port)
        get(port, f"/search?id={name_of(0)}")  # reads the means of all tracklets once
        results: dict[str, Any] = {"tracklets": size, "users": users, "seconds": seconds, "cores": os.cpu_count()}
        results["browser, no other load"] = measure_browser(port, size)
        results["films, no other load"] = measure_films(port, size)
        load = Load(port, size)
        threads = [threading.Thread(target=load.user, args=(number,), daemon=True) for number in range(users)]
        memory = []
        for thread in threads:
            thread.start()
        for half in range(2):
            end = time.monotonic() + seconds / 2
            while time.monotonic() < end:
                time.sleep(min(5.0, seconds / 10))
                memory.append(round(server.memory()))
            if half == 0:
                load.down.set()
                server.kill()
                server = Server(folder, port)
                time.sleep(1)
                load.down.clear()
        load.done.set()
        for thread in threads:
            thread.join()
        server.kill()
        with closing(SqliteStore(folder)) as store:
            kept = {frozenset(event.ids) for event in store.read_log() if event.kind == "different"}
            problems = store.verify()
    lost = [pair for pair in load.acknowledged if frozenset(pair) not in kept]
    results |= {
        "requests": {kind: percentiles(load.seconds[kind]) for kind in _KINDS if load.seconds[kind]},
        "errors": len(load.errors), "first errors": load.errors[:5], "memory_mb": memory,
        "labels acknowledged": len(load.acknowledged), "labels lost": len(lost), "problems after kill": len(problems),
    }  # fmt: skip
    text = json.dumps(results, indent=1)
    print(text)
    if out is not None:
        with replace_file(out) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
