"""Requests that cannot be answered: the same problem as a page, as JSON, or before any routing."""

from __future__ import annotations

import json
from dataclasses import asdict

from starlette.types import Scope, Send

from resight.errors import FrameError, GalleryError, OutputError, ResightError
from resight.service.replies import Problem

TITLES = {
    400: "The request cannot be used",
    401: "Log in first",
    403: "The request was refused",
    404: "Not found",
    405: "Not possible here",
    408: "The request was too slow",
    409: "This contradicts what was said before",
    413: "The request is too large",
    415: "The file cannot be used",
    421: "Wrong address",
    422: "The request cannot be used",
    429: "Too many requests",
    500: "Something went wrong in the service",
    503: "The gallery cannot answer now",
}


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status.
        detail: What was expected, what was found, and what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    @property
    def problem(self) -> Problem:
        """The problem as the context of a page."""
        return Problem(self.status, TITLES.get(self.status, "Problem"), self.detail)


def refused(error: ResightError) -> RefusedError:
    """Return how an error of the library is reported: pictures and arguments are the client's, storage is ours."""
    if isinstance(error, FrameError):
        return RefusedError(415, str(error))
    if isinstance(error, (GalleryError, OutputError)):
        return RefusedError(503, str(error))
    return RefusedError(400, str(error))


def wants_html(scope: Scope) -> bool:
    """Return whether a request comes from a page of a browser, rather than from a program."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return b"text/html" in accepted and not scope["path"].endswith(".json")


async def refuse(refusal: RefusedError, scope: Scope, send: Send) -> None:
    """Send a refusal where no page can be rendered: as plain text to a browser, as JSON to a program."""
    problem = refusal.problem
    html = wants_html(scope)
    body = f"{problem.title}\n\n{problem.detail}\n" if html else json.dumps(asdict(problem))
    media = b"text/plain; charset=utf-8" if html else b"application/json"
    headers = [(b"content-type", media), (b"content-length", str(len(body.encode())).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    if refusal.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
