"""Compare two saved evaluations query by query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.evaluation.compare import load_run
from resight.evaluation.confidence import RunComparison, compare_runs
from resight.evaluation.metrics import Scores


@dataclass(frozen=True, eq=False)
class SavedComparison:
    """Two evaluations of the same queries, and their paired comparison.

    Attributes:
        paths: The two evaluations.
        scores: Their scores.
        result: The paired comparison.
    """

    paths: tuple[Path, Path]
    scores: tuple[Scores, Scores]
    result: RunComparison

    @property
    def differences(self) -> tuple[str, ...]:
        """Conditions in which the two evaluations differ, one sentence each."""
        a, b = self.scores
        pairs = (("frames", a.frames, b.frames), ("re-ranking", a.reranking, b.reranking))
        return tuple(f"the evaluations differ in {name}: {first} and {second}" for name, first, second in pairs
                     if first != second)  # fmt: skip

    def to_text(self) -> str:
        """Return conditions, differences with intervals, and conclusions as text."""
        lines = [f"{name}  {path}: {scores.line()}"
                 for name, path, scores in zip("AB", self.paths, self.scores, strict=True)]  # fmt: skip
        lines += [*self.differences, "", self.result.to_text(), "", *self.result.in_words()]
        if self.scores[0].persons is None:
            lines.append(
                "the files do not name the persons of the queries, so queries are resampled instead of persons: the "
                "intervals are somewhat too narrow"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        first, second = (
            {"path": str(path), **scores.to_json()} for path, scores in zip(self.paths, self.scores, strict=True)
        )
        return {"first": first, "second": second, "differ_in": list(self.differences), **self.result.to_json()}


def compare(first: Path, second: Path, method: str | None = None) -> SavedComparison:
    """Compare two saved evaluations query by query.

    Args:
        first: A folder that `resight evaluate --out` wrote, or one ``queries-....json`` in it.
        second: The other evaluation, of the same queries by the same protocol.
        method: For folders, a row of the table; None is the last row, the trained model.

    Raises:
        ProtocolError: If an evaluation cannot be read, or the two do not have the same queries and protocol.
    """
    a, b = (load_run(path, method) for path in (first, second))
    return SavedComparison((first, second), (a, b), compare_runs(a, b, groups=a.persons))
