"""A figure that summarises a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter, StrMethodFormatter

from resight.explanation.plots import COLOURS

_TONES = COLOURS["probe"], COLOURS["gallery"]
_QUIET = "#5c656e"
_MANY = 12
"""Maximum number of bars: more different numbers of tracklets per person are shown as a histogram."""


def plot_dataset(
    lengths: Mapping[str, Sequence[int]],
    per_camera: Mapping[str, Mapping[int, int]],
    cameras_per_person: Mapping[str, Mapping[int, int]],
    tracklets_per_person: Mapping[str, Sequence[int]],
    line: str,
) -> Figure:
    """Return four panels: tracklet lengths, tracklets per camera, persons by cameras and by tracklets.

    Args:
        lengths: Part of the data set, such as ``train`` and ``test``, to the number of frames of each tracklet.
        per_camera: Part to camera to number of tracklets.
        cameras_per_person: Part to number of cameras to number of persons.
        tracklets_per_person: Part to the number of tracklets of each person.
        line: Description of the data, written below the figure.
    """
    figure = Figure(figsize=(8.6, 6.2), layout="constrained")
    grid = figure.subplots(2, 2)
    _plot_lengths(grid[0, 0], lengths)
    _plot_bars(grid[0, 1], per_camera, "camera", "tracklets")
    _plot_bars(grid[1, 0], cameras_per_person, "cameras per person", "persons")
    counts = {part: dict(sorted(Counter(numbers).items())) for part, numbers in tracklets_per_person.items()}
    if len({key for part_counts in counts.values() for key in part_counts}) <= _MANY:
        _plot_bars(grid[1, 1], counts, "tracklets per person", "persons")
    else:
        _plot_steps(grid[1, 1], tracklets_per_person, "tracklets per person", "persons", logarithmic=False)
    if len(lengths) > 1:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
    figure.supxlabel(line, fontsize=7.5, color=_QUIET, wrap=True, parse_math=False)
    return figure


def _plot_lengths(axes: Axes, lengths: Mapping[str, Sequence[int]]) -> None:
    _plot_steps(axes, lengths, "frames per tracklet", "tracklets", logarithmic=True)


def _plot_steps(axes: Axes, values: Mapping[str, Sequence[int]], what: str, unit: str, *, logarithmic: bool) -> None:
    """Draw histograms as outlines with a light fill."""
    everything = np.array([value for part_values in values.values() for value in part_values] or [1], float)
    low, high = float(everything.min()), float(everything.max())
    bins = int(np.clip(len(everything) ** 0.5, 8, 30))
    if logarithmic and high > low:
        edges = np.geomspace(low, high * 1.001, bins + 1).tolist()
        axes.set_xscale("log")
    else:
        edges = np.linspace(low - 0.5, high + 0.5, min(bins, int(high - low) + 1) + 1).tolist()
    for (part, part_values), colour in zip(values.items(), _TONES, strict=False):
        axes.hist(
            part_values,
            edges,
            histtype="stepfilled",
            facecolor=f"{colour}22",
            edgecolor=colour,
            linewidth=1.6,
            label=part,
        )
    if logarithmic and high > low:
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if low <= tick <= high]
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
    _finish(axes, what, unit)


def _plot_bars(axes: Axes, counts: Mapping[str, Mapping[int, int]], what: str, unit: str) -> None:
    """Draw bars side by side, with one colour per part of the data set."""
    keys = sorted({key for part_counts in counts.values() for key in part_counts})
    width = 0.8 / max(1, len(counts))
    for place, ((part, part_counts), colour) in enumerate(zip(counts.items(), _TONES, strict=False)):
        shift = (place - (len(counts) - 1) / 2) * width
        heights = [part_counts.get(key, 0) for key in keys]
        axes.bar(np.arange(len(keys)) + shift, heights, 0.94 * width, color=colour, label=part)
    every = -(-len(keys) // 20) or 1
    axes.set_xticks(range(0, len(keys), every), [str(key) for key in keys[::every]])
    _finish(axes, what, unit)


def _finish(axes: Axes, what: str, unit: str) -> None:
    axes.set_xlabel(what)
    axes.set_ylabel(unit)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#e3e1dc")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, which="both")
