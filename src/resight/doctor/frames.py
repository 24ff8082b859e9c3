"""Read frames, decode some of them, and compare their sizes and contents."""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from resight.data.frames import frame_content, frame_state, read_frame
from resight.data.pictures import orientation_of
from resight.doctor.numbers import Group
from resight.doctor.report import Findings
from resight.doctor.tree import join
from resight.errors import FrameError
from resight.progress import Progress

READ = 20_000
"""Maximum number of frames that are read completely, for header, end and hash. Larger sets are sampled."""
DECODED = 4_000
"""Maximum number of these that are decoded, unless all are."""

_TINY = 16
_MOST = 0.9
"""If at least this share of frames has one size, frames of other sizes are reported."""
_PUBLISHED_SIZE = {"mars": (128, 256)}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip
_EIGHT_BITS = ("RGB", "YCbCr", "RGBA", "LA", "PA", "RGBa", "La")


class FrameCounts(NamedTuple):
    """How many frames were examined.

    Attributes:
        frames: Frames of tracklets.
        read: How many of them were read.
        decoded: How many of these were decoded.
    """

    frames: int
    read: int
    decoded: int


class _Header(NamedTuple):
    """Properties of a frame's file.

    Attributes:
        size: (width, height).
        mode: Pillow's name of the pixel format.
        format: ``JPEG``, ``PNG``, …
        digest: Hash of the content.
        complete: Whether the file has its end marker.
        rotated: Whether its EXIF orientation is not upright.
        transparent: Whether it has transparent pixels.
    """

    size: tuple[int, int]
    mode: str
    format: str
    digest: bytes
    complete: bool
    rotated: bool = False
    transparent: bool = False


