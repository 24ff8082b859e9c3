"""One tracklet on film: who walks where, what goes wrong, and the pixels of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.synthetic.body import body_solids
from resight.synthetic.development import (
    cast_shadow,
    develop,
    low_resolution,
    motion_blur,
    narrowed,
    noise_bank,
    of_few_pixels,
    overlay,
    window_of,
)
from resight.synthetic.faults import Stretch
from resight.synthetic.motion import Walk, draw_walk, follow
from resight.synthetic.obstacles import Obstacle, draw_obstacle
from resight.synthetic.paint import Light, gather_scene, paint_hits
from resight.synthetic.people import Person, person_of
from resight.synthetic.plan import Shot
from resight.synthetic.raster import cast_rays
from resight.synthetic.scene import Camera, camera, picture
from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style
from resight.synthetic.view import Placed, place
from resight.tracklet import JUNK

Array = NDArray[np.float32]

SHADOW = 0.45
"""How much darker the ground is under a person."""

PICTURE_ROWS = 3
"""Height of a camera's whole picture, in heights of a frame."""


@dataclass
class _Actor:
    person: Person
    walk: Walk
    shown: NDArray[np.bool_]


@dataclass
class _Stage:
    camera: Camera
    actors: list[_Actor]
    boxes: Array
    obstacle: Obstacle | None


def film(
    shot: Shot, seed: int, height: int, width: int, *, style: Style = STREETS, device: str = "cpu", chunk: int = 32
) -> Iterator[NDArray[np.uint8]]:
    """Film a tracklet.

    Args:
        shot: what to film.
        seed: of the world.
        height: of a frame, pixels.
        width: half the height.
        style: of the world.
        device: where to render.
        chunk: frames rendered at once; does not change the people, but the noise.

    Yields:
        (n, height, width, 3) uint8, up to `chunk` frames at a time, in order.
    """
    stage = _set_stage(shot, seed, style)
    grain = noise_bank(seed, device)
    tint = stream(seed, "tint", shot.id)
    far = 2.0 if style.light else 1.0
    mood = (
        1 + far * (float(tint.uniform(0.88, 1.12)) - 1),
        tuple(1 + far * (float(g) - 1) for g in tint.uniform(0.96, 1.04, 3)),
    )
    behind = torch.from_numpy(picture(seed, shot.place, PICTURE_ROWS * height, style)).permute(2, 0, 1).to(device)
    shape = float(stream(seed, "shape", shot.id).uniform(0.75, 1.0)) if style.shake > 1 else 1.0
    for first in range(0, shot.frames, chunk):
        part = slice(first, min(first + chunk, shot.frames))
        frames = _render(stage, part, behind, height, width, device)
        for stretch in shot.faults:
            begin, end = max(stretch.start, part.start) - first, min(stretch.stop, part.stop) - first
            if begin < end and stretch.fault == "motion_blur":
                frames[begin:end] = motion_blur(frames[begin:end], stream(seed, "smear", shot.id))
            if begin < end and stretch.fault == "low_resolution":
                frames[begin:end] = low_resolution(frames[begin:end], stream(seed, "few pixels", shot.id))
        if shape < 1:
            frames = narrowed(frames, shape)
        if stage.camera.rows < 1:
            frames = of_few_pixels(frames, stage.camera.rows)
        yield develop(frames, stage.camera, mood, grain, stream(seed, "noise", shot.id, first)).cpu().numpy()


def _set_stage(shot: Shot, seed: int, style: Style) -> _Stage:
    """Decide on everything that happens in front of the camera."""
    rng = stream(seed, "stage", shot.id)
    view = camera(seed, shot.place, style)
    n = shot.frames
    main = person_of(seed, shot.person, style)
    walk = draw_walk(rng, view, main, n)
    boxes = follow(rng, view.lens, main, walk.ground, style.shake)
    present = np.ones(n, bool)
    actors = [_Actor(main, walk, present)]
    obstacle = None
    for stretch in shot.faults:
        span = slice(stretch.start, stretch.stop)
        if stretch.fault == "empty":
            present[span] = False
            # The box stays where it was lost, and beside everybody.
            boxes[span] = boxes[stretch.start]
        elif stretch.fault == "bad_crop":
            boxes[span] = _off(rng, boxes[span])
        elif stretch.fault == "switched":
            present[span] = False
            taken = np.zeros(n, bool)
            taken[span] = True
            other = person_of(seed, shot.other, style)
            turned = walk.heading + (np.pi if rng.random() < 0.4 else 0.0)
            phase = walk.phase * (main.stride * main.height) / (other.stride * other.height) + rng.uniform(0, 6)
            boxes[span, 2] *= other.height / main.height
            actors.append(_Actor(other, replace(walk, heading=turned, phase=phase), taken))
        elif stretch.fault == "occluded_by_person":
            actors.append(_passer_by(rng, person_of(seed, shot.other, style), walk, stretch))
        elif stretch.fault == "occluded_by_object":
            obstacle = draw_obstacle(rng, n, stretch.start, stretch.stop)
    if shot.listed == JUNK:
        _spoil(rng, present, boxes)
    if rng.random() < 0.35:
        far = person_of(seed, -int(rng.integers(1, 1 << 30)), style)
        way = draw_walk(rng, view, far, n)
        shift = np.array([rng.uniform(-1, 1), rng.uniform(2.2, 3.4)], np.float32)
        actors.append(_Actor(far, replace(way, ground=way.ground + shift), np.ones(n, bool)))
    return _Stage(view, actors, boxes, obstacle)


