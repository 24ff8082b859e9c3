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
        scenery: Fraction of places that are detailed: textured ground in perspective, facades, plants, parked bicycles
            and cars, fences, or the inside of a building, with cast shadows; from 0 to 1.
        indoor: Fraction of the detailed places that are inside a building, from 0 to 1.
        sun: Fraction of the detailed places outdoors with sunlight; the sky of the others is overcast; from 0 to 1.
        night: Fraction of the detailed places outdoors that are lit by lamps at night, from 0 to 1.
        clutter: Number of objects in detailed places, relative to the usual one, from 0 to 2.
        camera_height: Least and greatest height of the cameras of detailed places in metres; (0, 0): as for other
            places.
        capture: Strength of the processing of surveillance cameras: clipped highlights, haze, colour casts, vignettes,
            sharpening, noise, interlacing and compression before enlargement; from 0 (none) to 1.
        distant: Fraction of tracklets recorded 20 to 60 pixels high and enlarged, from 0 to 1.
        box_errors: Fraction of tracklets whose boxes are too large, too small, shifted or of a wrong aspect ratio
            throughout, from 0 to 1.
        groups: Fraction of tracklets in which one to four other persons walk along with the person, from 0 to 1.
        passing: Fraction of tracklets in which further persons pass behind or at the edge of the box, from 0 to 1.
        wardrobe: Frequencies of clothes, hair and bodies, ``city`` or ``campus``; people are then drawn in more detail
            (smooth bodies, folds, seams, faces). Empty: the simple figures of the first worlds.
        uniforms: Fraction of groups of four persons who wear the same uniform, from 0 to 1; needs a `wardrobe`.
        riders: Fraction of tracklets whose person rides a bicycle or a scooter, from 0 to 1; needs a `wardrobe`.
        carried: Fraction of tracklets whose person carries, pushes or holds something, from 0 to 1; needs a
            `wardrobe`.

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
    wardrobe: str = ""
    uniforms: float = 0.0
    riders: float = 0.0
    carried: float = 0.0
    scenery: float = 0.0
    indoor: float = 0.0
    sun: float = 0.0
    night: float = 0.0
    clutter: float = 1.0
    camera_height: tuple[float, float] = (0.0, 0.0)
    capture: float = 0.0
    distant: float = 0.0
    box_errors: float = 0.0
    groups: float = 0.0
    passing: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        people = ("dyes", "bodies", "alike", "uniforms", "riders", "carried")
        scenes = ("scenery", "indoor", "sun", "night", "capture", "distant", "box_errors", "groups", "passing")
        for field in ("faults", *people, *scenes):
            value = getattr(self, field)
            if not 0 <= value <= 1:
                raise RecipeError(f"{field} of style {self.name!r} must be from 0 to 1, found {value}")
        if self.wardrobe not in ("", "city", "campus"):
            raise RecipeError(
                f"wardrobe of style {self.name!r} must be 'city', 'campus' or empty, found {self.wardrobe!r}"
            )
        if not self.wardrobe and (self.uniforms or self.riders or self.carried):
            raise RecipeError(
                f"style {self.name!r} has uniforms, riders or carried things, which need a wardrobe, found none"
            )
        if self.places < 0 or self.shake <= 0:
            raise RecipeError(
                f"style {self.name!r} needs places of at least 0 and shake above 0, found {self.places} and "
                f"{self.shake}"
            )
        low, high = self.camera_height
        if not 0 <= self.clutter <= 2 or not (low == high == 0 or 1 <= low <= high <= 15):
            raise RecipeError(
                f"style {self.name!r} needs clutter from 0 to 2 and camera_height from 1 to 15 metres, lower first, or "
                f"(0, 0), found {self.clutter} and {self.camera_height}"
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
CITY = Style(
    "city", places=400, bodies=1.0, shake=1.3, faults=0.25, alike=0.3, wardrobe="city", uniforms=0.15, riders=0.09,
    carried=0.22, scenery=1.0, indoor=0.14, sun=0.45, night=0.06, camera_height=(1.5, 8.0), capture=0.85, distant=0.12,
    box_errors=0.35, groups=0.3, passing=0.5,
)  # fmt: skip
"""400 detailed places recorded by surveillance cameras, and people who look more like those in real video."""
CAMPUS = Style(
    "campus", faults=0.3, alike=0.3, wardrobe="campus", uniforms=0.08, riders=0.14, carried=0.15, scenery=1.0,
    indoor=0.34, sun=0.6, clutter=0.7, camera_height=(2.2, 5.5), capture=0.6, distant=0.06, box_errors=0.2, groups=0.18,
    passing=0.35,
)  # fmt: skip
"""Six fixed cameras with the same kinds of content as `CITY` at other frequencies, for validation."""
