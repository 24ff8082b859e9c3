"""The command that shows which models come with the package: models."""

from __future__ import annotations

from resight.cli.app import Json, app, say
from resight.shipped import DEFAULT, shipped_card, shipped_models


@app.command
def models(name: str | None = None, *, as_json: Json = False) -> None:
    """List the models that come with Resight, or print the card of one: its use, worth, origin and licence.

    Args:
        name: Of the model whose card to print.
    """
    if name is not None:
        card = shipped_card(name)
        say(card.to_json(), card.to_markdown(), as_json)
        return
    cards = shipped_models()
    lines = [
        f"{card.name:16}{card.dim:5} numbers a clip {card.megabytes:7.1f} MB  {card.summary}"
        + " (where no --model is given)" * (card.name == DEFAULT)
        for card in cards
    ]
    none = "no model comes with this copy of Resight: train one (`resight train`, or `make demo`)"
    found = {"default": DEFAULT, "models": [card.to_json() for card in cards]}
    say(found, "\n".join(lines) or none, as_json)
