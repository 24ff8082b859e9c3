"""Check an encoder from elsewhere: does it find synthetic people, and would it with other preprocessing?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.data.transforms import prepare_clips, resize_frames
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures
from resight.models.aggregators import MeanFeature
from resight.models.colour_histogram import ColourHistogram
from resight.models.external import ExternalEncoder
from resight.models.pixel_format import IMAGENET_MEAN, IMAGENET_STD, PixelFormat
from resight.progress import Progress
from resight.synthetic.film import film
from resight.synthetic.plan import WorldScale, plan_world
from resight.synthetic.style import STREETS
from resight.tables import Row, Table

WORLD = WorldScale(
    "check",
    128,
    2,
    24,
    (2, 2),
    1.0,
    0,
    0,
    median_frames=7,
    spread=0.1,
    max_frames=8,
    style=replace(STREETS, faults=0.0),
)
"""The synthetic people of the check: 24 persons under two cameras each, without tracking faults."""

FRAMES = 4
"""Frames of each tracklet."""

FORMATS: Mapping[str, PixelFormat] = {
    f"{channels.upper()}, {name}": replace(pixels, channels=channels)
    for channels in ("rgb", "bgr")
    for name, pixels in (
        ("ImageNet mean and std", PixelFormat(IMAGENET_MEAN, IMAGENET_STD)),
        ("mean and std 0.5", PixelFormat((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))),
        ("values 0 to 1", PixelFormat((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))),
        ("values 0 to 255", PixelFormat((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), value_range=255.0)),
    )
}
"""The formats that an encoder is tried with."""

CLEAR_GAIN, CLEAR_ERRORS = 0.05, 2.0
"""A format is clearly better if its mAP is higher by 5 points and by two standard errors of the paired difference."""


@dataclass(frozen=True)
class EncoderCheck:
    """Scores of an encoder on synthetic people.

    Attributes:
        pixels: The format that the encoder was given.
        scores: Scores by row of the table: the encoder's own format, the other formats, and the colour histogram.
    """

    pixels: PixelFormat
    scores: Mapping[str, Scores]

    OWN = "as given"
    HISTOGRAM = "colour histogram"

    def gain(self, name: str) -> tuple[float, float]:
        """Return the gain in mAP of a row over the given format, and the standard error of this paired difference."""
        gains = self.scores[name].ap - self.scores[self.OWN].ap
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))

    @property
    def better(self) -> tuple[str, ...]:
        """The formats that are clearly better than the given one, best first."""
        gains = {name: self.gain(name) for name in self.scores if name in FORMATS}
        clear = [name for name, (gain, error) in gains.items() if gain > max(CLEAR_GAIN, CLEAR_ERRORS * error)]
        return tuple(sorted(clear, key=lambda name: -gains[name][0]))

    @property
    def level(self) -> tuple[str, ...]:
        """The formats that are neither clearly better nor clearly worse than the given one."""
        rest = [name for name in self.scores if name in FORMATS and name not in self.better]
        return tuple(name for name in rest if -self.gain(name)[0] <= max(CLEAR_GAIN, CLEAR_ERRORS * self.gain(name)[1]))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, as sentences; empty if nothing is."""
        if self.better:
            listed = ", ".join(f"{name} ({100 * self.gain(name)[0]:+.1f} points of mAP)" for name in self.better)
            return (
                f"clearly better than the given format ({self.pixels.describe()}): {listed}. Correct the preset or the "
                "TOML file",
            )
        if self.scores[self.OWN].map < self.scores[self.HISTOGRAM].map:
            return (
                "the encoder scores less than a colour histogram: this may not be a re-identification network, or this "
                "output may not be its features",
            )
        return ()

    def to_text(self) -> str:
        """Return the table and the problems."""
        own = self.scores[self.OWN]
        rows = tuple(Row(name, (100 * s.map, 100 * float(s.cmc[0]))) for name, s in self.scores.items())
        table = Table(
            f"Mean features on synthetic people, {len(own.ap)} queries, percent", ("mAP", "rank-1"), rows,
            note=f"as given: {self.pixels.describe()}",
        )  # fmt: skip
        level = f"; as good, within the error: {', '.join(self.level)}" if self.level else ""
        verdict = self.problems or (f"no other format is clearly better than the given one{level}",)
        return "\n".join((table.to_text(), *verdict))

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "pixels": self.pixels.to_json(),
            "scores": {name: {"map": s.map, "rank-1": float(s.cmc[0])} for name, s in self.scores.items()},
            "better": list(self.better),
            "problems": list(self.problems),
        }


