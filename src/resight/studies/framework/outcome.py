"""Results of a study: tables with one value per seed and the published figures, and the claims that were tested."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resight.evaluation.metrics import Scores
from resight.outputs import replace_file
from resight.tables import Cell, Row, Table

MEASURES: Mapping[str, Callable[[Scores], float]] = {
    "mAP": lambda scores: 100 * scores.map,
    "rank-1": lambda scores: 100 * scores.rank(1),
    "mINP": lambda scores: 100 * scores.minp,
}
"""Measures by name, in percent."""


class TableBuilder:
    """Collect the values of a table, one row and one seed at a time."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, ...]]] = {}

    def add(self, row: str, values: Sequence[float]) -> None:
        """Append the values of one seed to a row, one per column; the first call with a name creates the row."""
        self._rows.setdefault(row, []).append(tuple(map(float, values)))

    def table(
        self, title: str, columns: Sequence[str], head: str = "", *, digits: int = 1,
        published: Mapping[str, tuple[float | None, ...]] | None = None,
    ) -> Table:  # fmt: skip
        """Return the table.

        Args:
            title: What is measured, with its unit.
            columns: Headings of the value columns.
            head: Heading of the first column.
            digits: Decimal places.
            published: Row name to published figures, one per column.
        """
        published = published or {}
        rows = tuple(
            Row(name, tuple(zip(*seeds, strict=True)), published.get(name, ())) for name, seeds in self._rows.items()
        )
        return Table(title, tuple(columns), rows, head, digits=digits)


def table_of_scores(scores: Mapping[str, Sequence[Sequence[Scores]]], rates: Sequence[int]) -> Table:
    """Return a table of mAP, rank-1 and mINP at several corruption rates, in percent.

    Args:
        scores: Row name to the scores of each seed, one per rate.
        rates: Values of M_c^max.
    """
    builder = TableBuilder()
    for name, seeds in scores.items():
        for by_rate in seeds:
            builder.add(name, [measure(one) for one in by_rate for measure in MEASURES.values()])
    return builder.table("percent", [f"{measure}, M_c^max = {rate}" for rate in rates for measure in MEASURES])


def values_of(cell: Cell) -> tuple[float, ...]:
    """Return the values of a cell, one per seed; empty if it holds text or nothing."""
    if isinstance(cell, tuple):
        return cell
    return () if cell is None or isinstance(cell, str) else (float(cell),)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper or of this project, and the measurement that tests it.

    Attributes:
        text: The claim.
        held: Whether the measurement supports it.
        measured: The measured values.
    """

    text: str
    held: bool
    measured: str

    def line(self) -> str:
        """Return the claim, its result and the measured values as one line."""
        return f"{'holds' if self.held else 'does not hold'}: {self.text} ({self.measured})"


@dataclass(frozen=True)
class Outcome:
    """The result of one study, without its figures.

    Attributes:
        name: Name of the study, such as ``table2``.
        title: Heading of the study.
        tables: The measured values.
        claims: The tested claims.
        conditions: Data set, protocol, kind of AP, number of valid queries, frames and re-ranking.
        notes: Remarks needed to read the tables.
        command: Command that repeats the study.
        setting: Name of the setting, such as ``small``.
        seeds: Seeds of the training runs.
        seconds: Duration of each step when it was first done.
        machine: Where the study ran.
    """

    name: str
    title: str
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...] = ()
    conditions: str = ""
    notes: tuple[str, ...] = ()
    command: str = ""
    setting: str = "small"
    seeds: tuple[int, ...] = ()
    seconds: Mapping[str, float] | None = None
    machine: str = ""

    @property
    def minutes(self) -> float:
        """Return the total duration of the steps in minutes."""
        return sum((self.seconds or {}).values()) / 60

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values, with the values of each seed."""
        return asdict(self) | {"tables": [table.to_json() for table in self.tables]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outcome:
        """Return the outcome described by the output of `to_json`, also after a round trip through JSON."""
        plain = {name: values[name] for name in ("name", "title", "conditions", "command", "setting", "machine")}
        return cls(
            **plain,
            tables=tuple(map(Table.from_json, values["tables"])),
            claims=tuple(Claim(**claim) for claim in values["claims"]),
            notes=tuple(values["notes"]),
            seeds=tuple(values["seeds"]),
            seconds=values["seconds"],
        )

    def to_csv(self) -> str:
        """Return CSV text with one line per measured value and seed, and one per published figure."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("study", "table", "row", "column", "seed", "value"))
        for table in self.tables:
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    values = values_of(cell)
                    seeds: Sequence[int | str] = self.seeds if len(values) == len(self.seeds) else range(len(values))
                    for seed, value in zip(seeds, values, strict=True):
                        writer.writerow((self.name, table.title, row.name, column, seed, repr(value)))
                for column, figure in zip(table.columns, row.published, strict=False):
                    if figure is not None:
                        writer.writerow((self.name, table.title, row.name, column, "paper", figure))
        return text.getvalue()

    def to_markdown(self) -> str:
        """Return the whole study as Markdown."""
        lines = [f"## {self.title}", ""]
        for table in self.tables:
            lines += [f"**{table.title}**", ""] * bool(table.title) + [table.to_markdown(), ""]
        lines += [f"* {claim.line()}" for claim in self.claims]
        lines += [f"* {note}" for note in self.notes]
        many = f"mean ± standard deviation over {len(self.seeds)} seeds; " if len(self.seeds) > 1 else ""
        lines += ["", f"`{self.command}`: {self.setting} setting, seeds {', '.join(map(str, self.seeds))}; {many}"
                  f"{self.conditions}. Total time of the steps: {self.minutes:.1f} min on {self.machine}."]  # fmt: skip
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> list[Path]:
        """Write NAME.json, NAME.csv and NAME.md to a folder, replacing each file atomically, and return their paths."""
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
