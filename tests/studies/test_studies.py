from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from resight.checkpoints import Checkpoint, make_aggregator, save_checkpoint
from resight.data.corruption import choose_corrupted
from resight.data.readers import read_splits
from resight.errors import CheckpointError, RecipeError
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.metrics import score_similarities
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanPair, TopShare
from resight.models.encoders import make_encoder
from resight.models.i3d import I3D
from resight.recipe import ClipSpec
from resight.scoring.one_pair import score_one_pair
from resight.studies import studies
from resight.studies.framework.outcome import Outcome, values_of
from resight.studies.framework.setting import Setting
from resight.studies.framework.steps import Steps
from resight.studies.paper.published import OURS
from resight.studies.paper.sweep import sweep_aggregators
from resight.studies.studies import STUDIES, TOGETHER, Laboratory, reproduce
from resight.synthetic.layouts import write_layout


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if not study.splits])
def test_every_study_runs_and_states_its_conditions(name: str, steps: Steps) -> None:
    study = STUDIES[name]
    outcome = study.run(steps)
    assert outcome.name == name and outcome.tables and outcome.conditions
    for table in outcome.tables:
        for row in table.rows:
            assert len(row.cells) == len(table.columns)
            assert len(row.published) in (0, len(table.columns))
            assert all(math.isfinite(value) for cell in row.cells for value in values_of(cell))
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    if name not in ("fig5", "fig7"):
        assert "protocol mars" in outcome.conditions
    if study.draw is not None:
        assert isinstance(study.draw(outcome), Figure)
    if study.pictures is not None:
        assert list(study.pictures(steps))


def test_table2_scores_are_those_of_the_trained_aggregators(steps: Steps) -> None:
    table = STUDIES["table2"].run(steps).tables[0]
    rate, seed = 2, 1
    features = steps.damages(seed, ("corrupted",))
    damaged = choose_corrupted(features.clean.ids, 3, rate, seed)
    values = np.where(damaged[:, :, None], features.of("corrupted").values, features.clean.values)
    query = [features.clean.ids.index(t.id) for t in steps.dataset.query]
    gallery = [features.clean.ids.index(t.id) for t in steps.dataset.gallery]
    made = sweep_aggregators(steps, seed, rate)
    for name in (OURS, "top 20 %-eval", "top 50 %-traineval"):
        similarity = np.array(
            [[score_one_pair(values[q], values[g], made[name]).score for g in gallery] for q in query]
        )
        by_hand = 100 * score_similarities(similarity, steps.dataset.query, steps.dataset.gallery, steps.protocol).map
        cell = table.row(name).cells[table.columns.index(str(rate))]
        measured = values_of(cell)[steps.setting.seeds.index(seed)]
        assert measured == pytest.approx(by_hand, abs=1e-3)


def test_table2_evaluates_one_projection_at_every_t_and_trains_one_for_each(steps: Steps) -> None:
    made = sweep_aggregators(steps, 0, 0)
    projections = {
        name: one.state_dict()["projection.weight"]
        for name, one in made.items()
        if isinstance(one, TopShare) and one.dim is not None
    }
    everywhere = projections["top 100 %-traineval"]
    for t in steps.setting.shares:
        assert torch.equal(projections[f"top {t} %-eval"], everywhere)
        assert made[f"top {t} %-eval"].share == t
    assert not torch.equal(projections["top 20 %-traineval"], everywhere)


def test_steps_are_done_once_and_timed(steps: Steps) -> None:
    steps.seconds()
    first = steps.trained("learned", 0, 2)
    took = steps.seconds()
    assert "train learned-c2-seed0" in took and "train encoder-L2-seed0" in took
    log = steps.folder / "aggregators-seed0" / "learned-c2.metrics.jsonl"
    before = log.read_bytes()
    again = steps.trained("learned", 0, 2)
    assert log.read_bytes() == before
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert (one == other).all()


def test_a_repeated_study_gives_exactly_the_same_table(world: Path, tmp_path: Path, toy: Setting) -> None:
    found = [
        reproduce("fig4", Laboratory(f"mars:{world}", tmp_path / name, replace(toy, seeds=(0,))))["fig4"]
        for name in ("a", "b")
    ]
    assert found[0].tables == found[1].tables
    written = {path.suffix for path in (tmp_path / "a" / "results").iterdir()}
    assert written == {".json", ".csv", ".md", ".png", ".svg", ".pdf"}
    assert found[0].command == f"resight reproduce fig4 --data mars:{world} --setting toy"


def test_parallel_studies_give_the_results_of_sequential_ones(world: Path, tmp_path: Path, toy: Setting) -> None:
    one = replace(toy, seeds=(0,))
    shown: list[str] = []
    at_once = reproduce(
        "all", Laboratory(f"mars:{world}", tmp_path / "both", one), jobs=2,
        say=lambda outcome, paths: shown.append(outcome.name),
    )  # fmt: skip
    assert list(at_once) == [name for name, study in STUDIES.items() if study.kind in (None, "mars")]
    assert sorted(shown) == sorted(at_once)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
    try:
        in_turn = reproduce("table6", Laboratory(f"mars:{world}", tmp_path / "turn", one))
    finally:
        torch.set_num_threads(threads)
    assert at_once["table6"].tables == in_turn["table6"].tables
    logs = [path.read_text().splitlines() for path in (tmp_path / "both" / "steps").rglob("*.metrics.jsonl")]
    assert len(logs) > 10
    for log in logs:
        assert [json.loads(line)["step"] for line in log] == [*range(len(log))], (
            "two processes did the same training run"
        )


