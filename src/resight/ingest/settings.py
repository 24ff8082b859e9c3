"""The settings of an ingestion: the same for every camera of a folder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from resight.errors import RecipeError


@dataclass(frozen=True)
class IngestSettings:
    """What becomes a tracklet, and how it is cut.

    Attributes:
        margin: added to each side of a box, as a share of its width or height.
        min_width: narrower boxes are left out, pixels, counted inside the picture and before the margin.
        min_height: lower boxes are left out, likewise.
        min_frames: shorter tracklets are left out.
        max_gap: a track that is not seen for longer than this, in seconds, is split in two.
        min_score: boxes with a lower score are left out; None keeps all. In the ground truth of the MOT Challenge a
            score of 0 marks what is not to be counted: use 0.5.
        detector: for cameras without tracks: ``hog``, or an ONNX file that has its
            description beside it.
        quality: of the JPEG files, 1 to 100.
    """

    margin: float = 0.05
    min_width: int = 16
    min_height: int = 48
    min_frames: int = 8
    max_gap: float = 1.0
    min_score: float | None = None
    detector: str = "hog"
    quality: int = 92

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            RecipeError: if one cannot work.
        """
        for name, least, most in (
            ("margin", 0, 1), ("min_width", 1, 10_000), ("min_height", 1, 10_000), ("min_frames", 1, 1_000_000),
            ("max_gap", 0, math.inf), ("quality", 1, 100),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise RecipeError(f"{name} must be from {least} to {most}, found {value}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
