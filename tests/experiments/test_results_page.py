from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments import results_page
from resight.explanation.plots import save_figure
from resight.studies.framework.outcome import Claim, Outcome
from resight.tables import Row, Table

OUTCOME = Outcome(
    "fig4", "A study", (Table("mAP", ("M = 1",), (Row("mean", ((1.0, 2.0),)),), "clips"),),
    (Claim("more is better", True, "1.0"),), seeds=(0, 1), seconds={}, command="resight reproduce fig4",
)  # fmt: skip


def test_the_page_in_the_docs_is_what_the_saved_results_give() -> None:
    text = results_page.PAGE.read_text(encoding="utf-8")
    assert text == results_page.page(), "docs/results.md is out of date: run `python -m experiments.results_page`"
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (results_page.PAGE.parent / picture).is_file()


def test_results_of_a_run_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert text.startswith("# Results\n\n### A study\n\n![A study](images/study/fig4.svg)\n\nmAP:\n")
    assert "| mean | 1.5 ± 0.7 |" in text and text.endswith("\n\nThe end.\n")
    assert "* holds: more is better (1.0)\n" in text
    assert "`resight reproduce fig4`: 0.0 min" in text and "](../experiments/results/fig4.json)" in text
    assert (tmp_path / "images" / "fig4.svg").is_file()

    (tmp_path / "remarks.md").write_text("<!-- study: fig4, other/fig4 -->\n\nThe end.\n")
    replace(OUTCOME, claims=(Claim("more is better", False, "0.5"),)).save(run / "results")
    results_page.results_page(run, under="other")
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("### A study\n\n**Encoder `demo`**\n\n![A study](images/study/fig4.svg)")
    assert "\n**Encoder `other`**\n\n![A study](images/study/other/fig4.svg)\n" in text
    assert "| more is better | yes: 1.0 | no: 0.5 |" in text


def test_the_page_shows_map_and_the_conditions_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_page, "RESULTS", tmp_path)
    monkeypatch.setattr(results_page, "IMAGES", tmp_path / "images")
    usual = replace(OUTCOME, name="table2", conditions="protocol mars; 8 clips", machine="2 cores")
    columns = ("mAP, clean", "rank-1, clean", "mINP, clean")
    tables = (
        Table("percent", columns, (Row("mean", ((1.0,), (2.0,), (3.0,)), (4.0, 5.0, 6.0)),)),
        Table("rank-1", ("M = 1",), (Row("mean", ((7.0,),)),)),
    )
    other = replace(OUTCOME, name="cost", conditions="protocol mars; M clips", machine="2 cores", tables=tables)
    for outcome in (usual, other):
        outcome.save(tmp_path)
    assert results_page.conditions(usual) == "small setting, seeds 0, 1; protocol mars; 8 clips; 2 cores"
    text = results_page.study(["cost"])
    assert "|  | mAP, clean |\n|---|---|\n| mean | 1.0 |\n| *mean, the paper* | *4.0* |\n\n" in text
    assert "rank-1" not in text and text.endswith(": 0.0 min; M clips; [values](../experiments/results/cost.json)")


@pytest.mark.parametrize(("name", "suffix"), [("damage", ".svg"), ("damage-kinds", ".png"), ("fig5", ".png")])
def test_pictures_of_frames_are_saved_as_small_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    monkeypatch.setattr(results_page, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results_page, "IMAGES", tmp_path / "images")
    for extension in ("svg", "png"):
        save_figure(Figure(), tmp_path / f"{name}.{extension}")
    results_page.save(replace(OUTCOME, name=name.partition("-")[0]), tmp_path)
    assert [path.name for path in (tmp_path / "images").iterdir()] == [name + suffix]
