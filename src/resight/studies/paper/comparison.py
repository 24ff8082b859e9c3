"""Tables 3, 4 and 5: results on a whole data set, with and without re-ranking, beside published methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from resight.evaluation.metrics import Scores
from resight.models.aggregators import MeanFeature
from resight.studies.framework.outcome import Outcome, TableBuilder
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS, TABLE3, TABLE4, TABLE5
from resight.tables import Row

COLUMNS = ("mAP", "rank-1", "rank-5", "rank-20")


def table3(steps: Steps) -> Outcome:
    """Table 3: MARS, beside published methods."""
    return _standing([steps], "table3", "Table 3: MARS", "mars", TABLE3)


def table4(steps: Steps) -> Outcome:
    """Table 4: DukeMTMC-VideoReID, beside published methods."""
    return _standing([steps], "table4", "Table 4: DukeMTMC-VideoReID", "duke-video", TABLE4)


def table5(*splits: Steps) -> Outcome:
    """Table 5: PRID2011, one training run for each of its ten splits, beside published methods."""
    return _standing(list(splits), "table5", "Table 5: PRID2011", "prid2011", TABLE5)


def _standing(
    splits: Sequence[Steps], name: str, title: str, kind: str, published: Mapping[str, tuple[float | None, ...]]
) -> Outcome:
    first = splits[0]
    # A data set with several splits gets one run for each split, otherwise one run for each seed.
    seeds = first.setting.seeds
    runs = [(steps, seeds[0]) for steps in splits] if len(splits) > 1 else [(first, seed) for seed in seeds]
    builder, conditions = TableBuilder(), ""
    for steps, seed in runs:
        features = steps.damaged(seed, 0)
        for row, aggregator in (("mean feature, ℓ2", MeanFeature()), (OURS, steps.trained("learned", seed, 0))):
            scores = steps.score(aggregator, features)
            reranked = steps.score(aggregator, features, reranked=True)
            builder.add(row, _values(scores))
            builder.add(f"{row}, re-ranked", _values(reranked))
        conditions = conditions or f"{scores.line()}; re-ranked rows: {reranked.reranking}"
    table = builder.table("percent", COLUMNS, published=published)
    measured = {row.name for row in table.rows}
    others = tuple(
        Row(f"{row} (published)", ((),) * len(COLUMNS), values)
        for row, values in published.items() if row not in measured
    )  # fmt: skip
    dataset = first.dataset
    comparable = dataset.name == kind and len(splits) == first.protocol.splits
    notes = () if comparable else (
        f"Measured on {dataset.root.name}, not on {title.partition(': ')[2]}: the published figures only show the form "
        "of the table.",
    )  # fmt: skip
    return Outcome(name, title, (replace(table, rows=table.rows + others),), (), conditions, notes)


def _values(scores: Scores) -> list[float]:
    return [100 * value for value in (scores.map, scores.rank(1), scores.rank(5), scores.rank(20))]
