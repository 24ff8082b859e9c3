"""Who lives in the world: bodies, walks and clothes, drawn from a seed and told in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style

Colour = tuple[float, float, float]

# Linear-ish RGB in 0 … 1, and how often the colour is worn as (top, bottom).
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
SKIN: tuple[Colour, ...] = (
    (0.93, 0.74, 0.62), (0.88, 0.66, 0.52), (0.78, 0.56, 0.42),
    (0.62, 0.42, 0.29), (0.45, 0.29, 0.20), (0.30, 0.19, 0.13),
)  # fmt: skip
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
"""The first six are worn in the streets, all of them anywhere."""
UPPERS = ("T-shirt", "shirt", "open jacket", "long coat", "vest")
LOWERS = ("trousers", "shorts", "skirt", "long skirt")
HAIR_STYLES = ("short", "long", "ponytail", "bun", "bald")
BAGS = ("no bag", "backpack", "shoulder bag", "handbag", "suitcase")
HATS = ("no hat", "cap", "beanie", "brimmed hat", "hood")


@dataclass(frozen=True, slots=True)
class Cloth:
    """What one garment is made of.

    Attributes:
        colour: name of the main colour, a key of `COLOURS`.
        second: name of the colour of the pattern.
        pattern: one of `PATTERNS`.
        size: period of the pattern in metres.
    """

    colour: str
    second: str
    pattern: str
    size: float

    def words(self) -> str:
        """Such as ``red and white horizontally striped``."""
        return self.colour if self.pattern == "plain" else f"{self.colour} and {self.second} {self.pattern}"


@dataclass(frozen=True, slots=True)
class Outfit:
    """Everything that a person wears and carries, and the hair.

    Attributes:
        upper: one of `UPPERS`, made of `upper_cloth`; an open jacket and a coat show `inner_colour` beneath.
        lower: one of `LOWERS`, made of `lower_cloth`.
        shoes: name of their colour.
        hair_style: one of `HAIR_STYLES`, in `hair`, a key of `HAIR`.
        bag: one of `BAGS`, in `bag_colour`.
        hat: one of `HATS`, in `hat_colour`.
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


@dataclass(frozen=True, slots=True)
class Person:
    """One person that never lived.

    Attributes:
        number: person number, unique in the world; negative for a passer-by who is in no list.
        outfit: clothes, bag and hair.
        height: metres.
        girth: width against the average, about 0.85 … 1.3.
        skin: RGB in 0 … 1.
        stride: length of two steps against body height.
        arm_swing: radians.
        stoop: forward lean of the trunk, radians.
        speed: metres per second.
        dye: (8, 6) factors, then (8, 6) summands, on both colours of the cloths of `body.Solids`; empty for none.
        folds: how much darker or lighter folds make cloth, 0 … 0.3.
    """

    number: int
    outfit: Outfit
    height: float
    girth: float
    skin: Colour
    stride: float
    arm_swing: float
    stoop: float
    speed: float
    dye: tuple[float, ...] = ()
    folds: float = 0.0

    def words(self) -> str:
        """The person in one line, as a witness would tell it."""
        o = self.outfit
        size = "short" if self.height < 1.62 else "tall" if self.height > 1.80 else "middle-sized"
        build = "slim" if self.girth < 0.95 else "heavy" if self.girth > 1.13 else "ordinary"
        hair = "bald" if o.hair_style == "bald" else f"{o.hair_style} {o.hair} hair"
        beneath = f" over {o.inner_colour}" if o.upper in ("open jacket", "long coat") else ""
        parts = [f"{size}, {build}", hair, f"{o.upper_cloth.words()} {o.upper}{beneath}"]
        parts += [f"{o.lower_cloth.words()} {o.lower}", f"{o.shoes} shoes"]
        parts += [f"{o.bag_colour} {o.bag}"] if o.bag != "no bag" else []
        parts += [f"{o.hat_colour} {o.hat}"] if o.hat != "no hat" else []
        return "; ".join(parts)


