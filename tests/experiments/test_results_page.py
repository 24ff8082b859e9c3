from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments import results_page
from resight.explanation.plots import save_figure
from resight.studies.outcome import Outcome
from resight.tables import Row, Table

OUTCOME = Outcome(
    "fig4", "A study", (Table("mAP", ("M = 1",), (Row("mean", ((1.0, 2.0),)),), "clips"),),
    seeds=(0, 1), seconds={}, command="resight reproduce fig4",
)  # fmt: skip


def test_the_page_in_the_docs_is_what_the_saved_results_give() -> None:
    text = results_page.PAGE.read_text(encoding="utf-8")
    assert text == results_page.page(), "docs/results.md is old: run `python -m experiments.results_page`"
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (results_page.PAGE.parent / picture).is_file()


def test_results_of_a_run_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESULTS", "IMAGES"):
        monkeypatch.setattr(results_page, name, tmp_path / name.lower())
    monkeypatch.setattr(results_page, "REMARKS", tmp_path / "remarks.md")
    monkeypatch.setattr(results_page, "PAGE", tmp_path / "page.md")
    (tmp_path / "remarks.md").write_text("# Results\n\n<!-- study: fig4 -->\n\nThe end.\n")
    run = tmp_path / "run"
    OUTCOME.save(run / "results")
    save_figure(Figure(), run / "results" / "fig4.svg")
    results_page.results_page(run)
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Results\n\n### A study\n\n![A study](images/study/fig4.svg)\n\n**mAP**\n")
    assert "| mean | 1.5 ± 0.7 |" in text and text.endswith("\n\nThe end.\n")
    assert (tmp_path / "images" / "fig4.svg").is_file()

    (tmp_path / "remarks.md").write_text("<!-- study: fig4 -->\n\n<!-- study: other/fig4 -->\n")
    replace(OUTCOME, title="The same, otherwise").save(run / "results")
    results_page.results_page(run, under="other")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("### A study\n\n![A study](images/study/fig4.svg)")
    assert "\n### The same, otherwise (other)\n\n![The same, otherwise](images/study/other/fig4.svg)\n" in text
