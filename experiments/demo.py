"""The demo: render a small world, search it, evaluate the model that comes with the package, and write a report.

``python -m experiments.demo --out demo`` takes about three minutes on two cores. Every step is kept: run it again, and
it continues where it stopped.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch
from cyclopts import run

import resight
from experiments.demo_report import DemoResult, write_demo_report
from resight.evaluation.compare import Comparison
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.shipped import DEFAULT
from resight.synthetic.world import SCALES, make_world

MAX_CORRUPTED = 6
"""M_c^max of the damaged clips."""


def demo(
    *,
    out: Path = Path("demo"),
    scale: str = "small",
    data: Path | None = None,
    workers: int = os.cpu_count() or 1,
) -> None:
    """Run the demo.

    Args:
        out: Folder for the world, the model and report.html.
        scale: Size of the world.
        data: Existing world to use instead of a new one.
        workers: Processes that render and decode.
    """
    seconds: dict[str, float] = {}
    world = data or out / "world"
    start = time.monotonic()
    if data is None and not world.exists():
        with progress_bar("rendering", "frames") as progress:
            report = make_world(world, SCALES[scale], 0, workers=workers, progress=progress)
        seconds["render the world"] = time.monotonic() - start
        print(f"world: {report.frames} frames in {report.seconds:.0f} s")
    dataset = resight.read_dataset(f"mars:{world}")

    start = time.monotonic()
    model = resight.load_model(workers=workers)
    answers = resight.search(dataset.query[0], dataset, model)
    answers.save(out / "first-search.html")
    seconds["first search"] = time.monotonic() - start
    print(f"\nfirst search, with the model {DEFAULT}\n{answers}\nwrote {out / 'first-search.html'}")

    start = time.monotonic()
    results = [resight.evaluate(model, dataset, max_corrupted=rate) for rate in (0, MAX_CORRUPTED)]
    clean, damaged = (result for result in results if isinstance(result, Comparison))
    seconds["evaluate"] = time.monotonic() - start
    for name, result in (("clean", clean), (f"M_c^max = {MAX_CORRUPTED}", damaged)):
        print(f"\n{name}\n{result}")

    page = out / "report.html"
    write_demo_report(page, DemoResult(model, dataset, clean, damaged, MAX_CORRUPTED, seconds))
    with replace_file(out / "results.json") as temporary:
        values = {
            "max_corrupted": MAX_CORRUPTED,
            "clean": clean.to_json(),
            "damaged": damaged.to_json(),
            "seconds": seconds,
        }
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
    print(f"\nwrote {page} and {out / 'results.json'}")


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    run(demo)
