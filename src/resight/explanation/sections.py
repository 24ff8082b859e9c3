"""Sections of a page made from tracklets, rankings and evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resight.explanation.blocks import Block, Cell, Row, Table
from resight.explanation.evidence import MatchEvidence
from resight.explanation.films import ClipPair, ClipPairs, ClipShares, Matrix, Sheet, Strip, Verdict
from resight.explanation.strips import Tile, clip_frames, clip_middles, load_tiles, tracklet_frames
from resight.tracklet import Tracklet


def by_number(camera: int) -> str:
    """What a camera is called where the data set has no names for them; `Dataset.camera_name` knows them.

    >>> by_number(3)
    'camera 3'
    """
    return f"camera {camera}"


def query_strip(query: Tracklet, most: int = 8, camera_name: Callable[[int], str] = by_number) -> Strip:
    """The film strip of what is asked, outlined blue."""
    return Strip(load_tiles(query, tracklet_frames(query, most)), "asked", query.id, _detail(query, camera_name))


def ranked_strips(
    ranked: Sequence[tuple[Tracklet, float, Verdict]],
    *,
    most: int = 8,
    links: Mapping[str, str] | None = None,
    camera_name: Callable[[int], str] = by_number,
) -> list[Strip]:
    """Film strips of answers, best first, outlined green if right, red if wrong, grey if nobody knows."""
    return [
        Strip(
            load_tiles(tracklet, tracklet_frames(tracklet, most)),
            verdict,
            f"{rank}. {tracklet.id}",
            _detail(tracklet, camera_name),
            float(score),
            (links or {}).get(tracklet.id, ""),
        )
        for rank, (tracklet, score, verdict) in enumerate(ranked, start=1)
    ]


def contact_sheet(title: str, tracklets: Sequence[Tracklet], note: str = "") -> Sheet:
    """The middle frame of every tracklet."""
    return Sheet(title, tuple(load_tiles(t, [len(t) // 2])[0] for t in tracklets), note)


def share_blocks(evidence: MatchEvidence) -> tuple[Block, ...]:
    """The clips of both tracklets in order, each above its share of the decision."""
    query, gallery = _middles(evidence)
    return (
        ClipShares(
            f"Query {evidence.query.id}, {_detail(evidence.query)}",
            "query",
            query,
            evidence.query_shares,
            evidence.query_corrupted,
        ),
        ClipShares(
            f"Gallery {evidence.gallery.id}, {_detail(evidence.gallery)}",
            "gallery",
            gallery,
            evidence.gallery_shares,
            evidence.gallery_corrupted,
        ),
    )


def pair_blocks(evidence: MatchEvidence, k: int = 2) -> Row:
    """The clip pairs of highest and of lowest importance, as film strips, none twice. Paper: Fig. 7."""
    strongest = evidence.strongest_pairs(k)
    weakest = [pair for pair in evidence.weakest_pairs(k) if pair not in strongest]
    ends = (("Highest importance", strongest), ("Lowest importance", weakest))
    return Row(
        tuple(ClipPairs(title, tuple(_pair(evidence, i, j) for i, j in pairs)) for title, pairs in ends if pairs)
    )


def matrix_blocks(evidence: MatchEvidence) -> tuple[Block, ...]:
    """Importance, cosine and contribution of every clip pair."""
    query, gallery = _middles(evidence)
    scored = evidence.scored
    return (
        Row(
            (
                Matrix(
                    "Share of the decision in %",
                    evidence.shares,
                    "The importance that the model gave a pair, as a share of all importance.",
                    low=0.0,
                    factor=100,
                    digits=1,
                    rows=query,
                    columns=gallery,
                ),
                Matrix(
                    "Cosine",
                    scored.cosine,
                    "How alike the two clips look to the model, before importance.",
                    rows=query,
                    columns=gallery,
                ),
                Matrix(
                    "Contribution × 100",
                    scored.contribution,
                    f"Weight times cosine. All cells together are the similarity, {scored.score:.4f}.",
                    low=min(0.0, float(scored.contribution.min())),
                    factor=100,
                    rows=query,
                    columns=gallery,
                ),
            )
        ),
    )


def clip_table(side: str, evidence: MatchEvidence) -> Table:
    """The clips of one side (``query`` or ``gallery``) with their share of the decision."""
    axis = 1 if side == "query" else 0
    tracklet = evidence.query if side == "query" else evidence.gallery
    frames = evidence.query_frames if side == "query" else evidence.gallery_frames
    corrupted = evidence.query_corrupted if side == "query" else evidence.gallery_corrupted
    share = evidence.shares.sum(axis=axis)
    cosine = evidence.scored.cosine.mean(axis=axis)
    contribution = evidence.scored.contribution.sum(axis=axis)
    rows: list[tuple[Cell, ...]] = []
    for m, clip in enumerate(frames):
        shown = [n + 1 for n in clip_frames(clip, len(clip))]
        words = f"{shown[0]}–{shown[-1]}" if shown == list(range(shown[0], shown[-1] + 1)) else f"{len(shown)} frames"
        name = f"clip {m + 1}, corrupted" if corrupted[m] else f"clip {m + 1}"
        rows.append((name, words, float(share[m] * 100), float(cosine[m]), float(contribution[m])))
    return Table(
        f"{side.capitalize()} {tracklet.id}",
        ("clip", "frames", "share in %", "mean cosine", "contribution"),
        tuple(rows),
        digits=3,
    )


def _pair(evidence: MatchEvidence, i: int, j: int) -> ClipPair:
    query = clip_frames(evidence.query_frames[i], 4)
    gallery = clip_frames(evidence.gallery_frames[j], 4)
    return ClipPair(
        Strip(load_tiles(evidence.query, query, corrupted=bool(evidence.query_corrupted[i])), "query"),
        Strip(load_tiles(evidence.gallery, gallery, corrupted=bool(evidence.gallery_corrupted[j])), "gallery"),
        i + 1,
        j + 1,
        float(evidence.scored.importance[i, j]),
        float(evidence.shares[i, j]),
        float(evidence.scored.cosine[i, j]),
    )


def _middles(evidence: MatchEvidence) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    return (
        clip_middles(evidence.query, evidence.query_frames, evidence.query_corrupted),
        clip_middles(evidence.gallery, evidence.gallery_frames, evidence.gallery_corrupted),
    )


def _detail(tracklet: Tracklet, camera_name: Callable[[int], str] = by_number) -> str:
    return f"{camera_name(tracklet.camera)}, {len(tracklet)} {'frame' if len(tracklet) == 1 else 'frames'}"
