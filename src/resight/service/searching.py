"""Routes of the search: by tracklets of the gallery, by uploaded pictures, or by a box in a recording."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from resight.api.gallery import Gallery
from resight.api.gallery_answers import GalleryAnswer
from resight.errors import RecipeError
from resight.gallery.judge import RATE
from resight.gallery.labels import Groups
from resight.service.browsing import Upload
from resight.service.contexts import AnswerCard, Card, SearchPage
from resight.service.decoder import Box, decode_pictures
from resight.service.filtering import Cameras, Chosen, Text
from resight.service.problems import RefusedError
from resight.service.recordings import read_scene
from resight.service.rendering import address
from resight.service.routing import PROBLEMS, Editor, Viewer, add_page, from_page
from resight.service.service import Service
from resight.service.sessions import Session
from resight.service.showing import LONGEST, recorded_of, time_of
from resight.service.timeline import Appearance, BarTone, lay_out
from resight.service.times import show_time
from resight.service.uploads import Upload as KeptUpload
from resight.words import counted

_ANSWERS = 20
_MOST = 100

Ids = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=300)]],
    Query(max_length=16, description="Ids of tracklets; several are searched as one person."),
]
K = Annotated[int, Query(ge=1, le=_MOST, description="Number of answers.")]
Edge = Annotated[float, Form(ge=0, le=100, description="Edge of a box around the person, in percent of the picture.")]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    def search(
        session: Viewer,
        id: Ids = [],  # noqa: B006  FastAPI copies it
        upload: Upload = "",
        camera: Cameras = [],  # noqa: B006
        after: Text = "", before: Text = "", shortest: Text = "", k: K = _ANSWERS,
    ) -> SearchPage:  # fmt: skip
        """Search the gallery for the person of some tracklets, or of uploaded pictures."""
        chosen = Chosen(tuple(camera), after, before, shortest)
        if id and upload:
            raise RefusedError(400, "name either tracklets or an upload")
        return _search(service, session, tuple(id), upload, chosen, k)

    add_page(router, "/search", "search.html", search)

    @router.post(
        "/search", response_model=SearchPage,
        responses=PROBLEMS | {303: {"description": "To the page with the result, for a browser."}},
    )  # fmt: skip
    def search_for(
        request: Request, session: Editor,
        pictures: Annotated[list[UploadFile], File(description="Pictures of one person: JPEG, PNG or WebP.")] = [],  # noqa: B006
        id: Annotated[list[str], Form(max_length=16, description="Ids of tracklets of one person.")] = [],  # noqa: B006
        camera: Annotated[list[str], Form(max_length=200, description="Only these cameras.")] = [],  # noqa: B006
        after: Annotated[str, Form(max_length=100)] = "",
        before: Annotated[str, Form(max_length=100)] = "",
        shortest: Annotated[str, Form(max_length=100)] = "",
        k: Annotated[int, Form(ge=1, le=_MOST)] = _ANSWERS,
        recording: Annotated[str, Form(max_length=300, description="Id of a tracklet whose recording shows it.")] = "",
        at: Annotated[float, Form(ge=0, le=LONGEST, allow_inf_nan=False, description="Where in the recording.")] = 0,
        left: Edge = 0, top: Edge = 0, right: Edge = 100, bottom: Edge = 100,
    ) -> Response | SearchPage:  # fmt: skip
        """Search by ids of tracklets, pictures, or a box in a recording, with cameras, time range and k."""
        chosen = Chosen(tuple(camera), after, before, shortest)
        box = _checked_box(left, top, right, bottom)
        if bool(pictures) + bool(id) + bool(recording) != 1:
            raise RefusedError(400, "a search needs one of these: pictures, ids of tracklets, a recording")
        name = ""
        if pictures:
            name = _receive(service, [file.file.read() for file in pictures], box).name
        elif recording:
            name = _cut(service, session, recording, at, box).name
        if from_page(request):
            asked = {name_: value for name_, value in chosen.query().items() if name_ not in ("person", "labelled")}
            return RedirectResponse(address("/search", id=id, upload=name, **asked, k=k), status_code=303)
        return _search(service, session, tuple(id), name, chosen, k)

    return router


def _checked_box(left: float, top: float, right: float, bottom: float) -> Box | None:
    """Return a box given in percent; None if it is the whole picture.

    Raises:
        RecipeError: If it has no area.
    """
    if left >= right or top >= bottom:
        raise RecipeError("the box has no area: left must be less than right, and top less than bottom")
    return (
        None if (left, top, right, bottom) == (0, 0, 100, 100) else (left / 100, top / 100, right / 100, bottom / 100)
    )


def _receive(service: Service, files: Sequence[bytes], box: Box | None) -> KeptUpload:
    """Decode and encode pictures, and keep the query that they make.

    Raises:
        RefusedError: If there are too many.
        FrameError: If one of them cannot be used.
    """
    most = service.settings.pictures
    if len(files) > most:
        raise RefusedError(413, f"{len(files)} pictures, expected at most {most}")
    with service.turn():
        frames = decode_pictures(files, service.settings.decoding, box)
        (tracklet,) = service.gallery.references(frames)
    return service.uploads.add(tracklet, len(frames))


def _cut(service: Service, session: Session, id_: str, at: float, box: Box | None) -> KeptUpload:
    """Cut a person from the recording of a tracklet, and keep the query with its camera and time.

    Raises:
        RefusedError: If there is no such recording.
        FrameError: If its picture cannot be decoded.
    """
    known, recorded = recorded_of(service, id_)
    with service.turn():
        still, name = read_scene(recorded, at, service.settings.decoding, box)
        (tracklet,) = service.gallery.references([still.pixels])
    service.record("box", session, [id_], recording=name, at=still.seconds)
    time = time_of(known.entry, recorded, still.seconds)
    entry = replace(tracklet.entry, camera=known.entry.camera, start=time, end=time)
    title = f"{name}, {show_time(still.seconds)}" if recorded.video else name
    return service.uploads.add(replace(tracklet, entry=entry), 1, title)


def _search(
    service: Service, session: Session, ids: tuple[str, ...], upload: str, chosen: Chosen, k: int
) -> SearchPage:
    gallery = service.gallery
    groups = service.groups()
    filters = chosen.shown(service.cameras())
    if not ids and not upload:
        return SearchPage((), (), "", filters, k, (), None, "", 0, 0.0, lay_out(()))
    where = chosen.filter(groups)
    query = (service.upload_card(service.upload(upload)),) if upload else service.cards(ids, groups)
    references = (service.upload(upload).tracklet,) if upload else service.fetch(ids)
    started = time.perf_counter()
    with service.turn():
        answers = gallery.search(
            references, k=k, cameras=where.cameras, after=where.after, before=where.before, shortest=where.shortest
        )
    milliseconds = (time.perf_counter() - started) * 1000
    service.record("search", session, ids, k=k, pictures=query[0].frames if upload else 0)
    cards = tuple(_answer(service, answer, groups, ids, upload) for answer in answers)
    return SearchPage(
        query=query,
        ids=ids,
        upload=upload,
        filters=filters,
        k=k,
        answers=cards,
        threshold=_threshold(gallery, answers.searched),
        verdict=_verdict(cards, answers.judged),
        searched=answers.searched,
        milliseconds=round(milliseconds, 1),
        timeline=lay_out(
            [
                *(_appearance(card, "query", "query") for card in query if card.start is not None or not upload),
                *map(_drawn, cards),
            ]
        ),
    )


def _threshold(gallery: Gallery, searched: int) -> float | None:
    """Return the threshold of the model; None if it has none, or if the gallery has a calibration of its own.

    The calibration of a gallery judges a similarity by how similar both tracklets are to everybody.
    """
    judge = gallery.judge
    return None if judge is None or judge.own else judge.calibration.threshold(RATE, max(searched, 1))


def _verdict(cards: Sequence[AnswerCard], judged: str) -> str:
    """Return how many answers are above the threshold, and what the threshold is."""
    if not cards or not judged:
        return ""
    above = sum(card.above_threshold is True for card in cards)
    return f"Above the threshold: {above} of {counted(len(cards), 'answers')} ({judged})."


def _answer(service: Service, answer: GalleryAnswer, groups: Groups, ids: tuple[str, ...], upload: str) -> AnswerCard:
    identity, label = service.said(groups, ids[0], answer.id) if ids else (None, None)
    source = {"upload": upload} if upload else {"query": ids[0]}
    return AnswerCard(
        rank=answer.rank,
        tracklet=service.card(answer.entry, groups),
        similarity=answer.similarity,
        probability=answer.probability,
        above_threshold=answer.above,
        identity=identity,
        label=label,
        effects=tuple(effect.text for effect in answer.effects),
        explain=address("/explain", **source, answer=answer.id),
    )


def _drawn(answer: AnswerCard) -> Appearance:
    tone: BarTone = "other"
    if answer.identity == "confirmed":
        tone = "confirmed"
    elif answer.above_threshold:
        tone = "likely"
    return _appearance(answer.tracklet, tone, f"answer {answer.rank}, similarity {answer.similarity:.2f}")


def _appearance(card: Card, tone: BarTone, text: str) -> Appearance:
    return Appearance(card.id, card.camera, card.start, card.end, tone, card.link, f"{card.id}, {text}")
