"""Represent a body as solids: tapered capsules with oval sections, each with a cloth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SKIN_CLOTH, HAIR_CLOTH, UPPER, INNER, LOWER, SHOES, BAG, HAT = range(8)
"""Rows of `Solids.cloths`."""
FACE_CLOTH, SOLE, SCARF, THING, THING_2, METAL, RUBBER = range(8, 15)
"""Further rows of `Solids.cloths`, only for the detailed figures of a wardrobe."""
LIMB, FACE, TRUNK = range(3)
"""How a solid is painted: as a limb, a face, or the trunk (which may be open in front or have a print)."""
HAIR, HARD, LEG, ARM, YOKE, CANOPY = range(3, 9)
"""Further ways to paint, only for detailed figures: strands; no folds; trouser leg; sleeve; shoulder; umbrella."""

SLANTED = (0.31, 0.52, 0.79)
"""Wide axis of round solids that may point anywhere: parallel to none of the axes of the body."""


@dataclass
class Solids:
    """P solids of one body over N frames. Each is a capsule with two radii and an oval section.

    Coordinates are those of the body, in metres: x to its side, y up from the ground, z in the direction it faces.

    Attributes:
        start: (N, P, 3) Centre of the first end.
        end: (N, P, 3) Centre of the second end.
        side: (N, P, 3) Direction of the wide axis of the section.
        radii: (P, 2) Half width at both ends in metres.
        oval: (P,) Depth of the section relative to its width.
        flat: (P,) Whether the second end is cut flat (as a hem) instead of rounded.
        cloth: (P, 2) Rows of `cloths` before and after `cut`.
        cut: (P,) Position at which the cloth changes, as a fraction of the length; 2 for no change.
        paint: (P,) `LIMB` to `CANOPY`.
        offset: (P,) Position of the start along the garment in metres, so that patterns continue across joints.
        cloths: (8, 10) Per cloth: colour, second colour, pattern number, period in metres, 1 if open in front, folds.
            Detailed figures: (15, 24); see `resight.synthetic.dressing.dress`.
        creases: (P, 2) Strength of folds at both ends, relative to the cloth; used for detailed figures only.
    """

    start: Array
    end: Array
    side: Array
    radii: Array
    oval: Array
    flat: NDArray[np.bool_]
    cloth: NDArray[np.int64]
    cut: Array
    paint: NDArray[np.int64]
    offset: Array
    cloths: Array
    creases: Array


_Row = tuple[
    Array, Array, Array, tuple[float, float], float, bool, tuple[int, int], float, int, float, tuple[float, float]
]


@dataclass
class SolidsBuilder:
    """Collects solids one by one.

    Attributes:
        frames: Number of frames N.
        rows: Arguments of the solids added so far.
    """

    frames: int
    rows: list[_Row] = field(default_factory=list)

    def add(
        self,
        start: Array,
        end: Array,
        radii: tuple[float, float],
        cloth: int,
        *,
        oval: float = 1.0,
        side: tuple[float, float, float] | Array = (1.0, 0.0, 0.0),
        flat: bool = False,
        beyond: int | None = None,
        cut: float = 2.0,
        paint: int = LIMB,
        offset: float = 0.0,
        creases: tuple[float, float] = (0.6, 0.6),
    ) -> None:
        """Add a solid.

        Args:
            start: (N, 3) Centre of the first end.
            end: (N, 3) Centre of the second end.
            radii: Half width at both ends in metres.
            cloth: Cloth before `cut`.
            oval: Depth of the section relative to its width.
            side: Direction of the wide axis of the section, (3,) or (N, 3).
            flat: Whether the second end is cut flat.
            beyond: Cloth after `cut`; None: the same as `cloth`.
            cut: Position at which the cloth changes, as a fraction of the length.
            paint: `LIMB` to `CANOPY`.
            offset: Position of the start along the garment in metres.
            creases: Strength of folds at both ends, relative to the cloth.
        """
        wide_axis = np.broadcast_to(np.asarray(side, np.float32), (self.frames, 3))
        pair = (cloth, cloth if beyond is None else beyond)
        self.rows.append((start, end, wide_axis, radii, oval, flat, pair, cut, paint, offset, creases))

    def solids(self, cloths: Array) -> Solids:
        """Return the solids added so far, with their cloths."""
        start, end, side, radii, oval, flat, cloth, cut, paint, offset, creases = zip(*self.rows, strict=True)
        return Solids(
            start=np.stack(start, 1).astype(np.float32),
            end=np.stack(end, 1).astype(np.float32),
            side=np.stack(side, 1).astype(np.float32),
            radii=np.array(radii, np.float32),
            oval=np.array(oval, np.float32),
            flat=np.array(flat),
            cloth=np.array(cloth),
            cut=np.array(cut, np.float32),
            paint=np.array(paint),
            offset=np.array(offset, np.float32),
            cloths=cloths,
            creases=np.array(creases, np.float32),
        )
