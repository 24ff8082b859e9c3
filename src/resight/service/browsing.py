"""Routes of the list of tracklets, of one tracklet, of pictures, and of deletion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from resight.errors import GalleryError
from resight.gallery.types import EVERYTHING
from resight.service import pictures
from resight.service.contexts import TrackletPage, TrackletsPage
from resight.service.filtering import Cameras, Chosen, Labelled, Text
from resight.service.problems import RefusedError
from resight.service.recordings import find_recording
from resight.service.rendering import address
from resight.service.replies import Deleted
from resight.service.routing import PROBLEMS, Editor, Id, Viewer, add_page, answer_form
from resight.service.service import Service

_PAGE = 60

Cursor = Annotated[str, Query(max_length=200, description="Where the page begins, from `next` of the page before.")]
Upload = Annotated[str, Query(max_length=100, description="Name of an uploaded query.")]
Tracklet = Annotated[str, Query(max_length=300, description="Id of a tracklet.")]
Version = Annotated[str, Query(max_length=40, description="Version of the pictures, so that browsers may keep them.")]
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}, "description": "The picture."}}
CACHED: dict[int | str, dict[str, Any]] = JPEG | {304: {"description": "The browser has the picture."}}


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
        total = gallery.store.count()
        further = address("/tracklets", **chosen.query(), limit=limit if limit != _PAGE else None, cursor=page.cursor)
        return TrackletsPage(
            total=total,
            matching=total if where == EVERYTHING else gallery.store.count(where),
            filters=chosen.shown(service.cameras()),
            tracklets=tuple(service.card(entry, groups) for entry in page.entries),
            next=further if page.cursor else None,
        )

    def tracklet(id: Id, session: Viewer) -> TrackletPage:
        """Show one tracklet."""
        (stored,) = service.fetch([id])
        entry = stored.entry
        service.record("view", session, [id])
        return TrackletPage(
            tracklet=service.card(entry, service.groups()),
            clips=tuple(service.picture(entry, clip) for clip in range(1, service.clips + 1)),
            hints=service.hints(entry),
            added=entry.added,
            recording=address("/recording", id=id) if find_recording(stored) else None,
        )

    add_page(router, "/tracklets", "tracklets.html", tracklets)
    add_page(router, "/tracklet", "tracklet.html", tracklet)

    def answer(request: Request, id: str, upload: str, v: str, read: Callable[[str], bytes]) -> Response:
        """Return a picture, or that the browser has it; `read` gets the version, which is empty for an upload."""
        if bool(id) == bool(upload):
            raise RefusedError(400, "name either a tracklet or an upload")
        if upload:
            return Response(read(""), media_type="image/jpeg")
        version = pictures.version_of(service.entry(id))
        headers = pictures.cache_headers(version, v)
        known = request.headers.get("if-none-match", "")
        if headers["etag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(read(version), media_type="image/jpeg", headers=headers)

    @router.get("/film", response_class=Response, responses=PROBLEMS | CACHED)
    def film(request: Request, id: Tracklet = "", upload: Upload = "", v: Version = "") -> Response:
        """Return the middle pictures of all clips side by side."""

        def read(version: str) -> bytes:
            if upload:
                return pictures.join(service.upload(upload).tracklet.strip)
            return service.films.get(version) or service.films.add(version, service.strip(id))

        return answer(request, id, upload, v, read)

    @router.get("/picture", response_class=Response, responses=PROBLEMS | CACHED)
    def picture(
        request: Request, clip: Annotated[int, Query(ge=1)], id: Tracklet = "", upload: Upload = "", v: Version = "",
    ) -> Response:  # fmt: skip
        """Return the middle picture of one clip, counted from 1."""

        def read(version: str) -> bytes:
            found = service.upload(upload).tracklet.strip if upload else service.strip(id)
            if clip > len(found):
                raise RefusedError(404, f"there is no clip {clip}: the tracklet has {len(found)}")
            return found[clip - 1]

        return answer(request, id, upload, v, read)

    @router.post("/delete", response_model=Deleted, responses=PROBLEMS)
    def delete(
        request: Request, session: Editor, id: Annotated[list[str], Form(min_length=1, max_length=1000)],
        sure: Annotated[str, Form(pattern="^yes$", description="Must be `yes`.")],
    ) -> Response | Deleted:  # fmt: skip
        """Erase tracklets with their features, pictures and labels. This cannot be undone."""
        for one in id:
            service.entry(one)
        erased = gallery.remove(id)
        service.forget_pictures()
        service.record("delete", session, tracklets=len(erased))
        answered = answer_form(request, "", Deleted(tuple(erased)), "/tracklets")
        if isinstance(answered, Response):
            answered.headers["clear-site-data"] = '"cache"'  # the browser has kept pictures
        return answered

    return router
