"""Draw how a person walks through a camera's view, and the tracker's boxes around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.people import Person
from resight.synthetic.scene import Camera
from resight.synthetic.streams import stream
from resight.synthetic.style import Style
from resight.synthetic.view import Lens

Array = NDArray[np.float32]

FRAMES_PER_SECOND = 12.0


@dataclass
class Walk:
    """Motion of a person over N frames.

    Attributes:
        ground: (N, 2) Position on the ground, X and Z in metres.
        heading: (N,) Direction in radians; 0 is away from the camera, π/2 to the right.
        phase: (N,) Phase of the gait in radians.
        effort: (N,) From 0 (standing) to 1 (walking).
    """

    ground: Array
    heading: Array
    phase: Array
    effort: Array


def draw_walk(rng: np.random.Generator, camera: Camera, person: Person, frames: int) -> Walk:
    """Draw a walk along part of the camera's loop, a long narrow ellipse, in either direction.

    Args:
        rng: Random number generator.
        camera: The camera, which defines the loop.
        person: Person who walks.
        frames: Number of frames.
    """
    long, narrow = camera.lane_size[0] * rng.uniform(0.8, 1.05), camera.lane_size[1] * rng.uniform(0.5, 1.5)
    turn = camera.lane_heading + rng.normal(0, 0.12)
    # A quarter of the walks begin anywhere; the others begin at a straight side, so that U-turns are rare.
    begin = rng.uniform(0, 2 * np.pi) if rng.random() < 0.25 else rng.choice((0.5, 0.5 + np.pi)) + rng.normal(0, 0.25)
    direction = rng.choice((-1.0, 1.0))
    pace = person.speed * rng.uniform(0.85, 1.15) * (0.12 if rng.random() < 0.06 else 1.0)
    distance = np.arange(frames) * pace / FRAMES_PER_SECOND
    circumference = 2 * np.pi * np.sqrt((long**2 + narrow**2) / 2)
    t = begin + direction * np.linspace(0, 2 * np.pi * (distance[-1] / circumference * 1.6 + 0.1), 64 + 4 * frames)
    along, across = long * np.cos(t), narrow * np.sin(t)
    s, c = np.sin(turn), np.cos(turn)
    curve = np.stack([camera.lane[0] + along * s + across * c, camera.lane[1] + along * c - across * s], 1)
    arc_length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    ground = np.stack([np.interp(distance, arc_length, curve[:, i]) for i in (0, 1)], 1)
    ahead = np.stack([np.interp(distance + 0.12, arc_length, curve[:, i]) for i in (0, 1)], 1)
    behind = np.stack([np.interp(distance - 0.12, arc_length, curve[:, i]) for i in (0, 1)], 1)
    step = ahead - behind
    heading = np.unwrap(np.arctan2(step[:, 0], step[:, 1]))
    phase = rng.uniform(0, 2 * np.pi) + distance * 2 * np.pi / (person.stride * person.height)
    effort = np.full(frames, 0.25 if pace < 0.4 else 1.0)
    return Walk(*(a.astype(np.float32) for a in (ground, heading, phase, effort)))


def draw_boxes(rng: np.random.Generator, lens: Lens, person: Person, ground: Array, shake: float = 1.0) -> Array:
    """Draw the boxes of an imperfect tracker.

    A box is half as wide as high, slightly larger than the person, and jitters from frame to frame.

    Args:
        rng: Random number generator.
        lens: Lens of the camera.
        person: Person in the boxes.
        ground: (N, 2) Position of the person, X and Z in metres.
        shake: Factor on the jitter.

    Returns:
        (N, 3) Left, top and height, in units of the image height.
    """
    n = len(ground)
    feet = np.stack([ground[:, 0], np.zeros(n), ground[:, 1]], 1)
    low, high = lens.project(feet), lens.project(feet + np.array([0, 1.01 * person.height, 0]))
    size = low[:, 1] - high[:, 1]
    error = np.zeros((n, 3))
    kick = rng.normal(0, 1, (n, 3)) * np.array([0.012, 0.010, 0.012])
    state = rng.normal(0, 1, 3) * np.array([0.022, 0.018, 0.03])
    bias = rng.normal(0, 1, 3) * np.array([0.012, 0.012, 0.03])
    for i in range(n):
        state = 0.85 * state + kick[i]
        error[i] = shake * (state + bias)
    height = size * (1.10 + error[:, 2])
    centre_x = (low[:, 0] + high[:, 0]) / 2 + error[:, 0] * size
    centre_y = (low[:, 1] + high[:, 1]) / 2 + error[:, 1] * size
    return np.stack([centre_x - height / 4, centre_y - height / 2, height], 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class BoxError:
    """Deviation of a detector's boxes from the person, the same throughout a tracklet. Lengths are relative to the box.

    Attributes:
        size: Factor on the height.
        aside: Shift to the right, relative to the height of the correct box.
        down: Shift down, relative to the height of the correct box.
        aspect: Factor on the ratio of width to height.
    """

    size: float
    aside: float
    down: float
    aspect: float


def draw_box_error(seed: int, name: str, style: Style) -> BoxError:
    """Draw the error of the boxes of a tracklet: small, or in `Style.box_errors` of the tracklets noticeable.

    Args:
        seed: Seed of the world.
        name: Id of the tracklet.
        style: Style of the world.
    """
    rng = stream(seed, "box error", name)
    if not style.box_errors:
        return BoxError(1.0, 0.0, 0.0, 1.0)
    size, aside, down, aspect = 1.0, 0.0, 0.0, float(np.exp(rng.normal(-0.06, 0.10)))
    wrong, kind = rng.random(), rng.random()
    if wrong >= style.box_errors:
        return BoxError(size, aside, down, aspect)
    if kind < 0.42:
        # Too large, with the person more often in the lower half.
        size = 1 + float(rng.beta(1.2, 1.8))
        aside = float(rng.uniform(-1, 1)) * 0.25 * (size - 1)
        down = float(rng.uniform(-1, 1) if rng.random() < 0.5 else rng.uniform(-1, -0.3)) * 0.5 * (size - 1)
    elif kind < 0.64:
        # Too small: without the legs, without the head, or without one side.
        size = float(rng.uniform(0.55, 0.88))
        part = rng.random()
        down = (size - 1) / 2 if part < 0.55 else (1 - size) / 2 if part < 0.75 else 0.0
        aside = float(rng.choice((-1, 1)) * rng.uniform(0.06, 0.14)) if part >= 0.75 else 0.0
    elif kind < 0.84:
        aside, down = float(rng.choice((-1, 1)) * rng.uniform(0.06, 0.19)), float(rng.uniform(-0.14, 0.14))
    else:
        aspect = float(rng.uniform(0.65, 0.82) if rng.random() < 0.5 else rng.uniform(1.2, 1.55))
    return BoxError(size, aside, down, aspect)


def apply_box_error(boxes: Array, error: BoxError) -> Array:
    """Return boxes with an error.

    Args:
        boxes: (N, 3) Left, top and height in units of the image height; boxes are half as wide as high.
        error: The error.

    Returns:
        (N, 3) Left, top and height; boxes are half of the height times ``error.aspect`` wide.
    """
    size = boxes[:, 2]
    centre_x = boxes[:, 0] + size / 4 + error.aside * size
    centre_y = boxes[:, 1] + size / 2 + error.down * size
    height = size * error.size
    return np.stack([centre_x - height * error.aspect / 4, centre_y - height / 2, height], 1).astype(np.float32)
