from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import resight
from resight.adaptation import adapt as adaptation
from resight.adaptation import encoder, importance, projection, statistics
from resight.adaptation.adapt import DEFAULT, STEPS, Report, adapt_model
from resight.adaptation.statistics import LEAST, MOST, adapt_statistics, fold_encoder, in_fold, own_share
from resight.adaptation.unlabelled import assign_folds, strip_labels
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.errors import DatasetError
from resight.evaluation.threshold import Threshold
from resight.models.camera_encoder import CameraEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.tables import Table
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

Adapted = tuple[Checkpoint, Report]


def run(model: Checkpoint, tracklets: list[Tracklet], folder: Path, chosen: tuple[str, ...] = DEFAULT) -> Adapted:
    path = folder / "adapted.safetensors"
    return adapt_model(model, tracklets, "made", path, 0, RunOptions(folder / ".part"), chosen)


def keep(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """Let every step help, or none."""
    for module in (encoder, importance, projection, statistics):
        for name in ("helped", "helped_across_cameras"):
            monkeypatch.setattr(module, name, lambda _: kept, raising=False)


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a few steps only."""
    for module in (encoder, importance):
        monkeypatch.setattr(module, "STEPS", 4)
    monkeypatch.setattr(encoder, "ROUNDS", 1)
    monkeypatch.setattr(encoder, "_LEAST_GROUPS", 1)


def state(model: Checkpoint) -> tuple[str, str]:
    return content_hash(model.encoder.state_dict()), content_hash(model.aggregator.state_dict())


def test_an_adapted_model_has_statistics_projection_threshold_and_card(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    before = state(model)
    adapted, report = run(model, tracklets, tmp_path)
    assert state(model) == before, "the model that is adapted does not change"
    assert report.steps["statistics"].lines[0] == "statistics of cameras helped, and are used"
    assert report.steps["projection"].lines[0] == "projection helped, and is used"
    assert not (tmp_path / ".part").exists()
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) and state(loaded)[1] == before[1]
    assert isinstance(loaded.encoder, CameraEncoder) and loaded.encoder.cameras == ("a", "b")
    assert isinstance(loaded.encoder.trained, ProjectedEncoder)
    card = loaded.metadata["adapted"]
    of_cameras, projected = card["steps"]["statistics"], card["steps"]["projection"]
    assert {name: camera["tracklets"] for name, camera in of_cameras["cameras"].items()} == {"a": 16, "b": 16}
    assert {c["share"] for c in of_cameras["cameras"].values()} == {round(own_share(16), 3)}
    assert projected["tracklets"] == 32 and 0 < projected["grouped"] <= 32 and projected["constraints"]
    assert card["tracklets"] == 32 and card["frames"] == 160 and card["proven"] and card["kept"] == report.kept
    for step in (of_cameras, projected):
        assert "seen at the same time" in Table.from_json(step["agreement"]).note
    threshold = Threshold.from_json(loaded.metadata["threshold"])
    assert threshold.source == "pairs of tracklets of a camera, seen at the same time" and threshold.persons == 32
    assert loaded.metadata["validation"] == {"stage 2 mAP": 0.5}, "the rest of the card stays"


def test_all_steps_together_change_encoder_and_importance(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    short(monkeypatch)
    before = state(model)
    adapted, report = run(model, tracklets, tmp_path, STEPS)
    assert list(report.steps) == ["statistics", "encoder", "projection", "importance"]
    assert all(step.kept and "helped, and" in step.lines[0] for step in report.steps.values())
    assert state(model) == before and state(adapted)[1] != before[1]
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted)
    body = loaded.encoder.trained.trained  # type: ignore[union-attr]
    old, new = (parameters(network) for network in (model.encoder, body))
    assert not torch.equal(old, new) and (old - new).abs().max() < 0.01
    card = loaded.metadata["adapted"]["steps"]
    assert (
        card["encoder"]["rounds"] == 1 and card["encoder"]["tracklets"] == 16 and card["importance"]["tracklets"] == 16
    )


def test_training_in_steps_continues_and_depends_on_frames_only(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    short(monkeypatch)
    chosen = ("encoder", "importance")
    whole, _ = run(model, tracklets, tmp_path / "whole", chosen)
    renamed = [replace(t, id=str(n), person=1 + n % 3) for n, t in enumerate(reversed(tracklets))]
    with monkeypatch.context() as patch:
        patch.setattr(importance, "train_on_parts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(model, renamed, tmp_path, chosen)
    assert (tmp_path / ".part" / "encoder, round 1.state.safetensors").exists()
    continued, _ = run(model, renamed, tmp_path, chosen)
    assert state(continued) == state(whole)


def parameters(encoder: Any) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])


def test_names_persons_and_order_of_tracklets_change_nothing(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    first, report = run(model, tracklets, tmp_path / "first")
    renamed = []
    for number, tracklet in enumerate(reversed(tracklets)):
        folder = tmp_path / "renamed" / str(number)
        shutil.copytree(tracklet.folder, folder)
        renamed.append(replace(tracklet, id=str(number), person=1 + number % 3, folder=folder))
    second, again = run(model, renamed, tmp_path / "second")
    assert state(first) == state(second) and report == again


def test_what_does_not_help_is_not_kept(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, False)
    adapted, report = run(model, tracklets, tmp_path)
    assert not report.kept
    assert all("did not help" in step.lines[0] for step in report.steps.values())
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) == state(model)
    assert "threshold" not in loaded.metadata and loaded.metadata["adapted"]["steps"]["statistics"]["cameras"] == {}


def test_an_interrupted_run_continues(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    whole, _ = run(model, tracklets, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(adaptation, "save_checkpoint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(model, tracklets, tmp_path)
    assert not (tmp_path / "adapted.safetensors").exists()
    monkeypatch.setattr(statistics, "camera_statistics", interrupt)  # not computed again
    continued, _ = run(model, tracklets, tmp_path)
    assert state(continued) == state(whole)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_without_times_tracklets_of_a_camera_stand_for_different_persons(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path
) -> None:
    timeless = [replace(tracklet, start=None, end=None) for tracklet in tracklets]
    _, report = run(model, timeless, tmp_path)
    for step in report.steps.values():
        assert step.table is not None and "of one camera, assumed to show different persons" in step.table.note
    assert report.steps["projection"].values["constraints"] is False


def test_too_few_tracklets_are_refused(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected at least 30"):
        run(model, tracklets[:20], tmp_path)
    several = [replace(t, camera_name=f"{t.camera_name}{n % 8}") for n, t in enumerate(tracklets)]
    with pytest.raises(DatasetError, match="no camera has more than 4 tracklets, expected at least 5"):
        run(model, [replace(t, start=None, end=None) for t in several], tmp_path)
    assert not list(tmp_path.glob("*.safetensors")) and not (tmp_path / ".part").exists()


def test_an_encoder_from_elsewhere_gets_a_projection_only(
    tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thumbnails(frames: Tensor) -> Tensor:
        return frames[:, :, ::8, ::8].flatten(1)

    keep(monkeypatch, True)
    model = resight.Model.from_encoder(thumbnails, size=(32, 16), mean=(0, 0, 0), std=(1, 1, 1), name="colours")
    adapted, report = run(model.checkpoint, tracklets, tmp_path, STEPS)
    assert "no training of the encoder, because the encoder is an ONNX" in report.steps["encoder"].lines[0]
    assert "no training of importance, because mean" in report.steps["importance"].lines[0]
    assert (
        "no statistics of cameras, because the encoder is an ONNX network or a Python"
        in report.steps["statistics"].lines[0]
    )
    assert not report.steps["statistics"].kept and report.steps["statistics"].table is None
    assert report.steps["projection"].kept and isinstance(adapted.encoder, ProjectedEncoder)


def test_a_second_projection_is_applied_after_the_first(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, True)
    once, _ = run(model, tracklets, tmp_path)
    twice, _ = run(once, tracklets, tmp_path)
    assert isinstance(twice.encoder, CameraEncoder) and isinstance(twice.encoder.trained, ProjectedEncoder)
    assert not isinstance(twice.encoder.trained.trained, ProjectedEncoder)


def test_a_model_can_be_adapted_to_more_cameras(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    own = strip_labels(tracklets)
    first = [tracklet for tracklet in own if tracklet.camera_name == "a"]
    second = [tracklet for tracklet in own if tracklet.camera_name == "b"]
    (tmp_path / "run").mkdir()
    once, _ = adapt_statistics(model.encoder, first, model.recipe.clips, tmp_path / "run")
    twice, report = adapt_statistics(once, [*second[: LEAST - 1], *first], model.recipe.clips, tmp_path / "run")
    assert twice.cameras == ("a",) and list(report) == ["a"]
    both, _ = adapt_statistics(once, second, model.recipe.clips, tmp_path / "run")
    assert both.cameras == ("a", "b") and both.trained is once.trained
    assert (both.values[0] == once.values[0]).all()


def test_the_share_grows_with_the_number_of_tracklets() -> None:
    shares = [own_share(n) for n in (0, 5, 10, 20, 100, 10_000)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == MOST
    assert shares[1:4] == pytest.approx([5 / 85, 10 / 90, 0.2])


def test_a_fold_has_the_statistics_of_the_other(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    own = [tracklet for tracklet in strip_labels(tracklets) if tracklet.camera_name == "a"]
    folds = assign_folds(own)
    assert sorted(folds.values()) == [0] * 8 + [1] * 8
    by_time = [folds[t.id] for t in sorted(own, key=lambda t: (t.start or 0, t.id))]
    assert by_time == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    exchanged = fold_encoder(model.encoder, own, model.recipe.clips, tmp_path)
    assert sorted(exchanged.cameras) == ["a, fold 0", "a, fold 1"]
    first = [tracklet for tracklet in own if folds[tracklet.id] == 0]
    alone, _ = adapt_statistics(model.encoder, first, model.recipe.clips, tmp_path)
    assert exchanged.identity(in_fold(own[0], 1).camera_label) == alone.identity("a")
