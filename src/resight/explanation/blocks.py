"""The parts of a page. Each type, and `resight.tables.Table`, has a macro of its name in ``templates/blocks.html``.

Parts hold values and images, never HTML. The templates escape all strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from resight.errors import ShapeError
from resight.explanation.films import ClipPairs, ClipShares, Matrix, Sheet, Strips, Verdict
from resight.tables import Table


@dataclass(frozen=True)
class Text:
    """Paragraphs of text."""

    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """A few key figures in large type.

    Attributes:
        items: (Formatted number, caption).
    """

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Curves:
    """A line chart, drawn as inline SVG.

    Attributes:
        title: Heading of the chart.
        curves: Name to values at 1, 2, 3, …, each in 0 … 1.
        x_label: Label of the horizontal axis.
        note: Text below the chart: protocol and number of valid queries.
    """

    title: str
    curves: Mapping[str, Sequence[float]]
    x_label: str = "rank"
    note: str = ""

    @property
    def floor(self) -> float:
        """Lower end of the vertical axis: the lowest value, rounded down to a tenth, at most 0.9."""
        lowest = min(min(v) for v in self.curves.values())
        return min(0.9, float(np.floor(lowest * 10 + 1e-9)) / 10)

    @property
    def longest(self) -> int:
        """Number of points of the longest curve."""
        return max(len(v) for v in self.curves.values())

    def path(self, name: str, width: float, height: float) -> str:
        """Return the points of a curve for an SVG ``polyline`` of this size."""
        step = width / max(self.longest - 1, 1)
        scale = height / (1 - self.floor)
        return " ".join(f"{i * step:.1f},{(1 - v) * scale:.1f}" for i, v in enumerate(self.curves[name]))

    @property
    def y_ticks(self) -> list[float]:
        """Values on the vertical axis with a grid line."""
        step = 0.2 if self.floor < 0.5 else 0.1 if self.floor < 0.9 else 0.05
        return [round(float(v), 2) for v in np.arange(1, self.floor - 1e-9, -step)]

    @property
    def x_ticks(self) -> list[int]:
        """Labelled positions on the horizontal axis, counted from 1."""
        return [n for n in (1, 5, 10, 20, 30, 40, 50, 100) if n <= self.longest]


@dataclass(frozen=True)
class Picture:
    """An inlined image.

    Attributes:
        title: Heading of the image.
        uri: ``data:`` address with the image.
        alt: Alternative text.
        note: Text below the image.

    Raises:
        ShapeError: If `uri` is not a ``data:image/`` address.
    """

    title: str
    uri: str
    alt: str
    note: str = ""

    def __post_init__(self) -> None:
        if not self.uri.startswith("data:image/"):
            raise ShapeError(f"picture {self.title!r}: expected a data:image/ address, found {self.uri[:40]!r}")


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Parts next to each other on a wide screen, below each other on a narrow one."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Commands:
    """Shell commands to copy, one per line."""

    title: str
    lines: tuple[str, ...]


Block: TypeAlias = (
    "Text | Facts | Table | Curves | Picture | Strips | ClipPairs | ClipShares | Matrix | SideBySide | Sheet | Commands"
)


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with the parts below it.

    Attributes:
        title: Heading.
        blocks: Parts from top to bottom.
        lead: Introductory line below the heading.
    """

    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True, eq=False)
class Page:
    """The content of a page.

    Attributes:
        title: Title of the page.
        lead: Summary, one paragraph or several.
        sections: Sections from top to bottom.
        kicker: Short line above the title.
        similarity: Similarity shown in large type beside the summary, on a page about one match.
        verdict: Whether that match shows the same person.
        evidence: Plain values for scripts, embedded as JSON.
    """

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    kicker: str = ""
    similarity: float | None = None
    verdict: Verdict = "unknown"
    evidence: Mapping[str, object] = field(default_factory=dict)
