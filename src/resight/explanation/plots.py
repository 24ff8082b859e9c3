"""Figures for papers and slides: curves, camera pairs, importance matrices, clip pairs.

Figures are created as objects and not through pyplot, which keeps global state and every open figure in memory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from resight.data.frames import Pixels
from resight.errors import RecipeError
from resight.explanation.blocks import Picture
from resight.explanation.films import Tone, format_importance
from resight.explanation.match_numbers import MatchNumbers
from resight.explanation.strips import TILE_SIZE, Tile, clip_frames, clip_middles, data_uri, load_tiles
from resight.outputs import replace_file

COLOURS: Mapping[Tone, str] = {
    "query": "#2c9a4b",
    "gallery": "#e07b16",
    "probe": "#2a68a8",
    "right": "#2c9a4b",
    "wrong": "#cf3a2f",
    "unknown": "#9aa1a9",
}
_LINES = (("#2a68a8", "-"), ("#d9730d", "--"), ("#2c9a4b", ":"), ("#8757b5", "-."), ("#b3402f", (0, (6, 2, 1, 2))))
_QUIET = "#5c656e"
_DPI = 200
_STRIP = 1.0
"""Height of a film strip in inches."""
_GAP = 3
"""Gap between two frames of a strip in pixels."""


def plot_cmc(curves: Mapping[str, ArrayLike], protocol_line: str) -> Figure:
    """Return a figure of cumulative match characteristics.

    Args:
        curves: Method to (R,) share of queries with a match at rank 1 … R or better, 0 … 1.
        protocol_line: Conditions of the scores, written below the chart.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), (colour, style) in zip(curves.items(), cycle(_LINES), strict=False):
        shares = np.asarray(values, float)
        ranks = np.arange(1, len(shares) + 1)
        axes.plot(ranks, shares, color=colour, linestyle=style, linewidth=2, label=f"{name} (rank-1 {shares[0]:.1%})")
    axes.set(xlabel="rank", ylabel="queries with a match at this rank or better", ylim=(None, 1.005))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(figure, axes, protocol_line)
    for text in axes.legend(frameon=False, loc="lower right").get_texts():
        text.set_parse_math(False)
    return figure


