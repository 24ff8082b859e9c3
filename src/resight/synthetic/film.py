"""Render one tracklet: who walks where, which faults occur, and the pixels of every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from resight.synthetic.background import background
from resight.synthetic.body import body_solids
from resight.synthetic.capture import Recording, draw_recording, exposure_of, record
from resight.synthetic.company import Actor, companions, passers_by
from resight.synthetic.development import (
    apply_camera,
    cast_shadow,
    crop_boxes,
    low_resolution,
    motion_blur,
    noise_bank,
    overlay,
    reduce_resolution,
    stretch_middle,
)
from resight.synthetic.faults import Stretch
from resight.synthetic.motion import Walk, apply_box_error, draw_box_error, draw_boxes, draw_walk
from resight.synthetic.obstacles import Obstacle, draw_obstacle
from resight.synthetic.paint import Light, gather_scene, paint_hits
from resight.synthetic.people import Person, person_of
from resight.synthetic.plan import Shot
from resight.synthetic.raster import MOST_CONES, cast_rays
from resight.synthetic.scene import Camera, camera, is_detailed
from resight.synthetic.shadows import ShadowCaster
from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style
from resight.synthetic.view import Placed, place
from resight.synthetic.weather import Weather, weather
from resight.tracklet import JUNK

Array = NDArray[np.float32]

SHADOW = 0.45
"""Darkness of the ground below a person, from 0 to 1."""

IMAGE_ROWS = 3
"""Height of a camera's whole image, in units of the height of a frame."""

DETAILED_ROWS = 2.4
"""The same for detailed places, which are recorded with fewer pixels."""


@dataclass
class _Stage:
    """Everything that happens in front of the camera during a tracklet."""

    camera: Camera
    sky: Weather | None
    actors: list[Actor]
    boxes: Array
    aspect: float
    obstacle: Obstacle | None


def film(
    shot: Shot, seed: int, height: int, width: int, *, style: Style = STREETS, device: str = "cpu", chunk: int = 32
) -> Iterator[NDArray[np.uint8]]:
    """Render a tracklet.

    Args:
        shot: The tracklet.
        seed: Seed of the world.
        height: Height of a frame in pixels.
        width: Width of a frame in pixels, half the height.
        style: Style of the world.
        device: PyTorch device that renders.
        chunk: Number of frames rendered at once. It affects the noise, but nothing else.

    Yields:
        (n, height, width, 3) uint8 frames in order, at most `chunk` at a time.
    """
    stage = _set_stage(shot, seed, style)
    rows = round(DETAILED_ROWS * height) if stage.sky else IMAGE_ROWS * height
    scene = torch.from_numpy(background(seed, shot.place, rows, style)).permute(2, 0, 1).to(device)
    seen = (height, width)
    if style.capture:
        recording = draw_recording(seed, shot.id, shot.place, style, exposure_of(scene))
        seen = recording.rendered(height, width, stage.aspect)
        if seen[0] < 0.6 * height:
            scene = functional.avg_pool2d(scene, 2)
        develop = _recorder(recording, height, width, noise_bank(seed, device))
    else:
        develop = _developer(shot, seed, style, device)
    for first in range(0, shot.frames, chunk):
        part = slice(first, min(first + chunk, shot.frames))
        frames = _render(stage, part, scene, *seen, device)
        for stretch in shot.faults:
            begin, end = max(stretch.start, part.start) - first, min(stretch.stop, part.stop) - first
            if begin < end and stretch.fault == "motion_blur":
                frames[begin:end] = motion_blur(frames[begin:end], stream(seed, "smear", shot.id))
            if begin < end and stretch.fault == "low_resolution":
                frames[begin:end] = low_resolution(frames[begin:end], stream(seed, "few pixels", shot.id))
        yield develop(frames, stage.boxes[part], stream(seed, "noise", shot.id, first))


_Develop = Callable[[Tensor, Array, np.random.Generator], NDArray[np.uint8]]


