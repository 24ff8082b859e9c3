"""Explain: which clip pairs decided how similar two tracklets are?"""

from __future__ import annotations

from pathlib import Path

from resight.api.model import Model, as_model
from resight.api.sources import Source, find_tracklet, open_dataset
from resight.explanation.evidence import MatchEvidence, explain_match
from resight.tracklet import Dataset


def explain(
    query: Source,
    gallery: Source,
    dataset: str | Dataset | None = None,
    model: Model | str | Path | None = None,
) -> MatchEvidence:
    """Return the contribution of every clip pair to the similarity of two tracklets.

    Args:
        query: A `Tracklet`, a folder of pictures, a list of pictures, or the id of a tracklet of the data set.
        gallery: The other tracklet, in any of these forms.
        dataset: Where ids are looked up, as ``KIND:PATH`` or as `read_dataset` returned it; None if none are given.
        model: A `Model`, its name or the path of its file; None is the default model.

    Returns:
        The evidence: numbers, ``in_words()``, and ``save(path)`` for a page.

    Raises:
        DatasetError: If a tracklet or the data set cannot be read.
        CheckpointError: If there is no such model.
    """
    if dataset is not None:
        dataset = open_dataset(dataset)
    first, second = (find_tracklet(source, dataset) for source in (query, gallery))
    model = as_model(model)
    query_features, gallery_features = (model.features([tracklet]) for tracklet in (first, second))
    return explain_match(first, second, query_features, gallery_features, model.checkpoint.aggregator)
