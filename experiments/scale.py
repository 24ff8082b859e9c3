"""Measure what a tracklet costs, and compute from it what 10⁴ to 10⁹ of them cost.

* ``python -m experiments.scale measure mars:WORLD`` measures and writes experiments/results/scale.json.
* ``python -m experiments.scale page`` writes the tables and the figure of docs/scale.md from it.
* ``python -m experiments.scale costs --core-hour 0.06`` prints the table of costs with your prices.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cyclopts import App

from experiments.scale_model import FORMATS, SIZES, Prices, Units, as_int8, bottleneck, coded_means, plot_costs
from resight.api.gallery import Gallery
from resight.api.model import Model, load_model
from resight.data.readers import read_dataset
from resight.evaluation.evaluate import evaluate_features, labels_of
from resight.evaluation.metrics import score_ranking
from resight.evaluation.protocols import default_protocol
from resight.features.extract import extract_clip_features
from resight.features.types import ClipFeatures
from resight.gallery.search import score_tracklets
from resight.outputs import replace_file
from resight.ranking import Ranking
from resight.scoring.search import NOT_SCORED, SHORTLIST
from resight.tables import Row, Table
from resight.tracklet import Dataset

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
FIGURE = HERE.parent / "docs" / "images" / "scale.svg"
MODEL = "open"
CLIPS = (8, 4, 2)
SHORTLISTS = (100, 50, 20)
CODES = ("float32", "int8", "1 bit")

app = App()


@app.command
def measure(dataset: str, *, tracklets: int = 100) -> None:
    """Measure on a data set, and write the results.

    Args:
        dataset: Data set as KIND:PATH.
        tracklets: Tracklets that are encoded and stored in a gallery, to measure what one costs.
    """
    torch.set_num_threads(1)
    data, model = read_dataset(dataset), load_model(MODEL)
    everyone = list({t.id: t for t in (*data.gallery, *data.query)}.values())
    curves, shortlists, encode_s = [], [], {}
    for clips in CLIPS:
        spec = replace(model.recipe.clips, count=clips)
        start = time.process_time()
        extract_clip_features(model.checkpoint.encoder, everyone[:tracklets], spec)
        encode_s[clips] = (time.process_time() - start) / tracklets
        features = extract_clip_features(model.checkpoint.encoder, everyone, spec, store=model.store)
        query, gallery = features.of(data.query), features.of(data.gallery)
        curves += [(clips, form, *_scores(_as(query, form), _as(gallery, form), model, data)) for form in FORMATS]
        if clips == CLIPS[0]:
            shortlists = _shortlists(query, gallery, model, data)
    units = _units(data, model, encode_s, tracklets)
    results = {
        "dataset": dataset.rpartition("/")[2], "queries": len(data.query), "gallery": len(data.gallery),
        "units": asdict(units), "curves": curves, "shortlists": shortlists,
    }  # fmt: skip
    with replace_file(RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


@app.command
def page() -> None:
    """Write the tables and the figure of docs/scale.md."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    with replace_file(FIGURE) as temporary:
        plot_costs(read_units(results)).savefig(temporary, format="svg", metadata={"Date": None})


@app.command
def costs(*, core_hour: float = Prices.core_hour, memory_hour: float = Prices.memory_hour,
          terabyte_month: float = Prices.terabyte_month) -> None:  # fmt: skip
    """Print the table of costs with your prices, in dollars.

    Args:
        core_hour: A core for an hour.
        memory_hour: A gigabyte of memory for an hour.
        terabyte_month: A terabyte of object storage for a month.
    """
    units = read_units(json.loads(RESULTS.read_text(encoding="utf-8")))
    print(cost_table(units, Prices(core_hour, memory_hour, terabyte_month)).to_text())


def read_units(results: dict[str, object]) -> Units:
    """Return the unit costs of results, whose numbers of clips are text in JSON."""
    values = dict(results["units"])  # type: ignore[call-overload]
    for name in ("encode_s", "rescore_s"):
        values[name] = {int(clips): seconds for clips, seconds in values[name].items()}
    return Units(**values)


def filled(text: str, results: dict[str, object]) -> str:
    """Return the page with its tables replaced by those of the results.

    Each table stands between ``<!-- name -->`` and ``<!-- /name -->``.
    """
    units = read_units(results)
    tables = {
        "units": unit_table(units), "costs": cost_table(units, Prices()), "choices": choice_table(units),
        "curves": curve_table(results, units), "shortlists": shortlist_table(results),
    }  # fmt: skip
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{PAGE} has no single place for the table {name}, between {begin.strip()} and {end}")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table.to_markdown().strip()}\n\n{end}{rest.split(end)[1]}"
    return text


