"""Tables 3, 4 and 5: where the method stands on a whole data set, with and without re-ranking."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from resight.evaluation.metrics import Scores
from resight.models.aggregators import Aggregator, MeanFeature
from resight.studies.outcome import Outcome, Row, StudyTable
from resight.studies.paper.published import OURS, TABLE3, TABLE4, TABLE5
from resight.studies.steps import Steps

COLUMNS = ("mAP", "rank-1", "rank-5", "rank-20")


def table3(steps: Steps) -> Outcome:
    """Table 3: MARS."""
    return _standing([steps], "table3", "Table 3: MARS", "mars", TABLE3)


def table4(steps: Steps) -> Outcome:
    """Table 4: DukeMTMC-VideoReID."""
    return _standing([steps], "table4", "Table 4: DukeMTMC-VideoReID", "duke-video", TABLE4)


def table5(*splits: Steps) -> Outcome:
    """Table 5: PRID2011, a training for each of its ten splits."""
    return _standing(list(splits), "table5", "Table 5: PRID2011", "prid2011", TABLE5)


def _standing(
    splits: list[Steps], name: str, title: str, kind: str, published: Mapping[str, tuple[float | None, ...]]
) -> Outcome:
    rows: dict[str, list[Scores]] = {}
    # one training for each split; of a data set with one split, one for each seed
    runs = [(steps, steps.setting.seeds[0]) for steps in splits] if len(splits) > 1 else [
        (splits[0], seed) for seed in splits[0].setting.seeds
    ]  # fmt: skip
    for steps, seed in runs:
        features = steps.damaged(seed, 0)
        made: dict[str, Callable[[], Aggregator]] = {
            "mean feature, ℓ2": MeanFeature,
            OURS: lambda steps=steps, seed=seed: steps.trained("learned", seed, 0),  # type: ignore[misc]
        }
        for row, make in made.items():
            aggregator = make()
            rows.setdefault(row, []).append(steps.score(aggregator, features))
            rows.setdefault(f"{row}, re-ranked", []).append(steps.score(aggregator, features, reranked=True))
    measured = tuple(
        Row(
            row,
            tuple(tuple(100 * value for value in column) for column in zip(*map(_values, scores), strict=True)),
            published.get(row, ()),
        )
        for row, scores in rows.items()
    )
    others = tuple(
        Row(f"{row} (published)", ((),) * len(COLUMNS), values) for row, values in published.items() if row not in rows
    )
    split = splits[0].split
    is_it = split.name == kind and len(splits) == splits[0].protocol.splits
    notes = () if is_it else (
        f"This is not {title.partition(': ')[2]} but {split.root.name}, so nothing here compares with the published "
        "figures; they show the form.",
    )  # fmt: skip
    table = StudyTable("percent", "", COLUMNS, measured + others)
    first, reranked = rows[OURS][0], rows[f"{OURS}, re-ranked"][0]
    return Outcome(name, title, (table,), (), f"{first.line()}; re-ranked rows: {reranked.reranking}", notes)


def _values(scores: Scores) -> tuple[float, ...]:
    return scores.map, scores.rank(1), scores.rank(5), scores.rank(20)
