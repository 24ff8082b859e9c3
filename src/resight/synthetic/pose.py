"""Pose a detailed figure: where its joints are in each frame, on foot or on a vehicle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.people import Person
from resight.synthetic.solids import Array
from resight.synthetic.streams import stream
from resight.synthetic.vehicles import Ride, bicycle_ride, pedals, scooter_ride

THIGH, SHIN = 0.240, 0.242
UPPER_ARM, FOREARM, HAND = 0.168, 0.142, 0.058
"""Lengths relative to the height of an adult."""
_HIP = 0.525


@dataclass
class Pose:
    """Joints of a body over N frames, in metres; see `resight.synthetic.solids.Solids` for the axes.

    Attributes:
        h: Height that an adult of the same proportions would have.
        trunk: Returns (N, 3) points of the trunk, given as fractions of `h`: to the side, up and ahead.
        head: Returns (N, 3) points of the head, in the same fractions; it turns and nods.
        facing: (N, 3) Direction from the left to the right ear.
        legs: Hip, knee, ankle, heel and toe of both legs, (N, 3) each.
        arms: Shoulder, elbow, wrist and finger tips of both arms, (N, 3) each.
        ride: The vehicle.
        hem: (N, 3) Displacement of the lower edge of skirts and coats.
    """

    h: float
    trunk: Callable[[float, float, float], Array]
    head: Callable[[float, float, float], Array]
    facing: Array
    legs: list[tuple[Array, Array, Array, Array, Array]]
    arms: list[tuple[Array, Array, Array, Array]]
    ride: Ride | None
    hem: Array


def bend(
    root: Array, target: Array, lengths: tuple[float, float], pole: tuple[float, float, float]
) -> tuple[Array, Array]:
    """Return the (N, 3) middle and end joints of a limb of two bones that reaches for a target.

    Args:
        root: (N, 3) First joint.
        target: (N, 3) Where the end should be; it is nearer if the limb is too short.
        lengths: Lengths of the bones in metres.
        pole: Direction towards which the middle joint bends.
    """
    a, b = lengths
    way = target - root
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    direction = way / np.maximum(distance, 1e-6)
    distance = np.clip(distance, abs(a - b) + 1e-3, 0.998 * (a + b))
    along = (a * a - b * b + distance * distance) / (2 * distance)
    out = np.array(pole) - (direction @ np.array(pole))[:, None] * direction
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    middle = root + direction * along + out * np.sqrt(np.maximum(a * a - along * along, 0))
    return middle.astype(np.float32), (root + direction * distance).astype(np.float32)


def pose_person(person: Person, phase: NDArray[np.floating], effort: NDArray[np.floating]) -> Pose:
    """Return the pose of a person with a look. Arguments as for `resight.synthetic.body.body_solids`."""
    look, thing = person.look, person.thing
    assert look is not None
    n = len(phase)
    zero = np.zeros(n)
    h = person.height / (0.868 + 0.132 * look.head)
    habits = stream(person.number & 0xFFFF, "habits")
    rng = stream(person.number & 0xFFFF, "pose", thing.kind if thing else "", round(1000 * thing.form) if thing else 0)

    def at(x: NDArray[np.floating] | float, y: NDArray[np.floating] | float, z: NDArray[np.floating] | float) -> Array:
        return np.stack([zero + x, zero + y, zero + z], 1).astype(np.float32)

    distance = phase * person.stride * person.height / (2 * np.pi)
    kind = thing.kind if thing else ""
    ride = None
    if thing is not None and kind == "bicycle":
        ride = bicycle_ride(h, distance, thing.form)
    elif kind == "scooter":
        ride = scooter_ride(h, distance)
    lean = person.stoop * 0.9 + 0.02
    spin = (0.13 * effort * np.sin(phase)) if ride is None else zero
    tilt = 0.035 * effort * np.cos(phase) if ride is None else zero
    narrow = {"skirt": 0.8, "long skirt": 0.55}.get(look.lower.name, 0.8 if look.upper.hem < 0.4 else 1.0)
    swing = narrow * effort * (0.34 + 0.28 * (person.stride - 0.72))
    apart = 0.044 * look.hips * (0.85 if "skirt" in look.lower.name else 1.0)
    hips_z = zero
    angles = []
    for leg in (0, 1):
        p = phase + leg * np.pi
        hip_angle = swing * np.sin(p) + 0.05
        knee = 0.07 + effort * 0.88 * np.clip(np.cos(p - 0.35), 0, 1) ** 1.5
        angles.append((hip_angle, hip_angle - knee))
    if ride is None:
        hip_y = np.maximum(*(THIGH * h * np.cos(u) + SHIN * h * np.cos(v) for u, v in angles)) + 0.043 * h
    else:
        hip_y, hips_z = zero + ride.saddle[0] + (0.045 * h if kind == "bicycle" else 0.0), zero + ride.saddle[1]
        lean = ride.lean
    thighs = (THIGH * h, SHIN * h)

    legs = []
    for leg, (upper, lower) in enumerate(angles):
        sign = 1.0 if leg else -1.0
        hip = at(sign * apart * h, hip_y, hips_z)
        if ride is None:
            knee_at = hip + at(-0.004 * sign * h, -thighs[0] * np.cos(upper), thighs[0] * np.sin(upper))
            ankle = knee_at + at(-0.003 * sign * h, -thighs[1] * np.cos(lower), thighs[1] * np.sin(lower))
            pitch = np.clip(lower, -1.2, 0.35)
        elif kind == "bicycle":
            pedal = pedals(ride)[leg]
            pitch = zero - 0.25 + 0.2 * np.sin(ride.pedal + (0 if leg else np.pi))
            knee_at, ankle = bend(hip, pedal + at(0, 0.085, -0.075), thighs, (sign * 0.12, 0.3, 1.0))
        else:
            front = leg == (1 if thing is not None and thing.side > 0 else 0)
            target = at(sign * 0.035 * h, 0.235, 0.10 if front else -0.20)
            pitch = zero
            knee_at, ankle = bend(hip, target, thighs, (sign * 0.2, 0, 1))
        heel = ankle + at(0, -0.026 * h * np.cos(pitch), -0.014 * h + 0.02 * h * np.sin(pitch))
        toe = ankle + at(sign * 0.016 * h, -0.030 * h + 0.11 * h * np.sin(pitch), 0.092 * h * np.cos(pitch) + 0.004 * h)
        if ride is None:
            toe[:, 1] = np.maximum(toe[:, 1], 0.013 * h)
            heel[:, 1] = np.maximum(heel[:, 1], 0.016 * h)
        legs.append((hip, knee_at, ankle, heel, toe))

    c, s = np.cos(lean), np.sin(lean)

    def trunk(x: float, y: float, z: float) -> Array:
        up = (y - _HIP) * h
        share = np.clip((y - _HIP) / 0.28, -0.6, 1)
        turn = -spin * share
        px = x * h * np.cos(turn) + z * h * np.sin(turn)
        pz = -x * h * np.sin(turn) + z * h * np.cos(turn)
        return at(px, hip_y + up * c - pz * s + px * tilt * (0.5 - share), hips_z + up * s + pz * c)

    yaw = habits.normal(0, 0.16) + rng.normal(0, 0.22) + 0.10 * np.sin(0.35 * phase + rng.uniform(0, 6))
    nod = lean * 0.75 - habits.uniform(-0.05, 0.13) - (0.38 if kind == "phone in front" else 0.0)
    neck = trunk(0, 0.868, 0.012 + 0.012 * (lean > 0.2))
    cy, sy = np.cos(yaw), np.sin(yaw)
    k = look.head

    def head(x: float, y: float, z: float) -> Array:
        up, ahead, aside = (y - 0.868) * k * h, z * k * h, x * k * h
        # The nod counters the lean of the trunk.
        ry, rz = (
            up * np.cos(lean - nod) - ahead * np.sin(lean - nod),
            up * np.sin(lean - nod) + ahead * np.cos(lean - nod),
        )
        return neck + at(aside * cy + rz * sy, ry, -aside * sy + rz * cy)

    arms = _arms(person, phase, effort, trunk, at, ride, h, habits)
    sway = 0.018 * h * effort * np.sin(2 * phase) if ride is None else zero
    return Pose(h, trunk, head, at(cy, 0, -sy), legs, arms, ride, at(0, 0, sway))


def _arms(
    person: Person, phase: NDArray[np.floating], effort: NDArray[np.floating],
    trunk: Callable[[float, float, float], Array], at: Callable[..., Array], ride: Ride | None, h: float,
    habits: np.random.Generator,
) -> list[tuple[Array, Array, Array, Array]]:  # fmt: skip
    """Return the joints of both arms: swinging, in a pocket, or at what the person holds."""
    look, thing = person.look, person.thing
    assert look is not None
    kind = thing.kind if thing else ""
    side = float(thing.side) if thing else 1.0
    half = 0.098 * look.shoulders * (0.72 + 0.28 * person.girth)
    bones = (UPPER_ARM * h, FOREARM * h)
    out = 0.07 + 0.14 * (person.girth - 0.9) + 0.10 * (look.upper.fit - 1.1)
    pockets = habits.random() < 0.10
    elbows = habits.uniform(0.10, 0.42)
    arms = []
    for arm in (0, 1):
        sign = 1.0 if arm else -1.0
        shoulder = trunk(sign * half, 0.806, 0.0)
        mine = sign == side
        target: Array | None = None
        pole = (sign * 0.7, -0.5, -0.6)
        if ride is not None:
            x, y, z = ride.grip
            target = at(sign * x, y + 0.03, z - 0.03)
        elif kind in ("pram", "shopping trolley"):
            target = at(sign * 0.17, 0.60 * h, 0.25 * h)
        elif kind == "box":
            target = trunk(sign * 0.10, 0.655, 0.19)
        elif mine and kind == "umbrella":
            target = trunk(sign * 0.075, 0.72, 0.13)
        elif mine and kind in ("suitcase", "trolley bag"):
            target = at(sign * 0.15 * h, 0.50 * h, -0.10 * h)
        elif mine and kind == "phone at the ear":
            target = trunk(sign * 0.080, 0.842, 0.070)
            pole = (sign * 0.35, -1.0, 0.0)
        elif mine and kind == "phone in front":
            target = trunk(sign * 0.03, 0.735, 0.16)
        elif mine and kind == "cup":
            target = trunk(sign * 0.07, 0.70, 0.15)
        elif mine and kind == "rolled mat":
            target = trunk(sign * 0.105, 0.63, 0.05)
        elif pockets and look.lower.name != "leggings":
            target = trunk(sign * 0.112, 0.535, 0.025)
        if target is not None:
            elbow, wrist = bend(shoulder, target, bones, pole)
            reach = (wrist - elbow) / bones[1]
            arms.append((shoulder, elbow, wrist, (wrist + reach * HAND * h * 0.75).astype(np.float32)))
            continue
        carries = (kind == "shopping bags" and (mine or (thing is not None and thing.form < 0.45))) or (
            look.bag == "handbag" and arm == 1
        )
        wave = np.sin(phase + arm * np.pi + np.pi)
        angle = effort * person.arm_swing * (0.25 if carries else 1.0) * wave - 0.02
        fold = (0.06 if carries else elbows) + 0.4 * person.arm_swing * np.clip(wave, 0, 1) * effort
        elbow = shoulder + at(sign * bones[0] * np.sin(out), -bones[0] * np.cos(angle), bones[0] * np.sin(angle))
        fore = angle + fold
        wrist = elbow + at(-sign * 0.004 * h, -bones[1] * np.cos(fore), bones[1] * np.sin(fore))
        tips = wrist + at(-sign * 0.006 * h, -HAND * h * np.cos(fore + 0.15), HAND * h * np.sin(fore + 0.15))
        arms.append((shoulder, elbow, wrist, tips))
    return arms
