from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from resight.adaptation import adapt as adaptation
from resight.adaptation.adapt import IMPORTANCE, STATISTICS, Report, adapt_model
from resight.adaptation.statistics import LEAST, MOST, adapt_statistics, own_share, without_statistics
from resight.adaptation.unlabelled import strip_labels
from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator
from resight.errors import DatasetError
from resight.evaluation.threshold import Threshold
from resight.models.camera_encoder import CameraEncoder
from resight.tables import Table
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions

Adapted = tuple[Checkpoint, Report]


def run(
    model: Checkpoint, tracklets: list[Tracklet], folder: Path, steps: tuple[str, ...] = adaptation.STEPS
) -> Adapted:
    path = folder / "adapted.safetensors"
    return adapt_model(model, tracklets, "made", path, 0, RunOptions(folder / ".part"), steps)


def state(model: Checkpoint) -> tuple[str, str]:
    return content_hash(model.encoder.state_dict()), content_hash(model.aggregator.state_dict())


def test_both_steps_are_tried_and_reported(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "helped", lambda _: True)
    before = state(model)
    adapted, report = run(model, tracklets, tmp_path)
    assert state(model) == before, "the model that is adapted does not change"
    assert report.kept == [STATISTICS, IMPORTANCE] and set(report.tables) == set(report.kept)
    assert not (tmp_path / ".part").exists()
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) and state(loaded)[1] != before[1]
    assert isinstance(loaded.encoder, CameraEncoder) and loaded.encoder.cameras == ("a", "b")
    card = loaded.metadata["adapted"]
    assert card["cameras"] == {name: {"tracklets": 16, "share": round(own_share(16), 3)} for name in "ab"}
    assert card["tracklets"] == 32 and card["frames"] == 160 and card["proven"] and card["kept"] == report.kept
    assert "seen at the same time" in Table.from_json(card["agreement"][STATISTICS]).note
    threshold = Threshold.from_json(loaded.metadata["threshold"])
    assert threshold.source == "pairs of tracklets of a camera, seen at the same time" and threshold.persons == 32
    assert loaded.metadata["validation"] == {"stage 2 mAP": 0.5}, "the rest of the card stays"


def test_names_persons_and_order_of_tracklets_change_nothing(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "helped", lambda _: True)
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
    monkeypatch.setattr(adaptation, "helped", lambda _: False)
    adapted, report = run(model, tracklets, tmp_path)
    assert report.kept == [] and "did not help" in report.lines[0]
    loaded = load_checkpoint(tmp_path / "adapted.safetensors")
    assert state(loaded) == state(adapted) == state(model)
    assert "threshold" not in loaded.metadata and loaded.metadata["adapted"]["cameras"] == {}


def test_an_interrupted_run_continues(
    model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "helped", lambda _: True)
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


def test_steps_that_are_not_possible_say_why(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    timeless = [replace(tracklet, start=None, end=None) for tracklet in tracklets]
    _, report = run(model, timeless, tmp_path)
    assert report.lines[0].startswith("importance: not possible, because the tracklets have no times")
    assert list(report.tables) == [STATISTICS] and "assumed to be" in report.tables[STATISTICS].note
    plain = replace(model, aggregator=make_aggregator("mean-pair", model.encoder.dim, model.recipe))
    with pytest.raises(DatasetError, match=r"allow no adaptation: importance: .* no importance network"):
        run(plain, tracklets, tmp_path, (IMPORTANCE,))
    with pytest.raises(DatasetError, match="expected at least 30"):
        run(model, tracklets[:20], tmp_path)


def test_a_model_can_be_adapted_to_more_cameras(model: Checkpoint, tracklets: list[Tracklet], tmp_path: Path) -> None:
    own = strip_labels(tracklets)
    first = [tracklet for tracklet in own if tracklet.camera_name == "a"]
    second = [tracklet for tracklet in own if tracklet.camera_name == "b"]
    (tmp_path / "run").mkdir()
    once, _ = adapt_statistics(model.encoder, first, model.recipe.clips, tmp_path / "run")
    twice, report = adapt_statistics(once, second[: LEAST - 1] + first, model.recipe.clips, tmp_path / "run")
    assert twice.cameras == ("a",) and list(report) == ["a"]
    both, _ = adapt_statistics(once, second, model.recipe.clips, tmp_path / "run")
    assert both.cameras == ("a", "b") and both.trained is once.trained
    assert (both.values[0] == once.values[0]).all()


def test_the_share_grows_with_the_number_of_tracklets() -> None:
    shares = [own_share(n) for n in (0, LEAST - 1, LEAST, 10, 30, 100, 10_000)]
    assert shares[:2] == [0, 0] and shares == sorted(shares) and shares[-1] == MOST
    assert 0 < shares[2] < shares[3] < shares[4] < MOST


def test_an_encoder_without_batchnorm_is_named() -> None:
    from torch import nn

    assert without_statistics(nn.Linear(2, 2)) == "the encoder has no BatchNorm layers"  # type: ignore[arg-type]
