"""Draw the looks of detailed figures: body shape, hair, face, shoes, bag and clothes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from resight.synthetic.clothes import Colour
from resight.synthetic.wardrobe import (
    OPEN,
    PLAIN,
    Garment,
    draw_lower,
    draw_uniform,
    draw_upper,
    pick,
    shade_of,
)

SKIN_TONES: tuple[Colour, ...] = (
    (0.74, 0.50, 0.40), (0.66, 0.42, 0.31), (0.55, 0.33, 0.22), (0.40, 0.23, 0.14), (0.25, 0.13, 0.08),
    (0.13, 0.07, 0.048),
)  # fmt: skip
HAIR_TONES: Mapping[str, Colour] = {
    "black": (0.016, 0.013, 0.012), "dark brown": (0.045, 0.028, 0.020), "brown": (0.11, 0.062, 0.036),
    "light brown": (0.22, 0.135, 0.075), "blond": (0.48, 0.34, 0.18), "red": (0.26, 0.09, 0.035),
    "grey": (0.33, 0.33, 0.33), "white": (0.62, 0.61, 0.58), "dyed": (0.35, 0.08, 0.25),
}  # fmt: skip

_HAIR = {
    "city": ("short:52 crop:17 receding:12 bald:6 curly:6 bob:3 bun:1 long:2 afro:2",
             "long:34 ponytail:19 bob:17 bun:11 short:5 curly:8 afro:3"),
    "campus": ("short:50 crop:12 receding:4 bald:2 curly:14 bob:4 bun:4 long:5 afro:5",
               "long:36 ponytail:22 bob:14 bun:12 short:5 curly:8 afro:4"),
}  # fmt: skip
_HEADWEAR = {
    "city": "none:76 cap:8 beanie:6 brimmed_hat:2 hood:5 headscarf:4",
    "campus": "none:78 cap:9 beanie:5 brimmed_hat:3 hood:4 headscarf:3",
}
_BAG = {
    "city": ("none:56 backpack:22 shoulder_bag:8 crossbody_bag:8 handbag:2 waist_bag:3",
             "none:33 backpack:16 shoulder_bag:24 crossbody_bag:12 handbag:13 waist_bag:1"),
    "campus": ("none:34 backpack:45 shoulder_bag:7 crossbody_bag:8 handbag:1 waist_bag:3",
               "none:26 backpack:36 shoulder_bag:20 crossbody_bag:10 handbag:7 waist_bag:1"),
}  # fmt: skip
_HEADWEAR_DYES = "black:8 grey:3 navy:4 white:2 beige:3 red:1 olive:1 brown:1 pink:1 blue:1"
_SOLES = ("black:6 brown:2 white:0.5", "white:4 black:4 grey:1 beige:0.7")
_BAG_DYES = (
    "black:14 charcoal:4 navy:4 grey:4 brown:4 camel:2 beige:2 red:1.2 blue:1 olive:1.5 pink:0.8 white:1 teal:0.6 "
    "purple:0.5"
)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything about a person that stays the same in all tracklets, except size and gait.

    Attributes:
        upper: Upper garment.
        inner: Garment visible below an open upper garment.
        lower: Lower garment.
        tucked: Whether the upper garment is tucked in.
        female: Whether the body is that of a woman.
        head: Size of the head relative to that of an adult of the same proportions.
        shoulders: Width of the shoulders relative to the average.
        hips: Width of the hips relative to the average.
        belly: Additional depth of the belly, from 0 to 1.
        skin: Colour of the skin.
        hair_style: ``short``, ``crop``, ``receding``, ``bald``, ``curly``, ``bob``, ``bun``, ``long``, ``ponytail`` or
            ``afro``.
        hair: Name of the hair colour.
        hair_colour: Colour of the hair.
        beard: Density of the beard, from 0 to 1.
        glasses: 0 none, 1 glasses, 2 sunglasses.
        mask: Colour of a face mask; None: no mask.
        headwear: ``none``, ``cap``, ``beanie``, ``brimmed hat``, ``hood``, ``headscarf`` or ``helmet``.
        headwear_colour: Colour of the headwear.
        scarf: Colour of a scarf; None: no scarf.
        shoes: ``trainers``, ``shoes``, ``boots`` or ``sandals``.
        shoe_colour: Colour of the shoes.
        sole: Colour of the soles.
        bag: ``none``, ``backpack``, ``shoulder bag``, ``crossbody bag``, ``handbag`` or ``waist bag``.
        bag_colour: Colour of the bag.
        bag_size: Size of the bag relative to the average.
        texture: Position in the maps of folds, so that persons dressed alike have different folds.
    """

    upper: Garment
    inner: Garment
    lower: Garment
    tucked: bool
    female: bool
    head: float
    shoulders: float
    hips: float
    belly: float
    skin: Colour
    hair_style: str
    hair: str
    hair_colour: Colour
    beard: float
    glasses: int
    mask: Colour | None
    headwear: str
    headwear_colour: Colour
    scarf: Colour | None
    shoes: str
    shoe_colour: Colour
    sole: Colour
    bag: str
    bag_colour: Colour
    bag_size: float
    texture: float

    def words(self) -> str:
        """Return a description of hair, clothes and bag."""
        hair = self.hair_style if self.hair_style in ("bald", "afro") else f"{self.hair_style} {self.hair} hair"
        inner = f" over {self.inner.words()}" if self.upper.opening == OPEN else ""
        parts = [hair, f"{self.upper.words()}{inner}"]
        parts += [self.lower.words()] if self.upper.name != "dress" else []
        parts += [self.shoes]
        parts += [name for name in (self.headwear, self.bag) if name != "none"]
        parts += ["beard"] if self.beard > 0.5 else []
        parts += [("glasses", "sunglasses")[self.glasses - 1]] if self.glasses else []
        parts += ["face mask"] if self.mask else []
        return "; ".join(parts)


