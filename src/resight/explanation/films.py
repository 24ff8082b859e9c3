"""Parts of a page that show frames: film strips, clip pairs, shares of the decision, matrices over clip pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from resight.explanation.strips import Tile

Verdict = Literal["right", "wrong", "unknown"]
Tone = Literal["query", "gallery", "asked", "right", "wrong", "unknown"]
"""Colour of an outline: green query clips and orange gallery clips (Fig. 7); a blue question with right (green),
wrong (red) and unjudged (grey) answers."""


@dataclass(frozen=True, eq=False)
class Strip:
    """Frames of one tracklet or clip, side by side in one outline.

    Attributes:
        tiles: the frames.
        tone: colour of the outline.
        title: whose frames.
        detail: a second, quieter line.
        similarity: to what was asked; None where nothing was compared.
        link: relative address of a page that explains this answer.
    """

    tiles: tuple[Tile, ...]
    tone: Tone
    title: str = ""
    detail: str = ""
    similarity: float | None = None
    link: str = ""


@dataclass(frozen=True, eq=False)
class Strips:
    """Film strips below each other: a question and its answers."""

    kind: ClassVar[str] = "strips"
    title: str
    strips: tuple[Strip, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ClipPair:
    """One query clip beside one gallery clip, with its part in the decision (clips counted from 1)."""

    query: Strip
    gallery: Strip
    query_clip: int
    gallery_clip: int
    importance: float
    share: float
    cosine: float

    @property
    def importance_written(self) -> str:
        """Two digits that count, however small."""
        return write_importance(self.importance)

    @property
    def share_written(self) -> str:
        """In per cent."""
        return f"{self.share:.1%}" if self.share >= 0.0005 else "under 0.1%"


@dataclass(frozen=True, eq=False)
class ClipPairs:
    """Clip pairs below each other. Paper: Fig. 7."""

    kind: ClassVar[str] = "pairs"
    title: str
    pairs: tuple[ClipPair, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ClipShares:
    """The clips of one tracklet in order, each above a bar: its share of the decision.

    Attributes:
        title: whose clips.
        tone: colour of the bars.
        tiles: M middle frames.
        shares: (M,) parts of one.
        corrupted: (M,) clips that were corrupted on purpose.
    """

    kind: ClassVar[str] = "shares"
    title: str
    tone: Tone
    tiles: tuple[Tile, ...]
    shares: NDArray[np.float64]
    corrupted: NDArray[np.bool_]

    @property
    def even(self) -> float:
        """The share of each clip if all were alike."""
        return 1 / len(self.shares)

    @property
    def top(self) -> float:
        """The share that a full bar stands for."""
        return max(float(self.shares.max()), 1.25 * self.even)


@dataclass(frozen=True, eq=False)
class Matrix:
    """One number for each clip pair, as a table of shaded cells, query clips down and gallery clips across.

    Attributes:
        title: what the numbers are.
        values: (M, N).
        note: below.
        low: value of an unshaded cell; None: the lowest in `values`.
        high: value of a fully shaded cell; None: the highest in `values`.
        factor: numbers are written multiplied by this (100 for per cent).
        digits: after the decimal point.
        rows: M middle frames of the query's clips, or none.
        columns: N middle frames of the gallery's clips, or none.
    """

    kind: ClassVar[str] = "matrix"
    title: str
    values: NDArray[np.float64]
    note: str = ""
    low: float | None = None
    high: float | None = None
    factor: float = 1
    digits: int = 2
    rows: tuple[Tile, ...] = ()
    columns: tuple[Tile, ...] = ()

    def written(self, value: float) -> str:
        """A cell as it is read."""
        return f"{value * self.factor:.{self.digits}f}"

    @property
    def ends(self) -> tuple[float, float]:
        """Values of an unshaded and of a fully shaded cell."""
        low = float(self.values.min()) if self.low is None else self.low
        return low, float(self.values.max()) if self.high is None else self.high

    def shade(self, value: float) -> float:
        """0 … 1, from no colour to full colour."""
        low, high = self.ends
        return float(np.clip((value - low) / (high - low), 0, 1)) if high > low else 0.0


@dataclass(frozen=True, eq=False)
class Sheet:
    """Many small pictures, as on a photographer's contact sheet."""

    kind: ClassVar[str] = "sheet"
    title: str
    tiles: tuple[Tile, ...]
    note: str = ""


def write_importance(importance: float) -> str:
    """Two digits that count, however small.

    >>> write_importance(1.7), write_importance(0.00623)
    ('1.70', '0.0062')
    """
    return f"{importance:.2f}" if importance >= 0.1 else f"{importance:.2g}"
