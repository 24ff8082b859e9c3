from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from resight.studies import figures
from resight.studies.framework.outcome import Claim, Outcome, TableBuilder
from resight.studies.paper import published
from resight.tables import Row, Table

TABLE = Table(
    "mAP", ("M = 1", "M = 2"),
    (Row("ours", ((10.0, 20.0), (30.0, 50.0)), (12.0, None)), Row("theirs", ((), ()), (1.0, 2.0))),
    "method",
)  # fmt: skip
OUTCOME = Outcome(
    "toy", "A toy", (TABLE,), (Claim("more is better", True, "15.0 → 40.0"), Claim("less is more", False, "no")),
    "protocol mars", ("a note",), "resight reproduce toy", "small", (3, 4), {"train": 60.0, "score": 30.0}, "2 cores",
)  # fmt: skip


def test_markdown_has_mean_and_sample_deviation_and_the_paper_below() -> None:
    lines = TABLE.to_markdown().splitlines()
    assert lines[2] == "| ours | 15.0 ± 7.1 | 40.0 ± 14.1 |"
    assert lines[3] == "| *ours, the paper* | *12.0* |  |"
    assert lines[4:] == ["| theirs |  |  |", "| *theirs, the paper* | *1.0* | *2.0* |"]
    assert TABLE.means("ours") == (15.0, 40.0)
    text = OUTCOME.to_markdown()
    assert "* holds: more is better (15.0 → 40.0)" in text and "* does not hold: less is more (no)" in text
    assert "seeds 3, 4; mean ± standard deviation over 2 seeds; protocol mars. Total time of the steps: 1.5 min" in text


def test_a_builder_collects_one_value_for_each_seed() -> None:
    builder = TableBuilder()
    for values in ((10.0, 30.0), (20.0, 50.0)):
        builder.add("ours", values)
    published = {"ours": (12.0, None), "absent": (1.0, 2.0)}
    table = builder.table("mAP", TABLE.columns, "method", published=published)
    assert table == Table("mAP", TABLE.columns, TABLE.rows[:1], "method")


def test_json_and_csv_keep_every_seed(tmp_path: Path) -> None:
    assert Outcome.from_json(json.loads(json.dumps(OUTCOME.to_json()))) == OUTCOME
    rows = list(csv.DictReader(io.StringIO(OUTCOME.to_csv())))
    ours = [(row["column"], row["seed"], float(row["value"])) for row in rows if row["row"] == "ours"]
    assert ours == [("M = 1", "3", 10.0), ("M = 1", "4", 20.0), ("M = 2", "3", 30.0), ("M = 2", "4", 50.0),
                    ("M = 1", "paper", 12.0)]  # fmt: skip
    written = OUTCOME.save(tmp_path / "new")
    assert [path.name for path in written] == ["toy.json", "toy.csv", "toy.md"]
    assert Outcome.from_json(json.loads(written[0].read_text())) == OUTCOME


def test_figures_show_mean_and_spread_of_measured_values() -> None:
    figure = figures.lines(OUTCOME)
    (axes,) = figure.axes
    (line,) = axes.lines  # "theirs" has no measured values
    assert np.asarray(line.get_xydata()).tolist() == [[1.0, 15.0], [2.0, 40.0]]
    assert axes.get_title() == "mAP" and axes.get_xlabel() == "M"
    assert len(axes.collections) == 1  # the band of one standard deviation


def test_columns_that_grow_by_factors_are_evenly_spaced() -> None:
    assert figures._numbers(("L = 4", "L = 8", "L = 16")) == [0.0, 1.0, 2.0]
    assert figures._numbers(("t = 10", "t = 20", "t = 30")) == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("table", [published.TABLE2_MAP, published.TABLE2_RANK1])
def test_published_table_2_is_complete_and_agrees_with_the_text(table: dict[str, tuple[float, ...]]) -> None:
    assert len(table) == 15 and all(len(row) == len(published.RATES) for row in table.values())
    # Sec. 4.4: the maximum of the baseline trained without t at M_c^max = 7 is 49.3, for t = 20 %
    evaluated = {name: row[7] for name, row in published.TABLE2_MAP.items() if name.endswith("-eval")}
    assert max(evaluated, key=lambda name: evaluated[name]) == "top 20 %-eval" and max(evaluated.values()) == 49.3


def test_published_tables_agree_where_they_overlap() -> None:
    ours = published.TABLE3["learned importance"]
    assert ours[:2] == (
        published.TABLE2_MAP["learned importance"][0],
        published.TABLE2_RANK1["learned importance"][0],
    )
