"""Figures of the damage benchmark: its tables, and one clip with each kind of damage."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resight.data.clips import sample_clips
from resight.data.damage import DAMAGES, ClipDamage, Donors
from resight.data.frames import load_clips
from resight.recipe import ClipSpec
from resight.studies.figures import LINES, quiet
from resight.studies.framework.outcome import Outcome, values_of
from resight.studies.framework.steps import Steps
from resight.tables import Table
from resight.tracklet import Tracklet


def draw_damage(outcome: Outcome) -> Figure:
    """Return one figure with both matrices of rates, and mAP and AUROC by kind of damage."""
    ours, top, maps, *_, auroc = outcome.tables
    figure = Figure(figsize=(11.5, 8.2), layout="constrained")
    panels = figure.subplots(2, 2)
    number = len(ours.rows)
    matrices = [[list(table.means(row.name))[:number] for row in table.rows] for table in (ours, top)]
    limits = float(np.min(matrices)), float(np.max(matrices))
    for axes, table, matrix in zip(panels[0], (ours, top), matrices, strict=True):
        _matrix(axes, table, matrix, limits)
    _bars(panels[1][0], maps, [colour for colour, *_ in LINES])
    _bars(panels[1][1], auroc, [colour for colour, *_ in LINES[3:]], 0.5)
    return figure


def _matrix(axes: Axes, table: Table, matrix: Sequence[Sequence[float]], limits: tuple[float, float]) -> None:
    low, high = limits
    axes.imshow(matrix, cmap="Blues", vmin=low - (high - low) / 3, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(np.array(matrix)):
        axes.text(column, row, f"{value:.1f}", ha="center", va="center",
                  color="white" if value > low + 0.6 * (high - low) else "#1c2126")  # fmt: skip
    rates = [column.rpartition("= ")[2] for column in table.columns[: len(matrix)]]
    axes.set_xticks(range(len(matrix)), rates)
    axes.set_yticks(range(len(matrix)), rates)
    axes.set(xlabel="M_c^max in the test", ylabel="M_c^max in training", frame_on=False)
    axes.xaxis.label.set_parse_math(False)
    axes.yaxis.label.set_parse_math(False)
    axes.tick_params(length=0)
    axes.set_title(table.title.split(", by")[0], fontsize=11)


def _bars(axes: Axes, table: Table, colours: Sequence[str], least: float | None = None) -> None:
    width = 0.8 / len(table.rows)
    for place, row in enumerate(table.rows):
        at = [column + (place - (len(table.rows) - 1) / 2) * width for column in range(len(table.columns))]
        heights = [statistics.fmean(values_of(cell)) for cell in row.cells]
        axes.bar(at, heights, width, color=colours[place % len(colours)], label=row.name)
    axes.set_xticks(range(len(table.columns)), [column.replace("-", "\n") for column in table.columns])
    axes.set_title(table.title, fontsize=11, parse_math=False)
    axes.set_ylim(least, None)
    quiet(axes, "y")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if tick <= top]
    axes.set_ylim(bottom, bottom + 1.35 * (top - bottom))  # room for the legend
    axes.set_yticks(ticks)


def picture_of_kinds(steps: Steps) -> Iterator[tuple[str, Figure]]:
    """Yield a figure of one query clip with each kind of damage."""
    yield "-kinds", plot_damage(steps.dataset.query[0], steps.dataset.gallery, steps.setting.recipe.clips)


def plot_damage(
    tracklet: Tracklet, donors: Sequence[Tracklet], spec: ClipSpec, kinds: Sequence[str] = DAMAGES, seed: int = 0
) -> Figure:
    """Return a figure of the middle clip of a tracklet: one row of clean frames, and one for each kind of damage.

    Args:
        tracklet: The tracklet to show.
        donors: Tracklets that provide frames for the damage, see `Donors`.
        spec: Number of frames of the clip, and their size.
        kinds: Kinds of damage, from top to bottom.
        seed: Seed of the damage.

    Raises:
        FrameError: If a frame cannot be read.
        DatasetError: If damage needs a donor and there is none.
    """
    numbers = sample_clips(len(tracklet), ClipSpec(length=spec.length, count=1))
    rows = {"clean": None} | {kind: ClipDamage.of_kind(kind, 1, seed, Donors(donors)) for kind in kinds}
    label, frame_height, gap = 1.05, 0.95, 0.03  # inches
    width = label + frame_height * (spec.width / spec.height + gap) * spec.length
    figure = Figure(figsize=(width, (frame_height + gap) * len(rows)))
    panels = figure.subplots(
        len(rows), spec.length, squeeze=False,
        gridspec_kw={"left": label / width, "right": 1, "top": 1, "bottom": 0, "wspace": 0.04, "hspace": 0.03},
    )  # fmt: skip
    for row, (name, clip_damage) in zip(panels, rows.items(), strict=True):
        clip = load_clips(tracklet, numbers, (spec.height, spec.width), clip_damage)[0]
        for panel, frame in zip(row, clip, strict=True):
            panel.imshow(frame, interpolation="nearest")
            panel.set(xticks=[], yticks=[], frame_on=False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
    return figure
