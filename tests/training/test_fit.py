from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import resight
from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator
from resight.cli import main
from resight.data.damage import DAMAGES
from resight.data.readers.mars import read_mars
from resight.errors import OutputError, RecipeError
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Recipe, Stage1
from resight.recipes import importance
from resight.tables import Row, Table
from resight.tensor_files import content_hash
from resight.training import fit, fit_worlds
from resight.training.fit_worlds import FitSize, cached_worlds, clear_worlds
from resight.training.loop import RunOptions

SIZE = FitSize(persons=4, validation_persons=2, donors=2, cameras=2, median_frames=7, max_frames=8)


def made_encoder(seed: int = 0, count: int = 3) -> Checkpoint:
    recipe = Recipe("made", ClipSpec(length=2, count=count, height=32, width=16), Stage1(encoder_width=0.125))
    torch.manual_seed(seed)
    encoder = I3D(0.125).eval()
    return Checkpoint(encoder, make_aggregator("mean-pair", encoder.dim, recipe), recipe, {"aggregator": "mean-pair"})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small recipe, so that a run takes seconds."""
    base = importance()
    batches = replace(base.stage2.optimisation, epochs=2, persons=2, tracklets=2, validate_every=1)
    recipe = replace(base, stage2=replace(base.stage2, optimisation=batches, hidden=8, variants=1))
    monkeypatch.setattr(fit, "importance", lambda: recipe)
    monkeypatch.setattr(fit, "FIT", {})


def run(folder: Path, encoder: Checkpoint, seed: int = 0) -> Checkpoint:
    return fit.fit_importance(encoder, folder / "m.safetensors", SIZE, seed, RunOptions(folder / ".m.part"))


@pytest.mark.usefixtures("small")
def test_a_fitted_model_holds_encoder_importance_threshold_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    encoder = made_encoder()
    fitted = run(tmp_path, encoder)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["m.safetensors"]
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert content_hash(loaded.encoder.state_dict()) == content_hash(encoder.encoder.state_dict())
    assert loaded.aggregator.kind == "clip-agreement" and loaded.recipe.clips == encoder.recipe.clips
    table = Table.from_json(loaded.metadata["damage"])
    assert table.columns == ("clean", *DAMAGES, "mixed")
    names = [row.name for row in table.rows]
    assert names[:2] + names[3:5] == [
        "mean feature, l2",
        "mean of pairs",
        "learned importance",
        "gain over mean of pairs",
    ]
    assert names[5] == f"gain over {names[2]}" and names[2].startswith("top ")
    assert table.row(names[4]).cells[0] == f"{table.means(names[3])[0] - table.means(names[1])[0]:+.1f}"
    assert "importance" in loaded.metadata["verdict"] and "synthetic persons" in loaded.metadata["threshold"]["source"]
    assert resight.load_model(tmp_path / "m.safetensors").threshold(10) is not None

    # The worlds are used again; another encoder of the same size renders nothing. A seed gives the same network.
    monkeypatch.setattr(fit_worlds, "make_world", None)
    again = run(tmp_path / "again", made_encoder())
    assert content_hash(again.aggregator.state_dict()) == content_hash(fitted.aggregator.state_dict())
    other = run(tmp_path / "other", made_encoder(seed=1), seed=1)
    assert content_hash(other.aggregator.state_dict()) != content_hash(fitted.aggregator.state_dict())

    first, second = cached_worlds()
    assert {first.path.name.split("-")[0], second.path.name.split("-")[0]} == {"city", "campus"}
    assert first.size > 1000 and clear_worlds(older_than=86400) == 0
    assert clear_worlds() == 2 and not cached_worlds()


@pytest.mark.usefixtures("small")
def test_an_interrupted_run_continues_and_another_encoder_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def interrupted(*_: object, **__: object) -> Table:
        raise KeyboardInterrupt

    def count(*arguments: object) -> object:
        steps.append(1)
        return train_step(*arguments)  # type: ignore[arg-type]

    from resight.training import loop

    train_step = loop._train_step
    monkeypatch.setattr(loop, "_train_step", count)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "damage_table", interrupted)
        for encoder, expected in ((made_encoder(1), 4), (made_encoder(), 4), (made_encoder(), 0)):
            steps.clear()
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, encoder)
            assert len(steps) == expected and not (tmp_path / "m.safetensors").exists()
    whole = run(tmp_path / "whole", made_encoder())
    steps.clear()
    continued = run(tmp_path, made_encoder())
    assert not steps
    assert content_hash(continued.aggregator.state_dict()) == content_hash(whole.aggregator.state_dict())
    assert continued.metadata["damage"] == whole.metadata["damage"]


def test_impossible_requests_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    model = resight.Model(made_encoder())
    out = tmp_path / "new" / "model.safetensors"
    for persons in (3, 10**6, 12.5):
        with pytest.raises(RecipeError, match="expected a whole number from 12 to"):
            resight.fit(model, out=out, persons=persons)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="seed"):
        resight.fit(model, out=out, seed=-1)
    with pytest.raises(RecipeError, match="workers"):
        resight.fit(model, out=out, workers=-1)
    with pytest.raises(RecipeError, match="omit it"):
        resight.fit(model, out=out, preset="torchreid")
    with pytest.raises(RecipeError, match="cuts a tracklet into 1 clip"):
        resight.fit(resight.Model(made_encoder(count=1)), out=out)
    monkeypatch.setattr(model.checkpoint.encoder, "dim", 4)
    with pytest.raises(RecipeError, match="4 features per clip, expected at least 8"):
        resight.fit(model, out=out)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="is a folder"):
        resight.fit(resight.Model(made_encoder()), out=tmp_path)
    assert not out.parent.exists() and not (tmp_path / "cache").exists()


@pytest.mark.skipif("RESIGHT_OSNET" not in os.environ, reason="RESIGHT_OSNET does not name the ONNX file of an OSNet")
@pytest.mark.usefixtures("small")
def test_a_network_that_users_have_is_fitted_and_searched_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resight.api.fit.FitSize", lambda persons: replace(SIZE, persons=persons))
    out = tmp_path / "osnet.safetensors"
    encoder = f"onnx:{os.environ['RESIGHT_OSNET']}"
    main(["fit", "--encoder", encoder, "--preset", "torchreid", "--out", str(out), "--persons", "12", "--json"])
    assert json.loads(capsys.readouterr().out)["damage"]["columns"] == ["clean", *DAMAGES, "mixed"]
    world = next(world.path for world in cached_worlds() if "campus" in world.path.name)
    query = read_mars(world).query[0]
    main(["search", query.id, f"mars:{world}", "--model", str(out), "--json"])
    assert json.loads(capsys.readouterr().out)["answers"]


@pytest.mark.parametrize(("learned", "said"), [(61.0, "gains +1.0 mAP over top 50 %"), (59.0, "does not help")])
def test_the_verdict_is_plain(learned: float, said: str) -> None:
    scores: dict[str, float | str] = {
        "mean of pairs": 55.0,
        "top 50 %": 60.0,
        "learned importance": learned,
        "gain": "+1",
    }
    table = Table("mAP", ("clean", "mixed"), tuple(Row(name, (50.0, value)) for name, value in scores.items()))
    assert said in fit.verdict(table)