def unit_table(units: Units) -> Table:
    """Return the measured unit costs."""
    clips = CLIPS[0]
    rows = (
        Row("encoding a tracklet of 8, 4, 2 clips, s", (", ".join(f"{units.encode_s[m]:.3f}" for m in CLIPS),)),
        Row("storing it beyond encoding it: key, pictures, writing, s", (f"{units.store_s:.3f}",)),
        Row("bytes of a tracklet in a gallery", (f"{units.bytes():,.0f}",)),
        Row("of which clip features (float16)", (f"{units.feature_bytes(clips, 'float16'):,}",)),
        Row("comparing a query with 1,000,000 mean features, s", (f"{1e6 * units.scan_s:.3f}",)),
        Row("reading a tracklet of the shortlist, ms", (f"{1000 * units.fetch_s:.2f}",)),
        Row(
            "comparing it by 8 × 8, 4 × 4, 2 × 2 clip pairs, ms",
            (", ".join(f"{1000 * units.rescore_s[m]:.3f}" for m in CLIPS),),
        ),
    )
    return Table("", ("measured",), rows, "on one core")


def cost_table(units: Units, prices: Prices) -> Table:
    """Return the computed costs of 10⁴ to 10⁹ tracklets as a gallery is today."""
    columns = (
        "encoding on two cores", "encoding, $", "storage", "storage, $ a month", "means in memory", "memory, $ a month",
        "a query on one core", "next bottleneck",
    )  # fmt: skip
    rows = []
    for n in SIZES:
        cost = units.cost(n)
        rows.append(Row(f"{n:,}", (
            duration(cost.encode_s / 2), money(prices.encoding(cost)), size(cost.storage),
            money(prices.storage(cost)), size(cost.memory), money(prices.memory(cost)), duration(cost.query_s),
            bottleneck(cost),
        )))  # fmt: skip
    return Table("", columns, tuple(rows), "tracklets")


def choice_table(units: Units) -> Table:
    """Return what changes at 10⁸ tracklets with fewer clips, int8 and smaller means."""
    choices: tuple[tuple[str, dict[str, Any]], ...] = (
        ("as a gallery is: 8 clips, float16, means float32", {}),
        ("4 clips", {"clips": 4}),
        ("2 clips", {"clips": 2}),
        ("8 clips in int8", {"form": "int8"}),
        ("8 clips, means in int8", {"mean_bytes": 1.0}),
        ("8 clips, means of 1 bit", {"mean_bytes": 1 / 8}),
        ("2 clips in int8, means of 1 bit", {"clips": 2, "form": "int8", "mean_bytes": 1 / 8}),
    )
    rows = []
    for name, options in choices:
        cost = units.cost(10**8, **options)
        rows.append(Row(name, (duration(cost.encode_s), size(cost.storage), size(cost.memory), duration(cost.query_s))))
    columns = ("encoding on one core", "storage", "means in memory", "a query on one core")
    return Table("", columns, tuple(rows), "10⁸ tracklets")


def curve_table(results: dict[str, object], units: Units) -> Table:
    """Return accuracy against clips and number format."""
    rows = tuple(
        Row(f"{clips} clips, {form}", (100 * map_, 100 * rank1, f"{units.feature_bytes(clips, form):,}"))
        for clips, form, map_, rank1 in results["curves"]  # type: ignore[attr-defined]
    )
    return Table("", ("mAP", "rank-1", "bytes of clip features"), rows, "clip features", best=(0, 1))


def shortlist_table(results: dict[str, object]) -> Table:
    """Return accuracy against the length of the shortlist and the format of its means."""
    rows = tuple(
        Row(f"{code}, shortlist of {size}", (100 * recall, 100 * map_))
        for code, size, recall, map_ in results["shortlists"]  # type: ignore[attr-defined]
    )
    return Table("", ("of the exact best 10 on it", "mAP"), rows, "means")


def duration(seconds: float) -> str:
    """Return a duration in a unit that suits it.

    >>> duration(0.0312), duration(5400), duration(3 * 86400 * 365)
    ('0.031 s', '1.5 h', '3 years')
    """
    for limit, unit, name in (
        (100, 1, "s"),
        (6000, 60, "min"),
        (2 * 86400, 3600, "h"),
        (2 * 365 * 86400, 86400, "days"),
    ):
        if seconds < limit:
            return f"{_short(seconds / unit)} {name}"
    return f"{_short(seconds / (365 * 86400))} years"


