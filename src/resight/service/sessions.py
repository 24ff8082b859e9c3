"""Sessions of browsers: signed cookies, and tokens that tie a form to the session it was shown in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass

COOKIE = "resight_session"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_REVOKED = 10_000


@dataclass(frozen=True)
class Session:
    """What a cookie holds.

    Attributes:
        id: Random identifier.
        author: Name that is stored with labels.
        expires: Seconds since 1970.
    """

    id: str
    author: str
    expires: float


class Sessions:
    """Make and check sessions. The key is random and never stored: a restart of the service ends all sessions.

    Args:
        token: Secret that users present to log in, or None.
        hours: Hours until a session expires.
    """

    def __init__(self, token: str | None, hours: float) -> None:
        self._token = token
        self._seconds = hours * 3600
        self._key = secrets.token_bytes(32)
        self._revoked: OrderedDict[str, None] = OrderedDict()

    @property
    def needs_login(self) -> bool:
        """Whether users have to present a token."""
        return self._token is not None

    def accepts_token(self, presented: str) -> bool:
        """Return whether a presented token is the right one, in time that does not depend on how much of it is."""
        expected = (self._token or "").encode()
        # Both are hashed first, because compare_digest returns early for different lengths.
        sides = (hashlib.sha256(side).digest() for side in (expected, presented.encode("utf-8", "surrogatepass")))
        return self._token is not None and hmac.compare_digest(*sides)

    def start(self, author: str) -> Session:
        """Return a new session."""
        return Session(secrets.token_urlsafe(24), author, time.time() + self._seconds)

    def end(self, session: Session) -> None:
        """Make the cookie of a session invalid."""
        self._revoked[session.id] = None
        while len(self._revoked) > _REVOKED:
            self._revoked.popitem(last=False)

    def cookie(self, session: Session) -> str:
        """Return the value of the cookie of a session."""
        payload = base64.urlsafe_b64encode(json.dumps(asdict(session)).encode()).decode()
        return f"{payload}.{self._sign('session', payload)}"

    def read(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie, or None if it is missing, forged, ended or expired."""
        payload, _, signature = (cookie or "").partition(".")
        if not hmac.compare_digest(self._sign("session", payload).encode(), signature.encode("utf-8", "replace")):
            return None
        session = Session(**json.loads(base64.urlsafe_b64decode(payload)))
        return session if session.expires > time.time() and session.id not in self._revoked else None

    def csrf_token(self, session: Session) -> str:
        """Return the token that forms of a session contain."""
        return self._sign("csrf", session.id)

    def accepts_csrf(self, session: Session, presented: str) -> bool:
        """Return whether a form was shown in this session."""
        return hmac.compare_digest(self.csrf_token(session).encode(), presented.encode("utf-8", "replace"))

    def _sign(self, purpose: str, value: str) -> str:
        return hmac.new(self._key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()
