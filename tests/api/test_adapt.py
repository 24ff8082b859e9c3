from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
from resight.adaptation import projection, statistics
from resight.checkpoints import Checkpoint, make_aggregator, save_checkpoint
from resight.cli import main
from resight.errors import DatasetError, OutputError, RecipeError
from resight.models.camera_encoder import CameraEncoder
from resight.models.encoders import make_encoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.shipped import file_hash
from resight.tracklet import Tracklet


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    recipe = Recipe(
        "made", ClipSpec(length=2, count=2, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8)
    )
    torch.manual_seed(0)
    encoder = make_encoder(recipe.stage1)
    model = Checkpoint(encoder, make_aggregator("learned", encoder.dim, recipe), recipe, {"aggregator": "learned"})
    save_checkpoint(tmp_path / "made.safetensors", model)
    return tmp_path / "made.safetensors"


@pytest.fixture
def site(make_tracklets: Callable[..., list[Tracklet]], tmp_path: Path) -> Path:
    """A manifest of 30 tracklets with times and without persons, as `resight ingest` writes it."""
    lines = [
        {
            "id": tracklet.id, "frames": str(tracklet.folder), "camera": ["door", "gate"][tracklet.camera - 1],
            "start": (tracklet.person - 1) // 5, "end": (tracklet.person - 1) // 5 + 0.5,
        }
        for tracklet in make_tracklets(persons=15, cameras=2, frames=5)
    ]  # fmt: skip
    path = tmp_path / "site.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_command_writes_a_model_that_knows_the_cameras(
    model_file: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(statistics, "helped", lambda _: True)
    monkeypatch.setattr(projection, "helped_across_cameras", lambda _: True)
    before = file_hash(model_file)
    out = tmp_path / "adapted.safetensors"
    main(["adapt", f"manifest:{site}", "--model", str(model_file), "--out", str(out), "--workers", "0"])
    text = capsys.readouterr().out
    assert file_hash(model_file) == before
    for words in ("Statistics of each camera", "re-association", "camera bias", "statistics of cameras helped",
                  "Projection of features", "projection helped", f"wrote {out}"):  # fmt: skip
        assert words in text
    assert re.search(r"^  door: 15 tracklets, \d+% of its own statistics$", text, re.MULTILINE)
    model = resight.load_model(out, keep_features=False)
    assert model.card["adapted"]["kept"] is True
    assert model.card["adapted"]["source"] == "manifest:" + tmp_path.name and model.threshold(10) is not None
    first = resight.read_dataset(f"manifest:{site}").gallery[0]
    elsewhere = replace(first, camera_name="roof")
    assert not np.allclose(model.encode(first), model.encode(elsewhere), rtol=1e-2)
    assert "has no statistics of roof" in capsys.readouterr().err
    trained = resight.load_model(model_file, keep_features=False)
    encoder = model.checkpoint.encoder
    assert isinstance(encoder, CameraEncoder) and isinstance(encoder.trained, ProjectedEncoder)
    matrix = encoder.trained.matrix.numpy()
    assert np.allclose(trained.encode(first) @ matrix, model.encode(elsewhere), rtol=1e-3, atol=1e-4)


def test_impossible_requests_are_refused_before_any_work(model_file: Path, site: Path, tmp_path: Path) -> None:
    data, out = f"manifest:{site}", tmp_path / "new" / "adapted.safetensors"
    with pytest.raises(RecipeError, match="seed is -1"):
        resight.adapt(data, model_file, out=out, seed=-1)
    with pytest.raises(OutputError, match="is the model to adapt, which must not change"):
        resight.adapt(data, model_file, out=model_file)
    tracklets = resight.read_dataset(data).train
    assert not out.parent.exists()
    with pytest.raises(DatasetError, match=r"found 12 tracklets, .* expected at least 30"):
        resight.adapt(tracklets[:12], model_file, out=out)
    assert not out.exists()


def test_unknown_steps_are_refused(model_file: Path, site: Path, tmp_path: Path) -> None:
    for chosen in (("magic",), ()):
        with pytest.raises(RecipeError, match="expected one or more of statistics, encoder, projection, importance"):
            resight.adapt(f"manifest:{site}", model_file, out=tmp_path / "new.safetensors", steps=chosen)
    assert not (tmp_path / "new.safetensors").exists()
