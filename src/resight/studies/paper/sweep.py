"""Table 2 and Fig. 6: top-t % and learned importance, trained and judged at every rate of corruption."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial

from resight.evaluation.metrics import Scores
from resight.models.aggregators import Aggregator, TopShare
from resight.studies.outcome import Claim, Outcome, Row, StudyTable
from resight.studies.paper.published import OURS, RATES, TABLE2_MAP, TABLE2_RANK1, Curve
from resight.studies.steps import Steps

SAME = "top {} %, same features"
"""Top-t % on the features as they are: what learned importance has to work with."""


def table2(steps: Steps) -> Outcome:
    """Table 2: mAP and rank-1 over M_c^max."""
    scores, line = corruption_sweep(steps)
    names = [name for name in scores if "same features" not in name]
    rates = steps.setting.rates
    tables = [
        _table(scores, names, rates, "mAP", TABLE2_MAP),
        _table(scores, names, rates, "rank-1", TABLE2_RANK1),
        _table(scores, [name for name in scores if name not in names], rates, "mAP", {}, ", features not projected"),
    ]
    return Outcome("table2", "Table 2: the rate of corruption", tuple(tables), _claims(tables, rates), line)


def fig6(steps: Steps) -> Outcome:
    """Fig. 6: mAP over the selection rate t, a line for each M_c^max, the two variants side by side."""
    scores, line = corruption_sweep(steps)
    rates = steps.setting.rates
    tables = []
    for variant, shares in (("eval", steps.setting.shares), ("traineval", steps.setting.trained_shares)):
        rows = tuple(
            Row(
                f"M_c^max = {rate}",
                tuple(tuple(100 * one[place].map for one in scores[f"top {t} %-{variant}"]) for t in shares),
                tuple(_published(TABLE2_MAP, f"top {t} %-{variant}", rate) for t in shares),
            )
            for place, rate in enumerate(rates)
        )
        tables.append(StudyTable(f"mAP, top-t %-{variant}", "corruption", tuple(f"t = {t}" for t in shares), rows))
    middle = [tables[0].means(f"M_c^max = {rate}") for rate in rates]
    best = [steps.setting.shares[row.index(max(row))] for row in middle]
    low = {t: place for place, t in enumerate(steps.setting.trained_shares)}
    gain = [
        tables[1].means(f"M_c^max = {rate}")[low[20]] - row[steps.setting.shares.index(20)]
        for rate, row in zip(rates, middle, strict=True)
    ]
    claims = (
        Claim("a middle t is best when clips are clean", 20 <= best[0] <= 80, f"t = {best[0]}"),
        Claim("scores fall as more clips are corrupted", max(middle[0]) > max(middle[-1]),
              f"best t: {max(middle[0]):.1f} → {max(middle[-1]):.1f} mAP"),
        Claim("training with the same t helps at small t (t = 20)", statistics.fmean(gain) > 0,
              ", ".join(f"{one:+.1f}" for one in gain) + " mAP"),
    )  # fmt: skip
    return Outcome("fig6", "Fig. 6: the selection rate of top-t %", tuple(tables), claims, line)


def corruption_sweep(steps: Steps) -> tuple[dict[str, list[list[Scores]]], str]:
    """Train and judge every aggregator of Table 2 at every rate.

    Returns:
        Name → seed → rate → scores, and the line that says what they are worth.
    """
    scores: dict[str, list[list[Scores]]]
    if "sweep" in steps.memory:
        scores, used = steps.memory["sweep"]
        steps.used |= used
        return scores, scores[OURS][0][0].line()
    scores = {}
    for number, seed in enumerate(steps.setting.seeds):
        for rate in steps.setting.rates:
            features, made = steps.damaged(seed, rate), contestants(steps, seed, rate)
            with steps.timed(f"table2 scores-c{rate}-seed{seed}"):
                found = {name: steps.score(one, features) for name, one in made.items()}
            for name, one in found.items():
                rows = scores.setdefault(name, [])
                if len(rows) == number:
                    rows.append([])
                rows[-1].append(one)
    steps.memory["sweep"] = scores, set(steps.used)
    return scores, scores[OURS][0][0].line()


def contestants(steps: Steps, seed: int, rate: int) -> dict[str, Aggregator]:
    """The rows of Table 2, trained at a rate, and top-t % on features as they are."""
    made: dict[str, Aggregator] = {}
    trained = {
        t: steps.trained(f"top{t}", seed, rate, partial(TopShare, t)) for t in {100, *steps.setting.trained_shares}
    }
    projection = trained[100].state_dict()
    for t in steps.setting.shares:
        top = TopShare(t, dim=projection["projection.weight"].shape[0])
        top.load_state_dict(projection)
        made[f"top {t} %-eval"] = top.eval()
    made |= {f"top {t} %-traineval": trained[t] for t in steps.setting.trained_shares}
    made[OURS] = steps.trained("learned", seed, rate)
    return made | {SAME.format(t): TopShare(t) for t in steps.setting.shares}


def _table(
    scores: Mapping[str, list[list[Scores]]], names: list[str], rates: tuple[int, ...], measure: str,
    published: Mapping[str, Curve], suffix: str = "",
) -> StudyTable:  # fmt: skip
    def value(one: Scores) -> float:
        return 100 * (one.map if measure == "mAP" else one.rank(1))

    rows = tuple(
        Row(
            name,
            tuple(tuple(value(seed[place]) for seed in scores[name]) for place in range(len(rates))),
            tuple(_published(published, name, rate) for rate in rates) if name in published else (),
        )
        for name in names
    )
    return StudyTable(f"{measure} over M_c^max{suffix}", "", tuple(map(str, rates)), rows)


def _published(table: Mapping[str, Curve], name: str, rate: int) -> float | None:
    return table[name][RATES.index(rate)] if name in table and rate in RATES else None


def _claims(tables: list[StudyTable], rates: tuple[int, ...]) -> tuple[Claim, ...]:
    maps, _, same = tables
    ours = maps.means(OURS)
    tops = {row.name: maps.means(row.name) for row in maps.rows if row.name != OURS}
    plain = {row.name: same.means(row.name) for row in same.rows}
    best, best_plain = ([max(row[place] for row in group.values()) for place in range(len(rates))]
                        for group in (tops, plain))  # fmt: skip
    keeps, top_keeps = ours[-1] / ours[0], best[-1] / best[0]
    last = rates[-1]
    return (
        Claim("on clean clips learned importance is level with the best top-t % (within 1 mAP)",
              ours[0] > best[0] - 1, f"{ours[0]:.1f} and {best[0]:.1f} mAP"),
        Claim(f"at M_c^max = {last} it is ahead of every top-t %, projected and trained alike",
              ours[-1] > best[-1], f"{ours[-1]:.1f} and {best[-1]:.1f} mAP"),
        Claim("on the same features it is ahead of every top-t % at every rate",
              all(a > b for a, b in zip(ours, best_plain, strict=True)),
              ", ".join(f"{a - b:+.1f}" for a, b in zip(ours, best_plain, strict=True)) + " mAP"),
        Claim(f"at M_c^max = {last} it keeps at least 90 % of its clean mAP", keeps >= 0.9, f"{100 * keeps:.0f} %"),
        Claim("and the best top-t % at most 80 %", top_keeps <= 0.8, f"{100 * top_keeps:.0f} %"),
        Claim("it falls least: it keeps a larger share than the best top-t %", keeps > top_keeps,
              f"{100 * keeps:.1f} and {100 * top_keeps:.1f} %"),
    )  # fmt: skip
