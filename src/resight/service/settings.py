"""Settings of the web service: address, access, and limits."""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from resight.errors import OutputError, RecipeError
from resight.service.decoder import Limits

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
TOKEN_BYTES = 32


@dataclass(frozen=True)
class ServiceSettings:
    """Where the service listens, who may use it, and how much one request may cost.

    Attributes:
        host: Address to listen on.
        port: TCP port.
        token: Secret that a user presents to log in; None: no login, which is only allowed on this machine.
        author: Name that is stored with labels if there is no login.
        names: Host names under which browsers reach the service, besides `host`; other names are refused, so that
            a foreign page cannot reach the service by pointing its own name to this machine.
        session_hours: Hours until a login expires.
        upload_bytes: Largest request body with pictures.
        form_bytes: Largest request body without pictures.
        upload_seconds: Longest time to receive a request body.
        pictures: Largest number of pictures of one search.
        picture_pixels: Largest number of pixels of one picture, also of a recording.
        decode_seconds: Longest time to decode the pictures of one search, or a picture of a recording.
        decode_bytes: Address space of the process that decodes them.
        requests_per_second: Sustained rate of requests of one client; bursts of ten seconds' worth are allowed.
        searches_per_second: The same for searches and explanations.
        logins_per_minute: Attempts to log in, of all clients together.
        connections: Largest number of simultaneous connections.

    Raises:
        RecipeError: If the address is reachable from other machines and there is no token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    author: str = "operator"
    names: tuple[str, ...] = ()
    session_hours: float = 12
    upload_bytes: int = 24 << 20
    form_bytes: int = 64 << 10
    upload_seconds: float = 30
    pictures: int = 16
    picture_pixels: int = 25_000_000
    decode_seconds: float = 10
    decode_bytes: int = 1 << 30
    requests_per_second: float = 100
    searches_per_second: float = 10
    logins_per_minute: float = 20
    connections: int = 256

    def __post_init__(self) -> None:
        if self.token is None and not is_local(self.host):
            raise RecipeError(f"{self.host} can be reached from other machines: a token is needed to listen there")
        if self.token is not None and len(self.token) < 2 * TOKEN_BYTES:
            raise RecipeError(f"the token has {len(self.token)} characters, expected at least {2 * TOKEN_BYTES}")

    @property
    def decoding(self) -> Limits:
        """What decoding one request may cost."""
        return Limits(self.picture_pixels, self.decode_seconds, self.decode_bytes, self.upload_bytes)

    @property
    def allowed_names(self) -> frozenset[str]:
        """Host names that a request may be addressed to, in lower case; empty if any name is allowed."""
        if not is_local(self.host) and not self.names:
            return frozenset()  # the token protects; the names of this machine are not known
        return frozenset(name.lower() for name in (*LOCAL_NAMES, self.host, *self.names))


def new_token() -> str:
    """Return a random token of 256 bits, as 64 hexadecimal digits."""
    return secrets.token_hex(TOKEN_BYTES)


def read_token(path: Path | None) -> str:
    """Return the token in a file, which is made with a new one if it is missing; without a file, a new token.

    Args:
        path: File that only its owner can read, or None.

    Raises:
        OutputError: If the file cannot be read or made.
        RecipeError: If the file does not hold a token, or others can read it.
    """
    if path is None:
        return new_token()
    try:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_token() + "\n")
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise RecipeError(f"other users can read {path}: run chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"cannot use {path} as the file of the token: {error}") from error


def is_local(host: str) -> bool:
    """Return whether an address can be reached from this machine only.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
