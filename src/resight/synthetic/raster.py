"""Ray casting: find the nearest round cone for each pixel, and its depth."""

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
MOST_CONES = 1023
"""Number of cones that can be cast at once."""
_FEW_CONES = 255


@dataclass
class Cones:
    """P round cones with oval sections over N frames, in pixels: x right, y down, z away from the camera.

    In a cone's own coordinates its section is a circle and its axis is (0, y, 0), 0 ≤ y ≤ length. The arrays are NumPy
    because windows are computed on the host; rays are cast on the device.

    Attributes:
        origin: (N, P, 3) Start of the axis.
        to_own: (N, P, 3, 3) Transformation from pixels to own coordinates: own = to_own @ (pixel − origin).
        length: (N, P) Length of the axis.
        radii: (N, P, 2) Radii at both ends.
        flat: (P,) Whether the second end is cut flat instead of rounded.
        shown: (N, P) Whether the cone is present in each frame.
    """

    origin: Array
    to_own: Array
    length: Array
    radii: Array
    flat: NDArray[np.bool_]
    shown: NDArray[np.bool_]


@dataclass
class Hits:
    """Nearest cone of each pixel.

    Attributes:
        depth: (N, H, W) Depth along the ray in pixels; `FAR` where no cone is hit.
        cone: (N, H, W) int32 index of the cone; -1 where no cone is hit.
    """

    depth: Tensor
    cone: Tensor


@dataclass
class _Window:
    """The pixels that one cone may cover: a window of the same size in all frames, at a position that varies."""

    cone: int
    frames: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: int
    width: int


def cast_rays(cones: Cones, height: int, width: int, device: str) -> Hits:
    """Return the nearest cone of every pixel. Rays are parallel to z, because the cones are already in perspective.

    A round cone is the convex hull of two balls: a ray hits its mantle (a quadric between two planes) or one of the
    balls.

    Args:
        cones: At most `MOST_CONES` cones. All depths must be positive and below `FAR`; they are computed with 16 bits
            for at most 255 cones, with 14 bits for more.
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.
        device: PyTorch device.
    """
    frames = len(cones.length)
    number = _FEW_CONES if cones.length.shape[1] <= _FEW_CONES else MOST_CONES
    # Positive floats are ordered like their bits. The lowest bits of each depth hold the number of the cone, so that
    # one minimum finds both the depth and the cone.
    nearest = torch.full((frames * height * width,), FAR, device=device).view(torch.int32)
    empty = int(nearest[0])
    columns = torch.arange(width, device=device)
    rows = torch.arange(height, device=device)
    coefficients = torch.from_numpy(_coefficients(cones)).to(device)
    for window in _windows(cones, height, width):
        p = window.cone
        frame, top, left = torch.from_numpy(np.stack([window.frames, window.top, window.left])).to(device)
        y = top[:, None] + rows[: window.height]
        x = left[:, None] + columns[: window.width]
        at = ((frame[:, None] * height + y) * width)[:, :, None] + x[:, None, :]
        depth = _intersect(coefficients[p, frame], x, y).view(torch.int32)
        depth.bitwise_and_(~number).bitwise_or_(p)
        nearest.put_(at, torch.minimum(depth, nearest.take(at)))
    nearest = nearest.view(frames, height, width)
    cone = torch.where(nearest < empty, nearest & number, -1)
    return Hits((nearest & ~number).view(torch.float32), cone)


def _windows(cones: Cones, height: int, width: int) -> Iterator[_Window]:
    """Yield the window of each cone that is visible in some frame."""
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


