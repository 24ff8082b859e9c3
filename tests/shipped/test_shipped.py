from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resight.checkpoints import load_checkpoint
from resight.errors import CheckpointError
from resight.shipped import DEFAULT, shipped_card, shipped_model, shipped_models


def test_shipped_models_match_their_cards() -> None:
    cards = shipped_models()
    assert not cards or DEFAULT in {card.name for card in cards}
    for card in cards:
        path = shipped_model(card.name)
        model = load_checkpoint(path)
        assert path.stat().st_size == card.size
        assert model.encoder.dim == card.dim and model.recipe.name == card.recipe


def test_a_model_is_found_by_its_name(shipped_folder: Path) -> None:
    assert [card.name for card in shipped_models(shipped_folder)] == [DEFAULT]
    model = load_checkpoint(shipped_model(folder=shipped_folder))
    assert model.encoder.dim == shipped_card(DEFAULT, shipped_folder).dim
    assert {p.dtype for p in model.encoder.parameters()} == {torch.float32}


def test_the_error_for_an_unknown_name_lists_the_models(shipped_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"'anna': expected .* one of {DEFAULT}"):
        shipped_model("anna", shipped_folder)
    with pytest.raises(CheckpointError, match="no model comes with this copy of Resight: train one"):
        shipped_model(folder=tmp_path)


def test_weights_with_another_hash_than_the_card_are_refused(shipped_folder: Path) -> None:
    path = shipped_model(folder=shipped_folder)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match=r"has the SHA-256 .* but its card has"):
        shipped_model(folder=shipped_folder)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"the weights file of the model .* is missing"):
        shipped_model(folder=shipped_folder)