def check_frames(
    root: Path,
    groups: Sequence[Group],
    kind: str,
    findings: Findings,
    *,
    known_bad: Collection[str] = (),
    everything: bool = False,
    progress: Progress | None = None,
) -> FrameCounts:
    """Read frames and report those that cannot be used or differ from the others.

    Args:
        root: The folder to which the folders of `groups` are relative.
        groups: Tracklets, or probable tracklets.
        kind: Kind of data set; MARS has a published size of frames.
        findings: Receives the findings.
        known_bad: Paths that are skipped because they were reported already.
        everything: Read and decode every frame, not a sample.
        progress: Called with (frames read, frames to read).

    Returns:
        How many frames were read and decoded.
    """
    chosen = [path for path in _choose(groups, None if everything else READ) if path not in known_bad]
    decode = set(range(len(chosen))) if everything else set(_spread(len(chosen), DECODED))
    headers: dict[str, _Header] = {}
    bad: dict[str, str] = {}
    for index, path in enumerate(chosen):
        try:
            headers[path] = _read(root / path)
            if index in decode and headers[path].complete:
                read_frame(root / path)
        except FileNotFoundError:  # reported as missing elsewhere
            continue
        except UnidentifiedImageError:
            bad[path] = f"{path} has an unknown format"
        except (OSError, ValueError, FrameError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            bad[path] = str(error)
        if progress is not None and (index % 64 == 0 or index + 1 == len(chosen)):
            progress(index + 1, len(chosen))
    cut = [path for path, header in headers.items() if not header.complete and path not in bad]
    findings.add_each("truncated", cut, f"{len(cut)} frames without an end marker", expected="complete files")
    findings.add_each(
        "unreadable", list(bad), f"{len(bad)} frames, the first: {next(iter(bad.values()), '')}", expected="pictures"
    )
    good = {path: header for path, header in headers.items() if path not in bad}
    _check_sizes(good, kind, findings)
    deep = [path for path, header in good.items() if header.mode.startswith(("I", "F"))]
    findings.add_each("more-than-8-bits", deep, f"{len(deep)} frames", expected="8 bits per value")
    rotated = [path for path, header in good.items() if header.rotated]
    findings.add_each("rotated", rotated, f"{len(rotated)} frames with an EXIF orientation", expected="upright frames")
    clear = [path for path, header in good.items() if header.transparent]
    findings.add_each("transparent", clear, f"{len(clear)} frames", expected="opaque frames")
    grey = [path for path, header in good.items() if header.mode not in _EIGHT_BITS and path not in set(deep)]
    modes = ", ".join(sorted({good[path].mode for path in grey}))
    findings.add_each("not-colour", grey, f"{len(grey)} frames of mode {modes}", expected="RGB")
    wrong = [path for path, header in good.items() if _SUFFIXES.get(Path(path).suffix.lower()) != header.format]
    formats = ", ".join(sorted({good[path].format for path in wrong}))
    findings.add_each(
        "wrong-suffix", wrong, f"{len(wrong)} frames in format {formats}", expected="a suffix for this format"
    )
    _check_copies(good, groups, findings)
    return FrameCounts(sum(len(group.names) for group in groups), len(chosen), len(decode))


def _choose(groups: Sequence[Group], most: int | None) -> list[str]:
    """Return the frames to read: all, or a fixed sample with the first frame of every tracklet if possible."""
    paths = [[join(group.folder, name) for name in group.names] for group in groups]
    all_paths = list(dict.fromkeys(path for group in paths for path in group))
    if most is None or len(all_paths) <= most:
        return all_paths
    firsts = dict.fromkeys(group[0] for group in paths if group)
    rng = random.Random(0)
    if len(firsts) >= most:
        chosen = set(rng.sample(list(firsts), most))
    else:
        chosen = {*firsts, *rng.sample([path for path in all_paths if path not in firsts], most - len(firsts))}
    return [path for path in all_paths if path in chosen]


def _spread(count: int, most: int) -> Iterable[int]:
    return range(count) if count <= most else (index * count // most for index in range(most))


def _read(path: Path) -> _Header:
    if frame_state(path) is None:
        if path.exists():
            raise FrameError(f"{path} is not a regular file")
        raise FileNotFoundError(path)
    content = frame_content(path)
    with Image.open(io.BytesIO(content)) as picture:
        size, mode, form = picture.size, picture.mode, picture.format or "?"
        rotated, transparent = orientation_of(picture) != 1, picture.has_transparency_data
    # Some cameras pad a JPEG with zeros.
    complete = content.rstrip(b"\0").endswith(_ENDS.get(form, b""))
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return _Header(size, mode, form, digest, complete, rotated, transparent)


def _check_sizes(headers: dict[str, _Header], kind: str, findings: Findings) -> None:
    tiny = [path for path, header in headers.items() if min(header.size) < _TINY]
    findings.add_each("tiny-frames", tiny, f"{len(tiny)} frames", expected=f"at least {_TINY} pixels in each direction")
    sizes = Counter(header.size for header in headers.values())
    if not sizes:
        return
    (usual, times), *_ = sizes.most_common(1)
    published = _PUBLISHED_SIZE.get(kind)
    if published is not None and usual != published:
        findings.add(
            "size-not-published",
            f"{_in_words(usual)} in {times:,} of {len(headers):,} frames",
            expected=_in_words(published),
        )
    if times >= _MOST * len(headers):
        odd = [path for path, header in headers.items() if header.size != usual]
        other = ", ".join(_in_words(size) for size, _ in sizes.most_common(4)[1:])
        findings.add_each(
            "odd-size",
            odd,
            f"{len(odd)} frames of {other}",
            expected=f"{_in_words(usual)}, the size of {times:,} others",
        )


def _check_copies(headers: dict[str, _Header], groups: Sequence[Group], findings: Findings) -> None:
    """Report identical frames in one tracklet or in two."""
    within: list[str] = []
    owners: dict[bytes, str] = {}
    across: dict[tuple[str, str], str] = {}
    for group in groups:
        copies: dict[bytes, list[str]] = defaultdict(list)
        for path in dict.fromkeys(join(group.folder, name) for name in group.names):
            if path in headers:
                copies[headers[path].digest].append(path)
        within += (" = ".join(paths[:2]) for paths in copies.values() if len(paths) > 1)
        for digest, paths in copies.items():
            other = owners.setdefault(digest, group.name)
            if other != group.name:
                across.setdefault((other, group.name), paths[0])
    findings.add_each("same-bytes", within, f"{len(within)} repeated frames", expected="different frames")
    twins = [f"{first} and {second} ({path})" for (first, second), path in across.items()]
    findings.add_each("tracklet-twice", twins, f"{len(twins)} pairs", expected="each picture in one tracklet")


def _in_words(size: tuple[int, int]) -> str:
    width, height = size
    return f"{height} × {width} (height × width)"