def test_each_study_is_in_one_group_at_most() -> None:
    dealt = [name for group in TOGETHER for name in group]
    assert len(dealt) == len(set(dealt)) and set(dealt) <= set(STUDIES)


def test_table5_trains_one_model_per_split(
    world: Path, tmp_path: Path, toy: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_layout(world, tmp_path / "prid", "prid2011")
    monkeypatch.setattr(studies, "read_splits", lambda name: read_splits(name)[:2])
    recipe = replace(toy.recipe, stage2=replace(toy.recipe.stage2, max_corrupted=0))
    data = f"prid2011:{tmp_path / 'prid'}"
    outcome = reproduce("table5", Laboratory(data, tmp_path / "out", replace(toy, recipe=recipe)))
    table = outcome["table5"].tables[0]
    assert all(len(values_of(cell)) == 2 for cell in table.row(OURS).cells)
    assert table.row(OURS).published == (None, 82.9, 95.8, 99.1)
    assert (tmp_path / "out" / "steps" / "split2" / "encoder-L2-seed0").is_dir()


def test_encoders_start_from_the_given_weights(world: Path, tmp_path: Path, toy: Setting) -> None:
    whole = replace(toy, seeds=(0,), counts=(1, 2, 4, 8, 16))
    torch.manual_seed(7)
    weights = I3D(toy.recipe.stage1.encoder_width).state_dict()
    torch.save(weights, tmp_path / "other.pt")
    data, out = f"mars:{world}", tmp_path / "out"
    begun = reproduce("fig4", Laboratory(data, out, whole, init=tmp_path / "other.pt"))["fig4"]
    usual = reproduce("fig4", Laboratory(data, out, whole))["fig4"]
    assert begun.tables != usual.tables
    assert begun.command.endswith(f"--init {tmp_path / 'other.pt'}") and "--init" not in usual.command
    assert {path.name for path in out.iterdir()} == {"results", "steps", "steps-from-other"}


def test_the_encoder_of_a_model_is_used_unchanged(world: Path, tmp_path: Path, toy: Setting) -> None:
    other = replace(toy.recipe, clips=ClipSpec(length=1, count=2, height=48, width=24))
    encoder = make_encoder(other.stage1).eval()
    path = tmp_path / "run" / "model.safetensors"
    path.parent.mkdir()
    save_checkpoint(
        path, Checkpoint(encoder, make_aggregator("mean-pair", encoder.dim, other), other, {"aggregator": "mean-pair"})
    )
    laboratory = Laboratory(f"mars:{world}", tmp_path / "out", replace(toy, rates=(0, 1)), model=path)
    found = reproduce("table2", laboratory)["table2"]
    assert found.conditions.startswith(f"the encoder of {path}; mars:{world}; ")
    assert found.command == f"resight reproduce table2 --data mars:{world} --setting toy --model {path}"
    assert {step.split()[1].partition("-")[0] for step in found.seconds or {} if step.startswith("train ")} == {
        "features", "learned", "top20", "top50", "top100"
    }  # fmt: skip

    own = extract_clip_features(encoder, laboratory.steps[0].everyone, other.clips)
    by_hand = evaluate_features(
        own.of(laboratory.steps[0].dataset.query), own.of(laboratory.steps[0].dataset.gallery), TopShare(50),
        laboratory.steps[0].protocol,
    )[1]  # fmt: skip
    assert found.tables[2].row("top 50 %, no projection").cells[0] == pytest.approx((100 * by_hand.map,) * 2)


def test_studies_that_compare_encoders_reject_a_model(world: Path, tmp_path: Path, toy: Setting) -> None:
    given = Laboratory(f"mars:{world}", tmp_path / "out", toy, model=Path("open-small"))
    with pytest.raises(
        RecipeError, match="table6 compares encoders that it trains, so it cannot use the encoder of open-small"
    ):
        reproduce("table6", given)
    with pytest.raises(RecipeError, match="give only one of them"):
        replace(given, init=Path("rgb_imagenet.pt"))
    with pytest.raises(CheckpointError, match="there is no model file or model 'nothing'"):
        reproduce("table2", replace(given, model=Path("nothing")))
    assert not list(tmp_path.iterdir())


def test_unknown_studies_are_rejected(tmp_path: Path, toy: Setting) -> None:
    with pytest.raises(RecipeError, match="there is no study 'table9'; expected fig3"):
        reproduce("table9", Laboratory(None, tmp_path, toy))
    with pytest.raises(RecipeError, match="jobs is 0"):
        reproduce("fig4", Laboratory(None, tmp_path, toy), jobs=0)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RecipeError, match="at least one training run"):
        replace(toy, seeds=())


def test_each_side_is_scored_with_its_own_features(steps: Steps) -> None:
    features = steps.damages(0, ("corrupted",))
    one_side = steps.score(MeanPair(), features.clean, gallery=features.of("corrupted"))
    both = steps.score(MeanPair(), features.of("corrupted"))
    neither = steps.score(MeanPair(), features.clean)
    assert len({one_side.map, both.map, neither.map}) == 3
