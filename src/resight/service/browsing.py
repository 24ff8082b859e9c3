"""Routes of the list of tracklets, of one tracklet, of pictures, and of deletion."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from resight.errors import GalleryError
from resight.service import pictures
from resight.service.contexts import TrackletPage, TrackletsPage
from resight.service.filtering import Cameras, Chosen, Labelled, Text
from resight.service.problems import RefusedError
from resight.service.rendering import address
from resight.service.replies import Deleted
from resight.service.routing import PROBLEMS, Editor, Id, Viewer, add_page, answer_form
from resight.service.service import Service

_PAGE = 60

Cursor = Annotated[str, Query(max_length=200, description="Where the page begins, from `next` of the page before.")]
Upload = Annotated[str, Query(max_length=100, description="Name of an uploaded query.")]
Tracklet = Annotated[str, Query(max_length=300, description="Id of a tracklet.")]
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "The picture."}}


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    gallery = service.gallery

    def tracklets(
        camera: Cameras = [],  # noqa: B006  FastAPI copies it
        after: Text = "", before: Text = "", shortest: Text = "", person: Text = "", labelled: Labelled = "",
        cursor: Cursor = "", limit: Annotated[int, Query(ge=1, le=200)] = _PAGE,
    ) -> TrackletsPage:  # fmt: skip
        """List tracklets, latest added first, page by page."""
        groups = service.groups()
        chosen = Chosen(tuple(camera), after, before, shortest, person, labelled)
        where = chosen.filter(groups)
        try:
            page = gallery.store.page(where, cursor or None, limit, newest=True)
        except GalleryError as error:
            if not cursor:
                raise
            raise RefusedError(400, str(error)) from error
        further = address("/tracklets", **chosen.query(), limit=limit if limit != _PAGE else None, cursor=page.cursor)
        return TrackletsPage(
            total=gallery.store.count(),
            matching=gallery.store.count(where),
            filters=chosen.shown(tuple(gallery.store.cameras())),
            tracklets=tuple(service.card(entry, groups) for entry in page.entries),
            next=further if page.cursor else None,
        )

    def tracklet(id: Id, session: Viewer) -> TrackletPage:
        """Show one tracklet."""
        entry = service.entry(id)
        service.record("view", session, [id])
        return TrackletPage(
            tracklet=service.card(entry, service.groups()),
            clips=tuple(address("/picture", id=id, clip=clip) for clip in range(1, service.clips + 1)),
            hints=service.hints(entry),
            added=entry.added,
        )

    add_page(router, "/tracklets", "tracklets.html", tracklets)
    add_page(router, "/tracklet", "tracklet.html", tracklet)

    def strip(id: str, upload: str) -> tuple[bytes, ...]:
        if bool(id) == bool(upload):
            raise RefusedError(400, "name either a tracklet or an upload")
        return service.upload(upload).tracklet.strip if upload else service.strip(id)

    @router.get("/film", response_class=Response, responses=PROBLEMS | JPEG)
    def film(id: Tracklet = "", upload: Upload = "") -> Response:
        """Return the middle pictures of all clips side by side."""
        return Response(pictures.join(strip(id, upload)), media_type="image/jpeg")

    @router.get("/picture", response_class=Response, responses=PROBLEMS | JPEG)
    def picture(clip: Annotated[int, Query(ge=1)], id: Tracklet = "", upload: Upload = "") -> Response:
        """Return the middle picture of one clip, counted from 1."""
        found = strip(id, upload)
        if clip > len(found):
            raise RefusedError(404, f"there is no clip {clip}: the tracklet has {len(found)}")
        return Response(found[clip - 1], media_type="image/jpeg")

    @router.post("/delete", response_model=Deleted, responses=PROBLEMS)
    def delete(
        request: Request, session: Editor, id: Annotated[list[str], Form(min_length=1, max_length=1000)],
        sure: Annotated[str, Form(pattern="^yes$", description="Must be `yes`.")],
    ) -> Response | Deleted:  # fmt: skip
        """Erase tracklets with their features, pictures and labels. This cannot be undone."""
        for one in id:
            service.entry(one)
        erased = gallery.remove(id)
        service.record("delete", session, tracklets=len(erased))
        return answer_form(request, "", Deleted(tuple(erased)), "/tracklets")

    return router
