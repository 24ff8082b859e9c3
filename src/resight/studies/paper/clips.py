"""How clips are cut: Fig. 3 (one clip, samplers and lengths), Fig. 4 and Table 6 (the mean of many clips)."""

from __future__ import annotations

from dataclasses import replace

from resight.features.extract import View
from resight.models.aggregators import MeanFeature, MeanPair
from resight.recipe import Sampler
from resight.studies.outcome import Cell, Claim, Outcome, Row, StudyTable
from resight.studies.paper.published import TABLE6
from resight.studies.steps import Steps

ONE_CLIP: tuple[Sampler, ...] = ("consec", "random", "evenly", "all")
"""The samplers of Table 1."""


def fig3(steps: Steps) -> Outcome:
    """Fig. 3: sampler × L_test for encoders trained with clips of several lengths; one clip a tracklet, cosine."""
    setting = steps.setting
    seed, lines = setting.seeds[0], ""
    spec = replace(setting.recipe.clips, count=1)
    tables = []
    for trained_with in setting.epochs:
        encoder = steps.encoder(seed, trained_with)
        rows: dict[str, list[tuple[Cell, Cell]]] = {}
        for sampler in ONE_CLIP:
            with steps.timed(f"fig3 features-L{trained_with}-{sampler}"):
                # `all` takes every frame, whatever the length
                lengths = setting.test_lengths[:1] if sampler == "all" else setting.test_lengths
                scores = [
                    steps.score(
                        MeanPair(),
                        steps.features(encoder, replace(spec, length=length, sampler=sampler), View(seed=seed)),
                    )
                    for length in lengths
                ]
            lines = lines or replace(scores[0], frames="1 clip").line()
            scores = scores * len(setting.test_lengths) if sampler == "all" else scores
            rows[sampler] = [((100 * one.map,), (100 * one.rank(1),)) for one in scores]
        for place, measure in enumerate(("mAP", "rank-1")):
            tables.append(
                StudyTable(
                    f"{measure}, L_train = {trained_with}", "sampler",
                    tuple(f"L_test = {length}" for length in setting.test_lengths),
                    tuple(Row(name, tuple(both[place] for both in cells)) for name, cells in rows.items()),
                )
            )  # fmt: skip
    return Outcome(
        "fig3", "Fig. 3: which frames one clip is made of", tuple(tables), _claims_of_fig3(tables), lines,
        notes=(f"Encoders of seed {seed}, {', '.join(f'{n} epochs at L = {k}' for k, n in setting.epochs.items())}. "
               "The paper gives this figure without numbers.",),
    )  # fmt: skip


def _claims_of_fig3(tables: list[StudyTable]) -> tuple[Claim, ...]:
    maps = tables[::2]
    short, long = ([table.means("evenly")[place] for table in maps] for place in (0, -1))
    wide = [min(t.means("random")[0], t.means("evenly")[0]) - t.means("consec")[0] for t in maps]
    at_least = [max(table.means(name)[0] for name in ("consec", "random", "evenly")) for table in maps]
    return (
        Claim(
            "longer test clips are better (evenly)", all(b > a for a, b in zip(short, long, strict=True)),
            ", ".join(f"{a:.1f} → {b:.1f}" for a, b in zip(short, long, strict=True)),
        ),
        Claim(
            "random and evenly beat consec where clips are shortest", min(wide) > 0,
            ", ".join(f"{one:+.1f}" for one in wide) + " mAP",
        ),
        Claim(
            "on the shortest test clips the encoder trained on the shortest is best", at_least[0] == max(at_least),
            ", ".join(f"{one:.1f}" for one in at_least) + " mAP",
        ),
    )  # fmt: skip


