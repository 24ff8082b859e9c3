"""Figures of the studies in the layout of the paper: lines with mean and standard deviation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resight.studies.framework.outcome import Outcome, values_of
from resight.studies.paper.published import OURS
from resight.tables import Row, Table

LINES = (
    ("#2a68a8", "o", "-"), ("#d9730d", "s", "--"), ("#2c9a4b", "^", "-"), ("#8757b5", "D", "-."), ("#b3402f", "v", ":"),
    ("#5c656e", "P", "--"), ("#b8860b", "X", "-"),
)  # fmt: skip
OUR_LINE = ("#1c2126", "*", "-")
"""Style of learned importance, which stands out."""
BANDS = 5
"""With more lines than this only learned importance has a band, because overlapping bands are unreadable."""


def lines(outcome: Outcome) -> Figure:
    """Return one panel for each table: a line for each row, with a band of one standard deviation."""
    return _panels(outcome, outcome.tables)


def maps_only(outcome: Outcome) -> Figure:
    """Return what `lines` returns, for the tables of mAP only."""
    return _panels(outcome, [table for table in outcome.tables if table.title.startswith("mAP")])


def table2_lines(outcome: Outcome) -> Figure:
    """Return learned importance and some t of each variant of top-t % over M_c^max."""
    names = [OURS, "top 20 %-eval", "top 50 %-eval", "top 100 %-eval", "top 20 %-traineval",
             "top 50 %-traineval"]  # fmt: skip
    chosen = [
        replace(table, rows=tuple(row for row in table.rows if row.name in names)) for table in outcome.tables[:2]
    ]
    return _panels(outcome, chosen, across="M_c^max, in training and test")


def bars(outcome: Outcome) -> Figure:
    """Return the columns of mAP of the first table as bars, one group for each row."""
    table = outcome.tables[0]
    places = [place for place, column in enumerate(table.columns) if column.startswith("mAP")]
    figure = Figure(figsize=(7.2, 0.34 * len(table.rows) * max(1, len(places) / 1.6) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(places)
    for number, place in enumerate(places):
        cells = [values_of(row.cells[place]) for row in table.rows]
        means = [statistics.fmean(cell) for cell in cells]
        spread = [statistics.stdev(cell) if len(cell) > 1 else 0 for cell in cells]
        at = [row + (number - (len(places) - 1) / 2) * height for row in range(len(means))]
        axes.barh(at, means, height, xerr=spread, color=LINES[number][0], label=table.columns[place],
                  error_kw={"ecolor": "#1c2126", "elinewidth": 1})  # fmt: skip
    axes.set_yticks(range(len(table.rows)), [row.name for row in table.rows])
    axes.invert_yaxis()
    axes.set(xlabel="percent")
    quiet(axes, "x")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, 1.1), ncols=len(places))
    return figure


def budget(outcome: Outcome) -> Figure:
    """Return mAP over the compute to encode a tracklet, one line for each aggregator."""
    table = outcome.tables[0]
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    methods = list(dict.fromkeys(row.name.partition(", M = ")[0] for row in table.rows))
    for number, method in enumerate(methods):
        rows = [row for row in table.rows if row.name.startswith(f"{method}, M = ")]
        _line(axes, [_gmac(row) for row in rows], [values_of(row.cells[0]) for row in rows], method, number, band=True)
    axes.set(xscale="log", xlabel="GMAC to encode one tracklet", ylabel="mAP, percent")
    costs = {_gmac(row): row.name.rpartition(", ")[2] for row in table.rows}
    axes.set_xticks(list(costs), [f"{count}\n{cost:.2g}" for cost, count in costs.items()])
    axes.minorticks_off()
    quiet(axes, "y")
    axes.legend(frameon=False)
    return figure


def _panels(outcome: Outcome, tables: Sequence[Table], across: str = "") -> Figure:
    columns = min(len(tables), 2 if len(tables) != 3 else 3)
    down = -(-len(tables) // columns)
    figure = Figure(figsize=(4.4 * columns + 0.6, 3.3 * down + 0.7), layout="constrained")
    panels = figure.subplots(down, columns, squeeze=False)
    for table, axes in zip(tables, panels.flat, strict=False):
        numbers = _numbers(table.columns)
        shown = {row.name: [values_of(cell) for cell in row.cells] for row in table.rows if all(row.cells)}
        for number, (name, cells) in enumerate(shown.items()):
            _line(axes, numbers, cells, name, number, band=len(shown) <= BANDS or name == OURS)
        axes.set_xticks(numbers, [column.rpartition("= ")[2] for column in table.columns])
        axes.set_title(table.title, fontsize=11, parse_math=False)
        axes.set_xlabel(across or table.columns[0].rpartition(" =")[0], parse_math=False)
        axes.set_ylabel("percent")
        quiet(axes, "y")
    for axes in list(panels.flat)[len(tables) :]:
        axes.set_visible(False)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", frameon=False, ncols=min(len(labels), 4))
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _line(
    axes: Axes, x: Sequence[float], cells: Sequence[Sequence[float]], name: str, number: int, *, band: bool
) -> None:
    means = [statistics.fmean(cell) for cell in cells]
    ours = name == OURS
    colour, marker, style = OUR_LINE if ours else LINES[number % len(LINES)]
    axes.plot(x, means, color=colour, marker=marker, linestyle=style, linewidth=2.6 if ours else 1.6,
              markersize=9 if ours else 5, label=name, zorder=3 if ours else 2)  # fmt: skip
    if band and all(len(cell) > 1 for cell in cells):
        spread = [statistics.stdev(cell) for cell in cells]
        low, high = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)


def _numbers(columns: Sequence[str]) -> list[float]:
    """Return the positions of the columns: their values, or evenly spaced if the values grow by factors."""
    values = [float(column.rpartition("= ")[2]) for column in columns]
    steps = [b - a for a, b in pairwise(values)]
    return values if len(set(steps)) <= 1 else [float(place) for place in range(len(values))]


def _gmac(row: Row) -> float:
    return values_of(row.cells[2])[0]


def quiet(axes: Axes, grid: str) -> None:
    """Remove frame and ticks, and draw a pale grid behind the lines."""
    axes.grid(axis=grid, color="#e3e1dc")  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
