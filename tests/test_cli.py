"""All commands on a tiny world, and their messages when something is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.checkpoints import MODEL_KIND, load_checkpoint, save_checkpoint
from resight.cli import main
from resight.data.readers import read_splits
from resight.evaluation.metrics import Scores
from resight.features.types import ClipFeatures
from resight.ranking import Ranking
from resight.synthetic.layout_writers import SPLITS
from resight.synthetic.layouts import write_layout
from resight.tensor_files import read_tensors
from resight.tracklet import fingerprint

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


@pytest.fixture(scope="module", autouse=True)
def no_workers_in_training() -> Iterator[None]:
    """Decode frames of training in this process: a process of its own takes longer to start than these take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resight.cli.train.WORKERS", 0)
        yield


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
            "--json",
        ]
    )
    return out


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_train_writes_a_model_and_its_log(run: Path) -> None:
    model = load_checkpoint(run / "model.safetensors")
    assert model.recipe.name == "small" and model.metadata["aggregator"] == "learned"
    assert 0 < model.metadata["validation"]["stage 2 mAP"] <= 1
    for stage in ("stage1", "stage2"):
        records = [json.loads(line) for line in (run / f"{stage}.metrics.jsonl").read_text().splitlines()]
        assert [r["step"] for r in records] == list(range(len(records)))
        assert all(np.isfinite(r["loss"]) and 0 <= r["active"] <= 1 for r in records)


def test_training_again_changes_nothing(world: Path, run: Path) -> None:
    before, header = read_tensors(run / "model.safetensors", MODEL_KIND)
    recipe = str(run.parent / "small.toml")
    main(["train", f"mars:{world}", "--out", str(run), "--recipe", recipe, "--json"])
    after, again = read_tensors(run / "model.safetensors", MODEL_KIND)
    assert again == header and all(after[name].equal(tensor) for name, tensor in before.items())


