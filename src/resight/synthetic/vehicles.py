"""Bicycles and scooters: where their riders sit or stand, and their solids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.solids import CANOPY, HARD, METAL, RUBBER, SLANTED, THING, THING_2, Array, SolidsBuilder

_WHEEL = 0.335
_CRANK = 0.17
_TURN = 4.4
"""Metres per turn of the cranks."""


@dataclass(frozen=True, slots=True)
class Ride:
    """Points of a vehicle, in metres; z is ahead of the saddle's post or the middle of the deck, y up.

    Attributes:
        size: Scale of the vehicle, for the height of its rider.
        saddle: y and z of the saddle; for a scooter, of the rider's hip.
        grip: x, y and z of the right handle.
        lean: Forward lean of the rider's trunk in radians.
        turn: (N,) Angle of the wheels in radians.
        pedal: (N,) Angle of the cranks in radians.
    """

    size: float
    saddle: tuple[float, float]
    grip: tuple[float, float, float]
    lean: float
    turn: NDArray[np.floating]
    pedal: NDArray[np.floating]


def bicycle_ride(height: float, distance: NDArray[np.floating], upright: float) -> Ride:
    """Return where the rider of a bicycle is.

    Args:
        height: Height of the rider in metres.
        distance: (N,) Distance ridden in metres.
        upright: From 0 (sporty) to 1 (upright).
    """
    s = float(np.clip(height / 1.75, 0.62, 1.1))
    return Ride(
        s, (0.85 * s, -0.22 * s), (0.26, (0.95 + 0.10 * upright) * s, (0.44 - 0.10 * upright) * s),
        0.60 - 0.42 * upright, distance / (_WHEEL * s), distance * 2 * np.pi / _TURN,
    )  # fmt: skip


def scooter_ride(height: float, distance: NDArray[np.floating]) -> Ride:
    """Return where the rider of a scooter stands. Arguments as for `bicycle_ride`."""
    s = float(np.clip(height / 1.75, 0.7, 1.05))
    return Ride(s, (0.10 + 0.500 * height, -0.10), (0.22, 1.04 * s, 0.36 * s), 0.05, distance / 0.11, 0 * distance)


def pedals(ride: Ride) -> tuple[Array, Array]:
    """Return the (N, 3) positions of the left and the right pedal."""
    both = []
    for sign in (-1.0, 1.0):
        angle = ride.pedal + (np.pi if sign < 0 else 0.0)
        y, z = 0.28 * ride.size + _CRANK * np.cos(angle), _CRANK * np.sin(angle)
        both.append(np.stack([0 * y + sign * 0.10, y, z], 1).astype(np.float32))
    return both[0], both[1]


def add_bicycle(build: SolidsBuilder, ride: Ride, extras: tuple[bool, bool]) -> None:
    """Add a bicycle.

    Args:
        build: Receives the solids.
        ride: The points of the bicycle.
        extras: Whether it has a basket in front, and a rack behind.
    """
    s = ride.size
    one = np.ones((build.frames, 1), np.float32)

    def point(x: float, y: float, z: float) -> Array:
        return one * np.array([[x, y * s, z * s]], np.float32)

    def tube(a: tuple[float, float, float], b: tuple[float, float, float], radius: float, cloth: int = THING) -> None:
        build.add(point(*a), point(*b), (radius, radius), cloth, side=SLANTED, paint=HARD)

    rear, front = (0.0, 0.335, -0.50), (0.0, 0.335, 0.58)
    low, seat, head = (0.0, 0.28, 0.0), (0.0, 0.76, -0.165), (0.0, 0.84, 0.40)
    tube(low, seat, 0.020)
    tube(seat, head, 0.018)
    tube(low, (0.0, 0.76, 0.43), 0.021)
    tube(rear, low, 0.012)
    tube(rear, (0.0, 0.76, -0.165), 0.011)
    tube(front, head, 0.016)
    tube(seat, (0.0, 0.84, -0.19), 0.014, METAL)
    build.add(point(0, 0.845, -0.32), point(0, 0.85, -0.08), (0.070, 0.028), RUBBER, oval=0.5, paint=HARD)
    x, y, z = ride.grip
    tube(head, (0.0, y / s - 0.02, 0.36), 0.014, METAL)
    for sign in (-1.0, 1.0):
        tube((0.0, y / s - 0.02, 0.36), (sign * x * 0.7, y / s, z / s + 0.04), 0.013, METAL)
        tube((sign * x * 0.7, y / s, z / s + 0.04), (sign * (x + 0.04), y / s, z / s - 0.04), 0.017, RUBBER)
    for sign, pedal in zip((-1.0, 1.0), pedals(ride), strict=True):
        inner = pedal.copy()
        inner[:, 0] = sign * 0.06
        build.add(point(sign * 0.06, 0.28, 0), inner, (0.012, 0.010), METAL, side=SLANTED, paint=HARD)
        build.add(
            inner,
            pedal + np.float32(sign * 0.04) * np.eye(3, dtype=np.float32)[0],
            (0.020, 0.020),
            RUBBER,
            side=SLANTED,
            paint=HARD,
        )
    _wheel(build, point(*rear), _WHEEL * s, ride.turn, 14, 3)
    _wheel(build, point(*front), _WHEEL * s, ride.turn, 14, 3)
    for axle in (rear, front):
        for a, b in ((0.5, 1.3), (1.3, 2.1)):
            ends = [(0.0, axle[1] + 0.375 * np.sin(t), axle[2] - 0.375 * np.cos(t)) for t in (a, b)]
            tube(ends[0], ends[1], 0.016)
    basket, rack = extras
    if basket:
        build.add(point(0, 0.94, 0.58), point(0, 0.84, 0.58), (0.13, 0.11), THING_2, oval=0.75, paint=CANOPY)
    if rack:
        build.add(point(0, 0.74, -0.72), point(0, 0.75, -0.26), (0.06, 0.06), METAL, oval=0.2, paint=HARD)


def add_scooter(build: SolidsBuilder, ride: Ride) -> None:
    """Add a kick scooter with small wheels."""
    s = ride.size
    one = np.ones((build.frames, 1), np.float32)

    def point(x: float, y: float, z: float) -> Array:
        return one * np.array([[x, y, z * s]], np.float32)

    x, y, z = ride.grip
    build.add(point(0, 0.13, -0.36), point(0, 0.13, 0.30), (0.075, 0.07), THING, oval=0.35, paint=HARD)
    build.add(point(0, 0.14, 0.36), point(0, 0.30, 0.44), (0.03, 0.03), THING, paint=HARD)
    build.add(point(0, 0.12, 0.46), point(0, y, z / s + 0.03), (0.026, 0.020), THING, paint=HARD)
    build.add(
        point(-x - 0.05, y, z / s + 0.02),
        point(x + 0.05, y, z / s + 0.02),
        (0.017, 0.017),
        RUBBER,
        side=SLANTED,
        paint=HARD,
    )
    for at in (-0.46, 0.46):
        build.add(
            point(0, 0.11, at - 0.002), point(0, 0.11, at + 0.002), (0.108, 0.108), RUBBER, oval=0.28,
            side=(0, 1, 0), paint=HARD,
        )  # fmt: skip


def _wheel(
    build: SolidsBuilder, axle: Array, radius: float, turn: NDArray[np.floating], parts: int, spokes: int
) -> None:
    """Add a wheel: a ring of short tubes, and spokes that turn."""

    def rim(angle: NDArray[np.floating] | float, reach: float) -> Array:
        angle = np.broadcast_to(np.asarray(angle, float), (build.frames,))
        return axle + np.stack([0 * angle, reach * np.cos(angle), reach * np.sin(angle)], 1).astype(np.float32)

    for k in range(parts):
        a, b = (2 * np.pi * (k + d) / parts for d in (0, 1))
        build.add(rim(a, radius - 0.018), rim(b, radius - 0.018), (0.019, 0.019), RUBBER, side=SLANTED, paint=HARD)
    for k in range(spokes):
        angle = turn + np.pi * k / spokes
        build.add(rim(angle, radius), rim(angle + np.pi, radius), (0.005, 0.005), METAL, side=SLANTED, paint=HARD)
    build.add(rim(0.0, 0.01), rim(np.pi, 0.01), (0.03, 0.03), METAL, side=SLANTED, paint=HARD)
