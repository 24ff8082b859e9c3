"""Receive request bodies within limits of size, time and number, before anything parses them."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.service.problems import RefusedError, refuse
from resight.service.settings import ServiceSettings

UPLOAD_PATHS = frozenset({"/search"})
_SIMULTANEOUS = 4
_CLOSED = {"connection": "close", "retry-after": "5"}
"""Headers of a refusal after which the rest of the body is not received."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimits:
    """Read the body of every request that has one, and refuse it if it is too large or too slow.

    At most `_SIMULTANEOUS` large bodies are received at once, which bounds the memory of the service; a body of a form
    is small. A request for a page has no body.

    Args:
        app: What handles the requests.
        settings: Limits.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings
        self._large = asyncio.Semaphore(_SIMULTANEOUS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        try:
            if scope["path"] in UPLOAD_PATHS:
                if self._large.locked():
                    raise RefusedError(503, "other pictures are being received; try again in a few seconds", _CLOSED)
                async with self._large:
                    body = await self._read(scope, receive, self._settings.upload_bytes)
                    await self._app(scope, _replay(body, receive), send)
            else:
                body = await self._read(scope, receive, self._settings.form_bytes)
                await self._app(scope, _replay(body, receive), send)
        except RefusedError as problem:
            await refuse(problem, scope, send)

    async def _read(self, scope: Scope, receive: Receive, most: int) -> bytes:
        """Return the body.

        Raises:
            RefusedError: If it is too large or too slow.
        """
        too_large = RefusedError(413, f"the request is larger than {most:,} bytes; send fewer or smaller pictures")
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > most:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the connection was closed before the request was complete")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise RefusedError(
                408, f"the request was not complete after {self._settings.upload_seconds:g} s; try again"
            ) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that returns a body that was read, and then waits for the end of the connection."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
