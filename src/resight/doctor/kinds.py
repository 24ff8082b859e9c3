"""Every kind of finding: severity, meaning, remedy. ``docs/doctor.md`` contains this table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""``error``: the data cannot be used without changes, or part of it is lost; ``warning``: the data can be used, but
results may be wrong or not comparable; ``note``: information."""


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: Severity of a finding that does not set its own.
        meaning: One clause.
        remedy: What to do, for a finding that does not set its own.
    """

    severity: Severity
    meaning: str
    remedy: str


_COPY = "copy or unpack the data set again"
_TABLE = "use the official file"
_TRACKS = "correct the file, or export it from the tracker again"
_MERGE = "merge or rename them: they count as two"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # Path and layout
        "path-missing": Kind("error", "the path does not exist", "check the path"),
        "not-unpacked": Kind("error", "the path is an archive, not a folder", "unpack it and use the folder"),
        "unpacked-too-deep": Kind(
            "error", "the data set lies deeper than its reader searches", "use the path in the finding"
        ),
        "named-too-deep": Kind("error", "the path is a part of the data set", "use the path in the finding"),
        "several-copies": Kind("error", "several such data sets lie below the path", "use the path of one"),
        "wrong-kind": Kind("error", "it looks like another kind of data set", "use the kind in the finding"),
        "kind-guessed": Kind("note", "no kind was given, and one matches", "write the kind before the path"),
        "layout-missing": Kind("error", "a folder or file that the layout requires is missing", _COPY),
        "name-case": Kind("error", "a name differs from the layout's in upper and lower case", "rename it as stated"),
        "suffix-case": Kind(
            "note", "frames end in .JPG or the like", "nothing: they are read, but other programs may ignore them"
        ),
        "picture-depth": Kind(
            "error", "pictures lie at another depth than the layout's", "move or rename folders as stated"
        ),
        "reader-refuses": Kind(
            "error", "the reader cannot read it", "follow its message; other findings may explain more"
        ),
        "reader-note": Kind("note", "the reader left something out or repaired it", "nothing, if you expect it"),
        "withdrawn": Kind(
            "note",
            "its authors withdrew the data set in 2019",
            "use it only if you are allowed to; there is no official source",
        ),
        "not-published": Kind(
            "note", "its size is far from the published size", "do not compare with published scores"
        ),
        "differs-from-published": Kind(
            "warning", "counts differ from the published counts", f"{_COPY}: scores would not be comparable"
        ),
        # Names and links
        "names-differ-in-case": Kind("warning", "two names differ only in case, blanks or Unicode form", _MERGE),
        "names-differ-in-zeros": Kind("warning", "two folders differ only in leading zeros", _MERGE),
        "name-zeros": Kind("error", "a folder's number has too few or too many digits", "rename it as stated"),
        "name-not-text": Kind("warning", "a name is not valid UTF-8", "rename it: it cannot be printed or listed"),
        "broken-link": Kind("error", "a link leads nowhere or forms a cycle", "repair or delete it"),
        "link-outside": Kind(
            "note", "a link leads out of the data set", "keep its target in place, or copy the target here"
        ),
        "system-folders": Kind(
            "note", "folders of an operating system or of network storage", "nothing: they are ignored; or delete them"
        ),
        "frames-unread": Kind("warning", "pictures have a format that is not read", "convert them to JPEG or PNG"),
        "empty-folder": Kind("warning", "a folder contains nothing readable", f"delete it, or {_COPY}"),
        # Tables and lists
        "table-wrong": Kind("error", "a table is missing, damaged, a different one, or of another shape", _TABLE),
        "table-rows": Kind("error", "rows of a table are inconsistent", _TABLE),
        "text-encoding": Kind("error", "a text is not UTF-8", "save it as UTF-8"),
        "manifest-line": Kind("error", "a line of the manifest cannot be read", "correct the line"),
        "frames-missing": Kind("error", "listed frames are missing", _COPY),
        "frames-unlisted": Kind("note", "pictures belong to no tracklet", "nothing, or delete them"),
        # Frames
        "zero-bytes": Kind("error", "a frame is an empty file", _COPY),
        "truncated": Kind("error", "the end of a frame's file is missing", _COPY),
        "unreadable": Kind("error", "a frame is not a picture, or is damaged", _COPY),
        "odd-size": Kind(
            "warning", "frames differ in size from nearly all others", "check their origin; they are resized"
        ),
        "size-not-published": Kind("note", "the size of frames is not the published one", "nothing: they are resized"),
        "tiny-frames": Kind("warning", "frames are smaller than 16 pixels in a direction", "remove such tracklets"),
        "not-colour": Kind("note", "frames are grey or in another colour space", "nothing: they are read as RGB"),
        "more-than-8-bits": Kind("note", "frames have 16 or 32 bits per value", "nothing: they are scaled to 8 bits"),
        "rotated": Kind("note", "frames are stored rotated (EXIF)", "nothing: they are turned upright"),
        "transparent": Kind("note", "frames have transparent pixels", "nothing: these are shown as grey"),
        "wrong-suffix": Kind(
            "note", "a frame's suffix does not match its format", "nothing: they are read; or rename them"
        ),
        "same-bytes": Kind("warning", "frames of one tracklet are identical", "check how it was exported"),
        "tracklet-twice": Kind("warning", "two tracklets share a frame, byte for byte", "delete one of them"),
        "same-number-twice": Kind("warning", "two frames of a tracklet have the same number", "delete one of them"),
        "frame-gaps": Kind("note", "frame numbers have gaps", "nothing, if the tracker left frames out"),
        "unpadded-numbers": Kind(
            "note",
            "sorted as text, frame10 comes before frame9",
            "nothing: frames are sorted by number here, but other programs may sort by text",
        ),
        "frames-out-of-order": Kind("warning", "frames are not listed in the order of their numbers", "sort them"),
        # Tracklets, persons, roles
        "short-tracklets": Kind(
            "note", "tracklets have fewer frames than a clip", "nothing: frames are repeated, but scores are lower"
        ),
        "one-camera-persons": Kind(
            "note", "persons are seen by one camera only", "nothing: they have no match in another camera"
        ),
        "no-match": Kind(
            "warning",
            "queries have no match under the data set's protocol",
            "check their persons and cameras; scores exclude these queries and state how many",
        ),
        "unknown-persons": Kind(
            "note", "tracklets have no person", "add persons to the manifest for training or evaluation"
        ),
        "roles-overlap": Kind(
            "error",
            "training persons are also in the test set",
            "separate training and test persons; otherwise scores are invalid",
        ),
        "roles-swapped": Kind("error", "train and test, or query and gallery, are swapped", "swap their names"),
        "query-not-in-gallery": Kind(
            "warning", "some queries are in the gallery and some are not", "use the official lists"
        ),
        # Cameras, tracks, videos
        "cameras-file": Kind("error", "the file of cameras, or one of its tables, is invalid", "correct it as stated"),
        "no-tracks": Kind("note", "a camera has no tracks", "nothing: persons are detected during ingestion"),
        "video-unreadable": Kind("error", "a video is missing or cannot be opened", "check the path, or copy it again"),
        "video-truncated": Kind("error", "a video ends before its header says", "copy or record it again"),
        "pictures-undecodable": Kind(
            "warning",
            "pictures of a video cannot be decoded and are not counted, as in OpenCV and FFmpeg",
            "nothing, if the tracker counted decoded pictures; or set first_frame, or record it again",
        ),
        "variable-frame-rate": Kind(
            "warning",
            "frames of a video are not evenly spaced in time",
            "if the tracker assumed a constant rate, set rate = … in the file of cameras",
        ),
        "tracks-unreadable": Kind("error", "tracks are missing or have no usable row", _TRACKS),
        "frame-numbers": Kind(
            "error", "frame numbers of the tracks do not fit the pictures", "choose one of the options in the finding"
        ),
        "frames-from-zero": Kind(
            "note", "frames are counted from 0", "nothing; or set first_frame in the file of cameras to be explicit"
        ),
        "frames-unnumbered": Kind(
            "error", "the names of the frames do not tell their numbers", "rename them, or follow the finding"
        ),
        "picture-size-changes": Kind(
            "note",
            "pictures of a video have several sizes",
            "nothing: boxes are cut in their own picture",
        ),
        "mot-classes": Kind(
            "warning",
            "tracks have several classes, and all would be cut as persons",
            "choose with --classes, or classes = … in the file of cameras",
        ),
        "mot-other-class": Kind("note", "rows are of classes that are not cut", "nothing, if these are not persons"),
        "mot-lost": Kind("note", "boxes are marked as lost or outside", "nothing: they are skipped"),
        "mot-no-picture": Kind(
            "warning", "boxes are in frames for which there is no picture", "restore the missing pictures, if you can"
        ),
        "mot-swapped": Kind(
            "error",
            "the first two columns look like id and frame",
            "name the columns in a first line, or in columns = …",
        ),
        "mot-columns": Kind("warning", "rows have too few columns, or different numbers of columns", _TRACKS),
        "mot-not-numbers": Kind("warning", "rows contain text", f"{_TRACKS}; a header line is harmless"),
        "mot-not-finite": Kind("warning", "rows contain NaN or infinity", _TRACKS),
        "mot-not-whole": Kind("warning", "frames or ids are not whole numbers", _TRACKS),
        "mot-no-area": Kind("warning", "boxes have zero or negative area", _TRACKS),
        "mot-huge": Kind("warning", "boxes are larger than the video frame", _TRACKS),
        "mot-outside": Kind(
            "warning", "boxes lie outside the video frame", "check that tracks and video belong together"
        ),
        "mot-before-start": Kind(
            "warning", "boxes come before the first video frame", "set first_frame to the number of the first picture"
        ),
        "mot-past-end": Kind(
            "warning", "boxes come after the last video frame", "check that tracks and video belong together"
        ),
        "mot-duplicate": Kind("warning", "a track has two boxes in one frame", _TRACKS),
        "mot-without-track": Kind("warning", "some rows have no track id", _TRACKS),
        "mot-unsorted": Kind("note", "rows are not in the order of frames", "nothing: they are sorted here"),
        "mot-corners": Kind(
            "error",
            "boxes look like corners instead of width and height",
            "name the columns in a first line, or in columns = …",
        ),
        "mot-shares": Kind(
            "note", "boxes are shares of the picture instead of pixels", "nothing: they are multiplied by its size"
        ),
        "mot-small": Kind("note", "boxes are smaller than the default minimum", "nothing, or ingest with --min-height"),
        "mot-short": Kind(
            "note", "tracks are shorter than the default minimum", "nothing, or ingest with --min-frames"
        ),
        "nothing-to-cut": Kind("error", "ingestion would produce no tracklet", "see the camera's other findings"),
    }
)
"""Name → kind. Names do not change, so that scripts can rely on them."""