def _developer(shot: Shot, seed: int, style: Style, device: str) -> _Develop:
    """Return a function that applies a simple camera to frames."""
    cam = camera(seed, shot.place, style)
    tint = stream(seed, "tint", shot.id)
    variation = 2.0 if style.light else 1.0
    light = (
        1 + variation * (float(tint.uniform(0.88, 1.12)) - 1),
        tuple(1 + variation * (float(gain) - 1) for gain in tint.uniform(0.96, 1.04, 3)),
    )
    box_width = float(stream(seed, "shape", shot.id).uniform(0.75, 1.0)) if style.shake > 1 else 1.0

    def develop(frames: Tensor, boxes: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
        if box_width < 1:
            frames = stretch_middle(frames, box_width)
        if cam.rows < 1:
            frames = reduce_resolution(frames, cam.rows)
        return apply_camera(frames, cam, light, noise_bank(seed, device), rng).cpu().numpy()

    return develop


def _recorder(recording: Recording, height: int, width: int, bank: Tensor) -> _Develop:
    """Return a function that applies a surveillance camera to frames, and enlarges them."""

    def develop(frames: Tensor, boxes: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
        return record(frames, recording, height, width, boxes, bank, rng)

    return develop


def _set_stage(shot: Shot, seed: int, style: Style) -> _Stage:
    """Draw everything that happens in front of the camera during a tracklet."""
    rng = stream(seed, "stage", shot.id)
    view = camera(seed, shot.place, style)
    n = shot.frames
    main = person_of(seed, shot.person, style, shot.id)
    walk = draw_walk(rng, view, main, n)
    boxes = draw_boxes(rng, view.lens, main, walk.ground, style.shake)
    error = draw_box_error(seed, shot.id, style)
    if style.box_errors:
        boxes = apply_box_error(boxes, error)
    present = np.ones(n, bool)
    actors = [Actor(main, walk, present)]
    obstacle = None
    for stretch in shot.faults:
        span = slice(stretch.start, stretch.stop)
        if stretch.fault == "empty":
            present[span] = False
            # The box stays where the person was lost.
            boxes[span] = boxes[stretch.start]
        elif stretch.fault == "bad_crop":
            boxes[span] = _partial_boxes(rng, boxes[span])
        elif stretch.fault == "switched":
            present[span] = False
            switched = np.zeros(n, bool)
            switched[span] = True
            other = person_of(seed, shot.other, style, shot.id)
            heading = walk.heading + (np.pi if rng.random() < 0.4 else 0.0)
            phase = walk.phase * (main.stride * main.height) / (other.stride * other.height) + rng.uniform(0, 6)
            boxes[span, 2] *= other.height / main.height
            actors.append(Actor(other, replace(walk, heading=heading, phase=phase), switched))
        elif stretch.fault == "occluded_by_person":
            actors.append(_occluding_actor(rng, person_of(seed, shot.other, style, shot.id), walk, stretch))
        elif stretch.fault == "occluded_by_object":
            obstacle = draw_obstacle(rng, n, stretch.start, stretch.stop)
    if shot.listed == JUNK:
        _make_junk(rng, present, boxes)
    actors += companions(shot, seed, style, main, walk) + passers_by(shot, seed, style, walk)
    if not style.passing and rng.random() < 0.35:
        passer_by = person_of(seed, -int(rng.integers(1, 1 << 30)), style, shot.id)
        passing = draw_walk(rng, view, passer_by, n)
        shift = np.array([rng.uniform(-1, 1), rng.uniform(2.2, 3.4)], np.float32)
        actors.append(Actor(passer_by, replace(passing, ground=passing.ground + shift), np.ones(n, bool)))
    sky = weather(seed, shot.place, style) if is_detailed(seed, shot.place, style) else None
    return _Stage(view, sky, actors, boxes, error.aspect, obstacle)


def _partial_boxes(rng: np.random.Generator, boxes: Array) -> Array:
    """Return boxes that contain only part of the person: shifted sideways or vertically, or around one part."""
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


def _make_junk(rng: np.random.Generator, present: NDArray[np.bool_], boxes: Array) -> None:
    """Turn a tracklet into junk, in place: nobody in the box, or a part of a person too small to recognise them."""
    if rng.random() < 0.6:
        present[:] = False
        boxes[:] = boxes[0]
        boxes[:, 2] *= rng.uniform(0.6, 1.3)
        boxes[:, 0] = np.clip(boxes[:, 0] + rng.uniform(-0.5, 0.5), 0, 2 - boxes[0, 2] / 2)
        boxes[:, 1] = np.clip(boxes[:, 1] + rng.uniform(-0.25, 0.25), 0, max(1 - boxes[0, 2], 0))
    else:
        boxes[:] = _partial_boxes(rng, _partial_boxes(rng, boxes))


def _occluding_actor(rng: np.random.Generator, other: Person, walk: Walk, stretch: Stretch) -> Actor:
    """Return a person nearer to the camera who covers the other during the stretch, and is beside them otherwise."""
    n = len(walk.heading)
    t = np.arange(n)
    outside = np.where(t < stretch.start, t - stretch.start, np.where(t >= stretch.stop, t - stretch.stop + 1, 0))
    within = np.clip((t - stretch.start) / max(stretch.stop - stretch.start - 1, 1), 0, 1) - 0.5
    direction = rng.choice((-1.0, 1.0))
    aside = direction * (0.34 * outside + rng.uniform(0.1, 0.45) * within) + rng.uniform(-0.06, 0.06)
    bearing = walk.ground / np.linalg.norm(walk.ground, axis=1, keepdims=True)
    across = np.stack([bearing[:, 1], -bearing[:, 0]], 1)
    ground = walk.ground - bearing * rng.uniform(0.55, 0.8) + across * aside[:, None]
    heading = np.full(n, direction * np.pi / 2) + rng.normal(0, 0.3)
    phase = rng.uniform(0, 6) + t * 0.55
    near = np.abs(outside) < 8
    return Actor(other, Walk(*(a.astype(np.float32) for a in (ground, heading, phase, np.ones(n)))), near)


def _render(stage: _Stage, part: slice, scene: Tensor, height: int, width: int, device: str) -> Tensor:
    """Return the (n, 3, height, width) frames of part of a tracklet, from 0 to 1, before `apply_camera`."""
    view, boxes = stage.camera, stage.boxes[part]
    frames = crop_boxes(scene, torch.from_numpy(boxes).to(device), height, width)
    caster = ShadowCaster(view, stage.sky, boxes, height, width) if stage.sky else None
    placed: list[Placed] = []
    bodies = []
    for actor in stage.actors:
        shown = actor.shown[part]
        if shown.any():
            walk = actor.walk
            ground, heading = walk.ground[part], walk.heading[part]
            solids = body_solids(actor.person, walk.phase[part], walk.effort[part])
            bodies.append((solids, ground, heading, shown))
            placed.append(place(solids, ground, heading, view.lens, boxes, height, shown))
    if caster is not None and caster.sky.sharpness > 0:
        frames *= caster.on_ground(bodies).to(device)
    for body in placed:
        cast_shadow(frames, body.feet, SHADOW * body.shown)
    light = Light(view.light, view.light_strength, view.ambient)
    for bodies_at_once in _passes(placed):
        cones, paint = gather_scene(bodies_at_once, device)
        hits = cast_rays(cones, height, width, device)
        paint_hits(frames, hits, paint, light)
        if caster is not None and (caster.sky.edge or caster.sky.dapple):
            shade = caster.on_person(stage.actors[0].walk.ground[part]).to(device)
            frames *= torch.where(hits.cone[:, None] >= 0, shade, 1.0)
    if stage.obstacle is not None:
        overlay(frames, stage.obstacle, part)
    return frames


def _passes(placed: list[Placed]) -> Iterator[list[Placed]]:
    """Yield the bodies in groups that can be cast at once, the farthest first if there are several groups."""
    if sum(body.length.shape[1] for body in placed) > MOST_CONES:
        placed = sorted(placed, key=lambda body: -float(body.origin[..., 2].mean()))
    group: list[Placed] = []
    for body in placed:
        if group and sum(b.length.shape[1] for b in (*group, body)) > MOST_CONES:
            yield group
            group = []
        group.append(body)
    if group:
        yield group
