"""What a study found: tables with seeds, spread and the published figures beside them, claims that held or not."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resight.checkpoints import replace_file
from resight.evaluation.metrics import Scores

Cell = tuple[float, ...]
"""One value for each training (seed), in the order of the seeds; empty where nothing was measured."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: of the method or setting.
        cells: one for each column.
        published: what the paper reports, one for each column, None where it does not; empty if for none.
    """

    name: str
    cells: tuple[Cell, ...]
    published: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class StudyTable:
    """One table.

    Attributes:
        title: what is measured, with its unit.
        head: of the first column.
        columns: of the others.
        rows: from top to bottom.
        digits: after the point.
    """

    title: str
    head: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    digits: int = 1

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def means(self, name: str) -> tuple[float, ...]:
        """Means over the seeds, of one row."""
        return tuple(statistics.fmean(cell) for cell in self.row(name).cells)

    def to_markdown(self) -> str:
        """With mean ± sample standard deviation where there are several seeds; published figures in italics below."""
        lines = [f"| {' | '.join((self.head, *self.columns))} |", "|---" * (1 + len(self.columns)) + "|"]
        for row in self.rows:
            lines.append(f"| {' | '.join((row.name, *(self.shown(cell) for cell in row.cells)))} |")
            if any(value is not None for value in row.published):
                values = ("" if value is None else f"*{value:.{self.digits}f}*" for value in row.published)
                lines.append(f"| {' | '.join((f'*{row.name}, the paper*', *values))} |")
        return "\n".join(lines)

    def shown(self, cell: Cell) -> str:
        """A cell in words: nothing, one value, or mean ± sample standard deviation."""
        if not cell:
            return ""
        mean = f"{statistics.fmean(cell):.{self.digits}f}"
        return mean if len(cell) == 1 else f"{mean} ± {statistics.stdev(cell):.{self.digits}f}"


def table_of_scores(rows: Mapping[str, Sequence[Sequence[Scores]]], rates: Sequence[int]) -> StudyTable:
    """mAP, rank-1 and mINP at some rates of damage, in percent.

    Args:
        rows: by name, for each seed, the scores at each rate.
        rates: M_c^max.
    """
    measures: dict[str, Callable[[Scores], float]] = {
        "mAP": lambda one: one.map, "rank-1": lambda one: one.rank(1), "mINP": lambda one: one.minp
    }  # fmt: skip
    columns = tuple(f"{measure}, M_c^max = {rate}" for rate in rates for measure in measures)
    return StudyTable(
        "percent", "", columns,
        tuple(
            Row(name, tuple(tuple(100 * value(seed[place]) for seed in seeds)
                            for place in range(len(rates)) for value in measures.values()))
            for name, seeds in rows.items()
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """Something that the paper, or we, say; and what was measured.

    Attributes:
        text: what is claimed.
        held: whether it is so here.
        measured: the numbers, in words.
    """

    text: str
    held: bool
    measured: str

    def line(self) -> str:
        """As one line."""
        return f"{'holds' if self.held else 'does not hold'}: {self.text} ({self.measured})"


@dataclass(frozen=True)
class Outcome:
    """All that one study gives but its figure.

    Attributes:
        name: of the study, such as ``table2``.
        title: what it asks.
        tables: of it.
        claims: that it tests.
        conditions: what the scores are worth: data, protocol, kind of AP, valid queries, frames, re-ranking.
        notes: what a reader must know.
        command: that makes it again.
        setting: ``small`` or ``full``.
        seeds: of the trainings.
        seconds: that its steps took when they were first done, by step.
        machine: where.
    """

    name: str
    title: str
    tables: tuple[StudyTable, ...]
    claims: tuple[Claim, ...] = ()
    conditions: str = ""
    notes: tuple[str, ...] = ()
    command: str = ""
    setting: str = "small"
    seeds: tuple[int, ...] = ()
    seconds: Mapping[str, float] | None = None
    machine: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values, every seed apart."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outcome:
        """What `to_json` gave, before or after it was JSON."""
        tables = tuple(
            StudyTable(
                one["title"], one["head"], tuple(one["columns"]),
                tuple(Row(r["name"], tuple(map(tuple, r["cells"])), tuple(r["published"])) for r in one["rows"]),
                one["digits"],
            )
            for one in values["tables"]
        )  # fmt: skip
        rest = {name: values[name] for name in ("name", "title", "conditions", "command", "setting", "machine")}
        return cls(
            **rest,
            tables=tables,
            claims=tuple(Claim(**one) for one in values["claims"]),
            notes=tuple(values["notes"]),
            seeds=tuple(values["seeds"]),
            seconds=values["seconds"],
        )

    def to_csv(self) -> str:
        """One line for each value of each seed, and for each published one."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("study", "table", "row", "column", "seed", "value"))
        for table in self.tables:
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    seeds: Sequence[int | str] = self.seeds if len(cell) == len(self.seeds) else range(len(cell))
                    for seed, value in zip(seeds, cell, strict=True):
                        writer.writerow((self.name, table.title, row.name, column, seed, repr(value)))
                for column, figure in zip(table.columns, row.published, strict=False):
                    if figure is not None:
                        writer.writerow((self.name, table.title, row.name, column, "paper", figure))
        return text.getvalue()

    def to_markdown(self) -> str:
        """The whole study, to be read."""
        lines = [f"## {self.title}", ""]
        for table in self.tables:
            lines += [f"**{table.title}**", ""] * bool(table.title) + [table.to_markdown(), ""]
        lines += [f"* {claim.line()}" for claim in self.claims]
        lines += [f"* {note}" for note in self.notes]
        many = f"mean ± standard deviation over {len(self.seeds)} trainings; " if len(self.seeds) > 1 else ""
        total = sum((self.seconds or {}).values())
        lines += ["", f"`{self.command}`: {self.setting} setting, seeds {', '.join(map(str, self.seeds))}; {many}"
                  f"{self.conditions}. Its steps took {total / 60:.1f} min on {self.machine}."]  # fmt: skip
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> list[Path]:
        """Write NAME.json, NAME.csv and NAME.md, each by way of a temporary name."""
        texts = {
            "json": json.dumps(self.to_json(), indent=1),
            "csv": self.to_csv(),
            "md": self.to_markdown(),
        }
        paths = []
        for suffix, text in texts.items():
            path = folder / f"{self.name}.{suffix}"
            with replace_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            paths.append(path)
        return paths
