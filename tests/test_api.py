"""The public API: its exports, the code in docs/api.md, and unusable input."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resight
from resight.api.sources import find_tracklet
from resight.checkpoints import Checkpoint, make_aggregator
from resight.errors import CheckpointError, DatasetError, FrameError, RecipeError, ShapeError
from resight.models.encoders import make_encoder
from resight.recipe import ClipSpec, Recipe, Stage1, Stage2
from resight.scoring.one_pair import score_one_pair
from resight.synthetic.world import SCALES, make_world

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

TOML = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder data set of three persons and two cameras with two tracklets each."""
    root = tmp_path_factory.mktemp("api")
    for number, person in enumerate(("anna", "ben", "cleo", "dora", "emil")):
        colours = np.random.default_rng(number).integers(30, 225, (2, 3))
        for place, camera in enumerate(("door", "hall")):
            for tracklet in ("0001", "0002"):
                folder = root / "crops" / person / camera / tracklet
                folder.mkdir(parents=True)
                for frame in range(9):
                    rng = np.random.default_rng([number, place, int(tracklet), frame])
                    plain = np.repeat(colours, 32, axis=0)[:, None].repeat(32, axis=1)
                    picture = (plain + rng.normal(10 * place, 12, plain.shape)).clip(0, 255).astype(np.uint8)
                    Image.fromarray(picture).save(folder / f"{frame:04d}.jpg", quality=90)
    (root / "small.toml").write_text(TOML[0])
    return root


@pytest.fixture(scope="module")
def model() -> resight.Model:
    recipe = Recipe("small", ClipSpec(count=3, height=32, width=16), Stage1(encoder_width=0.125), Stage2(hidden=8))
    encoder = make_encoder(recipe.stage1).eval()
    aggregator = make_aggregator("learned", encoder.dim, recipe).eval()
    return resight.Model(Checkpoint(encoder, aggregator, recipe, {"aggregator": "learned"}))


def test_exports_exist_and_are_documented() -> None:
    assert resight.__all__ == sorted(resight.__all__)
    documented = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## All names")[2], re.MULTILINE)
    assert sorted(documented) == resight.__all__
    for name in resight.__all__:
        value = getattr(resight, name)
        assert value.__name__ == name and value.__doc__, name
        assert name in dir(resight)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = resight.nothing


def test_importing_and_naming_loads_nothing_heavy() -> None:
    program = "import sys, resight; dir(resight); print(*sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "rich"} & set(output.split())


def test_submodules_do_not_hide_functions() -> None:
    program = (
        "import resight.api.train, resight.api.search, resight.api.explain, resight.api.evaluate, resight.explanation, "
        "resight.evaluation, resight.training\n"
        "assert callable(resight.explain) and callable(resight.evaluate) and callable(resight.train)\n"
        "assert callable(resight.search)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_method_is_on_the_page() -> None:
    for name in (
        "encode", "features", "corrupted_features", "similarity", "explain", "threshold", "card", "from_encoder"
    ):  # fmt: skip
        assert f"`Model.{name}" in TEXT, name
    public = {name for name in vars(resight.Model) if not name.startswith("_")}
    assert public == {
        "card", "corrupted_features", "dim", "encode", "explain", "features", "from_encoder", "recipe", "similarity",
        "threshold",
    }  # fmt: skip


def test_the_code_of_the_page_runs(crops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crops)
    assert len(BLOCKS[0].split("\n\n")) > 1 and len([line for line in BLOCKS[0].splitlines() if line]) <= 10
    values: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), values)
    for page in ("answers.html", "why.html", "match.html"):
        assert "<html" in (crops / page).read_text(encoding="utf-8")
    assert len(values["answers"]) == 5 and values["answers"].searched == 10
    assert values["features"].shape == (8, values["model"].dim)


def test_encode_takes_every_form_of_a_tracklet(crops: Path, model: resight.Model) -> None:
    dataset = resight.read_dataset(f"folder:{crops / 'crops'}")
    tracklet = dataset.gallery[0]
    files = [tracklet.frame(n) for n in range(len(tracklet))]
    arrays = [np.asarray(Image.open(path)) for path in files]
    features = model.encode(tracklet)
    assert features.shape == (3, model.dim) and features.dtype == np.float32
    one_tracklet: list[Any] = [tracklet.folder, str(tracklet.folder), files, list(map(str, files))]
    for source in one_tracklet:
        assert np.array_equal(model.encode(source), features)
    for source in (arrays, np.stack(arrays)):
        assert model.encode(source) == pytest.approx(features, rel=1e-3, abs=1e-3)
    many = model.encode([tracklet, files, arrays, tracklet.folder, np.stack(arrays)])
    assert many.shape == (5, 3, model.dim)
    assert many == pytest.approx(np.stack([features] * 5), rel=1e-3, abs=1e-3)
    assert model.encode([tracklet]).shape == (1, 3, model.dim)
    scattered = [files[0], crops / "crops" / "ben" / "door" / "0001" / "0000.jpg"]
    assert model.encode(scattered).shape == (3, model.dim)


