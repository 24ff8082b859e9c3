"""Colour the pixels of detailed figures: cloth, faces, soft shadows and light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from resight.synthetic.dressing import COLUMNS
from resight.synthetic.fabric import fabric
from resight.synthetic.raster import FAR, Cones, Hits
from resight.synthetic.solids import INNER
from resight.synthetic.view import Placed

_TABLE = 26


@dataclass
class Surface:
    """Appearance of the cones of detailed figures.

    Attributes:
        table: (26, N·P) Values that a pixel needs of its cone.
        cloths: (24, K) Cloths of all bodies; see `resight.synthetic.dressing.dress`.
        cones: Number of cones P.
        metre: Pixels per metre, averaged over the bodies.
    """

    table: Tensor
    cloths: Tensor
    cones: int
    metre: float


def gather_surface(bodies: list[Placed], cones: Cones, device: str) -> Surface:
    """Return the appearance of the cones of a scene of detailed figures on a device."""
    solids = [b.solids for b in bodies]
    first = np.cumsum([0] + [len(s.cloths) for s in solids])
    constant = [
        np.column_stack(
            [s.cloth + k, s.cut, s.paint, s.offset, s.radii.mean(1), np.full(len(s.cut), k + INNER), s.creases, s.oval]
        )
        for s, k in zip(solids, first, strict=False)
    ]
    n, count = cones.length.shape
    scale = np.concatenate([b.scale for b in bodies], 1)
    columns: list[NDArray[np.floating]] = [
        cones.to_own.reshape(n, count, 9), cones.origin, cones.length[..., None], cones.radii, scale[..., None],
        np.broadcast_to(np.concatenate(constant), (n, count, 10)),
    ]  # fmt: skip
    table = np.concatenate(columns, 2).reshape(n * count, -1)[:, :_TABLE]
    cloths = np.concatenate([s.cloths for s in solids]).T.reshape(COLUMNS, -1)
    return Surface(
        torch.from_numpy(np.ascontiguousarray(table.T, np.float32)).to(device),
        torch.from_numpy(np.ascontiguousarray(cloths)).to(device),
        count,
        float(np.median(scale)),
    )


def paint_figures(
    frames: Tensor, hits: Hits, surface: Surface, direction: tuple[float, float, float], strength: float, ambient: float
) -> None:
    """Colour the pixels covered by detailed figures, in place.

    Args:
        frames: (N, 3, H, W) Frames.
        hits: Nearest cone of each pixel.
        surface: Appearance of the cones.
        direction: Unit vector towards the light in camera coordinates (right, down, away).
        strength: Strength of the directed light.
        ambient: Strength of the ambient light.
    """
    n, height, width = hits.cone.shape
    flat = hits.cone.view(-1)
    covered = torch.nonzero(flat >= 0).squeeze(1)
    if not len(covered):
        return
    frame = torch.div(covered, height * width, rounding_mode="floor")
    inside = covered - frame * (height * width)
    y = torch.div(inside, width, rounding_mode="floor")
    x = inside - y * width
    table = surface.table.index_select(1, frame * surface.cones + flat[covered])
    m, origin = table[:9], table[9:12]
    dx, dy, dz = x + 0.5 - origin[0], y + 0.5 - origin[1], hits.depth.reshape(-1)[covered] - origin[2]
    ox, oy, oz = (m[3 * i] * dx + m[3 * i + 1] * dy + m[3 * i + 2] * dz for i in range(3))
    length, ra, rb = table[12:15]
    slope = ((ra - rb) / length).clamp(-0.9, 0.9)
    centre = (oy - slope * torch.sqrt(ox * ox + oz * oz)).clamp(min=0)
    ny = oy - torch.minimum(centre, length)
    normal = torch.stack([m[j] * ox + m[3 + j] * ny + m[6 + j] * oz for j in range(3)])
    normal *= torch.rsqrt((normal * normal).sum(0) + 1e-6)
    colour, relief, gloss = fabric(table, surface.cloths, ox, oy, oz)

    image = torch.zeros(5, n * height * width, device=frames.device)
    image[:3, covered] = normal
    image[3, covered] = relief * table[15]
    image[4, covered] = 1.0
    image = image.view(5, n, height, width)
    bent = _smooth_normals(image, max(1, round(0.016 * surface.metre)))
    depth = torch.where(hits.cone < 0, FAR, hits.depth)
    closed = _occlusion(depth, surface.metre).view(-1)[covered]
    lit = _sunlit(depth, direction, surface.metre).view(-1)[covered] if strength > 0.12 else 1.0
    nx, ny, nz = bent.view(3, -1)[:, covered]
    lx, ly, lz = direction
    facing = ((nx * lx + ny * ly + nz * lz + 0.12) / 1.12).clamp(min=0)
    sky = 0.5 - 0.5 * ny
    open_sky = ambient * (0.50 + 0.55 * sky) * closed * (0.90 - 0.10 * nz)
    sun = strength * facing * lit * (0.55 + 0.45 * closed)
    shine = torch.tensor([lx, ly, lz - 1.0])
    shine /= shine.norm()
    glint = (nx * float(shine[0]) + ny * float(shine[1]) + nz * float(shine[2])).clamp(min=0) ** 20
    specular = gloss * (0.45 * strength * lit * glint + 0.10 * ambient * closed * sky**4)
    warm = torch.tensor([1.03, 1.0, 0.94], device=frames.device)[:, None]
    cool = torch.tensor([0.97, 1.0, 1.05], device=frames.device)[:, None]
    lit_colour = colour * (cool * open_sky + warm * 1.15 * sun) + specular
    out = frames.flatten(2)
    out[frame, :, inside] = lit_colour.T
    _soften_edges(frames, image[4])


def _smooth_normals(image: Tensor, reach: int) -> Tensor:
    """Return (3, N, H, W) normals that are smooth across neighbouring solids and show the relief.

    Args:
        image: (5, N, H, W) Normal, relief in pixels, and 1 where a figure is.
        reach: Half size of the smoothing window in pixels.
    """
    relief = functional.pad(image[3], (1, 1, 1, 1))
    # Relief jumps where two solids meet, which must not look like a cliff.
    across = (relief[:, 1:-1, 2:] - relief[:, 1:-1, :-2]).mul_(0.5).clamp_(-0.55, 0.55)
    down = (relief[:, 2:, 1:-1] - relief[:, :-2, 1:-1]).mul_(0.5).clamp_(-0.55, 0.55)
    smooth = torch.lerp(image[:3], _window_sum(image[:3], reach) / (2 * reach + 1) ** 2, 0.65)
    smooth[0] -= 0.5 * across
    smooth[1] -= 0.5 * down
    return smooth * torch.rsqrt((smooth * smooth).sum(0) + 1e-6)


def _occlusion(depth: Tensor, metre: float) -> Tensor:
    """Return (N, H, W) factors on the ambient light: smaller where nearby parts are nearer to the camera."""
    margin = max(2, round(0.10 * metre))
    padded = functional.pad(depth[:, None], (margin,) * 4, mode="replicate")[:, 0]
    height, width = depth.shape[1:]
    total = torch.zeros_like(depth)
    cap = 0.10 * metre
    for reach, angles in ((0.10, (0.3, 1.35, 2.4, 3.45, 4.5, 5.55)), (0.045, (0.8, 2.4, 3.9, 5.5))):
        for angle in angles:
            i = margin + round(reach * metre * np.sin(angle))
            j = margin + round(reach * metre * np.cos(angle))
            near = (depth - padded[:, i : i + height, j : j + width]).clamp_(0, 4 * cap)
            # A part that is far in front, such as another person, hardly darkens.
            total += near / (cap + near * near / cap)
    return 1 - 0.95 * (total / 10).clamp_(max=0.72)


def _sunlit(depth: Tensor, direction: tuple[float, float, float], metre: float) -> Tensor:
    """Return (N, H, W) from 0 (in the shadow of another part of the body) to 1."""
    steps = [step * metre for step in (0.05, 0.09, 0.14, 0.20, 0.28)]
    margin = int(np.ceil(steps[-1])) + 1
    padded = functional.pad(depth[:, None], (margin,) * 4, mode="replicate")[:, 0]
    height, width = depth.shape[1:]
    lx, ly, lz = direction
    shadow = torch.zeros_like(depth)
    for step in steps:
        i, j = margin + round(ly * step), margin + round(lx * step)
        behind = depth + lz * step - padded[:, i : i + height, j : j + width]
        shadow += ((behind > 0.02 * metre) & (behind < 0.30 * metre)).float()
    return 1 - 0.85 * (shadow * 0.5).clamp_(max=1)


def _window_sum(image: Tensor, reach: int) -> Tensor:
    """Return the sums over square windows of an image (…, H, W), as if it continued with zeros."""
    total = image
    for axis in (-1, -2):
        out = total.clone()
        size = image.shape[axis]
        for shift in range(1, reach + 1):
            out.narrow(axis, shift, size - shift).add_(total.narrow(axis, 0, size - shift))
            out.narrow(axis, 0, size - shift).add_(total.narrow(axis, shift, size - shift))
        total = out
    return total


def _soften_edges(frames: Tensor, mask: Tensor) -> None:
    """Blend pixels at the outline of figures with their neighbours, in place, so that it has no steps."""
    share = _window_sum(mask[:, 1:-1, :], 1)[:, :, 1:-1]
    frame, y, x = torch.nonzero((share > 0.5) & (share < 8.5), as_tuple=True)
    if not len(frame):
        return
    width = frames.shape[3]
    at = (y + 1) * width + x + 1
    pixels = frames.flatten(2)
    blurred = torch.zeros(len(at), 3, device=frames.device)
    for step in (-width - 1, -width, -width + 1, -1, 0, 1, width - 1, width, width + 1):
        blurred += pixels[frame, :, at + step]
    pixels[frame, :, at] = torch.lerp(pixels[frame, :, at], blurred / 9, 0.6)
