"""What a page is made of: a handful of parts, each with one macro of the same name in ``templates/blocks.html``.

A part holds values and pictures, never HTML; the templates escape every string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from resight.errors import ShapeError
from resight.explanation.films import ClipPairs, ClipShares, Matrix, Sheet, Strips, Verdict

Cell: TypeAlias = "str | int | float | tuple[float, float] | None"
"""Of a table: text, a number, (mean, spread), or None where nothing was measured."""


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    kind: ClassVar[str] = "text"
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """A few large numbers in a row.

    Attributes:
        items: (number as written, what it is).
    """

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers.

    Attributes:
        title: above the table.
        columns: headings; the first column names the rows.
        rows: cells, one for each column.
        note: below the table: protocol, kind of AP, number of valid queries.
        groups: headings over several columns, (text, how many), together covering all columns.
        digits: after the decimal point.
        best: positions of columns whose highest number is set in bold.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    groups: tuple[tuple[str, int], ...] = ()
    digits: int = 1
    best: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ShapeError(f"table {self.title!r}: a row has {len(row)} cells for {len(self.columns)} columns")
        if self.groups and sum(span for _, span in self.groups) != len(self.columns):
            raise ShapeError(f"table {self.title!r}: the groups do not cover its {len(self.columns)} columns")

    def written(self, cell: Cell) -> str:
        """A cell as it is read."""
        if cell is None:
            return "–"
        if isinstance(cell, tuple):
            return f"{cell[0]:.{self.digits}f} ± {cell[1]:.{self.digits}f}"
        return f"{cell:.{self.digits}f}" if isinstance(cell, float) else str(cell)

    def alignment(self, column: int) -> str:
        """``words`` if a column holds text alone, which is set flush left, else ``number``."""
        return "words" if all(isinstance(row[column], str) for row in self.rows) else "number"

    def is_best(self, cell: Cell, column: int) -> bool:
        """Whether a cell holds the highest number of a column that has a best."""
        own = _number(cell)
        others = [n for n in (_number(row[column]) for row in self.rows) if n is not None]
        return column in self.best and own is not None and len(others) > 1 and own == max(others)


@dataclass(frozen=True)
class Curves:
    """A line chart, drawn in the page itself.

    Attributes:
        title: above the chart.
        curves: name to values at 1, 2, 3, … in parts of one.
        x_label: below.
        note: below the chart: protocol and number of valid queries.
    """

    kind: ClassVar[str] = "curves"
    title: str
    curves: Mapping[str, Sequence[float]]
    x_label: str = "rank"
    note: str = ""

    @property
    def floor(self) -> float:
        """Where the vertical axis starts: the lowest value, rounded down to a tenth, at most 0.9."""
        lowest = min(min(v) for v in self.curves.values())
        return min(0.9, float(np.floor(lowest * 10 + 1e-9)) / 10)

    @property
    def longest(self) -> int:
        """Number of points of the longest curve."""
        return max(len(v) for v in self.curves.values())

    def path(self, name: str, width: float, height: float) -> str:
        """The points of one curve for an SVG ``polyline`` of that size."""
        step = width / max(self.longest - 1, 1)
        scale = height / (1 - self.floor)
        return " ".join(f"{i * step:.1f},{(1 - v) * scale:.1f}" for i, v in enumerate(self.curves[name]))

    @property
    def y_ticks(self) -> list[float]:
        """Values on the vertical axis that get a line."""
        step = 0.2 if self.floor < 0.5 else 0.1 if self.floor < 0.9 else 0.05
        return [round(float(v), 2) for v in np.arange(1, self.floor - 1e-9, -step)]

    @property
    def x_ticks(self) -> list[int]:
        """Positions on the horizontal axis that get a number, counted from 1."""
        return [n for n in (1, 5, 10, 20, 30, 40, 50, 100) if n <= self.longest]


@dataclass(frozen=True)
class Picture:
    """A picture, inlined.

    Attributes:
        title: above it.
        uri: ``data:`` address that holds the picture.
        alt: what it shows, for who cannot see it.
        note: below it.
    """

    kind: ClassVar[str] = "picture"
    title: str
    uri: str
    alt: str
    note: str = ""

    def __post_init__(self) -> None:
        if not self.uri.startswith("data:image/"):
            raise ShapeError(f"picture {self.title!r}: expected a data:image/ address, found {self.uri[:40]!r}")


@dataclass(frozen=True, eq=False)
class Row:
    """Parts side by side where there is room, below each other where there is not."""

    kind: ClassVar[str] = "row"
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Commands:
    """Commands to copy, one a line, exactly as they were run."""

    kind: ClassVar[str] = "commands"
    title: str
    lines: tuple[str, ...]


Block: TypeAlias = (
    "Text | Facts | Table | Curves | Picture | Strips | ClipPairs | ClipShares | Matrix | Row | Sheet | Commands"
)


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with what stands below it."""

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True, eq=False)
class Page:
    """A whole page.

    Attributes:
        title: what it is about.
        lead: what a hurried reader must know, one paragraph or several.
        sections: the rest.
        kicker: a quiet line above the title.
        similarity: set large beside the lead, on a page about one match.
        verdict: of that match.
        evidence: plain values for scripts, embedded as JSON.
    """

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    kicker: str = ""
    similarity: float | None = None
    verdict: Verdict = "unknown"
    evidence: Mapping[str, object] = field(default_factory=dict)


def _number(cell: Cell) -> float | None:
    value = cell[0] if isinstance(cell, tuple) else cell
    return None if value is None or isinstance(value, str) else float(value)
