"""The interface that every aggregator implements, and functions that aggregators share.

An aggregator compares two tracklets by their clip features. Legend: Q query tracklets of M clips, G gallery tracklets
of N clips, D features per clip, T = M * N clip pairs. Similarity: higher is better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ShapeError
from resight.models.importance import Importance
from resight.processes import ONE_PROCESS, Processes
from resight.recipe import FirstImportance, Stage2


@dataclass(frozen=True)
class PairWeights:
    """The contribution of each clip pair to one similarity: similarity = sum(weight * cosine).

    Attributes:
        importance: (M, N), importance of each clip pair before normalisation; only ratios are meaningful.
        weight: (M, N), factor of each cosine in the similarity.
        cosine: (M, N), cosine of each clip pair.
    """

    importance: Tensor
    weight: Tensor
    cosine: Tensor


@dataclass(frozen=True)
class ImportanceRecurrence:
    """The recurrence of Eq. 1 and 2, for engines that compute it themselves.

    Attributes:
        importance: The network g.
        first: How Eq. 1 is read for the first clip pair, see `Learned`.
    """

    importance: Importance
    first: FirstImportance


class Aggregator(nn.Module, ABC):
    """Compares tracklets by their clip features, given as the encoder returns them, not normalised.

    Attributes:
        kind: Name of the class, as used in recipes and model files.
        dim: Number of features D that the aggregator was made for, or None for any number.
        depends_on_order: Whether the similarity depends on the order of the clip pairs. If so, `forward` and
            `pair_weights` take an argument `order`.
        learns_importance: Whether the weights are learned, so that a low weight can point at a damaged clip.
        bounded_by_cosines: Whether an exact search should bound similarities by the smallest and largest clip-pair
            cosine before it computes them. This requires that the similarity is a weighted mean of the cosines of
            unprojected features, and pays only if the similarity costs far more than the cosines.
        processes: The processes that may share the computation of a training step. All of them have the same batch and
            must return the same similarities. The mean of their gradients must be the gradient of one process, which
            it is if each computes the whole step.
    """

    kind: ClassVar[str] = "custom"
    depends_on_order: ClassVar[bool] = False
    learns_importance: ClassVar[bool] = False
    bounded_by_cosines: ClassVar[bool] = False
    dim: int | None = None
    processes: Processes = ONE_PROCESS

    @classmethod
    def from_recipe(cls, dim: int, stage: Stage2) -> Self:
        """Return a new aggregator with the sizes that a recipe sets.

        Args:
            dim: Features per clip of the encoder, D.
            stage: Settings of the importance network.
        """
        return cls()

    def set_scale(self, features: Tensor) -> None:
        """Before training, set what depends on the scale of the encoder's cosines: nothing, for most aggregators.

        Args:
            features: (T, M, D), clip features of some tracklets of many persons.
        """

    @abstractmethod
    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Return the similarities of all pairs of tracklets, differentiable.

        Args:
            query: (Q, M, D).
            gallery: (G, N, D).

        Returns:
            (Q, G).

        Raises:
            ShapeError: If an argument does not have three axes, if the two differ in D, or if D is not `dim`.
        """

    @abstractmethod
    def pair_weights(self, query: Tensor, gallery: Tensor) -> PairWeights:
        """Return the weights of all clip pairs of two tracklets, as in evaluation mode and without gradients.

        Args:
            query: (M, D).
            gallery: (N, D).
        """

    @property
    def label(self) -> str:
        """Name of the aggregator in tables."""
        return self.kind.replace("-", " ")

    def floats_per_pair(self, m: int, n: int) -> int:
        """Return roughly how many numbers `forward` holds at once per tracklet pair of m and n clips."""
        return 4 * m * n

    def recurrence(self) -> ImportanceRecurrence | None:
        """Return the recurrence whose weights this aggregator uses, or None if it uses another method.

        The engines in `resight.scoring` compute a recurrence much faster than `forward`.
        """
        return None


def check_features(query: Tensor, gallery: Tensor, dim: int | None = None) -> None:
    """Check that features are (Q, M, D) and (G, N, D), and that D is `dim` if given.

    Raises:
        ShapeError: If they are not.
    """
    if query.ndim != 3 or gallery.ndim != 3 or query.shape[2] != gallery.shape[2]:
        raise ShapeError(
            f"expected query (Q, M, D) and gallery (G, N, D), found {tuple(query.shape)} and {tuple(gallery.shape)}"
        )
    if dim is not None and query.shape[2] != dim:
        raise ShapeError(
            f"expected clip features of D = {dim}, which the aggregator was made for, found {query.shape[2]}: "
            "use features of the encoder that it was trained with"
        )


def check_order(order: Tensor | None, query: Tensor, gallery: Tensor) -> Tensor:
    """Return the order of the clip pairs, query-major if None, for (Q, M, D) and (G, N, D).

    Returns:
        (T,) int64.

    Raises:
        ShapeError: If the features do not fit together, or `order` is not a permutation of 0 ... T - 1.
    """
    check_features(query, gallery)
    pairs = torch.arange(query.shape[1] * gallery.shape[1], device=query.device)
    if order is None:
        return pairs
    order = order.to(query.device)
    if order.shape != pairs.shape or not torch.equal(order.sort().values, pairs):
        raise ShapeError(f"expected an order that is a permutation of 0 ... {len(pairs) - 1}, found {order.tolist()}")
    return order


def cosines(query: Tensor, gallery: Tensor) -> Tensor:
    """Return the cosines of all clip pairs: (Q, M, D) and (G, N, D) to (Q, G, M, N)."""
    check_features(query, gallery)
    q, g = F.normalize(query, dim=-1).flatten(0, 1), F.normalize(gallery, dim=-1).flatten(0, 1)
    return (q @ g.t()).view(*query.shape[:2], *gallery.shape[:2]).transpose(1, 2)


def shares(importance: Tensor, cosine: Tensor) -> PairWeights:
    """Return the weights of a mean of cosines (M, N) that is weighted by importance (M, N)."""
    return PairWeights(importance, importance / importance.sum(), cosine)
