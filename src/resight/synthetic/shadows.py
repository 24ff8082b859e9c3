"""Cast shadows: of persons on the ground, and of buildings and trees on persons."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from resight.synthetic.scene import Camera
from resight.synthetic.solids import Solids
from resight.synthetic.weather import Weather, ground_shade

Array = NDArray[np.float32]

_SOLIDS = 14
"""Number of solids of a body that cast a shadow, the largest ones."""
_COARSE = 2
"""Shadows are computed for every second pixel along each axis."""


class ShadowCaster:
    """The ground and the light as seen in the boxes of some frames.

    Args:
        cam: The camera.
        sky: Light of the place.
        boxes: (N, 3) Left, top and height of the boxes in units of the image height.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
    """

    def __init__(self, cam: Camera, sky: Weather, boxes: Array, height: int, width: int) -> None:
        self.cam, self.sky = cam, sky
        columns, rows = (np.arange(0.5, n // _COARSE) * _COARSE / height for n in (width, height))
        x = boxes[:, 0, None] + boxes[:, 2, None] * columns
        y = boxes[:, 1, None] + boxes[:, 2, None] * rows
        rays = np.empty((len(boxes), len(rows), len(columns), 3), np.float32)
        rays[..., 0], rays[..., 1], rays[..., 2] = x[:, None] - 1, y[:, :, None] - 0.5, cam.lens.focal
        self.rays = rays @ cam.lens.to_camera()
        self.size = (height, width)
        reach = -cam.lens.height / np.minimum(self.rays[..., 1:2], -0.02)
        self.ground = np.where(self.rays[..., 1:2] < -0.02, self.rays * reach, 1e4).astype(np.float32)
        self.ground[..., 1] = 0.0
        self.light = ground_shade(sky, self.ground, cam.lane)

    def on_ground(self, bodies: list[tuple[Solids, Array, Array, NDArray[np.bool_]]]) -> Tensor:
        """Return the (N, 1, H, W) factor by which bodies darken the ground.

        Args:
            bodies: Solids, (N, 2) positions, (N,) headings, and (N,) whether each body is present.
        """
        right, up, ahead = self.sky.to_light
        px, pz = torch.from_numpy(self.ground[..., 0]), torch.from_numpy(self.ground[..., 2])
        cover = torch.zeros_like(px)
        for solids, position, heading, shown in bodies:
            weight = solids.radii.mean(1) * np.linalg.norm(solids.end - solids.start, axis=2).mean(0)
            c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
            for p in np.argsort(-weight)[:_SOLIDS]:
                ends = []
                for point in (solids.start[:, p], solids.end[:, p]):
                    tall = point[:, 1:2] / max(up, 0.2)
                    x = c * point[:, :1] + s * point[:, 2:] + position[:, :1] - tall * right
                    z = -s * point[:, :1] + c * point[:, 2:] + position[:, 1:] - tall * ahead
                    ends.append(torch.from_numpy(np.stack([x, z])[..., None].astype(np.float32)))
                (ax, az), (bx, bz) = ends
                dx, dz = bx - ax, bz - az
                along = ((px - ax) * dx + (pz - az) * dz) / (dx * dx + dz * dz + 1e-4)
                along.clamp_(0, 1)
                gap = torch.hypot(px - ax - along * dx, pz - az - along * dz)
                radius = float(solids.radii[p].mean())
                soft = 0.05 + 0.25 * (1 - self.sky.sharpness)
                shade = ((radius + soft / 2 - gap) / soft).clamp_(0, 1)
                cover = torch.maximum(cover, shade * torch.from_numpy(shown.astype(np.float32))[:, None, None])
        direct = self.sky.strength * max(up, 0.0) * torch.from_numpy(self.light)
        factor = 1 - cover * direct / (direct + self.sky.ambient)
        return functional.interpolate(factor[:, None], self.size, mode="bilinear", align_corners=False)

    def on_person(self, position: Array) -> Tensor:
        """Return the (N, 1, H, W) factor by which buildings and trees darken a person at (N, 2) positions."""
        depth = self.cam.lens.project(np.stack([position[:, 0], 0 * position[:, 0] + 0.9, position[:, 1]], 1))[:, 2]
        points = self.rays * (depth / self.cam.lens.focal)[:, None, None, None]
        points[..., 1] += self.cam.lens.height
        lit = torch.from_numpy(ground_shade(self.sky, points, self.cam.lane))
        part = 0.6 * self.sky.strength / (0.6 * self.sky.strength + 0.85 * self.sky.ambient)
        factor = 1 - part * (1 - lit)
        return functional.interpolate(factor[:, None], self.size, mode="bilinear", align_corners=False)
