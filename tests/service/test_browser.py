"""The tour of an operator in a real browser: three widths, both themes, with the mouse and with the keyboard only.

Needs the Python package playwright and an installed Chromium; the tests are skipped without them. With the environment
variable RESIGHT_SCREENSHOTS, every page is written to that folder as a picture.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.service.conftest import PERSONS, RATES, figure, jpeg, served, stored
from tests.service.test_recordings import write_video

from resight.api.gallery import Gallery
from resight.service.service import Service
from resight.service.settings import ServiceSettings
from resight.tracklet import Recording

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'resight[dev]'")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python: pip install 'resight[dev]'"
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, such as that of the Debian package chromium")
TOTAL = 3 * PERSONS
SETTINGS = [(1280, "light"), (820, "dark"), (390, "light")]


@pytest.fixture(scope="module")
def browser_program() -> Iterator[Browser]:
    playwright: Playwright
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"] if os.name == "posix" and os.geteuid() == 0 else ["--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def show_all_pictures(page: Page) -> None:
    """Load and decode also the pictures outside of the window."""
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    page.evaluate("Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")


class Tour:
    """A page of the service, with checks of what it loads, reports and offers to everybody."""

    def __init__(self, browser: Browser, address: str, width: int, theme: Any) -> None:
        self.address = address
        self.name = f"{width}-{theme}"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, base_url=address)
        context.set_default_timeout(20_000)
        self.page: Page = context.new_page()
        self.width = width
        self.requests: list[str] = []
        self.reports: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.reports.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.reports.append(str(error)))

    def check(self, name: str) -> None:
        """Check the page as it is now, and take a picture if wanted."""
        page = self.page
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= self.width, f"{name} is wider than the window"
        violations = self.violations()
        assert not violations, f"{name}: {violations}"
        if folder := os.environ.get("RESIGHT_SCREENSHOTS"):
            show_all_pictures(page)
            page.screenshot(path=Path(folder) / f"{name}-{self.name}.png", full_page=True)

    def violations(self) -> list[str]:
        """Return the serious violations of accessibility that axe finds."""
        self.page.evaluate(axe.Axe().axe_script)
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [
            f"{violation['id']}: {violation['nodes'][0]['html'][:200]} {violation['nodes'][0]['failureSummary'][:200]}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        """Check what was loaded and reported on the way."""
        foreign = [url for url in self.requests if not url.startswith((self.address, "blob:", "data:"))]
        self.page.context.close()
        assert foreign == []
        assert self.reports == []


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with served(service) as found:
        yield found


@pytest.fixture
def tour(request: pytest.FixtureRequest, browser_program: Browser, address: str) -> Iterator[Tour]:
    width, theme = getattr(request, "param", (1280, "dark"))
    made = Tour(browser_program, address, width, theme)
    yield made
    made.close()


def cards(page: Page) -> int:
    return page.locator(".tile").count()


@pytest.mark.parametrize("tour", SETTINGS, indirect=True, ids=lambda setting: f"{setting[0]}-{setting[1]}")
def test_tour_with_the_mouse(tour: Tour) -> None:
    page = tour.page
    page.goto("/")
    assert cards(page) == TOTAL
    tour.check("tracklets")

    page.get_by_label("door", exact=True).check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("camera=door"))
    assert cards(page) == TOTAL // 3
    page.go_back()
    page.wait_for_url(re.compile("tracklets$"))
    page.locator(".tile").nth(TOTAL - 1).wait_for()

    page.get_by_role("link", name="door/0000", exact=True).click()
    page.get_by_role("heading", name="door/0000").wait_for()
    tour.check("tracklet")
    page.get_by_role("link", name="Search for this person", exact=True).last.click()
    answers = page.locator(".answer")
    answers.first.wait_for()
    best = answers.nth(0)
    best.hover()
    assert best.locator(".player img").evaluate("image => getComputedStyle(image).animationName") == "play"
    tour.check("search")

    best.get_by_role("button", name="Confirm").click()
    best.get_by_text("confirmed: same person").wait_for()
    last = answers.last
    last.get_by_role("button", name="Reject").click()
    last.get_by_text("rejected: another person").wait_for()
    last.get_by_role("button", name="Undo").click()
    last.get_by_role("button", name="Reject").wait_for()

    best.get_by_role("link", name="Explain").click()
    page.locator(".matrix").first.wait_for()
    tour.check("explain")
    page.go_back()
    page.get_by_text("confirmed: same person").first.wait_for()

    page.get_by_role("link", name="Suggestions").click()
    page.get_by_role("heading", name="Probably the same person").wait_for()
    tour.check("suggestions")
    pair = page.locator(".merge").first
    pair.get_by_role("button", name="Confirm").click()
    pair.get_by_text("confirmed: same person").wait_for()

    page.get_by_role("link", name="Persons").click()
    page.locator(".tile").first.wait_for()
    tour.check("persons")
    page.locator(".tile a").first.click()
    page.get_by_role("heading", name="Where and when").wait_for()
    tour.check("case")
    for name, content in (
        ("Export as one HTML file", b"data:image/jpeg"),
        ("Export as CSV", b"person,tracklet,camera"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert content in Path(download.value.path()).read_bytes()

    page.goto("/tracklet?id=yard/0017")
    page.get_by_label("Erase the features").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text(f"{TOTAL - 1} tracklets in the gallery").wait_for()
    page.get_by_role("link", name="Log", exact=True).click()
    page.get_by_role("heading", name="Log").wait_for()
    assert "yard/0017" not in page.content()
    tour.check("log")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def tab_to(page: Page, text: str, most: int = 80) -> None:
    """Press Tab until the focus is on an element with this text."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if text in focused(page) or text in str(page.evaluate("document.activeElement.labels?.[0]?.textContent ?? ''")):
            return
    raise AssertionError(f"Tab does not reach {text!r}")


