"""Evaluation protocols: which gallery tracklets match a query, which are junk, and how unmatched queries count.

Protocols are data: each rule is a field of `Protocol`, and each protocol is an entry of `PROTOCOLS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.errors import ProtocolError
from resight.tracklet import DISTRACTOR, JUNK, Tracklet


@dataclass(frozen=True)
class Protocol:
    """The rules of an evaluation.

    A match is a gallery tracklet of the query's person that is not junk. Junk is removed from a ranking before ranks
    are counted. All other tracklets are wrong.

    Attributes:
        name: Name printed with the scores.
        description: The rule in one sentence.
        source: Origin of the rule.
        same_camera: Junk in the query's camera: the ``same person``, including the query itself, or ``everyone``. With
            ``query itself``, cameras are ignored and only the query is junk if it is in the gallery. With ``nothing``,
            the query stays and finds itself; no protocol uses this, but it is a common mistake.
        junk_persons: Persons that are junk for every query.
        queries_in_gallery: Whether tracklets that are also queries stay in the gallery for the other queries.
        without_match: Whether a query without a match is excluded from all means (``exclude``) or counts as 0
            (``zero``).
        splits: Number of official splits; a score is the mean over them.
        official: Numbers of queries and gallery tracklets of published scores, junk included; None if not fixed.
    """

    name: str
    description: str
    source: str
    same_camera: Literal["same person", "everyone", "query itself", "nothing"] = "same person"
    junk_persons: tuple[int, ...] = (JUNK,)
    queries_in_gallery: bool = True
    without_match: Literal["exclude", "zero"] = "exclude"
    splits: int = 1
    official: tuple[int, int] | None = None


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="standard",
            description="The query's person in the query's camera is junk; all other persons in that camera stay.",
            source="Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015, and its code",
        ),
        Protocol(
            name="mars",
            description="The official MARS rules: as standard, in all 12,180 test tracklets, queries included.",
            source="https://github.com/liangzheng06/MARS-evaluation, utils/evaluation_mars.m",
            official=(1980, 12_180),
        ),
        Protocol(
            name="mars-queries-out",
            description="As mars, without queries in the gallery: 9,330 tracklets remain, 140 queries have no match.",
            source="several re-identification toolkits; not the official MARS code",
            queries_in_gallery=False,
            official=(1980, 12_180),
        ),
        Protocol(
            name="cross-camera",
            description="Every gallery tracklet of the query's own camera is junk, of any person.",
            source="the strict reading of 'search in the other cameras'; not the rule of any supported data set",
            same_camera="everyone",
        ),
        Protocol(
            name="any-camera",
            description="Only the query itself is junk: the same person matches in every camera, even the query's.",
            source="for your own data without camera labels or with one camera; not the rule of any supported data set",
            same_camera="query itself",
        ),
        Protocol(
            name="duke-video",
            description="As standard: the same person in the query's camera is junk, 408 distractors stay.",
            source="Wu et al., Exploit the Unknown Gradually, CVPR 2018; the rules are those of Market-1501",
            official=(702, 2636),
        ),
        Protocol(
            name="ls-vid",
            description="As mars: all test tracklets are the gallery, queries included.",
            source="Li et al., Global-Local Temporal Representations, ICCV 2019; the rules are those of MARS",
        ),
        Protocol(
            name="prid2011",
            description="Queries from camera a, gallery from camera b: 89 persons, one match each; ten splits.",
            source="Hirzer et al., SCIA 2011; splits after Wang et al., Video Ranking, ECCV 2014",
            splits=10,
            official=(89, 89),
        ),
        Protocol(
            name="ilids-vid",
            description="Queries from camera 1, gallery from camera 2: 150 persons, one match each; ten splits.",
            source="Wang et al., Person Re-identification by Video Ranking, ECCV 2014, and the splits in its archive",
            splits=10,
            official=(150, 150),
        ),
    )
}


def default_protocol(dataset_name: str) -> Protocol:
    """Return the default protocol of a kind of data set.

    Args:
        dataset_name: `Dataset.name`. The protocol with the same name is returned, or ``standard`` if there is none.
    """
    return PROTOCOLS.get(dataset_name, PROTOCOLS["standard"])


def find_protocol(name: str) -> Protocol:
    """Return the protocol with this name.

    Raises:
        ProtocolError: If there is none; the message lists all protocols.
    """
    if name not in PROTOCOLS:
        raise ProtocolError(f"there is no protocol {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


class Labels(NamedTuple):
    """The labels of N tracklets that a protocol uses.

    Attributes:
        ids: N tracklet ids.
        persons: (N,) person numbers, including `JUNK` and `DISTRACTOR`.
        cameras: (N,) camera numbers.
    """

    ids: tuple[str, ...]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet] | Labels) -> Labels:
        """Return the labels of tracklets, in their order; labels are returned as they are."""
        if isinstance(tracklets, Labels):
            return tracklets
        return cls(
            tuple(t.id for t in tracklets),
            np.array([t.person for t in tracklets], dtype=np.int64),
            np.array([t.camera for t in tracklets], dtype=np.int64),
        )

    def rows(self, chosen: slice) -> Labels:
        """Return the labels of a slice of the tracklets."""
        return Labels(self.ids[chosen], self.persons[chosen], self.cameras[chosen])

    def among(self, others: Labels) -> NDArray[np.bool_]:
        """Return (N,) True for the tracklets whose ids are also in `others`."""
        known = set(others.ids)
        return np.array([id_ in known for id_ in self.ids], dtype=bool)


def judge_pairs(
    protocol: Protocol, query: Labels, gallery: Labels, is_query: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which gallery tracklets match each query and which are junk.

    Args:
        protocol: Rules for matches and junk.
        query: Labels of Q queries.
        gallery: Labels of G gallery tracklets.
        is_query: (G,) True for gallery tracklets that are also queries, of all queries and not only the Q given.

    Returns:
        match, junk: (Q, G) each; no pair is both. A pair that is neither is wrong.
    """
    same_person = query.persons[:, None] == gallery.persons
    if protocol.same_camera in ("same person", "everyone"):
        junk = query.cameras[:, None] == gallery.cameras
        if protocol.same_camera == "same person":
            junk &= same_person
    else:
        junk = np.zeros_like(same_person)
        if protocol.same_camera == "query itself":
            column = {gallery.ids[place]: place for place in np.flatnonzero(is_query).tolist()}
            itself = [(row, column[id_]) for row, id_ in enumerate(query.ids) if id_ in column]
            junk[tuple(np.array(itself, np.int64).reshape(-1, 2).T)] = True
    for person in protocol.junk_persons:
        junk |= gallery.persons == person
    if not protocol.queries_in_gallery:
        junk |= is_query
    # Distractors share a person number but are different persons, so they do not match each other.
    return same_person & (gallery.persons > DISTRACTOR) & ~junk, junk
