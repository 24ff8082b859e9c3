"""Draw the other persons of a tracklet: those who walk along, and those who pass by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.motion import FRAMES_PER_SECOND, Walk
from resight.synthetic.people import Person, person_of
from resight.synthetic.plan import Shot
from resight.synthetic.streams import stream
from resight.synthetic.style import Style

SAME_BLOCK = 0.4
"""Probability that a companion has a number next to the person's, and so may wear the same uniform."""


@dataclass
class Actor:
    """A person in view, with their motion and the frames in which they are present."""

    person: Person
    walk: Walk
    shown: NDArray[np.bool_]


def companions(shot: Shot, seed: int, style: Style, main: Person, walk: Walk) -> list[Actor]:
    """Draw one to four persons who walk along beside, behind or in front of a person, in `Style.groups` of tracklets.

    Args:
        shot: The tracklet.
        seed: Seed of the world.
        style: Style of the world.
        main: The person.
        walk: Motion of the person.
    """
    rng = stream(seed, "companions", shot.id)
    if rng.random() >= style.groups or main.rides:
        return []
    others = []
    side = rng.choice((-1.0, 1.0))
    for k in range(1 + int(rng.choice(4, p=(0.6, 0.25, 0.1, 0.05)))):
        number = -int(rng.integers(1, 1 << 30))
        if shot.person > 0 and rng.random() < SAME_BLOCK:
            block = shot.person // 4 * 4
            number = block + (shot.person - block + 1 + k) % 4 or number
        other = person_of(seed, number, style, shot.id)
        if other.rides:
            other = person_of(seed, number, style)
        # The first walks beside the person, the others beside, behind or in front.
        aside = side * (1 if k % 2 == 0 else -1) * rng.uniform(0.36, 0.75) * (1 + 0.5 * (k // 2))
        ahead = rng.normal(0, 0.18) if k < 2 and rng.random() < 0.7 else rng.choice((-1, 1)) * rng.uniform(0.5, 1.3)
        c, s = np.cos(walk.heading), np.sin(walk.heading)
        shift = np.stack([c * aside + s * ahead, -s * aside + c * ahead], 1)
        phase = walk.phase * (main.stride * main.height) / (other.stride * other.height) + rng.uniform(0, 6)
        along = replace(walk, ground=(walk.ground + shift).astype(np.float32), phase=phase.astype(np.float32))
        others.append(Actor(other, along, np.ones(len(c), bool)))
    return others


def passers_by(shot: Shot, seed: int, style: Style, walk: Walk) -> list[Actor]:
    """Draw one to three persons who pass behind a person or at the edge of the box, in `Style.passing` of tracklets."""
    rng = stream(seed, "passing", shot.id)
    if rng.random() >= style.passing:
        return []
    return [_passer_by(rng, shot, seed, style, walk) for _ in range(1 + int(rng.choice(3, p=(0.6, 0.3, 0.1))))]


def _passer_by(rng: np.random.Generator, shot: Shot, seed: int, style: Style, walk: Walk) -> Actor:
    """Draw a person who walks straight on past another."""
    person = person_of(seed, -int(rng.integers(1, 1 << 30)), style, shot.id)
    n = len(walk.heading)
    middle = walk.ground[n // 2]
    bearing = middle / max(float(np.linalg.norm(middle)), 0.1)
    across = np.array([bearing[1], -bearing[0]])
    if rng.random() < 0.5:
        aside, behind = rng.choice((-1, 1)) * rng.uniform(0.4, 0.8), rng.uniform(-0.6, 1.2)
    else:
        aside, behind = rng.uniform(-1.0, 1.0), rng.uniform(1.2, 6.0)
    heading = float(walk.heading[n // 2]) if rng.random() < 0.4 else float(rng.uniform(0, 2 * np.pi))
    pace = person.speed if rng.random() < 0.75 else 0.0
    distance = (np.arange(n) - n / 2) * pace / FRAMES_PER_SECOND
    step = np.array([np.sin(heading), np.cos(heading)])
    ground = middle + aside * across + behind * bearing + distance[:, None] * step
    phase = rng.uniform(0, 6) + distance * 2 * np.pi / (person.stride * person.height)
    effort = np.full(n, 1.0 if pace else 0.15)
    arrays = (a.astype(np.float32) for a in (ground, np.full(n, heading), phase, effort))
    # Nobody walks through the camera.
    return Actor(person, Walk(*arrays), np.linalg.norm(ground, axis=1) > 2.0)
