"""What people ride, push, pull or carry in one tracklet, and the solids of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from resight.synthetic.clothes import Colour
from resight.synthetic.solids import BAG, CANOPY, HARD, METAL, RUBBER, SLANTED, THING, THING_2, Array, SolidsBuilder
from resight.synthetic.wardrobe import pick, shade_of

CARRIED = (
    "umbrella", "suitcase", "trolley bag", "pram", "shopping trolley", "box", "shopping bags", "rolled mat",
    "phone at the ear", "phone in front", "cup",
)  # fmt: skip
"""What a person on foot carries, pulls or pushes."""
_Trunk = Callable[[float, float, float], Array]
_WEIGHTS = (14, 10, 6, 8, 5, 9, 20, 5, 12, 16, 5)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing that a person rides, pushes, pulls or carries.

    Attributes:
        kind: ``bicycle``, ``scooter`` or one of `CARRIED`.
        colour: Main colour.
        second: Second colour.
        size: Size relative to the average.
        side: -1 for the left hand, 1 for the right hand.
        form: From 0 to 1; chooses between forms of the thing.
        helmet: Whether a rider wears a helmet.
    """

    kind: str
    colour: Colour
    second: Colour
    size: float
    side: int
    form: float
    helmet: bool = False


def draw_thing(rng: np.random.Generator, riders: float, carried: float, *, child: bool) -> Thing | None:
    """Draw the thing of one tracklet.

    Args:
        rng: Random number generator.
        riders: Probability of a bicycle or a scooter.
        carried: Probability that a person on foot has a thing.
        child: Whether the person is a child, who has neither suitcase nor pram.
    """
    ride, carry = rng.random(2)
    weights = np.array(_WEIGHTS, float)
    if child:
        weights[1:6] = 0
    kind = CARRIED[rng.choice(len(CARRIED), p=weights / weights.sum())]
    if ride < riders:
        kind = "bicycle" if ride < 0.7 * riders else "scooter"
    elif carry >= carried:
        return None
    mixes = {
        "box": "camel:6 beige:3 white:1.5",
        "umbrella": "black:10 navy:3 red:1.5 grey:1.5 white:1 blue:1 pink:0.7 teal:0.7 yellow:0.5 purple:0.5 green:0.5",
        "shopping bags": "white:5 camel:4 light_grey:2 yellow:1 red:1 blue:1 black:1.5 green:1 orange:0.7",
        "rolled mat": "purple:2 blue:2 teal:2 pink:1 black:1 green:1 grey:1",
        "bicycle": "black:9 grey:3 navy:2 red:2 blue:2 white:2 green:1 teal:1 orange:0.5 light_blue:0.5",
        "scooter": "black:10 charcoal:4 white:2 red:0.7 light_grey:1 green:0.7",
    }
    dyes = mixes.get(
        kind, "black:9 charcoal:3 grey:3 navy:4 red:1.5 blue:1.5 beige:1 olive:1 teal:1 pink:0.7 purple:0.7"
    )
    return Thing(
        kind,
        shade_of(rng, pick(rng, dyes)),
        shade_of(rng, pick(rng, "black:4 white:3 grey:3 light_grey:2 beige:1 red:1")),
        float(np.clip(0.92 * np.exp(rng.normal(0, 0.13)), 0.7, 1.15)),
        int(rng.choice((-1, 1))),
        float(rng.random()),
        kind in ("bicycle", "scooter") and bool(rng.random() < 0.35),
    )


