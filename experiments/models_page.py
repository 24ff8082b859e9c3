"""The page docs/models.md with the cards of the shipped models.

``python -m experiments.models_page`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from cyclopts import run

from resight.outputs import replace_file
from resight.shipped import DEFAULT, FOLDER, shipped_models

PAGE = Path(__file__).parents[1] / "docs" / "models.md"

INTRODUCTION = f"""# Models

These models come with `pip install resight`; their weights and cards are in `src/resight/shipped/`. Commands and
`resight.load_model()` use `{DEFAULT}` unless you name another model or the file of a model that you trained.
`resight models` lists the models, and `resight models NAME` prints a card. The SHA-256 of the weights is compared with
the card before they are used.

The clip features of your tracklets are stored in the cache folder of your user account, so that each tracklet is
encoded only once. `resight cache` shows the size of the stored features and deletes them.
"""


def models_page(folder: Path = FOLDER) -> None:
    """Write docs/models.md.

    Args:
        folder: Folder with weights and cards.
    """
    with replace_file(PAGE) as temporary:
        temporary.write_text(page(folder), encoding="utf-8")
    print(f"wrote {PAGE}")


def page(folder: Path = FOLDER) -> str:
    """Return the page for the cards in a folder."""
    cards = "\n\n".join(card.to_markdown() for card in shipped_models(folder))
    return f"{INTRODUCTION}\n{cards or 'No models yet.'}\n"


if __name__ == "__main__":
    run(models_page)
