"""What the doctor found: findings, and a report of them in words and as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resight.doctor.kinds import KINDS, Severity

SHOWN = 5
"""How many places of a finding are kept."""

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One kind of thing at some places.

    Attributes:
        kind: a name of `KINDS`.
        severity: ``error``, ``warning`` or ``note``.
        count: how often.
        expected: what should be there; ``""`` where nothing in particular was expected.
        found: what is there.
        places: the first few, at most `SHOWN`.
        remedy: what to do.
    """

    kind: str
    severity: Severity
    count: int
    expected: str
    found: str
    places: tuple[str, ...]
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind, "severity": self.severity, "count": self.count, "expected": self.expected,
            "found": self.found, "places": list(self.places), "remedy": self.remedy,
        }  # fmt: skip

    def to_text(self) -> str:
        """Three or four lines."""
        head = f"{self.severity}: {self.kind}" + (f" ({self.count:,})" if self.count > 1 else "")
        lines = [f"expected {self.expected}" if self.expected else "", f"found {self.found}"]
        said = [head, f"  {', '.join(line for line in lines if line)}"]
        if self.places:
            more = f" and {self.count - len(self.places):,} more" if self.count > len(self.places) else ""
            said.append(f"  where: {', '.join(self.places)}{more}")
        return "\n".join([*said, f"  do: {self.remedy}"])


class Findings:
    """Collects findings."""

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
        """Note a finding; `count` is the number of places unless given, and 0 notes nothing.

        Args:
            kind: a name of `KINDS`.
            found: what is there.
            expected: what should be.
            places: where; the first `SHOWN` are kept.
            count: how often; None: once a place, at least once.
            severity: None: the kind's.
            remedy: None: the kind's.
        """
        own = KINDS[kind]
        times = max(1, len(places)) if count is None else count
        if times:
            shown = tuple(printable(place) for place in places[:SHOWN])
            self._all.append(
                Finding(kind, severity or own.severity, times, expected, printable(found), shown, remedy or own.remedy)
            )

    def add_each(self, kind: str, places: Sequence[str], found: str, *, expected: str = "", **how: Any) -> None:
        """Note a finding if there is any place of it; as `add`."""
        if places:
            self.add(kind, found, expected=expected, places=places, **how)

    def add_finding(self, finding: Finding) -> None:
        """Take over a finding as it is."""
        self._all.append(finding)

    def has(self, *kinds: str) -> bool:
        """Whether something of these kinds was found."""
        return any(finding.kind in kinds for finding in self._all)

    def sorted(self) -> tuple[Finding, ...]:
        """Errors, then warnings, then notes, each in the order in which they turned up."""
        return tuple(finding for severity in _ORDER for finding in self._all if finding.severity == severity)


@dataclass(frozen=True)
class Report:
    """What was found, and how much was looked at.

    Attributes:
        name: as it was named.
        kind: ``mars`` and so on; ``cameras`` for what is to be ingested.
        findings: worst first.
        looked_at: what was looked at, in words → how many.
        statistics: of a data set that could be read, plain values.
    """

    name: str
    kind: str
    findings: tuple[Finding, ...]
    looked_at: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    def count(self, severity: Severity) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def status(self, strict: bool = False) -> int:
        """Exit status: 1 if there is an error, or with `strict` a warning; else 0."""
        return int(self.count("error") > 0 or (strict and self.count("warning") > 0))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": printable(self.name), "kind": self.kind,
            "errors": self.count("error"), "warnings": self.count("warning"), "notes": self.count("note"),
            "looked_at": dict(self.looked_at), "statistics": dict(self.statistics),
            "findings": [finding.to_json() for finding in self.findings],
        }  # fmt: skip

    def to_text(self) -> str:
        """For people: the findings, what the data set consists of, how much was looked at, and the verdict."""
        lines = [finding.to_text() for finding in self.findings]
        lines += role_lines(self.statistics.get("roles", {}))
        if self.looked_at:
            lines.append("looked at " + ", ".join(f"{number:,} {what}" for what, number in self.looked_at.items()))
        counts = [f"{n} {severity}{'s' * (n != 1)}" for severity in _ORDER if (n := self.count(severity))] or [
            "nothing to complain about"
        ]
        verdict = "not usable as it is" if self.count("error") else "usable"
        return "\n".join([*lines, f"{printable(self.name)}: {verdict}; {', '.join(counts)}"])


def role_lines(roles: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each role: tracklets, persons, cameras, frames."""
    return [f"{role}: " + ", ".join(f"{number:,} {what}" for what, number in of.items()) for role, of in roles.items()]


def printable(text: str) -> str:
    """A text that can be printed, whatever bytes a file's name is made of."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def several(items: Iterable[str], most: int = SHOWN) -> str:
    """The first few of some names, for use within a sentence."""
    names = list(items)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