def plot_open_set(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], line: str, threshold: tuple[float, float] | None = None
) -> Figure:
    """Return a figure of open-set ROC curves: identification rate at rank 1 over false-alarm rate (logarithmic).

    Args:
        curves: Method to false-alarm rates, increasing from 0 to 1, and identification rates, (points,) each.
        line: Conditions of the curves, written below the chart.
        threshold: (False-alarm rate, identification rate) at the model's threshold, marked in the chart.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    drawn = {name: tuple(np.asarray(values, float) for values in curve) for name, curve in curves.items()}
    # A logarithmic axis has no zero: a false-alarm rate of 0 is drawn at half of the lowest positive rate.
    least = min(float(rates[rates > 0].min()) for rates, _ in drawn.values()) / 2
    for (name, (rates, identified)), (colour, style) in zip(drawn.items(), cycle(_LINES), strict=False):
        label = f"{name} (rank-1 {identified[-1]:.1%})"
        axes.step(rates.clip(least), identified, colour, linestyle=style, where="post", linewidth=2, label=label)
    if threshold is not None:
        axes.plot(
            max(threshold[0], least), threshold[1], "o", color="#1c2126", markersize=7, label="the model's threshold"
        )
    axes.set(xscale="log", xlim=(least, 1.02), ylim=(0, 1.005))
    axes.set(xlabel="false-alarm rate", ylabel="identification rate at rank 1")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.tick_params(which="minor", length=0)
    _finish(figure, axes, line)
    for text in figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9).get_texts():
        text.set_parse_math(False)
    return figure


def plot_camera_pairs(
    cameras: Sequence[int], shares: NDArray[np.float64], queries: NDArray[np.int64], title: str, line: str
) -> Figure:
    """Return a heat map of a score by camera of the query and of the match, with the number of queries per cell.

    Args:
        cameras: C camera numbers.
        shares: (C, C) scores in 0 … 1, rows by the camera of the query; ignored where there is no query.
        queries: (C, C) numbers of queries.
        title: Name of the score, such as ``rank-1``.
        line: Conditions of the scores, written below the heat map.
    """
    C = len(cameras)
    figure = Figure(figsize=(1.6 + 0.75 * C, 1.4 + 0.65 * C), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(queries > 0):
        words = f"{100 * shares[row, column]:.1f}\n{queries[row, column]}"
        ink = "white" if shares[row, column] > 0.55 else "#1c2126"
        axes.text(column, row, words, ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(C), [str(camera) for camera in cameras])
    axes.set_yticks(range(C), [str(camera) for camera in cameras])
    axes.set(xlabel="camera of the match", ylabel="camera of the query", frame_on=False)
    axes.tick_params(length=0)
    axes.set_title(f"{title} in percent, and number of queries", fontsize=11)
    figure.supxlabel(line, fontsize=7.5, color=_QUIET, wrap=True, parse_math=False)
    return figure


def plot_importance(numbers: MatchNumbers) -> Figure:
    """Return heat maps of importance, cosine and contribution of every clip pair.

    The middle frames of the clips are at the margins. There are twelve panels: per matrix the cells, a colour bar, the
    gallery frames above and the query frames at the left.
    """
    scored = numbers.scored
    m, n = scored.importance.shape
    cell = min(0.45, 3.6 / max(m, n))
    block = 0.55 * cell + n * cell + 1.35
    figure = Figure(figsize=(3 * block + 0.1, (m + 2.1) * cell + 1.5))
    _headline(figure, numbers)
    query = clip_middles(numbers.query, numbers.query_frames, numbers.query_corrupted)
    gallery = clip_middles(numbers.gallery, numbers.gallery_frames, numbers.gallery_corrupted)
    matrices = (
        ("importance", scored.importance, 0.0),
        ("cosine", scored.cosine, float(scored.cosine.min())),
        ("contribution", scored.contribution, min(0.0, float(scored.contribution.min()))),
    )
    for place, (name, values, low) in enumerate(matrices):
        left = place * block + 0.5
        inner = left + 0.6 * cell
        side = _panel(figure, left, 0.5, 0.5 * cell, m * cell)
        _draw_margin(side, query, down=True)
        top = _panel(figure, inner, 0.5 + (m + 0.1) * cell, n * cell, 2 * cell)
        _draw_margin(top, gallery, down=False)
        top.set_title(name, fontsize=11)
        cells = _panel(figure, inner, 0.5, n * cell, m * cell)
        high = float(values.max()) if values.max() > low else low + 1
        image = cells.imshow(values, cmap="Blues", aspect="auto", vmin=low, vmax=high)
        cells.set_xticks(range(n), [str(j + 1) for j in range(n)])
        cells.set_xlabel("gallery clip", color=COLOURS["gallery"])
        cells.set(yticks=[], frame_on=False)
        cells.tick_params(length=0, labelsize=8)
        bar = _panel(figure, inner + (n + 0.2) * cell, 0.5, 0.12, m * cell)
        figure.colorbar(image, cax=bar, drawedges=False)
        bar.ticklabel_format(useOffset=False)
        bar.tick_params(length=0, labelsize=8)
        bar.set_frame_on(False)
    return figure


def plot_clip_pairs(numbers: MatchNumbers, k: int = 2) -> Figure:
    """Return the `k` clip pairs of highest and the `k` of lowest importance as film strips. Paper: Fig. 7.

    Query clips are outlined green, gallery clips orange, with importance and cosine beside each pair. There are two
    panels per pair, with at most four frames per clip. No pair is shown twice.
    """
    strongest = numbers.strongest_pairs(k)
    weakest = [pair for pair in numbers.weakest_pairs(k) if pair not in strongest]
    pairs = [*strongest, *weakest]
    width = _strip_width(4)
    figure = Figure(figsize=(2 * width + 2.1, 0.5 + (_STRIP + 0.2) * len(pairs)))
    _headline(figure, numbers)
    for row, (i, j) in enumerate(pairs):
        bottom = (_STRIP + 0.2) * (len(pairs) - 1 - row) + 0.1
        query = load_tiles(
            numbers.query, clip_frames(numbers.query_frames[i], 4), corrupted=bool(numbers.query_corrupted[i])
        )
        gallery = load_tiles(
            numbers.gallery, clip_frames(numbers.gallery_frames[j], 4), corrupted=bool(numbers.gallery_corrupted[j])
        )
        _draw_strip(_panel(figure, 0.1, bottom, width, _STRIP), query, "query")
        beside = _panel(figure, width + 0.2, bottom, width, _STRIP)
        _draw_strip(beside, gallery, "gallery")
        importance, cosine = numbers.scored.importance[i, j], numbers.scored.cosine[i, j]
        end = "highest" if row < len(strongest) else "lowest"
        _write_beside(
            beside,
            f"importance {format_importance(importance)}\ncosine {cosine:.2f}",
            f"{end}: clips {i + 1} and {j + 1}",
        )
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of `path`, replacing an existing file in one step.

    Raises:
        RecipeError: If the path has another suffix.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise RecipeError(f"cannot write a figure as {path.name}; expected a name that ends in .png, .svg or .pdf")
    with replace_file(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=_DPI)


def picture(figure: Figure, title: str, alt: str, note: str = "") -> Picture:
    """Return a figure as a part of a page."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=_DPI)
        return Picture(title, data_uri(file.getvalue(), "image/png"), alt, note)


