"""Frames: read, some of them decoded, compared in size and content."""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from resight.data.frames import read_frame
from resight.doctor.numbers import Group
from resight.doctor.report import Findings
from resight.doctor.tree import join
from resight.errors import FrameError
from resight.progress import Progress

READ = 20_000
"""Frames that are read whole, for their headers, ends and hashes; of a larger set a sample."""
DECODED = 4_000
"""Frames that are decoded too, unless all are."""

_TINY = 16
_MOST = 0.9
"""Share of frames from which on one size is that of the data set, and others are odd."""
_PUBLISHED_SIZE = {"mars": (128, 256)}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


class Looked(NamedTuple):
    """How many frames there are, how many were read, how many of these decoded."""

    frames: int
    read: int
    decoded: int


class _Header(NamedTuple):
    """What was read of a frame."""

    size: tuple[int, int]
    mode: str
    format: str
    digest: bytes
    whole: bool


def check_frames(
    root: Path,
    groups: Sequence[Group],
    kind: str,
    findings: Findings,
    *,
    known_bad: Collection[str] = (),
    everything: bool = False,
    progress: Progress | None = None,
) -> Looked:
    """Read frames and say which cannot be used, or are not like the others.

    Args:
        root: what the folders of `groups` are relative to.
        groups: tracklets, or what is taken for them.
        kind: of data set; MARS has a published size of frames.
        findings: receives what is wrong.
        known_bad: paths that are not looked at, because they were reported already.
        everything: read and decode every frame, not a sample.
        progress: called with (frames read, all that will be).
    """
    chosen = [path for path in _choose(groups, None if everything else READ) if path not in known_bad]
    decode = set(range(len(chosen))) if everything else set(_spread(len(chosen), DECODED))
    headers: dict[str, _Header] = {}
    bad: dict[str, str] = {}
    for place, path in enumerate(chosen):
        try:
            headers[path] = _read(root / path)
            if place in decode and headers[path].whole:
                read_frame(root / path)
        except FileNotFoundError:  # reported as missing
            continue
        except (OSError, ValueError, FrameError, Image.DecompressionBombError) as error:
            bad[path] = str(error)
        if progress is not None and (place % 64 == 0 or place + 1 == len(chosen)):
            progress(place + 1, len(chosen))
    cut = [path for path, header in headers.items() if not header.whole and path not in bad]
    findings.add_each("truncated", cut, f"{len(cut)} frames without the end of a file", expected="whole files")
    findings.add_each(
        "unreadable", list(bad), f"{len(bad)} frames, the first: {next(iter(bad.values()), '')}", expected="pictures"
    )
    good = {path: header for path, header in headers.items() if path not in bad}
    _check_sizes(good, kind, findings)
    grey = [path for path, header in good.items() if header.mode not in ("RGB", "YCbCr")]
    modes = ", ".join(sorted({good[path].mode for path in grey}))
    findings.add_each("not-colour", grey, f"{len(grey)} frames of mode {modes}", expected="RGB")
    named = [path for path, header in good.items() if _SUFFIXES.get(Path(path).suffix.lower()) != header.format]
    formats = ", ".join(sorted({good[path].format for path in named}))
    findings.add_each(
        "wrong-suffix", named, f"{len(named)} frames that are {formats}", expected="a suffix that says so"
    )
    _check_copies(good, groups, findings)
    return Looked(sum(len(group.names) for group in groups), len(chosen), len(decode))


def _choose(groups: Sequence[Group], most: int | None) -> list[str]:
    """Paths of the frames to read: all, or the first of every tracklet and some others, the same ones every time."""
    paths = [[join(group.folder, name) for name in group.names] for group in groups]
    everyone = list(dict.fromkeys(path for group in paths for path in group))
    if most is None or len(everyone) <= most:
        return everyone
    firsts = dict.fromkeys(group[0] for group in paths if group)
    rng = random.Random(0)
    if len(firsts) >= most:
        wanted = set(rng.sample(list(firsts), most))
    else:
        wanted = {*firsts, *rng.sample([path for path in everyone if path not in firsts], most - len(firsts))}
    return [path for path in everyone if path in wanted]


def _spread(count: int, most: int) -> Iterable[int]:
    return range(count) if count <= most else (place * count // most for place in range(most))


def _read(path: Path) -> _Header:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        size, mode, form = picture.size, picture.mode, picture.format or "?"
    # Some cameras pad a JPEG with zeros.
    whole = content.rstrip(b"\0").endswith(_ENDS.get(form, b""))
    return _Header(size, mode, form, hashlib.blake2b(content, digest_size=16).digest(), whole)


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
            "size-not-published", f"{_words(usual)} in {times:,} of {len(headers):,} frames", expected=_words(published)
        )
    if times >= _MOST * len(headers):
        odd = [path for path, header in headers.items() if header.size != usual]
        other = ", ".join(_words(size) for size, _ in sizes.most_common(4)[1:])
        findings.add_each(
            "odd-size", odd, f"{len(odd)} frames of {other}", expected=f"{_words(usual)}, as {times:,} others"
        )


def _check_copies(headers: dict[str, _Header], groups: Sequence[Group], findings: Findings) -> None:
    """Frames of one tracklet, or of two, with the same bytes."""
    within: list[str] = []
    first: dict[bytes, str] = {}
    across: dict[tuple[str, str], str] = {}
    for group in groups:
        own: dict[bytes, list[str]] = defaultdict(list)
        for path in dict.fromkeys(join(group.folder, name) for name in group.names):
            if path in headers:
                own[headers[path].digest].append(path)
        within += (" = ".join(paths[:2]) for paths in own.values() if len(paths) > 1)
        for digest, paths in own.items():
            other = first.setdefault(digest, group.name)
            if other != group.name:
                across.setdefault((other, group.name), paths[0])
    findings.add_each("same-bytes", within, f"{len(within)} repeated frames", expected="frames that differ")
    twins = [f"{one} and {other} ({path})" for (one, other), path in across.items()]
    findings.add_each("tracklet-twice", twins, f"{len(twins)} pairs", expected="each picture in one tracklet")


def _words(size: tuple[int, int]) -> str:
    width, height = size
    return f"{height} × {width} (height × width)"
