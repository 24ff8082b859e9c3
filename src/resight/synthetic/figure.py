"""Build the solids of a detailed figure from its pose: trunk, legs and arms with their clothes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.carried import add_bag, add_thing
from resight.synthetic.dressing import dress
from resight.synthetic.head import add_head
from resight.synthetic.people import Person
from resight.synthetic.pose import Pose, pose_person
from resight.synthetic.solids import (
    ARM,
    HARD,
    LEG,
    LOWER,
    SCARF,
    SHOES,
    SKIN_CLOTH,
    SOLE,
    TRUNK,
    UPPER,
    YOKE,
    Array,
    Solids,
    SolidsBuilder,
)
from resight.synthetic.vehicles import add_bicycle, add_scooter

_SHOULDER = 0.82
_ACROSS = (0.0, 0.0, 1.0)


def figure_solids(person: Person, phase: NDArray[np.floating], effort: NDArray[np.floating]) -> Solids:
    """Return the solids of a person with a look. Arguments as for `resight.synthetic.body.body_solids`."""
    look, thing = person.look, person.thing
    assert look is not None
    pose = pose_person(person, phase, effort)
    build = SolidsBuilder(len(phase))
    front = _trunk(build, person, pose)
    for leg in (0, 1):
        _leg(build, person, pose, leg)
    for arm in (0, 1):
        _arm(build, person, pose, arm)
    add_head(build, look, pose, thing.kind in ("bicycle", "scooter") and thing.helmet if thing else False)
    hands = (pose.arms[0][3], pose.arms[1][3])
    if thing is None or thing.kind not in ("box",) or look.bag == "backpack":
        add_bag(build, look.bag, look.bag_size, pose.trunk, hands[1], pose.h, front)
    if thing is not None:
        if pose.ride is None:
            add_thing(build, thing, hands, pose.h)
        elif thing.kind == "bicycle":
            add_bicycle(build, pose.ride, (thing.form > 0.6, thing.size > 1.0))
        else:
            add_scooter(build, pose.ride)
    return build.solids(dress(person))


def _trunk(build: SolidsBuilder, person: Person, pose: Pose) -> tuple[float, float]:
    """Add trunk, collar, skirt and coat. Return the depth of the front and of the back of the chest."""
    look, h, w, trunk = person.look, pose.h, person.girth, pose.trunk
    assert look is not None
    upper, lower = look.upper, look.lower
    loose = 1 + 0.42 * (upper.fit - 1)
    chest = 0.0915 * look.shoulders * w**0.7 * loose
    waist = (0.070 if look.female else 0.080) * w * (1 + 0.62 * (upper.fit - 1))
    hips = 0.0880 * look.hips * w**0.9
    deep = 0.64 + 0.12 * (w - 1) + 0.05 * look.belly
    rides = pose.ride is not None
    hem = max(upper.hem, 0.48) if rides else upper.hem
    wide = max(hips * (1 + 0.40 * (upper.fit - 1)) + 0.011, waist)
    build.add(
        trunk(0, 0.575, 0), trunk(0, 0.515, -0.002), (0.9 * hips * h, hips * h), LOWER, oval=0.74, paint=LEG,
        offset=0.02 * h, creases=(0.3, 0.5),
    )  # fmt: skip
    build.add(
        trunk(-0.040, 0.522, -0.014), trunk(0.040, 0.522, -0.014), (0.045 * look.hips * w**0.7 * h,) * 2, LOWER,
        oval=0.95, side=_ACROSS, paint=YOKE, offset=0.1 * h,
    )  # fmt: skip
    build.add(
        trunk(0, 0.758, 0), trunk(0, 0.650, 0.004), (chest * h, waist * h), UPPER, oval=deep, paint=TRUNK,
        offset=(_SHOULDER - 0.758) * h, creases=(0.35, 0.8),
    )  # fmt: skip
    if look.tucked and hem > 0.44:
        build.add(
            trunk(0, 0.655, 0.004), trunk(0, 0.585, 0.002), (waist * h, hips * 0.97 * h), UPPER, oval=deep + 0.04,
            flat=True, paint=TRUNK, offset=(_SHOULDER - 0.655) * h, creases=(0.8, 1.0),
        )  # fmt: skip
    elif hem > 0.42:
        build.add(
            trunk(0, 0.655, 0.004), trunk(0, hem, 0.0), (waist * h, wide * h), UPPER, oval=deep + 0.19, flat=True,
            paint=TRUNK, offset=(_SHOULDER - 0.655) * h, creases=(0.9, 0.6),
        )  # fmt: skip
    else:
        flare = wide * (1.0 + 0.9 * (0.5 - hem)) + 0.006
        build.add(
            trunk(0, 0.655, 0.004), trunk(0, 0.54, 0.0), (waist * h, wide * h), UPPER, oval=deep + 0.08, paint=TRUNK,
            offset=(_SHOULDER - 0.655) * h, creases=(0.7, 0.7),
        )  # fmt: skip
        build.add(
            trunk(0, 0.545, 0.0), trunk(0, hem, 0.0) + pose.hem, (wide * h, flare * h), UPPER, oval=0.86, flat=True,
            paint=TRUNK, offset=(_SHOULDER - 0.545) * h, creases=(0.7, 1.1),
        )  # fmt: skip
    if lower.name in ("skirt", "long skirt"):
        end = max(lower.hem, 0.44) if rides else lower.hem
        flare = hips * (1.0 + 0.75 * (0.55 - end) * lower.fit)
        build.add(
            trunk(0, 0.60, 0), trunk(0, 0.52, 0), (waist * 0.95 * h, hips * 1.10 * h), LOWER, oval=0.76, paint=LEG,
        )  # fmt: skip
        build.add(
            trunk(0, 0.525, 0), trunk(0, end, 0) + pose.hem, (hips * 1.10 * h, flare * h), LOWER, oval=0.88, flat=True,
            paint=LEG, offset=0.08 * h, creases=(0.6, 1.2),
        )  # fmt: skip
    if look.belly > 0.45 or w > 1.14:
        size = 0.060 + 0.02 * look.belly
        build.add(
            trunk(0, 0.665, 0.020), trunk(0, 0.615, 0.026), (size * h * w, size * 1.02 * h * w), UPPER, oval=0.80,
            paint=TRUNK, offset=(_SHOULDER - 0.665) * h, creases=(0.5, 0.5),
        )  # fmt: skip
    if look.female:
        bust = 0.037 * w**0.5
        build.add(
            trunk(-0.036, 0.735, 0.030 * loose), trunk(0.036, 0.735, 0.030 * loose), (bust * h, bust * h), UPPER,
            side=_ACROSS, paint=YOKE, offset=0.08 * h,
        )  # fmt: skip
    half = 0.098 * look.shoulders * (0.72 + 0.28 * w)
    for sign in (-1, 1):
        build.add(
            trunk(sign * 0.026, 0.838, -0.010), trunk(sign * (half - 0.008), 0.800, -0.002),
            (0.028 * h, 0.0375 * loose * h), UPPER, oval=1.0, side=_ACROSS, paint=YOKE, offset=0.01 * h,
            creases=(0.2, 0.4),
        )  # fmt: skip
    build.add(trunk(0, 0.80, -0.004), trunk(0, 0.885, 0.010), (0.033 * h, 0.028 * h), SKIN_CLOTH)
    _collar(build, person, pose)
    return 0.9 * chest * deep, chest * deep


def _collar(build: SolidsBuilder, person: Person, pose: Pose) -> None:
    look, h, trunk = person.look, pose.h, pose.trunk
    assert look is not None
    collar = look.upper.collar
    if collar in ("shirt", "lapels"):
        build.add(
            trunk(0, 0.862, -0.004), trunk(0, 0.834, -0.006), (0.033 * h, 0.043 * h), UPPER, flat=True, paint=YOKE
        )
    elif collar == "stand":
        build.add(
            trunk(0, 0.868, -0.002), trunk(0, 0.832, -0.004), (0.038 * h, 0.047 * h), UPPER, flat=True, paint=YOKE
        )
    elif collar == "hood" and look.headwear != "hood":
        build.add(
            trunk(-0.030, 0.845, -0.042), trunk(0.030, 0.845, -0.042), (0.032 * h, 0.032 * h), UPPER, side=_ACROSS,
            paint=YOKE, creases=(1.2, 1.2),
        )  # fmt: skip
        for sign in (-1, 1):
            build.add(
                trunk(sign * 0.036, 0.848, -0.030), trunk(sign * 0.020, 0.826, 0.040), (0.024 * h, 0.014 * h), UPPER,
                side=_ACROSS, paint=YOKE,
            )  # fmt: skip
    if look.scarf is not None:
        build.add(
            trunk(0, 0.862, 0.002), trunk(0, 0.832, 0.006), (0.042 * h, 0.053 * h), SCARF, oval=1.0, creases=(1.2, 1.2)
        )
        build.add(
            trunk(0.022, 0.83, 0.060),
            trunk(0.026, 0.70, 0.074),
            (0.020 * h, 0.024 * h),
            SCARF,
            oval=0.5,
            creases=(1.2, 1.2),
        )


def _leg(build: SolidsBuilder, person: Person, pose: Pose, leg: int) -> None:
    """Add one leg with trousers or shorts, and the shoe."""
    look, h, w = person.look, pose.h, person.girth
    assert look is not None
    lower = look.lower
    hip, knee, ankle, heel, toe = pose.legs[leg]
    fit = lower.fit - 1
    thick = w**0.7
    size = {"thigh": 0.0500 * look.hips**0.7, "knee": 0.0365, "calf": 0.0360, "ankle": 0.0225}
    thigh, middle, calf, thin = (value * thick * h for value in size.values())
    long = lower.name not in ("shorts", "skirt", "long skirt")
    top = 0.075 * h
    if long:
        tight = lower.name == "leggings"
        build.add(
            hip, knee, (thigh * (1 + 0.25 * fit), middle * (1 + 0.9 * fit)), LOWER, oval=1.05, paint=LEG, offset=top,
            creases=(0.9, 0.7),
        )  # fmt: skip
        if tight:
            _calf(build, knee, ankle, (middle, calf, thin), LOWER, h)
        else:
            cuff = thin * 1.28 if lower.name == "joggers" else max(thin * 1.22 + 0.052 * fit * h, thin * 1.25)
            end = knee + (ankle - knee) * (1.0 if lower.name == "joggers" else 1.05 - (lower.hem - 0.03) * 3)
            build.add(
                knee, end, (middle * (1 + 0.9 * fit), cuff), LOWER, oval=1.1, flat=True, paint=LEG,
                offset=top + 0.24 * h, creases=(0.8, 1.25),
            )  # fmt: skip
            build.add(knee + (ankle - knee) * 0.8, ankle, (thin * 1.1, thin), SKIN_CLOTH)
    else:
        build.add(hip, knee, (0.86 * thigh, 0.95 * middle), SKIN_CLOTH)
        _calf(build, knee, ankle, (middle, calf, thin), SKIN_CLOTH, h)
        if lower.name == "shorts":
            share = float(np.clip((0.525 - lower.hem) / 0.24, 0.25, 1.0))
            edge = (middle + (thigh - middle) * (1 - share)) * (1.12 + 0.5 * fit)
            build.add(
                hip, hip + (knee - hip) * share, (thigh * (1 + 0.3 * fit), edge), LOWER, oval=1.05, flat=True,
                paint=LEG, offset=top, creases=(0.8, 1.0),
            )  # fmt: skip
    foot = 0.94 if look.female else 1.0
    bare = look.shoes == "sandals"
    cloth = SKIN_CLOTH if bare else SHOES
    round_toe = (0.0215 if look.shoes == "shoes" else 0.0240) * foot * h
    arch = heel + (toe - heel) * 0.35
    arch[:, 1] += 0.010 * h
    build.add(ankle, heel, (0.0235 * foot * h, 0.0225 * foot * h), cloth, oval=1.1, paint=HARD)
    build.add(arch, toe, (0.0235 * foot * h, round_toe * 0.86), cloth, oval=0.9, paint=HARD)
    if look.shoes == "boots":
        build.add(ankle + (knee - ankle) * 0.32, ankle, (0.030 * thick * h, 0.026 * h), SHOES, creases=(0.5, 1.2))
    sole = np.array([0, -0.013 * h, 0], np.float32)
    build.add(
        heel + sole, toe + sole + np.array([0, 0.004 * h, 0.004 * h], np.float32),
        (0.0255 * foot * h, 0.0250 * foot * h), SOLE, oval=0.40, paint=HARD,
    )  # fmt: skip


def _calf(
    build: SolidsBuilder, knee: Array, ankle: Array, radii: tuple[float, float, float], cloth: int, h: float
) -> None:
    """Add a lower leg with its calf."""
    middle, calf, thin = radii
    bulge = knee + (ankle - knee) * 0.33 + np.array([0, 0, -0.010 * h], np.float32)
    build.add(knee, bulge, (middle * 0.93, calf), cloth, oval=1.05, paint=LEG, offset=0.315 * h, creases=(0.5, 0.5))
    build.add(bulge, ankle, (calf, thin), cloth, oval=1.05, paint=LEG, offset=0.395 * h, creases=(0.5, 0.8))


def _arm(build: SolidsBuilder, person: Person, pose: Pose, arm: int) -> None:
    """Add one arm with its sleeve, and the hand."""
    look, h = person.look, pose.h
    assert look is not None
    upper = look.upper
    shoulder, elbow, wrist, tips = pose.arms[arm]
    thick = person.girth**0.6 * (0.93 if look.female else 1.03)
    fit = 1 + 0.75 * (upper.fit - 1)
    top, bent, thin = 0.0335 * thick * h, 0.0265 * thick * h, 0.0175 * thick * h
    sleeve = upper.sleeve
    if sleeve < 1:
        build.add(shoulder, elbow, (0.93 * top, bent), SKIN_CLOTH, oval=1.0)
        build.add(elbow, wrist, (bent, thin), SKIN_CLOTH)
        if sleeve:
            build.add(
                shoulder, shoulder + (elbow - shoulder) * sleeve,
                (top * (1 + 0.5 * (fit - 1)), bent * 1.12 * fit + 0.002 * h), UPPER, flat=True, paint=ARM,
                offset=0.02 * h, creases=(0.5, 0.9),
            )  # fmt: skip
    else:
        build.add(
            shoulder, elbow, (top * (1 + 0.55 * (fit - 1)), bent * (1 + 0.9 * (fit - 1)) + 0.001 * h), UPPER, paint=ARM,
            offset=0.02 * h, creases=(0.5, 1.15),
        )  # fmt: skip
        end = wrist if sleeve == 2 else elbow + (wrist - elbow) * 0.42
        cuff = thin * (1.28 + 1.1 * (fit - 1)) if sleeve == 2 else bent * 1.2
        if sleeve != 2:
            build.add(elbow, wrist, (bent, thin), SKIN_CLOTH)
        build.add(
            elbow, end, (bent * (1 + 0.9 * (fit - 1)) + 0.001 * h, cuff), UPPER, flat=True, paint=ARM, offset=0.188 * h,
            creases=(1.15, 0.9),
        )  # fmt: skip
    palm = wrist + (tips - wrist) * 0.5
    build.add(wrist, palm, (0.0165 * thick * h, 0.0195 * thick * h), SKIN_CLOTH, oval=0.62, side=_ACROSS)
    build.add(palm, tips, (0.0185 * thick * h, 0.0120 * thick * h), SKIN_CLOTH, oval=0.60, side=_ACROSS)
