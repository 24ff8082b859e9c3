"""Every kind of finding: how serious it is, what it means, what to do. ``docs/doctor.md`` shows this table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""``error``: it cannot be used as it is, or part of it is lost; ``warning``: it can be used, and what comes out may be
wrong or not comparable; ``note``: worth knowing."""


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: unless the finding itself says otherwise.
        meaning: one clause.
        remedy: what to do, unless the finding itself knows better.
    """

    severity: Severity
    meaning: str
    remedy: str


_COPY = "copy or unpack the data set again"
_TABLE = "use the official file"
_RETRACK = "mend the file, or let the tracker write it again"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # Where it is and what it looks like
        "path-missing": Kind("error", "there is nothing at the path", "check the path"),
        "not-unpacked": Kind("error", "an archive lies there, not a folder", "unpack it and name the folder"),
        "unpacked-too-deep": Kind("error", "the data set lies deeper than a reader looks", "name the folder said"),
        "named-too-deep": Kind("error", "the path is a part of the data set", "name the folder said"),
        "several-copies": Kind("error", "more than one such data set lies below the path", "name one of them"),
        "wrong-kind": Kind("error", "it looks like another kind of data set", "name it by the kind said"),
        "kind-guessed": Kind("note", "no kind was named, and one fits", "write the kind before the path"),
        "layout-missing": Kind("error", "a folder or a file that the layout needs is not there", _COPY),
        "name-case": Kind("error", "upper and lower case differ from the layout's names", "rename it as said"),
        "suffix-case": Kind("note", "frames end in .JPG or the like", "nothing: they are read; other programs may not"),
        "picture-depth": Kind(
            "error", "pictures lie at another depth than the layout's", "move or name folders as said"
        ),
        "reader-refuses": Kind(
            "error", "the reader cannot read it", "as its message says; other findings may say more"
        ),
        "reader-note": Kind("note", "what the reader left out or repaired", "nothing, if it is as you expect"),
        "withdrawn": Kind(
            "note",
            "its authors withdrew the data set in 2019",
            "use it only if you are allowed to; nobody can be named who hands it out",
        ),
        "not-published": Kind(
            "note", "its size is nowhere near the published one", "do not compare with published scores"
        ),
        "differs-from-published": Kind(
            "warning", "counts differ from the published ones", f"{_COPY}: scores would not be comparable"
        ),
        # Names and links
        "names-differ-in-case": Kind(
            "warning", "two folders differ in upper and lower case only", "merge or rename them: they count as two"
        ),
        "names-differ-in-zeros": Kind(
            "warning", "two folders differ in leading zeros only", "merge or rename them: they count as two"
        ),
        "name-zeros": Kind("error", "a folder's number has too few or too many zeros", "rename it as said"),
        "name-not-text": Kind("warning", "a name is not valid UTF-8", "rename it: it cannot be printed or listed"),
        "broken-link": Kind("error", "a link leads nowhere or in a circle", "mend or delete it"),
        "link-outside": Kind("note", "a link leads out of the data set", "keep its target where it is, or copy it in"),
        "empty-folder": Kind("warning", "a folder holds nothing that can be read", f"delete it, or {_COPY}"),
        # Tables and lists
        "table-wrong": Kind("error", "a table is missing, damaged, another one, or of another shape", _TABLE),
        "table-rows": Kind("error", "rows of a table do not fit each other", _TABLE),
        "text-encoding": Kind("error", "a text is not UTF-8", "save it as UTF-8"),
        "manifest-line": Kind("error", "a line of the manifest cannot be read", "mend the line"),
        "frames-missing": Kind("error", "frames are listed but not there", _COPY),
        "frames-unlisted": Kind("note", "pictures lie there that no tracklet has", "nothing, or delete them"),
        # Frames
        "zero-bytes": Kind("error", "a frame is an empty file", _COPY),
        "truncated": Kind("error", "a frame ends too early", _COPY),
        "unreadable": Kind("error", "a frame is not a picture, or a damaged one", _COPY),
        "odd-size": Kind(
            "warning", "frames have another size than nearly all others", "check where they come from; they are resized"
        ),
        "size-not-published": Kind(
            "note", "frames have another size than the published ones", "nothing: they are resized"
        ),
        "tiny-frames": Kind("warning", "frames are smaller than 16 pixels in a direction", "leave such tracklets out"),
        "not-colour": Kind("note", "frames are grey, or have an alpha channel", "nothing: they are read as RGB"),
        "wrong-suffix": Kind("note", "a frame's suffix does not say its format", "nothing: they are read; rename them"),
        "same-bytes": Kind("warning", "frames of one tracklet are copies of each other", "check how it was exported"),
        "tracklet-twice": Kind("warning", "two tracklets share a frame, byte for byte", "keep one of them"),
        "same-number-twice": Kind("warning", "two frames of a tracklet have one number", "keep one of them"),
        "frame-gaps": Kind("note", "frame numbers have gaps", "nothing, if the tracker left frames out"),
        "unpadded-numbers": Kind(
            "note", "by name frame10 comes before frame9", "nothing: sorted by number here; other programs may not"
        ),
        "frames-out-of-order": Kind(
            "warning", "frames are listed in another order than that of their numbers", "sort them"
        ),
        # Tracklets, persons, roles
        "short-tracklets": Kind(
            "note", "tracklets have fewer frames than a clip", "nothing: their frames are repeated; scores suffer"
        ),
        "one-camera-persons": Kind(
            "note", "persons are seen by one camera only", "nothing: they cannot be found across cameras"
        ),
        "no-match": Kind(
            "warning",
            "queries have no match by the data set's protocol",
            "they are left out of scores and counted; check persons and cameras of these",
        ),
        "unknown-persons": Kind(
            "note", "tracklets have no person", "write persons into the manifest to learn or to score"
        ),
        "roles-overlap": Kind(
            "error",
            "training persons are asked for in the test",
            "keep persons of train and test apart; scores are void",
        ),
        "roles-swapped": Kind(
            "error", "train and test, or query and gallery, are exchanged", "give them their own names"
        ),
        "query-not-in-gallery": Kind(
            "warning", "some queries are in the gallery and some are not", "use the official lists"
        ),
        # Cameras, tracks, videos
        "cameras-file": Kind("error", "the file of cameras, or a table of it, cannot be used", "mend it as said"),
        "no-tracks": Kind("note", "a camera has no tracks", "nothing: people are detected when it is ingested"),
        "video-unreadable": Kind("error", "a video is missing or cannot be opened", "check the path, or copy it again"),
        "video-truncated": Kind("error", "a video ends before its own header says", "copy or record it again"),
        "pictures-undecodable": Kind(
            "warning", "pictures of a video cannot be decoded", "copy or record it again; boxes there are left out"
        ),
        "variable-frame-rate": Kind(
            "warning",
            "pictures of a video are not evenly spaced in time",
            "if the tracker was fed at an even rate, say rate = … in the file of cameras",
        ),
        "tracks-unreadable": Kind("error", "there are no tracks, or no usable row in them", _RETRACK),
        "mot-columns": Kind("warning", "rows have too few columns, or not all the same number", _RETRACK),
        "mot-not-numbers": Kind("warning", "rows hold words", f"{_RETRACK}; a header line alone does no harm"),
        "mot-not-finite": Kind("warning", "rows hold NaN or infinity", _RETRACK),
        "mot-not-whole": Kind("warning", "frames or ids are not whole numbers", _RETRACK),
        "mot-no-area": Kind("warning", "boxes have no area, or a negative one", _RETRACK),
        "mot-huge": Kind("warning", "boxes are larger than the picture", _RETRACK),
        "mot-outside": Kind("warning", "boxes lie outside the picture", "check that tracks and video belong together"),
        "mot-before-start": Kind(
            "warning", "frames come before the first picture", "say first_frame = 0 if it counts from 0"
        ),
        "mot-past-end": Kind(
            "warning", "frames come after the last picture", "check that tracks and video belong together"
        ),
        "mot-duplicate": Kind("warning", "a track has two boxes in one frame", _RETRACK),
        "mot-without-track": Kind("warning", "rows without an id stand among rows with one", _RETRACK),
        "mot-unsorted": Kind("note", "rows are not in the order of frames", "nothing: they are sorted here"),
        "mot-corners": Kind(
            "warning", "boxes look like corners, not like width and height", "write left, top, width, height"
        ),
        "mot-shares": Kind("warning", "boxes look like shares of the picture, not pixels", "write pixels"),
        "mot-small": Kind(
            "note", "boxes are smaller than what is cut by default", "nothing, or ingest with --min-height"
        ),
        "mot-short": Kind(
            "note", "tracks are shorter than what is cut by default", "nothing, or ingest with --min-frames"
        ),
        "nothing-to-cut": Kind("error", "no tracklet would come out", "see the other findings of this camera"),
    }
)
"""Name → kind. Names are stable: scripts may rely on them."""