def test_precision_of_training_replaces_that_of_the_recipe(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", f"mars:{world}", "--recipe", str(run.parent / "small.toml"), "--precision", "half"]
    main([*command, "--out", str(tmp_path / "half")])
    assert load_checkpoint(tmp_path / "half" / "model.safetensors").recipe.precision == "half"
    with pytest.raises(SystemExit):
        main([*command, "--out", str(run)])
    assert "another" in capsys.readouterr().err


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


MEASURES = {"map", "map_trapezoid", "minp", "rank1", "rank-1"}
CONDITIONS = {"protocol", "frames", "reranking"}


def unnamed_scores(values: Any, known: frozenset[str] = frozenset(), where: str = "") -> list[str]:
    """Return the places in plain values that have a score whose conditions are stated neither there nor above."""
    if isinstance(values, list):
        return [found for item in values for found in unnamed_scores(item, known, where)]
    if not isinstance(values, dict):
        return []
    known |= {name for name, value in values.items() if value is not None}
    scored = MEASURES & values.keys()
    wanted = CONDITIONS | ({"ap_kind"} if scored - {"rank1", "rank-1"} else set())
    asked = bool(known & {"valid_queries", "queries", "mated_queries"})
    missing = [f"{where}: {sorted(scored)} without {sorted(wanted - known)}"] if scored else []
    found = missing if not (wanted <= known and asked) else []
    return found + [one for name, value in values.items() for one in unnamed_scores(value, known, f"{where}/{name}")]


def test_a_score_without_conditions_is_detected() -> None:
    told = {"protocol": "mars", "ap_kind": "k", "frames": "f", "reranking": "none", "valid_queries": 3, "map": 0.5}
    assert unnamed_scores({"scores": {"a": told}}) == []
    for name in ("protocol", "ap_kind", "frames", "reranking", "valid_queries"):
        assert unnamed_scores({"scores": {"a": {k: v for k, v in told.items() if k != name}}}), name
    assert unnamed_scores({"mean": {"rank-1": 0.5}})


def test_importance_is_trained_on_the_encoder_of_another_model(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stage2.toml").write_text(RECIPE.replace("height = 32", "height = 64").replace('base = "demo"', ""))
    model, out = str(run / "model.safetensors"), tmp_path / "run"
    command = ["train", f"mars:{world}", "--out", str(out), "--recipe", str(tmp_path / "stage2.toml")]
    values = ask(capsys, *command, "--encoder", model)
    assert values.keys() == {"model", "stage 2 mAP"}
    trained, source = load_checkpoint(out / "model.safetensors"), load_checkpoint(run / "model.safetensors")
    assert trained.recipe.clips == source.recipe.clips and trained.recipe.stage1 == source.recipe.stage1
    for name, tensor in source.encoder.state_dict().items():
        assert tensor.equal(trained.encoder.state_dict()[name]), name
    assert not (out / "stage1.metrics.jsonl").exists()
    for wrong in (["--stage", "1"], ["--init", model]):
        with pytest.raises(SystemExit):
            main([*command, "--encoder", model, *wrong])
        assert "encoder of another model replaces stage 1" in capsys.readouterr().err


def test_every_tracklet_is_encoded_once_for_all_commands(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    model, dataset = str(run / "model.safetensors"), read_splits(f"mars:{world}")[0]
    everyone = {t.id for t in (*dataset.query, *dataset.gallery)}

    def stored() -> int:
        return int(ask(capsys, "cache")["tracklets"])

    assert stored() == 0
    ask(capsys, "search", dataset.query[0].id, f"mars:{world}", "--model", model)
    first = stored()
    assert 0 < first <= len(everyone)
    ask(capsys, "search", dataset.query[1].id, f"mars:{world}", "--model", model)
    ask(capsys, "evaluate", f"mars:{world}", "--model", model)
    assert stored() == len(everyone)
    main(["extract", f"mars:{world}", "--model", model, "--out", str(tmp_path / "f.safetensors"), "--workers", "0"])
    assert stored() == len(everyone)
    capsys.readouterr()
    main(["cache"])
    assert f"{len(everyone)} tracklets" in capsys.readouterr().out
    assert ask(capsys, "cache", "--clear", "--older-than", "1")["erased"] == 0
    assert ask(capsys, "cache", "--clear")["erased"] == len(everyone)
    assert stored() == 0
    for wrong in (["--older-than", "3"], ["--clear", "--older-than", "-1"]):
        with pytest.raises(SystemExit) as stop:
            main(["cache", *wrong])
        assert stop.value.code == 1 and "--older-than" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_noted(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "file" / "cache"))
    query = read_splits(f"mars:{world}")[0].query[0].id
    main(["search", query, f"mars:{world}", "--model", str(run / "model.safetensors"), "--json"])
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["answers"]) > 0
    assert captured.err.count("features are not kept") == 1


@pytest.mark.parametrize("reranked", [False, True])
def test_every_printed_or_saved_score_states_its_conditions(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reranked: bool
) -> None:
    out = tmp_path / "e"
    command = ["evaluate", f"mars:{world}", "--model", str(run / "model.safetensors"), "--open-set"]
    command += ["--rerank"] * reranked
    values = ask(capsys, *command, "--out", str(out))
    saved = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    assert len(saved) == 2 + len(values["scores"]) and values in saved
    for one in (values, *saved):
        assert unnamed_scores(one) == []
    words = "k-reciprocal re-ranking" if reranked else "no re-ranking"
    conditions = (words, "3 clips of 4 frames", "protocol mars")
    main(command)
    tables = [part for part in capsys.readouterr().out.split("\n\n") if "rank-1" in part or "identified" in part]
    text, asked = "\n\n".join(tables), values["scores"]["mean of pairs"]["queries"]
    assert "95 % interval" in text and f"of {asked} queries have a match" in text and len(tables) >= 2
    assert all(one in tables[0] and one in tables[-1] for one in conditions)
    page = (out / "report.html").read_text()
    for section in page.split("<section>")[1:]:
        assert ("AUROC</th>" in section and "rank-1" not in section) or words in section, section[:200]
    assert {"cmc.png", "open-set.svg", "camera-pairs-rank-1.png"} <= {path.name for path in out.iterdir()}
    # Re-ranked similarities are on another scale than the one that a threshold is for.
    assert ("at_threshold" in values["open_set"]["learned importance"]) != reranked
    assert {"length", "camera", "fault"} == values["slices"].keys()


@pytest.fixture(scope="module")
def prid(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prid") / "data"
    write_layout(world, out, "prid2011")
    return out


def test_several_splits_give_a_mean_and_a_deviation(
    prid: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(run / "model.safetensors"), tmp_path / "e"
    one = ask(capsys, "evaluate", f"prid2011:{prid}#3", "--model", model)
    values = ask(capsys, "evaluate", f"prid2011:{prid}", "--model", model, "--out", str(out), "--open-set")
    number = len(values["splits"])
    assert number == SPLITS
    assert values["splits"]["3"]["scores"] == one["scores"]
    rows = [values["splits"][str(n + 1)]["scores"]["learned importance"]["map"] for n in range(number)]
    assert values["scores"]["learned importance"]["mean"]["map"] == pytest.approx(np.mean(rows))
    assert values["scores"]["learned importance"]["std"]["map"] == pytest.approx(np.std(rows, ddof=1))
    assert unnamed_scores(values) == [] and json.loads((out / "scores.json").read_text()) == values
    assert (out / "split-2" / "queries-learned-importance.json").is_file()
    assert f"over {number}" in (out / "report.html").read_text()
    main(["evaluate", f"prid2011:{prid}", "--model", model])
    text = capsys.readouterr().out
    assert " ± " in text and f"mean ± standard deviation over {number}" in text and "no re-ranking" in text
    with pytest.raises(SystemExit):
        main(["compare", str(out), str(out)])
    assert "pass one of them" in capsys.readouterr().err


def test_a_model_for_each_split_and_one_that_saw_the_queries(
    prid: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = read_splits(f"prid2011:{prid}")
    model = load_checkpoint(run / "model.safetensors")
    for split in splits:
        model.metadata["trained_on"] = fingerprint(split.train)
        save_checkpoint(tmp_path / f"m{split.number}" / "model.safetensors", model)
    seen = next(s for s in splits if {t.id for t in splits[0].train} & {t.id for t in s.query})
    name, ours = f"prid2011:{prid}#{seen.number}", str(tmp_path / "m{split}" / "model.safetensors")
    assert not any("trained on" in note for note in ask(capsys, "evaluate", name, "--model", ours)["notes"])
    notes = ask(capsys, "evaluate", name, "--model", ours.replace("{split}", "1"))["notes"]
    assert "trained on" in notes[0] and f"queries of split {seen.number}" in notes[0] and "{split}" in notes[0]


def test_two_evaluations_are_compared_query_by_query(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", f"mars:{world}", "--model", str(run / "model.safetensors"), "--out"]
    clean, again, other = (str(tmp_path / name) for name in ("clean", "again", "other.json"))
    main([*command, clean])
    main([*command, again, "--rerank"])
    scores = Scores.load(tmp_path / "clean" / "queries-learned-importance.json")
    replace(scores, protocol="any-camera").save(tmp_path / "other.json")
    file = str(tmp_path / "clean" / "queries-mean-of-pairs.json")
    same = ask(capsys, "compare", clean, file, "--method", "mean of pairs")
    assert same["differences"]["map"]["value"] == 0 and same["differences"]["map"]["p_value"] == 1
    values = ask(capsys, "compare", clean, again)
    assert unnamed_scores(values["first"]) == unnamed_scores(values["second"]) == []
    assert "re-ranking" in values["differ_in"][0] and values["queries"] > values["units"] > 1
    main(["compare", clean, again])
    text = capsys.readouterr().out
    assert (
        "A minus B" in text and "p = " in text and f"on {values['queries']} queries" in text and "protocol mars" in text
    )
    for wrong, words in (
        ((clean, other), "protocol differ: mars and any-camera"),
        ((clean, str(tmp_path)), "is not a saved evaluation"),
        ((clean, again, "--method", "magic"), "its methods are mean feature"),
        ((clean, str(run / "model.safetensors")), "is not a file of scores"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["compare", *wrong])
        assert stop.value.code == 1 and words in capsys.readouterr().err


def test_search_compares_the_best_match_with_the_threshold(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_checkpoint(run / "model.safetensors")
    kept = model.metadata["threshold"]
    assert kept["false_alarm_rate"] == 0.05 and kept["persons"] >= 2 and kept["impostor_searches"] >= kept["persons"]
    asked = read_splits(f"mars:{world}")[0].query[0].id
    for location, there in ((20.0, False), (-2.0, True), (None, None)):
        model.metadata["threshold"] = None if location is None else kept | {"location": location, "scale": 0.0}
        path, page = tmp_path / str(location) / "model.safetensors", tmp_path / f"{location}.html"
        save_checkpoint(path, model)
        command = ["search", asked, f"mars:{world}", "--model", str(path), "--out", str(page)]
        found = ask(capsys, *command)
        main(command)
        text = capsys.readouterr().out
        assert found["above_threshold"] is there
        assert "not in the gallery" not in text.replace("whether the person is in the gallery", "")
        if there is None:
            assert "no threshold" in text
            continue
        assert found["threshold"]["gallery"] == found["searched"]
        for answer in (text, page.read_text()):
            assert ("No match is above the threshold" in answer) != there
            assert ("is above the threshold" in answer.replace("No match is above", "")) == there
            assert "false-alarm rate 5 %" in answer and f"calibrated on {kept['persons']} validation persons" in answer


def test_the_error_for_a_single_camera_says_how_to_search_it(
    world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = sorted((world / "bbox_test").rglob("0001C1*.jpg"))[:2] or sorted((world / "bbox_test").rglob("0*.jpg"))[:2]
    for number, frame in enumerate(frames):
        folder = tmp_path / "crops" / f"anna{number}" / "door" / "1"
        folder.mkdir(parents=True)
        shutil.copy(frame, folder)
    with pytest.raises(SystemExit):
        main(["search", "anna0/door/1", f"folder:{tmp_path / 'crops'}", "--model", str(run / "model.safetensors")])
    error = capsys.readouterr().err
    assert "all 2 tracklets" in error and "manifest:" in error and "without camera" in error


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
        (["search", "x", "mars:nowhere", "--model", "m"], 1, "there is no model file or model 'm'"),
        (["train", "mars:nowhere", "--out", "o"], 1, "no folder nowhere"),
        (["train", "nonsense", "--out", "o"], 1, "KIND:PATH"),
        (["train", "mars:.", "--out", "o", "--recipe", "none"], 1, "there is no recipe or file 'none'"),
        (["synth"], 2, "out"),
        (["evaluate", "mars:x", "--model", "m", "--max-corrupted", "many"], 2, "many"),
        (["sing"], 2, "sing"),
    ],
)
def test_errors_are_one_line_and_an_exit_status(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == status
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    if status == 1:
        assert len(error.splitlines()) == 1


def test_a_fault_of_the_package_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("resight.cli.models.shipped_models", fail)
    with pytest.raises(SystemExit) as stop:
        main(["models"])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 1 and "ZeroDivisionError: by design" in line
    path = Path(line.rpartition(" ")[2])
    assert "Traceback" in path.read_text(encoding="utf-8")
    path.unlink()


def test_a_world_is_not_overwritten(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in world.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        main(["synth", str(world), "--scale", "tiny"])
    assert stop.value.code == 1 and str(world) in capsys.readouterr().err
    assert sorted(p.name for p in world.rglob("*")) == before


def test_damaged_data_is_reported(world: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
