"""Aggregators that the paper's method is compared with in studies."""

from __future__ import annotations

from collections.abc import Callable

from resight.models.contract import Aggregator
from resight.studies.rivals.feedforward import ClipQuality, PairAttention
from resight.studies.rivals.order_free import OrderFree
from resight.studies.rivals.sliced_wasserstein import SlicedWasserstein

RIVALS: dict[str, Callable[..., Aggregator]] = {
    "order-free": OrderFree,
    "clip-quality": ClipQuality,
    "pair-attention": PairAttention,
    "sliced-wasserstein": SlicedWasserstein,
}
"""Rival aggregators by name."""
