"""From rendered light to a frame: background, things in front, smear, few pixels, the camera's colours."""

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


def window_of(picture: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Cut boxes out of a camera's picture.

    Args:
        picture: (3, R, 2R).
        boxes: (N, 3) left, top and height in heights of the picture; half as wide as high.
        height: of the frames in pixels.
        width: of the frames in pixels.

    Returns:
        (N, 3, height, width); beyond the picture its border goes on.
    """
    left, top, size = (boxes[:, i, None] for i in range(3))
    x = (left + size / 2 * _centres(width, boxes.device)) - 1
    y = (top + size * _centres(height, boxes.device)) * 2 - 1
    return _sample(picture, x, y)


def cast_shadow(frames: Tensor, feet: NDArray[np.float32], darkness: NDArray[np.floating]) -> None:
    """Darken the ground of (N, 3, H, W) frames round (N, 4) feet, by (N,) shares, in place.

    Feet are those of `resight.synthetic.view.Placed`.
    """
    x, y, wide, high = torch.from_numpy(feet).to(frames.device)[:, :, None].unbind(1)
    height, width = frames.shape[2:]
    across = ((torch.arange(width, device=frames.device) + 0.5 - x) / wide)[:, None, :]
    along = ((torch.arange(height, device=frames.device) + 0.5 - y) / high)[:, :, None]
    depth = torch.from_numpy(darkness.astype(np.float32)).to(frames.device)[:, None, None]
    shade = 1 - depth * torch.exp(-across * across) * torch.exp(-along * along)
    frames.mul_(shade[:, None])


def overlay(frames: Tensor, obstacle: Obstacle, part: slice) -> None:
    """Put the obstacle in front of (N, 3, H, W) frames, in place."""
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
    return (torch.arange(count, device=device) + 0.5) / count


def _sample(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(N, K, H, W) of a (K, R, C) picture at (N, W) columns and (N, H) rows, both in -1 … 1."""
    n, width = x.shape
    height = y.shape[1]
    grid = torch.stack([x[:, None].expand(n, height, width), y[:, :, None].expand(n, height, width)], -1)
    pictures = picture.expand(n, *picture.shape)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


@lru_cache(maxsize=2)
def noise_bank(seed: int, device: str) -> Tensor:
    """Four million normal numbers to cut noise from: drawing fresh ones would cost a tenth of the rendering."""
    return torch.from_numpy(stream(seed, "noise bank").standard_normal(1 << 22, np.float32)).to(device)


def motion_blur(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Smear along one direction by 14 … 26 % of the width."""
    width = frames.shape[3]
    reach = max(3, round(width * rng.uniform(0.14, 0.26)))
    slant = rng.uniform(-0.35, 0.35)
    total = torch.zeros_like(frames)
    for step in range(reach):
        at = step - reach // 2
        total += torch.roll(frames, (round(at * slant), at), (2, 3))
    return total / reach


def low_resolution(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Shrink by 4 … 7 and enlarge again."""
    return of_few_pixels(frames, 1 / rng.uniform(4, 7))


def of_few_pixels(frames: Tensor, share: float) -> Tensor:
    """As a camera sees (N, 3, H, W) frames that has fewer pixels for them, by `share` along both axes."""
    height, width = frames.shape[2:]
    small = (max(4, round(height * share)), max(2, round(width * share)))
    few = functional.interpolate(frames, small, mode="area")
    return functional.interpolate(few, (height, width), mode="bilinear", align_corners=False)


def narrowed(frames: Tensor, share: float) -> Tensor:
    """The middle columns of (N, 3, H, W) frames, `share` of them, made as wide as all: a box that was too narrow."""
    width = frames.shape[3]
    kept = max(2, round(width * share))
    left = (width - kept) // 2
    middle = frames[..., left : left + kept]
    return functional.interpolate(middle, frames.shape[2:], mode="bilinear", align_corners=False)


def develop(
    frames: Tensor, camera: Camera, mood: tuple[float, tuple[float, ...]], bank: Tensor, rng: np.random.Generator
) -> Tensor:
    """The camera's own colours, blur and noise.

    Args:
        frames: (N, 3, H, W) in 0 … 1; overwritten.
        camera: whose.
        mood: exposure and gains of red, green and blue of this tracklet, near 1.
        bank: of noise, see `noise_bank`.
        rng: where to cut the noise.

    Returns:
        (N, H, W, 3) uint8, contiguous.
    """
    exposure, tint = mood
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
