"""Sizes of the GPU benchmarks: those of the paper, and tiny ones to check that everything runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of all measured problems.

    Attributes:
        dim: Features per clip, and hidden units of the importance network.
        clips: Clips per tracklet, M.
        queries: Query tracklets of the whole problem, Q.
        gallery: Gallery tracklets of the whole problem, G.
        part: Queries scored against the whole gallery to choose the block size and to estimate the total time.
        plain: Query and gallery tracklets that the plain loop scores.
        blocks: Block sizes to try, in tracklet pairs.
        matrix: Rows and columns of the matrices whose product measures the matrix rate.
        frames: L, height and width of a clip.
        width: Width factor of the I3D.
        clip_flop: Operations per clip of the I3D, without taps that only meet padding.
        tracklets: Tracklets encoded at once.
        persons1: Persons of a stage-1 batch, P; K is 4.
        persons2: Persons of a stage-2 batch, P; K is 4.
        repeats: Number of turns.
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
