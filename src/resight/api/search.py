"""Search: which tracklets of a data set show the person of a query?"""

from __future__ import annotations

from pathlib import Path

from resight.api.answers import Answers
from resight.api.model import Model, as_model
from resight.api.sources import Source, find_tracklet, open_dataset, same_frames
from resight.errors import DatasetError
from resight.scoring.search import search_exactly, search_shortlist
from resight.settings import whole_number
from resight.tracklet import Dataset, Tracklet
from resight.words import counted


def search(
    query: Source,
    dataset: str | Dataset,
    model: Model | str | Path | None = None,
    *,
    k: int = 10,
    shortlist: int | None = None,
    progress: bool = True,
) -> Answers:
    """Return the gallery tracklets that are most similar to a query.

    The query itself is left out of the gallery, and so are tracklets of its own camera if their persons are known: in
    re-identification, the question is where else a person was.

    Args:
        query: Id of a tracklet of the data set, a folder of pictures, a list of pictures, or a `Tracklet`.
        dataset: What to search, as ``KIND:PATH`` or as `read_dataset` returned it.
        model: A `Model`, its name or the path of its file; None is the default model.
        k: Number of answers, 1 or more.
        shortlist: Compare only this many tracklets by their clip pairs: those with the most similar mean features.
            Faster and approximate; None is exact.
        progress: Whether to show progress bars.

    Raises:
        DatasetError: If the data set or the query cannot be read, or no tracklet is left to search.
        CheckpointError: If there is no such model.
        RecipeError: If `k` or `shortlist` is below 1.
    """
    for name, value in (("k", k), ("shortlist", shortlist)):
        if value is not None or name == "k":
            whole_number(name, value, 1)
    dataset = open_dataset(dataset)
    tracklet = find_tracklet(query, dataset)
    gallery = searchable(tracklet, dataset)
    model = as_model(model)
    gallery_features = model.features(gallery, progress=progress)
    query_features = model.features([tracklet])
    aggregator = model.checkpoint.aggregator
    if shortlist is None:
        ranking, effort = search_exactly(query_features, gallery_features, aggregator, k, compute=model.compute)
    else:
        ranking, effort = search_shortlist(
            query_features, gallery_features, aggregator, k, size=shortlist, compute=model.compute
        )
    return Answers(
        query=tracklet,
        ranking=ranking,
        model=model,
        dataset=dataset,
        threshold=model.threshold(len(gallery)),
        searched=len(gallery),
        scored=effort.scored,
        shortlist=shortlist,
        query_features=query_features,
        gallery_features=gallery_features,
        tracklets={candidate.id: candidate for candidate in gallery},
    )


def searchable(query: Tracklet, dataset: Dataset) -> list[Tracklet]:
    """Return the gallery tracklets that can answer a query.

    All but the query itself, and but tracklets with a known person under the query's camera.

    Raises:
        DatasetError: If none is left; the message says why and what to do.
    """
    gallery = [
        tracklet
        for tracklet in dataset.gallery
        if not same_frames(tracklet, query) and not (tracklet.camera == query.camera and tracklet.person >= 0)
    ]
    if gallery:
        return gallery
    where = f"{dataset.name}:{dataset.root}"
    if {tracklet.camera for tracklet in dataset.gallery} != {query.camera}:
        raise DatasetError(f"nothing to search: {where} has no tracklet other than {query.id}")
    raise DatasetError(
        f"nothing to search: all {counted(len(dataset.gallery), 'tracklets')} of {where} are from the camera of "
        f"{query.id}, which is left out of a search. To search within one camera, list the tracklets in a "
        "manifest.jsonl without camera "
        f"(each then counts as a camera of its own) and read it as manifest:{dataset.root}; or use as the query a "
        "folder of frames outside of the data set"
    )
