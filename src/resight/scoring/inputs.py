"""Arguments that all scoring functions take: clip features as arrays or tensors, and an order of the clip pairs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.errors import RecipeError
from resight.models.aggregators import Aggregator, check_features, check_order

Features = NDArray[np.floating] | Tensor
"""Clip features, (tracklets, clips, D)."""


def as_tensor(features: Features) -> Tensor:
    """Return the features as a tensor: a copy of an array, a tensor itself."""
    # An array is copied because a tensor cannot share the memory of a read-only array, such as a memory map.
    return torch.tensor(features) if isinstance(features, np.ndarray) else features


def check_arguments(query: Features, gallery: Features, aggregator: Aggregator, order: Tensor | None) -> list[int]:
    """Check that features fit the aggregator, and return the order of the clip pairs.

    Args:
        query: (Q, M, D) clip features.
        gallery: (G, N, D) clip features.
        aggregator: The aggregator that will score them.
        order: (M * N,) query-major numbers of the clip pairs in the order in which they are visited; None is
            query-major.

    Returns:
        The same order, M * N numbers.

    Raises:
        ShapeError: If the features do not fit together or do not fit the aggregator, or `order` is not a permutation.
        RecipeError: If `order` is given and the aggregator does not depend on it.
    """
    # Only shapes are checked, so tensors of one expanded number stand in for the features.
    q, g = (torch.empty(()).expand(tuple(x.shape)) for x in (query, gallery))
    check_features(q, g, aggregator.dim)
    if order is not None and not aggregator.depends_on_order:
        raise RecipeError(
            f"expected no order for {type(aggregator).__name__}, which does not depend on the order of clip pairs: "
            "omit it"
        )
    numbers: list[int] = check_order(order, q, g).tolist()
    return numbers
