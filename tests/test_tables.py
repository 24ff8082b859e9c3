from __future__ import annotations

import json
import math
import statistics

import pytest

from resight.errors import ShapeError
from resight.tables import Cell, Row, Table, mean_of

TABLE = Table(
    "Scores in percent",
    ("mAP", "95 % interval", "queries"),
    (
        Row("mean of pairs", ((60.0, 64.0), "58.1 … 66.2", 150), (61.25, None, None)),
        Row("learned", (70.04, "–", 9)),
        Row("not run", (None, "", None)),
    ),
    head="method",
    note="protocol mars",
    best=(0,),
)


def test_text_is_aligned_numbers_to_the_right_and_words_to_the_left() -> None:
    assert TABLE.to_text().splitlines() == [
        "Scores in percent",
        "method                           mAP  95 % interval  queries",
        "mean of pairs             62.0 ± 2.8  58.1 … 66.2        150",
        "mean of pairs, the paper        61.2  –                    –",
        "learned                         70.0  –                    9",
        "not run                            –                       –",
        "protocol mars",
    ]
    assert [TABLE.alignment(column) for column in range(3)] == ["number", "words", "number"]


def test_markdown_leaves_cells_without_a_value_empty() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| method | mAP | 95 % interval | queries |",
        "|---|---|---|---|",
        "| mean of pairs | 62.0 ± 2.8 | 58.1 … 66.2 | 150 |",
        "| *mean of pairs, the paper* | *61.2* |  |  |",
        "| learned | 70.0 | – | 9 |",
        "| not run |  |  |  |",
    ]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ((1.0, 2.0, 6.0), f"3.00 ± {statistics.stdev([1, 2, 6]):.2f}"),
        ((1.5,), "1.50"),
        ((), "–"),
        (None, "–"),
        (math.nan, "–"),
        ((math.nan,), "–"),
        (2.0, "2.00"),
        (2, "2"),
        ("as text", "as text"),
    ],
)
def test_a_cell_is_shown_by_its_kind(cell: Cell, shown: str) -> None:
    assert Table("", ("a",), (), digits=2).shown(cell) == shown


def test_the_best_of_a_column_is_its_highest_mean() -> None:
    cells = [row.cells[0] for row in TABLE.rows]
    assert [TABLE.is_best(cell, 0) for cell in cells] == [False, True, False]
    assert not TABLE.is_best(150, 2), "the column is not in `best`"
    alone = Table("", ("a",), (Row("only", (1.0,)), Row("none", (None,))), best=(0,))
    assert not alone.is_best(1.0, 0), "nothing to compare with"


def test_rows_and_means_are_found_by_name() -> None:
    assert TABLE.row("learned").cells[2] == 9
    first, second, third = TABLE.means("mean of pairs")
    assert (first, third) == (62.0, 150.0) and math.isnan(second)
    assert mean_of("62") is None
    with pytest.raises(ShapeError, match="has no row 'max'; its rows are mean of pairs, learned, not run"):
        TABLE.row("max")


def test_json_and_back() -> None:
    grouped = Table("t", ("a", "b"), (Row("r", ((1.0,), None)),), groups=(("both", 2),))
    for table in (TABLE, grouped):
        assert Table.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert set(grouped.to_json()) == {"title", "head", "columns", "rows", "digits", "groups"}


def test_results_saved_by_earlier_versions_can_be_read() -> None:
    saved = {
        "title": "mAP", "head": "clips", "columns": ["M = 1", "M = 2"], "digits": 2,
        "rows": [{"name": "mean", "cells": [[1.0, 2.0], []], "published": []}],
    }  # fmt: skip
    assert Table.from_json(saved) == Table(
        "mAP", ("M = 1", "M = 2"), (Row("mean", ((1.0, 2.0), ())),), "clips", digits=2
    )


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="row 'x' has 1 cells, expected one for each of the 2 columns"):
        Table("t", ("a", "b"), (Row("x", (1,)),))
    with pytest.raises(ShapeError, match="row 'x' has 1 published figures"):
        Table("t", ("a", "b"), (Row("x", (1, 2), (1.0,)),))
    with pytest.raises(ShapeError, match="the groups cover 1 columns, expected 2"):
        Table("t", ("a", "b"), (), groups=(("g", 1),))
