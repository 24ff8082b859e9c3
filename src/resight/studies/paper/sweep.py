"""Table 2 and Fig. 6: top-t % and learned importance, trained and evaluated at each corruption rate."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from resight.evaluation.metrics import Scores
from resight.models.aggregators import Aggregator, TopShare
from resight.studies.framework.outcome import MEASURES, Claim, Outcome, TableBuilder
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS, RATES, TABLE2_MAP, TABLE2_RANK1, Curve
from resight.tables import Table

UNPROJECTED = "top {} %, no projection"
"""Top-t % on the features that learned importance gets."""

SweepScores = Mapping[str, Sequence[Sequence[Scores]]]
"""Aggregator name → seed → rate → scores."""


def table2(steps: Steps) -> Outcome:
    """Table 2: mAP and rank-1 at each corruption rate M_c^max."""
    scores, conditions = corruption_sweep(steps)
    rates = steps.setting.rates
    unprojected = [UNPROJECTED.format(t) for t in steps.setting.shares]
    names = [name for name in scores if name not in unprojected]
    tables = [
        _table(scores, names, rates, "mAP", TABLE2_MAP),
        _table(scores, names, rates, "rank-1", TABLE2_RANK1),
        _table(scores, unprojected, rates, "mAP", {}, ", without projection"),
    ]
    return Outcome("table2", "Table 2: corruption rate", tuple(tables), _claims(tables, rates), conditions)


def fig6(steps: Steps) -> Outcome:
    """Fig. 6: mAP for each t of top-t %-eval and top-t %-traineval, at each corruption rate M_c^max."""
    scores, conditions = corruption_sweep(steps)
    setting = steps.setting
    rates = setting.rates
    tables = []
    for variant, shares in (("eval", setting.shares), ("traineval", setting.trained_shares)):
        names = [f"top {t} %-{variant}" for t in shares]
        builder = TableBuilder()
        for place, rate in enumerate(rates):
            for seed in range(len(setting.seeds)):
                builder.add(f"M_c^max = {rate}", [100 * scores[name][seed][place].map for name in names])
        published = {f"M_c^max = {rate}": tuple(_published(TABLE2_MAP, name, rate) for name in names) for rate in rates}
        columns = [f"t = {t}" for t in shares]
        tables.append(builder.table(f"mAP, top-t %-{variant}", columns, "corruption", published=published))
    by_rate = [tables[0].means(f"M_c^max = {rate}") for rate in rates]
    best = setting.shares[by_rate[0].index(max(by_rate[0]))]
    evaluated, trained = setting.shares.index(20), setting.trained_shares.index(20)
    gains = [
        tables[1].means(f"M_c^max = {rate}")[trained] - row[evaluated] for rate, row in zip(rates, by_rate, strict=True)
    ]
    claims = (
        Claim("on clean clips a medium t is best (20 to 80)", 20 <= best <= 80, f"t = {best}"),
        Claim("mAP at the best t falls as more clips are corrupted", max(by_rate[0]) > max(by_rate[-1]),
              f"{max(by_rate[0]):.1f} → {max(by_rate[-1]):.1f} mAP"),
        Claim("training with the same t helps at t = 20", statistics.fmean(gains) > 0,
              ", ".join(f"{gain:+.1f}" for gain in gains) + " mAP"),
    )  # fmt: skip
    return Outcome("fig6", "Fig. 6: selection rate t of top-t %", tuple(tables), claims, conditions)


def corruption_sweep(steps: Steps) -> tuple[SweepScores, str]:
    """Train and score each aggregator of Table 2 at each rate, once for both studies.

    Returns:
        Aggregator name to seed to rate to scores; and the conditions of the scores.
    """
    if "sweep" not in steps.memory:
        scores: dict[str, list[list[Scores]]] = defaultdict(list)
        for seed in steps.setting.seeds:
            by_rate: dict[str, list[Scores]] = defaultdict(list)
            for rate in steps.setting.rates:
                features, compared = steps.damaged(seed, rate), sweep_aggregators(steps, seed, rate)
                with steps.timed(f"table2 scores-c{rate}-seed{seed}"):
                    for name, aggregator in compared.items():
                        by_rate[name].append(steps.score(aggregator, features))
            for name, row in by_rate.items():
                scores[name].append(row)
        steps.memory["sweep"] = scores, set(steps.used)
    scores, used = steps.memory["sweep"]
    steps.used |= used
    return scores, scores[OURS][0][0].line()


def sweep_aggregators(steps: Steps, seed: int, rate: int) -> dict[str, Aggregator]:
    """Return the rows of Table 2, trained at a rate, and top-t % without projection, by name."""
    trained = {
        t: steps.trained(f"top{t}", seed, rate, partial(TopShare, t)) for t in {100, *steps.setting.trained_shares}
    }
    projection = trained[100].state_dict()
    compared: dict[str, Aggregator] = {}
    for t in steps.setting.shares:
        top = TopShare(t, dim=projection["projection.weight"].shape[0])
        top.load_state_dict(projection)
        compared[f"top {t} %-eval"] = top.eval()
    compared |= {f"top {t} %-traineval": trained[t] for t in steps.setting.trained_shares}
    compared[OURS] = steps.trained("learned", seed, rate)
    return compared | {UNPROJECTED.format(t): TopShare(t) for t in steps.setting.shares}


def _table(
    scores: SweepScores, names: Sequence[str], rates: Sequence[int], measure: str, published: Mapping[str, Curve],
    suffix: str = "",
) -> Table:  # fmt: skip
    builder = TableBuilder()
    for name in names:
        for by_rate in scores[name]:
            builder.add(name, [MEASURES[measure](one) for one in by_rate])
    paper = {name: tuple(_published(published, name, rate) for rate in rates) for name in names if name in published}
    return builder.table(f"{measure} by M_c^max{suffix}", [str(rate) for rate in rates], published=paper)


def _published(table: Mapping[str, Curve], name: str, rate: int) -> float | None:
    return table[name][RATES.index(rate)] if name in table and rate in RATES else None


def _claims(tables: Sequence[Table], rates: Sequence[int]) -> tuple[Claim, ...]:
    maps, _, unprojected = tables
    ours = maps.means(OURS)
    best_projected, best_unprojected = (
        [max(table.means(row.name)[place] for row in table.rows if row.name != OURS) for place in range(len(rates))]
        for table in (maps, unprojected)
    )
    share, top_share = ours[-1] / ours[0], best_projected[-1] / best_projected[0]
    last = rates[-1]
    gaps = [a - b for a, b in zip(ours, best_unprojected, strict=True)]
    return (
        Claim("on clean clips learned importance is within 1 mAP of the best top-t %",
              ours[0] > best_projected[0] - 1, f"{ours[0]:.1f} and {best_projected[0]:.1f} mAP"),
        Claim(f"at M_c^max = {last} learned importance is better than every projected top-t %",
              ours[-1] > best_projected[-1], f"{ours[-1]:.1f} and {best_projected[-1]:.1f} mAP"),
        Claim("learned importance is better than every top-t % without projection, at every rate", min(gaps) > 0,
              ", ".join(f"{gap:+.1f}" for gap in gaps) + " mAP"),
        Claim(f"at M_c^max = {last} learned importance keeps at least 90 % of its clean mAP", share >= 0.9,
              f"{100 * share:.0f} %"),
        Claim(f"at M_c^max = {last} the best top-t % keeps at most 80 %", top_share <= 0.8, f"{100 * top_share:.0f} %"),
        Claim("learned importance keeps a larger share of its clean mAP than the best top-t %", share > top_share,
              f"{100 * share:.1f} and {100 * top_share:.1f} %"),
    )  # fmt: skip
