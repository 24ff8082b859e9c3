"""Which solid does each pixel see, and how deep: round cones against parallel rays, one small window at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]

FAR = 1e6


@dataclass
class Cones:
    """P round cones with oval sections over N frames, in pixels: x right, y down, z away from the camera.

    A cone's own coordinates are those in which its section is a circle and its axis is (0, y, 0), 0 ≤ y ≤ length.

    Attributes:
        origin: (N, P, 3) start of the axis.
        to_own: (N, P, 3, 3) from pixels to own coordinates: own = to_own @ (pixel − origin).
        length: (N, P) of the axis.
        radii: (N, P, 2) at both ends.
        flat: (P,) the far end is cut flat.
        shown: (N, P) False where the cone is not there.
    """

    origin: Tensor
    to_own: Tensor
    length: Tensor
    radii: Tensor
    flat: list[bool]
    shown: Tensor

    def windows(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """(top, bottom, left, right) per cone that holds it in every frame in which it is shown; empty if none."""
        axis = self.to_own[:, :, 1, :2] * self.length[..., None]
        first = self.origin[..., :2]
        last = first + axis
        reach = self.radii.amax(2, keepdim=True) + 1.0
        hidden = ~self.shown[..., None]
        low = (torch.minimum(first, last) - reach).masked_fill(hidden, FAR).amin(0)
        high = (torch.maximum(first, last) + reach).masked_fill(hidden, -FAR).amax(0)
        limit = torch.tensor([width, height], device=low.device)
        low_l = torch.minimum(low.floor().clamp(min=0), limit).long().tolist()
        high_l = torch.minimum(high.ceil().clamp(min=0), limit).long().tolist()
        return [(a[1], b[1], a[0], b[0]) for a, b in zip(low_l, high_l, strict=True)]


@dataclass
class Hits:
    """What the rays met.

    Attributes:
        depth: (N, H, W) pixels along the ray, `FAR` for nothing.
        cone: (N, H, W) int16 index of the cone, -1 for nothing.
    """

    depth: Tensor
    cone: Tensor


def cast_rays(cones: Cones, height: int, width: int) -> Hits:
    """Nearest cone of every pixel; rays run along z, as the cones are already in perspective."""
    frames, count = cones.length.shape
    device = cones.length.device
    depth = torch.full((frames, height, width), FAR, device=device)
    cone = torch.full((frames, height, width), -1, dtype=torch.int16, device=device)
    columns = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    rows = torch.arange(height, device=device, dtype=torch.float32) + 0.5

    m = cones.to_own
    ray = m[..., 2]
    ra, rb, length = cones.radii[..., 0], cones.radii[..., 1], cones.length.clamp(min=1e-3)
    taper = (ra - rb).clamp(-0.98 * length, 0.98 * length)
    root = torch.sqrt(length * length - taper * taper)
    slope = taper / root
    base = ra * length / root
    lower = ra * taper / length
    upper = length + rb * taper / length
    # Behind everything where the cone is not shown: it then loses against the empty background.
    nearness = torch.where(cones.shown, cones.origin[..., 2], 2 * FAR)
    ry = ray[..., 1]
    a_cone = (ray[..., 0] ** 2 + ray[..., 2] ** 2 - (slope * ry) ** 2).clamp(min=1e-4)
    a_ball = (ray**2).sum(-1)

    for p, (top, bottom, left, right) in enumerate(cones.windows(height, width)):
        if bottom <= top or right <= left:
            continue

        def per_frame(values: Tensor, p: int = p) -> Tensor:
            return values[:, p, None, None]

        dx = columns[left:right][None] - cones.origin[:, p, 0:1]
        dy = rows[top:bottom][None] - cones.origin[:, p, 1:2]
        x, y, z = ((dx * m[:, p, i, 0:1])[:, None, :] + (dy * m[:, p, i, 1:2])[:, :, None] for i in range(3))
        rx, ry_p, rz = per_frame(ray[..., 0]), per_frame(ry), per_frame(ray[..., 2])
        s = per_frame(slope)
        xz = x * rx + z * rz
        square = x * x + z * z
        rest = per_frame(base) - s * y
        b = torch.addcmul(xz, rest, s * ry_p)
        a = per_frame(a_cone)
        inside = b * b - a * torch.addcmul(square, rest, rest, value=-1)
        t = -(b + inside.clamp(min=0).sqrt()) / a
        along = torch.addcmul(y, t, ry_p)
        low, high = (per_frame(lower), per_frame(upper)) if not cones.flat[p] else (per_frame(lower), per_frame(length))
        t = torch.where((inside > 0) & (along > low) & (along < high), t, FAR)

        a = per_frame(a_ball)
        b = torch.addcmul(xz, y, ry_p)
        inside = b * b - a * (torch.addcmul(square, y, y) - per_frame(ra * ra))
        t = torch.where(inside > 0, torch.minimum(t, -(b + inside.clamp(min=0).sqrt()) / a), t)
        if not cones.flat[p]:
            far_y = y - per_frame(length)
            b = torch.addcmul(xz, far_y, ry_p)
            inside = b * b - a * (torch.addcmul(square, far_y, far_y) - per_frame(rb * rb))
            t = torch.where(inside > 0, torch.minimum(t, -(b + inside.clamp(min=0).sqrt()) / a), t)

        t = t + per_frame(nearness)
        window = depth[:, top:bottom, left:right]
        nearer = t < window
        window.copy_(torch.minimum(t, window))
        cone[:, top:bottom, left:right].masked_fill_(nearer, p)
    return Hits(depth, cone)
