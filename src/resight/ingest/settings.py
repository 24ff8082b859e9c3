"""Settings of an ingestion, shared by all cameras of a folder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from resight.errors import RecipeError


@dataclass(frozen=True)
class IngestSettings:
    """Which tracklets are kept, and how their frames are cropped.

    Attributes:
        margin: Margin added to each side of a box, as a fraction of its width or height.
        min_width: Minimum box width in pixels, measured inside the video frame and without the margin; narrower boxes
            are skipped.
        min_height: Minimum box height in pixels, measured in the same way.
        min_frames: Minimum number of frames; shorter tracklets are skipped.
        max_gap: Maximum gap in a track, in seconds; a track is split where the gap is longer.
        min_score: Minimum score of a box; None keeps all boxes. In MOT Challenge ground truth a score of 0 marks boxes
            to ignore: use 0.5.
        detector: Detector for cameras without tracks: ``hog``, or an ONNX file with a description of the same name
            (``people.onnx`` and ``people.toml``).
        quality: JPEG quality of the frames, 1 to 100.
        same_ids: Whether a track id means the same person in all cameras. The person of a tracklet is then its track
            id, in the manifest and as a folder.
    """

    margin: float = 0.05
    min_width: int = 16
    min_height: int = 48
    min_frames: int = 8
    max_gap: float = 1.0
    min_score: float | None = None
    detector: str = "hog"
    quality: int = 92
    same_ids: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            RecipeError: If a value is out of range.
        """
        for name, least, most in (
            ("margin", 0, 1), ("min_width", 1, 10_000), ("min_height", 1, 10_000), ("min_frames", 1, 1_000_000),
            ("max_gap", 0, math.inf), ("quality", 1, 100),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
                raise RecipeError(f"{name} must be from {least} to {most}, found {value!r}")
        score = self.min_score
        if score is not None and not (isinstance(score, (int, float)) and math.isfinite(score)):
            raise RecipeError(f"min_score must be a finite number, found {score!r}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)
