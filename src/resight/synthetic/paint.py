"""Compute the colours of the pixels covered by people: cloth patterns, faces and light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.synthetic.dressing import COLUMNS
from resight.synthetic.raster import Cones, Hits
from resight.synthetic.solids import FACE, INNER, TRUNK
from resight.synthetic.surface import Surface, gather_surface, paint_figures
from resight.synthetic.view import Placed


@dataclass
class Paint:
    """Appearance of the cones.

    Attributes:
        table: (23, N·P) Values that a pixel needs of its cone, in the order in which `paint_hits` reads them.
        cloths: (10, K) Cloths of all bodies; see `resight.synthetic.solids.Solids`.
        cones: Number of cones P.
        varied: Whether there are folds, or patterns other than the first six.
    """

    table: Tensor
    cloths: Tensor
    cones: int
    varied: bool


@dataclass(frozen=True, slots=True)
class Light:
    """Light on people.

    Attributes:
        direction: Unit vector towards the light in camera coordinates (right, down, away).
        strength: Strength of the directed light.
        ambient: Strength of the ambient light.
    """

    direction: tuple[float, float, float]
    strength: float
    ambient: float


def gather_scene(bodies: list[Placed], device: str) -> tuple[Cones, Paint | Surface]:
    """Return the cones of all bodies of a scene, and their appearance on the given device.

    The bodies of a scene are either all simple or all detailed figures.
    """

    def join(name: str) -> NDArray[np.float32]:
        return np.concatenate([getattr(b, name) for b in bodies], 1)

    solids = [b.solids for b in bodies]
    first = np.cumsum([0] + [len(s.cloths) for s in solids])
    cones = Cones(
        origin=join("origin"),
        to_own=join("to_own"),
        length=join("length"),
        radii=join("radii"),
        flat=np.concatenate([s.flat for s in solids]),
        shown=np.concatenate([np.repeat(b.shown[:, None], b.length.shape[1], 1) for b in bodies], 1),
    )
    if solids[0].cloths.shape[1] == COLUMNS:
        return cones, gather_surface(bodies, cones, device)
    constant = [
        np.column_stack(
            [s.cloth + k, s.cut, s.paint, s.offset, s.radii.mean(1), np.full(len(s.cut), k + INNER)],
        )
        for s, k in zip(solids, first, strict=False)
    ]
    n, count = cones.length.shape
    table = np.concatenate(
        [
            cones.to_own.reshape(n, count, 9),
            cones.origin,
            cones.length[..., None],
            cones.radii,
            join("scale")[..., None],
            np.broadcast_to(np.concatenate(constant), (n, count, 7)),
        ],
        2,
    )
    columns = np.ascontiguousarray(table.reshape(n * count, 23).T, np.float32)
    cloths = np.concatenate([s.cloths for s in solids]).T
    paint = Paint(
        torch.from_numpy(columns).to(device),
        torch.from_numpy(np.ascontiguousarray(cloths)).to(device),
        count,
        bool(cloths[9].any()),
    )
    return cones, paint


def paint_hits(frames: Tensor, hits: Hits, paint: Paint | Surface, light: Light) -> None:
    """Colour the pixels covered by people, in place.

    Args:
        frames: (N, 3, H, W) Frames.
        hits: Nearest cone of each pixel.
        paint: Appearance of the cones.
        light: Light on the people.
    """
    if isinstance(paint, Surface):
        paint_figures(frames, hits, paint, light.direction, light.strength, light.ambient)
        return
    _, height, width = hits.cone.shape
    flat = hits.cone.view(-1)
    covered = torch.nonzero(flat >= 0).squeeze(1)
    frame = torch.div(covered, height * width, rounding_mode="floor")
    inside = covered - frame * (height * width)
    y = torch.div(inside, width, rounding_mode="floor")
    x = inside - y * width
    table = paint.table.index_select(1, frame * paint.cones + flat[covered])
    m, origin, length, (ra, rb), scale = table[:9], table[9:12], table[12], table[13:15], table[15]
    rows, cut, kind, offset, breadth, inner = table[16:18], table[18], table[19], table[20], table[21], table[22]
    dx, dy, dz = x + 0.5 - origin[0], y + 0.5 - origin[1], hits.depth.reshape(-1)[covered] - origin[2]
    ox, oy, oz = (m[3 * i] * dx + m[3 * i + 1] * dy + m[3 * i + 2] * dz for i in range(3))

    radial = torch.sqrt(ox * ox + oz * oz)
    slope = ((ra - rb) / length).clamp(-0.9, 0.9)
    centre = (oy - slope * radial).clamp(min=0)
    ny = oy - torch.minimum(centre, length)
    normal = [m[j] * ox + m[3 + j] * ny + m[6 + j] * oz for j in range(3)]
    size = torch.rsqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2 + 1e-6)
    lx, ly, lz = light.direction
    facing = (normal[0] * lx + normal[1] * ly + normal[2] * lz) * size
    sky = 0.5 - 0.5 * normal[1] * size
    rim = (-normal[2] * size).clamp(0, 1)
    shade = light.ambient * (0.55 + 0.45 * sky) * (0.75 + 0.25 * rim) + light.strength * (0.25 + 0.75 * facing).clamp(
        min=0
    )

    fraction = oy / length
    row = torch.where(fraction > cut, rows[1], rows[0]).long()
    along = oy / scale + offset
    angle = torch.atan2(ox, oz)
    trunk = kind == TRUNK
    opening = trunk & (angle.abs() < 0.42) & (paint.cloths[8][row] > 0)
    cloth = paint.cloths.index_select(1, torch.where(opening, inner.long(), row))
    second = _pattern(cloth, along, angle * breadth, trunk)
    if paint.varied:
        second |= _further_pattern(cloth, along, angle * breadth, trunk)
    colour = torch.where(second, cloth[3:6], cloth[:3])
    if paint.varied:
        colour = colour * _folds(cloth[9], along, angle, breadth)
    face = kind == FACE
    eyes = face & (angle.abs() < 1.0) & (angle.abs() > 0.18) & ((fraction - 0.30).abs() < 0.22)
    mouth = face & (angle.abs() < 0.35) & ((fraction - 1.35).abs() < 0.14)
    shade = shade * torch.where(eyes, 0.45, torch.where(mouth, 0.7, 1.0))
    frames.flatten(2)[frame, :, inside] = (colour * shade).T


def _pattern(cloth: Tensor, along: Tensor, around: Tensor, trunk: Tensor) -> Tensor:
    """Return where the first six of `resight.synthetic.clothes.PATTERNS` show the second colour.

    Args:
        cloth: (10, K) Cloth of each pixel.
        along: (K,) Position along the garment in metres.
        around: (K,) Position around the solid in metres.
        trunk: (K,) Whether the pixel belongs to the trunk.

    Returns:
        (K,) True where the second colour shows.
    """
    kind, period = cloth[6], cloth[7]
    level = torch.frac(along / period + 8) < 0.5
    upright = torch.frac(around / (0.6 * period) + 8.25) < 0.5
    lower = along > 0.21
    print_x, print_y = around, along - 0.16
    printed = trunk & (print_x.abs() < 0.10) & (print_y.abs() < 0.09)
    return (
        ((kind == 1) & level)
        | ((kind == 2) & upright)
        | ((kind == 3) & (level ^ upright))
        | ((kind == 4) & lower)
        | ((kind == 5) & printed)
    )


def _further_pattern(cloth: Tensor, along: Tensor, around: Tensor, trunk: Tensor) -> Tensor:
    """Return the same as `_pattern` for the remaining patterns, which only varied styles use."""
    kind, period = cloth[6], cloth[7]
    x, y = (torch.frac(position / (0.8 * period) + 8) - 0.5 for position in (around, along))
    return (
        ((kind == 6) & (x.square() + y.square() < 0.08))
        | ((kind == 7) & (torch.sin(around * 31 + 3 * torch.sin(along * 17)) * torch.sin(along * 37) > 0.15))
        | ((kind == 8) & ((along - 0.15).abs() < 0.4 * period))
        | ((kind == 9) & ~trunk)
    )


def _folds(depth: Tensor, along: Tensor, angle: Tensor, breadth: Tensor) -> Tensor:
    """Return (K,) factors on the light that show folds: waves that differ between the parts of the body."""
    phase = breadth * 97
    wave = 0.6 * torch.sin(along * 23 + phase + 2 * torch.sin(2 * angle + phase))
    return 1 + depth * (wave + 0.4 * torch.sin(along * 47 + 3 * angle + 2 * phase))
