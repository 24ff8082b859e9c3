"""Routes of labels: confirm, reject, undo, likely merges, and the log."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from resight.errors import GalleryError, RecipeError
from resight.gallery.contract import GalleryStore
from resight.gallery.types import Event
from resight.service.label_contexts import LogEntry, LogPage, Suggestion, SuggestionsPage
from resight.service.problems import RefusedError
from resight.service.rendering import address
from resight.service.replies import LabelResult
from resight.service.routing import PROBLEMS, Editor, add_page, answer_form
from resight.service.service import Service

_PAGE = 100
_SUGGESTIONS = 20

Kind = Literal["confirm", "reject", "same", "different", "undo"]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    gallery = service.gallery

    @router.post(
        "/label", response_model=LabelResult, responses=PROBLEMS | {303: {"description": "Back, for a browser."}}
    )
    def label(
        request: Request, session: Editor, kind: Annotated[Kind, Form()],
        first: Annotated[str, Form(max_length=300, description="Id of the query, or of a tracklet.")] = "",
        second: Annotated[str, Form(max_length=300, description="Id of the other tracklet.")] = "",
        event: Annotated[int, Form(ge=0, le=2**53, description="Number of the label to undo.")] = 0,
        next: Annotated[str, Form(max_length=2000)] = "/tracklets",
    ) -> Response | LabelResult:  # fmt: skip
        """Say that two tracklets show the same person or different ones, or take such a label back."""
        if kind == "undo" and not event:
            raise RecipeError("undo needs the number of a label, in the field event")
        if kind != "undo":
            service.entries([first, second])
        try:
            if kind == "undo":
                gallery.undo(event, author=session.author)
            else:
                getattr(gallery, kind)(first, second, author=session.author)
        except GalleryError as error:  # it contradicts other labels
            raise RefusedError(409, str(error)) from error
        groups = service.groups()
        identity, number = service.said(groups, first, second) if first and second else (None, None)
        result = LabelResult(
            first, second, number, identity, groups.group(first) if first else None, tuple(groups.contradictions)
        )
        return answer_form(request, "label.html" if first else "", result, next)

    def suggestions(k: Annotated[int, Query(ge=1, le=200)] = _SUGGESTIONS) -> SuggestionsPage:
        """List pairs that are probably the same person and are not labelled."""
        groups = service.groups()
        with service.turn():
            found = gallery.suggest(k)
        return SuggestionsPage(
            tuple(
                Suggestion(
                    first=service.card(pair.first, groups),
                    second=service.card(pair.second, groups),
                    similarity=pair.similarity,
                    probability=pair.probability,
                    explain=address("/explain", query=pair.first.id, answer=pair.second.id),
                )
                for pair in found
            )
        )

    def log(
        before: Annotated[int, Query(ge=0, le=2**53, description="Only entries with a lower number; 0: all.")] = 0,
    ) -> LogPage:
        """Show the audit log, latest first."""
        groups = service.groups()
        can_undo = {label.number for label in groups.active()}
        events = _events_before(gallery.store, before or gallery.store.last_event() + 1)
        page = events[::-1][:_PAGE]
        return LogPage(
            tuple(
                LogEntry(e.number, e.time, e.author, e.kind, _subject(e), e.number if e.number in can_undo else None)
                for e in page
            ),
            address("/log", before=page[-1].number) if len(events) > _PAGE else None,
        )

    add_page(router, "/suggestions", "suggestions.html", suggestions)
    add_page(router, "/log", "log.html", log)
    return router


def _events_before(store: GalleryStore, end: int) -> list[Event]:
    """Return more than a page of the events before a number, or all of them, without reading a long log whole."""
    width = 5 * _PAGE
    while True:
        after = max(0, end - 1 - width)
        events = [event for event in store.read_log(after) if event.number < end]
        if len(events) > _PAGE or after == 0:
            return events
        width *= 4


def _subject(event: Event) -> str:
    parts = [", ".join(event.ids), *(f"{name} {value}" for name, value in event.data.items() if value not in (0, ""))]
    return "; ".join(part for part in parts if part)
