from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resight.checkpoints import load_checkpoint
from resight.data.batches import BatchPlan
from resight.data.damage import DAMAGES
from resight.data.split import TrainingSplit
from resight.data.transforms import prepare_clips
from resight.errors import CheckpointError, DatasetError, RecipeError
from resight.evaluation.evaluate import evaluate_across
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.models.aggregators import Aggregator, Learned, TopShare
from resight.models.encoders import NeckedEncoder, make_encoder
from resight.models.i3d import I3D
from resight.recipe import ClipSpec, Optimisation, Recipe, Stage1, Stage2
from resight.tensor_files import content_hash
from resight.tracklet import Tracklet
from resight.training.loop import RunOptions
from resight.training.stage1_clips import ClipClassifier, train_encoder
from resight.training.stage2_data import FeatureBatches, prepare_stage2
from resight.training.stage2_importance import train_aggregator
from resight.training.train import train_model

MakeTracklets = Callable[..., list[Tracklet]]
BATCH = Optimisation(epochs=3, learning_rate=1e-3, persons=2, tracklets=2, validate_every=2)
RECIPE = Recipe(
    clips=ClipSpec(length=2, count=2, height=32, width=16),
    stage1=Stage1(BATCH, encoder_width=0.125, triplet_weight=0.1),
    stage2=Stage2(replace(BATCH, margin=1.0), hidden=8, max_corrupted=1, variants=2),
    validation_share=0.3,
)


def split_of(tracklets: list[Tracklet]) -> TrainingSplit:
    return TrainingSplit.draw(tracklets, RECIPE.validation_share, RECIPE.seed)


def losses(folder: Path, name: str) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / f"{name}.metrics.jsonl").read_text().splitlines()]


