"""Pose a person: turn body, clothes and phase of the walk into solids, about thirty for a simple figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.clothes import COLOURS, HAIR, PATTERNS, Cloth, Colour
from resight.synthetic.figure import figure_solids
from resight.synthetic.people import Person
from resight.synthetic.solids import (
    BAG,
    FACE,
    HAIR_CLOTH,
    HAT,
    LIMB,
    LOWER,
    SHOES,
    SKIN_CLOTH,
    TRUNK,
    UPPER,
    Array,
    Solids,
    SolidsBuilder,
)

_Point = Callable[[float, float, float], Array]


def body_solids(person: Person, phase: NDArray[np.floating], effort: NDArray[np.floating]) -> Solids:
    """Return the solids of a person in each frame.

    Args:
        person: The person.
        phase: (N,) Phase of the walk in radians; 2π is two steps.
        effort: (N,) From 0 (standing) to 1 (walking); scales the swing of legs and arms.
    """
    if person.look is not None:
        return figure_solids(person, phase, effort)
    n, h, w = len(phase), person.height, person.girth
    o = person.outfit
    build = SolidsBuilder(n)
    zero = np.zeros(n)

    def at(x: NDArray[np.floating] | float, y: NDArray[np.floating] | float, z: NDArray[np.floating] | float) -> Array:
        return np.stack([zero + x, zero + y, zero + z], 1).astype(np.float32)

    # The height of the hip keeps the lower foot on the ground.
    thigh, shin = 0.235 * h, 0.24 * h
    coat = o.upper == "long coat"
    skirt = o.lower in ("skirt", "long skirt")
    # A skirt or coat shortens the step, because it does not bend.
    narrow = {"skirt": 0.8, "long skirt": 0.55}.get(o.lower, 0.75 if coat else 1.0)
    swing = narrow * effort * (0.36 + 0.25 * (person.stride - 0.72))
    legs = []
    for leg in (0, 1):
        p = phase + leg * np.pi
        hip_angle = swing * np.sin(p) + 0.04
        knee = 0.08 + effort * 0.85 * np.clip(np.cos(p - 0.35), 0, 1) ** 1.5
        legs.append((hip_angle, hip_angle - knee))
    reach = [thigh * np.cos(upper) + shin * np.cos(lower) for upper, lower in legs]
    hip_y = np.maximum(*reach) + 0.045 * h
    rise = hip_y - 0.52 * h

    lean = person.stoop
    spin = 0.16 * effort * np.sin(phase)

    def trunk(x: float, y: float, z: float) -> Array:
        """Return a point of the upper body, given as fractions of the height, after turning, leaning and rising."""
        up = (y - 0.54) * h
        turn = -spin * np.clip((y - 0.54) / 0.28, 0, 1)
        px = x * h * np.cos(turn) + z * h * np.sin(turn)
        pz = -x * h * np.sin(turn) + z * h * np.cos(turn)
        return at(px, 0.54 * h + rise + up * np.cos(lean) - pz * np.sin(lean), up * np.sin(lean) + pz * np.cos(lean))

    puff = 1.10 if o.upper in ("open jacket", "long coat") else 1.0
    leg_cut = {"trousers": 2.0, "shorts": 0.85, "skirt": 0.3, "long skirt": 0.3}[o.lower]
    loose = 1.12 if o.lower in ("trousers", "shorts") else 1.0

    for leg, (upper, lower) in enumerate(legs):
        x = (0.052 if leg else -0.052) * h * w**0.5
        hip = at(x, hip_y, 0.0)
        knee_at = at(x * 0.95, hip_y - thigh * np.cos(upper), thigh * np.sin(upper))
        ankle = knee_at + at(-0.1 * x, -shin * np.cos(lower), shin * np.sin(lower))
        pitch = np.clip(lower, -1.2, 0.4)
        toe = ankle + at(0.15 * x, -0.022 * h + 0.11 * h * np.sin(pitch), 0.105 * h * np.cos(pitch))
        toe[:, 1] = np.maximum(toe[:, 1], 0.02 * h)
        heel = ankle + at(0, -0.018 * h, -0.012 * h)
        bare = LOWER if o.lower == "trousers" else SKIN_CLOTH
        build.add(
            hip,
            knee_at,
            (0.056 * h * w * loose, 0.036 * h * w * loose),
            LOWER,
            beyond=SKIN_CLOTH,
            cut=leg_cut,
            offset=0.1 * h,
        )
        build.add(knee_at, ankle, (0.036 * h * w * loose, 0.023 * h * loose), bare, offset=0.1 * h + thigh)
        build.add(heel, toe, (0.026 * h, 0.020 * h), SHOES)
        build.add(ankle, heel, (0.027 * h, 0.026 * h), SHOES)

    # Offsets along the trunk are measured down from the shoulders, so that prints and stripes line up.
    seat = UPPER if coat else LOWER
    tight = w * puff
    build.add(
        trunk(0, 0.625, 0),
        trunk(0, 0.53, 0),
        (0.076 * h * w, 0.093 * h * w),
        seat,
        oval=0.68,
        paint=TRUNK if coat else LIMB,
    )
    build.add(
        trunk(0, 0.745, 0), trunk(0, 0.570, 0.004 * w), (0.098 * h * tight**0.7, 0.092 * h * tight), UPPER,
        oval=0.66 + 0.10 * (w - 1), paint=TRUNK, offset=0.06 * h,
    )  # fmt: skip
    if w > 1.1:
        build.add(
            trunk(0, 0.66, 0.02),
            trunk(0, 0.62, 0.025),
            (0.085 * h * w,) * 2,
            UPPER,
            oval=0.75,
            paint=TRUNK,
            offset=0.15 * h,
        )
    shoulder_y = 0.800
    half = 0.098 * (0.6 + 0.4 * w)
    build.add(
        trunk(-half, shoulder_y, 0), trunk(half, shoulder_y, 0), (0.040 * h * puff,) * 2, UPPER,
        oval=0.9, side=(0, 0, 1),
    )  # fmt: skip
    if skirt or coat:
        hem_y, flare = {"skirt": (0.33, 0.125), "long skirt": (0.10, 0.145)}.get(o.lower, (0.30, 0.118))
        cloth = LOWER
        if coat:
            hem_y, flare, cloth = 0.30, 0.118, UPPER
        sway = 0.02 * h * effort * np.sin(2 * phase)
        build.add(
            trunk(0, 0.60, 0), at(0, hem_y * h + rise, sway), (0.088 * h * w, flare * h * w), cloth,
            oval=0.95, flat=True, paint=TRUNK if coat else LIMB, offset=0.2 * h,
        )  # fmt: skip
        if coat and skirt and o.lower == "long skirt":
            build.add(
                at(0, 0.34 * h + rise, 0),
                at(0, 0.10 * h + rise, sway),
                (0.095 * h * w, 0.125 * h * w),
                LOWER,
                oval=0.95,
                flat=True,
            )

    # Arms swing opposite to the legs; an arm that carries something hangs down.
    sleeve = {"T-shirt": 0.75, "shirt": 2.0, "open jacket": 2.0, "long coat": 2.0, "vest": 0.0}[o.upper]
    hands = []
    for arm in (0, 1):
        sign = 1.0 if arm else -1.0
        carries = arm == 1 and o.bag in ("handbag", "suitcase")
        angle = effort * person.arm_swing * (0.2 if carries else 1.0) * np.sin(phase + arm * np.pi + np.pi) - 0.03
        bend = (0.05 if carries else 0.22) + 0.35 * person.arm_swing * np.clip(
            np.sin(phase + arm * np.pi + np.pi), 0, 1
        ) * effort
        shoulder = trunk(sign * (half + 0.012), shoulder_y - 0.008, 0)
        out = 0.10 + 0.1 * (w - 0.9)
        elbow = shoulder + at(sign * 0.17 * h * np.sin(out), -0.17 * h * np.cos(angle), 0.17 * h * np.sin(angle))
        fore = angle + bend
        wrist = elbow + at(sign * 0.006 * h, -0.145 * h * np.cos(fore), 0.145 * h * np.sin(fore))
        hand = wrist + at(-sign * 0.004 * h, -0.05 * h * np.cos(fore), 0.05 * h * np.sin(fore))
        long = UPPER if sleeve > 1 else SKIN_CLOTH
        build.add(
            shoulder, elbow, (0.036 * h * tight**0.6, 0.028 * h * tight**0.6), UPPER if sleeve else SKIN_CLOTH,
            beyond=SKIN_CLOTH, cut=sleeve, offset=0.02 * h,
        )  # fmt: skip
        build.add(elbow, wrist, (0.027 * h * tight**0.5, 0.020 * h), long, beyond=SKIN_CLOTH, cut=0.97, offset=0.19 * h)
        build.add(wrist, hand, (0.019 * h, 0.017 * h), SKIN_CLOTH)
        hands.append(hand)

    _head(build, person, trunk)
    _bag(build, person, trunk, hands, at)
    return build.solids(_cloths(person))


def _head(build: SolidsBuilder, person: Person, trunk: _Point) -> None:
    """Add neck, head, hair and hat."""
    h, o = person.height, person.outfit
    build.add(trunk(0, 0.80, -0.005), trunk(0, 0.875, 0.012), (0.034 * h, 0.030 * h), SKIN_CLOTH)
    build.add(trunk(0, 0.947, 0.012), trunk(0, 0.908, 0.022), (0.050 * h, 0.038 * h), SKIN_CLOTH, paint=FACE)
    hood = o.hat == "hood"
    if o.hair_style != "bald" and not hood:
        build.add(trunk(0, 0.956, 0.000), trunk(0, 0.930, -0.012), (0.053 * h, 0.047 * h), HAIR_CLOTH)
    if o.hair_style == "long" and not hood:
        build.add(trunk(0, 0.93, -0.022), trunk(0, 0.80, -0.050), (0.050 * h, 0.062 * h), HAIR_CLOTH, oval=0.55)
        for sign in (-1, 1):
            build.add(
                trunk(sign * 0.040, 0.93, 0.0), trunk(sign * 0.048, 0.83, 0.012), (0.020 * h, 0.018 * h), HAIR_CLOTH
            )
    if o.hair_style == "ponytail" and not hood:
        build.add(trunk(0, 0.955, -0.060), trunk(0, 0.82, -0.085), (0.024 * h, 0.016 * h), HAIR_CLOTH)
    if o.hair_style == "bun" and not hood:
        build.add(trunk(0, 0.985, -0.040), trunk(0, 0.99, -0.045), (0.030 * h, 0.028 * h), HAIR_CLOTH)
    flat = (1.0, 0.0, 0.0)
    if o.hat == "cap":
        build.add(trunk(0, 0.972, 0.005), trunk(0, 0.962, 0.003), (0.054 * h, 0.055 * h), HAT)
        build.add(trunk(0, 0.962, 0.040), trunk(0, 0.955, 0.085), (0.040 * h, 0.030 * h), HAT, oval=0.22, side=flat)
    if o.hat == "beanie":
        build.add(trunk(0, 0.985, 0.0), trunk(0, 0.955, 0.0), (0.048 * h, 0.057 * h), HAT, flat=True)
    if o.hat == "brimmed hat":
        build.add(trunk(0, 0.995, 0.005), trunk(0, 0.968, 0.005), (0.046 * h, 0.054 * h), HAT)
        build.add(trunk(0, 0.964, -0.01), trunk(0, 0.962, 0.02), (0.092 * h, 0.092 * h), HAT, oval=0.12, side=flat)
    if hood:
        build.add(trunk(0, 0.955, -0.008), trunk(0, 0.86, -0.020), (0.060 * h, 0.060 * h), UPPER)


def _bag(build: SolidsBuilder, person: Person, trunk: _Point, hands: list[Array], at: _Point) -> None:
    """Add the bag, with its straps."""
    h, w, bag = person.height, person.girth, person.outfit.bag
    if bag == "backpack":
        deep = -0.062 * w - 0.035
        build.add(trunk(0, 0.775, deep), trunk(0, 0.645, deep - 0.01), (0.068 * h, 0.085 * h), BAG, oval=0.62)
        for sign in (-1, 1):
            front = 0.066 * w
            build.add(trunk(sign * 0.062, 0.838, 0.0), trunk(sign * 0.062, 0.795, front), (0.014 * h,) * 2, BAG)
            build.add(trunk(sign * 0.062, 0.795, front), trunk(sign * 0.075, 0.69, front * 0.9), (0.014 * h,) * 2, BAG)
    if bag == "shoulder bag":
        side = 0.115 * w + 0.02
        build.add(
            trunk(side, 0.56, -0.01), trunk(side, 0.50, -0.01), (0.060 * h, 0.066 * h), BAG, oval=0.5, side=(0, 0, 1)
        )
        for z in (-0.064 * w, 0.070 * w):
            build.add(trunk(-0.07, 0.835, 0.0), trunk(-0.05, 0.77, z), (0.012 * h,) * 2, BAG)
            build.add(trunk(-0.05, 0.77, z), trunk(side, 0.58, z * 0.6), (0.012 * h,) * 2, BAG)
    if bag == "handbag":
        hand = hands[1]
        build.add(
            hand + at(0, -0.08 * h, 0),
            hand + at(0, -0.14 * h, 0),
            (0.052 * h, 0.062 * h),
            BAG,
            oval=0.45,
            side=(0, 0, 1),
        )
        build.add(hand, hand + at(0, -0.07 * h, 0), (0.010 * h, 0.02 * h), BAG)
    if bag == "suitcase":
        base = at(0.16 * h, 0.06 * h, -0.16 * h)
        build.add(base + at(0, 0.24 * h, 0), base, (0.075 * h, 0.075 * h), BAG, oval=0.6, side=(1, 0, 0))
        build.add(hands[1], base + at(0, 0.30 * h, 0), (0.010 * h,) * 2, BAG)


def _cloths(person: Person) -> Array:
    """Return the (8, 10) cloths of a person; see `Solids`."""
    o = person.outfit
    opened = o.upper in ("open jacket", "long coat")

    def plain(colour: Colour) -> list[float]:
        return [*colour, *colour, 0.0, 0.15, 0.0, 0.0]

    def woven(cloth: Cloth, opening: bool = False) -> list[float]:
        first, second = COLOURS[cloth.colour][0], COLOURS[cloth.second][0]
        return [*first, *second, float(PATTERNS.index(cloth.pattern)), cloth.size, float(opening), person.folds]

    cloths = np.array(
        [
            plain(person.skin),
            plain(HAIR[o.hair]),
            woven(o.upper_cloth, opened),
            plain(COLOURS[o.inner_colour][0]),
            woven(o.lower_cloth),
            plain(COLOURS[o.shoes][0]),
            plain(COLOURS[o.bag_colour][0]),
            plain(COLOURS[o.hat_colour][0]),
        ],
        np.float32,
    )
    if person.dye:
        factor, offset = np.array(person.dye, np.float32).reshape(2, 8, 6)
        cloths[:, :6] = np.clip(cloths[:, :6] * factor + offset, 0.02, 0.98)
    return cloths
