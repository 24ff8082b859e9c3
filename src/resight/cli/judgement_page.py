"""What an evaluation saves to be looked at: pictures, and a page with tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from resight.evaluation.camera_pairs import CameraPairs
from resight.evaluation.compare import Comparison
from resight.evaluation.metrics import Scores
from resight.evaluation.open_set import RATES
from resight.evaluation.splits import SplitComparison
from resight.explanation.blocks import Block, Cell, Curves, Facts, Picture, Row, Section, Table, Text
from resight.explanation.plots import plot_camera_pairs, plot_cmc, plot_open_set, save_figure
from resight.explanation.report import write_report
from resight.explanation.strips import data_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURES = ("map", "rank-1", "rank-5", "minp", "map_trapezoid")
_HEADINGS = ("mAP", "rank-1", "rank-5", "mINP", "mAP*")
_NOT_DRAWN = ("mean feature, no l2", *(f"top {share} %" for share in (10, 20, 30, 40, 60, 70, 80, 90)))
"""Rows of the table that would only crowd a chart."""

_RANKS = 20
"""Ranks of the CMC on the page."""


def write_judgement(folder: Path, found: Comparison | SplitComparison, dataset: str, model: Path) -> None:
    """Write report.html, and of a single split the pictures cmc, open-set and camera-pairs too.

    Args:
        folder: that gets them.
        found: of one split, or of several.
        dataset: as it was named.
        model: as it was named.
    """
    lead = [f"{model} on {dataset}. Judged by {found.protocol_line}.", *(f"Note: {note}." for note in found.notes)]
    sections = _write_one(folder, found) if isinstance(found, Comparison) else _of_splits(found)
    write_report(folder / "report.html", "How well persons are found again", lead, sections, kicker="An evaluation")


def _write_one(folder: Path, found: Comparison) -> list[Section]:
    """The pictures of one split as files, and the parts of its page."""
    shown = {name: one for name, one in found.scores.items() if name not in _NOT_DRAWN}
    figure = plot_cmc({name: one.cmc for name, one in shown.items()}, found.protocol_line)
    _save(figure, folder / "cmc.png", folder / "cmc.svg")
    cmc = Curves(
        "Queries with a match at this rank or better",
        {name: one.cmc[:_RANKS].tolist() for name, one in shown.items()},
        note=found.protocol_line,
    )
    sections = [
        Section(found.headline.capitalize(), (_facts(found),), f"{found.scores[found.headline].line()}."),
        Section("Every way", (_scores_table(found), cmc)),
    ]
    if found.auroc:
        sections.append(Section("Does low importance point at damage?", (_auroc_table(found),)))
    if found.slices:
        tables = [_slice_table(by, groups) for by, groups in found.slices.items()]
        rows = tuple(Row(tuple(tables[start : start + 2])) for start in range(0, len(tables), 2))
        note = f"{found.headline}, percent; {found.scores[found.headline].line()}."
        sections.append(Section("Which queries are hard", rows, note))
    if found.camera_pairs is not None:
        sections.append(_camera_section(folder, found.headline, found.camera_pairs))
    if found.open_sets:
        sections.append(_open_set_section(folder, found))
    return sections


def _save(figure: Figure, *paths: Path) -> None:
    for path in paths:
        save_figure(figure, path)


def _inlined(path: Path, title: str, alt: str) -> Picture:
    """A saved PNG as part of the page."""
    return Picture(title, data_uri(path.read_bytes(), "image/png"), alt)


def _facts(found: Comparison) -> Facts:
    one, intervals = found.scores[found.headline], found.intervals[found.headline]

    def known(measure: str, name: str) -> tuple[str, str]:
        value, low, high = (100 * end for end in intervals[measure])
        return f"{value:.1f} %", f"{name}, likely {low:.1f} … {high:.1f}"

    asked = (f"{one.valid_queries}", f"of {one.queries} queries have a match")
    return Facts((known("map", "mAP"), known("rank-1", "rank-1"), asked, (f"{one.gallery}", "tracklets searched")))


def _scores_table(found: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, one in found.scores.items():
        values, interval = one.measures(), found.intervals[name]["map"]
        first, *rest = (100 * values[measure] for measure in _MEASURES)
        rows.append((name, first, f"{100 * interval.low:.1f} … {100 * interval.high:.1f}", *rest))
    note = f"Percent. {found.protocol_line}; * AP of the official MARS code; {found.interval_line}."
    return Table("Scores", ("", _HEADINGS[0], "95 % interval", *_HEADINGS[1:]), tuple(rows), note, best=(1, 3, 4, 5, 6))


def _auroc_table(found: Comparison) -> Table:
    rows = tuple((fault.replace("_", " "), one.auroc, one.damaged) for fault, one in found.auroc.items())
    note = "The chance that a damaged query clip has less importance than a clean one: 1 always, 0.5 by chance."
    return Table("", ("fault", "AUROC", "clips"), rows, note, digits=3)


def _slice_table(by: str, groups: Mapping[str, Scores]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group, one in groups.items():
        means: list[Cell] = [None, None]
        if one.valid_queries:
            means = [100 * one.map, 100 * one.rank(1)]
        rows.append((group.replace("_", " "), *means, one.valid_queries))
    return Table(f"By {by}", ("", "mAP", "rank-1", "queries"), tuple(rows))


def _camera_section(folder: Path, headline: str, pairs: CameraPairs) -> Section:
    pictures: list[Block] = []
    for name, title, shares in (("rank-1", "rank-1", pairs.rank1), ("map", "mAP", pairs.map)):
        figure = plot_camera_pairs(pairs.cameras, shares, pairs.queries, title, pairs.line())
        path = folder / f"camera-pairs-{name}.png"
        _save(figure, path)
        words = f"{title} across cameras: {100 * pairs.across(shares):.1f} on average"
        pictures.append(_inlined(path, words, f"{title} by camera of query and match"))
    lead = f"{headline}: found again under one camera after being seen by another; {pairs.line()}."
    return Section("From camera to camera", (Row(tuple(pictures)),), lead)


def _open_set_section(folder: Path, found: Comparison) -> Section:
    headline = found.open_sets[found.headline]
    shown = {name: one.curve() for name, one in found.open_sets.items() if name not in _NOT_DRAWN}
    marked = None
    if found.threshold is not None:
        at = found.threshold.similarity
        marked = headline.false_alarm_rate(at), headline.identification_rate(at)
    figure = plot_open_set(shown, headline.line(), marked)
    _save(figure, folder / "open-set.png", folder / "open-set.svg")
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            *(100 * value for value in list(one.measures().values())[: len(RATES) + 1]),
            f"{one.detection_auroc():.3f}",
        )
        for name, one in found.open_sets.items()
    ]
    headings = ("", *(f"at {100 * rate:g} %" for rate in RATES), "without", "AUROC")
    table = Table(
        "Identified at rank 1, by share of strangers answered", headings, tuple(rows), f"Percent. {headline.line()}.",
        best=(2, 3),
    )  # fmt: skip
    blocks: list[Block] = [
        Row((table, _inlined(folder / "open-set.png", "At every threshold", "identification over false alarms")))
    ]
    if found.threshold is not None and marked is not None:
        got = f"Measured here: {100 * marked[0]:.1f} % answered, and {100 * marked[1]:.1f} % of the others identified."
        blocks.append(Text((f"{found.headline}: {found.threshold.line()}.", got)))
    lead = "Half of the persons asked for were taken out of the gallery: a right answer to them is none."
    return Section("Somebody who is not there", tuple(blocks), lead)


def _of_splits(found: SplitComparison) -> list[Section]:
    """Means and deviations, then the headline split by split."""
    rows: list[tuple[Cell, ...]] = []
    for name, scores in found.scores.items():
        mean, std = scores.mean(), scores.std()
        rows.append((name, *((100 * mean[one], 100 * std[one]) for one in _MEASURES)))
    note = f"Percent. {found.protocol_line}; * AP of the official MARS code."
    table = Table("Mean ± standard deviation", ("", *_HEADINGS), tuple(rows), note, best=(1, 2, 3, 4, 5))
    each: tuple[tuple[Cell, ...], ...] = tuple(
        (f"split {number}", *(100 * part.scores[found.headline].measures()[one] for one in _MEASURES))
        for number, part in found.parts.items()
    )
    own = next(iter(found.parts.values())).scores[found.headline].line()
    by_split = Table(found.headline, ("", *_HEADINGS), each, f"Percent; the first split: {own}.")
    sections = [Section("Every way", (table,)), Section("Dataset by split", (by_split,))]
    if open_sets := found.open_sets():
        cells: tuple[tuple[Cell, ...], ...] = tuple(
            (name, *((100 * mean[one], 100 * std[one]) for one in list(mean)[:-1]))
            for name, (mean, std) in open_sets.items()
        )
        headings = ("", *(f"at {100 * rate:g} %" for rate in RATES), "without")
        title = "Identified at rank 1, by share of strangers answered"
        sections.append(
            Section("Somebody who is not there", (Table(title, headings, cells, f"Percent. {found.open_set_line}."),))
        )
    return sections
