"""Draw the clothes, hair, bag and hat of a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]

COLOURS: Mapping[str, tuple[Colour, float, float]] = {
    "black": ((0.06, 0.06, 0.07), 4.0, 5.0),
    "charcoal": ((0.20, 0.20, 0.22), 2.0, 3.0),
    "grey": ((0.46, 0.46, 0.47), 2.5, 2.5),
    "white": ((0.92, 0.92, 0.90), 3.5, 1.0),
    "navy": ((0.08, 0.11, 0.30), 2.0, 4.0),
    "blue": ((0.13, 0.30, 0.72), 2.5, 3.0),
    "light blue": ((0.50, 0.70, 0.92), 1.5, 1.5),
    "teal": ((0.05, 0.50, 0.50), 1.0, 0.4),
    "green": ((0.12, 0.50, 0.18), 1.5, 0.4),
    "olive": ((0.36, 0.38, 0.16), 1.0, 1.2),
    "yellow": ((0.95, 0.82, 0.15), 1.2, 0.3),
    "orange": ((0.95, 0.48, 0.10), 1.0, 0.2),
    "red": ((0.80, 0.08, 0.09), 2.5, 0.7),
    "maroon": ((0.40, 0.05, 0.10), 1.0, 0.6),
    "pink": ((0.95, 0.55, 0.68), 1.5, 0.4),
    "purple": ((0.42, 0.18, 0.58), 1.2, 0.4),
    "brown": ((0.36, 0.22, 0.12), 1.0, 1.5),
    "beige": ((0.80, 0.70, 0.52), 1.2, 2.0),
}
"""Colours of clothes: approximately linear RGB from 0 to 1, and relative frequency on the upper and the lower body."""
HAIR: Mapping[str, Colour] = {
    "black": (0.05, 0.04, 0.04),
    "dark brown": (0.16, 0.10, 0.06),
    "brown": (0.32, 0.20, 0.11),
    "blond": (0.78, 0.62, 0.34),
    "red": (0.52, 0.21, 0.08),
    "grey": (0.62, 0.61, 0.60),
}
PATTERNS = (
    "plain", "horizontally striped", "vertically striped", "checked", "two-tone", "printed",
    "dotted", "mottled", "banded", "with other sleeves",
)  # fmt: skip
"""Patterns of cloth. Only styles with `patterns` use those after the first six."""
UPPERS = ("T-shirt", "shirt", "open jacket", "long coat", "vest")
LOWERS = ("trousers", "shorts", "skirt", "long skirt")
HAIR_STYLES = ("short", "long", "ponytail", "bun", "bald")
BAGS = ("no bag", "backpack", "shoulder bag", "handbag", "suitcase")
HATS = ("no hat", "cap", "beanie", "brimmed hat", "hood")


@dataclass(frozen=True, slots=True)
class Cloth:
    """Cloth of a garment.

    Attributes:
        colour: Main colour, a key of `COLOURS`.
        second: Colour of the pattern, a key of `COLOURS`.
        pattern: One of `PATTERNS`.
        size: Period of the pattern in metres.
    """

    colour: str
    second: str
    pattern: str
    size: float

    def words(self) -> str:
        """Return a description, such as ``red and white horizontally striped``."""
        return self.colour if self.pattern == "plain" else f"{self.colour} and {self.second} {self.pattern}"


@dataclass(frozen=True, slots=True)
class Outfit:
    """Clothes, hair, bag and hat of a person. Colours are keys of `COLOURS`.

    Attributes:
        upper: One of `UPPERS`.
        upper_cloth: Cloth of the upper garment.
        inner_colour: Colour of what is visible below an open jacket or a coat.
        lower: One of `LOWERS`.
        lower_cloth: Cloth of the lower garment.
        shoes: Colour of the shoes.
        hair_style: One of `HAIR_STYLES`.
        hair: Colour of the hair, a key of `HAIR`.
        bag: One of `BAGS`.
        bag_colour: Colour of the bag.
        hat: One of `HATS`.
        hat_colour: Colour of the hat.
    """

    upper: str
    upper_cloth: Cloth
    inner_colour: str
    lower: str
    lower_cloth: Cloth
    shoes: str
    hair_style: str
    hair: str
    bag: str
    bag_colour: str
    hat: str
    hat_colour: str


def _pick(rng: np.random.Generator, options: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return options[rng.choice(len(options), p=np.array(weights) / sum(weights))]


def _colour(rng: np.random.Generator, column: int) -> str:
    """Draw a colour by its frequency on the upper (column 0) or the lower body (column 1)."""
    return _pick(rng, tuple(COLOURS), tuple((upper, lower)[column] for _, upper, lower in COLOURS.values()))


def _contrast(rng: np.random.Generator, colour: str) -> str:
    """Draw a second colour that differs clearly from the first."""
    first = np.array(COLOURS[colour][0])
    names = tuple(n for n, (rgb, _, _) in COLOURS.items() if np.abs(first - rgb).max() > 0.35)
    return names[rng.integers(len(names))]


def _cloth(rng: np.random.Generator, column: int, weights: tuple[float, ...]) -> Cloth:
    colour = _colour(rng, column)
    pattern = _pick(rng, PATTERNS[:6], weights)
    return Cloth(colour, _contrast(rng, colour), pattern, float(rng.uniform(0.10, 0.20)))


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Draw everything that a person wears and carries."""
    upper = _pick(rng, UPPERS, (4, 3, 2.5, 1.3, 0.7))
    lower = _pick(rng, LOWERS, (6, 2.2, 1.4, 0.7))
    return Outfit(
        upper=upper,
        upper_cloth=_cloth(rng, 0, (5, 2, 1, 1.2, 1.2, 2) if upper != "long coat" else (5, 0.3, 0.3, 1, 0.6, 0.2)),
        inner_colour=_colour(rng, 0),
        lower=lower,
        lower_cloth=_cloth(rng, 1, (8, 0.4, 0.5, 0.6, 0.4, 0)),
        shoes=_pick(rng, ("black", "white", "brown", "red", "blue", "grey", "yellow"), (4, 4, 2, 1, 1, 1, 0.6)),
        hair_style=_pick(rng, HAIR_STYLES, (5, 2.4, 1.2, 0.8, 0.6)),
        hair=_pick(rng, tuple(HAIR), (4, 3, 2, 1.4, 0.6, 0.8)),
        bag=_pick(rng, BAGS, (4, 3, 1.6, 1.2, 0.8)),
        bag_colour=_colour(rng, 0),
        hat=_pick(rng, HATS, (7, 1.4, 0.8, 0.7, 0.7)),
        hat_colour=_colour(rng, 0),
    )


