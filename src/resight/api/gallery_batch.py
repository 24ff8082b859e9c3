"""Search a gallery for many persons, and write the answers as a table."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.api.gallery_answers import GalleryAnswers
from resight.errors import DatasetError, GalleryError, OutputError
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.words import counted

COLUMNS = (
    "query", "rank", "id", "similarity", "probability", "identity", "camera", "start", "end", "source", "person",
    "frames", "quality", "added", "effects", "error",
)  # fmt: skip
"""Columns of the table: one line per answer, or one with `error` for a query that cannot be searched for. `effects` is
what rules and re-ranking did, in words. Answers of only a part of the shards have an `error`, too."""


@dataclass(frozen=True)
class BatchSummary:
    """What a batch search did.

    Attributes:
        queries: Number of queries.
        answers: Number of answers.
        failed: Query and reason of those that could not be searched for, or not in all shards.
    """

    queries: int
    answers: int
    failed: tuple[tuple[str, str], ...]

    def to_text(self) -> str:
        """Return the result as lines of text."""
        lines = [f"{counted(self.queries, 'queries')}, {self.answers:,} answers"]
        return "\n".join([*lines, *(f"not searched for: {query}: {reason}" for query, reason in self.failed)])

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"queries": self.queries, "answers": self.answers, "failed": [list(pair) for pair in self.failed]}


def read_queries(path: Path) -> list[list[str]]:
    """Return the queries in a text file: one per line, several references of one person separated by tabs.

    Args:
        path: The file; ``-`` is standard input.

    Raises:
        DatasetError: If it cannot be read, or has no query.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the queries in {path}: {error}; expected a text file") from error
    queries = [line.split("\t") for line in text.splitlines() if line.strip()]
    if not queries:
        raise DatasetError(f"{path} has no query: expected one id or path per line")
    return [[part.strip() for part in query if part.strip()] for query in queries]


def search_many(
    search: Callable[[Any], GalleryAnswers], queries: Sequence[Any], out: Path, *, progress: bool = False
) -> BatchSummary:
    """Search for each query and write all answers, see `Gallery.search_many`.

    Args:
        search: Returns the answers to a query.
        queries: The queries.
        out: File to write, .csv or .jsonl.
        progress: Whether to show a progress bar.

    Raises:
        OutputError: If the file has another suffix, or cannot be written.
    """
    if out.suffix.lower() not in (".csv", ".jsonl"):
        raise OutputError(f"cannot write {out}: expected a name that ends in .csv or .jsonl")
    answers, failed = 0, []
    with (
        replace_file(out) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
        progress_bar("searching", "queries", progress) as report,
    ):
        table = csv.DictWriter(file, COLUMNS) if out.suffix.lower() == ".csv" else None
        if table is not None:
            table.writeheader()
        for number, query in enumerate(queries, start=1):
            name = ", ".join(map(str, query)) if isinstance(query, (list, tuple)) else str(query)
            try:
                found = search(query)
                rows = list(_rows(name, found))
            except (GalleryError, DatasetError) as error:
                failed.append((name, str(error)))
                rows = [{"query": name, "error": str(error)}]
            else:
                answers += len(rows)
                if found.incomplete:
                    failed.append((name, found.incomplete))
            _write(file, table, rows)
            report(number, len(queries))
    return BatchSummary(len(queries), answers, tuple(failed))


def _rows(query: str, answers: GalleryAnswers) -> Iterator[dict[str, Any]]:
    for answer in answers:
        values = answer.to_json() | {"effects": "; ".join(effect.text for effect in answer.effects)}
        row = {"query": query, **{name: values[name] for name in COLUMNS if name in values}}
        yield row | {"error": answers.incomplete} if answers.incomplete else row


def _write(file: Any, table: csv.DictWriter[str] | None, rows: Iterable[dict[str, Any]]) -> None:
    if table is not None:
        table.writerows(rows)
    else:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