def add_thing(build: SolidsBuilder, thing: Thing, hands: tuple[Array, Array], h: float) -> None:
    """Add the solids of a carried thing.

    Args:
        build: Receives the solids.
        thing: The thing.
        hands: (N, 3) Left and right hand.
        h: Height of the person in metres.
    """
    hand = hands[1 if thing.side > 0 else 0]
    s = thing.size
    one = np.ones((build.frames, 1), np.float32)

    def away(x: float, y: float, z: float) -> Array:
        return one * np.array([[x, y, z]], np.float32)

    between = ((hands[0] + hands[1]) / 2).astype(np.float32)
    ahead = between * np.array([0, 0, 1], np.float32)

    def bar(a: Array, b: Array, radius: float, cloth: int = METAL) -> None:
        build.add(a, b, (radius, radius), cloth, side=SLANTED, paint=HARD)

    if thing.kind == "umbrella":
        top = hand * np.array([0.55, 0, 0.4], np.float32)
        top[:, 1] = 1.05 * h + 0.16
        bar(hand + away(0, -0.12, 0), top, 0.008)
        r = 0.50 * s
        build.add(top, top - away(0, 0.24 * r / 0.5, 0), (0.27 * s, r), THING, flat=True, paint=CANOPY)
        build.add(top - away(0, 0, 0.01), top + away(0, 0, 0.01), (0.31 * s, 0.31 * s), THING, oval=0.40, paint=CANOPY)
        bar(top + away(0, 0.1, 0), top + away(0, 0.17, 0), 0.008)
    elif thing.kind in ("suitcase", "trolley bag"):
        middle = one * np.array([[thing.side * 0.20, 0.0, -0.30]], np.float32)
        if thing.kind == "suitcase":
            for x in (-0.07, 0.0, 0.07):
                build.add(
                    middle + away(x * s, 0.60 * s, 0), middle + away(x * s, 0.14, 0), (0.085 * s, 0.085 * s), THING,
                    oval=1.15, paint=HARD,
                )  # fmt: skip
        else:
            build.add(
                middle + away(0, 0.72 * s, 0), middle + away(0, 0.2, 0), (0.17 * s, 0.15 * s), THING, oval=0.75,
                creases=(0.8, 0.8),
            )  # fmt: skip
        for x in (-0.09, 0.09):
            bar(middle + away(x, 0.6 * s, 0), middle + away(x * 0.8, 0.90, 0.08), 0.008)
            build.add(
                middle + away(x, 0.05, 0),
                middle + away(x + 0.02, 0.05, 0),
                (0.045, 0.045),
                RUBBER,
                side=SLANTED,
                paint=HARD,
            )
        bar(middle + away(-0.07, 0.90, 0.08), middle + away(0.07, 0.90, 0.08), 0.012, RUBBER)
        bar(hand, middle + away(0, 0.90, 0.08), 0.010, RUBBER)
    elif thing.kind == "pram":
        middle = one * np.array([[0, 0, 0.42]], np.float32) + ahead
        build.add(middle + away(0, 0.62, -0.24), middle + away(0, 0.58, 0.26), (0.165, 0.14), THING, oval=0.8)
        build.add(
            middle + away(-0.06, 0.76, -0.10),
            middle + away(0.06, 0.76, -0.10),
            (0.165, 0.165),
            THING,
            side=SLANTED,
            paint=CANOPY,
        )
        build.add(middle + away(0, 0.36, -0.16), middle + away(0, 0.34, 0.12), (0.15, 0.15), THING_2, oval=0.5)
        for x in (-0.19, 0.19):
            bar(middle + away(x, 0.98, -0.44), middle + away(x, 0.12, 0.30), 0.011)
            bar(middle + away(x, 0.60, -0.05), middle + away(x, 0.12, -0.32), 0.011)
            for z in (-0.34, 0.32):
                _disc(build, middle + away(x, 0.12, z), 0.12)
        bar(middle + away(-0.2, 0.98, -0.44), middle + away(0.2, 0.98, -0.44), 0.014, RUBBER)
    elif thing.kind == "shopping trolley":
        middle = one * np.array([[0, 0, 0.44]], np.float32) + ahead
        for y, wide in ((0.88, 0.26), (0.72, 0.25), (0.52, 0.22)):
            for x in (-wide, wide):
                bar(middle + away(x, y, -0.38), middle + away(x * 0.9, y + 0.02, 0.42), 0.012)
            bar(middle + away(-wide, y + 0.02, 0.42), middle + away(wide, y + 0.02, 0.42), 0.012)
        for x in (-0.22, 0.22):
            for z in (-0.3, 0.0, 0.3):
                bar(middle + away(x, 0.50, z), middle + away(x * 1.1, 0.90, z), 0.008)
            bar(middle + away(x, 0.52, -0.34), middle + away(x, 0.14, -0.36), 0.014)
            bar(middle + away(x, 0.16, -0.36), middle + away(x, 0.14, 0.40), 0.014)
            for z in (-0.34, 0.38):
                _disc(build, middle + away(x, 0.07, z), 0.065)
        build.add(middle + away(0, 0.62, -0.15), middle + away(0, 0.62, 0.22), (0.18, 0.16), THING, oval=0.7)
        bar(middle + away(-0.26, 0.98, -0.42), middle + away(0.26, 0.98, -0.42), 0.018, THING)
    elif thing.kind == "box":
        middle = between + away(0, 0.02, 0.02)
        wide, tall = 0.12 * s, 0.06 * s
        for y in (-tall, 0.0, tall):
            build.add(
                middle + away(-wide, y, 0), middle + away(wide, y, 0), (0.105 * s, 0.105 * s), THING, oval=1.25,
                side=(0, 1, 0), paint=HARD,
            )  # fmt: skip
    elif thing.kind == "shopping bags":
        for at in hands if thing.form < 0.45 else (hand,):
            build.add(
                at - away(0, 0.13, 0), at - away(0, 0.38 * s, 0), (0.10 * s, 0.15 * s), THING, oval=0.5, side=(0, 0, 1),
                creases=(1.0, 1.2),
            )  # fmt: skip
            for z in (-0.05, 0.05):
                bar(at, at + away(0, -0.15, z), 0.008, THING)
    elif thing.kind == "rolled mat":
        middle = hand + away(-0.02 * thing.side, 0.05, 0)
        build.add(middle - away(0, 0.06, 0.32), middle + away(0, 0.06, 0.30), (0.075, 0.075), THING, paint=HARD)
    elif thing.kind in ("phone at the ear", "phone in front"):
        build.add(hand - away(0, 0.03, -0.01), hand + away(0, 0.05, 0.01), (0.030, 0.030), RUBBER, oval=0.4, paint=HARD)
    elif thing.kind == "cup":
        build.add(hand + away(0, 0.08, 0.02), hand - away(0, 0.03, -0.02), (0.042, 0.030), THING_2, paint=HARD)


