"""Fig. 5, a clip and its corrupted twin, and Fig. 7, the clip pairs of highest and lowest importance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resight.data.clips import sample_clips
from resight.data.damage import ClipDamage
from resight.data.frames import load_clips
from resight.evaluation.evaluate import rank_features
from resight.explanation.evidence import MatchEvidence, explain_match
from resight.explanation.plots import plot_clip_pairs
from resight.features.types import ClipFeatures
from resight.recipe import ClipSpec
from resight.studies.outcome import Claim, Outcome, Row, StudyTable
from resight.studies.steps import Steps

MATCHES = 4
"""Matches that Fig. 7 shows."""


def fig5(steps: Steps) -> Outcome:
    """Fig. 5: what the corruption does to a clip, and to its features."""
    cells: list[list[float]] = [[], []]
    for seed in steps.setting.seeds:
        features = steps.damages(seed, ("corrupted",))
        clean, corrupted = (one.of(steps.split.query) for one in (features.clean, features.of("corrupted")))
        twin = _cosine(clean.values, corrupted.values)
        stranger = _cosine(clean.values, np.roll(clean.values, 1, axis=0))
        for cell, value in zip(cells, (twin, stranger), strict=True):
            cell.append(value)
    rows = (
        Row("a clip and its corrupted twin", (tuple(cells[0]),)),
        Row("a clip and one of another tracklet", (tuple(cells[1]),)),
    )
    table = StudyTable("mean cosine of clip features, queries", "", ("cosine",), rows, 3)
    gap = table.means(rows[0].name)[0] - table.means(rows[1].name)[0]
    claim = Claim("a corrupted clip still resembles its twin more than it does a stranger", gap > 0, f"{gap:+.3f}")
    return Outcome("fig5", "Fig. 5: the corruption", (table,), (claim,), f"{len(steps.split.query)} queries")


def picture_of_fig5(steps: Steps) -> Iterator[tuple[str, Figure]]:
    """The first frames of some queries' middle clips, above their corrupted twins."""
    spec = steps.setting.recipe.clips
    shown = steps.split.query[:: max(1, len(steps.split.query) // 3)][:3]
    figure = Figure(figsize=(1.1 * 4 * len(shown) * spec.width * 2 / spec.height, 4.8), layout="constrained")
    panels = figure.subplots(2, 4 * len(shown), squeeze=False)
    for number, tracklet in enumerate(shown):
        one = ClipSpec(length=4, count=1, height=spec.height, width=spec.width)
        frames = sample_clips(len(tracklet), one)
        for row, corrupted in enumerate((False, True)):
            size = spec.height, spec.width
            clip = load_clips(tracklet, frames, size, ClipDamage.corrupted(np.array([corrupted])))[0]
            for place, frame in enumerate(clip):
                panels[row, 4 * number + place].imshow(frame, interpolation="nearest")
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[], frame_on=False)
    for row, words in enumerate(("as it is", "corrupted")):
        panels[row, 0].set_ylabel(words)
    yield "", figure


def fig7(steps: Steps) -> Outcome:
    """Fig. 7: importance, cosine and contents of the extreme clip pairs of some right matches."""
    rows = []
    for evidence in _matches(steps):
        scored = evidence.scored
        high, low = scored.importance.argmax(), scored.importance.argmin()
        values = (
            scored.score, scored.importance.flat[high], scored.cosine.flat[high],
            scored.importance.flat[low], scored.cosine.flat[low],
        )  # fmt: skip
        rows.append(Row(f"{evidence.query.id} and {evidence.gallery.id}", tuple((float(v),) for v in values)))
    columns = ("similarity", "highest importance", "its cosine", "lowest importance", "its cosine, too")
    table = StudyTable("right matches with the widest range of importance", "match", columns, tuple(rows), 3)
    seed = steps.setting.seeds[0]
    return Outcome("fig7", "Fig. 7: which clip pairs count", (table,), (), f"importance trained clean, seed {seed}")


def picture_of_fig7(steps: Steps) -> Iterator[tuple[str, Figure]]:
    """The strips of each match."""
    for number, evidence in enumerate(_matches(steps), start=1):
        yield f"-{number}", plot_clip_pairs(evidence)


def _matches(steps: Steps) -> list[MatchEvidence]:
    """The best right answer of each query, of different persons, with the widest ranges of importance."""
    if "fig7" in steps.memory:
        matches: list[MatchEvidence] = steps.memory["fig7"]
        return matches
    seed, split = steps.setting.seeds[0], steps.split
    features, aggregator = steps.damaged(seed, 0), steps.trained("learned", seed, 0)
    query, gallery = features.of(split.query), features.of(split.gallery)
    ranking = rank_features(query, gallery, aggregator)
    found = []
    for q, tracklet in enumerate(split.query):
        right = [
            g for g in ranking.order[q]
            if split.gallery[g].person == tracklet.person and split.gallery[g].camera != tracklet.camera
        ]  # fmt: skip
        if right:
            found.append(
                explain_match(tracklet, split.gallery[right[0]], _row(query, q), _row(gallery, right[0]), aggregator)
            )
    found.sort(key=lambda one: float(one.scored.importance.max() / one.scored.importance.min()), reverse=True)
    by_person: dict[int, MatchEvidence] = {}
    for one in found:
        by_person.setdefault(one.query.person, one)
    steps.memory["fig7"] = chosen = list(by_person.values())[:MATCHES]
    return chosen


def _row(features: ClipFeatures, place: int) -> ClipFeatures:
    return features.rows([place])


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Mean cosine of (T, M, D) features, clip by clip."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(((a * b).sum(-1) / np.maximum(lengths, 1e-12)).mean())
