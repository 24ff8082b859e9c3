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

    In every protocol a match is the query's person under another camera, and person -1 is junk. Junk counts neither
    right nor wrong: it is taken out of a ranking before ranks are counted. The query itself, where it is in the
    gallery, is the same person in the same camera and so always junk.

    Attributes:
        name: what scores are labelled with.
        description: the rule in one sentence.
        source: where the rule comes from.
        same_camera: which gallery tracklets of the query's own camera are junk: those of the ``same person``, or of
            ``everyone``.
        queries_in_gallery: whether tracklets that are queries too stay in the gallery (for the other queries).
        without_match: a query that no gallery tracklet matches is left out of all means and counted (``exclude``), or
            stays in them with 0 (``zero``).
    """

    name: str
    description: str
    source: str
    same_camera: Literal["same person", "everyone"] = "same person"
    queries_in_gallery: bool = True
    without_match: Literal["exclude", "zero"] = "exclude"


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
        ),
        Protocol(
            name="mars-queries-out",
            description="As mars, but queries are not in the gallery: 9,330 are left, and 140 queries without a match.",
            source="several re-identification toolkits; not the official MARS code",
            queries_in_gallery=False,
        ),
        Protocol(
            name="cross-camera",
            description="Every gallery tracklet of the query's own camera is junk, whoever it shows.",
            source="the strict reading of 'search in the other cameras'; not the rule of any data set here",
            same_camera="everyone",
        ),
    )
}


def default_protocol(split_name: str) -> Protocol:
    """The protocol that a kind of data set is judged by unless another one is asked for.

    Args:
        split_name: `Split.name`; one that has a protocol of its own name gets it, all others get ``standard``.
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
    """

    ids: tuple[str, ...]
    persons: NDArray[np.int64]
    cameras: NDArray[np.int64]

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
        return Labels(self.ids[chosen], self.persons[chosen], self.cameras[chosen])


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
        match and junk, each (Q, G); no pair is both. What is neither counts as wrong.
    """
    same_camera = query.cameras[:, None] == gallery.cameras
    # Nobody in particular is nobody's match, so that two distractors under different cameras do not match.
    same_person = query.persons[:, None] == gallery.persons
    junk = same_camera if protocol.same_camera == "everyone" else same_camera & same_person
    junk |= gallery.persons == JUNK
    if not protocol.queries_in_gallery:
        junk |= is_query
    return same_person & (gallery.persons > DISTRACTOR) & ~junk, junk
