"""Models that come with the package: weights in NAME.safetensors and the model card in NAME.toml, in this folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from resight.errors import CheckpointError
from resight.shipped.card import Card, read_card

DEFAULT = "open"
"""Name of the model that is used if none is named."""

FOLDER = Path(__file__).parent


def shipped_models(folder: Path = FOLDER) -> tuple[Card, ...]:
    """Return the cards of all shipped models, sorted by name.

    Raises:
        CheckpointError: If a card cannot be read.
    """
    return tuple(read_card(path) for path in sorted(folder.glob("*.toml")))


def shipped_card(name: str, folder: Path = FOLDER) -> Card:
    """Return the card of a shipped model.

    Raises:
        CheckpointError: If there is no model of this name, or its card cannot be read.
    """
    cards = {card.name: card for card in shipped_models(folder)}
    if not cards:
        raise CheckpointError(
            f"there is no model file {name!r}, and no model comes with this copy of Resight: train one with "
            "`resight train`, and give its file as --model PATH"
        )
    if name not in cards:
        raise CheckpointError(
            f"there is no model file or model {name!r}: expected the path of a model file, or one of {', '.join(cards)}"
        )
    return cards[name]


def shipped_model(name: str = DEFAULT, folder: Path = FOLDER) -> Path:
    """Return the weights file of a shipped model, after comparing its SHA-256 with the card.

    Raises:
        CheckpointError: If there is no model of this name, or its file is missing or has another SHA-256.
    """
    card, path = shipped_card(name, folder), folder / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path}, the weights file of the model {name!r}, is missing: install Resight again")
    found = file_hash(path)
    if found != card.sha256:
        raise CheckpointError(f"{path} has the SHA-256 {found}, but its card has {card.sha256}: install Resight again")
    return path


def weights_of(model: Path, folder: Path = FOLDER) -> Path:
    """Return the model file at a path, or the weights file of the shipped model of that name.

    Raises:
        CheckpointError: If the path is neither a file nor the name of a shipped model.
    """
    return model if model.is_file() or len(model.parts) > 1 else shipped_model(str(model), folder)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
