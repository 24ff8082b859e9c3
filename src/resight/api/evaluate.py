"""Evaluate: how well does a model find the persons of a data set?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.api.model import Model, load_model
from resight.api.sources import select_cameras
from resight.cluster import connected
from resight.compute import Precision
from resight.data.readers import read_splits
from resight.evaluation.compare import Comparison, clip_faults, compare_aggregators, usual_aggregators
from resight.evaluation.evaluate import labels_of
from resight.evaluation.judge import Judge, judge_here
from resight.evaluation.on_cluster import ClusterJudge
from resight.evaluation.open_set import draw_impostors
from resight.evaluation.protocols import default_protocol, find_protocol
from resight.evaluation.slices import camera_groups, fault_groups, length_groups
from resight.evaluation.splits import SplitComparison
from resight.features.types import ClipFeatures
from resight.progress import Progress, note, progress_bar
from resight.shipped import DEFAULT
from resight.synthetic.faults import read_faults
from resight.tracklet import Dataset, fingerprint


def evaluate(
    model: Model | str | Path | None,
    dataset: str | Dataset,
    *,
    protocol: str | None = None,
    max_corrupted: int = 0,
    cameras: str = ":",
    rerank: bool = False,
    open_set: bool = False,
    camera_pairs: bool = False,
    device: str = "auto",
    precision: Precision = "float32",
    workers: int = 0,
    cluster: str | None = None,
    progress: bool = True,
) -> Comparison | SplitComparison:
    """Score the model's aggregator and the usual baselines by a named protocol, on every split of a data set.

    Args:
        model: A `Model`, its name or the path of its file; None is the default model. In a path, ``{split}`` stands
            for the number of the split, for one model per split.
        dataset: ``KIND:PATH``, or a data set as `read_dataset` returned it.
        protocol: A name from docs/protocols.md; None is the data set's own protocol.
        max_corrupted: M_c^max of the paper's Sec. 4.4: 0 to this many clips of each tracklet are corrupted.
        cameras: ``Q:G`` keeps only queries of camera Q and gallery tracklets of camera G; either may be empty.
        rerank: Whether to re-rank by k-reciprocal neighbours (Zhong et al. 2017) before scoring.
        open_set: Whether to score false alarms too, with half of the persons taken out of the gallery.
        camera_pairs: Whether to score each pair of cameras too.
        device: As in `load_model`, like `precision` and `workers`; used unless `model` is a `Model`.
        precision: See `device`.
        workers: See `device`.
        cluster: Address of a Ray cluster whose workers score blocks of queries, one on each core, or ``local`` for
            workers on this machine (extra ``cluster``). Results are the same up to rounding. Frames are encoded here.
        progress: Whether to show progress bars.

    Returns:
        The scores of one split, or of several with mean and standard deviation. ``print`` shows the table.

    Raises:
        DatasetError: If the data set cannot be read, or a camera has no tracklets.
        CheckpointError: If there is no such model.
        ProtocolError: If the protocol is unknown, or no query has a match.
        RecipeError: If `max_corrupted` is not 0 ... M.
        ClusterError: If the cluster cannot be reached, or its workers fail.
    """
    chosen = (dataset,) if isinstance(dataset, Dataset) else read_splits(dataset)
    known = _all_splits(dataset, chosen) if isinstance(dataset, str) else chosen
    for text in dict.fromkeys(text for split in chosen for text in split.notes if isinstance(dataset, str)):
        note(text)
    splits = [select_cameras(split, cameras) for split in chosen]
    rules = find_protocol(protocol) if protocol else default_protocol(splits[0].name)
    parts: dict[int, Comparison] = {}

    def load(path: str) -> Model:
        return load_model(path, device=device, precision=precision, workers=workers)

    with nullcontext() if cluster is None else connected(cluster) as connection:
        encoded = _encoded(model, load, splits, max_corrupted, progress)
        for number, (split, own, features, damage) in enumerate(encoded, 1):
            query, gallery = features.of(split.query), features.of(split.gallery)
            faults = clip_faults(split.query, query, read_faults(split.root), damage[features.places(split.query)])
            label = "scoring" if len(splits) == 1 else f"split {number} of {len(splits)}"
            aggregators = usual_aggregators(own.checkpoint.aggregator)
            with _scoring(connection, label, len(aggregators), progress) as (judge, report):
                parts[split.number or 1] = compare_aggregators(
                    aggregators, query, gallery, rules,
                    faults=faults, reranked=rerank, compute=own.compute, groups=_groups(split, faults),
                    camera_pairs=camera_pairs, impostors=draw_impostors(labels_of(query)) if open_set else None,
                    threshold=own.threshold(len(gallery)), notes=_seen_in_training(own, split, known), judge=judge,
                    progress=report,
                )  # fmt: skip
    return SplitComparison(parts) if len(parts) > 1 else next(iter(parts.values()))


@contextmanager
def _scoring(
    cluster: tuple[Any, int] | None, label: str, methods: int, shown: bool
) -> Iterator[tuple[Judge, Progress | None]]:
    """Yield what judges an aggregator, here or on a cluster, and what is told how many of them are done."""
    if cluster is None:
        with progress_bar(label, "methods", shown) as report:
            yield judge_here, report
    else:
        with progress_bar(label, "blocks", shown) as report:
            judge = ClusterJudge(*cluster, methods, report)
            try:
                yield judge, None
            finally:
                judge.stop()


def _all_splits(name: str, chosen: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """Return all splits of a data set, of which the name chose some; only a name with a number is read again."""
    one_of_many = len(chosen) == 1 and chosen[0].number is not None
    return read_splits(name.rpartition("#")[0]) if one_of_many else chosen


def _encoded(
    model: Model | str | Path | None,
    load: Callable[[str], Model],
    splits: Sequence[Dataset],
    max_corrupted: int,
    progress: bool,
) -> Iterator[tuple[Dataset, Model, ClipFeatures, NDArray[np.bool_]]]:
    """Yield each split with its model and the features of its tracklets; a model encodes all its splits at once."""
    by_path: dict[str, list[Dataset]] = {}
    for split in splits:
        path = "" if isinstance(model, Model) else str(model or DEFAULT).replace("{split}", str(split.number or 1))
        by_path.setdefault(path, []).append(split)
    for path, group in by_path.items():
        own = model if isinstance(model, Model) else load(path)
        everyone = list({t.id: t for split in group for t in (*split.gallery, *split.query)}.values())
        features, damage = own.corrupted_features(everyone, max_corrupted, progress=progress)
        for split in group:
            yield split, own, features, damage


def _seen_in_training(model: Model, split: Dataset, known: Sequence[Dataset]) -> tuple[str, ...]:
    """Return a warning if the model was trained on queries of this split, which can happen with several splits."""
    trained_on = model.checkpoint.metadata.get("trained_on")
    trained = next((other for other in known if fingerprint(other.train) == trained_on), None)
    seen = len({t.id for t in trained.train} & {t.id for t in split.query}) if trained else 0
    if not seen:
        return ()
    of_split = "" if split.number is None else f" of split {split.number}"
    advice = (
        "train a model for each split, and evaluate them as --model 'runs/split-{split}/model.safetensors'"
        if len(known) > 1
        else "divide the data into training persons and test persons"
    )
    return (
        f"the model was trained on {seen} of {len(split.query)} queries{of_split}, so scores are too high: {advice}",
    )


def _groups(split: Dataset, faults: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """Return the groups of queries that are scored separately: by length, by camera and, if known, by fault."""
    groups = {
        "length": length_groups([len(tracklet) for tracklet in split.query]),
        "camera": camera_groups([tracklet.camera for tracklet in split.query]),
    }
    return groups | ({"fault": fault_groups(faults)} if faults.astype(bool).any() else {})
