"""From rendered light to a frame: windows of the background, things in front, smear, few pixels, the camera's colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from resight.synthetic.obstacles import Obstacle
from resight.synthetic.scene import Camera


def window_of(picture: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Cut boxes out of a camera's picture.

    Args:
        picture: (R, 2R, 3).
        boxes: (N, 3) left, top and height in heights of the picture.
        height: of the frames in pixels.
        width: of the frames in pixels.

    Returns:
        (N, height, width, 3); beyond the picture its border goes on.
    """
    rows = picture.shape[0]
    left, top, size = (boxes[:, i, None] for i in range(3))
    x = (left + size / 2 * (torch.arange(width, device=boxes.device) + 0.5) / width) * rows - 0.5
    y = (top + size * (torch.arange(height, device=boxes.device) + 0.5) / height) * rows - 0.5
    return _bilinear(picture, x, y)


def _bilinear(picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample (R, C, K) at the grid of (N, W) columns and (N, H) rows: rows first, then columns."""
    rows, columns = picture.shape[:2]
    x, y = x.clamp(0, columns - 1.001), y.clamp(0, rows - 1.001)
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[:, None, :, None], (y - y0)[:, :, None, None]
    xi, yi = x0.long()[:, None, :], y0.long()[:, :, None]
    upper = torch.lerp(picture[yi, xi], picture[yi, xi + 1], fx)
    lower = torch.lerp(picture[yi + 1, xi], picture[yi + 1, xi + 1], fx)
    return torch.lerp(upper, lower, fy)


def overlay(frames: Tensor, obstacle: Obstacle, part: slice) -> Tensor:
    """Put the obstacle in front of (N, H, W, 3) frames."""
    n, height, width = frames.shape[:3]
    centre = torch.from_numpy(obstacle.centre[part]).to(frames.device)
    texture = torch.from_numpy(obstacle.texture).to(frames.device)
    u = ((torch.arange(width, device=frames.device) + 0.5) / width - centre[:, :1]) / obstacle.size[0] + 0.5
    v = ((torch.arange(height, device=frames.device) + 0.5) / height - centre[:, 1:]) / obstacle.size[1] + 0.5
    seen = ((u > 0) & (u < 1)).any(1)
    if not seen.any():
        return frames
    u, v = u[seen], v[seen]
    side = texture.shape[0]
    sampled = _bilinear(texture, u * side - 0.5, v * side - 0.5)
    inside = ((u > 0) & (u < 1))[:, None, :, None] & ((v > 0) & (v < 1))[:, :, None, None]
    cover = sampled[..., 3:] * inside
    frames[seen] = torch.lerp(frames[seen], sampled[..., :3], cover)
    return frames


def motion_blur(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Smear along one direction by 14 … 26 % of the width."""
    width = frames.shape[2]
    reach = max(3, round(width * rng.uniform(0.14, 0.26)))
    slant = rng.uniform(-0.35, 0.35)
    total = torch.zeros_like(frames)
    for step in range(reach):
        at = step - reach // 2
        total += torch.roll(frames, (round(at * slant), at), (1, 2))
    return total / reach


def low_resolution(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Shrink by 4 … 7 and enlarge again."""
    height, width = frames.shape[1:3]
    factor = rng.uniform(4, 7)
    small = (max(4, round(height / factor)), max(2, round(width / factor)))
    planes = functional.interpolate(frames.permute(0, 3, 1, 2), small, mode="area")
    planes = functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    return planes.permute(0, 2, 3, 1)


def develop(frames: Tensor, camera: Camera, mood: tuple[float, tuple[float, ...]], noise: torch.Generator) -> Tensor:
    """The camera's own colours, blur and noise.

    Args:
        frames: (N, H, W, 3) in 0 … 1.
        camera: whose.
        mood: exposure and gains of red, green and blue of this tracklet, near 1.
        noise: of the tracklet.

    Returns:
        (N, H, W, 3) uint8, contiguous.
    """
    device = frames.device
    exposure, tint = mood
    gain = torch.tensor([c * t * exposure for c, t in zip(camera.cast, tint, strict=True)], device=device)
    luma = torch.tensor([0.3, 0.59, 0.11], device=device)
    mix = torch.diag(gain * camera.saturation) + (1 - camera.saturation) * luma[:, None] * gain[None, :]
    frames = (frames.reshape(-1, 3) @ mix).reshape(frames.shape)
    s = camera.softness
    frames[:, :, 1:-1] = (1 - 2 * s) * frames[:, :, 1:-1] + s * (frames[:, :, :-2] + frames[:, :, 2:])
    frames[:, 1:-1] = (1 - 2 * s) * frames[:, 1:-1] + s * (frames[:, :-2] + frames[:, 2:])
    frames = frames.clamp(0, 1).pow(camera.gamma)
    frames = (frames - 0.5) * camera.contrast + 0.5
    frames += camera.noise * torch.randn(frames.shape, generator=noise, device=device)
    return frames.clamp(0, 1).mul(255).round().to(torch.uint8)
