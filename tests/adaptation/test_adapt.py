from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import resight
from resight.adaptation import adapt as adaptation
from resight.adaptation import steps
from resight.adaptation.adapt import Report, adapt_model
from resight.adaptation.agreement import AUROC, BIAS, REASSOCIATION, Change
from resight.adaptation.statistics import (
    HALVES,
    LEAST,
    MOST,
    adapt_statistics,
    assign_folds,
    fold_encoder,
    in_fold,
    own_share,
)
from resight.adaptation.unlabelled import divide, strip_labels
from resight.checkpoints import Checkpoint, load_checkpoint
from resight.errors import DatasetError
from resight.evaluation.confidence import Interval
from resight.evaluation.threshold import Threshold
from resight.models.camera_encoder import CameraEncoder
from resight.models.projected_encoder import ProjectedEncoder
from resight.tables import Table
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

Adapted = tuple[Checkpoint, Report]


def run(model: Checkpoint, tracklets: list[Tracklet], folder: Path) -> Adapted:
    path = folder / "adapted.safetensors"
    return adapt_model(model, tracklets, "made", path, 0, RunOptions(folder / ".part"))


def state(model: Checkpoint) -> tuple[str, str]:
    return content_hash(model.encoder.state_dict()), content_hash(model.aggregator.state_dict())


def test_an_adapted_model_has_statistics_projection_threshold_and_card(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: True)
    before = state(model)
    adapted, report = run(model, tracklets, tmp_path)
    assert state(model) == before, "the model that is adapted does not change"
    assert report.statistics.lines[0] == "statistics of cameras helped, and are used"
    assert report.projection.lines[0] == "projection helped, and is used"
    assert not (tmp_path / ".part").exists()
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) and state(loaded)[1] == before[1]
    assert isinstance(loaded.encoder, CameraEncoder) and loaded.encoder.cameras == ("a", "b")
    assert isinstance(loaded.encoder.trained, ProjectedEncoder)
    card = loaded.metadata["adapted"]
    statistics, projection = card["statistics"], card["projection"]
    assert {name: camera["tracklets"] for name, camera in statistics["cameras"].items()} == {"a": 16, "b": 16}
    assert {c["share"] for c in statistics["cameras"].values()} <= {round(own_share(16, n), 3) for n in HALVES}
    assert projection["tracklets"] == 32 and 0 < projection["grouped"] <= 32 and projection["constraints"]
    assert card["tracklets"] == 32 and card["frames"] == 160 and card["proven"] and card["kept"] == report.kept
    for step in (statistics, projection):
        assert "seen at the same time" in Table.from_json(step["agreement"]).note
    threshold = Threshold.from_json(loaded.metadata["threshold"])
    assert threshold.source == "pairs of tracklets of a camera, seen at the same time" and threshold.persons == 32
    assert loaded.metadata["validation"] == {"stage 2 mAP": 0.5}, "the rest of the card stays"


def test_names_persons_and_order_of_tracklets_change_nothing(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: True)
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
    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: False)
    adapted, report = run(model, tracklets, tmp_path)
    assert not report.kept
    assert all("did not help" in step.lines[0] for step in (report.statistics, report.projection))
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) == state(model)
    assert "threshold" not in loaded.metadata and loaded.metadata["adapted"]["statistics"]["cameras"] == {}


def test_an_interrupted_run_continues(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: True)
    whole, _ = run(model, tracklets, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(adaptation, "save_checkpoint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(model, tracklets, tmp_path)
    assert not (tmp_path / "adapted.safetensors").exists()
    from resight.adaptation import statistics

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
    for step in (report.statistics, report.projection):
        assert step.table is not None and "of one camera, assumed to show different persons" in step.table.note
    assert report.projection.values["constraints"] is False


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
    def encoder(frames: Tensor) -> Tensor:
        return frames[:, :, ::8, ::8].flatten(1)

    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: True)
    model = resight.Model.from_encoder(encoder, size=(32, 16), mean=(0, 0, 0), std=(1, 1, 1), name="colours")
    adapted, report = run(model.checkpoint, tracklets, tmp_path)
    assert "no statistics of cameras, because the encoder is an ONNX network or a Python" in report.statistics.lines[0]
    assert not report.statistics.kept and report.statistics.table is None
    assert report.projection.kept and isinstance(adapted.encoder, ProjectedEncoder)


def test_a_second_projection_is_applied_after_the_first(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("helped", "helped_across_cameras"):
        monkeypatch.setattr(steps, name, lambda _: True)
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
    for half in HALVES:
        shares = [own_share(n, half) for n in (0, 5, 10, 30, 100, 10_000)]
        assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == MOST
    assert [own_share(20, half) for half in (80, 20, 1)] == [0.2, 0.5, 0.5]


def test_a_fold_has_the_statistics_of_the_other(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    own = [tracklet for tracklet in strip_labels(tracklets) if tracklet.camera_name == "a"]
    folds = assign_folds(own)
    assert sorted(folds.values()) == [0] * 8 + [1] * 8
    by_time = [folds[t.id] for t in sorted(own, key=lambda t: (t.start or 0, t.id))]
    assert by_time == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    encoder = fold_encoder(model.encoder, own, model.recipe.clips, tmp_path, half=20)
    assert sorted(encoder.cameras) == ["a, fold 0", "a, fold 1"]
    first = [tracklet for tracklet in own if folds[tracklet.id] == 0]
    alone, _ = adapt_statistics(model.encoder, first, model.recipe.clips, tmp_path, half=20)
    assert encoder.identity(in_fold(own[0], 1).camera_label) == alone.identity("a")


@pytest.mark.parametrize(("limit", "expected"), [(0, 160), (2, 80), (9, 10)])
def test_shares_grow_until_the_cameras_matter_more(
    model: Checkpoint,
    tracklets: list[Tracklet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    expected: int,
) -> None:
    tried = []

    def compare(*_: object) -> dict[str, Change]:
        tried.append(0)
        same = Change(50, 50, Interval(0, -1, 1))
        bias = 1.0 if len(tried) > limit else -1.0
        return {REASSOCIATION: same, AUROC: same, BIAS: Change(50, 50 + bias, Interval(bias, -2, 2))}

    monkeypatch.setattr(steps, "HALVES", HALVES)
    monkeypatch.setattr(steps, "compare_agreement", compare)
    monkeypatch.setattr(steps, "part_similarities", lambda *_: np.zeros((32, 32)))
    own = strip_labels(tracklets)
    (tmp_path / "run").mkdir()
    _, step = steps.try_statistics(model, own, divide(own), 0, RunOptions(tmp_path / "run"))
    assert len(tried) == min(limit + 1, len(HALVES))
    assert step.kept == (limit > 0)
    shares = {camera["share"] for camera in step.values["cameras"].values()}
    assert shares == ({round(own_share(16, expected), 3)} if limit else set())
