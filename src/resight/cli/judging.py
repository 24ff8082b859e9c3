"""Commands that judge: evaluate, compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from resight.cli.app import SHIPPED, Cameras, DatasetName, Device, Json, Precision, app, say
from resight.cli.inputs import (
    clip_features,
    model_of_split,
    open_model,
    read_named_splits,
    seen_in_training,
)
from resight.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resight.checkpoints import Checkpoint
    from resight.compute import Compute
    from resight.features.types import ClipFeatures
    from resight.tracklet import Dataset

Models = Annotated[
    Path,
    Parameter(
        help="A model.safetensors that `resight train` wrote, {split} in its name becoming the number of the split; or "
        "the name of one of `resight models`."
    ),
]


@app.command
def evaluate(
    dataset: DatasetName, *, model: Models = SHIPPED, out: Path | None = None, protocol: str | None = None,
    max_corrupted: int = 0, cameras: Cameras = ":", rerank: Annotated[bool, Parameter(negative=())] = False,
    open_set: Annotated[bool, Parameter(negative=())] = False,
    precision: Precision = "float32", device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Score every way of aggregating clip pairs by a named protocol, on every split of the data.

    Also says how well importance points at damage, where damage is known.

    Args:
        out: Folder for report.html, its pictures, scores.json, what each query got (for `resight compare`), rankings.
        protocol: One of docs/protocols.md, such as mars or cross-camera; by default the data set's own.
        rerank: Re-rank by k-reciprocal neighbours (Zhong et al. 2017) before scoring.
        open_set: Take half of the persons out of the gallery too, and count false alarms.
        max_corrupted: M_c^max of the paper's Sec. 4.4: corrupt 0 to this many clips of each tracklet.
    """
    from resight.cli.judgement_page import write_judgement
    from resight.compute import Compute
    from resight.evaluation.compare import Comparison, clip_faults, compare_aggregators, usual_aggregators
    from resight.evaluation.evaluate import labels_of
    from resight.evaluation.open_set import draw_strangers
    from resight.evaluation.protocols import default_protocol, find_protocol
    from resight.evaluation.splits import SplitComparison
    from resight.evaluation.threshold import Threshold
    from resight.synthetic.faults import read_faults

    splits, known = read_named_splits(dataset, cameras)
    rules = find_protocol(protocol) if protocol else default_protocol(splits[0].name)
    parts: dict[int, Comparison] = {}
    compute = Compute.resolve(device, precision)
    encoded = _encoded(splits, model, compute, max_corrupted)
    for number, (split, loaded, features, damage) in enumerate(encoded, 1):
        query, gallery = features.of(split.query), features.of(split.gallery)
        faults = clip_faults(split.query, query, read_faults(split.root), damage[features.places(split.query)])
        threshold = loaded.card.get("threshold")
        words = "scoring" if len(splits) == 1 else f"split {number} of {len(splits)}"
        with progress_bar(words, "methods", not as_json) as progress:
            parts[split.number or 1] = compare_aggregators(
                usual_aggregators(loaded.aggregator.to(compute.torch_device)), query, gallery, rules,
                faults=faults, reranked=rerank, compute=compute,
                groups=_groups(split, faults), camera_pairs=out is not None,
                strangers=draw_strangers(labels_of(query)) if open_set else None,
                threshold=Threshold.from_json(threshold) if threshold else None,
                notes=seen_in_training(loaded, split, known), progress=progress,
            )  # fmt: skip
    found = SplitComparison(parts) if len(parts) > 1 else next(iter(parts.values()))
    if out is not None:
        found.save(out)
        write_judgement(out, found, dataset, model)
    say(
        found.to_json(),
        found.to_text() + (f"\nwrote {out / 'report.html'}, and more beside it" if out else ""),
        as_json,
    )


@app.command
def compare(first: Path, second: Path, *, method: str | None = None, as_json: Json = False) -> None:
    """Say whether one evaluation is better than another, each query being compared with itself.

    Args:
        first: A folder that `resight evaluate --out` wrote, or one of its queries-….json.
        second: The other, of the same queries by the same protocol.
        method: Of folders, which row of the table, such as "mean of pairs"; by default the last, the trained one.
    """
    from resight.evaluation.compare import load_run
    from resight.evaluation.confidence import compare_runs

    a, b = (load_run(path, method) for path in (first, second))
    found = compare_runs(a, b, groups=a.persons)
    unlike = [
        f"the two differ in {words}: {ours} and {theirs}"
        for words, ours, theirs in (("frames", a.frames, b.frames), ("re-ranking", a.reranking, b.reranking))
        if ours != theirs
    ]
    lines = [f"A  {first}: {a.line()}", f"B  {second}: {b.line()}", *unlike, "", found.to_text(), "", *found.in_words()]
    if a.persons is None:
        lines.append("the files do not say whom queries show, so queries are drawn: intervals are somewhat too narrow")
    values = {
        "first": {"path": str(first), **a.to_json()},
        "second": {"path": str(second), **b.to_json()},
        "differ_in": unlike,
        **found.to_json(),
    }
    say(values, "\n".join(lines), as_json)


def _encoded(
    splits: Sequence[Dataset], model: Path, compute: Compute, max_corrupted: int
) -> Iterator[tuple[Dataset, Checkpoint, ClipFeatures, NDArray[np.bool_]]]:
    """Of each split, its model and the features of its tracklets; a model encodes for all its splits at once."""
    by_model: dict[Path, list[Dataset]] = {}
    for split in splits:
        by_model.setdefault(model_of_split(model, split.number), []).append(split)
    for path, own in by_model.items():
        loaded, kept = open_model(path)
        everyone = list({t.id: t for split in own for t in (*split.gallery, *split.query)}.values())
        features, damage = clip_features(loaded, kept, compute, everyone, max_corrupted)
        for split in own:
            yield split, loaded, features, damage


def _groups(split: Dataset, faults: NDArray[np.str_]) -> dict[str, NDArray[np.str_]]:
    """What scores are given for apart: the queries' length, camera and, where any is known, fault."""
    from resight.evaluation.slices import camera_groups, fault_groups, length_groups

    groups = {
        "length": length_groups([len(t) for t in split.query]),
        "camera": camera_groups([t.camera for t in split.query]),
    }
    return groups | ({"fault": fault_groups(faults)} if faults.astype(bool).any() else {})