def test_encode_refuses_input_that_is_not_a_tracklet(tmp_path: Path, model: resight.Model) -> None:
    grey = np.zeros((5, 4), np.uint8)
    for source, error in (
        ([], DatasetError), ([[]], DatasetError), (tmp_path / "missing", DatasetError), (tmp_path, DatasetError),
        ([tmp_path / "a.jpg"], DatasetError), ([grey], ShapeError), (np.zeros((2, 8, 4, 3), np.float32), ShapeError),
        ([np.zeros((8, 4, 4), np.uint8)], ShapeError), (np.zeros((0, 8, 4, 3), np.uint8), DatasetError),
        (np.zeros((2, 0, 4, 3), np.uint8), ShapeError),
    ):  # fmt: skip
        with pytest.raises(error):
            model.encode(source)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(FrameError, match=r"broken\.jpg"):
        model.encode([tmp_path / "broken.jpg"])


def test_similarity_of_tracklets_and_batches(model: resight.Model) -> None:
    rng = np.random.default_rng(0)
    q, g = (rng.standard_normal((n, 3, model.dim)).astype(np.float32) for n in (2, 4))
    table = model.similarity(q, g)
    assert table.shape == (2, 4)
    assert model.similarity(q[0], g) == pytest.approx(table[0], abs=1e-5)
    assert model.similarity(q, g[1]) == pytest.approx(table[:, 1], abs=1e-5)
    assert isinstance(model.similarity(q[0], g[1]), float)
    expected = score_one_pair(q[1], g[2], model.checkpoint.aggregator)
    assert model.similarity(q[1], g[2]) == pytest.approx(expected.score, abs=1e-5)
    account = model.explain(q[1], g[2])
    assert account.score == expected.score and np.array_equal(account.weight, expected.weight)
    with pytest.raises(ShapeError):
        model.similarity(q[0, 0], g)
    with pytest.raises(ShapeError):
        model.similarity(q[..., :5], g)
    with pytest.raises(ShapeError, match="one tracklet"):
        model.explain(q, g)
    broken = q.copy()
    broken[1, 2, 3] = np.nan
    for wrong in (broken, q.astype(np.int64), q[:0], q[:, :0], "features"):
        with pytest.raises(ShapeError):
            model.similarity(wrong, g)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="not finite"):
        model.explain(broken[1], g[0])


def test_search_reads_everything_from_one_ranking(crops: Path, model: resight.Model, tmp_path: Path) -> None:
    dataset = resight.read_dataset(f"folder:{crops / 'crops'}")
    answers = resight.search("anna/door/0001", dataset, model, k=3, progress=False)
    assert [answer.id for answer in answers] == [id_ for id_, _ in answers.ranking.best(0, 3)]
    assert [answer.rank for answer in answers] == [1, 2, 3] and answers[-1].rank == 3
    assert {answer.camera for answer in answers} == {"hall"}
    assert answers.threshold is None and answers.above_threshold is None and "threshold" in answers.verdict
    evidence = answers[0].explain()
    assert evidence.scored.score == pytest.approx(answers[0].similarity, abs=1e-5)
    answers.save(tmp_path / "new" / "answers.html")
    assert all(answer.id in (tmp_path / "new" / "answers.html").read_text() for answer in answers)
    assert answers.to_json()["answers"][0] == {"id": answers[0].id, "camera": 2, "similarity": answers[0].similarity}
    by_folder = resight.search(crops / "crops" / "anna" / "door" / "0001", dataset, model, k=3, progress=False)
    assert by_folder.ranking.order.tolist() == answers.ranking.order.tolist()
    nearly = resight.search("anna/door/0001", dataset, model, k=3, shortlist=10, progress=False)
    assert [answer.id for answer in nearly] == [answer.id for answer in answers] and "shortlist" in str(nearly)
    with pytest.raises(IndexError):
        _ = answers[3]


