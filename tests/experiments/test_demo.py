"""The demo from beginning to end, at a small size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from experiments.demo import demo
from experiments.demo_report import LEARNED, MEAN


def test_the_demo_reports_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    demo(out=out, scale="tiny", workers=1)
    results = json.loads((out / "results.json").read_text())
    assert results["max_corrupted"] == 6
    for kind in ("clean", "damaged"):
        scores = results[kind]["scores"]
        assert {LEARNED, MEAN, "mean feature, l2", "top 50 %"} <= scores.keys()
        assert all(0 <= one["map"] <= 1 and one["valid_queries"] > 0 for one in scores.values())
    assert results["damaged"]["auroc_of_low_importance"]["corrupted"]["damaged_clips"] > 0
    text = capsys.readouterr().out
    assert text.count("protocol mars") == 4 and str(out / "report.html") in text
    assert "not in the gallery" not in text

    page = (out / "report.html").read_text()
    for kind in ("clean", "damaged"):
        assert f"{100 * results[kind]['scores'][LEARNED]['map']:.1f}" in page
    assert "corrupted" in page and not re.search(r"(src|href)=[\"']?https?:", page)
    assert (out / "first-search.html").is_file()

    demo(out=out, scale="tiny", workers=1)
    assert json.loads((out / "results.json").read_text())["clean"] == results["clean"]