def test_stage_1_is_the_same_with_any_number_of_workers_and_touches_no_validation_person(
    make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    tracklets = make_tracklets(persons=7)
    runs = []
    for workers in (0, 1):
        torch.manual_seed(0)
        encoder, best = train_encoder(
            I3D(0.125), split_of(tracklets), RECIPE, RunOptions(tmp_path / str(workers), workers)
        )
        runs.append((losses(tmp_path / str(workers), "stage1"), best, content_hash(encoder.state_dict())))
    assert runs[0] == runs[1]
    assert len(runs[0][0]) == 6  # 5 persons train, so 2 batches of 2 in each of 3 epochs
    assert 0 < runs[0][1] <= 1


def test_the_classifier_is_after_the_neck_and_triplets_where_the_recipe_says() -> None:
    torch.manual_seed(0)
    encoder = make_encoder(replace(RECIPE.stage1, neck="before"))
    assert isinstance(encoder, NeckedEncoder)
    pixels = torch.randint(0, 256, (4, 2, 32, 16, 3), dtype=torch.uint8)
    modules = ClipClassifier(encoder, 5), ClipClassifier(encoder, 5, "after")
    modules[1].load_state_dict(modules[0].state_dict())
    with torch.no_grad():
        before, after = encoder.both(prepare_clips(pixels))
        for module, expected in zip(modules, (before, after), strict=True):
            features, logits = module(pixels)
            assert torch.allclose(features, expected, atol=1e-5)
            assert torch.allclose(logits, after @ module.classifier.weight.T, atol=1e-5)


def test_a_modern_recipe_trains_both_stages(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=7)
    stage1 = replace(
        RECIPE.stage1, neck="after", triplet_distance="cosine", reduction="mean", label_smoothing=0.1, erasing=0.5
    )
    clips = replace(RECIPE.clips, sampler="cover", stride=2)
    recipe = replace(RECIPE, stage1=stage1, clips=clips, stage2=replace(RECIPE.stage2, variants=0))
    made = train_model(tracklets, recipe, RunOptions(tmp_path))
    assert isinstance(made.checkpoint.encoder, NeckedEncoder)
    assert 0 < losses(tmp_path, "stage1")[0] < 4  # means of 4 clips: about log 5, and a margin
    with torch.no_grad():
        clip = torch.rand(1, 3, 2, 32, 16)
        assert torch.equal(load_checkpoint(made.path).encoder(clip), made.checkpoint.encoder(clip))


def test_the_average_of_the_weights_is_validated_and_kept(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=7)
    recipe = replace(RECIPE, stage1=replace(RECIPE.stage1, averaging=0.9, frames=1))
    torch.manual_seed(0)
    current = I3D(0.125)
    initial = {name: value.clone() for name, value in current.state_dict().items()}
    averaged, _ = train_encoder(current, split_of(tracklets), recipe, RunOptions(tmp_path))
    assert averaged is not current and all(p.requires_grad for p in averaged.parameters())
    name = "Mixed_5c.b0.conv3d.weight"
    moved, distance = ((encoder.state_dict()[name] - initial[name]).norm() for encoder in (averaged, current))
    assert 0 < moved < distance  # the average lags behind
    again, _ = train_encoder(I3D(0.125), split_of(tracklets), recipe, RunOptions(tmp_path))
    assert content_hash(again.state_dict()) == content_hash(averaged.state_dict())


def test_the_average_is_computed_as_its_formula_says() -> None:
    torch.manual_seed(0)
    module = ClipClassifier(I3D(0.125), 3, averaging=0.5).train()
    pixels = torch.randint(0, 256, (4, 1, 32, 16, 3), dtype=torch.uint8)
    assert module.averaged is not None
    name = "Mixed_5c.b0.conv3d.weight"
    expected = module.averaged.state_dict()[name].clone()
    for step in range(1, 5):
        current = module.encoder.get_parameter(name)
        decay = min(0.5, step / (9 + step))
        expected = decay * expected + (1 - decay) * current.detach()
        module(pixels)
        assert torch.allclose(module.averaged.state_dict()[name], expected, atol=1e-6)
        with torch.no_grad():
            current.add_(1.0)
    assert not module.averaged.training


def test_a_frame_encoder_trains_from_a_folder(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="frame encoders need the extra `encoders`")
    folder = tmp_path / "network"
    config = transformers.Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.2, 0.2, 0.2]}')
    recipe = replace(RECIPE, stage1=replace(RECIPE.stage1, encoder=f"frames:{folder}"))
    tracklets = make_tracklets(persons=7)
    made = train_model(tracklets, recipe, RunOptions(tmp_path / "run"))
    again = load_checkpoint(made.path).encoder
    assert content_hash(again.state_dict()) == content_hash(made.checkpoint.encoder.state_dict())
    with pytest.raises(RecipeError, match="initial weights are for the encoders"):
        train_model(tracklets, recipe, RunOptions(tmp_path / "other"), init=folder)


@pytest.mark.parametrize("variants", [0, 2])
@pytest.mark.parametrize("kind", ["learned", "top-share"])
def test_stage_2_trains_only_the_aggregator(
    make_tracklets: MakeTracklets, tmp_path: Path, kind: str, variants: int
) -> None:
    tracklets = make_tracklets(persons=7)
    recipe = replace(RECIPE, stage2=replace(RECIPE.stage2, variants=variants, random_order=True))
    encoder = I3D(0.125).eval()
    before = content_hash(encoder.state_dict())
    data = prepare_stage2(encoder, split_of(tracklets), recipe, FeatureStore(tmp_path / "features"))
    assert len(data.train) == variants
    aggregator: Aggregator = Learned(encoder.dim, 8) if kind == "learned" else TopShare(50, dim=encoder.dim)
    untrained = content_hash(aggregator.state_dict())
    _, best = train_aggregator(aggregator, encoder, data, recipe, RunOptions(tmp_path))
    assert content_hash(encoder.state_dict()) == before
    assert content_hash(aggregator.state_dict()) != untrained
    assert not aggregator.training and 0 < best <= 1
    assert len(losses(tmp_path, "stage2")) == 6


