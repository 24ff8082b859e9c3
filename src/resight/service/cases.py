"""Routes of persons: the list, one person with all confirmed appearances, and its exports."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import simplejpeg
from fastapi import APIRouter, Query
from fastapi.responses import Response

from resight.explanation.blocks import Section
from resight.explanation.films import Strip, Strips
from resight.explanation.report import write_report
from resight.explanation.strips import Tile
from resight.gallery.labels import Groups
from resight.gallery.types import Entry
from resight.service.label_contexts import CasePage, PersonCard, PersonsPage
from resight.service.problems import RefusedError
from resight.service.rendering import address
from resight.service.routing import HTML, PROBLEMS, Viewer, add_page
from resight.service.service import Service
from resight.service.timeline import Appearance, lay_out
from resight.service.times import show_seconds, show_span, show_time
from resight.words import counted

_PAGE = 60
_SEARCHED = 8
"""Appearances of a person that a search for more starts from."""
_COLUMNS = ("person", "tracklet", "camera", "start", "end", "start_utc", "end_utc", "frames", "quality", "source")

Group = Annotated[str, Query(min_length=1, max_length=100, description="Id of a person.")]
Start = Annotated[int, Query(ge=0, le=2**31, description="Number of persons to skip.")]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    def persons(skip: Start = 0) -> PersonsPage:
        """List the persons that labels have put together."""
        groups = service.groups()
        ids = groups.ids()
        return PersonsPage(
            persons=tuple(_person(service, group, _appearances(service, groups, group), groups)
                          for group in ids[skip : skip + _PAGE]),
            total=len(ids),
            contradictions=tuple(groups.contradictions),
            next=address("/persons", skip=skip + _PAGE) if len(ids) > skip + _PAGE else None,
        )  # fmt: skip

    def case(group: Group, session: Viewer) -> CasePage:
        """Show one person with all confirmed appearances."""
        groups = service.groups()
        entries = _appearances(service, groups, group)
        service.record("view", session, group=group)
        cards = tuple(service.card(entry, groups) for entry in entries)
        drawn = [Appearance(c.id, c.camera, c.start, c.end, "confirmed", c.link, c.id) for c in cards]
        best = sorted(entries, key=lambda entry: -entry.quality)[:_SEARCHED]
        return CasePage(
            person=_person(service, group, entries, groups),
            tracklets=cards,
            timeline=lay_out(drawn),
            search=address("/search", id=[entry.id for entry in best]),
            html=address("/case/export.html", group=group),
            csv=address("/case/export.csv", group=group),
        )

    add_page(router, "/persons", "persons.html", persons)
    add_page(router, "/case", "case.html", case)

    @router.get("/case/export.html", response_class=Response, responses=PROBLEMS | HTML)
    def export_html(group: Group, session: Viewer) -> Response:
        """Return one person with all confirmed appearances as one HTML file that loads nothing."""
        entries = _appearances(service, service.groups(), group)
        service.record("export", session, group=group, form="html")
        return _file(_report(service, group, entries), "text/html; charset=utf-8", f"{group}.html")

    @router.get(
        "/case/export.csv", response_class=Response,
        responses=PROBLEMS | {200: {"content": {"text/csv": {}}, "description": "The table."}},
    )  # fmt: skip
    def export_csv(group: Group, session: Viewer) -> Response:
        """Return the confirmed appearances of one person as a table."""
        entries = _appearances(service, service.groups(), group)
        service.record("export", session, group=group, form="csv")
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(_COLUMNS)
        for e in entries:
            row = (group, e.id, e.camera, e.start, e.end, show_time(e.start), show_time(e.end), e.frames, e.quality)
            writer.writerow([_plain(value) for value in (*row, e.source)])
        return _file(table.getvalue().encode(), "text/csv; charset=utf-8", f"{group}.csv")

    return router


def _appearances(service: Service, groups: Groups, group: str) -> list[Entry]:
    """Return the tracklets of a person by time, those without a time last.

    Raises:
        RefusedError: If there is no such person.
    """
    members = groups.members(group)
    if not members:
        raise RefusedError(404, f"there is no person {group}: it may have been merged into another one")
    entries = service.entries(members)
    return sorted(entries, key=lambda e: (e.start is None, e.start or 0, e.id))


def _person(service: Service, group: str, entries: Sequence[Entry], groups: Groups) -> PersonCard:
    return PersonCard(
        id=group,
        size=len(entries),
        cameras=tuple(sorted({entry.camera for entry in entries})),
        start=min((e.start for e in entries if e.start is not None), default=None),
        end=max((e.end for e in entries if e.end is not None), default=None),
        cover=service.card(max(entries, key=lambda entry: entry.quality), groups),
        link=address("/case", group=group),
    )


def _report(service: Service, group: str, entries: Sequence[Entry]) -> bytes:
    strips = tuple(
        Strip(
            tiles=tuple(
                Tile(simplejpeg.decode_jpeg(picture, colorspace="RGB"), f"{entry.id}, clip {number}")
                for number, picture in enumerate(service.strip(entry.id), start=1)
            ),
            tone="right",
            title=entry.id,
            detail=" · ".join(
                part for part in (entry.camera, show_span(entry.start, entry.end), show_seconds(entry.duration)) if part
            ),
        )
        for entry in entries
    )
    cameras = len({entry.camera for entry in entries})
    lead = f"{counted(len(entries), 'tracklets')} of {counted(cameras, 'cameras')}, confirmed by a person."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.html"
        write_report(path, group, [lead], [Section("Appearances", (Strips("", strips),))], kicker="One person")
        return path.read_bytes()


def _plain(value: object) -> object:
    """Return a value for a table; text that a spreadsheet would run as a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _file(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})
