"""Draw realistic clothes: garments with their cut, cloth and folds, at the frequencies of a `Style.wardrobe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.clothes import Colour

DYES: Mapping[str, Colour] = {
    "black": (0.030, 0.030, 0.033), "charcoal": (0.085, 0.086, 0.092), "grey": (0.25, 0.25, 0.26),
    "light grey": (0.50, 0.50, 0.50), "white": (0.80, 0.80, 0.79), "cream": (0.74, 0.68, 0.55),
    "beige": (0.55, 0.46, 0.33), "khaki": (0.36, 0.29, 0.17), "camel": (0.42, 0.26, 0.12),
    "brown": (0.13, 0.075, 0.04), "navy": (0.028, 0.042, 0.11), "blue": (0.06, 0.14, 0.40),
    "light blue": (0.34, 0.48, 0.68), "denim": (0.10, 0.155, 0.27), "dark denim": (0.04, 0.06, 0.115),
    "light denim": (0.27, 0.37, 0.50), "teal": (0.03, 0.22, 0.24), "green": (0.05, 0.20, 0.08),
    "olive": (0.13, 0.14, 0.06), "mustard": (0.52, 0.33, 0.05), "yellow": (0.80, 0.62, 0.08),
    "orange": (0.75, 0.25, 0.03), "red": (0.50, 0.03, 0.035), "maroon": (0.17, 0.02, 0.035),
    "pink": (0.74, 0.40, 0.45), "purple": (0.18, 0.07, 0.28), "lilac": (0.50, 0.40, 0.62),
    "neon yellow": (0.70, 0.90, 0.05), "neon orange": (0.95, 0.30, 0.03),
}  # fmt: skip
"""Colours of cloth, approximately linear RGB from 0 to 1."""

_MIX: Mapping[str, Mapping[str, str]] = {
    "city": {
        "upper": "black:26 charcoal:8 grey:9 light_grey:5 white:13 cream:2 beige:4 khaki:2 camel:2 brown:3 navy:11 "
        "blue:4 light_blue:4 teal:1 green:1.5 olive:3 mustard:0.8 yellow:0.6 orange:0.6 red:2.5 maroon:1.8 pink:2 "
        "purple:0.8 lilac:0.7",
        "lower": "black:30 charcoal:8 grey:6 light_grey:2 white:2 beige:4 khaki:3 brown:2 navy:9 olive:2 blue:1 "
        "green:0.4 red:0.4 maroon:0.5",
    },
    "campus": {
        "upper": "black:13 charcoal:5 grey:12 light_grey:7 white:15 cream:4 beige:3 khaki:2 camel:1 brown:3 navy:8 "
        "blue:6 light_blue:6 teal:3 green:4 olive:3 mustard:2 yellow:2 orange:1.5 red:5 maroon:3 pink:4 purple:2 "
        "lilac:2",
        "lower": "black:20 charcoal:6 grey:9 light_grey:3 white:3 beige:7 khaki:6 brown:3 navy:8 olive:4 blue:2 "
        "green:1 red:1 maroon:1",
    },
}
_JEANS = "denim:9 dark_denim:7 light_denim:5 black:3 grey:1.5 white:0.5"

PLAIN, STRIPED, PINSTRIPED, CHECKED, BLOCKS, PRINTED, SLEEVES, MOTTLED, BANDED, REFLECTIVE, NUMBERED, SIDE_STRIPE = (
    range(12)
)
"""Patterns of cloth, in the order of `PATTERN_WORDS`."""
PATTERN_WORDS = (
    "plain", "horizontally striped", "pinstriped", "checked", "two-tone", "printed", "with other sleeves", "mottled",
    "banded", "with reflective bands", "numbered", "with side stripes",
)  # fmt: skip
CLOSED, OPEN, ZIP, BUTTONS = range(4)
"""How a garment is closed in front."""
DRAPE, CREASES, VERTICAL, KNIT, QUILT, SMOOTH = range(6)
"""Layers of relief; see `resight.synthetic.textures`."""


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment.

    Attributes:
        name: Such as ``hoodie``.
        dye: Name of the main colour.
        colour: Main colour.
        second: Colour of the pattern.
        accent: Colour of prints, zips and seams.
        pattern: `PLAIN` to `SIDE_STRIPE`.
        period: Period of the pattern in metres.
        opening: `CLOSED` to `BUTTONS`.
        collar: ``crew``, ``v``, ``shirt``, ``lapels``, ``hood``, ``stand`` or empty.
        relief: `DRAPE` to `SMOOTH`.
        depth: Depth of the folds in metres.
        gloss: Strength of highlights, from 0 to 1.
        fade: Fading along thighs and knees, from 0 to 1.
        grain: Contrast of the fine texture, from 0 to 1.
        fit: Width relative to the body, from 1 (tight) to about 1.5.
        hem: Height of the lower edge, as a fraction of the body height.
        sleeve: Length of sleeves: 0 none, 0.75 upper arm, 1.5 rolled up to the middle of the forearm, 2 long.
    """

    name: str
    dye: str
    colour: Colour
    second: Colour
    accent: Colour
    pattern: int = PLAIN
    period: float = 0.1
    opening: int = CLOSED
    collar: str = ""
    relief: int = DRAPE
    depth: float = 0.012
    gloss: float = 0.0
    fade: float = 0.0
    grain: float = 0.05
    fit: float = 1.1
    hem: float = 0.5
    sleeve: float = 2.0

    def words(self) -> str:
        """Return a description, such as ``navy horizontally striped sweater``."""
        return f"{self.dye} {self.name}" if self.pattern == PLAIN else (
            f"{self.dye} {PATTERN_WORDS[self.pattern]} {self.name}"
        )  # fmt: skip


