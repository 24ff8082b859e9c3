"""Who may send which request: host name, login, origin, rate; and the headers that confine the pages in the browser."""

from __future__ import annotations

import math
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.service.problems import RefusedError, refuse, wants_html
from resight.service.rates import RateLimit
from resight.service.sessions import COOKIE, Session, Sessions
from resight.service.settings import ServiceSettings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC = frozenset({"/login", "/static/page.css", "/static/service.css"})
"""What is served without a login: the login page and its style sheets."""
_EXPENSIVE = ("/search", "/explain", "/suggestions", "/recording", "/frame")
_BURST_SECONDS = 10
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Without a referrer, browsers send no origin with a form either.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Check every request before it is handled, and add the session to its scope, and whether a cookie named it.

    Args:
        app: What handles the requests.
        settings: Address, access and limits.
        sessions: Sessions of this service.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, sessions: Sessions) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions
        rate, searches = settings.requests_per_second, settings.searches_per_second
        self._requests = RateLimit(rate, rate * _BURST_SECONDS)
        self._searches = RateLimit(searches, searches * _BURST_SECONDS)
        self._logins = RateLimit(settings.logins_per_minute / 60, settings.logins_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started = None
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self._check_host(headers.get("host", ""))
            session = self._sessions.read(_cookie(headers.get("cookie", "")))
            scope["by_cookie"] = session is not None
            bearer = headers.get("authorization", "").removeprefix("Bearer ")
            if bearer and session is None:
                if not self._sessions.accepts_token(bearer):
                    self._count_login()
                    raise RefusedError(401, "the token is wrong; use the one that `resight serve` printed")
                session = self._sessions.start(self._settings.author)
            self._check_rates(scope, session.id if session and scope["by_cookie"] else _peer(scope))
            self._check_origin(scope, headers, session)
            if session is None and self._sessions.needs_login:
                if scope["path"] not in _PUBLIC:
                    raise self._login_needed(scope)
            elif session is None:
                session = started = self._sessions.start(self._settings.author)
            scope["session"] = session
            await self._app(scope, receive, self._with_headers(scope, send, headers, started))
        except RefusedError as refusal:
            await refuse(refusal, scope, self._with_headers(scope, send, {}, None))

    def _check_host(self, host: str) -> None:
        """Check the name under which the service was reached.

        Raises:
            RefusedError: If it is not one of ours: a foreign page may have pointed its own name to this machine.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        allowed = self._settings.allowed_names
        if not name or (allowed and name.lower() not in allowed):
            raise RefusedError(421, f"this service is not called {name[:60] or 'nothing'}: use {self._settings.host}")

    def _check_rates(self, scope: Scope, client: str) -> None:
        """Count a request of a client.

        Raises:
            RefusedError: If the client has sent too many.
        """
        wait = self._requests.wait(client)
        if not wait and scope["path"].removesuffix(".json") in _EXPENSIVE:
            wait = self._searches.wait(client)
        if wait:
            raise _too_many(wait)
        if scope["path"] == "/login" and scope["method"] not in _SAFE:
            self._count_login()

    def _count_login(self) -> None:
        """Count an attempt to log in.

        Raises:
            RefusedError: If there were too many.
        """
        if wait := self._logins.wait("all clients"):
            raise _too_many(wait)

    def _check_origin(self, scope: Scope, headers: dict[str, str], session: Session | None) -> None:
        """Check that a request that changes something was not sent by the page of another site.

        Raises:
            RefusedError: If it was, or if a browser sends it without a session.
        """
        if scope["method"] in _SAFE:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() if origin else None
        if own is False or site not in (None, "same-origin", "none"):
            raise RefusedError(403, "the request comes from the page of another site")
        browser = origin is not None or site is not None
        if browser and session is None and scope["path"] != "/login":
            raise RefusedError(403, "there is no session; load the page again")

    def _login_needed(self, scope: Scope) -> RefusedError:
        if not (wants_html(scope) and scope["method"] in _SAFE):
            return RefusedError(401, "a token is needed: log in, or send it as `Authorization: Bearer TOKEN`")
        target = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        return RefusedError(303, "log in first", {"location": f"/login?next={quote(target, safe='')}"})

    def _with_headers(self, scope: Scope, send: Send, headers: dict[str, str], started: Session | None) -> Send:
        """Return a `send` that adds the headers of every response, and the cookie of a session that was just made."""
        secure = "; Secure" if scope.get("scheme") == "https" else ""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = dict(_HEADERS)
                if not scope["path"].startswith("/static/"):
                    added["cache-control"] = "no-store"  # what is erased must not stay in a browser's cache
                new = [(n.encode(), v.encode()) for n, v in added.items() if n.encode() not in present]
                if started is not None and wants_html(scope):
                    value = f"{COOKIE}={self._sessions.cookie(started)}; HttpOnly; SameSite=Strict; Path=/{secure}"
                    new.append((b"set-cookie", value.encode()))
                message = {**message, "headers": [*message["headers"], *new]}
            await send(message)

        return sent


def _peer(scope: Scope) -> str:
    """Return the address that a request comes from."""
    return str((scope.get("client") or ("",))[0])


def _cookie(header: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _too_many(wait: float) -> RefusedError:
    seconds = math.ceil(wait)
    return RefusedError(429, f"too many requests; try again in {seconds} s", {"retry-after": str(seconds)})