def test_cached_features_are_drawn_with_damage(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=7)
    data = prepare_stage2(I3D(0.125), split_of(tracklets), RECIPE, FeatureStore(tmp_path))
    first, other = data.train
    assert (first.clean.values != first.of("corrupted").values).any()
    assert (first.clean.values != other.clean.values).any()

    class Plan:
        """A batch plan that always has the first four tracklets."""

        targets = torch.zeros(20, dtype=torch.int64).numpy()
        n_steps = 50

        def batch(self, step: int) -> list[int]:
            return [0, 1, 2, 3]

        def rng(self, step: int, purpose: int = 0) -> np.random.Generator:
            return np.random.default_rng([step, purpose])

    batches = FeatureBatches(data, Plan(), max_corrupted=1)  # type: ignore[arg-type]
    known = {
        (v, c): torch.from_numpy(one.values)
        for v, variant in enumerate(data.train)
        for c, one in enumerate((variant.clean, variant.of("corrupted")))
    }
    seen = set()
    for step in range(len(batches)):
        features, _ = batches[step]
        assert torch.equal(features, batches[step][0])
        for t in range(4):
            kinds = [
                {key for key, values in known.items() if torch.equal(values[t, m], features[t, m])} for m in range(2)
            ]
            assert all(kinds)
            damaged = sum(all(c == 1 for _, c in kind) for kind in kinds)
            assert damaged <= 1
            seen |= {key for kind in kinds for key in kind}
    assert seen == set(known)


@pytest.mark.parametrize("variants", [0, 1])
def test_stage_2_trains_under_mixed_damage(make_tracklets: MakeTracklets, tmp_path: Path, variants: int) -> None:
    tracklets = make_tracklets(persons=7)
    stage = replace(RECIPE.stage2, damages=DAMAGES, variants=variants, max_corrupted=2)
    recipe = replace(RECIPE, stage2=stage)
    encoder = I3D(0.125).eval()
    data = prepare_stage2(encoder, split_of(tracklets), recipe, FeatureStore(tmp_path / "features"))
    assert [tuple(one.damaged) for one in (*data.train, *data.validation)] == [DAMAGES] * (variants + 2)
    aggregator = TopShare(50, dim=encoder.dim)
    _, best = train_aggregator(aggregator, encoder, data, recipe, RunOptions(tmp_path))
    assert 0 < best <= 1 and not aggregator.training


def test_donors_of_damage_are_outside_of_both_validation_sides(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=9, cameras=3)
    train, validation = ([t for t in tracklets if t.person in persons] for persons in ((1, 2, 3, 4), (5, 6, 7)))
    donors = tuple(t for t in tracklets if t.person in (8, 9))
    recipe = replace(RECIPE, stage2=replace(RECIPE.stage2, damages=("other-person",), variants=1))
    split = replace(TrainingSplit.with_validation(train, validation), donors=donors, validation_donors=donors)
    encoder = I3D(0.125).eval()
    data = prepare_stage2(encoder, split, recipe, FeatureStore(tmp_path))
    assert {(t.person, t.camera) for t in split.sides()[0]} == {(5, 1), (5, 3), (6, 2), (7, 1), (7, 3)}
    of_person = {
        person: extract_clip_features(encoder, [t for t in donors if t.person == person], recipe.clips).values.mean(
            (0, 1)
        )
        for person in (8, 9)
    }
    for side, person in zip(data.validation, (8, 9), strict=True):
        distance = {p: np.abs(side.of("other-person").values - mean).sum(-1) for p, mean in of_person.items()}
        assert (distance[person] < distance[17 - person]).all()
    aggregator = TopShare(50, dim=encoder.dim)
    first, second = (side.mixed(2, ("other-person",), 0) for side in data.validation)
    assert data.score(aggregator, 2, ("other-person",), 0) == evaluate_across(first, second, aggregator)


