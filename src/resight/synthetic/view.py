"""Project bodies into the pixels of a tracker's box, as seen by a camera on a pole that looks down a street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.synthetic.solids import Solids

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lens:
    """Position and projection of a camera. Its image is two units wide and one unit high.

    World coordinates are in metres: X to the right, Y up from the ground, Z ahead of the camera.

    Attributes:
        height: Height of the camera above the ground, in metres.
        pitch: Downward pitch in radians.
        focal: Focal length in units of the image height.
    """

    height: float
    pitch: float
    focal: float

    def to_camera(self) -> Array:
        """Return the (3, 3) rotation whose rows are right, down and ahead of the camera, in world coordinates."""
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1, 0, 0], [0, -c, -s], [0, -s, c]], np.float32)

    def project(self, points: NDArray[np.floating]) -> Array:
        """Return the image positions of world points.

        Args:
            points: (…, 3) World coordinates in metres.

        Returns:
            (…, 3) x from 0 to 2 and y from 0 to 1 inside the image, and depth in metres.
        """
        eye = np.array([0, self.height, 0])
        relative = (points - eye) @ self.to_camera().T
        depth = np.maximum(relative[..., 2:], 0.3)
        image = self.focal * relative[..., :2] / depth + np.array([1.0, 0.5])
        return np.concatenate([image, depth], -1).astype(np.float32)


@dataclass
class Placed:
    """The solids of one body as seen by the camera, in pixels of the box. Arrays as in `raster.Cones`.

    Attributes:
        solids: The solids.
        origin: (N, P, 3) Start of each axis.
        to_own: (N, P, 3, 3) Transformation from pixels to each solid's own coordinates.
        length: (N, P) Length of each axis.
        radii: (N, P, 2) Radii at both ends.
        scale: (N, P) Pixels per metre.
        feet: (N, 4) Point on the ground below the body, x and y, and half width and half height of a disc of radius
            30 cm around it.
        shown: (N,) Whether the body is present in each frame.
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
    """Return a body as seen by the camera.

    Args:
        solids: P solids over N frames.
        ground: (N, 2) Position of the body, X and Z in metres.
        heading: (N,) Direction in radians; 0 is away from the camera, π/2 to the right.
        lens: Lens of the camera.
        boxes: (N, 3) Left, top and height of the box in units of the image height; its width is half its height.
        box_pixels: Height of the box in pixels.
        shown: (N,) Whether the body is present in each frame.
    """
    c, s = np.cos(heading), np.sin(heading)
    zero, one = np.zeros_like(c), np.ones_like(c)
    # Columns: the body's side, up and front in world coordinates.
    turn = np.stack([np.stack([c, zero, s], 1), np.stack([zero, one, zero], 1), np.stack([-s, zero, c], 1)], 1)
    feet = np.stack([ground[:, 0], zero, ground[:, 1]], 1)[:, None]
    middle = lens.project(feet[:, 0] + np.array([0, 0.9, 0]))[:, 2]
    size = box_pixels / boxes[:, 2]
    offset = middle * lens.focal * size / 8

    def pixels(points: Array) -> tuple[Array, Array]:
        """Return points of the body in pixels of the box, and pixels per metre at each."""
        seen = lens.project(np.einsum("nij,npj->npi", turn, points) + feet)
        scale = lens.focal * size[:, None] / seen[..., 2]
        out = np.empty_like(seen)
        out[..., :2] = (seen[..., :2] - boxes[:, None, :2]) * size[:, None, None]
        # Within a body, depth is in pixels; between bodies, only their order matters.
        out[..., 2] = (seen[..., 2] - middle[:, None]) * (lens.focal * size / middle)[:, None] + offset[:, None]
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