# Name: weights (city, campus, factor for women), fit, hem, sleeve, opening, collar, relief, depth, gloss.
_Upper = tuple[tuple[float, float, float], tuple[float, float], float, float, int, str, int, float, float]
_UPPERS: Mapping[str, _Upper] = {
    "T-shirt": ((20, 30, 0.9), (1.02, 1.25), 0.485, 0.80, CLOSED, "crew", DRAPE, 0.013, 0.0),
    "polo shirt": ((5, 4, 0.4), (1.05, 1.22), 0.485, 0.80, CLOSED, "shirt", DRAPE, 0.011, 0.0),
    "shirt": ((9, 6, 0.8), (1.05, 1.25), 0.475, 2.0, BUTTONS, "shirt", CREASES, 0.013, 0.02),
    "open shirt": ((3, 4, 0.9), (1.12, 1.35), 0.465, 2.0, OPEN, "shirt", CREASES, 0.013, 0.02),
    "blouse": ((2, 2, 3.0), (1.06, 1.22), 0.49, 2.0, CLOSED, "v", DRAPE, 0.013, 0.04),
    "sweater": ((9, 9, 1.2), (1.10, 1.32), 0.485, 2.0, CLOSED, "crew", KNIT, 0.012, 0.0),
    "cardigan": ((3, 3, 2.0), (1.10, 1.28), 0.45, 2.0, OPEN, "v", KNIT, 0.012, 0.0),
    "hoodie": ((9, 16, 0.8), (1.18, 1.42), 0.475, 2.0, CLOSED, "hood", DRAPE, 0.017, 0.0),
    "zip hoodie": ((5, 7, 0.8), (1.16, 1.36), 0.475, 2.0, ZIP, "hood", DRAPE, 0.016, 0.0),
    "jacket": ((11, 7, 0.8), (1.18, 1.36), 0.48, 2.0, ZIP, "stand", CREASES, 0.015, 0.10),
    "open jacket": ((8, 6, 1.0), (1.18, 1.38), 0.475, 2.0, OPEN, "stand", CREASES, 0.015, 0.08),
    "denim jacket": ((3, 4, 1.2), (1.12, 1.28), 0.50, 2.0, OPEN, "shirt", CREASES, 0.013, 0.0),
    "leather jacket": ((3, 1.5, 0.9), (1.10, 1.22), 0.50, 2.0, OPEN, "lapels", CREASES, 0.013, 0.5),
    "puffer jacket": ((8, 5, 1.0), (1.32, 1.55), 0.48, 2.0, ZIP, "stand", QUILT, 0.016, 0.16),
    "puffer vest": ((1.5, 1, 0.8), (1.25, 1.4), 0.485, 0.0, ZIP, "stand", QUILT, 0.016, 0.12),
    "suit jacket": ((6, 2, 0.6), (1.12, 1.24), 0.455, 2.0, OPEN, "lapels", SMOOTH, 0.010, 0.02),
    "long coat": ((7, 3, 1.6), (1.16, 1.34), 0.33, 2.0, OPEN, "lapels", VERTICAL, 0.012, 0.02),
    "closed coat": ((4, 2, 1.5), (1.16, 1.34), 0.34, 2.0, BUTTONS, "stand", VERTICAL, 0.012, 0.02),
    "tank top": ((2, 3, 1.6), (1.0, 1.12), 0.49, 0.0, CLOSED, "v", DRAPE, 0.011, 0.0),
    "dress": ((0, 0, 1.0), (1.02, 1.15), 0.33, 0.78, CLOSED, "v", VERTICAL, 0.013, 0.02),
}  # fmt: skip
# Name: weights (city, campus, factor for women), fit, lower end of the legs or hem, relief, depth.
_LOWERS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float], float, int, float]] = {
    "jeans": ((30, 32, 1.0), (1.0, 1.28), 0.045, CREASES, 0.013),
    "trousers": ((22, 14, 0.9), (1.05, 1.38), 0.035, DRAPE, 0.015),
    "suit trousers": ((8, 2, 0.4), (1.14, 1.3), 0.03, VERTICAL, 0.012),
    "wide trousers": ((5, 5, 2.2), (1.5, 1.9), 0.03, VERTICAL, 0.016),
    "joggers": ((9, 12, 0.8), (1.12, 1.4), 0.05, DRAPE, 0.017),
    "leggings": ((5, 7, 3.0), (0.94, 1.0), 0.06, SMOOTH, 0.005),
    "shorts": ((8, 14, 0.7), (1.15, 1.4), 0.31, DRAPE, 0.014),
    "skirt": ((1.5, 2, 4.0), (1.0, 1.25), 0.33, VERTICAL, 0.014),
    "long skirt": ((1, 0.6, 5.0), (1.0, 1.25), 0.09, VERTICAL, 0.017),
}


