"""Plot how time and memory of searches grow with the gallery: ``python -m benchmarks.gallery_growth ROWS.json ...``.

The files are those of ``python -m benchmarks.gallery --out``. The figure is docs/images/gallery-growth.png. It shows
processor time, which is nearly the same on a busy machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclopts import run
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from resight.explanation.plots import COLOURS, save_figure

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "gallery-growth.png"

WAYS = {
    "gallery": ("all tracklets", COLOURS["probe"], "o"),
    "camera": ("one of 8 cameras", COLOURS["gallery"], "s"),
    "labels": ("all tracklets, with labels", COLOURS["right"], "D"),
}
"""Name, colour and marker of each way of searching."""

GOALS = (300.0, 1000.0)
"""Most milliseconds of 95 % of the searches, and most megabytes, at 100,000 tracklets."""


def main(*files: Path) -> None:
    """Plot the rows of some files, and write the figure to docs/."""
    rows = [row["facts"] for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    save_figure(
        plot_growth(sorted((row for row in rows if row.get("way") in WAYS), key=lambda row: row["size"])), FIGURE
    )


def plot_growth(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return a figure of processor time (95 % quantile) and memory against the number of tracklets."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    panels = figure.subplots(1, 2)
    sizes = sorted({row["size"] for row in rows})
    for axes, fact, scale, goal, title in zip(
        panels, ("processor p95", "memory"), (1e3, 1e-6), GOALS,
        ("processor time of a search, 95 % quantile, ms", "memory of the process, MB"), strict=True,
    ):  # fmt: skip
        for way, (name, colour, marker) in WAYS.items():
            points = [(row["size"], scale * row[fact]) for row in rows if row["way"] == way]
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, linewidth=1.8, label=name)
        axes.axhline(goal, color=COLOURS["unknown"], linewidth=1, label="goal for 100,000")
        axes.set(xscale="log", xlabel="tracklets in the gallery", title=title, ylim=(0, 1.08 * goal))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.margins(x=0.08)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(axis="y", color="#e3e1dc")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
    panels[0].legend(frameon=False, fontsize=8, loc="center left")
    return figure


if __name__ == "__main__":
    run(main)
