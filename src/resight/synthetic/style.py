"""Define the style of a synthetic world: six fixed streets, or widely varied places.

Varied worlds use domain randomisation (Tobin et al. 2017), so that a model trained on them also works on real video.
Each setting of a `Style` controls one kind of variation, so that an ablation study can omit any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from resight.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Style:
    """Appearance of a synthetic world.

    Attributes:
        name: Name of the style, written to ``world.json``.
        places: Number of places from which one is drawn for each tracklet, independently of its camera; 0: each camera
            has its own street.
        backgrounds: Replace half of the places by backgrounds of random colours and shapes.
        light: Draw exposure, colour cast, contrast and sunlight of each place from wide ranges.
        optics: Draw blur, noise, JPEG quality and resolution of each place from wide ranges.
        dyes: Variation of the colours of clothes, skin and hair, from 0 (palette colours only) to 1.
        patterns: Add dotted, mottled, banded and two-coloured garments, and folds.
        bodies: Additional variation of bodies and gaits, from 0 (none) to 1.
        shake: Factor on the position and size errors of the tracker's boxes; above 1, their aspect ratio varies too.
        faults: Fraction of tracklets with tracking faults, from 0 to 1.
        alike: Fraction of groups of four persons who are dressed alike except for one difference each, from 0 to 1.

    Raises:
        RecipeError: If a value is out of range.
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
        """Check the values."""
        for field in ("dyes", "bodies", "faults", "alike"):
            value = getattr(self, field)
            if not 0 <= value <= 1:
                raise RecipeError(f"{field} of style {self.name!r} must be from 0 to 1, found {value}")
        if self.places < 0 or self.shake <= 0:
            raise RecipeError(
                f"style {self.name!r} needs places of at least 0 and shake above 0, found {self.places} and "
                f"{self.shake}"
            )
        if not self.places and (self.backgrounds or self.light or self.optics):
            raise RecipeError(
                f"style {self.name!r} varies backgrounds, light or optics, which needs places above 0, found 0"
            )


STREETS = Style()
"""Six streets, one for each camera."""
ANYWHERE = Style(
    "anywhere", places=600, backgrounds=True, light=True, optics=True, dyes=1.0, patterns=True, bodies=1.0, shake=2.0,
    faults=0.3, alike=0.4,
)  # fmt: skip
"""600 varied places, for models that must work out-of-domain."""
