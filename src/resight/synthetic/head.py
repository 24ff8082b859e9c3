"""Build the head of a detailed figure: skull, nose, ears, hair and headwear. The face itself is painted."""

from __future__ import annotations

from resight.synthetic.looks import Look
from resight.synthetic.pose import Pose
from resight.synthetic.solids import (
    FACE,
    FACE_CLOTH,
    HAIR,
    HAIR_CLOTH,
    HARD,
    HAT,
    SKIN_CLOTH,
    UPPER,
    YOKE,
    SolidsBuilder,
)

FACE_TOP = 0.946
"""Height of the middle of the skull, from which positions in the face are measured, as a fraction of the height."""


def add_head(build: SolidsBuilder, look: Look, pose: Pose, helmet: bool) -> None:
    """Add the solids of the head.

    Args:
        build: Receives the solids.
        look: The look.
        pose: The pose.
        helmet: Whether the person wears a helmet in this tracklet.
    """
    head, side = pose.head, pose.facing
    h = pose.h * look.head
    broad = 0.97 if look.female else 1.0
    build.add(
        head(0, FACE_TOP, 0.006), head(0, 0.900, 0.020), (0.0465 * broad * h, 0.0315 * broad * h), FACE_CLOTH,
        oval=1.22, side=side, paint=FACE,
    )  # fmt: skip
    build.add(head(0, 0.930, 0.062), head(0, 0.914, 0.067), (0.0055 * h, 0.0085 * h), SKIN_CLOTH, side=side)
    wear = "helmet" if helmet else look.headwear
    if wear == "hood" and look.upper.collar not in ("hood", "stand"):
        wear = "none"
    covered = wear in ("headscarf", "hood")
    if not covered:
        for sign in (-1, 1):
            build.add(
                head(sign * 0.0455 * broad, 0.930, 0.000), head(sign * 0.0445 * broad, 0.913, 0.004),
                (0.0095 * h, 0.007 * h), SKIN_CLOTH, oval=0.6, side=(0, 0, 1),
            )  # fmt: skip
        _hair(build, look, pose, h, wear != "none")
    _headwear(build, wear, pose, h)


def _hair(build: SolidsBuilder, look: Look, pose: Pose, h: float, hat: bool) -> None:
    head, side, style = pose.head, pose.facing, look.hair_style

    def lock(
        a: tuple[float, float, float], b: tuple[float, float, float], radii: tuple[float, float], oval: float = 1.0
    ) -> None:
        build.add(head(*a), head(*b), (radii[0] * h, radii[1] * h), HAIR_CLOTH, oval=oval, side=side, paint=HAIR)

    if style == "bald":
        return
    volume = {"crop": 0.0475, "receding": 0.0475, "afro": 0.052, "curly": 0.054}.get(style, 0.0505)
    if style == "afro" and not hat:
        lock((0, 0.965, -0.010), (0, 0.945, -0.018), (0.072, 0.070), 1.05)
        return
    # The cap of hair lies behind the hairline, which is painted on the skull.
    if not hat:
        lock((0, 0.956, -0.004), (0, 0.926, -0.014), (volume, volume * 0.92), 1.14)
    else:
        lock((0, 0.940, -0.010), (0, 0.915, -0.014), (0.046, 0.040), 1.12)
    if style in ("short", "curly") and not hat:
        lock((-0.012, 0.976, 0.028), (0.014, 0.974, 0.030), (0.024, 0.022), 1.0)
    if style in ("long", "bob", "curly") and (look.female or style == "long"):
        low = {"long": 0.80, "bob": 0.878, "curly": 0.84}[style]
        lock((0, 0.935, -0.024), (0, low, -0.046), (0.049, 0.052 if style != "curly" else 0.060), 0.72)
        for sign in (-1, 1):
            lock((sign * 0.040, 0.945, -0.004), (sign * 0.046, low + 0.012, 0.004), (0.018, 0.019), 1.3)
    elif style == "ponytail":
        lock((0, 0.958, -0.058), (0, 0.940, -0.074), (0.020, 0.020))
        lock((0, 0.945, -0.074), (0, 0.845, -0.082), (0.020, 0.012))
    elif style == "bun":
        lock((0, 0.975, -0.052), (0, 0.972, -0.056), (0.026, 0.026))


def _headwear(build: SolidsBuilder, wear: str, pose: Pose, h: float) -> None:
    head, side = pose.head, pose.facing
    if wear == "cap":
        build.add(
            head(0, 0.968, 0.002), head(0, 0.952, 0.002), (0.0495 * h, 0.0500 * h), HAT, oval=1.2, side=side, flat=True
        )
        build.add(
            head(0, 0.957, 0.045), head(0, 0.948, 0.092), (0.040 * h, 0.034 * h), HAT, oval=0.16, side=side, paint=HARD
        )
    elif wear == "beanie":
        build.add(
            head(0, 0.975, -0.002),
            head(0, 0.948, 0.000),
            (0.0465 * h, 0.0515 * h),
            HAT,
            oval=1.2,
            side=side,
            flat=True,
            creases=(0.6, 0.9),
        )
    elif wear == "brimmed hat":
        build.add(head(0, 0.985, 0.002), head(0, 0.962, 0.002), (0.044 * h, 0.050 * h), HAT, oval=1.2, side=side)
        build.add(head(0, 0.960, -0.012), head(0, 0.957, 0.022), (0.084 * h, 0.084 * h), HAT, oval=0.09, side=side)
    elif wear == "helmet":
        build.add(
            head(0, 0.968, 0.006), head(0, 0.962, -0.012), (0.058 * h, 0.056 * h), HAT, oval=1.1, side=side, paint=HARD
        )
    elif wear == "hood":
        build.add(
            head(0, 0.958, -0.010),
            head(0, 0.875, -0.018),
            (0.056 * h, 0.060 * h),
            UPPER,
            oval=1.05,
            side=side,
            paint=YOKE,
            creases=(0.5, 1.0),
        )
    elif wear == "headscarf":
        build.add(
            head(0, 0.954, -0.004),
            head(0, 0.895, -0.010),
            (0.0530 * h, 0.0500 * h),
            HAT,
            oval=1.15,
            side=side,
            creases=(0.3, 0.9),
        )
        build.add(
            head(0, 0.885, 0.010),
            pose.trunk(0, 0.815, 0.004),
            (0.046 * h, 0.074 * h),
            HAT,
            oval=0.82,
            side=side,
            flat=True,
            creases=(1.1, 1.1),
        )