def change_one_item(base: Outfit, rng: np.random.Generator) -> Outfit:
    """Return an outfit that differs from `base` in one item."""
    other = draw_outfit(rng)
    kind = rng.integers(7)
    if kind == 0:
        shoes = [colour for colour in ("black", "white", "red") if colour != base.shoes]
        return replace(base, shoes=shoes[rng.integers(len(shoes))])
    if kind == 1:
        bag = BAGS[(BAGS.index(base.bag) + rng.integers(1, len(BAGS))) % len(BAGS)]
        return replace(base, bag=bag, bag_colour=_contrast(rng, base.upper_cloth.colour))
    if kind == 2:
        hat = HATS[(HATS.index(base.hat) + rng.integers(1, len(HATS))) % len(HATS)]
        return replace(base, hat=hat)
    if kind == 3:
        return replace(base, hair_style=other.hair_style, hair=other.hair, hat="no hat")
    if kind == 4:
        return replace(base, lower_cloth=replace(base.lower_cloth, colour=_contrast(rng, base.lower_cloth.colour)))
    if kind == 5:
        lower = "shorts" if base.lower == "trousers" else "trousers"
        return replace(base, lower=lower)
    pattern = "plain" if base.upper_cloth.pattern != "plain" else _pick(rng, PATTERNS[1:6], (1, 1, 1, 1, 1))
    return replace(base, upper_cloth=replace(base.upper_cloth, pattern=pattern))


def vary_cloth(rng: np.random.Generator, cloth: Cloth, garment: str) -> Cloth:
    """Return a cloth with a varied pattern size and, in about a third of the cases, one of the additional patterns.

    Args:
        rng: Random number generator.
        cloth: The cloth.
        garment: Garment made of it, one of `UPPERS` or `LOWERS`.
    """
    cloth = replace(cloth, size=float(cloth.size * np.exp(rng.normal(0, 0.5))))
    if rng.random() > 0.35:
        return cloth
    patterns = PATTERNS[6:] if garment in UPPERS else PATTERNS[6:9]
    return replace(cloth, pattern=patterns[rng.integers(len(patterns))])