@lru_cache(maxsize=256)
def _read_mix(mix: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the names of a mix and their probabilities."""
    entries = [entry.split(":") for entry in mix.split()]
    shares = np.array([weight for _, weight in entries], float)
    return tuple(name.replace("_", " ") for name, _ in entries), shares / shares.sum()


def pick(rng: np.random.Generator, mix: str) -> str:
    """Return a name drawn from a mix such as ``black:3 light_grey:1``, in which the numbers are relative weights."""
    names, shares = _read_mix(mix)
    return names[rng.choice(len(names), p=shares)]


def shade_of(rng: np.random.Generator, dye: str, spread: float = 1.0) -> Colour:
    """Return a colour near that of a dye: lighter or darker, and slightly of another hue."""
    colour = np.array(DYES[dye]) * np.exp(spread * rng.normal(0, 0.16)) * np.exp(spread * rng.normal(0, 0.06, 3))
    red, green, blue = (float(value) for value in np.clip(colour, 0.012, 0.92))
    return red, green, blue


def _by_weight(
    rng: np.random.Generator, weights: Mapping[str, tuple[float, float, float]], wardrobe: str, female: bool
) -> str:
    column = ("city", "campus").index(wardrobe)
    share = np.array([w[column] * (w[2] if female else min(1.0, 2.2 - w[2])) for w in weights.values()])
    share = np.clip(share, 0, None)
    return list(weights)[rng.choice(len(share), p=share / share.sum())]


def _contrast(rng: np.random.Generator, colour: Colour, wardrobe: str) -> Colour:
    """Return a second colour that differs visibly from the first."""
    for _ in range(20):
        second = shade_of(rng, pick(rng, _MIX[wardrobe]["upper"] + " white:15 black:8"))
        if np.abs(np.sqrt(second) - np.sqrt(colour)).max() > 0.22:
            break
    return second


def draw_upper(rng: np.random.Generator, wardrobe: str, female: bool, name: str = "", dye: str = "") -> Garment:
    """Draw an upper garment.

    Args:
        rng: Random number generator.
        wardrobe: Frequencies, ``city`` or ``campus``.
        female: Whether it is for a woman, which changes the frequencies.
        name: Kind of garment; empty draws it.
        dye: Main colour; empty draws it.
    """
    name = name or _by_weight(rng, {k: v[0] for k, v in _UPPERS.items()}, wardrobe, female)
    _, fit, hem, sleeve, opening, collar, relief, depth, gloss = _UPPERS[name]
    if not dye:
        mix = _MIX[wardrobe]["upper"]
        if name == "denim jacket":
            mix = "denim:4 dark_denim:2 light_denim:3 black:1"
        elif name in ("suit jacket", "long coat", "closed coat", "leather jacket"):
            mix = "black:9 charcoal:5 navy:5 grey:3 camel:2 beige:1.5 brown:2 olive:0.6 maroon:0.3 cream:0.4"
        dye = pick(rng, mix)
    colour = shade_of(rng, dye)
    pattern = PLAIN
    if name in ("T-shirt", "sweater", "polo shirt", "hoodie", "zip hoodie", "tank top"):
        pattern = (PLAIN, STRIPED, BLOCKS, PRINTED, SLEEVES, MOTTLED, BANDED, NUMBERED)[
            rng.choice(8, p=np.array((12, 2.2, 1, 6, 0.7, 0.8, 0.9, 0.5)) / 24.1)
        ]
    elif name in ("shirt", "open shirt", "blouse", "dress"):
        pattern = (PLAIN, STRIPED, PINSTRIPED, CHECKED, MOTTLED)[rng.choice(5, p=(0.60, 0.06, 0.09, 0.19, 0.06))]
    elif name in ("jacket", "puffer jacket", "open jacket"):
        pattern = (PLAIN, BLOCKS, BANDED, SLEEVES)[rng.choice(4, p=(0.82, 0.09, 0.05, 0.04))]
    elif name in ("suit jacket", "long coat", "closed coat") and rng.random() < 0.12:
        pattern = CHECKED
    second = _contrast(rng, colour, wardrobe)
    if sleeve == 2.0 and name in ("shirt", "open shirt", "blouse", "sweater", "hoodie") and rng.random() < 0.25:
        sleeve = 1.5
    if name == "dress":
        sleeve = float(rng.choice((0.0, 0.5, 0.8, 2.0)))
        hem = float(rng.choice((0.33, 0.30, 0.22, 0.10), p=(0.4, 0.3, 0.15, 0.15)))
    if name == "puffer jacket" and rng.random() < 0.25:
        hem = 0.36
    return Garment(
        name, dye, colour, second,
        accent=second if rng.random() < 0.5 else shade_of(rng, pick(rng, "black:3 white:3 grey:2 charcoal:2")),
        pattern=pattern,
        period=float(rng.choice((0.02, 0.035, 0.06, 0.1, 0.16), p=(0.15, 0.25, 0.25, 0.2, 0.15))),
        opening=opening, collar=collar, relief=relief,
        depth=depth * float(rng.uniform(0.6, 1.3)),
        gloss=gloss * float(rng.uniform(0.5, 1.5)),
        grain=float(rng.uniform(*((0.04, 0.13) if name in ("sweater", "suit jacket") else (0.01, 0.09)))),
        fit=float(rng.uniform(*fit)),
        hem=hem + float(rng.normal(0, 0.008)),
        sleeve=sleeve,
    )  # fmt: skip


def draw_lower(rng: np.random.Generator, wardrobe: str, female: bool, name: str = "", dye: str = "") -> Garment:
    """Draw a lower garment. Arguments as for `draw_upper`."""
    name = name or _by_weight(rng, {k: v[0] for k, v in _LOWERS.items()}, wardrobe, female)
    _, fit, hem, relief, depth = _LOWERS[name]
    mixes = {
        "jeans": _JEANS,
        "leggings": "black:12 charcoal:2 navy:1 grey:1",
        "suit trousers": "black:8 charcoal:5 navy:5 grey:3 brown:1 beige:1",
    }
    dye = dye or pick(rng, mixes.get(name, _MIX[wardrobe]["lower"]))
    if name == "shorts" and rng.random() < 0.3:
        dye = pick(rng, _JEANS)
    colour = shade_of(rng, dye)
    pattern = PLAIN
    if name == "joggers" and rng.random() < 0.3:
        pattern = SIDE_STRIPE
    elif name in ("skirt", "long skirt", "wide trousers", "shorts") and rng.random() < 0.2:
        pattern = (CHECKED, MOTTLED, PINSTRIPED)[rng.integers(3)]
    elif name == "trousers" and rng.random() < 0.05:
        pattern = MOTTLED
    denim = "denim" in dye or name == "jeans"
    return Garment(
        name, dye, colour, _contrast(rng, colour, wardrobe),
        accent=shade_of(rng, pick(rng, "white:4 black:2 grey:1 red:0.5 brown:1")),
        pattern=pattern,
        period=float(rng.uniform(0.03, 0.12)),
        relief=relief,
        depth=depth * float(rng.uniform(0.6, 1.3)),
        gloss=0.05 if name == "leggings" else 0.0,
        fade=float(rng.uniform(0.1, 0.9)) if denim else 0.0,
        grain=float(rng.uniform(0.05, 0.13)) if denim else float(rng.uniform(0.01, 0.08)),
        fit=float(rng.uniform(*fit)),
        hem=hem + (float(rng.uniform(-0.02, 0.06)) if name in ("skirt", "shorts") else float(rng.uniform(0, 0.02))),
    )  # fmt: skip


def draw_uniform(rng: np.random.Generator, wardrobe: str) -> tuple[Garment, Garment]:
    """Draw a uniform: school, office, work clothes with a high-visibility vest, or sports team."""
    kind = rng.integers(5)
    if kind == 0:
        upper = draw_upper(rng, wardrobe, False, ("shirt", "polo shirt", "sweater", "suit jacket")[rng.integers(4)],
                           pick(rng, "white:4 navy:4 light_blue:2 maroon:1 green:1 grey:1"))  # fmt: skip
        return replace(upper, pattern=PLAIN), draw_lower(
            rng, wardrobe, False, "trousers", pick(rng, "grey:2 navy:2 black:1")
        )
    if kind == 1:
        upper = draw_upper(rng, wardrobe, False, ("suit jacket", "shirt")[rng.integers(2)])
        return replace(upper, pattern=PLAIN), draw_lower(rng, wardrobe, False, "suit trousers", "black")
    if kind == 2:
        dye = ("neon yellow", "neon orange")[rng.integers(2)]
        upper = draw_upper(rng, wardrobe, False, ("jacket", "T-shirt", "puffer vest")[rng.integers(3)], dye)
        upper = replace(upper, pattern=REFLECTIVE, second=(0.62, 0.64, 0.64), relief=CREASES, grain=0.02)
        return upper, draw_lower(rng, wardrobe, False, "trousers", pick(rng, "navy:3 black:2 grey:2 khaki:1 olive:1"))
    if kind == 3:
        upper = draw_upper(
            rng, wardrobe, False, "T-shirt", pick(rng, "red:3 blue:3 white:2 yellow:1 green:1 black:1 light_blue:1")
        )
        pattern = (NUMBERED, STRIPED, SLEEVES)[rng.choice(3, p=(0.6, 0.2, 0.2))]
        lower = draw_lower(
            rng, wardrobe, False, ("shorts", "joggers")[rng.integers(2)], pick(rng, "black:2 navy:1 white:1 blue:1")
        )
        return replace(upper, pattern=pattern, period=0.12), lower
    upper = draw_upper(rng, wardrobe, False, ("jacket", "polo shirt", "hoodie")[rng.integers(3)])
    return replace(upper, pattern=PRINTED), draw_lower(rng, wardrobe, False, "trousers")
