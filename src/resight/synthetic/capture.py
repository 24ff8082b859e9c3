"""Process rendered light as surveillance cameras do: exposure, haze, sharpening, noise, compression and enlargement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from resight.synthetic.streams import stream
from resight.synthetic.style import Style
from resight.synthetic.weather import weather

_INTERLACED = 90
"""Least height of an interlaced recording in pixels: images with fewer lines have only one field."""

_SMALL = 64
"""Height in pixels below which a recording is not blurred and compressed further, because little would be left."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Processing of a camera. Sizes are in pixels as recorded, before enlargement.

    Attributes:
        target: Mean brightness of the image after automatic exposure, from 0 to 1.
        gamma: Exponent of the tone curve.
        contrast: Contrast factor; 1 leaves the contrast unchanged.
        saturation: Saturation factor; 0: monochrome.
        cast: Gain of red, green and blue.
        haze: Fraction of the light that is replaced by haze, from 0 to 1.
        vignette: Loss of brightness at the corners of the image, from 0 to 1.
        blur: Blur of the lens: number of passes of a 3 × 3 filter.
        smear: Horizontal motion blur, as a fraction of the width of a box.
        sharpening: Strength of the sharpening; above 1, bright and dark halos appear.
        noise: Standard deviation of the noise, for pixel values from 0 to 1.
        quality: JPEG quality of the recording, 1 to 100.
        shift: Distance between the two fields of an interlaced image in pixels; 0: not interlaced.
        lines: Height of a person's box in pixels.
        enlargement: ``nearest``, ``bilinear`` or ``bicubic``.
    """

    target: float
    gamma: float
    contrast: float
    saturation: float
    cast: tuple[float, float, float]
    haze: float
    vignette: float
    blur: int
    smear: float
    sharpening: float
    noise: float
    quality: int
    shift: int
    lines: float
    enlargement: str


@lru_cache(maxsize=64)
def capture_of(seed: int, number: int, style: Style) -> Capture:
    """Return the processing of the camera of a place, with `Style.capture` above 0."""
    rng = stream(seed, "capture", style.name, number)
    dark = weather(seed, number, style).kind == "night"
    k = style.capture
    target = rng.uniform(0.40, 0.58)
    extreme = rng.random()
    if extreme < 0.08 * k:
        target = rng.uniform(0.60, 0.72)
    elif extreme < 0.15 * k or (dark and extreme < 0.5):
        target = rng.uniform(0.26, 0.38)
    warm, green = rng.normal(0, 0.07 * k), rng.normal(0, 0.035 * k)
    grey = dark and rng.random() < 0.25
    return Capture(
        target=float(target),
        gamma=float(rng.uniform(0.45, 0.7)),
        contrast=float(1 + k * rng.normal(0.0, 0.10)),
        saturation=0.0 if grey else float(np.clip(1 + k * rng.normal(-0.25, 0.22), 0.25, 1.3)),
        cast=(float(np.exp(warm)), float(np.exp(green)), float(np.exp(-warm))),
        haze=float(k * np.clip(rng.normal(0.02, 0.06), 0, 0.25)),
        vignette=float(k * rng.uniform(0, 0.35)),
        blur=int(rng.choice(3, p=(0.45, 0.38, 0.17))),
        smear=float(k * min(rng.gamma(1.0, 0.04 if dark else 0.012), 0.15)),
        sharpening=float(k * np.clip(rng.normal(0.25, 0.5), 0, 1.6)),
        noise=float((0.004 + k * rng.gamma(1.5, 0.0035)) * (1.4 if dark else 1.0)),
        quality=int(np.clip(95 - k * rng.gamma(3.0, 12.0), 20, 95)),
        shift=1 if rng.random() < 0.06 * k else 0,
        lines=float(np.exp(rng.uniform(np.log(80), np.log(300)))),
        enlargement=("nearest", "bilinear", "bicubic")[rng.choice(3, p=(0.06, 0.54, 0.40))],
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """Processing of one tracklet.

    Attributes:
        capture: The camera.
        gain: Exposure.
        lines: Height of the boxes in pixels as recorded.
    """

    capture: Capture
    gain: float
    lines: int

    def rendered(self, height: int, width: int, aspect: float) -> tuple[int, int]:
        """Return the height and width at which to render; details that the recording loses are not rendered.

        Args:
            height: Height of the frames in pixels.
            width: Width of the frames in pixels.
            aspect: Ratio of the shape of the boxes to that of the frames.
        """
        rows = min(height, max(48, 2 * round(0.65 * self.lines)))
        return rows, max(2, round(rows * width / height * aspect))


def draw_recording(seed: int, name: str, place: int, style: Style, brightness: float) -> Recording:
    """Draw the processing of a tracklet.

    Args:
        seed: Seed of the world.
        name: Id of the tracklet.
        place: Number of the place.
        style: Style of the world, with `Style.capture` above 0.
        brightness: Brightness of the place; see `exposure_of`.
    """
    capture = capture_of(seed, place, style)
    rng = stream(seed, "recording", name)
    gain = capture.target ** (1 / capture.gamma) / brightness * float(np.exp(rng.normal(0, 0.08)))
    near = max(capture.lines * float(np.exp(rng.normal(0, 0.25))), 61.0)
    # Most of the distant persons are not among the very smallest.
    far = 60 - 40 * float(rng.uniform()) ** 1.7
    return Recording(capture, gain, round(far if rng.random() < style.distant else near))


def exposure_of(scene: Tensor) -> float:
    """Return the mean brightness of the (3, R, C) image of a place, for which a camera chooses its exposure."""
    view = scene[:, scene.shape[1] // 4 :: 6, ::6].mean(0).clamp(max=1.0)
    return max(float(view.mean()), 0.02)


def record(
    frames: Tensor, recording: Recording, height: int, width: int, boxes: NDArray[np.float32], bank: Tensor,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:  # fmt: skip
    """Return frames as recorded by a camera and enlarged.

    Args:
        frames: (N, 3, h, w) Light of the scene, of the size of `Recording.rendered`.
        recording: The camera.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        boxes: (N, 3) Left, top and height of the boxes in units of the image height.
        bank: Noise; see `resight.synthetic.development.noise_bank`.
        rng: Chooses which part of the noise is used, and the position of the compression's blocks.

    Returns:
        (N, height, width, 3) Frames.
    """
    capture = recording.capture
    smear = int(capture.smear * frames.shape[3]) | 1
    if smear > 1:
        frames = _box_blur(frames, 1, smear)
    lines = min(recording.lines, height)
    small = (max(4, lines), max(2, round(width * lines / height)))
    if frames.shape[2:] != small:
        frames = functional.interpolate(frames, small, mode="area")
    for _ in range(capture.blur if frames.shape[2] >= _SMALL else min(capture.blur, 1)):
        frames = 0.5 * frames + 0.5 * _box_blur(frames, 3, 3)
    frames = _tones(frames, capture, recording.gain, boxes)
    if capture.sharpening > 0.05:
        frames = frames + capture.sharpening * (frames - _box_blur(frames, 3, 3))
    if capture.shift and frames.shape[2] >= _INTERLACED:
        frames[:, :, 1::2] = torch.roll(frames[:, :, 1::2], capture.shift, 3)
    for frame in frames:
        start = int(rng.integers(len(bank) - frame.numel()))
        grain = bank[start : start + frame.numel()].view_as(frame)
        frame.add_(grain[:1] + 0.5 * grain, alpha=capture.noise)
    levels = frames.clamp_(0, 1).mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    quality = capture.quality if levels.shape[1] >= _SMALL else max(capture.quality, 50)
    levels = _compress(levels, quality, rng)
    if levels.shape[1:3] == (height, width):
        return levels
    grown = torch.from_numpy(levels).permute(0, 3, 1, 2).float()
    mode = "bilinear" if capture.enlargement == "nearest" and lines < _SMALL else capture.enlargement
    corners = None if mode == "nearest" else False
    grown = functional.interpolate(grown, (height, width), mode=mode, align_corners=corners)
    return grown.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _box_blur(frames: Tensor, high: int, wide: int) -> Tensor:
    """Return the mean of a window around each pixel; odd sizes."""
    return functional.avg_pool2d(frames, (high, wide), 1, (high // 2, wide // 2), count_include_pad=False)


def _tones(frames: Tensor, capture: Capture, gain: float, boxes: NDArray[np.float32]) -> Tensor:
    """Return frames after exposure, haze, colours and the tone curve, not clipped."""
    centre = np.stack([boxes[:, 0] + boxes[:, 2] / 4 - 1, (boxes[:, 1] + boxes[:, 2] / 2 - 0.5) * 2], 1)
    corner = 1 - capture.vignette * np.clip((centre**2).sum(1) / 2, 0, 1)
    factor = torch.from_numpy((gain * corner).astype(np.float32)).to(frames.device)[:, None, None]
    luma = torch.tensor([0.3, 0.59, 0.11])
    mix = torch.tensor(capture.cast)[:, None] * (torch.eye(3) * capture.saturation + (1 - capture.saturation) * luma)
    out = ((mix.to(frames.device) @ frames.flatten(2)) * factor).view_as(frames)
    out = out * (1 - capture.haze) + capture.haze * 0.75
    out = out.clamp_(0, 1).pow_(capture.gamma)
    return out.sub_(0.45).mul_(capture.contrast).add_(0.45)


def _compress(levels: NDArray[np.uint8], quality: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return (N, h, w, 3) frames after lossy compression, with blocks at random positions."""
    down, right = (int(v) for v in rng.integers(0, 8, 2))
    padded = np.pad(levels, ((0, 0), (down, 0), (right, 0), (0, 0)), "edge")
    out = np.empty_like(levels)
    for number, frame in enumerate(padded):
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality=quality, colorsubsampling="420")
        out[number] = simplejpeg.decode_jpeg(data)[down:, right:]
    return out
