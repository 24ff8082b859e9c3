from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from experiments.open_world import EVERYTHING, STEPS, VARIANTS, Variant, outcome

from experiments import open_world
from resight.recipes import open_small
from resight.studies.framework.outcome import Outcome, values_of
from resight.synthetic.style import ANYWHERE
from resight.synthetic.world import SCALES


@pytest.mark.parametrize("variant", VARIANTS[1:], ids=lambda variant: variant.name)
def test_a_variant_differs_only_in_its_own_settings(variant: Variant) -> None:
    worlds = asdict(variant.scale()), asdict(EVERYTHING.scale())
    styles = worlds[0].pop("style"), worlds[1].pop("style")
    assert {name for name in styles[0] if styles[0][name] != styles[1][name]} == set(variant.style)
    larger = {"train_persons"} if variant.persons > EVERYTHING.persons else set()
    assert {name for name in worlds[0] if worlds[0][name] != worlds[1][name]} == larger
    stages = asdict(variant.recipe(0, STEPS).stage1), asdict(EVERYTHING.recipe(0, STEPS).stage1)
    runs = stages[0].pop("optimisation"), stages[1].pop("optimisation")
    assert {name for name in stages[0] if stages[0][name] != stages[1][name]} == set(variant.stage1)
    assert (runs[0]["together"] != runs[1]["together"]) == (variant.together > 1)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_all_training_runs_have_nearly_the_same_number_of_steps(variant: Variant) -> None:
    optimisation = variant.recipe(0, STEPS).stage1.optimisation
    per_epoch = variant.persons // optimisation.persons
    assert abs(optimisation.epochs * per_epoch - STEPS) <= per_epoch / 2
    assert optimisation.validate_every == optimisation.epochs


def test_costs_are_measured_seed_by_seed_and_the_best_is_first() -> None:
    done = {
        (EVERYTHING.name, 0): {"streets": 0.5, "anywhere": 0.3, "seconds": 1.0},
        ("less", 0): {"streets": 0.55, "anywhere": 0.01, "seconds": 1.0},
        ("more", 0): {"streets": 0.6, "anywhere": 0.3, "seconds": 1.0},
        (EVERYTHING.name, 1): {"streets": 0.3, "anywhere": 0.1, "seconds": 2.0},
        ("more", 1): {"streets": 0.5, "anywhere": 0.05, "seconds": 1.0},
    }
    (table,) = outcome(done, 10).tables
    assert [row.name for row in table.rows] == ["more", EVERYTHING.name, "less"]
    assert table.columns[0::2] == ("streets", "anywhere")
    assert table.row("more").cells[1] == pytest.approx((10, 20))
    assert table.row("more").cells[3] == pytest.approx((0, -5))
    assert table.row("less").cells[1] == pytest.approx((5,))
    assert table.row(EVERYTHING.name).cells == ((50, 30), (0, 0), (30, 10), (0, 0))


def test_a_small_study_is_run_and_repeated_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, whole = SCALES["tiny"], open_small()
    few = replace(whole.stage1.optimisation, persons=2, tracklets=2)
    small = replace(whole, stage1=replace(whole.stage1, optimisation=few))
    monkeypatch.setattr(open_world, "SCALES", {"demo": tiny, "open-small": replace(tiny, style=ANYWHERE)})
    asked = {"streets": tiny, "anywhere": replace(tiny, style=ANYWHERE)}
    monkeypatch.setattr(open_world, "judges", lambda: asked)
    monkeypatch.setattr(open_world, "open_small", lambda: small)
    monkeypatch.setattr(open_world, "PERSONS", 6)
    variants = [replace(one, persons=6) for one in (EVERYTHING, Variant("plain", {"patterns": False}))]
    monkeypatch.setattr(open_world, "VARIANTS", variants)
    open_world.open_world(out=tmp_path, steps=3, workers=1)
    path = tmp_path / "results" / "open-world.json"
    (table,) = Outcome.from_json(json.loads(path.read_text())).tables
    assert {row.name for row in table.rows} == {EVERYTHING.name, "plain"}
    assert all(0 < values_of(row.cells[judge])[0] <= 100 for row in table.rows for judge in (0, 2))
    assert (tmp_path / "world-patterns-False" / "info" / "world.json").is_file()
    before = path.read_bytes()
    open_world.open_world(out=tmp_path, steps=3, workers=1)
    assert path.read_bytes() == before
