"""Draw the people of a world from a seed: clothes, bodies and gaits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from resight.synthetic.carried import Thing, draw_thing
from resight.synthetic.clothes import Cloth, Colour, Outfit, change_one_item, draw_outfit, vary_cloth
from resight.synthetic.looks import Look, draw_look, wear_alike, wear_uniform
from resight.synthetic.streams import stream
from resight.synthetic.style import STREETS, Style

SKIN: tuple[Colour, ...] = (
    (0.93, 0.74, 0.62), (0.88, 0.66, 0.52), (0.78, 0.56, 0.42),
    (0.62, 0.42, 0.29), (0.45, 0.29, 0.20), (0.30, 0.19, 0.13),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic person.

    Attributes:
        number: Person number, unique in the world; negative for a passer-by, who is not in the lists.
        outfit: Clothes, hair, bag and hat.
        height: Height in metres.
        girth: Width relative to the average, about 0.85 to 1.3.
        skin: RGB from 0 to 1.
        stride: Length of two steps, relative to the height.
        arm_swing: Amplitude of the arm swing in radians.
        stoop: Forward lean of the trunk in radians.
        speed: Walking speed in metres per second.
        dye: (8, 6) factors, then (8, 6) offsets, applied to both colours of each cloth of `solids.Solids`; empty for
            none.
        folds: Strength of folds: relative change of brightness, from 0 to 0.3.
        look: Look of a detailed figure; None: the simple figure that `outfit` describes.
        thing: What the person rides, pushes, pulls or carries in one tracklet; None: nothing.
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
    look: Look | None = None
    thing: Thing | None = None

    @property
    def rides(self) -> bool:
        """Whether the person rides a bicycle or a scooter."""
        return self.thing is not None and self.thing.kind in ("bicycle", "scooter")

    def words(self) -> str:
        """Return a one-line description of the person."""
        o = self.outfit
        size = "short" if self.height < 1.62 else "tall" if self.height > 1.80 else "middle-sized"
        build = "slim" if self.girth < 0.95 else "heavy" if self.girth > 1.13 else "ordinary"
        if self.look is not None:
            return f"{size}, {build}; {self.look.words()}"
        hair = "bald" if o.hair_style == "bald" else f"{o.hair_style} {o.hair} hair"
        inner = f" over {o.inner_colour}" if o.upper in ("open jacket", "long coat") else ""
        parts = [f"{size}, {build}", hair, f"{o.upper_cloth.words()} {o.upper}{inner}"]
        parts += [f"{o.lower_cloth.words()} {o.lower}", f"{o.shoes} shoes"]
        parts += [f"{o.bag_colour} {o.bag}"] if o.bag != "no bag" else []
        parts += [f"{o.hat_colour} {o.hat}"] if o.hat != "no hat" else []
        return "; ".join(parts)


def person(seed: int, number: int, group: int | None = None, style: Style = STREETS) -> Person:
    """Draw a person.

    Args:
        seed: Seed of the world.
        number: Person number.
        group: Group of the person; persons of a group are dressed alike except for one difference each. None: no group.
        style: Style of the world.
    """
    rng = stream(seed, "person", number)
    outfit = draw_outfit(rng) if group is None else change_one_item(draw_outfit(stream(seed, "group", group)), rng)
    # Variation added by the style has its own generator, which persons who are dressed alike share.
    cloth = stream(seed, "cloth", number) if group is None else stream(seed, "cloth of group", group)
    if style.patterns:
        outfit = replace(outfit, upper_cloth=vary_cloth(cloth, outfit.upper_cloth, outfit.upper),
                         lower_cloth=vary_cloth(cloth, outfit.lower_cloth, outfit.lower))  # fmt: skip
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
    return _vary_body(stream(seed, "body", number), drawn, style.bodies) if style.bodies else drawn


def _dye(rng: np.random.Generator, strength: float) -> tuple[float, ...]:
    """Draw changes of brightness and hue for each garment, and smaller ones for skin and hair."""
    amount = np.array([0.3, 0.5, 1, 1, 1, 1, 1, 1])[:, None] * strength
    factor = np.exp(rng.normal(0, 0.35, (8, 1)) * amount) * np.exp(rng.normal(0, 0.12, (8, 6)) * amount)
    offset = rng.normal(0, 0.10, (8, 6)) * amount
    return tuple(float(value) for value in np.concatenate([factor.ravel(), offset.ravel()]))


def _vary_body(rng: np.random.Generator, person: Person, strength: float) -> Person:
    """Return a person whose body and gait deviate more from the average."""
    deviation = strength * rng.normal(0, 1, 6)
    return replace(
        person,
        height=float(np.clip(person.height * (1 + 0.05 * deviation[0]), 1.35, 2.05)),
        girth=float(np.clip(person.girth * (1 + 0.12 * deviation[1]), 0.78, 1.5)),
        stride=float(np.clip(person.stride * (1 + 0.12 * deviation[2]), 0.5, 1.05)),
        arm_swing=float(np.clip(person.arm_swing * (1 + 0.5 * deviation[3]), 0.0, 0.8)),
        stoop=float(np.clip(person.stoop + 0.05 * deviation[4], -0.05, 0.3)),
        speed=float(np.clip(person.speed * (1 + 0.3 * deviation[5]), 0.3, 2.4)),
    )


def person_of(seed: int, number: int, style: Style = STREETS, tracklet: str = "") -> Person:
    """Draw the person of a given number.

    In a fraction `Style.alike` of the blocks of four numbers, the persons are dressed alike except for one difference
    each; in a fraction `Style.uniforms`, they wear the same uniform.

    Args:
        seed: Seed of the world.
        number: Person number.
        style: Style of the world.
        tracklet: Tracklet id, which decides what the person rides or carries; empty: nothing.
    """
    block = number // 4
    if style.wardrobe:
        return _ride_or_carry(_detailed_person(seed, number, style), seed, style, tracklet)
    alike = number > 0 and stream(seed, "block", block).random() < style.alike
    return person(seed, number, block if alike else None, style)


def uniform_peers(seed: int, number: int, style: Style) -> tuple[int, ...]:
    """Return the numbers of the persons who wear the same uniform as a person, without that person; often none.

    Args:
        seed: Seed of the world.
        number: Person number; negative numbers, of passers-by, may wear uniforms too.
        style: Style of the world.
    """
    block = number // 4
    if not style.wardrobe or stream(seed, "uniform of block", block).random() >= style.uniforms:
        return ()
    return tuple(peer for peer in range(4 * block, 4 * block + 4) if peer not in (number, 0))


@lru_cache(maxsize=4096)
def _detailed_person(seed: int, number: int, style: Style) -> Person:
    """Draw a person with a `Look`."""
    rng = stream(seed, "figure", number)
    block = number // 4
    age = rng.choice(3, p=(0.06, 0.83, 0.11) if style.wardrobe == "city" else (0.02, 0.94, 0.04))
    child, elderly = bool(age == 0), bool(age == 2)
    look = draw_look(stream(seed, "look", number), style.wardrobe, child, elderly)
    if uniform_peers(seed, number, style):
        look = wear_uniform(look, stream(seed, "uniform", block), style.wardrobe)
    elif number > 0 and stream(seed, "block", block).random() < style.alike:
        base = draw_look(stream(seed, "look of group", block), style.wardrobe, False, False)
        look = wear_alike(look, base, stream(seed, "difference", number))
    if child:
        height = float(rng.uniform(1.05, 1.50))
        look = replace(look, head=look.head * (1 + 0.42 * (1.62 - height)), female=False, beard=0.0)
    else:
        mean, spread = (1.635, 0.065) if look.female else (1.765, 0.072)
        height = float(np.clip(rng.normal(mean - 0.03 * elderly, spread), 1.45, 2.02))
    drawn = Person(
        number=number,
        outfit=_outfit(look),
        height=height,
        girth=float(np.clip(np.exp(rng.normal(0.0, 0.12)) * (0.97 if look.female else 1.03), 0.78, 1.42)),
        skin=look.skin,
        stride=float(rng.uniform(0.70, 0.92)),
        arm_swing=float(rng.uniform(0.08, 0.5)),
        stoop=float(rng.uniform(0.12, 0.34) if elderly else rng.uniform(-0.02, 0.11)),
        speed=float(rng.uniform(0.6, 1.0) if elderly else rng.uniform(1.0, 1.65)),
        look=look,
    )
    return _vary_body(stream(seed, "body", number), drawn, 0.5 * style.bodies) if style.bodies and not child else drawn


def _outfit(look: Look) -> Outfit:
    """Return the outfit that comes nearest to a look, for readers of the persons' attributes."""

    def cloth(garment_dye: str) -> Cloth:
        return Cloth(garment_dye, garment_dye, "plain", 0.1)

    return Outfit(
        upper=look.upper.name, upper_cloth=cloth(look.upper.dye), inner_colour=look.inner.dye, lower=look.lower.name,
        lower_cloth=cloth(look.lower.dye), shoes=look.shoes, hair_style=look.hair_style, hair=look.hair, bag=look.bag,
        bag_colour="", hat=look.headwear, hat_colour="",
    )  # fmt: skip


def _ride_or_carry(walker: Person, seed: int, style: Style, tracklet: str) -> Person:
    """Return the person with what they ride or carry in a tracklet. Riders are faster."""
    if not tracklet:
        return walker
    rng = stream(seed, "thing", tracklet, walker.number)
    thing = draw_thing(rng, style.riders, style.carried, child=walker.height < 1.5)
    if thing is None:
        return walker
    speed = walker.speed
    if thing.kind in ("bicycle", "scooter"):
        speed = float(rng.uniform(2.2, 4.8))
    elif thing.kind in ("pram", "shopping trolley", "box"):
        speed *= 0.85
    return replace(walker, thing=thing, speed=speed)
