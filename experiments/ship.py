"""Add a trained model to the package, as float16 weights with a model card.

``python -m experiments.ship runs/open/model.safetensors open-small.toml --validation runs/open/test/scores.json`` reads
the written part of the card, adds the measured part, and writes weights, card and docs/models.md.
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
from resight.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from resight.data.readers.mars import read_mars
from resight.errors import CheckpointError
from resight.features.extract import extract_clip_features
from resight.outputs import replace_file
from resight.scoring.all_pairs import score_all_pairs
from resight.shipped import FOLDER, file_hash
from resight.shipped.card import make_card, read_toml
from resight.synthetic.world import SCALES, make_world
from resight.tracklet import Tracklet

TRACKLETS = 6
"""Number of tracklets that the stored weights are compared on with the float32 weights."""

COLUMNS = ("mAP", "rank-1", "mINP", "queries")


def ship(
    model: Path,
    written: Path,
    *,
    validation: Path | None = None,
    transfer: Path | None = None,
    folder: Path = FOLDER,
) -> None:
    """Write NAME.safetensors and NAME.toml into the package.

    Args:
        model: The model.safetensors of a training run.
        written: TOML file with the written part of the card: all keys that this command does not measure.
        validation: The scores.json of `resight evaluate --out` for persons that are not in the training run.
        transfer: The scores.json of `resight evaluate --out` for real people.
        folder: Folder for both files.

    Raises:
        CheckpointError: If the card is not complete, or float16 changes the similarities.
    """
    checkpoint = load_checkpoint(model)
    values = read_toml(written)
    same_persons = {name: text for name, text in values.get("validation", {}).items() if name in ("data", "command")}
    values.setdefault("by_fault", same_persons)
    measured = {
        "validation": score_table(validation),
        "by_fault": score_table(validation, "fault"),
        "transfer": score_table(transfer),
    }
    values |= {name: values.get(name, {}) | table for name, table in measured.items()}
    path = folder / f"{values.get('name')}.safetensors"
    with replace_file(path) as temporary:
        save_checkpoint(temporary, checkpoint, half=True)
        card = make_card(values | facts(checkpoint, temporary), str(written))
        check(checkpoint, load_checkpoint(temporary))
    stated = {name: value for name, value in card.to_json().items() if getattr(card, name)}
    with replace_file(path.with_suffix(".toml")) as temporary:
        temporary.write_text(to_toml(stated), encoding="utf-8")
    print(f"wrote {path} ({card.megabytes:.1f} MB) and its card")
    models_page(folder)


def facts(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Return the values of a card that the weights file determines."""
    clips = checkpoint.recipe.clips
    return {
        "recipe": checkpoint.recipe.name,
        "version": __version__,
        "clips": f"{clips.count} clips of {clips.length} frames, {clips.height} × {clips.width}",
        "dim": checkpoint.encoder.dim,
        "size": path.stat().st_size,
        "sha256": file_hash(path),
    }


def score_table(path: Path | None, by: str | None = None) -> dict[str, Any]:
    """Return a table of a card, in percent, from a scores.json; empty without a file.

    Args:
        path: The scores.json of `resight evaluate --out`.
        by: Return the slices of the main method by this property instead of the scores of all methods.
    """
    if path is None:
        return {}
    saved = json.loads(path.read_text(encoding="utf-8"))
    scores, which = (saved["scores"], "") if by is None else (saved["slices"].get(by, {}), f"{saved['headline']}; ")
    rows = {
        name: [*(round(100 * value, 1) for value in (own["map"], own["cmc"][0], own["minp"])), own["valid_queries"]]
        for name, own in scores.items()
        if own["valid_queries"]
    }
    return {"columns": COLUMNS, "rows": rows, "conditions": which + saved["conditions"]} if rows else {}


def check(full: Checkpoint, reduced: Checkpoint) -> None:
    """Compare a model with its copy with float16 weights on synthetic people.

    Raises:
        CheckpointError: If features or similarities differ by more than rounding errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder) / "world", SCALES["tiny"], seed=0, workers=1)
        cosine, difference = agreement(full, reduced, read_mars(Path(folder) / "world").query[:TRACKLETS])
    words = f"lowest cosine of their clip features {cosine:.6f}, similarities within {difference:.1e}"
    if not (cosine > 0.999 and difference < 0.01):
        raise CheckpointError(
            f"float16 changes the features of this model: {words}; expected above 0.999 and below 0.01"
        )
    print(f"float32 and stored weights: {words}")


def agreement(full: Checkpoint, reduced: Checkpoint, tracklets: Sequence[Tracklet]) -> tuple[float, float]:
    """Return the lowest cosine of the clip features of two models and the largest difference of their similarities."""
    values = [extract_clip_features(model.encoder, tracklets, model.recipe.clips).values for model in (full, reduced)]
    first, second = map(torch.from_numpy, values)
    similarities = [
        torch.as_tensor(score_all_pairs(features, features, model.aggregator))
        for features, model in zip(values, (full, reduced), strict=True)
    ]
    return (
        float(torch.cosine_similarity(first, second, dim=-1).min()),
        float((similarities[0] - similarities[1]).abs().max()),
    )


def to_toml(values: Mapping[str, Any], table: str = "") -> str:
    """Return plain values as TOML; strings and lists are written as in JSON.

    Args:
        values: The values.
        table: Name of the table that they are in.
    """
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
