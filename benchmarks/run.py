"""Run all CPU benchmarks: ``python -m benchmarks.run`` (``make bench``)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cyclopts import run

from benchmarks import (
    all_pairs,
    cluster,
    distinct,
    encoder,
    feature_store,
    gallery,
    metrics,
    open_model,
    packs,
    page,
    pixels,
    reading,
    rerank,
    search,
    stage2,
)  # fmt: skip
from benchmarks.timing import Row
from resight.outputs import replace_file

TOPICS: dict[str, Callable[[int], Iterable[Row]]] = {
    "encoder": encoder.bench,
    "all-pairs": all_pairs.bench,
    "search": search.bench,
    "metrics": metrics.bench,
    "rerank": rerank.bench,
    "pixels": pixels.bench,
    "reading": reading.bench,
    "stage-2": stage2.bench,
    "distinct": distinct.bench,
    "store": feature_store.bench,
    "gallery": gallery.bench,
    "open-model": open_model.bench,
    "packs": packs.bench,
    "cluster": cluster.bench,
}


def benchmarks(*topics: str, repeats: int = 5, out: Path | None = None) -> None:
    """Run benchmarks and print a table. If all of them are run, also write docs/benchmarks.md.

    Args:
        topics: Benchmarks to run; all by default.
        repeats: Number of turns; medians are printed.
        out: JSON file to write; by default benchmarks/results/cpu.json if all benchmarks are run, else none.
    """
    start = time.perf_counter()
    rows: list[Row] = []
    for topic in topics or TOPICS:
        for row in TOPICS[topic](repeats):
            print(text(row), flush=True)
            rows.append(row)
    path = out or (None if topics else page.RESULTS["cpu"])
    if path is None:
        return
    command = " ".join(["python -m benchmarks.run", *topics, f"--repeats {repeats}"])
    results = {
        "machine": page.machine(),
        "command": command,
        "seconds": time.perf_counter() - start,
        "rows": [row.to_json() for row in rows],
    }
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"wrote {path}")
    if path == page.RESULTS["cpu"]:
        page.write_page()


def text(row: Row) -> str:
    """Return a row as a line for the terminal."""
    plain = f"{page.number(row.plain):>10}" if row.plain is not None else " " * 10
    ratio = f"{row.ratio:7.2f} x" if row.ratio is not None else " " * 9
    limit = f"  {row.limit:.0%} of {row.limit_name}" if row.limit is not None else ""
    name = f"{row.group}: {row.name}, {row.unit}"
    return f"{name:64}{plain}{page.number(row.ours):>10}{ratio}{limit}  {row.note}"


if __name__ == "__main__":
    run(benchmarks)