def person(seed: int, number: int, group: int | None = None, style: Style = STREETS) -> Person:
    """Draw one person.

    Args:
        seed: of the world.
        number: person number.
        group: persons of one group are dressed alike but for one thing each; None: dressed on their own.
        style: of the world.
    """
    rng = stream(seed, "person", number)
    outfit = _outfit(rng) if group is None else _one_difference(_outfit(stream(seed, "group", group)), rng)
    # what a style adds is drawn apart, by those dressed alike together
    cloth = stream(seed, "cloth", number) if group is None else stream(seed, "cloth of group", group)
    if style.patterns:
        outfit = replace(outfit, upper_cloth=_any_cloth(cloth, outfit.upper_cloth, outfit.upper),
                         lower_cloth=_any_cloth(cloth, outfit.lower_cloth, outfit.lower))  # fmt: skip
    drawn = Person(
        number=number,
        outfit=outfit,
        height=float(np.clip(rng.normal(1.71, 0.09), 1.48, 1.98)),
        girth=float(np.clip(rng.normal(1.03, 0.11), 0.84, 1.34)),
        skin=SKIN[rng.choice(len(SKIN), p=(0.2, 0.26, 0.2, 0.14, 0.1, 0.1))],
        stride=float(rng.uniform(0.72, 0.92)),
        arm_swing=float(rng.uniform(0.12, 0.55)),
        stoop=float(rng.uniform(-0.02, 0.14)),
        speed=float(rng.uniform(1.0, 1.6)),
        dye=_dye(cloth, style.dyes) if style.dyes else (),
        folds=float(cloth.uniform(0, 0.3)) if style.patterns else 0.0,
    )
    return _another_body(stream(seed, "body", number), drawn, style.bodies) if style.bodies else drawn


def _any_cloth(rng: np.random.Generator, cloth: Cloth, garment: str) -> Cloth:
    """A third of the cloths get a pattern that no street knows; sizes vary more."""
    cloth = replace(cloth, size=float(cloth.size * np.exp(rng.normal(0, 0.5))))
    if rng.random() > 0.35:
        return cloth
    extra = PATTERNS[6:] if garment in UPPERS else PATTERNS[6:9]
    return replace(cloth, pattern=extra[rng.integers(len(extra))])


def _dye(rng: np.random.Generator, strength: float) -> tuple[float, ...]:
    """Each garment darker or lighter, and of another hue; skin and hair less so."""
    much = np.array([0.3, 0.5, 1, 1, 1, 1, 1, 1])[:, None] * strength
    factor = np.exp(rng.normal(0, 0.35, (8, 1)) * much) * np.exp(rng.normal(0, 0.12, (8, 6)) * much)
    summand = rng.normal(0, 0.10, (8, 6)) * much
    return tuple(float(one) for one in np.concatenate([factor.ravel(), summand.ravel()]))


def _another_body(rng: np.random.Generator, person: Person, strength: float) -> Person:
    """The same person, less average."""
    far = strength * rng.normal(0, 1, 6)
    return replace(
        person,
        height=float(np.clip(person.height * (1 + 0.05 * far[0]), 1.35, 2.05)),
        girth=float(np.clip(person.girth * (1 + 0.12 * far[1]), 0.78, 1.5)),
        stride=float(np.clip(person.stride * (1 + 0.12 * far[2]), 0.5, 1.05)),
        arm_swing=float(np.clip(person.arm_swing * (1 + 0.5 * far[3]), 0.0, 0.8)),
        stoop=float(np.clip(person.stoop + 0.05 * far[4], -0.05, 0.3)),
        speed=float(np.clip(person.speed * (1 + 0.3 * far[5]), 0.3, 2.4)),
    )


def _pick(rng: np.random.Generator, words: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return words[rng.choice(len(words), p=np.array(weights) / sum(weights))]


def _colour(rng: np.random.Generator, column: int, without: str = "") -> str:
    names = tuple(name for name in COLOURS if name != without)
    return _pick(rng, names, tuple(float((COLOURS[n][1], COLOURS[n][2])[column]) for n in names))


def _contrast(rng: np.random.Generator, colour: str) -> str:
    """A second colour that can be told from the first at a distance."""
    first = np.array(COLOURS[colour][0])
    names = tuple(n for n, (rgb, _, _) in COLOURS.items() if np.abs(first - rgb).max() > 0.35)
    return names[rng.integers(len(names))]


def _cloth(rng: np.random.Generator, column: int, weights: tuple[float, ...]) -> Cloth:
    colour = _colour(rng, column)
    pattern = _pick(rng, PATTERNS[:6], weights)
    return Cloth(colour, _contrast(rng, colour), pattern, float(rng.uniform(0.10, 0.20)))


def _outfit(rng: np.random.Generator) -> Outfit:
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


def _one_difference(base: Outfit, rng: np.random.Generator) -> Outfit:
    other = _outfit(rng)
    kind = rng.integers(7)
    if kind == 0:
        others = [shoes for shoes in ("black", "white", "red") if shoes != base.shoes]
        return replace(base, shoes=others[rng.integers(len(others))])
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


def person_of(seed: int, number: int, style: Style = STREETS) -> Person:
    """The person of that number: in the streets, every second block of four numbers is dressed alike.

    Numbers below 0 are passers-by, each dressed on their own.
    """
    block = number // 4
    alike = number > 0 and stream(seed, "block", block).random() < style.alike
    return person(seed, number, block if alike else None, style)