def _disc(build: SolidsBuilder, centre: Array, radius: float) -> None:
    """Add a small wheel."""
    step = np.array([[0, 0, 0.002]], np.float32)
    build.add(centre - step, centre + step, (radius, radius), RUBBER, oval=0.25, side=(0, 1, 0), paint=HARD)


def add_bag(
    build: SolidsBuilder, bag: str, size: float, trunk: _Trunk, hand: Array, h: float, depth: tuple[float, float]
) -> None:
    """Add the bag that belongs to a look.

    Args:
        build: Receives the solids.
        bag: One of the bags of `resight.synthetic.looks.Look`.
        size: Size relative to the average.
        trunk: Returns points of the trunk, given as fractions of the height.
        hand: (N, 3) The hand that carries a handbag.
        h: Height of the person in metres.
        depth: Position of the front and of the back of the chest, as fractions of the height.
    """
    front, back = depth
    if bag == "backpack":
        deep = -back - 0.028 * size
        r = 0.078 * size
        build.add(
            trunk(0, 0.79, deep),
            trunk(0, 0.655, deep - 0.012),
            (r * h * 0.84, r * h),
            BAG,
            oval=0.58,
            creases=(0.7, 1.0),
        )
        build.add(
            trunk(0, 0.70, deep - 0.036 * size),
            trunk(0, 0.65, deep - 0.042 * size),
            (0.052 * h, 0.055 * h),
            BAG,
            oval=0.5,
        )
        for sign in (-1, 1):
            build.add(
                trunk(sign * 0.064, 0.832, -0.02), trunk(sign * 0.066, 0.815, front * 0.75), (0.015 * h,) * 2, BAG
            )
            build.add(
                trunk(sign * 0.066, 0.815, front * 0.75),
                trunk(sign * 0.078, 0.70, front * 0.85),
                (0.014 * h,) * 2,
                BAG,
                oval=0.6,
            )
    elif bag in ("shoulder bag", "crossbody bag"):
        side = 0.125
        low = 0.555 if bag == "crossbody bag" else 0.60
        r = (0.055 if bag == "crossbody bag" else 0.066) * size * h
        build.add(
            trunk(side, low, -0.012),
            trunk(side + 0.006, low - 0.07, -0.012),
            (r * 0.9, r),
            BAG,
            oval=0.48,
            side=(0, 0, 1),
            creases=(0.8, 1.0),
        )
        start = -0.06 if bag == "crossbody bag" else 0.085
        for z in (-back, front):
            build.add(trunk(start, 0.835, z * 0.2), trunk(start * 0.8, 0.775, z * 0.98), (0.010 * h,) * 2, BAG)
            build.add(trunk(start * 0.8, 0.775, z * 0.98), trunk(side, low + 0.02, z * 0.5), (0.010 * h,) * 2, BAG)
    elif bag == "handbag":
        one = np.ones((build.frames, 1), np.float32)
        down = one * np.array([[0, -1, 0]], np.float32)
        build.add(
            hand + 0.10 * h * down,
            hand + 0.16 * h * down,
            (0.055 * h * size, 0.068 * h * size),
            BAG,
            oval=0.42,
            side=(0, 0, 1),
            creases=(0.8, 1.0),
        )
        build.add(hand, hand + 0.09 * h * down, (0.008 * h, 0.02 * h), BAG, oval=0.4, side=(0, 0, 1))
    elif bag == "waist bag":
        build.add(
            trunk(-0.035, 0.60, front * 1.15),
            trunk(0.035, 0.60, front * 1.15),
            (0.026 * h,) * 2,
            BAG,
            oval=0.8,
            side=(0, 1, 0),
        )
