"""Watch a gallery for persons: report each new tracklet that matches, also after a restart.

What was reported is an event in the gallery's log. It is written after the delivery, so that no match is lost. If the
process is killed in between, or if two processes watch the same person, a match is delivered twice, with the same id.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib import error, parse, request

import numpy as np

from resight.compute import Compute
from resight.errors import GalleryError
from resight.gallery.contract import GalleryStore
from resight.gallery.judge import Judge
from resight.gallery.labels import number_of
from resight.gallery.lifecycle import pages
from resight.gallery.search import pooled, score_tracklets
from resight.gallery.types import Entry, Event, Filter, StoredTracklet
from resight.models.aggregators import Aggregator

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

    def event(self, moment: float) -> Event:
        """Return the event that it was reported. Erasing the tracklet, or the person's, erases it."""
        ids = (self.entry.id,) if number_of(self.person) is not None else (self.entry.id, self.person)
        return Event(MATCH, ids, "", moment, {"person": self.person, "similarity": self.similarity})


class Watcher:
    """What was added for which person, and what was reported of it.

    Args:
        store: The gallery.
        aggregator: Aggregator in evaluation mode.
        compute: Device and precision.
    """

    def __init__(self, store: GalleryStore, aggregator: Aggregator, compute: Compute = Compute()) -> None:
        self._store = store
        self._aggregator = aggregator
        self._compute = compute
        self._last = 0
        self._cursors: dict[str, str] = {}  # by person: everything up to here was looked at
        self._reported: set[tuple[str, str]] = set()  # persons with tracklets

    def begin(self, person: str, author: str) -> None:
        """Watch a person from now on, unless the log says that it is watched already."""
        self._read_log()
        if person not in self._cursors:
            ids = (person,) if number_of(person) is None else ()
            data = {"person": person, "after": self._store.position()}
            self._store.append_log([Event(WATCH, ids, author, time.time(), data)])
            self._read_log()

    def look(self, person: str, members: Sequence[str], judge: Judge) -> list[Match]:
        """Return the matches among what was added since the last look, or since watching began, and is not reported.

        Args:
            person: The watched person.
            members: Ids of its tracklets, one or more.
            judge: What tells whether a similarity is a match.
        """
        self._read_log()
        others = self._store.groups().rejected(members[0]) | set(members)
        position, references, matches = self._store.position(), self._store.fetch(list(members)), []
        for entries in pages(self._store, cursor=self._cursors[person]):
            ids = frozenset(e.id for e in entries if e.id not in others and (person, e.id) not in self._reported)
            for block in self._store.scan(Filter(ids=ids)):
                matches += self._matches(person, references, block, judge)
        self._cursors[person] = position
        return sorted(matches, key=lambda match: -match.similarity)

    def _matches(
        self, person: str, references: Sequence[StoredTracklet], new: Sequence[StoredTracklet], judge: Judge
    ) -> list[Match]:
        best = score_tracklets(pooled(references), new, self._aggregator, len(new), self._compute).best
        similarity = np.array([candidate.similarity for candidate in best])
        above, probability = judge.assess(references, [c.tracklet for c in best], similarity, judge.gallery)
        return [
            Match(person, c.tracklet.entry, c.similarity, float(p))
            for c, p, reached in zip(best, probability, above, strict=True)
            if reached
        ]

    def delivered(self, match: Match) -> None:
        """Write to the log that a match was reported."""
        self._store.append_log([match.event(time.time())])

    def _read_log(self) -> None:
        for event in self._store.read_log(self._last):
            if event.kind == WATCH:
                self._cursors.setdefault(event.data["person"], event.data.get("after", "0"))
            elif event.kind == MATCH:
                self._reported.add((event.data["person"], event.ids[0]))
            self._last = event.number


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