def test_invalid_requests_are_refused(crops: Path, model: resight.Model, tmp_path: Path) -> None:
    dataset = f"folder:{crops / 'crops'}"
    with pytest.raises(RecipeError, match="k is 0"):
        resight.search("anna/door/0001", dataset, model, k=0)
    with pytest.raises(RecipeError, match="shortlist is -1"):
        resight.search("anna/door/0001", dataset, model, shortlist=-1)
    with pytest.raises(DatasetError, match="nobody"):
        resight.search("nobody", dataset, model)
    with pytest.raises(CheckpointError, match="no model"):
        resight.load_model("no model")
    with pytest.raises(RecipeError, match="device"):
        resight.load_model(device="toaster")
    with pytest.raises(RecipeError, match="workers is -1"):
        resight.load_model(workers=-1)
    with pytest.raises(RecipeError, match="max_corrupted is 9"):
        resight.evaluate(model, dataset, max_corrupted=9, progress=False)
    with pytest.raises(DatasetError, match="cameras is"):
        resight.evaluate(model, dataset, cameras="door", progress=False)
    with pytest.raises(RecipeError, match="stage is '3'"):
        resight.train(dataset, out=tmp_path, stage="3")  # type: ignore[arg-type]


def test_a_data_set_of_another_layout_is_searched(tmp_path: Path, model: resight.Model) -> None:
    world = tmp_path / "world"
    make_world(world, SCALES["tiny"], 3, workers=1)
    dataset = resight.read_dataset(f"mars:{world}")
    answers = resight.search(dataset.query[0], dataset, model, k=2, progress=False)
    assert all(answer.tracklet.camera != dataset.query[0].camera for answer in answers)
    result = resight.evaluate(model, dataset, progress=False)
    assert result.to_text() == str(result)


def test_a_picture_or_a_folder_outside_the_data_set_is_a_query(
    crops: Path, model: resight.Model, tmp_path: Path
) -> None:
    dataset = resight.read_dataset(f"folder:{crops / 'crops'}")
    tracklet = dataset.gallery[0]
    picture = tracklet.frame(3)
    answers = resight.search(str(picture), dataset, model, progress=False)
    assert answers.query.names == (picture.name,) and answers.searched == len(dataset.gallery)
    # A folder that holds the frames of several tracklets is none of them.
    (tmp_path / "mixed").mkdir()
    for number in (0, 1):
        (tmp_path / "mixed" / f"{number}.jpg").write_bytes(dataset.gallery[4 * number].frame(0).read_bytes())
    one_of_two = replace(tracklet, folder=tmp_path / "mixed", names=("0.jpg",))
    shared = resight.Dataset("mars", tmp_path, (), (), (one_of_two,))
    assert find_tracklet(tmp_path / "mixed", shared).names == ("0.jpg", "1.jpg")
    assert find_tracklet(tracklet.folder, dataset) is tracklet


def test_the_query_is_recognised_by_its_frames(crops: Path, model: resight.Model, tmp_path: Path) -> None:
    dataset = resight.read_dataset(f"folder:{crops / 'crops'}")
    tracklet = dataset.gallery[0]
    pictures = [tracklet.frame(n) for n in range(len(tracklet))]
    by_id = resight.search(tracklet.id, dataset, model, progress=False)
    same: list[Any] = [pictures, list(map(str, pictures)), tracklet, tracklet.folder]
    for source in same:
        answers = resight.search(source, dataset, model, progress=False)
        assert answers.ranking.order.tolist() == by_id.ranking.order.tolist()
        assert answers.searched == by_id.searched
    photo = resight.search(pictures[2], dataset, model, progress=False)
    assert photo.query.names == (pictures[2].name,)
    # A folder of another person with the name of a gallery tracklet takes nothing out of the gallery.
    impostor = resight.Tracklet(tracklet.id, -1, 0, dataset.gallery[-1].folder, dataset.gallery[-1].names[:4])
    assert resight.search(impostor, dataset, model, progress=False).searched == len(dataset.gallery)
    with pytest.raises(DatasetError, match="empty path"):
        model.encode("")
    with pytest.raises(DatasetError, match="empty path"):
        resight.search("", dataset, model)
    for rate in (-1, 4, 2.5):
        with pytest.raises(RecipeError, match="max_corrupted"):
            model.corrupted_features([tracklet], rate)  # type: ignore[arg-type]


def test_a_recipe_of_stage_2_alone_needs_an_encoder(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--encoder"):
        resight.train(f"folder:{crops / 'crops'}", "importance", out=tmp_path, progress=False)