def _off(rng: np.random.Generator, boxes: Array) -> Array:
    """Boxes that hold only part of the person: moved aside, up or down, or drawn round a part."""
    out = boxes.copy()
    kind = rng.integers(3)
    if kind == 0:
        out[:, 0] += rng.choice((-1, 1)) * rng.uniform(0.22, 0.32) * boxes[:, 2]
        out[:, 1] += rng.uniform(-0.1, 0.1) * boxes[:, 2]
    elif kind == 1:
        out[:, 1] += rng.choice((-1, 1)) * rng.uniform(0.42, 0.60) * boxes[:, 2]
    else:
        part = rng.uniform(0.36, 0.48)
        out[:, 2] *= part
        out[:, 0] += boxes[:, 2] * (0.25 - part / 4) + rng.uniform(-0.06, 0.06) * boxes[:, 2]
        out[:, 1] += boxes[:, 2] * rng.uniform(0.0, 1.0 - part)
    return out


def _spoil(rng: np.random.Generator, present: NDArray[np.bool_], boxes: Array) -> None:
    """Make the tracklet junk: nobody in the box, or a piece of somebody too small to be known by."""
    if rng.random() < 0.6:
        present[:] = False
        boxes[:] = boxes[0]
        boxes[:, 2] *= rng.uniform(0.6, 1.3)
        boxes[:, 0] = np.clip(boxes[:, 0] + rng.uniform(-0.5, 0.5), 0, 2 - boxes[0, 2] / 2)
        boxes[:, 1] = np.clip(boxes[:, 1] + rng.uniform(-0.25, 0.25), 0, max(1 - boxes[0, 2], 0))
    else:
        boxes[:] = _off(rng, _off(rng, boxes))


def _passer_by(rng: np.random.Generator, other: Person, walk: Walk, stretch: Stretch) -> _Actor:
    """Somebody nearer to the camera who covers the person during the stretch and walks off before and after."""
    n = len(walk.heading)
    t = np.arange(n)
    outside = np.where(t < stretch.start, t - stretch.start, np.where(t >= stretch.stop, t - stretch.stop + 1, 0))
    within = np.clip((t - stretch.start) / max(stretch.stop - stretch.start - 1, 1), 0, 1) - 0.5
    sense = rng.choice((-1.0, 1.0))
    aside = sense * (0.34 * outside + rng.uniform(0.1, 0.45) * within) + rng.uniform(-0.06, 0.06)
    bearing = walk.ground / np.linalg.norm(walk.ground, axis=1, keepdims=True)
    across = np.stack([bearing[:, 1], -bearing[:, 0]], 1)
    ground = walk.ground - bearing * rng.uniform(0.55, 0.8) + across * aside[:, None]
    heading = np.full(n, sense * np.pi / 2) + rng.normal(0, 0.3)
    phase = rng.uniform(0, 6) + t * 0.55
    near = np.abs(outside) < 8
    return _Actor(other, Walk(*(a.astype(np.float32) for a in (ground, heading, phase, np.ones(n)))), near)


def _render(stage: _Stage, part: slice, behind: Tensor, height: int, width: int, device: str) -> Tensor:
    """Frames of one part of the tracklet, (n, 3, height, width) in 0 … 1, before the camera's own colours."""
    view, boxes = stage.camera, stage.boxes[part]
    frames = window_of(behind, torch.from_numpy(boxes).to(device), height, width)
    placed: list[Placed] = []
    for actor in stage.actors:
        if actor.shown[part].any():
            walk = actor.walk
            solids = body_solids(actor.person, walk.phase[part], walk.effort[part])
            placed.append(
                place(solids, walk.ground[part], walk.heading[part], view.lens, boxes, height, actor.shown[part])
            )
    for body in placed:
        cast_shadow(frames, body.feet, SHADOW * body.shown)
    if placed:
        cones, paint = gather_scene(placed, device)
        hits = cast_rays(cones, height, width, device)
        paint_hits(frames, hits, paint, Light(view.light, view.light_strength, view.ambient))
    if stage.obstacle is not None:
        overlay(frames, stage.obstacle, part)
    return frames