def size(count: float) -> str:
    """Return a number of bytes in a unit that suits it.

    >>> size(2_350_000_000), size(170_000)
    ('2.4 GB', '0.17 MB')
    """
    for limit, unit, name in ((1e9, 1e6, "MB"), (1e12, 1e9, "GB")):
        if count < limit:
            return f"{_short(count / unit)} {name}"
    return f"{_short(count / 1e12)} TB"


def money(dollars: float) -> str:
    """Return an amount with two significant digits.

    >>> money(1234), money(0.0712), money(0.001)
    ('1,200', '0.07', '< 0.01')
    """
    if dollars < 0.01:
        return "< 0.01"
    return f"{float(f'{dollars:.2g}'):,.0f}" if dollars >= 10 else f"{float(f'{dollars:.2g}'):.2f}"


def _short(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.10g}"


def _as(features: ClipFeatures, form: str) -> ClipFeatures:
    values = {"float32": lambda x: x, "float16": lambda x: x.astype(np.float16).astype(np.float32), "int8": as_int8}
    return replace(features, values=values[form](features.values))


def _scores(query: ClipFeatures, gallery: ClipFeatures, model: Model, data: Dataset) -> tuple[float, float]:
    aggregator, protocol = model.checkpoint.aggregator, default_protocol(data.name)
    _, scores = evaluate_features(query, gallery, aggregator, protocol)
    return scores.map, scores.rank(1)


def _shortlists(
    query: ClipFeatures, gallery: ClipFeatures, model: Model, data: Dataset
) -> list[tuple[str, int, float, float]]:
    """Return format of the means, size, recall of the exact best 10, and mAP of shortlists."""
    aggregator, protocol = model.checkpoint.aggregator, default_protocol(data.name)
    exact, _ = evaluate_features(query, gallery, aggregator, protocol)
    found = []
    table = exact.table()
    for code in CODES:
        sides = [coded_means(side.values, code) for side in (query, gallery)]
        coarse = sides[0] @ sides[1].T / np.float32(query.values.shape[2] if code == "1 bit" else 1)
        order = np.argsort(-coarse, axis=1, kind="stable")
        for length in SHORTLISTS:
            hits = [len(set(best[:10]) & set(row[:length])) / 10 for best, row in zip(exact.order, order, strict=True)]
            scores = coarse + NOT_SCORED
            listed = order[:, :length]
            np.put_along_axis(scores, listed, np.take_along_axis(table, listed, axis=1), axis=1)
            ranking = Ranking.from_scores(scores, query.ids, gallery.ids)
            judged = score_ranking(ranking, labels_of(query), labels_of(gallery), protocol)
            found.append((code, length, float(np.mean(hits)), judged.map))
    return found


def _units(data: Dataset, model: Model, encode_s: dict[int, float], tracklets: int) -> Units:
    """Measure the costs of a tracklet and of a query in CPU time, because other programs may be running."""
    some = data.gallery[:tracklets]
    with tempfile.TemporaryDirectory() as folder:
        with Gallery(Path(folder) / "gallery", MODEL) as gallery:
            start = time.process_time()
            gallery.add(replace(data, gallery=some, query=()))
            store_s = (time.process_time() - start) / len(some) - encode_s[CLIPS[0]]
            ids = [tracklet.id for tracklet in some]
            fetch_s = _fastest(lambda: gallery.store.fetch(ids)) / len(ids)
            stored = gallery.store.fetch(ids)
        # Closed, because SQLite's log of latest changes is then part of its file.
        stored_bytes = sum(path.stat().st_size for path in (Path(folder) / "gallery").iterdir()) / len(some)
    dim = stored[0].features.shape[1]
    means = torch.randn(400_000, dim, generator=torch.Generator().manual_seed(0))
    query = means[0].clone()
    rescore_s = {}
    for clips in CLIPS:
        fewer = [replace(each, features=each.features[:clips]) for each in stored]
        rescore_s[clips] = _fastest(
            lambda fewer=fewer: score_tracklets(  # type: ignore[misc]
                fewer[0].features.astype(np.float32), fewer, model.checkpoint.aggregator, 10
            )
        ) / len(fewer)
    units = Units(
        dim, CLIPS[0], SHORTLIST, encode_s, max(0.0, store_s), 0.0, _fastest(lambda: means @ query) / len(means),
        fetch_s, rescore_s,
    )  # fmt: skip
    return replace(units, other_bytes=stored_bytes - units.feature_bytes(CLIPS[0], "float16"))


def _fastest(work: Callable[[], object], times: int = 7) -> float:
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    app()