def test_tour_with_the_keyboard(tour: Tour) -> None:
    page = tour.page
    page.goto("/tracklets")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    tour.check("keys")
    page.keyboard.press("Escape")

    page.keyboard.press("/")
    tab_to(page, "After", 5)
    page.keyboard.type("2026-05-01T10:00")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("after="))

    press(page, "j", "j", "k")
    assert page.locator(".current").count() == 1
    playing = page.locator(".current .player img").evaluate("image => getComputedStyle(image).animationName")
    assert playing == "play"
    page.keyboard.press("s")
    page.locator(".answer").first.wait_for()
    press(page, "j", "c")
    page.locator(".answer").first.get_by_text("confirmed: same person").wait_for()
    press(page, "u")
    page.locator(".answer").first.get_by_role("button", name="Confirm").wait_for()
    press(page, "c")
    page.locator(".answer").first.get_by_text("confirmed: same person").wait_for()
    press(page, "j", "r")
    page.locator(".answer").nth(1).get_by_text("rejected: another person").wait_for()
    press(page, "k", "e")
    page.locator(".matrix").first.wait_for()
    page.go_back()
    page.locator(".answer").first.wait_for()

    tab_to(page, "Persons")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Persons").wait_for()
    press(page, "j", "Enter")
    page.get_by_role("heading", name="Where and when").wait_for()
    tab_to(page, "Export as CSV")
    with page.expect_download():
        page.keyboard.press("Enter")
    press(page, "j", "j", "Enter")
    page.get_by_role("heading", name="Clips").wait_for()
    tab_to(page, "Erase the features")
    page.keyboard.press("Space")
    tab_to(page, "Delete", 2)
    page.keyboard.press("Enter")
    page.get_by_text(f"{TOTAL - 1} tracklets in the gallery").wait_for()


