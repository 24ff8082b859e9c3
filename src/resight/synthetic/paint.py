"""Colours for what the rays met: cloth patterns, faces and light, computed for the covered pixels only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.synthetic.body import FACE, INNER, TRUNK
from resight.synthetic.raster import Cones, Hits
from resight.synthetic.view import Placed


@dataclass
class Paint:
    """How each of P cones is painted.

    Attributes:
        per_cone: (P, 5) first pixel of cloth row, row beyond the cut, cut, paint kind, offset along the garment.
        scale: (N, P) pixels per metre.
        breadth: (P,) mean radius in metres.
        cloths: (K, 9) see `resight.synthetic.body.Solids`; K counts the cloths of all bodies.
        inner: (P,) row of what an open jacket shows.
    """

    rows: Tensor
    cut: Tensor
    kind: Tensor
    offset: Tensor
    scale: Tensor
    breadth: Tensor
    cloths: Tensor
    inner: Tensor


@dataclass(frozen=True, slots=True)
class Light:
    """Light on people, in camera coordinates (right, down, away).

    Attributes:
        direction: towards the light, unit length.
        strength: of the directed light.
        ambient: of the light from everywhere.
    """

    direction: tuple[float, float, float]
    strength: float
    ambient: float


def gather_scene(bodies: list[Placed], device: str) -> tuple[Cones, Paint]:
    """Put the bodies of one scene into one list of cones."""

    def join(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(b, name) for b in bodies], 1)).to(device)

    def listed(arrays: list[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    solids = [b.solids for b in bodies]
    first = np.cumsum([0] + [len(s.cloths) for s in solids])
    shown = np.concatenate([np.repeat(b.shown[:, None], b.length.shape[1], 1) for b in bodies], 1)
    cones = Cones(
        origin=join("origin"),
        to_own=join("to_own"),
        length=join("length"),
        radii=join("radii"),
        flat=[bool(f) for s in solids for f in s.flat],
        shown=torch.from_numpy(shown).to(device),
    )
    paint = Paint(
        rows=listed([s.cloth + k for s, k in zip(solids, first, strict=False)]),
        cut=listed([s.cut for s in solids]),
        kind=listed([s.paint for s in solids]),
        offset=listed([s.offset for s in solids]),
        scale=join("scale"),
        breadth=listed([s.radii.mean(1) for s in solids]),
        cloths=listed([s.cloths for s in solids]),
        inner=listed([np.full(len(s.cut), k + INNER) for s, k in zip(solids, first, strict=False)]),
    )
    return cones, paint


def paint_hits(hits: Hits, cones: Cones, paint: Paint, light: Light) -> tuple[Tensor, Tensor]:
    """Colour the covered pixels.

    Returns:
        (K,) flat positions of the covered pixels in (N, H, W), and their colours (K, 3) in 0 … 1.
    """
    frames, height, width = hits.cone.shape
    count = cones.length.shape[1]
    flat = hits.cone.reshape(-1)
    where = torch.nonzero(flat >= 0).squeeze(1)
    p = flat[where].long()
    frame = torch.div(where, height * width, rounding_mode="floor")
    inside = where - frame * (height * width)
    y = torch.div(inside, width, rounding_mode="floor")
    x = inside - y * width
    row = frame * count + p

    # One gather of everything a pixel needs of its cone: 12 + 4 numbers.
    table = torch.cat(
        [
            cones.to_own.reshape(-1, 9),
            cones.origin.reshape(-1, 3),
            cones.length.reshape(-1, 1),
            cones.radii.reshape(-1, 2),
            paint.scale.reshape(-1, 1),
        ],
        1,
    )[row].T.contiguous()
    m, origin, length, (ra, rb), scale = table[:9], table[9:12], table[12], table[13:15], table[15]
    dx, dy, dz = x + 0.5 - origin[0], y + 0.5 - origin[1], hits.depth.reshape(-1)[where] - origin[2]
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
    cloth_row = torch.where(fraction > paint.cut[p], paint.rows[p, 1], paint.rows[p, 0])
    along = oy / scale + paint.offset[p]
    angle = torch.atan2(ox, oz)
    trunk = paint.kind[p] == TRUNK
    opening = trunk & (angle.abs() < 0.42) & (paint.cloths[cloth_row, 8] > 0)
    cloth_row = torch.where(opening, paint.inner[p], cloth_row)
    cloth = paint.cloths[cloth_row].T
    colour = _pattern(cloth, along, angle, angle * paint.breadth[p], trunk)
    face = paint.kind[p] == FACE
    eyes = face & (angle.abs() < 1.0) & (angle.abs() > 0.18) & ((fraction - 0.30).abs() < 0.22)
    mouth = face & (angle.abs() < 0.35) & ((fraction - 1.35).abs() < 0.14)
    shade = shade * torch.where(eyes, 0.45, torch.where(mouth, 0.7, 1.0))
    return where, (colour * shade).T


def _pattern(cloth: Tensor, along: Tensor, angle: Tensor, around: Tensor, trunk: Tensor) -> Tensor:
    """(3, K) colours; pattern numbers follow `resight.synthetic.people.PATTERNS`."""
    kind, period = cloth[6], cloth[7]
    level = torch.frac(along / period + 8) < 0.5
    upright = torch.frac(around / (0.6 * period) + 8.25) < 0.5
    lower = along > 0.21
    print_x, print_y = around, along - 0.16
    printed = trunk & (print_x.abs() < 0.10) & (print_y.abs() < 0.09)
    second = (
        ((kind == 1) & level)
        | ((kind == 2) & upright)
        | ((kind == 3) & (level ^ upright))
        | ((kind == 4) & lower)
        | ((kind == 5) & printed)
    )
    return torch.where(second, cloth[3:6], cloth[:3])
