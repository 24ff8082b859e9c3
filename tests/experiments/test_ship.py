from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.ship import check, ship, to_toml

from experiments import models_page
from resight.checkpoints import load_checkpoint
from resight.errors import CheckpointError
from resight.shipped import shipped_card, shipped_model
from resight.shipped.card import read_toml

WRITTEN = """
name = "open-tiny"
summary = "Tiny – for tests."
licence = "Apache-2.0"
intended_use = "Tests."
limits = ["It knows nobody."]
commands = ["resight synth worlds/open"]
seconds = 1.5
machine = "two cores"
[trained_on]
data = "nobody"
persons = 1
tracklets = 2
frames = 3
[validation]
data = "others"
command = "resight evaluate mars:worlds/other"
"""


def scores(*values: float, queries: int = 5) -> dict[str, Any]:
    return {"map": values[0], "cmc": [values[1], 1.0], "minp": values[2], "valid_queries": queries}


def test_the_page_in_the_docs_is_what_the_cards_give() -> None:
    assert models_page.PAGE.read_text(encoding="utf-8") == models_page.page(), (
        "docs/models.md is out of date: run `python -m experiments.models_page`"
    )


def test_a_trained_model_is_shipped(shipped_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_page, "PAGE", tmp_path / "models.md")
    trained, folder = shipped_folder / "open.safetensors", tmp_path / "new"
    (tmp_path / "card.toml").write_text(WRITTEN, encoding="utf-8")
    slices = {"fault": {"no fault": scores(0.5, 0.25, 0.125), "occluded": scores(0, 0, 0, queries=0)}}
    saved = {
        "headline": "mean of pairs",
        "conditions": "protocol mars",
        "scores": {"mean of pairs": scores(0.4123, 0.5, 0.3)},
        "slices": slices,
    }
    (tmp_path / "scores.json").write_text(json.dumps(saved))
    ship(trained, tmp_path / "card.toml", validation=tmp_path / "scores.json", folder=folder)
    card = shipped_card("open-tiny", folder)
    assert (card.recipe, card.dim, card.clips) == ("small", 128, "2 clips of 4 frames, 32 × 16")
    assert card.validation.rows == {"mean of pairs": [41.2, 50.0, 30.0, 5]}
    assert card.by_fault.rows == {"no fault": [50.0, 25.0, 12.5, 5]}
    assert (
        card.by_fault.data == "others"
        and card.by_fault.conditions == "mean of pairs; protocol mars"
        and not card.transfer
    )
    before, after = load_checkpoint(trained), load_checkpoint(shipped_model("open-tiny", folder))
    assert all(torch.equal(a, b) for a, b in zip(before.encoder.parameters(), after.encoder.parameters(), strict=True))
    page = (tmp_path / "models.md").read_text(encoding="utf-8")
    assert card.to_markdown() in page and page == models_page.page(folder)


def test_nothing_is_shipped_with_an_incomplete_card(shipped_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(WRITTEN.replace('machine = "two cores"', ""), encoding="utf-8")
    with pytest.raises(CheckpointError, match="not a complete model card: missing machine, validation"):
        ship(shipped_folder / "open.safetensors", tmp_path / "card.toml", folder=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_changed_weights_are_detected(shipped_folder: Path) -> None:
    full, half = (load_checkpoint(shipped_folder / "open.safetensors") for _ in range(2))
    with torch.no_grad():
        for weights in half.encoder.parameters():
            weights.add_(0.3 * weights.std(correction=0) * torch.randn_like(weights))
    with pytest.raises(CheckpointError, match="float16 changes the features of this model"):
        check(full, half)


def test_toml_has_the_same_values(tmp_path: Path) -> None:
    values = {"a": 'é "\\\n', "b": [1, 2.5], "c": {"d": {"top 50 %": [1.0]}, "e": True, "é": "x"}}
    (tmp_path / "values.toml").write_text(to_toml(values), encoding="utf-8")
    assert read_toml(tmp_path / "values.toml") == values
