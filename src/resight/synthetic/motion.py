"""How people walk through a camera's view, and how a tracker's box follows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.people import Person
from resight.synthetic.scene import Camera
from resight.synthetic.view import Lens

Array = NDArray[np.float32]

FRAMES_PER_SECOND = 12.0


@dataclass
class Walk:
    """A person's way over N frames.

    Attributes:
        ground: (N, 2) X and Z, metres.
        heading: (N,) radians; 0 walks away from the camera, π/2 to the right.
        phase: (N,) of the gait, radians.
        effort: (N,) 0 standing … 1 walking.
    """

    ground: Array
    heading: Array
    phase: Array
    effort: Array


def draw_walk(rng: np.random.Generator, camera: Camera, person: Person, frames: int) -> Walk:
    """Walk some way along the camera's loop: a long narrow ellipse, entered anywhere, in either direction."""
    long, narrow = camera.lane_size[0] * rng.uniform(0.8, 1.05), camera.lane_size[1] * rng.uniform(0.5, 1.5)
    turn = camera.lane_heading + rng.normal(0, 0.12)
    # A quarter of the entries are anywhere; the others begin a straight side, so that U-turns stay rare.
    begin = rng.uniform(0, 2 * np.pi) if rng.random() < 0.25 else rng.choice((0.5, 0.5 + np.pi)) + rng.normal(0, 0.25)
    sense = rng.choice((-1.0, 1.0))
    pace = person.speed * rng.uniform(0.85, 1.15) * (0.12 if rng.random() < 0.06 else 1.0)
    way = np.arange(frames) * pace / FRAMES_PER_SECOND
    round_trip = 2 * np.pi * np.sqrt((long**2 + narrow**2) / 2)
    t = begin + sense * np.linspace(0, 2 * np.pi * (way[-1] / round_trip * 1.6 + 0.1), 64 + 4 * frames)
    along, across = long * np.cos(t), narrow * np.sin(t)
    s, c = np.sin(turn), np.cos(turn)
    curve = np.stack([camera.lane[0] + along * s + across * c, camera.lane[1] + along * c - across * s], 1)
    measure = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    ground = np.stack([np.interp(way, measure, curve[:, i]) for i in (0, 1)], 1)
    ahead = np.stack([np.interp(way + 0.12, measure, curve[:, i]) for i in (0, 1)], 1)
    behind = np.stack([np.interp(way - 0.12, measure, curve[:, i]) for i in (0, 1)], 1)
    step = ahead - behind
    heading = np.unwrap(np.arctan2(step[:, 0], step[:, 1]))
    phase = rng.uniform(0, 2 * np.pi) + way * 2 * np.pi / (person.stride * person.height)
    effort = np.full(frames, 0.25 if pace < 0.4 else 1.0)
    return Walk(*(a.astype(np.float32) for a in (ground, heading, phase, effort)))


def follow(rng: np.random.Generator, lens: Lens, person: Person, ground: Array, shaken: float = 1.0) -> Array:
    """Boxes of an imperfect tracker: (N, 3) left, top and height, in heights of the camera's picture.

    A box is half as wide as high, a little larger than the person, and shakes from frame to frame, `shaken` times as
    much as in the streets.
    """
    n = len(ground)
    feet = np.stack([ground[:, 0], np.zeros(n), ground[:, 1]], 1)
    low, high = lens.project(feet), lens.project(feet + np.array([0, 1.01 * person.height, 0]))
    tall = low[:, 1] - high[:, 1]
    shake = np.zeros((n, 3))
    kick = rng.normal(0, 1, (n, 3)) * np.array([0.012, 0.010, 0.012])
    state = rng.normal(0, 1, 3) * np.array([0.022, 0.018, 0.03])
    bias = rng.normal(0, 1, 3) * np.array([0.012, 0.012, 0.03])
    for i in range(n):
        state = 0.85 * state + kick[i]
        shake[i] = shaken * (state + bias)
    height = tall * (1.10 + shake[:, 2])
    centre_x = (low[:, 0] + high[:, 0]) / 2 + shake[:, 0] * tall
    centre_y = (low[:, 1] + high[:, 1]) / 2 + shake[:, 1] * tall
    return np.stack([centre_x - height / 4, centre_y - height / 2, height], 1).astype(np.float32)
