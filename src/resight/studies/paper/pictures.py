"""Fig. 5 (a clip and its corrupted copy) and Fig. 7 (clip pairs of highest and lowest importance)."""

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
from resight.recipe import ClipSpec
from resight.studies.framework.outcome import Claim, Outcome, TableBuilder
from resight.studies.framework.steps import Steps

MATCHES = 4
"""Number of matches in Fig. 7."""


def fig5(steps: Steps) -> Outcome:
    """Fig. 5: effect of corruption on a clip and on its features."""
    builder = TableBuilder()
    same, different = "a clip and its corrupted copy", "clips of two tracklets"
    for seed in steps.setting.seeds:
        features = steps.damages(seed, ("corrupted",))
        clean, corrupted = (one.of(steps.dataset.query) for one in (features.clean, features.of("corrupted")))
        builder.add(same, [_mean_cosine(clean.values, corrupted.values)])
        builder.add(different, [_mean_cosine(clean.values, np.roll(clean.values, 1, axis=0))])
    table = builder.table("mean cosine of clip features, queries", ("cosine",), digits=3)
    gap = table.means(same)[0] - table.means(different)[0]
    claim = Claim("a clip is more similar to its corrupted copy than to a clip of another tracklet", gap > 0,
                  f"{gap:+.3f}")  # fmt: skip
    return Outcome("fig5", "Fig. 5: clip corruption", (table,), (claim,), f"{len(steps.dataset.query)} queries")


def picture_of_fig5(steps: Steps) -> Iterator[tuple[str, Figure]]:
    """Yield a figure of the middle clips of three queries, clean above corrupted."""
    spec, queries = steps.setting.recipe.clips, steps.dataset.query
    shown = queries[:: max(1, len(queries) // 3)][:3]
    figure = Figure(figsize=(1.1 * 4 * len(shown) * spec.width * 2 / spec.height, 4.8), layout="constrained")
    panels = figure.subplots(2, 4 * len(shown), squeeze=False)
    size = spec.height, spec.width
    for number, tracklet in enumerate(shown):
        frames = sample_clips(len(tracklet), ClipSpec(length=4, count=1, height=spec.height, width=spec.width))
        for row, corrupted in enumerate((False, True)):
            clip = load_clips(tracklet, frames, size, ClipDamage.corrupted(np.array([corrupted])))[0]
            for place, frame in enumerate(clip):
                panels[row, 4 * number + place].imshow(frame, interpolation="nearest")
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[], frame_on=False)
    for row, label in enumerate(("clean", "corrupted")):
        panels[row, 0].set_ylabel(label)
    yield "", figure


def fig7(steps: Steps) -> Outcome:
    """Fig. 7: clip pairs of highest and lowest importance in some correct matches."""
    builder = TableBuilder()
    for evidence in _matches(steps):
        scored = evidence.scored
        high, low = scored.importance.argmax(), scored.importance.argmin()
        builder.add(
            f"{evidence.query.id} and {evidence.gallery.id}",
            (
                scored.score, scored.importance.flat[high], scored.cosine.flat[high],
                scored.importance.flat[low], scored.cosine.flat[low],
            ),
        )  # fmt: skip
    columns = ("similarity", "highest importance", "its cosine", "lowest importance", "its cosine")
    table = builder.table("correct matches with the widest range of importance", columns, "match", digits=3)
    conditions = f"importance trained on clean clips, seed {steps.setting.seeds[0]}"
    return Outcome("fig7", "Fig. 7: clip pairs of highest and lowest importance", (table,), (), conditions)


def picture_of_fig7(steps: Steps) -> Iterator[tuple[str, Figure]]:
    """Yield one figure of frame strips for each match."""
    for number, evidence in enumerate(_matches(steps), start=1):
        yield f"-{number}", plot_clip_pairs(evidence)


def _matches(steps: Steps) -> list[MatchEvidence]:
    """Return the best correct match of each query with the widest ranges of importance, one for each person."""
    if "fig7" in steps.memory:
        matches: list[MatchEvidence] = steps.memory["fig7"]
        return matches
    seed, dataset = steps.setting.seeds[0], steps.dataset
    features, aggregator = steps.damaged(seed, 0), steps.trained("learned", seed, 0)
    query, gallery = features.of(dataset.query), features.of(dataset.gallery)
    ranking = rank_features(query, gallery, aggregator, compute=steps.compute)
    candidates = []
    for q, tracklet in enumerate(dataset.query):
        correct = [
            g for g in ranking.order[q]
            if dataset.gallery[g].person == tracklet.person and dataset.gallery[g].camera != tracklet.camera
        ]  # fmt: skip
        if correct:
            best = correct[0]
            candidates.append(
                explain_match(tracklet, dataset.gallery[best], query.rows([q]), gallery.rows([best]), aggregator)
            )
    candidates.sort(key=lambda one: float(one.scored.importance.max() / one.scored.importance.min()), reverse=True)
    by_person: dict[int, MatchEvidence] = {}
    for evidence in candidates:
        by_person.setdefault(evidence.query.person, evidence)
    steps.memory["fig7"] = chosen = list(by_person.values())[:MATCHES]
    return chosen


def _mean_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the mean cosine of two (T, M, D) arrays of features, clip by clip."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(((a * b).sum(-1) / np.maximum(lengths, 1e-12)).mean())
