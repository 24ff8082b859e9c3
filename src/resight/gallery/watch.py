"""Watch a gallery for persons: report each new tracklet that matches once, also after a restart.

What was reported is an event in the gallery's log. It is written after the delivery: if the process is killed in
between, which takes a few milliseconds, the match is delivered again, with the same id.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib import error, parse, request

from resight.errors import GalleryError
from resight.gallery.labels import number_of
from resight.gallery.types import Entry, Event

WATCH, MATCH = "watch", "match"
"""Kinds of the events that a person is watched, and that a match was reported."""

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Match:
    """A new tracklet that matches a watched person.

    Attributes:
        person: The watched person: the id of a group or of a tracklet.
        entry: The tracklet.
        similarity: Its similarity to the person.
        probability: Calibrated probability that it shows the person.
    """

    person: str
    entry: Entry
    similarity: float
    probability: float

    @property
    def id(self) -> str:
        """Id of the match, the same whenever it is reported."""
        return hashlib.sha256(f"{self.person}\n{self.entry.id}".encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "match": self.id, "person": self.person, "similarity": self.similarity, "probability": self.probability,
            "tracklet": self.entry.to_json(),
        }  # fmt: skip

    def event(self, time: float) -> Event:
        """Return the event that it was reported. Erasing the tracklet, or the person's, erases it."""
        ids = (self.entry.id,) if number_of(self.person) is not None else (self.entry.id, self.person)
        return Event(MATCH, ids, "", time, {"person": self.person, "similarity": self.similarity})


def watched_since(events: Iterable[Event], person: str) -> float | None:
    """Return when watching a person began, or None."""
    return next((e.time for e in events if e.kind == WATCH and e.data.get("person") == person), None)


def reported(events: Iterable[Event], person: str) -> set[str]:
    """Return the ids of the tracklets that were reported for a person."""
    return {e.ids[0] for e in events if e.kind == MATCH and e.data.get("person") == person}


def check_webhook(url: str) -> None:
    """Check that a URL is one of this machine.

    Raises:
        GalleryError: If it is not HTTP, or its host is not this machine.
    """
    parts = parse.urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port or 80
    except ValueError as problem:
        raise GalleryError(f"the webhook {url} has no valid port: {problem}") from problem
    if parts.scheme != "http" or not host:
        raise GalleryError(f"the webhook is {url}, expected a URL such as http://localhost:8000/events")
    try:
        addresses = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, port)}
    except OSError as problem:
        raise GalleryError(f"the host of the webhook {url} is not known: {problem}") from problem
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise GalleryError(f"the webhook {url} is on another machine, expected localhost: matches are never sent away")


class _NoRedirect(request.HTTPRedirectHandler):
    """Refuse redirects: they could lead to another machine."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(match: Match, url: str) -> None:
    """Send a match to a webhook on this machine.

    Args:
        match: The match.
        url: The URL; it is checked with `check_webhook`.

    Raises:
        GalleryError: If the webhook is not on this machine, does not answer, or refuses.
    """
    check_webhook(url)
    body = json.dumps(match.to_json()).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": match.id}
    opener = request.build_opener(request.ProxyHandler({}), _NoRedirect)  # a proxy is another machine
    try:
        with opener.open(request.Request(url, body, headers), timeout=_TIMEOUT):
            pass
    except (error.URLError, OSError, ValueError) as problem:
        raise GalleryError(f"the webhook {url} did not take match {match.id}: {problem}") from problem
