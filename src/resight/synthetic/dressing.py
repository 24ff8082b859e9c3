"""Describe the cloths of a detailed figure as numbers that a pixel needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resight.synthetic.clothes import Colour
from resight.synthetic.people import Person
from resight.synthetic.solids import (
    BAG,
    FACE_CLOTH,
    HAIR_CLOTH,
    HAT,
    INNER,
    LOWER,
    METAL,
    RUBBER,
    SCARF,
    SHOES,
    SKIN_CLOTH,
    SOLE,
    THING,
    THING_2,
    UPPER,
    Array,
)
from resight.synthetic.streams import stream
from resight.synthetic.wardrobe import CREASES, DRAPE, KNIT, SMOOTH, Garment

COLUMNS = 24
COLLARS = ("", "crew", "v", "shirt", "lapels", "stand", "hood")
_ROWS = 15
_BLACK = (0.02, 0.02, 0.022)


def dress(person: Person) -> Array:
    """Return the (15, 24) cloths of a person with a look.

    Columns: 0 to 2 colour, 3 to 5 second colour, 6 to 8 accent, 9 pattern, 10 period, 11 opening, 12 relief, 13 depth
    of folds in metres, 14 gloss, 15 fading, 16 grain, 17 and 18 position in the maps in metres, 19 collar, 20 length of
    the garment in metres, 21 form (0 to 1), 22 length of the sleeves, 23 belt.

    The row of the face has in columns 3 to 5 the hair, 6 to 8 the mask, 17 the hairline, 18 the temples, 19 beard, 20
    glasses, 21 mask, 22 the size of the head in metres, 23 make-up.
    """
    look, thing = person.look, person.thing
    assert look is not None
    rng = stream(person.number & 0xFFFF, "cloth positions")
    h = person.height / (0.868 + 0.132 * look.head)
    cloths = np.zeros((_ROWS, COLUMNS), np.float32)

    def plain(
        row: int, colour: Colour, relief: int = SMOOTH, depth: float = 0.0, gloss: float = 0.0, grain: float = 0.0,
        second: Colour | None = None,
    ) -> None:  # fmt: skip
        second = second or colour
        cloths[row, :17] = [*colour, *second, *second, 0, 0.1, 0, relief, depth, gloss, 0, grain]
        cloths[row, 17:19] = look.texture, 0.37 * row

    def worn(row: int, garment: Garment) -> None:
        g = garment
        values: Sequence[float] = [
            *g.colour, *g.second, *g.accent, g.pattern, g.period, g.opening, g.relief, g.depth, g.gloss, g.fade,
            g.grain, look.texture + 0.5 * row, rng.uniform(0, 2), COLLARS.index(g.collar), (0.82 - g.hem) * h,
            rng.random(), g.sleeve, float(rng.random() < 0.7),
        ]  # fmt: skip
        cloths[row] = values

    plain(SKIN_CLOTH, look.skin, SMOOTH, 0.002, 0.10)
    plain(HAIR_CLOTH, look.hair_colour, SMOOTH, 0.004, 0.35)
    worn(UPPER, look.upper)
    worn(INNER, look.inner)
    worn(LOWER, look.lower)
    plain(SHOES, look.shoe_colour, CREASES, 0.004, 0.25 if look.shoes in ("shoes", "boots") else 0.08)
    plain(SOLE, look.sole)
    plain(BAG, look.bag_colour, DRAPE, 0.012, 0.12, 0.06)
    plain(HAT, look.headwear_colour, KNIT if look.headwear == "beanie" else DRAPE, 0.010, 0.03, 0.06)
    if look.scarf is not None:
        plain(SCARF, look.scarf, DRAPE, 0.016, 0.0, 0.1)
    if thing is not None:
        plain(
            THING,
            thing.colour,
            DRAPE,
            0.010,
            0.30 if thing.kind in ("bicycle", "suitcase") else 0.12,
            0.03,
            thing.second,
        )
        plain(THING_2, thing.second, DRAPE, 0.008, 0.1, 0.03)
        if thing.helmet:
            plain(HAT, thing.second, SMOOTH, 0.0, 0.4)
    plain(METAL, (0.32, 0.33, 0.34), SMOOTH, 0.0, 0.5)
    plain(RUBBER, _BLACK, SMOOTH, 0.0, 0.1)
    _paint_head(cloths[FACE_CLOTH], person, h * look.head)
    return cloths


def _paint_head(row: Array, person: Person, size: float) -> None:
    """Fill the row of the face; see `dress`."""
    look = person.look
    assert look is not None
    hair = look.hair_colour
    # Hairline and temples are positions below the middle of the skull, in units of the height of the body.
    line, temples = {
        "bald": (-0.2, -0.2), "crop": (-0.024, 0.010), "receding": (-0.045, 0.012), "afro": (-0.020, 0.012),
        "long": (-0.028, 0.030), "bob": (-0.010, 0.030), "curly": (-0.018, 0.020),
    }.get(look.hair_style, (-0.024, 0.016))  # fmt: skip
    if look.headwear in ("headscarf", "hood"):
        hair = look.headwear_colour if look.headwear == "headscarf" else look.upper.colour
        line, temples = -0.020, 0.09
    row[:9] = [*look.skin, *hair, *(look.mask or look.skin)]
    row[10], row[14] = 0.1, 0.10
    row[17:] = [line, temples, look.beard, look.glasses, look.mask is not None, size, float(look.female)]
