"""Render the videos of a small site: the same synthetic people walk past several cameras, with tracks and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import DatasetError
from resight.synthetic.background import background
from resight.synthetic.body import body_solids
from resight.synthetic.development import apply_camera, cast_shadow, noise_bank
from resight.synthetic.film import SHADOW
from resight.synthetic.motion import Walk, draw_boxes
from resight.synthetic.paint import Light, gather_scene, paint_hits
from resight.synthetic.people import Person, person_of
from resight.synthetic.raster import cast_rays
from resight.synthetic.scene import Camera, camera
from resight.synthetic.streams import stream
from resight.synthetic.style import Style
from resight.synthetic.view import place

CAMERAS = ("gate", "yard", "door")
"""Names of the cameras, in the order in which people pass them."""

START = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
"""When the first camera begins to record."""

RATE = 8
"""Frames per second."""

ROWS = 240
"""Height of the videos in pixels; they are twice as wide."""

APART = 2.0, 5.0
"""Seconds between two people who come past a camera."""

TRIP = 40.0, 0.15
"""Median of the seconds from one camera to the next, and the standard deviation of its logarithm."""

STYLE = Style("site", wardrobe="campus")
"""Simple streets, and people with detailed clothes."""

_WIDE = 0.62
"""Width of the part of the picture that shows a person, relative to its height."""
_HIGH = 1.2
"""Height of this part, relative to the person."""


@dataclass(frozen=True)
class Visit:
    """A person who walks past a camera.

    Attributes:
        number: Number of the person.
        first: First video frame.
        walk: The walk.
    """

    number: int
    first: int
    walk: Walk


def make_site(out: Path, *, persons: int = 8, seed: int = 0) -> list[Path]:
    """Render a site into a folder: ``gate.mp4``, ``gate.txt`` with its tracks, and so on, and ``cameras.toml``.

    Every person walks past all cameras. Tracks are numbered in each camera in the order of their first frames, as by a
    tracker, so that their ids say nothing about persons; ``truth.csv`` does.

    Args:
        out: Folder; it is created if necessary.
        persons: Number of persons, 1 or more.
        seed: Seed of all random choices.

    Returns:
        The videos.

    Raises:
        DatasetError: If PyAV is not installed.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise DatasetError(f"writing videos needs PyAV ({error}): pip install 'resight[video]'") from error
    out.mkdir(parents=True, exist_ok=True)
    rng = stream(seed, "site")
    come = np.cumsum(rng.uniform(*APART, persons))
    videos, tables, truth = [], [], ["camera,track,person"]
    for number, name in enumerate(CAMERAS, start=1):
        video = out / f"{name}.mp4"
        order = np.argsort(come)
        begin = float(np.floor(come.min() - 1))
        visits = _visits(seed, number, (order + 1).tolist(), (come[order] - begin).tolist())
        started = START + timedelta(seconds=begin)
        video.with_suffix(".txt").write_text("".join(_write_video(video, seed, number, visits)))
        tables.append(
            f'[[camera]]\nname = "{name}"\nvideo = "{name}.mp4"\ntracks = "{name}.txt"\n'
            f"start = {started:%Y-%m-%dT%H:%M:%SZ}\n"
        )
        truth += [f"{name},{track},{visit.number}" for track, visit in enumerate(visits, start=1)]
        videos.append(video)
        come = come + TRIP[0] * np.exp(rng.normal(0, TRIP[1], persons))
    (out / "cameras.toml").write_text("\n".join(tables))
    (out / "truth.csv").write_text("\n".join([*truth, ""]))
    return videos


def _visits(seed: int, number: int, persons: Sequence[int], seconds: Sequence[float]) -> list[Visit]:
    """Return the walks of persons through the picture of a camera, in the order of their beginning."""
    view = camera(seed, number, STYLE)
    visits = []
    for person, begin in zip(persons, seconds, strict=True):
        rng = stream(seed, "visit", number, person)
        who = person_of(seed, person, STYLE)
        distance = view.lane[1] + float(rng.uniform(-0.8, 1.2))
        edge = 0.97 * distance / view.lens.focal
        frames = round(2 * edge / (who.speed * 1.15) * RATE)
        turn = float(rng.uniform(-0.12, 0.12))
        side = float(rng.choice((-1, 1)))
        x = side * np.linspace(-edge, edge, frames)
        ground = np.stack([x, distance + turn * x], 1)
        step = 2 * edge / frames * np.hypot(1, turn)
        phase = rng.uniform(0, 2 * np.pi) + np.arange(frames) * step * 2 * np.pi / (who.stride * who.height)
        heading = np.full(frames, np.arctan2(side, side * turn))
        arrays = (ground, heading, phase, np.ones(frames))
        visits.append(Visit(person, round(begin * RATE), Walk(*(a.astype(np.float32) for a in arrays))))
    return visits


