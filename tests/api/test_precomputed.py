from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

import resight
from resight.checkpoints import Checkpoint, make_aggregator, save_checkpoint
from resight.errors import CheckpointError, DatasetError, RecipeError, ShapeError
from resight.recipe import ClipSpec

Float = NDArray[np.float32]


class Colours(nn.Module):
    """A network with weights."""

    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.layer = nn.Linear(3, dim)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.layer(frames.mean((2, 3)))
        return features


def model_of(network: nn.Module) -> resight.Model:
    return resight.Model.from_encoder(network, size=(32, 16), preset="imagenet", keep_features=False)


def arrays(tracklets: int = 4, clips: int = 3, dim: int = 6) -> dict[str, Float]:
    rng = np.random.default_rng(0)
    return {f"track-{n}": rng.standard_normal((clips, dim)).astype(np.float32) for n in range(tracklets)}


@dataclass
class Detections:
    """What is read of `supervision.Detections`."""

    xyxy: Float
    tracker_id: NDArray[np.int64] | None
    data: dict[str, Any] = field(default_factory=dict)


def test_arrays_and_files_give_the_same_features(tmp_path: Path) -> None:
    known = arrays()
    features = resight.read_features(known)
    assert features.ids == tuple(known) and features.values.shape == (4, 3, 6) and set(features.persons) == {-1}
    assert np.array_equal(features.values[2], known["track-2"])
    np.savez(tmp_path / "f.npz", **known)  # type: ignore[arg-type]
    save_file(known, tmp_path / "f.safetensors")
    features.save(tmp_path / "own.safetensors")
    for name in ("f.npz", "f.safetensors", "own.safetensors"):
        again = resight.read_features(tmp_path / name)
        assert sorted(again.ids) == sorted(features.ids)
        assert np.array_equal(again.values[again.ids.index("track-2")], known["track-2"])


def test_rows_of_frames_are_averaged_like_the_frames_of_clips() -> None:
    rows = {"long": np.arange(20, dtype=np.float32)[:, None], "short": np.array([[1.0], [3.0]], np.float32)}
    features = resight.read_features(rows, frames=True, clips=ClipSpec(length=4, count=3))
    assert features.values[:, :, 0].tolist() == [[1.5, 9.5, 17.5], [2, 2, 2]]
    assert features.frame_numbers[0, 1].tolist() == [8, 9, 10, 11]


def test_detections_are_grouped_by_track() -> None:
    box = np.zeros((2, 4), np.float32)
    frames = [
        Detections(box, np.array([7, 3]), {"embedding": np.array([[1, 1], [2, 2]])}),
        Detections(box[:0], None),
        Detections(box, np.array([3, -1]), {"embedding": np.array([[4, 4], [5, 5]])}),
    ]
    tracks = resight.group_detections(frames)
    assert {track: rows.tolist() for track, rows in tracks.items()} == {"7": [[1, 1]], "3": [[2, 2], [4, 4]]}
    assert set(resight.group_detections(frames, least=2)) == {"3"}
    assert resight.read_features(tracks, frames=True).values.shape == (2, 8, 2)
    for wrong, error, message in (
        (Detections(box, None), DatasetError, "frame 0 have no tracker_id"),
        (Detections(box, np.array([1, 2]), {"f": box}), DatasetError, r"no data\['embedding'\], only 'f'"),
        (Detections(box, np.array([1, 2]), {"embedding": box[:1]}), ShapeError, r"is \(1, 4\), expected \(2, D\)"),
    ):
        with pytest.raises(error, match=message):
            resight.group_detections([wrong])


def test_supervision_detections_are_read() -> None:
    supervision: Any = pytest.importorskip("supervision", reason="supervision comes with the extra detect")
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    frame = supervision.Detections(
        xyxy=np.array([[0, 0, 1, 2], [1, 1, 2, 3.0]]), tracker_id=np.array([1, 2]), data={"embedding": rows}
    )
    found = resight.group_detections([frame, supervision.Detections.empty(), frame])
    assert np.array_equal(found["2"], rows[[1, 1]])


