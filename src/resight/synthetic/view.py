"""From body coordinates to the pixels of a tracker's box: a camera on a pole, looking down a street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.body import Solids

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lens:
    """Where a camera stands and how it sees. Its picture is two units wide and one unit high.

    World coordinates are metres: X right, Y up from the ground, Z ahead of the camera.

    Attributes:
        height: of the camera above the ground, metres.
        pitch: downwards, radians.
        focal: in heights of its picture.
    """

    height: float
    pitch: float
    focal: float

    def to_camera(self) -> Array:
        """(3, 3) rows: right, down and ahead of the camera, in world coordinates."""
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1, 0, 0], [0, -c, -s], [0, -s, c]], np.float32)

    def project(self, points: NDArray[np.floating]) -> Array:
        """(…, 3) world points to (…, 3): x in 0 … 2, y in 0 … 1 of the picture, and depth in metres."""
        eye = np.array([0, self.height, 0])
        seen = (points - eye) @ self.to_camera().T
        depth = np.maximum(seen[..., 2:], 0.3)
        picture = self.focal * seen[..., :2] / depth + np.array([1.0, 0.5])
        return np.concatenate([picture, depth], -1).astype(np.float32)


@dataclass
class Placed:
    """The solids of one body as the camera sees them, in pixels of the box; the arrays of `raster.Cones`.

    Attributes:
        solids: what was placed.
        origin: (N, P, 3).
        to_own: (N, P, 3, 3).
        length: (N, P).
        radii: (N, P, 2).
        scale: (N, P) pixels per metre.
        feet: (N, 4) the spot on the ground below the body: x, y, and half width and half height of a disc of 30 cm.
        shown: (N,) bool.
    """

    solids: Solids
    origin: Array
    to_own: Array
    length: Array
    radii: Array
    scale: Array
    feet: Array
    shown: NDArray[np.bool_]


def place(
    solids: Solids, ground: Array, heading: Array, lens: Lens, boxes: Array, box_pixels: int, shown: NDArray[np.bool_]
) -> Placed:
    """Put a body on the ground and look at it.

    Args:
        solids: N frames of P solids.
        ground: (N, 2) X and Z of the body, metres.
        heading: (N,) radians; 0 walks away from the camera, π/2 to the right.
        lens: the camera.
        boxes: (N, 3) left, top and height of the box in heights of the picture; its width is half its height.
        box_pixels: height of the box in pixels.
        shown: (N,) whether the body is there at all.
    """
    c, s = np.cos(heading), np.sin(heading)
    zero, one = np.zeros_like(c), np.ones_like(c)
    # Columns: the body's side, up and front in world coordinates.
    turn = np.stack([np.stack([c, zero, s], 1), np.stack([zero, one, zero], 1), np.stack([-s, zero, c], 1)], 1)
    feet = np.stack([ground[:, 0], zero, ground[:, 1]], 1)[:, None]
    middle = lens.project(feet[:, 0] + np.array([0, 0.9, 0]))[:, 2]
    size = box_pixels / boxes[:, 2]
    between = middle * lens.focal * size / 8

    def pixels(points: Array) -> tuple[Array, Array]:
        seen = lens.project(np.einsum("nij,npj->npi", turn, points) + feet)
        scale = lens.focal * size[:, None] / seen[..., 2]
        out = np.empty_like(seen)
        out[..., :2] = (seen[..., :2] - boxes[:, None, :2]) * size[:, None, None]
        # Within a body depth has the scale of its pixels; between bodies only the order matters.
        out[..., 2] = (seen[..., 2] - middle[:, None]) * (lens.focal * size / middle)[:, None] + between[:, None]
        return out, scale.astype(np.float32)

    origin, scale_a = pixels(solids.start)
    end, scale_b = pixels(solids.end)
    axis = end - origin
    length = np.maximum(np.linalg.norm(axis, axis=-1), 1e-3)
    axis = np.where(length[..., None] > 2e-3, axis / length[..., None], np.array([0, 1, 0], np.float32))
    side = np.einsum("ij,njk,npk->npi", lens.to_camera(), turn, solids.side)
    side = side - (side * axis).sum(-1, keepdims=True) * axis
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-6)
    third = np.cross(side, axis) / solids.oval[None, :, None]
    radii = np.stack([solids.radii[:, 0] * scale_a, solids.radii[:, 1] * scale_b], -1)
    seen = lens.project(feet[:, 0])
    spot = (seen[:, :2] - boxes[:, :2]) * size[:, None]
    reach = 0.3 * lens.focal * size / seen[:, 2]
    flatness = np.sin(lens.pitch + np.arctan((seen[:, 1] - 0.5) / lens.focal))
    return Placed(
        solids=solids,
        origin=origin.astype(np.float32),
        to_own=np.stack([side, axis, third], 2).astype(np.float32),
        length=length.astype(np.float32),
        radii=radii.astype(np.float32),
        scale=scale_a.astype(np.float32),
        feet=np.stack([*spot.T, reach, reach * flatness], 1).astype(np.float32),
        shown=shown,
    )