def test_upload_with_a_box(tour: Tour) -> None:
    page = tour.page
    page.goto("/search")
    tour.check("upload")
    scene = figure(2, size=(256, 128))
    page.get_by_label("Pictures of one person").set_input_files(
        {"name": "scene.jpg", "mimeType": "image/jpeg", "buffer": jpeg(scene)}
    )
    canvas = page.locator("canvas")
    canvas.wait_for()
    area = canvas.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.25 * area["width"], area["y"] + 0.1 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.9 * area["height"], steps=3)
    page.mouse.up()
    edges = [float(page.get_by_label(name).input_value()) for name in ("Left", "Top", "Right", "Bottom")]
    assert edges == pytest.approx([25, 10, 75, 90], abs=1.5)
    tour.check("box")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("heading", name="Your pictures").wait_for()
    assert page.locator(".answer").count() == TOTAL
    tour.check("uploaded")
    press(page, "j", "c")
    page.get_by_role("heading", name="picture-").wait_for()
    assert page.get_by_text("confirmed: same person").count() == 1
    assert page.get_by_role("button", name="Add and confirm").count() == 0
    page.get_by_label("Pictures of one person").set_input_files(
        {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    )
    page.locator(".upload").get_by_role("button", name="Search").click()
    page.get_by_text("is not a JPEG, PNG or WebP file").wait_for()
    tour.check("problem")
    tour.reports = [report for report in tour.reports if "415" not in report]


@pytest.mark.parametrize("tour", SETTINGS, indirect=True, ids=lambda setting: f"{setting[0]}-{setting[1]}")
def test_box_in_a_recording(tour: Tour, gallery: Gallery, tmp_path: Path) -> None:
    begins = Recording(write_video(tmp_path / "door.mp4"), 1.2)
    gallery.store.add([replace(stored(30, gallery.store.header.dim), recording=begins)])
    page = tour.page
    page.goto("/tracklet?id=door/0030")
    page.get_by_role("link", name="Open the recording").wait_for()
    page.keyboard.press("o")
    canvas = page.locator("canvas")
    canvas.wait_for()
    page.get_by_text("0:00:01.2 of").first.wait_for()
    for key, at in ((".", "1.3"), (".", "1.4"), (",", "1.3")):
        page.keyboard.press(key)
        page.wait_for_url(re.compile(f"at={at}$"))
    page.get_by_role("link", name="next picture").click()
    page.wait_for_url(re.compile("at=1.4$"))
    page.get_by_label("Second").fill("2")
    page.get_by_role("button", name="Go").click()
    page.get_by_text("0:00:02.0 of").first.wait_for()
    canvas.wait_for()
    canvas.focus()
    press(page, "ArrowRight", "ArrowUp", "Shift+ArrowDown")
    edges = [float(page.get_by_label(name, exact=True).input_value()) for name in ("Left", "Top", "Right", "Bottom")]
    assert edges == [41, 24, 61, 75]
    area = canvas.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.15 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.65 * area["width"], area["y"] + 0.97 * area["height"], steps=3)
    page.mouse.up()
    tour.check("recording")
    page.get_by_role("button", name="Search for the person in the box").click()
    page.get_by_role("heading", name="door.mp4, 0:00:02.0").wait_for()
    assert page.locator(".answer").count() > 0
    tour.check("boxed")
    page.go_back()
    page.locator("canvas").wait_for()
    page.get_by_text("0:00:02.0 of").first.wait_for()


def test_a_deletion_clears_the_cache(tour: Tour) -> None:
    page = tour.page
    page.goto("/tracklet?id=yard/0017")
    film = str(page.locator(".player img").get_attribute("src"))
    fetch = "async (film) => (await fetch(film, { cache: 'force-cache' })).status"
    assert page.evaluate(fetch, film) == 200
    page.get_by_label("Erase the features").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text(f"{TOTAL - 1} tracklets in the gallery").wait_for()
    assert page.evaluate(fetch, film) == 404
    tour.reports = [report for report in tour.reports if "404" not in report]


@pytest.mark.skipif("RESIGHT_DOCS_GALLERY" not in os.environ, reason="writes docs/images/ from RESIGHT_DOCS_GALLERY")
def test_pictures_of_the_documentation(browser_program: Browser, tmp_path: Path) -> None:
    """Write the pictures of docs/serve.md, from a gallery of synthetic people with videos and the model open."""
    folder = tmp_path / "gallery"
    shutil.copytree(os.environ["RESIGHT_DOCS_GALLERY"], folder)
    images = Path(__file__).parents[2] / "docs" / "images"
    query = os.environ["RESIGHT_DOCS_QUERY"]
    box = os.environ["RESIGHT_DOCS_BOX"].split()  # of the person in the first picture of the query, in percent
    with Gallery(folder) as gallery, served(Service(gallery, ServiceSettings(**RATES))) as address:
        tour = Tour(browser_program, address, 1200, "light")
        page = tour.page

        def picture(name: str, height: int) -> None:
            show_all_pictures(page)
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            page.set_viewport_size({"width": 1200, "height": height})
            page.screenshot(path=images / f"serve-{name}.jpg", type="jpeg", quality=82)

        page.goto("/tracklets")
        picture("tracklets", 780)
        page.goto(f"/search?id={query}&k=6")
        for number in range(2):
            page.locator(".answer").nth(number).get_by_role("button", name="Confirm").click()
            page.locator(".answer").nth(number).get_by_text("confirmed").wait_for()
        page.goto(f"/search?id={query}&k=6")
        picture("search", 1150)
        page.locator(".answer").first.get_by_role("link", name="Explain").click()
        page.locator(".matrix").first.wait_for()
        picture("explain", 1250)
        page.goto("/persons")
        page.locator(".tile a").first.click()
        page.get_by_role("heading", name="Where and when").wait_for()
        picture("case", 820)
        page.goto(f"/recording?id={query}")
        page.locator("canvas").wait_for()
        for name, edge in zip(("Left", "Top", "Right", "Bottom"), box, strict=True):
            page.get_by_label(name, exact=True).fill(edge)
        picture("recording", 900)
        tour.close()