def _write_video(path: Path, seed: int, number: int, visits: Sequence[Visit]) -> list[str]:
    """Write the video of a camera, and return the tracks as lines of MOT Challenge text."""
    import av

    view = camera(seed, number, STYLE)
    count = max(visit.first + len(visit.walk.heading) for visit in visits) + 1
    scene = torch.from_numpy(background(seed, number, ROWS, STYLE)).permute(2, 0, 1)
    pictures = scene.repeat(count, 1, 1, 1)
    lines = []
    # The farthest first: whoever is nearer covers them.
    for track, visit in sorted(enumerate(visits, 1), key=lambda item: -float(item[1].walk.ground[0, 1])):
        who = person_of(seed, visit.number, STYLE)
        boxes = draw_boxes(stream(seed, "box", number, visit.number), view.lens, who, visit.walk.ground)
        _draw(pictures[visit.first : visit.first + len(boxes)], view, who, visit.walk)
        for frame, (left, top, size) in enumerate((boxes * ROWS).tolist(), visit.first + 1):
            lines.append(f"{frame},{track},{left:.1f},{top:.1f},{size / 2:.1f},{size:.1f},1,-1,-1,-1\n")
    grain = stream(seed, "grain", number)
    bank = noise_bank(seed, "cpu")
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.height, video.width, video.pix_fmt, video.bit_rate = ROWS, 2 * ROWS, "yuv420p", 3_000_000
        for picture in pictures:
            pixels = apply_camera(picture[None].clone(), view, (1.0, (1.0, 1.0, 1.0)), bank, grain)[0].numpy()
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
    return lines


def _draw(pictures: Tensor, view: Camera, who: Person, walk: Walk) -> None:
    """Draw a person into the pictures of a camera, in place.

    Args:
        pictures: (N, 3, R, 2R) Pictures.
        view: The camera.
        who: The person.
        walk: Walk over N frames.
    """
    solids = body_solids(who, walk.phase, walk.effort)
    middle = np.stack([walk.ground[:, 0], np.full(len(walk.ground), who.height / 2), walk.ground[:, 1]], 1)
    seen = view.lens.project(middle) * ROWS
    size = float((view.lens.focal * who.height / view.lens.project(middle)[:, 2]).max()) * ROWS
    high = 2 * round(size * _HIGH / 2)
    wide = 2 * round(high * _WIDE / 2)
    left, top = (np.round(seen[:, axis] - length / 2).astype(int) for axis, length in ((0, wide), (1, high)))
    boxes = (np.stack([left, top, np.full(len(left), high)], 1) / ROWS).astype(np.float32)
    shown: NDArray[np.bool_] = np.ones(len(left), bool)
    body = place(solids, walk.ground, walk.heading, view.lens, boxes, high, shown)
    # A border of the size of a part, so that parts may extend beyond the picture.
    around = torch.nn.functional.pad(pictures, (wide, wide, high, high), mode="replicate")
    corners = list(zip((left + wide).tolist(), (top + high).tolist(), strict=True))
    parts = torch.stack([around[n, :, y : y + high, x : x + wide] for n, (x, y) in enumerate(corners)])
    cast_shadow(parts, body.feet, SHADOW * shown)
    cones, paint = gather_scene([body], "cpu")
    paint_hits(parts, cast_rays(cones, high, wide, "cpu"), paint, Light(view.light, view.light_strength, view.ambient))
    for n, (x, y) in enumerate(corners):
        around[n, :, y : y + high, x : x + wide] = parts[n]
    pictures.copy_(around[:, :, high:-high, wide:-wide])
