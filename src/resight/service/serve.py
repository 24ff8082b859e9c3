"""Serve a gallery: open it, say where the page is, and answer requests until the process is interrupted."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from resight.api.gallery import Gallery
from resight.errors import OutputError
from resight.service.app import create_app
from resight.service.service import Service
from resight.service.settings import ServiceSettings

HEADER_SECONDS = 10
_SHUTDOWN_SECONDS = 5


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose first request does not begin within `HEADER_SECONDS`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of a new connection."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        if getattr(self, "cycle", None) is None and not self.transport.is_closing():
            self.transport.close()


def author_name() -> str:
    """Return the name of the user of this process, for labels of a service without a login."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ServiceSettings.author


def serve(gallery: Gallery, settings: ServiceSettings, ready: Callable[[str], Any]) -> None:
    """Serve a gallery until the process is interrupted.

    Args:
        gallery: The gallery.
        settings: Address, access and limits.
        ready: Called with the address of the page once connections are accepted.

    Raises:
        OutputError: If the address cannot be used.
    """
    listening = _listen(settings)
    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        create_app(Service(gallery, settings)), http=PatientProtocol, log_level="warning", access_log=False,
        server_header=False, limit_concurrency=settings.connections, timeout_keep_alive=HEADER_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )  # fmt: skip
    name = f"[{host}]" if ":" in host else host
    ready(f"http://{name}:{port}")
    uvicorn.Server(config).run(sockets=[listening])


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol left open, asyncio does not switch off Nagle's algorithm, which delays answers by 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot listen on {settings.host}, port {settings.port}: {reason}; choose another --port"
        ) from error
    return listening
