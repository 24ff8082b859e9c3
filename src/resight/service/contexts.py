"""What the pages show, as plain data: the contexts of the templates, and the bodies of the ``.json`` pages.

A field is renamed or removed only with a new major version. Similarity, probability and confirmed identity are three
different things and have three fields everywhere: the similarity is what the model computed, the probability is a
calibrated estimate, and an identity is confirmed only by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from resight.service.timeline import Timeline

Label: TypeAlias = Literal["confirmed", "rejected"]


@dataclass(frozen=True)
class Card:
    """One tracklet of the gallery, or the pictures of an uploaded query.

    Attributes:
        id: Id of the tracklet; of an uploaded query, a name for it.
        camera: Name of the camera; empty if unknown.
        start: Seconds since 1970, or since the start of the recording; None if unknown.
        end: The same for the last frame.
        duration: Seconds from first to last frame; None if unknown.
        frames: Number of frames.
        quality: Quality of the track, 0 … 1.
        source: Where the tracklet came from.
        person: Person, if the data says so.
        group: Id of the person or unknown group that labels have put the tracklet in; None if none.
        clips: Number of clips, which is also the number of pictures in `film`.
        film: Address of one JPEG with a picture per clip, side by side.
        link: Address of the tracklet's page.
        search: Address of a search for this person.
    """

    id: str
    camera: str
    start: float | None
    end: float | None
    duration: float | None
    frames: int
    quality: float
    source: str
    person: str | None
    group: str | None
    clips: int
    film: str
    link: str
    search: str


@dataclass(frozen=True)
class Filters:
    """The filters of a list or a search, as set and as possible.

    Attributes:
        all_cameras: Cameras of the gallery.
        cameras: Chosen cameras; none means all.
        after: Only tracklets that end after this time.
        before: Only tracklets that start before this time.
        shortest: Shortest duration in seconds.
        person: Person or group.
        labelled: ``yes``, ``no`` or empty.
    """

    all_cameras: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    after: str = ""
    before: str = ""
    shortest: str = ""
    person: str = ""
    labelled: str = ""


@dataclass(frozen=True)
class TrackletsPage:
    """The tracklets of the gallery, page by page: ``/tracklets``.

    Attributes:
        total: Number of tracklets in the gallery.
        matching: Number of tracklets that pass the filters.
        filters: Filters.
        tracklets: The tracklets of this page.
        next: Address of the next page; None on the last.
    """

    total: int
    matching: int
    filters: Filters
    tracklets: tuple[Card, ...]
    next: str | None


@dataclass(frozen=True)
class TrackletPage:
    """One tracklet: ``/tracklet``.

    Attributes:
        tracklet: The tracklet.
        clips: Addresses of the pictures of its clips.
        hints: What may be wrong with the track, in sentences.
        added: When it was added, seconds since 1970.
        recording: Address of the recording where the tracklet begins, or else of the frames of the tracklet; None if
            none of these files is there.
    """

    tracklet: Card
    clips: tuple[str, ...]
    hints: tuple[str, ...]
    added: float
    recording: str | None


@dataclass(frozen=True)
class Step:
    """A step forwards or backwards in a recording.

    Attributes:
        label: What it is, such as ``+1 s``.
        link: Address of the page there.
        key: Key that leads there; empty if none does.
    """

    label: str
    link: str
    key: str


@dataclass(frozen=True)
class RecordingPage:
    """One picture of the recording of a tracklet, to draw a box on: ``/recording``.

    Attributes:
        tracklet: The tracklet that the recording is known by.
        name: Name of the video file, or of the picture.
        video: Whether it is a video; otherwise, it is a folder of pictures, or the frames of the tracklet.
        at: Place of the picture: seconds since the beginning of the video, or its number, counted from 0.
        begin: Place where the tracklet begins.
        length: Length of the video in seconds, or number of pictures; None if unknown.
        place: Where the picture is in the recording, in words.
        time: When it was recorded, as the times of tracklets; None if unknown.
        picture: Address of the picture as JPEG.
        steps: Where to go from here, from far back to far ahead.
    """

    tracklet: Card
    name: str
    video: bool
    at: float
    begin: float
    length: float | None
    place: str
    time: float | None
    picture: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class AnswerCard:
    """One answer of a search.

    Attributes:
        rank: 1 for the best.
        tracklet: The gallery tracklet.
        similarity: Higher is better, at most 1.
        probability: Calibrated probability that it is the same person; None without a calibration.
        above_threshold: Whether the similarity reaches the threshold; None without one.
        identity: ``confirmed`` if a person has confirmed that it is the same person, ``rejected`` if a person has
            denied it, None if nobody has said anything.
        label: Number of the label that says so, which can be undone; None if it follows from several.
        effects: Effect of each optional rule on this answer, in words.
        explain: Address of the explanation.
    """

    rank: int
    tracklet: Card
    similarity: float
    probability: float | None
    above_threshold: bool | None
    identity: Label | None
    label: int | None
    effects: tuple[str, ...]
    explain: str


@dataclass(frozen=True)
class SearchPage:
    """The result of a search: ``/search``.

    Attributes:
        query: Query tracklets, or the uploaded query. Empty before a search.
        ids: Ids of the query tracklets; with several, they are searched as one person. Empty for an uploaded query.
        upload: Name of the uploaded query; empty if the query is of the gallery.
        filters: Filters.
        k: Number of answers asked for.
        answers: Answers, best first.
        threshold: Similarity from which a match is reported; None if there is none, or if it differs between answers
            because the gallery has a calibration of its own.
        verdict: How many answers are above the threshold, and what it promises; empty without a threshold.
        searched: Number of tracklets that passed the filters.
        milliseconds: Time that the search took.
        timeline: The answers by camera and time.
    """

    query: tuple[Card, ...]
    ids: tuple[str, ...]
    upload: str
    filters: Filters
    k: int
    answers: tuple[AnswerCard, ...]
    threshold: float | None
    verdict: str
    searched: int
    milliseconds: float
    timeline: Timeline


@dataclass(frozen=True)
class ClipShare:
    """One clip of an explained match.

    Attributes:
        clip: Number of the clip, counted from 1.
        picture: Address of its middle frame.
        share: Share of the weight, 0 … 1.
        role: ``deciding`` if its share is at least 1.25 times an equal share, ``ignored`` if it is at most a quarter
            of one, otherwise ``usual``.
    """

    clip: int
    picture: str
    share: float
    role: Literal["deciding", "ignored", "usual"]


@dataclass(frozen=True)
class ExplainPage:
    """Why two tracklets are similar: ``/explain``.

    Attributes:
        query: Query tracklet.
        answer: Gallery tracklet.
        similarity: Higher is better, at most 1.
        identity: What a person has said about this pair.
        label: Number of the label that says so; None if none, or if it follows from several.
        label_first: Id of the query for a label; empty for an uploaded query, which is not in the gallery.
        sentences: Summary.
        hints: What may be wrong with either track.
        query_clips: M clips of the query.
        answer_clips: N clips of the answer.
        importance: (M, N) importance of each clip pair.
        weight: (M, N) weight of each clip pair; they sum to 1.
        cosine: (M, N) similarity of the two clips alone.
        contribution: (M, N) weight times cosine; they sum to the similarity.
    """

    query: Card
    answer: Card
    similarity: float
    identity: Label | None
    label: int | None
    label_first: str
    sentences: tuple[str, ...]
    hints: tuple[str, ...]
    query_clips: tuple[ClipShare, ...]
    answer_clips: tuple[ClipShare, ...]
    importance: tuple[tuple[float, ...], ...]
    weight: tuple[tuple[float, ...], ...]
    cosine: tuple[tuple[float, ...], ...]
    contribution: tuple[tuple[float, ...], ...]
