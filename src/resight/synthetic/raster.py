"""Which solid does each pixel see, and how deep: round cones against parallel rays, one small window at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float32]

FAR = 1e6
_MISSED = 1e16
_NUMBER = 255


@dataclass
class Cones:
    """P round cones with oval sections over N frames, in pixels: x right, y down, z away from the camera.

    A cone's own coordinates are those in which its section is a circle and its axis is (0, y, 0), 0 ≤ y ≤ length.
    Windows are found on the host, rays are cast on the device, so the arrays stay NumPy until then.

    Attributes:
        origin: (N, P, 3) start of the axis.
        to_own: (N, P, 3, 3) from pixels to own coordinates: own = to_own @ (pixel − origin).
        length: (N, P) of the axis.
        radii: (N, P, 2) at both ends.
        flat: (P,) the far end is cut flat.
        shown: (N, P) False where the cone is not there.
    """

    origin: Array
    to_own: Array
    length: Array
    radii: Array
    flat: NDArray[np.bool_]
    shown: NDArray[np.bool_]


@dataclass
class Hits:
    """What the rays met.

    Attributes:
        depth: (N, H, W) pixels along the ray, `FAR` for nothing.
        cone: (N, H, W) int32 index of the cone, -1 for nothing.
    """

    depth: Tensor
    cone: Tensor


@dataclass
class _Window:
    """The pixels that one cone may cover: equally large in all frames, elsewhere in each."""

    cone: int
    frames: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: int
    width: int


def cast_rays(cones: Cones, height: int, width: int, device: str) -> Hits:
    """Nearest cone of every pixel; rays run along z, as the cones are already in perspective.

    There may be 255 cones; all depths must be positive and below `FAR`, and are exact to 16 bits.

    A round cone is the hull of two balls: a ray meets its mantle (a quadric between two planes) or one of the balls.
    """
    frames = len(cones.length)
    # Positive floats are ordered like their bits: a cone's number in the low bits of its depth makes one z-test do.
    nearest = torch.full((frames * height * width,), FAR, device=device).view(torch.int32)
    nothing = int(nearest[0])
    columns = torch.arange(width, device=device)
    rows = torch.arange(height, device=device)
    numbers = torch.from_numpy(_numbers(cones)).to(device)
    for window in _windows(cones, height, width):
        p = window.cone
        frame, top, left = torch.from_numpy(np.stack([window.frames, window.top, window.left])).to(device)
        y = top[:, None] + rows[: window.height]
        x = left[:, None] + columns[: window.width]
        at = ((frame[:, None] * height + y) * width)[:, :, None] + x[:, None, :]
        met = _meet(numbers[p, frame], x, y).view(torch.int32)
        met.bitwise_and_(~_NUMBER).bitwise_or_(p)
        nearest.put_(at, torch.minimum(met, nearest.take(at)))
    nearest = nearest.view(frames, height, width)
    cone = torch.where(nearest < nothing, nearest & _NUMBER, -1)
    return Hits((nearest & ~_NUMBER).view(torch.float32), cone)


def _windows(cones: Cones, height: int, width: int) -> Iterator[_Window]:
    last = cones.origin[..., :2] + cones.to_own[:, :, 1, :2] * cones.length[..., None]
    first = cones.origin[..., :2]
    low = np.minimum(first - cones.radii[..., :1], last - cones.radii[..., 1:])
    high = np.maximum(first + cones.radii[..., :1], last + cones.radii[..., 1:])
    limit = np.array([width, height])
    low = np.clip(np.floor(low), 0, limit).astype(np.int64)
    high = np.clip(np.ceil(high), 0, limit).astype(np.int64)
    size = high - low
    seen = (size > 0).all(2) & cones.shown
    for p in range(seen.shape[1]):
        frames = np.flatnonzero(seen[:, p])
        if len(frames):
            w, h = (int(v) for v in size[frames, p].max(0))
            left = np.minimum(low[frames, p, 0], width - w)
            top = np.minimum(low[frames, p, 1], height - h)
            yield _Window(p, frames, top, left, h, w)


def _numbers(cones: Cones) -> Array:
    """(P, N, 35) what `_meet` needs of a cone in a frame.

    Along the ray through (x, y), measured from the cone's origin, a quadric is met at t = b − √(b² − c), where b is
    linear and b² − c quadratic in x and y: 3 + 6 coefficients. They are listed for the mantle and the balls at both
    ends; b counts from depth 0. Then the change of the height on the axis per pixel in x, in y and along the ray, the
    heights between which the mantle holds, and the origin.
    """
    m, ray = cones.to_own, cones.to_own[..., 2]
    ra, rb = cones.radii[..., 0], cones.radii[..., 1]
    length = np.maximum(cones.length, 1e-3)
    taper = np.clip(ra - rb, -0.98 * length, 0.98 * length)
    root = np.sqrt(length**2 - taper**2)
    slope, zero = taper / root, np.zeros_like(ra)
    # On the mantle x² + z² = w² with w = base − slope · y: the third coordinate becomes w and counts negatively.
    steps = [m[..., i] * np.stack([zero + 1, -slope, zero + 1], -1) for i in range(3)]
    mantle = _quadric(steps, np.stack([zero, ra * length / root, zero], -1), zero, np.array([1.0, -1.0, 1.0]))
    balls = [
        _quadric([m[..., i] for i in range(3)], np.stack([zero, -end, zero], -1), radius, np.ones(3))
        for end, radius in ((zero, ra), (length, rb))
    ]
    # A flat end has no ball: one that every ray misses.
    balls[1][..., 3:] *= ~cones.flat[:, None]
    balls[1][..., 5] -= cones.flat
    for quadric in (mantle, *balls):
        quadric[..., 2] += cones.origin[..., 2]
    upper = np.where(cones.flat, length, length + rb * taper / length)
    rest = [m[..., 1, 0], m[..., 1, 1], ray[..., 1], ra * taper / length, upper, *np.moveaxis(cones.origin, -1, 0)]
    numbers = np.concatenate([mantle, *balls, np.stack(rest, -1)], -1)
    return np.ascontiguousarray(numbers.transpose(1, 0, 2), np.float32)


def _quadric(steps: list[Array], start: Array, radius: Array, sign: NDArray[np.float64]) -> Array:
    """(N, P, 9) coefficients of b and b² − c, times x, y, 1 and x, y, 1, x², y², xy, for ⟨o, o⟩ = radius².

    Args:
        steps: change of the point o per pixel in x, per pixel in y, and along the ray; (N, P, 3) each.
        start: (N, P, 3) o at the cone's origin.
        radius: (N, P).
        sign: (3,) of the inner product.
    """

    def dot(a: Array, b: Array) -> Array:
        return np.asarray((a * b * sign).sum(-1))

    sx, sy, ray = steps
    # Looking straight down a cone the mantle is hidden by a ball; any small positive number will do.
    square = np.maximum(dot(ray, ray), 1e-4)
    bx, by, b1 = (-dot(v, ray) / square for v in (sx, sy, start))
    c1 = (dot(start, start) - radius**2) / square
    cx, cy, cxy = (2 * dot(u, v) / square for u, v in ((sx, start), (sy, start), (sx, sy)))
    cxx, cyy = dot(sx, sx) / square, dot(sy, sy) / square
    q = (2 * b1 * bx - cx, 2 * b1 * by - cy, b1 * b1 - c1, bx * bx - cxx, by * by - cyy, 2 * bx * by - cxy)
    return np.stack([bx, by, b1, *q], -1)


def _meet(numbers: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """(n, h, w) depth at which rays meet one cone, at least `FAR` where they miss.

    Args:
        numbers: (n, 35), see `_numbers`.
        columns: (n, w) pixels.
        rows: (n, h) pixels.
    """
    axis_x, axis_y, axis_ray, low, high, ox, oy, oz = numbers[:, 27:, None].unbind(1)
    x, y = columns + (0.5 - ox), rows + (0.5 - oy)
    bx, by, b1, qx, qy, q1, qxx, qyy, qxy = numbers[:, :27].view(-1, 3, 9, 1).unbind(2)
    u, v = x[:, None], y[:, None]
    roots = ((qxx * u + qx) * u)[:, :, None, :] + ((qyy * v + qy) * v + q1)[..., None]
    roots.addcmul_((qxy * v)[..., None], u[:, :, None, :])
    # A ray that misses gets a huge root, and so, after the sign is dropped, a huge depth.
    functional.threshold(roots, 0.0, _MISSED, inplace=True).sqrt_()
    t = torch.sub((bx * u)[:, :, None, :], roots).add_((by * v + b1)[..., None]).abs_()
    mantle = t[:, 0]
    along = torch.addcmul(
        (axis_x * x)[:, None, :] + (axis_y * y - axis_ray * oz)[..., None], mantle, axis_ray[..., None]
    )
    mantle.masked_fill_((along < low[..., None]) | (along > high[..., None]), FAR)
    return torch.minimum(torch.minimum(mantle, t[:, 1]), t[:, 2])
