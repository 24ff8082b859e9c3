"""Findings of the doctor, and a report of them as text and as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resight.doctor.kinds import KINDS, Severity
from resight.words import counted, in_number

SHOWN = 5
"""Number of places that a finding keeps."""

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one or more places.

    Attributes:
        kind: A name in `KINDS`.
        severity: ``error``, ``warning`` or ``note``.
        count: Number of occurrences.
        expected: What should be there; ``""`` if nothing particular was expected.
        found: What is there.
        places: The first places, at most `SHOWN`.
        remedy: What to do.
    """

    kind: str
    severity: Severity
    count: int
    expected: str
    found: str
    places: tuple[str, ...]
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {
            "kind": self.kind, "severity": self.severity, "count": self.count, "expected": self.expected,
            "found": self.found, "places": list(self.places), "remedy": self.remedy,
        }  # fmt: skip

    def to_text(self) -> str:
        """Return the finding as three or four lines."""
        title = f"{self.severity}: {self.kind}" + (f" ({self.count:,})" if self.count > 1 else "")
        facts = [f"expected {self.expected}" if self.expected else "", f"found {self.found}"]
        lines = [title, f"  {', '.join(fact for fact in facts if fact)}"]
        if self.places:
            more = f" and {self.count - len(self.places):,} more" if self.count > len(self.places) else ""
            lines.append(f"  where: {', '.join(self.places)}{more}")
        return "\n".join([*lines, f"  do: {self.remedy}"])


class Findings:
    """A collection of findings."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def add(
        self,
        kind: str,
        found: str,
        *,
        expected: str = "",
        places: Sequence[str] = (),
        count: int | None = None,
        severity: Severity | None = None,
        remedy: str | None = None,
    ) -> None:
        """Add a finding, unless `count` is 0.

        Args:
            kind: A name in `KINDS`.
            found: What is there.
            expected: What should be there.
            places: Where; the first `SHOWN` are kept.
            count: Number of occurrences; None: the number of places, at least 1.
            severity: None: the kind's.
            remedy: None: the kind's.
        """
        defaults = KINDS[kind]
        number = max(1, len(places)) if count is None else count
        if number:
            shown = tuple(printable(place) for place in places[:SHOWN])
            severity, remedy = severity or defaults.severity, remedy or defaults.remedy
            self._all.append(Finding(kind, severity, number, expected, in_number(printable(found)), shown, remedy))

    def add_each(self, kind: str, places: Sequence[str], found: str, *, expected: str = "", **how: Any) -> None:
        """Add a finding as `add` does, if there is at least one place."""
        if places:
            self.add(kind, found, expected=expected, places=places, **how)

    def add_finding(self, finding: Finding) -> None:
        """Add an existing finding."""
        self._all.append(finding)

    def has(self, *kinds: str) -> bool:
        """Return whether there is a finding of one of these kinds."""
        return any(finding.kind in kinds for finding in self._all)

    def sorted(self) -> tuple[Finding, ...]:
        """Return errors, then warnings, then notes, each in the order in which they were added."""
        return tuple(finding for severity in _ORDER for finding in self._all if finding.severity == severity)


@dataclass(frozen=True)
class Report:
    """Findings, and how much was examined.

    Attributes:
        name: Name that was examined.
        kind: Kind of data set, such as ``mars``; ``cameras`` for the input of `resight ingest`.
        findings: Most severe first.
        looked_at: What was examined → how many.
        statistics: Plain values for a data set that could be read, else empty.
    """

    name: str
    kind: str
    findings: tuple[Finding, ...]
    looked_at: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def status(self, strict: bool = False) -> int:
        """Return the exit status: 1 if there is an error or, if `strict`, a warning; else 0."""
        return int(self.count("error") > 0 or (strict and self.count("warning") > 0))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "name": printable(self.name), "kind": self.kind,
            "errors": self.count("error"), "warnings": self.count("warning"), "notes": self.count("note"),
            "looked_at": dict(self.looked_at), "statistics": dict(self.statistics),
            "findings": [finding.to_json() for finding in self.findings],
        }  # fmt: skip

    def to_text(self) -> str:
        """Return the report as text: findings, content of the data set, how much was examined, conclusion."""
        lines = [finding.to_text() for finding in self.findings]
        lines += role_lines(self.statistics.get("roles", {}))
        if self.looked_at:
            lines.append("examined " + ", ".join(counted(number, what) for what, number in self.looked_at.items()))
        counts = [f"{n} {severity}{'s' * (n != 1)}" for severity in _ORDER if (n := self.count(severity))]
        verdict = "not usable without changes" if self.count("error") else "usable"
        return "\n".join([*lines, f"{printable(self.name)}: {verdict}; {', '.join(counts) or 'no findings'}"])


def role_lines(roles: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one line for each role: tracklets, persons, cameras, frames."""
    return [
        f"{role}: " + ", ".join(counted(number, what) for what, number in counts.items())
        for role, counts in roles.items()
    ]


def printable(text: str) -> str:
    """Return a text that can be printed, even if it contains bytes of a file name that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def several(items: Iterable[str], most: int = SHOWN) -> str:
    """Return the first few of some names, for use within a sentence."""
    names = list(items)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