def _finish(figure: Figure, axes: Axes, line: str) -> None:
    """Add a grid, and the conditions below the chart."""
    axes.grid(axis="y", color="#e3e1dc")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    figure.supxlabel(line, fontsize=7.5, color=_QUIET, wrap=True, parse_math=False)


def _panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return a panel placed in inches, so that images keep their aspect ratio and gaps their size."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw_strip(axes: Axes, tiles: Sequence[Tile], tone: Tone) -> None:
    """Draw frames side by side in one outline, aligned left."""
    axes.imshow(_montage([t.pixels for t in tiles]), aspect="equal", interpolation="antialiased")
    axes.set(xticks=[], yticks=[], anchor="W")
    for spine in axes.spines.values():
        spine.set(color=COLOURS[tone], linewidth=3)


def _write_beside(axes: Axes, words: str, quiet: str, colour: str = "#1c2126") -> None:
    """Write two lines at the right of a strip, the second one in smaller type."""
    for text, height, size, ink in ((words, 0.62, 11, colour), (quiet, 0.2, 8, _QUIET)):
        axes.annotate(
            text,
            (1, height),
            xytext=(10, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=ink,
            parse_math=False,
        )


def _draw_margin(axes: Axes, tiles: Sequence[Tile], *, down: bool) -> None:
    """Draw middle frames in line with the rows (`down`) or the columns of a matrix."""
    for place, tile in enumerate(tiles):
        low, high = place - 0.46, place + 0.46
        axes.imshow(tile.pixels, extent=(0, 1, high, low) if down else (low, high, 0, 1), aspect="auto")
    ends = (-0.5, len(tiles) - 0.5)
    axes.set(xticks=[], yticks=[], frame_on=False)
    axes.tick_params(length=0, labelsize=8)
    if down:
        axes.set(xlim=(0, 1), ylim=ends[::-1])
        axes.set_yticks(range(len(tiles)), [str(i + 1) for i in range(len(tiles))])
        axes.set_ylabel("query clip", color=COLOURS["query"])
    else:
        axes.set(xlim=ends, ylim=(0, 1))


def _montage(frames: Sequence[Pixels]) -> Pixels:
    """Return frames side by side with white gaps: (h, sum of widths and gaps, 3)."""
    gap = np.full((frames[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for frame in frames for part in (frame, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _strip_width(frames: int) -> float:
    """Return the width of a strip in inches."""
    height, width = TILE_SIZE
    return _STRIP * (frames * (width + _GAP) - _GAP) / height


def _headline(figure: Figure, numbers: MatchNumbers) -> None:
    across, up = figure.get_size_inches()
    words = f"similarity {numbers.scored.score:.2f}:  {numbers.query.id}  and  {numbers.gallery.id}"
    figure.suptitle(
        words, x=0.1 / across, y=1 - 0.12 / up, ha="left", va="top", fontsize=11, fontweight="bold", parse_math=False
    )