def test_batches_draw_the_requested_kinds_of_damage_and_no_others(
    make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    tracklets = make_tracklets(persons=7)
    recipe = replace(RECIPE, stage2=replace(RECIPE.stage2, damages=DAMAGES, variants=1))
    data = prepare_stage2(I3D(0.125), split_of(tracklets), recipe, FeatureStore(tmp_path))
    (one,) = data.train
    plan = BatchPlan(data.split.train, replace(BATCH, epochs=10), seed=0)
    for kinds in (DAMAGES, ("empty",), ("bad-crop", "corrupted")):
        batches = FeatureBatches(data, plan, 2, kinds)
        views = {"": one.clean, **one.damaged}
        seen: set[str] = set()
        for step in range(len(batches)):
            features, _ = batches[step]
            for t, row in enumerate(plan.batch(step)):
                for m in range(2):
                    found = features[t, m].numpy()
                    seen |= {name for name, view in views.items() if np.array_equal(view.values[row, m], found)}
        assert seen == {"", *kinds}
    with pytest.raises(RecipeError, match="empty"):
        FeatureBatches(replace(data, train=(replace(one, damaged={}),)), plan, 1, ("empty",))


def test_validation_tracklets_can_be_given_and_stage_2_may_have_fewer_persons(
    make_tracklets: MakeTracklets, tmp_path: Path
) -> None:
    tracklets = make_tracklets(persons=7)
    validation = [replace(t, id=f"other-{t.id}") for t in tracklets[:8]]
    recipe = replace(RECIPE, stage2=replace(RECIPE.stage2, variants=1, persons=5))
    split = TrainingSplit.with_validation(tracklets, validation)
    data = prepare_stage2(I3D(0.125), split, recipe, FeatureStore(tmp_path))
    (of_validation,) = data.validation
    assert of_validation.clean.ids == tuple(t.id for t in validation)
    assert len({t.person for t in tracklets if t.id in data.train[0].clean.ids}) == 5
    assert data.train[0].clean.ids == tuple(t.id for t in data.split.train)
    model = train_model(tracklets, recipe, RunOptions(tmp_path / "run"), validation=validation)
    assert set(model.validation) == {"stage 1 mAP", "stage 2 mAP"}
    with pytest.raises(DatasetError, match="validation data has no training persons"):
        train_model(tracklets, recipe, RunOptions(tmp_path / "other"), validation=())


def test_stage_2_alone_needs_the_same_stage_1(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=7)
    options = RunOptions(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no file"):
        train_model(tracklets, RECIPE, options, stages=(2,))
    first = train_model(tracklets, RECIPE, options, stages=(1,))
    assert load_checkpoint(first.path).metadata["aggregator"] == "mean-pair"
    with pytest.raises(CheckpointError, match="other settings or data"):
        train_model(tracklets[:-2], RECIPE, options, stages=(2,))
    with pytest.raises(CheckpointError, match="other validation persons"):
        train_model(tracklets, replace(RECIPE, seed=1), options, stages=(2,))
    both = train_model(tracklets, RECIPE, options, stages=(2,))
    assert set(both.validation) == {"stage 1 mAP", "stage 2 mAP"}
    assert load_checkpoint(both.path).metadata["aggregator"] == "learned"
    assert content_hash(both.checkpoint.encoder.state_dict()) == content_hash(first.checkpoint.encoder.state_dict())


def test_stage_2_can_use_the_encoder_of_another_model(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=7)
    first = train_model(tracklets, RECIPE, RunOptions(tmp_path / "first"), stages=(1,))
    recipe = Recipe(stage2=RECIPE.stage2, validation_share=0.3)
    with pytest.raises(RecipeError, match="omit initial weights"):
        train_model(tracklets, recipe, RunOptions(tmp_path), encoder_of=first.checkpoint, init=tmp_path / "weights")
    second = train_model(tracklets, recipe, RunOptions(tmp_path / "second"), encoder_of=first.checkpoint)
    assert set(second.validation) == {"stage 2 mAP"}
    assert (second.checkpoint.recipe.clips, second.checkpoint.recipe.stage1) == (RECIPE.clips, RECIPE.stage1)
    encoders = (load_checkpoint(model.path).encoder.state_dict() for model in (first, second))
    assert len({content_hash(weights) for weights in encoders}) == 1
