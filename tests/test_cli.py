"""The whole path as a user walks it: every verb on a tiny world, and what is said when something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.checkpoints import MODEL_KIND, load_model, read_tensors
from resight.cli import main
from resight.features import ClipFeatures
from resight.ranking import Ranking

RECIPE = """
base = "demo"
validation_share = 0.3
[clips]
height = 32
width = 16
count = 3
[stage1]
encoder_width = 0.125
[stage1.optimisation]
epochs = 2
persons = 2
tracklets = 2
[stage2]
max_corrupted = 2
variants = 1
hidden = 8
[stage2.optimisation]
epochs = 2
persons = 2
tracklets = 2
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "world"
    main(["synth", str(out), "--scale", "tiny", "--seed", "3", "--workers", "1"])
    return out


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.toml").write_text(RECIPE)
    out = folder / "run"
    main(
        [
            "train",
            f"mars:{world}",
            "--out",
            str(out),
            "--recipe",
            str(folder / "small.toml"),
            "--workers",
            "0",
            "--json",
        ]
    )
    return out


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_train_writes_a_model_and_its_log(run: Path) -> None:
    model = load_model(run / "model.safetensors")
    assert model.recipe.name == "small" and model.card["aggregator"] == "learned"
    assert 0 < model.card["validation"]["stage 2 mAP"] <= 1
    for stage in ("stage1", "stage2"):
        records = [json.loads(line) for line in (run / f"{stage}.metrics.jsonl").read_text().splitlines()]
        assert [r["step"] for r in records] == list(range(len(records)))
        assert all(np.isfinite(r["loss"]) and 0 <= r["active"] <= 1 for r in records)


def test_training_again_changes_nothing(world: Path, run: Path) -> None:
    before, header = read_tensors(run / "model.safetensors", MODEL_KIND)
    recipe = str(run.parent / "small.toml")
    main(["train", f"mars:{world}", "--out", str(run), "--recipe", recipe, "--workers", "0", "--json"])
    after, again = read_tensors(run / "model.safetensors", MODEL_KIND)
    assert again == header and all(after[name].equal(tensor) for name, tensor in before.items())


def test_extract(world: Path, run: Path, tmp_path: Path) -> None:
    model, out = str(run / "model.safetensors"), tmp_path / "f.safetensors"
    main(["extract", f"mars:{world}", "--model", model, "--out", str(out), "--role", "query", "--workers", "0"])
    features = ClipFeatures.load(out)
    assert features.values.shape[1:] == (3, 8 * 16) and np.isfinite(features.values).all()


