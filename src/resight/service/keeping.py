"""Route that adds the pictures of an uploaded query to the gallery, because only stored tracklets can be labelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from resight.errors import GalleryError
from resight.service.problems import RefusedError
from resight.service.rendering import address
from resight.service.replies import Kept
from resight.service.routing import PROBLEMS, Editor, answer_form, local
from resight.service.service import Service
from resight.service.uploads import Upload


def routes(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter()
    gallery = service.gallery

    @router.post(
        "/keep", response_model=Kept,
        responses=PROBLEMS | {303: {"description": "To the search for the new tracklet, for a browser."}},
    )  # fmt: skip
    def keep(
        request: Request, session: Editor,
        upload: Annotated[str, Form(min_length=1, max_length=100, description="Name of an uploaded query.")],
        kind: Annotated[Literal["", "confirm", "reject"], Form(description="Label to set as well.")] = "",
        answer: Annotated[str, Form(max_length=300, description="Id of the tracklet that the label is about.")] = "",
        next: Annotated[str, Form(max_length=2000, description="Page of the search.")] = "",
    ) -> Response | Kept:  # fmt: skip
        """Add an uploaded query to the gallery as a tracklet, and label one of its answers if wanted."""
        query = service.upload(upload)
        if kind:
            service.entry(answer)  # nothing is added if there is no such tracklet
        id_, added = _store(service, query)
        if added:
            service.record("add", session, [id_], pictures=query.pictures)
        try:
            if kind:
                getattr(gallery, kind)(id_, answer, author=session.author)
        except GalleryError as error:
            raise RefusedError(409, str(error)) from error
        identity = service.said(service.groups(), id_, answer)[0] if kind else None
        asked = [pair for pair in parse_qsl(urlsplit(local(next)).query) if pair[0] not in ("id", "upload")]
        names = dict.fromkeys(name for name, _ in asked)
        further = {name: [value for other, value in asked if other == name] for name in names}
        return answer_form(request, "", Kept(id_, added, identity), address("/search", id=id_, **further))

    return router


def _store(service: Service, query: Upload) -> tuple[str, bool]:
    """Return the id of an uploaded query in the gallery, and whether it was added now."""
    store, tracklet = service.gallery.store, query.tracklet
    entry = replace(tracklet.entry, id=f"picture-{tracklet.key.hex()[:12]}", source=f"upload:{query.title}")
    (id_,) = store.add([replace(tracklet, entry=entry)])
    return (store.known([tracklet.key])[tracklet.key], False) if id_ is None else (id_, True)
