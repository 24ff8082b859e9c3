"""Tables of results: the one table type of evaluations, studies, model cards and pages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from resight.errors import ShapeError

Cell: TypeAlias = "str | int | float | tuple[float, ...] | None"
"""Content of a cell: text, a number, one number per repetition (seed or split), or None if nothing was measured."""

MISSING = "–"
"""Text of a cell without a value."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: Method, setting or group, shown in the first column.
        cells: One cell per column.
        published: Published figures, one per column, None where there is none; empty if the row has none at all.
    """

    name: str
    cells: tuple[Cell, ...]
    published: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with named rows and columns.

    Attributes:
        title: What is measured, with its unit.
        columns: Headings of the value columns.
        rows: Rows from top to bottom.
        head: Heading of the first column, which holds the names of the rows.
        note: Text below the table, such as the protocol and the number of valid queries.
        digits: Decimal places of numbers that are not integers.
        groups: Headings above several columns as (text, number of columns), covering all columns; may be empty.
        best: Indices of the columns whose highest number is highlighted.

    Raises:
        ShapeError: If a row does not have one cell per column, or the groups do not cover the columns.

    >>> print(Table("mAP in percent", ("clean", "damaged"), (Row("mean", ((61.0, 63.0), 40.25)),), "method").to_text())
    mAP in percent
    method       clean  damaged
    mean    62.0 ± 1.4     40.2
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    head: str = ""
    note: str = ""
    digits: int = 1
    groups: tuple[tuple[str, int], ...] = ()
    best: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            for what, number in (("cells", len(row.cells)), ("published figures", len(row.published))):
                if number != len(self.columns) and (what == "cells" or number):
                    raise ShapeError(
                        f"table {self.title!r}: row {row.name!r} has {number} {what}, expected one for each of the "
                        f"{len(self.columns)} columns"
                    )
        if self.groups and sum(span for _, span in self.groups) != len(self.columns):
            raise ShapeError(
                f"table {self.title!r}: the groups cover {sum(span for _, span in self.groups)} columns, expected "
                f"{len(self.columns)}"
            )

    def row(self, name: str) -> Row:
        """Return the row with this name.

        Raises:
            ShapeError: If there is no such row.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ShapeError(
            f"table {self.title!r} has no row {name!r}; its rows are {', '.join(row.name for row in self.rows)}"
        )

    def means(self, name: str) -> tuple[float, ...]:
        """Return the mean over the repetitions for each column of a row; NaN for cells without a number."""
        return tuple(math.nan if value is None else value for value in map(mean_of, self.row(name).cells))

    def shown(self, cell: Cell) -> str:
        """Return the text of a cell: mean ± sample standard deviation if it holds several repetitions."""
        if cell is None or cell == ():
            return MISSING
        if isinstance(cell, tuple):
            mean = self.shown(statistics.fmean(cell))
            return mean if len(cell) == 1 else f"{mean} ± {statistics.stdev(cell):.{self.digits}f}"
        if isinstance(cell, float):
            return MISSING if math.isnan(cell) else f"{cell:.{self.digits}f}"
        return str(cell)

    def alignment(self, column: int) -> Literal["words", "number"]:
        """Return ``words`` if a column holds only text, which is aligned left, else ``number``, aligned right."""
        return "words" if all(isinstance(row.cells[column], str) for row in self.rows) else "number"

    def is_best(self, cell: Cell, column: int) -> bool:
        """Return whether a cell has the highest mean of a column in `best` that holds two numbers or more."""
        value = mean_of(cell)
        values = [mean for row in self.rows if (mean := mean_of(row.cells[column])) is not None]
        return column in self.best and value is not None and len(values) > 1 and value == max(values)

    def to_text(self) -> str:
        """Return the table as plain text with aligned columns, the title above and the note below."""
        lines = [(self.head, *self.columns)]
        for row in self.rows:
            lines.append((row.name, *(self.shown(cell) for cell in row.cells)))
            if self._has_published(row):
                lines.append((f"{row.name}, the paper", *(self.shown(value) for value in row.published)))
        widths = [max(len(line[place]) for line in lines) for place in range(1 + len(self.columns))]
        left = [True, *(self.alignment(column) == "words" for column in range(len(self.columns)))]
        text = [
            "  ".join(
                cell.ljust(width) if flush else cell.rjust(width)
                for cell, width, flush in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*([self.title] if self.title else []), *text, *([self.note] if self.note else [])])

    def to_markdown(self) -> str:
        """Return the table as Markdown, without title and note; published figures are in italics below their row."""
        lines = [_markdown_line(self.head, self.columns), "|---" * (1 + len(self.columns)) + "|"]
        for row in self.rows:
            lines.append(
                _markdown_line(row.name, ["" if cell in (None, ()) else self.shown(cell) for cell in row.cells])
            )
            if self._has_published(row):
                values = ["" if value is None else f"*{self.shown(float(value))}*" for value in row.published]
                lines.append(_markdown_line(f"*{row.name}, the paper*", values))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain values for `json.dumps`; note, groups and best only where they are set."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value or name not in ("note", "groups", "best")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Table:
        """Return the table that `to_json` described; lists of numbers become repetitions."""
        rows = tuple(
            Row(
                row["name"],
                tuple(tuple(cell) if isinstance(cell, list) else cell for cell in row["cells"]),
                tuple(row["published"]),
            )
            for row in values["rows"]
        )
        return cls(
            title=values["title"],
            columns=tuple(values["columns"]),
            rows=rows,
            head=values["head"],
            note=values.get("note", ""),
            digits=values["digits"],
            groups=tuple((text, span) for text, span in values.get("groups", ())),
            best=tuple(values.get("best", ())),
        )

    def _has_published(self, row: Row) -> bool:
        return any(value is not None for value in row.published)


def mean_of(cell: Cell) -> float | None:
    """Return the number in a cell, averaged over its repetitions; None if it holds text or nothing.

    >>> mean_of((1.0, 2.0)), mean_of(3), mean_of("x"), mean_of(())
    (1.5, 3.0, None, None)
    """
    if isinstance(cell, tuple):
        return statistics.fmean(cell) if cell else None
    return None if cell is None or isinstance(cell, str) else float(cell)


def _markdown_line(name: str, cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join((name, *cells))} |"
