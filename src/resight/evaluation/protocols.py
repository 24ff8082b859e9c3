"""Which gallery tracklets count for a query, which are junk, and what happens to a query that nobody matches.

Protocols are data: a rule that a data set needs is a field here, and a way of judging is a line in `PROTOCOLS`.
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

    A match is the query's person, unless junk. Junk counts neither right nor wrong: it is taken out of a ranking before
    ranks are counted. What is neither a match nor junk is wrong.

    Attributes:
        name: what scores are labelled with.
        description: the rule in one sentence.
        source: where the rule comes from.
        same_camera: what is junk in the query's own camera: the ``same person``, the query itself included; or
            ``everyone``. ``query itself`` does not look at cameras: only the query is junk, where it is in the gallery.
            With ``nothing`` even the query stays, and finds itself: no protocol, but a mistake that happens.
        junk_persons: persons that are junk for everyone.
        queries_in_gallery: whether tracklets that are queries too stay in the gallery (for the other queries).
        without_match: a query that no gallery tracklet matches is left out of all means and counted (``exclude``), or
            stays in them with 0 (``zero``).
        splits: official splits; a score is the mean over them.
        official: queries and gallery tracklets, junk included, as read, that published scores are made with; None if
            these numbers are not fixed.
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
            description="The same person in the query's camera is junk; everybody else in that camera stays.",
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
            description="As mars, but queries are not in the gallery: 9,330 are left, and 140 queries without a match.",
            source="several re-identification toolkits; not the official MARS code",
            queries_in_gallery=False,
            official=(1980, 12_180),
        ),
        Protocol(
            name="cross-camera",
            description="Every gallery tracklet of the query's own camera is junk, whoever it shows.",
            source="the strict reading of 'search in the other cameras'; not the rule of any data set here",
            same_camera="everyone",
        ),
        Protocol(
            name="any-camera",
            description="Only the query itself is junk: the same person counts under every camera, its own included.",
            source="for your own data without camera labels, or with one camera; not the rule of any data set here",
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
            description="Camera a asks, camera b answers: 89 persons, one match each; mean over ten splits.",
            source="Hirzer et al., SCIA 2011; splits after Wang et al., Video Ranking, ECCV 2014",
            splits=10,
            official=(89, 89),
        ),
        Protocol(
            name="ilids-vid",
            description="Camera 1 asks, camera 2 answers: 150 persons, one match each; mean over ten splits.",
            source="Wang et al., Person Re-identification by Video Ranking, ECCV 2014, and the splits in its archive",
            splits=10,
            official=(150, 150),
        ),
    )
}


def default_protocol(split_name: str) -> Protocol:
    """The protocol that a kind of data set is judged by unless another one is asked for.

    Args:
        split_name: `Dataset.name`; one that has a protocol of its own name gets it, all others get ``standard``.
    """
    return PROTOCOLS.get(split_name, PROTOCOLS["standard"])


def find_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ProtocolError: if there is none; the message lists those there are.
    """
    if name not in PROTOCOLS:
        raise ProtocolError(f"no protocol is called {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


class Labels(NamedTuple):
    """What a protocol looks at: N tracklets' ids, persons and cameras.

    Attributes:
        ids: N tracklet ids.
        persons: (N,) int, `JUNK` and `DISTRACTOR` included.
        cameras: (N,) int.
        others: N sets of persons who are in some clips of a tracklet besides its own person, such as whoever its
            tracker switched to; empty where that is not known.
    """

    ids: tuple[str, ...]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]
    others: tuple[frozenset[int], ...] = ()

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet]) -> Labels:
        """The labels of tracklets, in their order."""
        return cls(
            tuple(t.id for t in tracklets),
            np.array([t.person for t in tracklets], dtype=np.int64),
            np.array([t.camera for t in tracklets], dtype=np.int64),
        )

    def rows(self, chosen: slice) -> Labels:
        """The labels of some of the tracklets."""
        return Labels(self.ids[chosen], self.persons[chosen], self.cameras[chosen], self.others[chosen])

    def among(self, others: Labels) -> NDArray[np.bool_]:
        """(N,) which of the tracklets are among the others too, by their ids."""
        known = set(others.ids)
        return np.array([id_ in known for id_ in self.ids], dtype=bool)


def show_somebody_else(query: Labels, gallery: Labels) -> NDArray[np.bool_]:
    """Which pairs of tracklets of two persons show the same person all the same, by `Labels.others`.

    One is among the others of the other tracklet, or a third is among the others of both. Who says that such tracklets
    belong together is not wrong.

    Args:
        query: Q labels.
        gallery: G labels.

    Returns:
        (Q, G).
    """
    known = sorted({person for side in (query, gallery) for one in side.others for person in one})
    own, third = [], []
    for side in (query, gallery):
        own.append(side.persons[:, None] == known)
        others = side.others or (frozenset(),) * len(side.ids)
        third.append(np.array([[person in one for person in known] for one in others], bool).reshape(own[-1].shape))
    shown = [(a | b).astype(np.float32) for a, b in zip(own, third, strict=True)]
    same: NDArray[np.bool_] = (shown[0] @ shown[1].T > 0) & (query.persons[:, None] != gallery.persons)
    return same


def judge_pairs(
    protocol: Protocol, query: Labels, gallery: Labels, is_query: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which gallery tracklets match each query, and which are junk for it.

    Args:
        protocol: the rules.
        query: Q labels.
        gallery: G labels.
        is_query: (G,) whether a gallery tracklet is a query too (any query of the evaluation, not only of `query`).

    Returns:
        match and junk, each (Q, G); no pair is both. What is neither counts as wrong. Pairs that `show_somebody_else`
        are junk by every protocol.
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
    if query.others or gallery.others:
        junk |= show_somebody_else(query, gallery)
    # Nobody in particular is nobody's match, so that two distractors under different cameras do not match.
    return same_person & (gallery.persons > DISTRACTOR) & ~junk, junk