def _coefficients(cones: Cones) -> Array:
    """Return the (P, N, 35) coefficients that `_intersect` needs for each cone and frame.

    The ray through (x, y), relative to the cone's origin, hits a quadric at t = b − √(b² − c), where b is linear and
    b² − c is quadratic in x and y: 3 + 6 coefficients. There are nine each for the mantle and for the balls at both
    ends; b is relative to depth 0. They are followed by the change of the axis coordinate per pixel in x, in y and
    along the ray, the axis coordinates between which the mantle lies, and the origin.
    """
    m, ray = cones.to_own, cones.to_own[..., 2]
    ra, rb = cones.radii[..., 0], cones.radii[..., 1]
    length = np.maximum(cones.length, 1e-3)
    taper = np.clip(ra - rb, -0.98 * length, 0.98 * length)
    root = np.sqrt(length**2 - taper**2)
    slope, zero = taper / root, np.zeros_like(ra)
    # On the mantle x² + z² = w² with w = base − slope · y, so w takes the place of y, with a negative sign.
    steps = [m[..., i] * np.stack([zero + 1, -slope, zero + 1], -1) for i in range(3)]
    mantle = _quadric(steps, np.stack([zero, ra * length / root, zero], -1), zero, np.array([1.0, -1.0, 1.0]))
    balls = [
        _quadric([m[..., i] for i in range(3)], np.stack([zero, -end, zero], -1), radius, np.ones(3))
        for end, radius in ((zero, ra), (length, rb))
    ]
    # A flat end has no ball: replace it by one that every ray misses.
    balls[1][..., 3:] *= ~cones.flat[:, None]
    balls[1][..., 5] -= cones.flat
    for quadric in (mantle, *balls):
        quadric[..., 2] += cones.origin[..., 2]
    upper = np.where(cones.flat, length, length + rb * taper / length)
    axis = [m[..., 1, 0], m[..., 1, 1], ray[..., 1], ra * taper / length, upper, *np.moveaxis(cones.origin, -1, 0)]
    coefficients = np.concatenate([mantle, *balls, np.stack(axis, -1)], -1)
    return np.ascontiguousarray(coefficients.transpose(1, 0, 2), np.float32)


def _quadric(steps: list[Array], start: Array, radius: Array, sign: NDArray[np.float64]) -> Array:
    """Return the coefficients of b and b² − c for the quadric ⟨o, o⟩ = radius².

    Args:
        steps: Change of the point o per pixel in x, per pixel in y, and along the ray; (N, P, 3) each.
        start: (N, P, 3) Point o at the cone's origin.
        radius: (N, P) Radius.
        sign: (3,) Signs of the coordinates in the inner product.

    Returns:
        (N, P, 9) Coefficients of x, y and 1 in b, and of x, y, 1, x², y² and xy in b² − c.
    """

    def dot(a: Array, b: Array) -> Array:
        return np.asarray((a * b * sign).sum(-1))

    sx, sy, ray = steps
    # If the ray is parallel to the axis, a ball hides the mantle, so any small positive number will do.
    square = np.maximum(dot(ray, ray), 1e-4)
    bx, by, b1 = (-dot(v, ray) / square for v in (sx, sy, start))
    c1 = (dot(start, start) - radius**2) / square
    cx, cy, cxy = (2 * dot(u, v) / square for u, v in ((sx, start), (sy, start), (sx, sy)))
    cxx, cyy = dot(sx, sx) / square, dot(sy, sy) / square
    q = (2 * b1 * bx - cx, 2 * b1 * by - cy, b1 * b1 - c1, bx * bx - cxx, by * by - cyy, 2 * bx * by - cxy)
    return np.stack([bx, by, b1, *q], -1)


def _intersect(coefficients: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Return the depth at which rays hit one cone.

    Args:
        coefficients: (n, 35) Coefficients; see `_coefficients`.
        columns: (n, w) Pixel columns.
        rows: (n, h) Pixel rows.

    Returns:
        (n, h, w) Depth, at least `FAR` where the ray misses the cone.
    """
    axis_x, axis_y, axis_ray, low, high, ox, oy, oz = coefficients[:, 27:, None].unbind(1)
    x, y = columns + (0.5 - ox), rows + (0.5 - oy)
    bx, by, b1, qx, qy, q1, qxx, qyy, qxy = coefficients[:, :27].view(-1, 3, 9, 1).unbind(2)
    u, v = x[:, None], y[:, None]
    roots = ((qxx * u + qx) * u)[:, :, None, :] + ((qyy * v + qy) * v + q1)[..., None]
    roots.addcmul_((qxy * v)[..., None], u[:, :, None, :])
    # A ray that misses the quadric gets a huge root, and therefore a huge depth (the sign is dropped).
    functional.threshold(roots, 0.0, _MISSED, inplace=True).sqrt_()
    t = torch.sub((bx * u)[:, :, None, :], roots).add_((by * v + b1)[..., None]).abs_()
    mantle = t[:, 0]
    along = torch.addcmul(
        (axis_x * x)[:, None, :] + (axis_y * y - axis_ray * oz)[..., None], mantle, axis_ray[..., None]
    )
    mantle.masked_fill_((along < low[..., None]) | (along > high[..., None]), FAR)
    return torch.minimum(torch.minimum(mantle, t[:, 1]), t[:, 2])