def test_features_are_searched_and_compared() -> None:
    model, features = model_of(Colours()), resight.read_features(arrays())
    features.values[3] = features.values[1] + 0.01
    ranking = resight.search_features("track-1", features, model, k=2)
    assert ranking.query_ids == ("track-1",) and ranking.best(0, 1)[0][0] == "track-3"
    assert "track-1" not in ranking.gallery_ids
    by_values = resight.search_features(features.values[1], features, model, k=2)
    assert {id_ for id_, _ in by_values.best(0, 2)} == {"track-1", "track-3"}
    expected = model.similarity(features.values[1], features.values[3])
    assert ranking.best(0, 1)[0][1] == pytest.approx(expected, abs=1e-6)
    assert np.allclose(model.similarity(features, features), model.similarity(features.values, features.values))
    with pytest.raises(DatasetError, match=r"no tracklet 'track-9' in the features; ids look like 'track-0'"):
        resight.search_features("track-9", features, model)
    with pytest.raises(DatasetError, match="nothing to search"):
        resight.search_features("track-0", features.rows([0]), model)
    with pytest.raises(RecipeError, match="k is 0"):
        resight.search_features("track-0", features, model, k=0)
    with pytest.raises(ShapeError, match="of one tracklet"):
        resight.search_features(features.values, features, model)


def test_features_of_another_encoder_are_refused(make_tracklets: Any, tmp_path: Path) -> None:
    network, tracklets = Colours(), make_tracklets(persons=2)
    model, other = model_of(network), model_of(Colours())
    features = model.features(tracklets)
    assert features.encoder == model.features(tracklets[:1]).encoder != other.features(tracklets[:1]).encoder
    features.save(tmp_path / "f.safetensors")
    again = resight.read_features(tmp_path / "f.safetensors")
    assert model.similarity(again, features).shape == (4, 4)
    assert again.rows([1]).encoder == again.joined_with(features).encoder == features.encoder
    trained = model.checkpoint
    learned = make_aggregator("learned", model.dim, trained.recipe).eval()
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, Checkpoint(trained.encoder, learned, trained.recipe, {"aggregator": "learned"}))
    loaded = resight.load_model(path, encoder=network, keep_features=False)
    assert loaded.similarity(again, again).shape == (4, 4)
    with pytest.raises(ShapeError, match="made by another encoder than that of Colours"):
        other.similarity(again, again)
    with pytest.raises(ShapeError, match="made by another encoder"):
        resight.search_features(tracklets[0].id, again, other)
    with pytest.raises(ShapeError, match=r"have 5 values per clip, but the encoder of .* has 6"):
        loaded.similarity(np.ones((3, 5), np.float32), again)
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({}, DatasetError, "found none"),
        ({"a": np.ones(3)}, ShapeError, r"the features: a is \(3,\) of float64, expected features \(M, D\)"),
        ({"a": np.array([["x"]])}, ShapeError, r"a is \(1, 1\) of <U1"),
        ({"a": np.array([[np.nan]])}, ShapeError, "a has values that are not finite"),
        ({"a": np.ones((3, 2)), "b": np.ones((4, 2))}, ShapeError, r"b are \(4, 2\).*if the rows are frames"),
        ("none.npz", CheckpointError, r"there is no file none\.npz"),
    ],
)
def test_unusable_features_are_refused(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resight.read_features(source)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    for name, message in (("f.npz", "cannot be read"), ("f.safetensors", "damaged"), ("f.csv", r"suffix '\.csv'")):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match=message):
            resight.read_features(tmp_path / name)
    resight.read_features(arrays()).save(tmp_path / "own.safetensors")
    with pytest.raises(ShapeError, match="omit frames=True"):
        resight.read_features(tmp_path / "own.safetensors", frames=True)
    with pytest.raises(RecipeError, match="draws at random"):
        resight.read_features({"a": np.ones((3, 2))}, frames=True, clips=ClipSpec(count=1, sampler="random"))
