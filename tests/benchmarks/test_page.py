import json
from typing import Any

import pytest
from benchmarks.timing import Row, take_turns

from benchmarks import page

ROW = Row("encoder", "inference", "clips/s", 10.0, 25.0, 2.5, 2.5, 0.5, "float32 matrix rate", "difference 1e-7")


def results(*rows: Row) -> dict[str, Any]:
    return {"machine": {"cores": 2}, "command": "run", "seconds": 3.0, "rows": [row.to_json() for row in rows]}


def test_page_shows_each_row_and_says_that_a_gpu_was_not_measured() -> None:
    text = page.page(results(ROW), None, "## Why\n\nBecause.")
    assert "| inference, clips/s | 10 | 25 | **2.50** | 2.5 | 50% of float32 matrix rate | difference 1e-7 |" in text
    assert "No GPU figures" in text
    assert text.endswith("Because.\n")


def test_page_includes_gpu_figures() -> None:
    text = page.page(results(ROW), results(Row("all pairs", "MARS", "pairs/s", None, 1e6, None)), "")
    assert "No GPU figures" not in text
    assert "| MARS, pairs/s | – | 1,000,000 | – |  |  |  |" in text


def test_page_in_the_docs_is_up_to_date() -> None:
    if not page.RESULTS["cpu"].is_file():
        pytest.skip("benchmarks have not been run: make bench")
    assert page.PAGE.read_text(encoding="utf-8") == page.saved_page()


def test_rows_survive_json() -> None:
    assert Row(**json.loads(json.dumps(ROW.to_json()))) == ROW


def test_turns_call_each_function_once_per_turn_and_compare_within_turns() -> None:
    calls: list[str] = []
    turns = take_turns({"plain": lambda: calls.append("p"), "ours": lambda: calls.append("o")}, 3)
    assert calls == ["p", "o"] * 4  # one extra turn to warm up
    assert all(len(seconds) == 3 for seconds in turns.seconds.values())
    turns.seconds.update(plain=[2.0, 30.0, 4.0], ours=[1.0, 10.0, 1.0])
    assert (turns.median("plain"), turns.ratio("plain", "ours")) == (4.0, 3.0)