def test_evaluate_prints_and_saves_every_method(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", f"mars:{world}", "--model", str(run / "model.safetensors"), "--max-corrupted", "2"]
    values = ask(capsys, *command, "--out", str(tmp_path / "e"))
    assert {"mean of pairs", "top 50 %", "learned importance"} <= values["scores"].keys()
    assert all(one["protocol"] == "mars" and one["valid_queries"] > 0 for one in values["scores"].values())
    assert values["auroc_of_low_importance"]["corrupted"]["damaged_clips"] > 0
    assert json.loads((tmp_path / "e" / "scores.json").read_text()) == values
    assert (tmp_path / "e" / "cmc.png").read_bytes().startswith(b"\x89PNG")
    ranking = Ranking.load(tmp_path / "e" / "ranking-learned-importance.npz")
    assert ranking.order.shape[1] == len(ranking.gallery_ids)
    main(command)
    text = capsys.readouterr().out
    assert "protocol mars" in text and "queries have a match" in text and "learned importance" in text


def test_search_by_id_and_by_folder(world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(run / "model.safetensors")
    features = tmp_path / "q.safetensors"
    main(["extract", f"mars:{world}", "--model", model, "--out", str(features), "--role", "query", "--workers", "0"])
    asked = ClipFeatures.load(features).ids[0]
    page = tmp_path / "s.html"
    found = ask(capsys, "search", asked, f"mars:{world}", "--model", model, "-k", "3", "--out", str(page))
    similarities = [answer["similarity"] for answer in found["answers"]]
    assert len(similarities) == 3 and similarities == sorted(similarities, reverse=True)
    assert asked not in {answer["id"] for answer in found["answers"]}
    assert asked in page.read_text()
    shorter = ask(capsys, "search", asked, f"mars:{world}", "--model", model, "-k", "3", "--shortlist", "3")
    assert shorter["scored"] == 3 < shorter["searched"] == found["searched"]
    whole = ask(capsys, "search", asked, f"mars:{world}", "--model", model, "-k", "3", "--shortlist", "1000")
    assert [a["id"] for a in whole["answers"]] == [a["id"] for a in found["answers"]]
    half = ask(capsys, "search", asked, f"mars:{world}", "--model", model, "-k", "1000", "--precision", "half")
    exact = ask(capsys, "search", asked, f"mars:{world}", "--model", model, "-k", "1000")
    assert {a["id"]: a["similarity"] for a in half["answers"]} == pytest.approx(
        {a["id"]: a["similarity"] for a in exact["answers"]}, abs=0.02
    )

    folder = tmp_path / "somebody"
    folder.mkdir()
    for frame in sorted((world / "bbox_test" / asked[:4]).glob(f"{asked}*"))[:5]:
        shutil.copy(frame, folder)
    found = ask(capsys, "search", str(folder), f"mars:{world}", "--model", model, "-k", "1000")
    assert asked in {answer["id"] for answer in found["answers"]}  # now the whole gallery is searched


def test_explain_adds_up(world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(run / "model.safetensors")
    ids = sorted({p.name[:11] for p in (world / "bbox_test").rglob("0*C*.jpg")})[-2:]
    values = ask(capsys, "explain", *ids, f"mars:{world}", "--model", model, "--out", str(tmp_path))
    assert np.sum(values["contribution"]) == pytest.approx(values["similarity"], abs=1e-6)
    assert np.sum(values["weight"]) == pytest.approx(1)
    for name in ("match.html", "importance.png", "clip_pairs.png", "match.json"):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["search", "x", "mars:nowhere", "--model", "m"], 1, "no file"),
        (["train", "mars:nowhere", "--out", "o"], 1, "no folder nowhere"),
        (["train", "nonsense", "--out", "o"], 1, "KIND:PATH"),
        (["train", "mars:.", "--out", "o", "--recipe", "none"], 1, "no recipe is called"),
        (["synth"], 2, "out"),
        (["evaluate", "mars:x", "--model", "m", "--max-corrupted", "many"], 2, "many"),
        (["sing"], 2, "sing"),
    ],
)
def test_mistakes_are_one_line_and_a_status(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == status
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    if status == 1:
        assert len(error.splitlines()) == 1


def test_a_world_is_not_overwritten(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in world.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        main(["synth", str(world), "--scale", "tiny"])
    assert stop.value.code == 1 and str(world) in capsys.readouterr().err
    assert sorted(p.name for p in world.rglob("*")) == before


def test_damage_to_the_data_is_named_or_noted(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(world, broken)
    model = str(run / "model.safetensors")
    frames = sorted((broken / "bbox_test").rglob("0*C*.jpg"))
    frames[0].unlink()
    values = ask(capsys, "evaluate", f"mars:{broken}", "--model", model)
    assert values["scores"]["learned importance"]["valid_queries"] > 0
    main(["evaluate", f"mars:{broken}", "--model", model])
    assert "missing" in capsys.readouterr().err
    for frame in frames[1:]:
        frame.write_bytes(b"\xff\xd8 torn")
    with pytest.raises(SystemExit):
        main(["evaluate", f"mars:{broken}", "--model", model])
    error = capsys.readouterr().err
    assert "is not a readable picture" in error and str(broken) in error
