"""The commands models and cache."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import Json, app, print_result
from resight.shipped import DEFAULT, shipped_card, shipped_models


@app.command
def models(name: str | None = None, *, as_json: Json = False) -> None:
    """List the models that come with Resight, or print the card of one.

    Args:
        name: Model whose card to print: use, limits, scores, training data and licence.
    """
    if name is not None:
        card = shipped_card(name)
        print_result(card.to_json(), card.to_markdown(), as_json)
        return
    cards = shipped_models()
    lines = [
        f"{card.name:14} {card.megabytes:6.1f} MB  {card.dim:5} features per clip  {card.summary}"
        + (" (default)" if card.name == DEFAULT else "")
        for card in cards
    ]
    none = "no model comes with this copy of Resight: train one with `resight train`"
    values = {"default": DEFAULT, "models": [card.to_json() for card in cards]}
    print_result(values, "\n".join(lines) or none, as_json)


@app.command
def cache(
    *, clear: Annotated[bool, Parameter(negative=())] = False, older_than: float = 0.0, as_json: Json = False
) -> None:
    """Show the size and age of the stored clip features and synthetic worlds, or delete them.

    Commands keep the clip features of every tracklet that they encode, so that it is encoded only once, and `resight
    fit` keeps the synthetic worlds that it renders. Set RESIGHT_CACHE to keep them in another folder.

    Args:
        clear: Delete features and worlds. They are made again when needed.
        older_than: With --clear, delete only what was stored more than this many days ago.
    """
    from resight.errors import RecipeError
    from resight.features.store import FeatureStore
    from resight.training.fit_worlds import cached_worlds, clear_worlds

    if not older_than >= 0 or (older_than and not clear):
        problem = "expected 0 or more days" if clear else "it is only used with --clear"
        raise RecipeError(f"--older-than is {older_than:g}: {problem}")
    store = FeatureStore()
    erased = store.clear(older_than * 86400) if clear else None
    erased_worlds = clear_worlds(older_than * 86400) if clear else None
    info, worlds = store.info(), cached_worlds()
    text = f"{info.path}: {info.tracklets:,} tracklets, {info.size / 1e6:.1f} MB"
    if info.oldest is not None and info.newest is not None:
        text += f"; stored {info.oldest / 86400:.1f} to {info.newest / 86400:.1f} days ago"
    text += "".join(
        f"\n{world.path}: a synthetic world, {world.size / 1e6:.1f} MB; written {world.age / 86400:.1f} days ago"
        for world in worlds
    )
    if erased is not None:
        text = f"erased {erased:,} tracklets and {erased_worlds} synthetic worlds\n{text}"
    values = {
        "path": str(info.path), "tracklets": info.tracklets, "bytes": info.size,
        "oldest_seconds": info.oldest, "newest_seconds": info.newest, "erased": erased,
        "worlds": [{"path": str(world.path), "bytes": world.size, "seconds": world.age} for world in worlds],
        "erased_worlds": erased_worlds,
    }  # fmt: skip
    print_result(values, text, as_json)
