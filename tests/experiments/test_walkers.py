from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.walker_faults import (
    ANY,
    HEADER,
    LABELS,
    FaultImportance,
    FaultyFrames,
    faults_of_frames,
    importance_by_fault,
    read_faulty_frames,
)
from experiments.walkers import LEARNED, LOOK_ALIKE, WrongAnswer, walkers

from resight.checkpoints import Checkpoint, load_checkpoint, make_aggregator, save_checkpoint
from resight.data.clips import sample_clips
from resight.data.readers.folder import read_folder
from resight.errors import CheckpointError, DatasetError
from resight.features.extract import extract_clip_features
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.scoring.all_pairs import score_all_pairs
from resight.synthetic.layouts import make_layout
from resight.synthetic.world import WorldScale
from resight.tracklet import Tracklet

SCALE = WorldScale("walkers", 32, 2, 3, (6, 6), 1.0, 0, 0, median_frames=10, spread=0.1, max_frames=12)
SPEC = ClipSpec(length=4, count=3, height=32, width=16)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of tracklets of synthetic people, all seen by each camera."""
    folder = tmp_path_factory.mktemp("walkers") / "tracklets"
    make_layout(folder, "folder", SCALE, 0, workers=1)
    return folder


def tiny_model(path: Path, kind: str = "learned") -> Path:
    recipe = Recipe("tiny", SPEC, Stage1(encoder_width=0.125), Stage2(hidden=8))
    torch.manual_seed(1)
    encoder = make_encoder(recipe.stage1)
    aggregator = make_aggregator(kind, encoder.dim, recipe)
    for parameter in aggregator.parameters():  # the initial weights give all clips the same importance
        torch.nn.init.normal_(parameter)
    save_checkpoint(path, Checkpoint(encoder, aggregator, recipe, {"aggregator": kind}))
    return path


def write_labels(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def test_tables_and_file_have_the_same_values(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = tiny_model(tmp_path / "model.safetensors"), read_folder(world)
    first, second = data.between_cameras(1, 2).query[0], data.between_cameras(2, 1).query[1]
    whole = [first.id, number(first.names[0]), number(first.names[-1]), "occluded_by_person"]
    start = [second.id, number(second.names[0]), number(second.names[3]), "bad_crop"]
    elsewhere = [data.between_cameras(3, 4).query[0].id, 5, 6, "empty"]  # not a query
    labels = write_labels(tmp_path / "labels.csv", [HEADER, whole, start, elsewhere])
    results = tmp_path / "results.json"
    walkers(model=model, tracklets=world, demo_model=model, labels=labels, results=results, workers=0)
    found, printed = json.loads(results.read_text(encoding="utf-8")), capsys.readouterr().out

    loaded = load_checkpoint(model)
    features = extract_clip_features(loaded.encoder, data.gallery, SPEC)
    for way in ("1:2", "2:1"):
        chosen = data.between_cameras(*map(int, way.split(":")))
        query, gallery = features.of(chosen.query), features.of(chosen.gallery)
        similarity = torch.as_tensor(score_all_pairs(query.values, gallery.values, loaded.aggregator)).numpy()
        wrong = []
        for row, asked in enumerate(chosen.query):
            best = np.argsort(-similarity[row])
            rank = next(rank for rank, g in enumerate(best, 1) if chosen.gallery[g].person == asked.person)
            if rank > 1:
                wrong.append({"query": asked.id, "answer": chosen.gallery[best[0]].id, "first_match": rank})
        own = found["methods"][LEARNED][way]
        assert [{name: value for name, value in w.items() if name != "perhaps_correct"} for w in own["wrong"]] == wrong
        assert own["cmc"][0] == pytest.approx(1 - len(wrong) / len(chosen.query))
        assert f"{way}: protocol standard; AP: mean precision at hits; 5 of 5 queries have a match" in printed
        assert all(f"{w['query']} → {w['answer']}" in printed for w in wrong)
    methods = found["methods"]
    assert [*methods][:2] == ["colour histogram", "untrained encoder"] and {"top 20 %", "top 50 %"} <= {*methods}
    assert methods[f"demo, {LEARNED}"] == methods[LEARNED]
    right = [100 * value for way in methods[LEARNED].values() for value in (way["cmc"][0], way["map"])]
    assert f"| {LEARNED} | " + " | ".join(f"{value:.1f}" for value in right) + " |" in printed

    importance = found["importance"]
    clips = sample_clips(len(second), SPEC).tolist()
    damaged = sum(sum(frame < 4 for frame in clip) >= 2 for clip in clips)
    assert 0 < damaged < SPEC.count
    counts = {fault: (one["damaged"], one["clean"], one["tracklets"]) for fault, one in importance.items()}
    clean = SPEC.count - damaged
    assert counts == {
        ANY: (SPEC.count + damaged, clean, 1), "bad_crop": (damaged, clean, 1), "occluded_by_person": (3, clean, 0)
    }  # fmt: skip
    shares = importance["bad_crop"]["damaged_weight"] * damaged + importance["bad_crop"]["clean_weight"] * clean
    assert shares == pytest.approx(SPEC.count)  # the weights of one tracklet, each 1 in the mean
    assert (
        f"| occluded by person | {importance['occluded_by_person']['auroc']:.2f} | 3 | {clean} | – | – | 0 |" in printed
    )
    assert found["speed"]["clips"] == SPEC.count * len(data.gallery) and "clips/s" in printed


def test_importance_by_hand() -> None:
    weights = np.array([[0.1, 0.5, 0.4], [0.2, 0.3, 0.5], [0.6, 0.2, 0.2]])
    faults = np.array([["a", "", ""], ["", "b", "a"], ["a", "a", "a"]])
    found = importance_by_fault(weights, faults)
    assert [*found] == [ANY, "a", "b"]
    # clean are 0.5, 0.4, 0.2; of a, 0.1 is below three of them, 0.5 ties with one, 0.6 is below none, 0.2 is below two
    # and ties with one, twice
    assert found["a"] == FaultImportance(
        pytest.approx((3 + 0.5 + 0 + 2 * 2.5) / 15), 5, 3, 2,  # type: ignore[arg-type]
        pytest.approx(3 * (0.1 + 0.5) / 2), pytest.approx(3 * (0.5 + 0.4 + 0.2) / 3),  # type: ignore[arg-type]
    )  # fmt: skip
    assert found["b"].damaged_weight == pytest.approx(0.9) and found["b"].clean_weight == pytest.approx(0.6)
    assert (found[ANY].damaged, found[ANY].clean, found[ANY].tracklets) == (6, 3, 2)
    assert importance_by_fault(weights, np.full((3, 3), "")) == {}
    only = importance_by_fault(weights[2:], faults[2:])["a"]
    assert (only.auroc, only.tracklets, only.damaged_weight, only.clean_weight) == (None, 0, None, None)


def test_the_published_labels_are_valid() -> None:
    ranges = read_faulty_frames(LABELS)
    assert ranges == sorted(ranges) and len(ranges) > 50
    assert all(re.fullmatch(r"\d{4}/c[12]/\d{4}", one.tracklet) for one in ranges)
    assert {one.fault for one in ranges} == {"occluded_by_object", "occluded_by_person", "bad_crop"}
    for before, after in pairwise(ranges):
        assert before.tracklet != after.tracklet or before.last < after.first


def test_the_published_labels_match_the_real_pedestrians() -> None:
    root = os.environ.get("RESIGHT_WALKERS")
    if not root:
        pytest.skip("RESIGHT_WALKERS does not name the folder of the real pedestrians' tracklets")
    ranges, data = read_faulty_frames(LABELS), read_folder(Path(root))
    faults = faults_of_frames(ranges, data.gallery)
    assert sum(map(len, faults.values())) == sum(one.last - one.first + 1 for one in ranges)
    assert {person for group in LOOK_ALIKE for person in group} <= {t.id.partition("/")[0] for t in data.gallery}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["frame", "fault"]], "must begin with the line 'tracklet,first,last,fault'"),
        ([], "must begin with"),
        ([HEADER, ["a", 1, 2]], "line 2: expected a tracklet, its first"),
        ([HEADER, ["a", 1, 2, "empty"], ["a", "one", 2, "empty"]], "line 3: expected a tracklet, its first"),
        ([HEADER, ["a", 3, 2, "empty"]], "line 2: expected a tracklet, its first"),
        ([HEADER, ["a", 1, 2, "tired"]], "'tired' is not a fault, expected one of occluded_by_object, "),
    ],
)
def test_invalid_labels_are_refused(rows: list[list[object]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_faulty_frames(write_labels(tmp_path / "labels.csv", rows))


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([FaultyFrames("b", 1, 2, "empty")], "name 'b', which is not a tracklet; expected one of a, unnumbered"),
        ([FaultyFrames("a", 5, 8, "empty")], "name frame 8 of a, which has frames 5 to 7"),
        ([FaultyFrames("a", 5, 6, "empty"), FaultyFrames("a", 6, 7, "bad_crop")], "frame 6 of a has two labels"),
        ([FaultyFrames("unnumbered", 1, 1, "empty")], "frame 1 of unnumbered, which has no numbered frames"),
    ],
)
def test_labels_that_do_not_fit_are_refused(ranges: list[FaultyFrames], message: str) -> None:
    tracklets = [
        Tracklet("a", 1, 1, Path("a"), ("000005.jpg", "000006.jpg", "000007.jpg")),
        Tracklet("unnumbered", 1, 2, Path("b"), ("left.jpg",)),
    ]
    with pytest.raises(DatasetError, match=message):
        faults_of_frames(ranges, tracklets)


def test_a_model_without_importance_is_refused(world: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model.safetensors", "mean-pair")
    with pytest.raises(CheckpointError, match=r"\(mean-pair\) has no learned importance"):
        walkers(model=model, tracklets=world, workers=0)


def test_answers_that_may_be_correct_are_marked() -> None:
    assert WrongAnswer("0008/c1/0008", "0018/c2/0018", 2).perhaps_correct
    assert not WrongAnswer("0008/c1/0008", "0002/c2/0002", 2).perhaps_correct


def number(name: str) -> int:
    return int(Path(name).stem[-3:])
