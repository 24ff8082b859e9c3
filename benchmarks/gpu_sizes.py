"""How large the benchmarks of a GPU are: as in the paper, or tiny, to see that all of it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Of everything that is measured.

    Attributes:
        dim: features of a clip, and hidden units of g.
        clips: M, of a tracklet.
        queries: Q of the whole.
        gallery: G of the whole.
        part: queries of it that are scored, against all of the gallery, to choose the block and to foretell the whole.
        plain: queries and gallery tracklets that the plain loop scores.
        blocks: tracklet pairs of a block to try.
        matrix: rows and columns of the product that gives the matrix rate.
        frames: L, height and width of a clip.
        width: of the I3D.
        clip_flop: operations of one clip in the I3D without its dead taps.
        tracklets: encoded at once.
        persons1: P of a batch of stage 1; K is 4.
        persons2: P of a batch of stage 2; K is 4.
        repeats: turns.
    """

    dim: int = 1024
    clips: int = 8
    queries: int = 1_980
    gallery: int = 11_310
    part: int = 48
    plain: tuple[int, int] = (8, 1_131)
    blocks: tuple[int, ...] = (4_096, 6_144, 12_288, 24_576, 49_152, 98_304)
    matrix: int = 8_192
    frames: tuple[int, int, int] = (4, 256, 128)
    width: float = 1.0
    clip_flop: float = 2 * 2.83e9
    tracklets: int = 32
    persons1: int = 8
    persons2: int = 12
    repeats: int = 5


FULL = Sizes()
TINY = Sizes(
    dim=16,
    clips=2,
    queries=6,
    gallery=10,
    part=2,
    plain=(2, 3),
    blocks=(4, 8),
    matrix=64,
    frames=(4, 32, 16),
    width=0.125,
    clip_flop=2e6,
    tracklets=2,
    persons1=2,
    persons2=2,
    repeats=2,
)
