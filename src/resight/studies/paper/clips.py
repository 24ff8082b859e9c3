"""Clip sampling: Fig. 3 (sampler and length of one clip), Fig. 4 and Table 6 (mean of many clips)."""

from __future__ import annotations

from dataclasses import replace

from resight.evaluation.metrics import Scores
from resight.features.view import View
from resight.models.aggregators import MeanFeature, MeanPair
from resight.recipe import Sampler
from resight.studies.framework.outcome import MEASURES, Claim, Outcome, TableBuilder
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import TABLE6
from resight.tables import Table

ONE_CLIP: tuple[Sampler, ...] = ("consec", "random", "evenly", "all")
"""The samplers of Table 1."""
SHOWN = ("mAP", "rank-1")


def fig3(steps: Steps) -> Outcome:
    """Fig. 3: sampler and length of a single test clip, for encoders trained with several clip lengths."""
    setting = steps.setting
    seed, conditions = setting.seeds[0], ""
    spec = replace(setting.recipe.clips, count=1)
    columns = [f"L_test = {length}" for length in setting.test_lengths]
    tables = []
    for trained_with in setting.epochs:
        encoder = steps.encoder(seed, trained_with)
        builders = {name: TableBuilder() for name in SHOWN}
        for sampler in ONE_CLIP:
            with steps.timed(f"fig3 features-L{trained_with}-{sampler}"):
                # `all` takes every frame, so its result does not depend on the length.
                lengths = setting.test_lengths[:1] if sampler == "all" else setting.test_lengths
                scores = [
                    steps.score(
                        MeanPair(),
                        steps.features(encoder, replace(spec, length=length, sampler=sampler), View(seed=seed)),
                    )
                    for length in lengths
                ]
            conditions = conditions or replace(scores[0], frames="1 clip").line()
            scores = scores * len(setting.test_lengths) if sampler == "all" else scores
            for name, builder in builders.items():
                builder.add(sampler, [MEASURES[name](one) for one in scores])
        tables += [
            builder.table(f"{name}, L_train = {trained_with}", columns, "sampler") for name, builder in builders.items()
        ]
    epochs = ", ".join(f"{count} epochs at L = {length}" for length, count in setting.epochs.items())
    return Outcome(
        "fig3", "Fig. 3: sampler and length of a single clip", tuple(tables), _claims_of_fig3(tables), conditions,
        notes=(f"Encoders of seed {seed}: {epochs}. The paper shows this figure without numbers.",),
    )  # fmt: skip


def _claims_of_fig3(tables: list[Table]) -> tuple[Claim, ...]:
    maps = tables[:: len(SHOWN)]
    short, long = ([table.means("evenly")[place] for table in maps] for place in (0, -1))
    gains = [min(t.means("random")[0], t.means("evenly")[0]) - t.means("consec")[0] for t in maps]
    best = [max(table.means(name)[0] for name in ("consec", "random", "evenly")) for table in maps]
    return (
        Claim(
            "longer test clips increase mAP (evenly)", all(b > a for a, b in zip(short, long, strict=True)),
            ", ".join(f"{a:.1f} → {b:.1f}" for a, b in zip(short, long, strict=True)),
        ),
        Claim(
            "random and evenly beat consec on the shortest test clips", min(gains) > 0,
            ", ".join(f"{gain:+.1f}" for gain in gains) + " mAP",
        ),
        Claim(
            "the encoder trained on the shortest clips is best on the shortest test clips", best[0] == max(best),
            ", ".join(f"{value:.1f}" for value in best) + " mAP",
        ),
    )  # fmt: skip


def fig4(steps: Steps) -> Outcome:
    """Fig. 4: mean of M clip features, with and without ℓ2 normalisation."""
    setting = steps.setting
    aggregators = {"no ℓ2": MeanFeature(normalise=False), "ℓ2": MeanFeature(normalise=True)}
    builders = {name: TableBuilder() for name in SHOWN}
    conditions = ""
    for seed in setting.seeds:
        encoder = steps.encoder(seed)
        scores: dict[str, list[Scores]] = {name: [] for name in aggregators}
        for count in setting.counts:
            with steps.timed(f"fig4 features-M{count}-seed{seed}"):
                features = steps.features(encoder, replace(setting.recipe.clips, count=count))
            for name, aggregator in aggregators.items():
                scores[name].append(steps.score(aggregator, features))
        for name, by_count in scores.items():
            for measure, builder in builders.items():
                builder.add(name, [MEASURES[measure](one) for one in by_count])
        conditions = conditions or replace(scores["ℓ2"][0], frames=f"M clips of {steps.length} frames").line()
    columns = [f"M = {count}" for count in setting.counts]
    paper = {"ℓ2": tuple(TABLE6.get(count, {}).get(4) for count in setting.counts)} if steps.length == 4 else {}
    tables = tuple(
        builder.table(name, columns, "mean of M clips", published=paper if name == "mAP" else {})
        for name, builder in builders.items()
    )
    with_l2, without = tables[0].means("ℓ2"), tables[0].means("no ℓ2")
    at = {count: with_l2[place] for place, count in enumerate(setting.counts)}
    claims = (
        Claim("mAP rises with the number of clips up to 8", with_l2[0] < at[2] < at[4] < at[8],
              ", ".join(f"{value:.1f}" for value in with_l2) + " mAP"),
        Claim("16 clips gain less than 1 mAP over 8", abs(at[16] - at[8]) < 1, f"{at[16] - at[8]:+.1f} mAP"),
        Claim("ℓ2 increases mAP for every M > 1", all(a > b for a, b in zip(with_l2[1:], without[1:], strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(with_l2, without, strict=True)) + " mAP"),
    )  # fmt: skip
    return Outcome("fig4", "Fig. 4: mean of M clip features", tables, claims, conditions)


def table6(steps: Steps) -> Outcome:
    """Table 6: number and length of clips, mean of ℓ2-normalised features, one encoder for each length."""
    setting = steps.setting
    seed, conditions = setting.seeds[0], ""
    lengths = tuple(setting.epochs)
    counts = tuple(count for count in setting.counts if count <= setting.recipe.clips.count)
    builder = TableBuilder()
    for count in counts:
        scores = []
        for length in lengths:
            encoder = steps.encoder(seed, length)
            with steps.timed(f"table6 features-M{count}-L{length}"):
                scores.append(
                    steps.score(
                        MeanFeature(),
                        steps.features(encoder, replace(setting.recipe.clips, count=count, length=length)),
                    )
                )
        builder.add(f"M = {count}", [100 * one.map for one in scores])
        conditions = conditions or replace(scores[0], frames="M clips of L frames").line()
    paper = {f"M = {count}": tuple(TABLE6.get(count, {}).get(length) for length in lengths) for count in counts}
    table = builder.table("mAP", [f"L = {length}" for length in lengths], "clips", published=paper)
    one_clip, all_clips = table.means(f"M = {counts[0]}"), table.means(f"M = {counts[-1]}")
    claims = (
        Claim("with one clip, the longest clips are best", one_clip[-1] == max(one_clip),
              ", ".join(f"{value:.1f}" for value in one_clip) + " mAP"),
        Claim(f"with {counts[-1]} clips, the longest are not best", all_clips[-1] < max(all_clips),
              ", ".join(f"{value:.1f}" for value in all_clips) + " mAP"),
    )  # fmt: skip
    epochs = ", ".join(f"{count} at L = {length}" for length, count in setting.epochs.items())
    return Outcome("table6", "Table 6: number and length of clips", (table,), claims, conditions,
                   notes=(f"Epochs of stage 1: {epochs}.",))  # fmt: skip
