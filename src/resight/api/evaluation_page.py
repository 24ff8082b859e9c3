"""Figures and HTML page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.evaluation.camera_pairs import CameraPairs
from resight.evaluation.compare import MEASURES, TRAPEZOID, Comparison
from resight.evaluation.metrics import Scores
from resight.evaluation.splits import SplitComparison
from resight.explanation.blocks import Block, Curves, Facts, Picture, Section, SideBySide, Text
from resight.explanation.plots import plot_camera_pairs, plot_cmc, plot_open_set, save_figure
from resight.explanation.report import write_report
from resight.explanation.strips import data_uri
from resight.tables import Row, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOT_DRAWN = ("mean feature, no l2", *(f"top {share} %" for share in (10, 20, 30, 40, 60, 70, 80, 90)))
"""Aggregators that are in the tables but not in the charts, to keep these readable."""

_RANKS = 20
"""Number of ranks of the CMC on the page."""


def write_evaluation_page(folder: Path, comparison: Comparison | SplitComparison, dataset: str, model: Path) -> None:
    """Write report.html and, for a single split, the figures cmc, open-set and camera-pairs.

    Args:
        folder: Output folder.
        comparison: Comparison on one split or on several.
        dataset: Name of the data set as given by the user.
        model: Name of the model as given by the user.
    """
    lead = [f"Conditions: {comparison.protocol_line}.", *(f"Note: {note}." for note in comparison.notes)]
    sections = _one_split(folder, comparison) if isinstance(comparison, Comparison) else _several_splits(comparison)
    write_report(folder / "report.html", f"{model} on {dataset}", lead, sections, kicker="Evaluation")


def _one_split(folder: Path, comparison: Comparison) -> list[Section]:
    """Write the figures of one split and return the sections of its page."""
    drawn = {name: scores for name, scores in comparison.scores.items() if name not in _NOT_DRAWN}
    figure = plot_cmc({name: scores.cmc for name, scores in drawn.items()}, comparison.protocol_line)
    _save(figure, folder / "cmc.png", folder / "cmc.svg")
    cmc = Curves(
        "Share of queries with a match at this rank or better",
        {name: scores.cmc[:_RANKS].tolist() for name, scores in drawn.items()},
        note=comparison.protocol_line,
    )
    headline, (scores_table, *tables) = comparison.scores[comparison.headline], comparison.tables()
    sections = [
        Section(comparison.headline.capitalize(), (_facts(comparison),), f"{headline.line()}."),
        Section("Comparison of aggregators", (scores_table, cmc)),
    ]
    if comparison.auroc:
        sections.append(Section("Importance and damage", (tables.pop(0),)))
    if comparison.slices:
        by_group = [_slice_table(by, groups) for by, groups in comparison.slices.items()]
        rows = tuple(SideBySide(tuple(by_group[start : start + 2])) for start in range(0, len(by_group), 2))
        lead = f"{comparison.headline}, percent; {headline.line()}."
        sections.append(Section("Scores by group of queries", rows, lead))
    if comparison.camera_pairs is not None:
        sections.append(_camera_section(folder, comparison.headline, comparison.camera_pairs))
    if comparison.open_sets:
        sections.append(_open_set_section(folder, comparison, tables.pop(0)))
    return sections


def _save(figure: Figure, *paths: Path) -> None:
    for path in paths:
        save_figure(figure, path)


def _inlined(path: Path, title: str, alt: str) -> Picture:
    """Return a saved PNG as a part of the page."""
    return Picture(title, data_uri(path.read_bytes(), "image/png"), alt)


def _facts(comparison: Comparison) -> Facts:
    scores, intervals = comparison.scores[comparison.headline], comparison.intervals[comparison.headline]

    def with_interval(measure: str, name: str) -> tuple[str, str]:
        value, low, high = (100 * number for number in intervals[measure])
        return f"{value:.1f} %", f"{name}, 95 % interval {low:.1f}\u00a0…\u00a0{high:.1f}"

    return Facts(
        (
            with_interval("map", "mAP"),
            with_interval("rank-1", "rank-1"),
            (f"{scores.valid_queries}", f"of {scores.queries} queries have a match"),
            (f"{scores.gallery}", "gallery tracklets"),
        )
    )


def _slice_table(by: str, groups: Mapping[str, Scores]) -> Table:
    rows = [
        Row(group.replace("_", " "), (100 * scores.map, 100 * scores.rank(1), scores.valid_queries))
        for group, scores in groups.items()
    ]
    return Table(f"By {by}", ("mAP", "rank-1", "queries"), tuple(rows))


def _camera_section(folder: Path, headline: str, pairs: CameraPairs) -> Section:
    pictures: list[Block] = []
    for name, title, shares in (("rank-1", "rank-1", pairs.rank1), ("map", "mAP", pairs.map)):
        path = folder / f"camera-pairs-{name}.png"
        _save(plot_camera_pairs(pairs.cameras, shares, pairs.queries, title, pairs.line()), path)
        words = f"{title}, mean over pairs of different cameras: {100 * pairs.across(shares):.1f} %"
        pictures.append(_inlined(path, words, f"{title} by camera of query and match"))
    return Section("Scores by pair of cameras", (SideBySide(tuple(pictures)),), f"{headline}; {pairs.line()}.")


def _open_set_section(folder: Path, comparison: Comparison, table: Table) -> Section:
    headline, threshold = comparison.open_sets[comparison.headline], comparison.threshold
    curves = {name: one.curve() for name, one in comparison.open_sets.items() if name not in _NOT_DRAWN}
    marked = None
    if threshold is not None:
        at = threshold.similarity
        marked = headline.false_alarm_rate(at), headline.identification_rate(at)
    _save(plot_open_set(curves, headline.line(), marked), folder / "open-set.png", folder / "open-set.svg")
    chart = _inlined(folder / "open-set.png", "Open-set ROC curves", "identification rate over false-alarm rate")
    blocks: list[Block] = [table, chart]
    if threshold is not None and marked is not None:
        measured = (
            f"Measured here with {comparison.headline}: false-alarm rate {100 * marked[0]:.1f}\u00a0%, "
            f"identification rate {100 * marked[1]:.1f}\u00a0%."
        )
        line = threshold.line()
        blocks.append(Text((f"{line[:1].upper()}{line[1:]}.", measured)))
    lead = (
        "Half of the persons were removed from the gallery, so that no correct match exists for their queries "
        "(impostor queries)."
    )
    return Section("Open set", tuple(blocks), lead)


def _several_splits(comparison: SplitComparison) -> list[Section]:
    """Return means and deviations over the splits, and the scores of the headline by split."""
    scores_table, *open_set = comparison.tables()
    parts = {number: part.scores[comparison.headline] for number, part in comparison.parts.items()}
    by_split = Table(
        comparison.headline,
        tuple(MEASURES.values()),
        tuple(
            Row(f"split {number}", tuple(100 * scores.measures()[measure] for measure in MEASURES))
            for number, scores in parts.items()
        ),
        note=f"Percent; split {next(iter(parts))}: {next(iter(parts.values())).line()}; {TRAPEZOID}.",
    )
    mean = replace(scores_table, title="Mean ± standard deviation, percent")
    sections = [Section("Comparison of aggregators", (mean,)), Section("Scores by split", (by_split,))]
    if open_set:
        sections.append(Section("Open set", (*open_set,)))
    return sections
