"""Aggregators that the studies compare with the paper's method."""

from __future__ import annotations

from resight.models.contract import Aggregator
from resight.studies.rivals.feedforward import ClipQuality, PairAttention
from resight.studies.rivals.order_free import OrderFree
from resight.studies.rivals.sliced_wasserstein import SlicedWasserstein

RIVALS: dict[str, type[Aggregator]] = {
    rival.kind: rival for rival in (OrderFree, ClipQuality, PairAttention, SlicedWasserstein)
}
"""Rival aggregators by name."""
