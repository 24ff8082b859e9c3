"""Routes of recordings: a page to step through one and to draw a box on it, and its pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from resight.gallery.types import Entry, StoredTracklet
from resight.service.browsing import JPEG
from resight.service.contexts import RecordingPage, Step
from resight.service.problems import RefusedError
from resight.service.recordings import Recorded, Scene, find_recording
from resight.service.rendering import address
from resight.service.routing import PROBLEMS, Id, Viewer, add_page
from resight.service.service import Service
from resight.service.times import show_time

LONGEST = 1e6
"""Largest place in a recording: eleven days."""

At = Annotated[
    float | None,
    Query(ge=0, le=LONGEST, allow_inf_nan=False,
          description="Seconds since the beginning of the video, or number of the picture; by default, where the "
          "tracklet begins."),
]  # fmt: skip


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    def recording(id: Id, session: Viewer, at: At = None) -> RecordingPage:
        """Show a picture of the recording of a tracklet."""
        tracklet, recorded, scene = _scene(service, id, at)
        service.record("view", session, [id], recording=scene.name, at=scene.at)
        return RecordingPage(
            tracklet=service.card(tracklet.entry, service.groups()),
            name=scene.name,
            video=recorded.video is not None,
            at=scene.at,
            begin=recorded.begin,
            length=scene.length,
            place=_place(recorded, scene),
            time=time_of(tracklet.entry, recorded, scene.at),
            picture=address("/frame", id=id, at=_plain(scene.at)),
            steps=_steps(id, recorded, scene),
        )

    add_page(router, "/recording", "recording.html", recording)

    @router.get("/frame", response_class=Response, responses=PROBLEMS | JPEG)
    def frame(id: Id, at: At = None) -> Response:
        """Return a picture of the recording of a tracklet."""
        return Response(_scene(service, id, at)[2].jpeg, media_type="image/jpeg")

    return router


def recorded_of(service: Service, id_: str) -> tuple[StoredTracklet, Recorded]:
    """Return a tracklet and its recording.

    Raises:
        RefusedError: If there is no such tracklet, or its recording is not there.
    """
    (tracklet,) = service.fetch([id_])
    recorded = find_recording(tracklet)
    if recorded is None:
        raise RefusedError(404, f"the recording of {id_} is not known, or is not there any more")
    return tracklet, recorded


def time_of(entry: Entry, recorded: Recorded, at: float) -> float | None:
    """Return when a picture of a video was recorded; None if it is not known."""
    if recorded.video is None or entry.start is None:
        return None
    return entry.start + at - recorded.begin


def _scene(service: Service, id_: str, at: float | None) -> tuple[StoredTracklet, Recorded, Scene]:
    tracklet, recorded = recorded_of(service, id_)
    with service.turn():
        return tracklet, recorded, service.scenes.get(tracklet, recorded, recorded.begin if at is None else at)


def _place(recorded: Recorded, scene: Scene) -> str:
    if recorded.video is None:
        return f"picture {scene.at + 1:,.0f} of {scene.length or 0:,.0f}"
    return show_time(scene.at) + (f" of {show_time(scene.length)}" if scene.length else "")


def _plain(at: float) -> str:
    """Return a place for an address.

    >>> _plain(4.0), _plain(12.3456)
    ('4', '12.346')
    """
    return f"{at:.3f}".rstrip("0").rstrip(".")


def _steps(id_: str, recorded: Recorded, scene: Scene) -> tuple[Step, ...]:
    """Return the steps that stay inside of the recording, and the way back to the beginning of the tracklet."""
    picture = scene.step
    jumps = {"1 min": 60.0, "10 s": 10.0, "1 s": 1.0} if recorded.video is not None else {"100": 100.0, "10": 10.0}
    back = [(f"−{label}", -by, "") for label, by in jumps.items()]
    ahead = [(f"+{label}", by, "") for label, by in reversed(jumps.items())]
    last = (scene.length if scene.length is not None else LONGEST) - picture / 2
    steps = [
        Step(label, address("/recording", id=id_, at=_plain(max(scene.at + by, 0))), key)
        for label, by, key in (*back, ("previous picture", -picture, ","), ("next picture", picture, "."), *ahead)
        if (scene.at + by <= last if by > 0 else scene.at + by >= 0 or (key and scene.at > 0))
    ]
    if abs(scene.at - recorded.begin) >= picture:
        steps.append(Step("beginning of the tracklet", address("/recording", id=id_), ""))
    return tuple(steps)
