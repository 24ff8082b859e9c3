"""Parts of a page built from tracklets and from the numbers of a match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from resight.explanation.blocks import Block, SideBySide
from resight.explanation.films import ClipPair, ClipPairs, ClipShares, Matrix, Sheet, Strip, Verdict
from resight.explanation.match_numbers import MatchNumbers
from resight.explanation.strips import Tile, clip_frames, clip_middles, load_tiles, tracklet_frames
from resight.tables import Row, Table
from resight.tracklet import Tracklet


def default_camera_name(camera: int) -> str:
    """Return the name of a camera in a data set without camera names, see `Dataset.camera_name`.

    >>> default_camera_name(3)
    'camera 3'
    """
    return f"camera {camera}"


def query_strip(query: Tracklet, most: int = 8, camera_name: Callable[[int], str] = default_camera_name) -> Strip:
    """Return the film strip of a query, outlined blue, with at most `most` frames."""
    return Strip(load_tiles(query, tracklet_frames(query, most)), "probe", query.id, _detail(query, camera_name))


def ranked_strips(
    ranked: Sequence[tuple[Tracklet, float, Verdict]],
    *,
    most: int = 8,
    links: Mapping[str, str] | None = None,
    details: Mapping[str, str] | None = None,
    camera_name: Callable[[int], str] = default_camera_name,
) -> list[Strip]:
    """Return the film strips of candidates, outlined green if right, red if wrong, grey if unlabelled.

    Args:
        ranked: (Tracklet, similarity, whether it shows the right person), best first.
        most: Maximum number of frames per strip.
        links: Tracklet id to the relative address of a page that explains this candidate.
        details: Tracklet id to what else is known of this candidate.
        camera_name: Name of a camera by its number.
    """
    more = details or {}
    return [
        Strip(
            load_tiles(tracklet, tracklet_frames(tracklet, most)),
            verdict,
            f"{rank}. {tracklet.id}",
            "; ".join(filter(None, (_detail(tracklet, camera_name), more.get(tracklet.id)))),
            float(score),
            (links or {}).get(tracklet.id, ""),
        )
        for rank, (tracklet, score, verdict) in enumerate(ranked, start=1)
    ]


def contact_sheet(title: str, tracklets: Sequence[Tracklet], note: str = "") -> Sheet:
    """Return a contact sheet with the middle frame of every tracklet."""
    return Sheet(title, tuple(load_tiles(t, [len(t) // 2])[0] for t in tracklets), note)


def share_blocks(numbers: MatchNumbers) -> tuple[Block, ...]:
    """Return the clips of both tracklets in order, each above a bar of its share of the weight."""
    query, gallery = _middles(numbers)
    return (
        ClipShares(
            f"Query {numbers.query.id}, {_detail(numbers.query)}",
            "query",
            query,
            numbers.query_shares,
            numbers.query_corrupted,
        ),
        ClipShares(
            f"Gallery {numbers.gallery.id}, {_detail(numbers.gallery)}",
            "gallery",
            gallery,
            numbers.gallery_shares,
            numbers.gallery_corrupted,
        ),
    )


def pair_blocks(numbers: MatchNumbers, k: int = 2) -> SideBySide:
    """Return the `k` clip pairs of highest and of lowest importance, none twice. Paper: Fig. 7."""
    strongest = numbers.strongest_pairs(k)
    weakest = [pair for pair in numbers.weakest_pairs(k) if pair not in strongest]
    ends = (("Highest importance", strongest), ("Lowest importance", weakest))
    return SideBySide(
        tuple(ClipPairs(title, tuple(_pair(numbers, i, j) for i, j in pairs)) for title, pairs in ends if pairs)
    )


def matrix_blocks(numbers: MatchNumbers) -> tuple[Block, ...]:
    """Return heat maps of the weight, cosine and contribution of every clip pair."""
    query, gallery = _middles(numbers)
    scored = numbers.scored
    return (
        SideBySide(
            (
                Matrix(
                    "Share of the weight in %",
                    numbers.shares,
                    "Importance of a clip pair, as a share of the total importance.",
                    low=0.0,
                    factor=100,
                    digits=1,
                    rows=query,
                    columns=gallery,
                ),
                Matrix(
                    "Cosine",
                    scored.cosine,
                    "Similarity of the two clips alone, before weighting.",
                    rows=query,
                    columns=gallery,
                ),
                Matrix(
                    "Contribution × 100",
                    scored.contribution,
                    f"Weight times cosine. The sum of all cells is the similarity, {scored.score:.4f}.",
                    low=min(0.0, float(scored.contribution.min())),
                    factor=100,
                    rows=query,
                    columns=gallery,
                ),
            )
        ),
    )


def clip_table(side: str, numbers: MatchNumbers) -> Table:
    """Return a table of the clips of one side with their share of the weight.

    Args:
        side: ``query`` or ``gallery``.
        numbers: Numbers of a match.
    """
    axis = 1 if side == "query" else 0
    tracklet = numbers.query if side == "query" else numbers.gallery
    frames = numbers.query_frames if side == "query" else numbers.gallery_frames
    corrupted = numbers.query_corrupted if side == "query" else numbers.gallery_corrupted
    share = numbers.shares.sum(axis=axis)
    cosine = numbers.scored.cosine.mean(axis=axis)
    contribution = numbers.scored.contribution.sum(axis=axis)
    rows = []
    for m, clip in enumerate(frames):
        listed = [n + 1 for n in clip_frames(clip, len(clip))]
        consecutive = listed == list(range(listed[0], listed[-1] + 1))
        words = f"{listed[0]}–{listed[-1]}" if consecutive else f"{len(listed)} frames"
        name = f"clip {m + 1}, corrupted" if corrupted[m] else f"clip {m + 1}"
        rows.append(Row(name, (words, float(share[m]), float(cosine[m]), float(contribution[m]))))
    return Table(
        f"{side.capitalize()} {tracklet.id}",
        ("frames", "share", "mean cosine", "contribution"),
        tuple(rows),
        head="clip",
        digits=3,
    )


def _pair(numbers: MatchNumbers, i: int, j: int) -> ClipPair:
    query = clip_frames(numbers.query_frames[i], 4)
    gallery = clip_frames(numbers.gallery_frames[j], 4)
    return ClipPair(
        Strip(load_tiles(numbers.query, query, corrupted=bool(numbers.query_corrupted[i])), "query"),
        Strip(load_tiles(numbers.gallery, gallery, corrupted=bool(numbers.gallery_corrupted[j])), "gallery"),
        i + 1,
        j + 1,
        float(numbers.scored.importance[i, j]),
        float(numbers.shares[i, j]),
        float(numbers.scored.cosine[i, j]),
    )


def _middles(numbers: MatchNumbers) -> tuple[tuple[Tile, ...], tuple[Tile, ...]]:
    return (
        clip_middles(numbers.query, numbers.query_frames, numbers.query_corrupted),
        clip_middles(numbers.gallery, numbers.gallery_frames, numbers.gallery_corrupted),
    )


def _detail(tracklet: Tracklet, camera_name: Callable[[int], str] = default_camera_name) -> str:
    name = tracklet.camera_name or camera_name(tracklet.camera)
    return f"{name}, {len(tracklet)} {'frame' if len(tracklet) == 1 else 'frames'}"