def draw_look(rng: np.random.Generator, wardrobe: str, child: bool, elderly: bool) -> Look:
    """Draw the look of a person.

    Args:
        rng: Random number generator.
        wardrobe: Frequencies, ``city`` or ``campus``.
        child: Whether the person is a child.
        elderly: Whether the person is old.
    """
    female = bool(rng.random() < 0.48)
    dress = female and rng.random() < 0.09
    upper = draw_upper(rng, wardrobe, female, "dress" if dress else "")
    inner = draw_upper(rng, wardrobe, female, ("T-shirt", "shirt", "sweater")[rng.integers(3)])
    lower = draw_lower(rng, wardrobe, female, ("leggings", "")[rng.integers(2)] if dress else "")
    if dress and lower.name != "leggings":
        lower = replace(lower, name="shorts", hem=0.45)
    long_skirt = lower.name in ("skirt", "long skirt")
    if long_skirt and upper.hem < 0.42:
        lower = draw_lower(rng, wardrobe, female, "trousers")
    skin = np.array(SKIN_TONES[rng.choice(6, p=(0.24, 0.25, 0.21, 0.13, 0.10, 0.07))]) * np.exp(rng.normal(0, 0.10, 3))
    dark = skin[0] < 0.45
    hair = pick(rng, "grey:6 white:4 dark_brown:1" if elderly else "black:12 dark_brown:2" if dark else
                "black:8 dark_brown:9 brown:6 light_brown:4 blond:4 red:0.7 grey:1.5 dyed:0.4")  # fmt: skip
    style = pick(rng, _HAIR[wardrobe][int(female)])
    headwear = pick(rng, _HEADWEAR[wardrobe])
    if headwear == "headscarf" and (not female or child):
        headwear = "none"
    if headwear == "hood" and upper.collar not in ("hood", "stand"):
        headwear = "none"
    if headwear == "headscarf" and upper.sleeve < 2:
        upper = replace(upper, sleeve=2.0)
    shoes = pick(rng, "trainers:60 shoes:22 boots:14 sandals:4" if wardrobe == "city" else
                 "trainers:74 shoes:11 boots:8 sandals:7")  # fmt: skip
    shoe = {"trainers": "black:7 white:6 grey:3 navy:1 red:0.35 blue:0.35 beige:1 green:0.15"}.get(
        shoes, "black:8 brown:4 camel:1 beige:1 charcoal:1"
    )
    beard = 0.0
    if not female and not child:
        beard = float(rng.choice((0.0, 0.25, 0.7, 1.0), p=(0.5, 0.22, 0.13, 0.15)))
    return Look(
        upper=upper,
        inner=inner,
        lower=lower,
        tucked=bool(upper.name in ("shirt", "T-shirt", "blouse", "polo shirt", "tank top") and rng.random() < 0.3),
        female=female,
        head=float(rng.normal(1.0, 0.035)),
        shoulders=float(rng.normal(0.93 if female else 1.04, 0.045)),
        hips=float(rng.normal(1.07 if female else 0.98, 0.05)),
        belly=float(np.clip(rng.normal(0.1, 0.35), 0, 1)),
        skin=(float(min(skin[0], 0.85)), float(min(skin[1], 0.7)), float(min(skin[2], 0.6))),
        hair_style=style,
        hair=hair,
        hair_colour=_scaled(HAIR_TONES[hair], float(np.exp(rng.normal(0, 0.18)))),
        beard=beard,
        glasses=int(rng.choice(3, p=(0.74, 0.18, 0.08))),
        mask=shade_of(rng, pick(rng, "light_blue:5 white:4 black:4 grey:1")) if rng.random() < 0.06 else None,
        headwear=headwear,
        headwear_colour=shade_of(rng, pick(rng, _HEADWEAR_DYES)),
        scarf=shade_of(rng, pick(rng, "grey:3 black:3 beige:2 red:1 navy:2 mustard:1 maroon:1 white:1"))
        if upper.sleeve == 2 and upper.collar in ("stand", "lapels") and rng.random() < 0.2
        else None,
        shoes=shoes,
        shoe_colour=shade_of(rng, pick(rng, shoe)),
        sole=shade_of(rng, pick(rng, _SOLES[shoes == "trainers"])),
        bag=pick(rng, _BAG[wardrobe][int(female)]) if not child else pick(rng, "none:6 backpack:5"),
        bag_colour=shade_of(rng, pick(rng, _BAG_DYES)),
        bag_size=float(np.exp(rng.normal(0, 0.16))),
        texture=float(rng.uniform(0, 2)),
    )  # fmt: skip


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def wear_uniform(look: Look, rng: np.random.Generator, wardrobe: str) -> Look:
    """Return a look with the clothes of a uniform; body, hair, face, shoes and bag stay.

    Args:
        look: The person's look.
        rng: Random number generator of the uniform, the same for all who wear it.
        wardrobe: Frequencies, ``city`` or ``campus``.
    """
    upper, lower = draw_uniform(rng, wardrobe)
    inner = draw_upper(rng, wardrobe, False, "shirt", "white")
    return replace(look, upper=upper, lower=lower, inner=replace(inner, pattern=PLAIN), tucked=bool(rng.random() < 0.4))


def wear_alike(look: Look, base: Look, rng: np.random.Generator) -> Look:
    """Return a look with the clothes, hair and bag of another, except for one of them.

    Args:
        look: The person's own look.
        base: The look that persons of the group share.
        rng: Random number generator.
    """
    shared = {
        "upper": base.upper, "lower": base.lower, "inner": base.inner, "tucked": base.tucked, "shoes": base.shoes,
        "shoe_colour": base.shoe_colour, "sole": base.sole, "bag": base.bag, "bag_colour": base.bag_colour,
        "headwear": base.headwear, "headwear_colour": base.headwear_colour, "hair_style": base.hair_style,
        "hair": base.hair, "hair_colour": base.hair_colour, "female": base.female, "scarf": base.scarf,
    }  # fmt: skip
    own = (
        ("shoes", "shoe_colour", "sole"), ("bag", "bag_colour"), ("hair", "hair_colour", "hair_style"),
        ("headwear", "headwear_colour"), ("lower",), ("upper", "tucked"), ("scarf",),
    )[rng.integers(7)]  # fmt: skip
    for name in own:
        del shared[name]
    return replace(look, **shared)  # type: ignore[arg-type]
