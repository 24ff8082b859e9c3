"""Styles of a world: six streets that look alike from one tracklet to the next, or anywhere, harder than reality.

A model that is to know real people must never meet the same picture twice in training: domain randomisation (Tobin et
al. 2017). Each setting of a `Style` widens one nuisance, so that leaving one out shows what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from resight.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Style:
    """How a world looks.

    Attributes:
        name: for the record.
        places: streets that tracklets are drawn to, whatever their camera's number; 0 is one for each camera.
        backgrounds: half of these streets are no streets but any colours and shapes.
        light: exposure, colour cast, contrast and the sun of every street are drawn from wide ranges.
        optics: blur, noise, JPEG quality and the pixels that the camera really had are, too.
        dyes: 0 … 1, how far cloth, skin and hair stray from the colours of the palette, which no street-goer's do.
        patterns: garments are dotted, mottled, banded or of two colours as well, and fall in folds.
        bodies: 0 … 1, how far bodies and gaits stray from those of the streets.
        shake: factor on what a tracker's box is off by; above 1 its shape is wrong, too.
        faults: share of the tracklets in which tracking goes wrong.
        alike: share of the blocks of four persons who are dressed alike but for one thing each.

    Raises:
        RecipeError: if a value is out of its range.
    """

    name: str = "streets"
    places: int = 0
    backgrounds: bool = False
    light: bool = False
    optics: bool = False
    dyes: float = 0.0
    patterns: bool = False
    bodies: float = 0.0
    shake: float = 1.0
    faults: float = 0.5
    alike: float = 0.5

    def __post_init__(self) -> None:
        for field in ("dyes", "bodies", "faults", "alike"):
            value = getattr(self, field)
            if not 0 <= value <= 1:
                raise RecipeError(f"{field} of style {self.name!r} must be within 0 … 1, found {value}")
        if self.places < 0 or self.shake <= 0:
            raise RecipeError(
                f"style {self.name!r} needs places ≥ 0 and shake > 0, found {self.places} and {self.shake}"
            )
        if not self.places and (self.backgrounds or self.light or self.optics):
            raise RecipeError(
                f"backgrounds, light and optics of style {self.name!r} are drawn for places: set places above 0"
            )


STREETS = Style()
ANYWHERE = Style(
    "anywhere", places=600, backgrounds=True, light=True, optics=True, dyes=1.0, patterns=True, bodies=1.0, shake=2.0,
    faults=0.3, alike=0.4,
)  # fmt: skip

STYLES: Mapping[str, Style] = MappingProxyType({style.name: style for style in (STREETS, ANYWHERE)})
"""By name."""
