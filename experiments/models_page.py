"""docs/models.md: the cards of the models that come with the package.

``python -m experiments.models_page`` writes it again.
"""

from __future__ import annotations

from pathlib import Path

from cyclopts import run

from resight.checkpoints import replace_file
from resight.shipped import DEFAULT, FOLDER, shipped_models

PAGE = Path(__file__).parents[1] / "docs" / "models.md"

INTRODUCTION = f"""# Models

What comes with `pip install resight`: weights and their cards, in `src/resight/shipped/`. Every command that uses a
model takes `{DEFAULT}` where no `--model` is given; `--model` takes another name, or the file of a training of your
own. `resight models` lists them, `resight models NAME` prints a card. Before weights are used, their SHA-256 is
compared with the card's.

Features that these models make of your tracklets are kept in the cache folder of your user, `resight/features` in
`$XDG_CACHE_HOME` or `~/.cache` (macOS: `~/Library/Caches`, Windows: `%LOCALAPPDATA%`). Delete the folder to delete
them.
"""


def models_page(folder: Path = FOLDER) -> None:
    """Write docs/models.md.

    Args:
        folder: Of weights and cards.
    """
    with replace_file(PAGE) as temporary:
        temporary.write_text(page(folder), encoding="utf-8")
    print(f"wrote {PAGE}")


def page(folder: Path = FOLDER) -> str:
    """The page that the cards in a folder give."""
    cards = "\n\n".join(card.to_markdown() for card in shipped_models(folder))
    return f"{INTRODUCTION}\n{cards or 'None is shipped yet.'}\n"


if __name__ == "__main__":
    run(models_page)
