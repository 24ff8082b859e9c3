"""Video person re-identification with learned clip-pair importance.

The names below are the public API, described in docs/api.md. They are imported on first use, so that ``import resight``
loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from resight.version import __version__ as __version__

if TYPE_CHECKING:
    from resight.api.adapt import adapt
    from resight.api.answers import Answer, Answers
    from resight.api.evaluate import evaluate
    from resight.api.explain import explain
    from resight.api.fit import fit
    from resight.api.gallery import Gallery
    from resight.api.model import Model, load_model
    from resight.api.precomputed import group_detections, read_features, search_features
    from resight.api.search import search
    from resight.api.train import train
    from resight.data.readers import read_dataset
    from resight.errors import ResightError
    from resight.ranking import Ranking
    from resight.tracklet import Dataset, Tracklet

__all__ = [
    "Answer",
    "Answers",
    "Dataset",
    "Gallery",
    "Model",
    "Ranking",
    "ResightError",
    "Tracklet",
    "adapt",
    "evaluate",
    "explain",
    "fit",
    "group_detections",
    "load_model",
    "read_dataset",
    "read_features",
    "search",
    "search_features",
    "train",
]

_HOMES = {
    "Answer": "resight.api.answers",
    "Answers": "resight.api.answers",
    "Dataset": "resight.tracklet",
    "Gallery": "resight.api.gallery",
    "Model": "resight.api.model",
    "Ranking": "resight.ranking",
    "ResightError": "resight.errors",
    "Tracklet": "resight.tracklet",
    "adapt": "resight.api.adapt",
    "evaluate": "resight.api.evaluate",
    "explain": "resight.api.explain",
    "fit": "resight.api.fit",
    "group_detections": "resight.api.precomputed",
    "load_model": "resight.api.model",
    "read_dataset": "resight.data.readers",
    "read_features": "resight.api.precomputed",
    "search": "resight.api.search",
    "search_features": "resight.api.precomputed",
    "train": "resight.api.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
