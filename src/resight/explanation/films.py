"""Parts of a page that show frames: film strips, clip pairs, weights of clips, matrices over clip pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resight.explanation.strips import Tile

Verdict = Literal["right", "wrong", "unknown"]
Tone = Literal["query", "gallery", "probe", "right", "wrong", "unknown"]
"""Colour of an outline. In a clip pair: green query clips and orange gallery clips (Fig. 7). In a search: a blue query
(``probe``), and right (green), wrong (red) and unlabelled (grey) candidates."""


@dataclass(frozen=True, eq=False)
class Strip:
    """Frames of one tracklet or clip, side by side in one outline.

    Attributes:
        tiles: Frames.
        tone: Colour of the outline.
        title: Name of the tracklet or clip.
        detail: Second line in smaller type.
        similarity: Similarity to the query; None if there is none.
        link: Relative address of a page that explains this candidate.
    """

    tiles: tuple[Tile, ...]
    tone: Tone
    title: str = ""
    detail: str = ""
    similarity: float | None = None
    link: str = ""


@dataclass(frozen=True, eq=False)
class Strips:
    """Film strips below each other, such as the candidates of a search.

    Attributes:
        title: Heading.
        strips: Film strips from top to bottom.
        note: Text below the strips.
    """

    title: str
    strips: tuple[Strip, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ClipPair:
    """One query clip beside one gallery clip.

    Attributes:
        query: Frames of the query clip.
        gallery: Frames of the gallery clip.
        query_clip: Number of the query clip, counted from 1.
        gallery_clip: Number of the gallery clip, counted from 1.
        importance: Importance of the pair.
        share: Share of the weight, 0 … 1.
        cosine: Cosine of the two clip features.
    """

    query: Strip
    gallery: Strip
    query_clip: int
    gallery_clip: int
    importance: float
    share: float
    cosine: float

    @property
    def importance_text(self) -> str:
        """Importance with two significant digits."""
        return format_importance(self.importance)

    @property
    def share_text(self) -> str:
        """Share of the weight in percent."""
        return f"{self.share:.1%}" if self.share >= 0.0005 else "under 0.1%"


@dataclass(frozen=True, eq=False)
class ClipPairs:
    """Clip pairs below each other. Paper: Fig. 7.

    Attributes:
        title: Heading.
        pairs: Clip pairs from top to bottom.
        note: Text below the pairs.
    """

    title: str
    pairs: tuple[ClipPair, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ClipShares:
    """The clips of one tracklet in order, each above a bar of its share of the weight.

    Attributes:
        title: Name of the tracklet.
        tone: Colour of the bars.
        tiles: Middle frames of the M clips.
        shares: (M,) shares of the weight, 0 … 1.
        corrupted: (M,) True for clips that were corrupted on purpose.
    """

    title: str
    tone: Tone
    tiles: tuple[Tile, ...]
    shares: NDArray[np.float64]
    corrupted: NDArray[np.bool_]

    @property
    def equal(self) -> float:
        """Share of each clip if all had the same weight."""
        return 1 / len(self.shares)

    @property
    def top(self) -> float:
        """Share at the full height of a bar."""
        return max(float(self.shares.max()), 1.25 * self.equal)


@dataclass(frozen=True, eq=False)
class Matrix:
    """One number per clip pair as a heat map: rows are query clips, columns are gallery clips.

    Attributes:
        title: What the numbers are.
        values: (M, N) numbers.
        note: Text below the heat map.
        low: Value of an unshaded cell; None: the lowest in `values`.
        high: Value of a fully shaded cell; None: the highest in `values`.
        factor: Factor by which numbers are multiplied for display, such as 100 for percent.
        digits: Decimal places.
        rows: Middle frames of the M query clips, or none.
        columns: Middle frames of the N gallery clips, or none.
    """

    title: str
    values: NDArray[np.float64]
    note: str = ""
    low: float | None = None
    high: float | None = None
    factor: float = 1
    digits: int = 2
    rows: tuple[Tile, ...] = ()
    columns: tuple[Tile, ...] = ()

    def shown(self, value: float) -> str:
        """Return the text of a cell."""
        return f"{value * self.factor:.{self.digits}f}"

    @property
    def ends(self) -> tuple[float, float]:
        """Values of an unshaded and of a fully shaded cell."""
        low = float(self.values.min()) if self.low is None else self.low
        return low, float(self.values.max()) if self.high is None else self.high

    def shade(self, value: float) -> float:
        """Return the shade of a cell, 0 … 1."""
        low, high = self.ends
        return float(np.clip((value - low) / (high - low), 0, 1)) if high > low else 0.0


@dataclass(frozen=True, eq=False)
class Sheet:
    """A contact sheet of many small images.

    Attributes:
        title: Heading.
        tiles: Images.
        note: Text below the images.
    """

    title: str
    tiles: tuple[Tile, ...]
    note: str = ""


def format_importance(importance: float) -> str:
    """Return an importance with two significant digits.

    >>> format_importance(1.7), format_importance(0.00623)
    ('1.70', '0.0062')
    """
    return f"{importance:.2f}" if importance >= 0.1 else f"{importance:.2g}"
