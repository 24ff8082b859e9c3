"""What stands before the routes: host names, login, origin, session of forms, rates, headers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.service.conftest import BASE, RATES, client_of, csrf_of

from resight.api.gallery import Gallery
from resight.errors import OutputError, RecipeError
from resight.service.app import create_api
from resight.service.guard import CONTENT_SECURITY_POLICY
from resight.service.rates import RateLimit
from resight.service.service import Service
from resight.service.sessions import COOKIE, Sessions
from resight.service.settings import ServiceSettings, new_token, read_token

TOKEN = new_token()
LABEL = {"kind": "confirm", "first": "door/0000", "second": "door/0006"}
BROWSER = {"accept": "text/html", "origin": BASE, "sec-fetch-site": "same-origin"}


@pytest.fixture
def guarded(gallery: Gallery) -> Service:
    """A service that needs a login."""
    return Service(gallery, ServiceSettings(token=TOKEN, **RATES))


def requests_of(service: Service) -> set[tuple[str, str]]:
    """Return method and path of every route."""
    listed = create_api(service).openapi()["paths"]
    hidden = {("get", "/"), ("get", "/static/app.js"), ("get", "/openapi.json")}
    return {(method, path) for path, methods in listed.items() for method in methods} | hidden


def test_without_the_token_only_the_login_answers(guarded: Service) -> None:
    client = client_of(guarded)
    answers = {(method, path): client.request(method, path).status_code for method, path in requests_of(guarded)}
    assert len(answers) > 20
    assert {request for request, status in answers.items() if status != 401} == {("get", "/login"), ("post", "/login")}
    assert client.get("/static/page.css").status_code == client.get("/static/service.css").status_code == 200
    assert client.get("/openapi.json").status_code == client.get("/static/app.js").status_code == 401
    page = client_of(guarded, accept="text/html").get("/search?id=a&k=3")
    assert page.status_code == 303 and page.headers["location"] == "/login?next=%2Fsearch%3Fid%3Da%26k%3D3"


def test_logging_in_and_out(guarded: Service) -> None:
    client = client_of(guarded, **BROWSER)
    form = {"token": TOKEN, "author": "ann", "next": "/log"}
    assert client.post("/login", data=form | {"token": TOKEN[:-1] + "x"}).status_code == 401
    assert COOKIE not in client.cookies
    answer = client.post("/login", data=form)
    assert answer.status_code == 303 and answer.headers["location"] == "/log"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert client.get("/tracklets").status_code == 200
    assert client.post("/label", data=LABEL | {"csrf": csrf_of(client)}).status_code == 303
    assert "ann" in client.get("/log").text
    kept = client.cookies[COOKIE]
    assert client.post("/logout", data={"csrf": csrf_of(client)}).headers["location"] == "/login"
    client.cookies.set(COOKIE, kept)
    assert client.get("/tracklets").headers["location"].startswith("/login")


def test_programs_send_the_token(guarded: Service) -> None:
    assert client_of(guarded, authorization=f"Bearer {TOKEN}").post("/label", data=LABEL).status_code == 200
    assert client_of(guarded, authorization="Bearer " + new_token()).get("/tracklets.json").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": BASE, "sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("cookie", [True, False])
def test_forms_of_other_sites_change_nothing(headers: dict[str, str], cookie: bool, service: Service) -> None:
    client = client_of(service, **BROWSER)
    client.get("/tracklets")
    csrf, jar = csrf_of(client), dict(client.cookies) if cookie else {}
    other = client_of(service, accept="text/html", **headers)
    other.cookies.update(jar)
    for path, form in (("/label", LABEL), ("/delete", {"id": "door/0000", "sure": "yes"}), ("/logout", {})):
        assert other.post(path, data=form | {"csrf": csrf}).status_code == 403
    assert service.groups().ids() == [] and len(service.gallery) == 18


def test_every_route_that_changes_something_checks_the_session(service: Service) -> None:
    client = client_of(service, **BROWSER)
    client.get("/tracklets")
    changing = {path for method, path in requests_of(service) if method != "get"}
    assert changing == {"/label", "/delete", "/keep", "/search", "/login", "/logout"}
    valid = LABEL | {"id": "door/0000", "sure": "yes"}
    for csrf in ({}, {"csrf": "0" * 64}, {"csrf": Sessions(None, 1).csrf_token(service.sessions.start("x"))}):
        for path in changing - {"/login"}:
            answer = client.post(path, data=valid | csrf)
            assert answer.status_code == 403, path
    client.cookies.clear()
    assert client.post("/label", data=valid).status_code == 403  # a browser without a session


def test_a_forged_cookie_is_no_session(guarded: Service) -> None:
    sessions = guarded.sessions
    good = sessions.cookie(sessions.start("ann"))
    payload, _, signature = good.partition(".")
    expired = Sessions(TOKEN, -1)
    expired._key = sessions._key
    other = Sessions(TOKEN, 1)
    assert sessions.read(good) is not None
    for bad in (
        None, "", ".", good[:-1], f"{payload}x.{signature}", payload, f"{payload}.é", other.cookie(other.start("ann")),
        expired.cookie(expired.start("ann")),
    ):  # fmt: skip
        assert sessions.read(bad) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "", "127.0.0.1.evil.example", "[::1", "@"])
def test_other_host_names_are_refused(host: str, program: TestClient) -> None:
    assert program.get("/tracklets.json", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1", "[::1]:8000"])
def test_local_host_names_are_accepted(host: str, program: TestClient) -> None:
    assert program.get("/tracklets.json", headers={"host": host}).status_code == 200


def test_headers_confine_every_answer(program: TestClient, browser: TestClient) -> None:
    addresses = ("/tracklets", "/tracklets.json", "/film?id=door/0000", "/nothing", "/static/app.js", "/label")
    for client in (program, browser):
        for address in addresses:
            headers = client.get(address).headers
            assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
            assert headers["x-content-type-options"] == "nosniff"
            kept = address.startswith(("/static", "/film"))
            assert ("no-store" in headers["cache-control"]) is not kept and (
                "private" in headers["cache-control"]
            ) is kept
    assert "unsafe" not in CONTENT_SECURITY_POLICY and "http" not in CONTENT_SECURITY_POLICY
    refused = program.get("/tracklets", headers={"host": "evil.example"})
    assert refused.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_too_many_requests_are_refused(gallery: Gallery) -> None:
    service = Service(gallery, ServiceSettings(token=TOKEN, requests_per_second=1, logins_per_minute=3))
    client = client_of(service)
    statuses = [client.post("/login", data={"token": "x", "author": "a"}).status_code for _ in range(6)]
    assert statuses == [401] * 3 + [429] * 3
    guess = {"authorization": "Bearer " + new_token()}
    assert client.get("/tracklets.json", headers=guess).status_code == 429
    right = {"authorization": f"Bearer {TOKEN}"}
    statuses = [client.get("/static/app.js", headers=right).status_code for _ in range(40)]
    assert statuses[0] == 200 and 429 in statuses


def test_a_client_gets_its_rate_and_others_are_not_affected() -> None:
    now = [0.0]
    limit = RateLimit(2, 4, clock=lambda: now[0])
    assert [limit.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert limit.wait("b") == 0
    now[0] += 1.0
    assert [limit.wait("a") == 0 for _ in range(3)] == [True, True, False]


def test_the_table_of_clients_is_bounded() -> None:
    limit = RateLimit(1, 1)
    for number in range(30_000):
        limit.wait(str(number))
    assert len(limit._buckets) == 10_000


def test_addresses_that_others_reach_need_a_token() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "::", "example.org"):
        with pytest.raises(RecipeError, match="token"):
            ServiceSettings(host=host)
        assert ServiceSettings(host=host, token=TOKEN).host == host
    with pytest.raises(RecipeError, match="expected at least 64"):
        ServiceSettings(token="short")


def test_the_token_is_random_and_kept_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = read_token(path)
    assert re.fullmatch("[0-9a-f]{64}", made) and made == read_token(path) != read_token(None)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(RecipeError, match="chmod 600"):
        read_token(path)
    with pytest.raises(OutputError):
        read_token(tmp_path / "missing" / "token")


def test_the_redirection_after_a_form_stays_here(browser: TestClient) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\n/x"):
        answer = browser.post("/label", data=LABEL | {"kind": "same", "next": target, "csrf": csrf_of(browser)})
        assert answer.headers["location"] == "/tracklets"


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ServiceSettings().token = "x"  # type: ignore[misc]
