"""An encoder whose clip features are mapped by a matrix, so that they vary less from camera to camera."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ProjectedEncoder(nn.Module):
    """Encodes clips with another encoder, and multiplies their features by a matrix.

    Args:
        trained: The other encoder.
        matrix: (D, D), applied to features as rows.

    Attributes:
        trained: As given.
        matrix: As given.
        dim: Features per clip, D.
    """

    matrix: Tensor

    def __init__(self, trained: Any, matrix: Tensor) -> None:
        super().__init__()
        self.trained = trained
        self.dim: int = trained.dim
        self.register_buffer("matrix", matrix)

    def forward(self, clips: Tensor) -> Tensor:
        """Return clip features, (B, 3, L, H, W) in [-1, 1] to (B, D)."""
        features: Tensor = self.trained(clips) @ self.matrix
        return features

    def layer(self) -> nn.Linear:
        """Return a copy of the matrix as a layer."""
        linear = nn.Linear(self.dim, self.dim, bias=False, device=self.matrix.device)
        with torch.no_grad():
            linear.weight.copy_(self.matrix.T)
        return linear
