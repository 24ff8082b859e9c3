"""Make a trained model one that comes with the package: half the size, with a card, checked.

``python -m experiments.ship runs/open/model.safetensors open-small.toml --validation runs/open/test/scores.json`` reads
what a person wrote for the card, adds what was measured, and writes weights, card and docs/models.md.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from cyclopts import run

from experiments.models_page import models_page
from resight import __version__
from resight.checkpoints import Checkpoint, load_checkpoint, replace_file, save_checkpoint
from resight.data.readers.mars import read_mars
from resight.errors import CheckpointError
from resight.features.extract import extract_clip_features
from resight.scoring.all_pairs import score_all_pairs
from resight.shipped import FOLDER, file_hash
from resight.shipped.card import make_card, read_toml
from resight.synthetic.world import SCALES, make_world
from resight.tracklet import Tracklet

TRACKLETS = 6
"""How many are looked at with both forms of the weights."""

COLUMNS = ("mAP", "rank-1", "mINP", "queries")


def ship(
    model: Path, written: Path, *, validation: Path | None = None, transfer: Path | None = None, folder: Path = FOLDER
) -> None:
    """Write NAME.safetensors and NAME.toml into the package.

    Args:
        model: The model.safetensors of a training.
        written: TOML of what a person has to say: every key of the card that is not measured here.
        validation: The scores.json that `resight evaluate --out` wrote for persons whom training never saw.
        transfer: The same for real people.
        folder: That gets both files.
    """
    loaded = load_checkpoint(model)
    values = read_toml(written)
    same_persons = {name: text for name, text in values.get("validation", {}).items() if name in ("data", "command")}
    values.setdefault("by_fault", same_persons)
    measured = {"validation": scored(validation), "by_fault": scored(validation, "fault"), "transfer": scored(transfer)}
    values |= {name: values.get(name, {}) | found for name, found in measured.items()}
    path = folder / f"{values.get('name')}.safetensors"
    with replace_file(path) as temporary:
        save_checkpoint(temporary, loaded, half=True)
        card = make_card(values | facts(loaded, temporary), str(written))
        check(loaded, load_checkpoint(temporary))
    said = {name: value for name, value in card.to_json().items() if getattr(card, name)}
    with replace_file(path.with_suffix(".toml")) as temporary:
        temporary.write_text(to_toml(said), encoding="utf-8")
    print(f"wrote {path} ({card.megabytes:.1f} MB) and its card")
    models_page(folder)


def facts(model: Checkpoint, path: Path) -> dict[str, Any]:
    """What a card says that the weights file itself knows."""
    clips = model.recipe.clips
    return {
        "recipe": model.recipe.name,
        "version": __version__,
        "clips": f"{clips.count} clips of {clips.length} frames, {clips.height} × {clips.width}",
        "dim": model.encoder.dim,
        "size": path.stat().st_size,
        "sha256": file_hash(path),
    }


def scored(path: Path | None, by: str | None = None) -> dict[str, Any]:
    """The table of a card that a scores.json gives, in percent: every method, or the headline's slices by something."""
    if path is None:
        return {}
    saved = json.loads(path.read_text(encoding="utf-8"))
    scores, which = (saved["scores"], "") if by is None else (saved["slices"].get(by, {}), f"{saved['headline']}; ")
    rows = {
        name: [*(round(100 * value, 1) for value in (one["map"], one["cmc"][0], one["minp"])), one["valid_queries"]]
        for name, one in scores.items()
        if one["valid_queries"]
    }
    return {"columns": COLUMNS, "rows": rows, "conditions": which + saved["conditions"]} if rows else {}


def check(full: Checkpoint, half: Checkpoint) -> None:
    """See that both forms of the weights see the same in people who never lived.

    Raises:
        CheckpointError: if features or similarities differ by more than rounding explains.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder) / "world", SCALES["tiny"], seed=0, workers=1)
        cosine, difference = agreement(full, half, read_mars(Path(folder) / "world").query[:TRACKLETS])
    words = f"lowest cosine of their clip features {cosine:.6f}, similarities within {difference:.1e}"
    if not (cosine > 0.999 and difference < 0.01):
        raise CheckpointError(f"float16 changes what this model sees: {words}; expected above 0.999 and below 0.01")
    print(f"float32 and float16: {words}")


def agreement(full: Checkpoint, half: Checkpoint, tracklets: Sequence[Tracklet]) -> tuple[float, float]:
    """Lowest cosine of the clip features of two models, and the greatest difference of their similarities."""
    values = [extract_clip_features(one.encoder, tracklets, one.recipe.clips).values for one in (full, half)]
    first, second = (torch.from_numpy(one) for one in values)
    similarities = [
        torch.as_tensor(score_all_pairs(own, own, one.aggregator))
        for own, one in zip(values, (full, half), strict=True)
    ]
    return (
        float(torch.cosine_similarity(first, second, dim=-1).min()),
        float((similarities[0] - similarities[1]).abs().max()),
    )


def to_toml(values: Mapping[str, Any], table: str = "") -> str:
    """Plain values as TOML: what is no table first; strings and lists are written there as in JSON."""
    lines, tables = [f"\n[{table}]"] if table else [], []
    for name, value in values.items():
        key = name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)
        if isinstance(value, Mapping):
            tables.append(to_toml(value, f"{table}.{key}" if table else key))
        else:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "".join(f"{line}\n" for line in lines) + "".join(tables)


if __name__ == "__main__":
    run(ship)
