"""Clip features as scoring takes them: arrays or tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = NDArray[np.floating] | Tensor
"""Clip features, (tracklets, clips, D)."""


def as_tensor(features: Features) -> Tensor:
    """The same numbers as a tensor; a tensor is given back as it is."""
    # A copy of an array: a tensor cannot share the memory of one that is read-only, such as a cache's.
    return torch.tensor(features) if isinstance(features, np.ndarray) else features
