"""Image operations on rendered frames: background, shadows, obstacles, blur, resolution, and the camera's colours."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from resight.synthetic.obstacles import Obstacle
from resight.synthetic.scene import Camera
from resight.synthetic.streams import stream


def crop_boxes(image: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Crop boxes from a camera's image.

    Args:
        image: (3, R, 2R) Image.
        boxes: (N, 3) Left, top and height in units of the image height; boxes have the shape of the frames.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.

    Returns:
        (N, 3, height, width) Frames. Outside the image, its border pixels are repeated.
    """
    left, top, size = (boxes[:, i, None] for i in range(3))
    x = (left + size * (width / height) * _centres(width, boxes.device)) - 1
    y = (top + size * _centres(height, boxes.device)) * 2 - 1
    return _sample(image, x, y)


def cast_shadow(frames: Tensor, feet: NDArray[np.float32], darkness: NDArray[np.floating]) -> None:
    """Darken the ground around a person's feet, in place.

    Args:
        frames: (N, 3, H, W) Frames.
        feet: (N, 4) Position and size of the shadow; see `resight.synthetic.view.Placed`.
        darkness: (N,) Darkness from 0 (no shadow) to 1.
    """
    x, y, wide, high = torch.from_numpy(feet).to(frames.device)[:, :, None].unbind(1)
    height, width = frames.shape[2:]
    across = ((torch.arange(width, device=frames.device) + 0.5 - x) / wide)[:, None, :]
    along = ((torch.arange(height, device=frames.device) + 0.5 - y) / high)[:, :, None]
    depth = torch.from_numpy(darkness.astype(np.float32)).to(frames.device)[:, None, None]
    shade = 1 - depth * torch.exp(-across * across) * torch.exp(-along * along)
    frames.mul_(shade[:, None])


def overlay(frames: Tensor, obstacle: Obstacle, part: slice) -> None:
    """Draw an obstacle into frames, in place.

    Args:
        frames: (n, 3, H, W) Frames.
        obstacle: The obstacle, over all frames of the tracklet.
        part: Slice of the tracklet that `frames` contains.
    """
    near = np.flatnonzero(np.abs(obstacle.centre[part, 0] - 0.5) < (1 + obstacle.size[0]) / 2)
    if not len(near):
        return
    at = torch.from_numpy(near).to(frames.device)
    centre = torch.from_numpy(obstacle.centre[part][near]).to(frames.device)
    texture = torch.from_numpy(obstacle.texture).permute(2, 0, 1).to(frames.device)
    height, width = frames.shape[2:]
    u = (_centres(width, frames.device) - centre[:, :1]) / obstacle.size[0] * 2
    v = (_centres(height, frames.device) - centre[:, 1:]) / obstacle.size[1] * 2
    sampled = _sample(texture, u, v)
    inside = (u.abs() < 1)[:, None, None, :] & (v.abs() < 1)[:, None, :, None]
    frames[at] = torch.lerp(frames[at], sampled[:, :3], sampled[:, 3:] * inside)


def _centres(count: int, device: torch.device) -> Tensor:
    """Return the centres of `count` pixels, as fractions of their total width."""
    return (torch.arange(count, device=device) + 0.5) / count


def _sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the (N, K, H, W) values of a (K, R, C) image at (N, W) columns and (N, H) rows, both from -1 to 1."""
    n, width = x.shape
    height = y.shape[1]
    grid = torch.stack([x[:, None].expand(n, height, width), y[:, :, None].expand(n, height, width)], -1)
    images = image.expand(n, *image.shape)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@lru_cache(maxsize=2)
def noise_bank(seed: int, device: str) -> Tensor:
    """Return about four million normally distributed numbers, from which noise is taken.

    Drawing new numbers for each frame would add about 10 % to the rendering time.
    """
    return torch.from_numpy(stream(seed, "noise bank").standard_normal(1 << 22, np.float32)).to(device)


def motion_blur(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Return frames blurred in one random direction by 14 % to 26 % of their width."""
    width = frames.shape[3]
    reach = max(3, round(width * rng.uniform(0.14, 0.26)))
    slant = rng.uniform(-0.35, 0.35)
    total = torch.zeros_like(frames)
    for step in range(reach):
        at = step - reach // 2
        total += torch.roll(frames, (round(at * slant), at), (2, 3))
    return total / reach


def low_resolution(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Return frames reduced by a random factor of 4 to 7 and enlarged again."""
    return reduce_resolution(frames, 1 / rng.uniform(4, 7))


def reduce_resolution(frames: Tensor, share: float) -> Tensor:
    """Return frames as seen by a camera of lower resolution.

    Args:
        frames: (N, 3, H, W) Frames.
        share: Resolution along each axis, as a fraction of that of `frames`.

    Returns:
        (N, 3, H, W) Frames, enlarged to the original size.
    """
    height, width = frames.shape[2:]
    small = (max(4, round(height * share)), max(2, round(width * share)))
    reduced = functional.interpolate(frames, small, mode="area")
    return functional.interpolate(reduced, (height, width), mode="bilinear", align_corners=False)


def stretch_middle(frames: Tensor, share: float) -> Tensor:
    """Return the middle columns of frames, stretched to the full width, as for boxes that are too narrow.

    Args:
        frames: (N, 3, H, W) Frames.
        share: Fraction of the columns that is kept.
    """
    width = frames.shape[3]
    kept = max(2, round(width * share))
    left = (width - kept) // 2
    middle = frames[..., left : left + kept]
    return functional.interpolate(middle, frames.shape[2:], mode="bilinear", align_corners=False)


def apply_camera(
    frames: Tensor, camera: Camera, light: tuple[float, tuple[float, ...]], bank: Tensor, rng: np.random.Generator
) -> Tensor:
    """Apply a camera's colours, blur, tone curve and noise.

    Args:
        frames: (N, 3, H, W) Values from 0 to 1; overwritten.
        camera: The camera.
        light: Exposure, and gains of red, green and blue, of this tracklet; near 1.
        bank: Noise; see `noise_bank`.
        rng: Chooses which part of the noise is used.

    Returns:
        (N, H, W, 3) uint8 frames, contiguous.
    """
    exposure, tint = light
    gain = torch.tensor([c * t * exposure for c, t in zip(camera.cast, tint, strict=True)])
    luma = torch.tensor([0.3, 0.59, 0.11])
    mix = gain[:, None] * (torch.eye(3) * camera.saturation + (1 - camera.saturation) * luma)
    out = (mix.to(frames.device) @ frames.flatten(2)).view_as(frames)
    s = camera.softness
    out[..., 1:-1] = (1 - 2 * s) * out[..., 1:-1] + s * (out[..., :-2] + out[..., 2:])
    out[:, :, 1:-1] = (1 - 2 * s) * out[:, :, 1:-1] + s * (out[:, :, :-2] + out[:, :, 2:])
    out.clamp_(0, 1).pow_(camera.gamma)
    out.sub_(0.5).mul_(camera.contrast).add_(0.5)
    for frame in out:
        start = int(rng.integers(len(bank) - frame.numel()))
        frame.add_(bank[start : start + frame.numel()].view_as(frame), alpha=camera.noise)
    levels = out.clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous()