def fig4(steps: Steps) -> Outcome:
    """Fig. 4: the mean of M clip features, with and without l2-normalisation."""
    setting = steps.setting
    ways = {"no ℓ2": MeanFeature(normalise=False), "ℓ2": MeanFeature(normalise=True)}
    cells: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in ways}
    line = ""
    for seed in setting.seeds:
        encoder = steps.encoder(seed)
        for rows in cells.values():
            rows.append([])
        for count in setting.counts:
            with steps.timed(f"fig4 features-M{count}-seed{seed}"):
                features = steps.features(encoder, replace(setting.recipe.clips, count=count))
            for name, aggregator in ways.items():
                scores = steps.score(aggregator, features)
                cells[name][-1].append((100 * scores.map, 100 * scores.rank(1)))
                line = line or replace(scores, frames=f"M clips of {steps.length} frames").line()
    columns = tuple(f"M = {count}" for count in setting.counts)
    paper = tuple(TABLE6.get(count, {}).get(4) for count in setting.counts) if steps.length == 4 else ()
    tables = tuple(
        StudyTable(
            measure, "mean of M clips", columns,
            tuple(
                Row(
                    name,
                    tuple(tuple(seed[m][place] for seed in rows) for m in range(len(columns))),
                    paper if (measure, name) == ("mAP", "ℓ2") else (),
                )
                for name, rows in cells.items()
            ),
        )
        for place, measure in enumerate(("mAP", "rank-1"))
    )  # fmt: skip
    with_l2, without = tables[0].means("ℓ2"), tables[0].means("no ℓ2")
    at = {count: place for place, count in enumerate(setting.counts)}
    claims = [
        Claim("more clips help up to 8", with_l2[0] < with_l2[at[2]] < with_l2[at[4]] < with_l2[at[8]],
              ", ".join(f"{one:.1f}" for one in with_l2) + " mAP"),
        Claim("beyond 8 there is little more (under 1 mAP)", abs(with_l2[at[16]] - with_l2[at[8]]) < 1,
              f"{with_l2[at[16]] - with_l2[at[8]]:+.1f} mAP"),
        Claim("ℓ2 helps at every M > 1", all(a > b for a, b in zip(with_l2[1:], without[1:], strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(with_l2, without, strict=True)) + " mAP"),
    ]  # fmt: skip
    return Outcome("fig4", "Fig. 4: the mean of M clips", tables, tuple(claims), line)


def table6(steps: Steps) -> Outcome:
    """Table 6: M × L, mean of l2-normalised clip features, each L with an encoder trained at that L."""
    setting = steps.setting
    seed = setting.seeds[0]
    lengths = tuple(setting.epochs)
    counts = tuple(count for count in setting.counts if count <= setting.recipe.clips.count)
    rows, line = [], ""
    for count in counts:
        cells = []
        for length in lengths:
            encoder = steps.encoder(seed, length)
            with steps.timed(f"table6 features-M{count}-L{length}"):
                scores = steps.score(
                    MeanFeature(),
                    steps.features(encoder, replace(setting.recipe.clips, count=count, length=length)),
                )
            cells.append((100 * scores.map,))
            line = line or replace(scores, frames="M clips of L frames").line()
        published = tuple(TABLE6.get(count, {}).get(length) for length in lengths)
        rows.append(Row(f"M = {count}", tuple(cells), published))
    table = StudyTable("mAP", "clips", tuple(f"L = {length}" for length in lengths), tuple(rows))
    most, first = table.means(rows[-1].name), table.means(rows[0].name)
    claims = (
        Claim("with one clip the longest clips are best", first[-1] == max(first),
              ", ".join(f"{one:.1f}" for one in first) + " mAP"),
        Claim(f"with {counts[-1]} clips the longest are no longer best", most[-1] < max(most),
              ", ".join(f"{one:.1f}" for one in most) + " mAP"),
    )  # fmt: skip
    epochs = ", ".join(f"{n} at L = {length}" for length, n in setting.epochs.items())
    return Outcome("table6", "Table 6: number and length of clips", (table,), claims, line,
                   notes=(f"Epochs of stage 1: {epochs}.",))  # fmt: skip
