"""The demo from beginning to end, in small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from experiments.demo import demo
from experiments.demo_report import LEARNED, SHIPPED

RECIPE = """
base = "demo"
validation_share = 0.3
clips = { height = 32, width = 16, count = 3 }
stage1 = { encoder_width = 0.125, optimisation = { epochs = 2, persons = 2, tracklets = 2 } }
stage2 = { max_corrupted = 2, hidden = 8, variants = 1, optimisation = { epochs = 2, persons = 2, tracklets = 2 } }
"""


def test_the_demo_reports_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out = tmp_path / "out"
    demo(out=out, seeds=2, recipe=str(tmp_path / "tiny.toml"), scale="tiny", workers=1)
    results = json.loads((out / "results.json").read_text())
    assert results["max_corrupted"] == 2 and len(results["seeds"]) == 2
    for one in results["seeds"]:
        for kind in ("clean", "damaged"):
            methods = one[kind]["scores"]
            assert {LEARNED, "mean of pairs", "colour histogram", "untrained encoder", "top 20 %-traineval"} <= set(
                methods
            )
            assert all(0 <= m["map"] <= 1 and m["valid_queries"] > 0 for m in methods.values())
            assert methods[SHIPPED]["map"] > methods["untrained encoder"]["map"]
    text = capsys.readouterr().out
    assert text.count("protocol mars") == 4 and str(out / "report.html") in text

    page = (out / "report.html").read_text()
    learned = [100 * one["damaged"]["scores"][LEARNED]["map"] for one in results["seeds"]]
    assert f"{sum(learned) / 2:.1f} ±" in page and "corrupted" in page
    assert not re.search(r"(src|href)=[\"']?https?:", page)

    assert (out / "first-search.html").is_file()

    before = (out / "seed0" / "stage1.metrics.jsonl").read_bytes()
    demo(out=out, seeds=2, recipe=str(tmp_path / "tiny.toml"), scale="tiny", workers=1)
    assert json.loads((out / "results.json").read_text())["seeds"][0]["clean"] == results["seeds"][0]["clean"]
    assert (out / "seed0" / "stage1.metrics.jsonl").read_bytes() == before
