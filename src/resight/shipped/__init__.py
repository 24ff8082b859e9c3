"""Models that come with the package: NAME.safetensors in this folder, and NAME.toml, its card."""

from __future__ import annotations

import hashlib
from pathlib import Path

from resight.errors import CheckpointError
from resight.shipped.card import Card, read_card

DEFAULT = "open-small"
"""The model that answers where none is named."""

FOLDER = Path(__file__).parent


def shipped_models(folder: Path = FOLDER) -> tuple[Card, ...]:
    """Their cards, in the order of their names.

    Raises:
        CheckpointError: if a card cannot be read.
    """
    return tuple(read_card(path) for path in sorted(folder.glob("*.toml")))


def shipped_card(name: str, folder: Path = FOLDER) -> Card:
    """The card of one.

    Raises:
        CheckpointError: if there is none of that name, or it cannot be read.
    """
    cards = {card.name: card for card in shipped_models(folder)}
    if not cards:
        raise CheckpointError(
            f"no file and no model is called {name!r}, and none comes with this copy of Resight: train one (`resight "
            "train`, or `make demo`) and give its file as --model PATH"
        )
    if name not in cards:
        raise CheckpointError(
            f"no file and no model is called {name!r}: expected the path of a model file, or one of {', '.join(cards)}"
        )
    return cards[name]


def shipped_model(name: str = DEFAULT, folder: Path = FOLDER) -> Path:
    """The weights file of one, for `resight.checkpoints.load_checkpoint`.

    Raises:
        CheckpointError: if there is none of that name, its file is missing, or is not the one that its card is about.
    """
    card, path = shipped_card(name, folder), folder / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"no file {path}, though its card is there; install Resight again")
    found = file_hash(path)
    if found != card.sha256:
        raise CheckpointError(
            f"{path} has the SHA-256 {found}, but its card is about {card.sha256}; install Resight again"
        )
    return path


def weights_of(named: Path, folder: Path = FOLDER) -> Path:
    """The model file of that path; where there is none, that of the model of that name that comes with the package.

    Raises:
        CheckpointError: if the name is no path and of no model.
    """
    return named if named.is_file() or len(named.parts) > 1 else shipped_model(str(named), folder)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