def check_encoder(
    encoder: ExternalEncoder, *, progress: Progress | None = None, scale: WorldScale = WORLD
) -> EncoderCheck:
    """Score an encoder on synthetic people, in its own pixel format and in others.

    The people are rendered once per process. Their scores say little about those on real people, but they show whether
    pixels reach the network as it expects them.

    Args:
        encoder: A network for frames or clips.
        progress: Called with (formats done, all).
        scale: The synthetic people.
    """
    persons, cameras, frames = _tracklets(scale)
    own = encoder.pixels
    others = {
        name: other for name, other in FORMATS.items()
        if (other.scale_and_shift, other.channels) != (own.scale_and_shift, own.channels)
    }  # fmt: skip
    inputs = _inputs(frames, encoder)
    chosen: dict[str, Callable[[Tensor], Tensor]] = {
        EncoderCheck.OWN: encoder.features_as,
        **{name: partial(encoder.features_as, pixels=other) for name, other in others.items()},
        EncoderCheck.HISTOGRAM: lambda values: ColourHistogram()(values if values.ndim == 5 else values[:, :, None]),
    }
    scores: dict[str, Scores] = {}
    with torch.inference_mode():
        for name, encode in chosen.items():
            features = np.stack([encode(values).cpu().numpy() for values in inputs])
            scores[name] = _score(features, persons, cameras)
            if progress is not None:
                progress(len(scores), len(chosen))
    return EncoderCheck(own, scores)


@cache
def _tracklets(scale: WorldScale) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[NDArray[np.uint8], ...]]:
    """Render the test persons of a world: persons and cameras (T,), and frames (FRAMES, h, w, 3) of each tracklet."""
    shots = [replace(shot, frames=FRAMES, faults=()) for shot in plan_world(scale, 0) if shot.role == "test"]
    frames = tuple(np.concatenate(list(film(shot, 0, scale.height, scale.width, style=scale.style))) for shot in shots)
    return np.array([shot.person for shot in shots]), np.array([shot.camera for shot in shots]), frames


def _inputs(tracklets: Sequence[NDArray[np.uint8]], encoder: ExternalEncoder) -> list[Tensor]:
    """Return what the encoder gets of each tracklet, in [-1, 1]: its frames (N, 3, H, W), or a clip (1, 3, L, H, W)."""
    inputs = []
    for frames in tracklets:
        resized = resize_frames(frames, encoder.size)
        if not encoder.frame_wise:
            resized = resized[np.arange(encoder.length) % len(resized)]
        clip = prepare_clips(torch.from_numpy(resized)[None])
        inputs.append(clip if not encoder.frame_wise else clip[0].transpose(0, 1))
    return inputs


def _score(values: NDArray[np.float32], persons: NDArray[np.int64], cameras: NDArray[np.int64]) -> Scores:
    """Return the scores of mean features; every tracklet is a query, and those of other cameras are the gallery."""
    ids = tuple(map(str, range(len(values))))
    numbers = np.arange(values.shape[1])[None, :, None].repeat(len(values), 0)
    features = ClipFeatures(ids, persons, cameras, values, numbers)
    return evaluate_features(features, features, MeanFeature(), PROTOCOLS["cross-camera"])[1]
