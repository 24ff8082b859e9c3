from __future__ import annotations

import json
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resight import recipes
from resight.errors import RecipeError
from resight.recipe import ClipSpec, Optimisation, Recipe, Stage2
from resight.recipes import RECIPES, paper, read_recipe


def test_the_defaults_are_the_values_of_the_paper() -> None:
    made = paper()
    assert made == Recipe()
    assert made.clips == ClipSpec(length=4, count=8, sampler="spaced", height=256, width=128)
    stage1, stage2 = made.stage1, made.stage2
    assert stage1.optimisation == Optimisation(
        epochs=1200,
        learning_rate=3e-4,
        schedule="steps",
        milestones=(400, 800),
        warm_up=0,
        weight_decay=5e-4,
        persons=8,
        tracklets=4,
        margin=0.3,
        validate_every=50,
    )
    assert stage2.optimisation == Optimisation(
        epochs=12,
        learning_rate=3e-5,
        schedule="steps",
        milestones=(8,),
        warm_up=0,
        weight_decay=5e-4,
        persons=12,
        tracklets=4,
        margin=1.0,
        validate_every=1,
    )
    assert (stage1.encoder_width, stage1.flip, stage1.colour, stage1.triplet_weight) == (1.0, 0.5, 0.0, 1.0)
    assert (256 * stage1.enlarge, 128 * stage1.enlarge) == (288, 144)
    assert (stage1.encoder, stage1.neck, stage1.triplet_distance, stage1.reduction) == (
        "i3d", "none", "euclidean", "sum",
    )  # fmt: skip
    assert (stage1.label_smoothing, stage1.erasing, stage1.instance_norm, made.clips.stride) == (0.0, 0.0, False, 1)
    assert (stage2.hidden, stage2.dropout, stage2.first, stage2.random_order) == (1024, 0.5, "constant", False)
    assert (stage2.max_corrupted, stage2.variants) == (0, 0)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert read_recipe(name) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_replaces_some_values_of_a_named_recipe(tmp_path: Path) -> None:
    text = """
        base = "demo"
        seed = 3
        [clips]
        count = 4
        [stage1.optimisation]
        milestones = [10, 20]
        learning_rate = 1
        [stage2]
        max_corrupted = 4
        first = "pair"
    """
    base = RECIPES["demo"]()
    assert read_recipe(write(tmp_path, text)) == replace(
        base,
        name="mine",
        seed=3,
        clips=replace(base.clips, count=4),
        stage1=replace(
            base.stage1, optimisation=replace(base.stage1.optimisation, milestones=(10, 20), learning_rate=1.0)
        ),
        stage2=replace(base.stage2, max_corrupted=4, first="pair"),
    )


def test_without_a_base_a_file_starts_from_the_paper_and_may_name_itself(tmp_path: Path) -> None:
    assert read_recipe(write(tmp_path, 'name = "other"')) == replace(paper(), name="other")


def plain_toml(values: dict[str, Any], prefix: str = "") -> str:
    own = [f"{k} = {json.dumps(v)}" for k, v in values.items() if not isinstance(v, dict)]
    tables = [
        f"[{prefix}{k}]\n{plain_toml(v, f'{prefix}{k}.')}" for k, v in values.items() if isinstance(v, dict)
    ]  # fmt: skip
    return "\n".join([*own, *tables])


@pytest.mark.parametrize("name", RECIPES)
def test_a_whole_recipe_written_as_a_file_is_the_same_recipe(tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]()
    assert read_recipe(write(tmp_path, plain_toml(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", r"mine.toml: unknown setting 'sed', expected one of clips, name"),
        ("[stage1]\nepochs = 3", r"mine.toml: stage1: unknown setting 'epochs'"),
        ('seed = "1"', r"seed is '1', expected a whole number"),
        ("seed = true", r"seed is True, expected a whole number"),
        ("seed = 1.5", r"seed is 1.5, expected a whole number"),
        ("[stage2]\ndropout = true", r"stage2: dropout is True, expected a number"),
        ("[stage2]\nrandom_order = 1", r"stage2: random_order is 1, expected true or false"),
        ("clips = 3", r"clips is 3, expected a table"),
        ("base = 'best'", r"base is 'best', expected one of paper, demo"),
        ("seed = ", r"mine.toml is not a valid TOML file"),
        ("validation_share = 0.0", r"validation_share is 0.0"),
        ("validation_share = 0.6", r"validation_share is 0.6"),
        ("seed = -1", r"seed is -1"),
        ("precision = 'x'", r"precision is 'x', expected one of 'float32', 'half'"),
        ("[stage1]\nflip = 2", r"flip is 2.0, expected 0 to 1"),
        ("[stage1]\nenlarge = 0.5", r"enlarge is 0.5"),
        ("[stage1]\nencoder_width = 0", r"encoder_width is 0.0, expected more than 0"),
        ("[stage1]\nneck = 'bn'", r"neck is 'bn', expected one of 'none', 'before', 'after'"),
        ("[stage1]\ntriplet_features = 'both'", r"triplet_features is 'both', expected one of 'before', 'after'"),
        ("[stage1]\ntriplet_distance = 'dot'", r"triplet_distance is 'dot', expected one of 'euclidean', 'cosine'"),
        ("[stage1]\nreduction = 'none'", r"reduction is 'none', expected one of 'sum', 'mean'"),
        ("[stage1]\nlabel_smoothing = 1", r"label_smoothing is 1.0, expected 0 to 0.99"),
        ("[stage1]\nerasing = -0.5", r"erasing is -0.5, expected 0 to 1"),
        (
            "[stage1]\nencoder = 'resnet'",
            r"encoder is 'resnet', expected 'i3d', 'efficientnet-lite0', 'given', 'frames:FOLDER'",
        ),
        ("[stage1]\nencoder = 'frames:'", r"encoder is 'frames:', expected"),
        ("[stage1]\nencoder = 'frames:x'\ninstance_norm = true", r"for the I3D, but encoder is 'frames:x'"),
        ("[stage1]\ninstance_norm = 1", r"instance_norm is 1, expected true or false"),
        ("[clips]\nstride = 0", r"stride is 0, expected more than 0"),
        ("[stage1]\ntriplet_weight = -1", r"triplet_weight is -1"),
        ("[stage1.optimisation]\nmilestones = ['a']", r"milestones is .*, expected a list of whole numbers"),
        ("[stage1.optimisation]\nmargin = -1", r"margin is -1"),
        ("[stage1.optimisation]\nwarm_up = -1", r"warm_up is -1"),
        ("[stage2]\nfirst = 'x'", r"first is 'x', expected one of 'constant', 'pair'"),
        ("[stage2]\ndropout = 1.5", r"dropout is 1.5"),
        ("[stage2]\nhidden = 0", r"hidden is 0"),
        ("[stage2]\nvariants = -1", r"variants is -1"),
        ("[clips]\nlength = 0", r"length is 0, expected more than 0"),
        ("[clips]\nsampler = 'first'", r"sampler is 'first', expected one of 'spaced'"),
        ("[clips]\nsampler = 'random'", r"cuts one clip, but count is 8"),
        ("[stage1.optimisation]\npersons = 1", r"P = 1 persons x K = 4 tracklets has no triplets"),
        ("[stage1.optimisation]\nlearning_rate = 0", r"learning_rate is 0.0"),
        ("[stage1.optimisation]\nschedule = 'line'", r"schedule is 'line', expected one of 'steps', 'cosine'"),
        ("[stage2]\nmax_corrupted = 9", r"max_corrupted is 9, expected 0 to clips.count = 8"),
        ("[stage2]\nmax_corrupted = -1", r"max_corrupted is -1"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text))


def test_json_with_unknown_names_is_refused() -> None:
    with pytest.raises(RecipeError, match="recipe: stage2: unknown setting 'units'"):
        Recipe.from_json({"stage2": {"units": 3}})


def test_a_recipe_without_a_newer_setting_gets_its_default() -> None:
    values = RECIPES["demo"]().to_json()
    for name in ("encoder", "neck", "triplet_features", "triplet_distance", "reduction", "label_smoothing", "erasing",
                 "instance_norm"):  # fmt: skip
        del values["stage1"][name]
    del values["clips"]["stride"], values["stage2"]["damages"]
    assert Recipe.from_json(values) == RECIPES["demo"]()


@pytest.mark.parametrize(("former", "precision"), [("32-true", "float32"), ("bf16-mixed", "half")])
def test_the_former_names_of_precisions_are_read_from_model_files(former: str, precision: str) -> None:
    assert Recipe.from_json(paper().to_json() | {"precision": former}) == replace(paper(), precision=precision)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="precision is '64-true'"):
        Recipe.from_json({"precision": "64-true"})


def test_modern_and_modern_small_differ_in_size_only() -> None:
    modern, small = RECIPES["modern"](), RECIPES["modern_small"]()
    assert (small.clips.height, small.clips.width, small.stage1.encoder_width) == (96, 48, 0.25)
    assert replace(small.clips, height=256, width=128) == modern.clips
    assert replace(small.stage1, optimisation=modern.stage1.optimisation, encoder_width=1.0) == modern.stage1
    assert small.stage2 == RECIPES["demo"]().stage2
    assert modern.stage1.optimisation.margin == small.stage1.optimisation.margin == 0.3


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe or file 'papre'.*paper, demo"):
        read_recipe("papre")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="is not a valid TOML file"):
        read_recipe(str(path))


def test_at_most_all_clips_can_be_corrupted() -> None:
    assert Recipe(clips=ClipSpec(count=2), stage2=Stage2(max_corrupted=2)).stage2.max_corrupted == 2
    with pytest.raises(RecipeError, match="max_corrupted"):
        Recipe(clips=ClipSpec(count=2), stage2=Stage2(max_corrupted=3))


def test_the_recipe_in_the_docstring_can_be_read(tmp_path: Path) -> None:
    example = textwrap.dedent((recipes.__doc__ or "").split("::", 1)[1])
    demo = RECIPES["demo"]()
    optimisation = replace(demo.stage1.optimisation, epochs=40)
    assert read_recipe(write(tmp_path, example)) == replace(
        demo, name="mine", seed=3, stage1=replace(demo.stage1, optimisation=optimisation)
    )


def test_the_recipes_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    found = [read_recipe(write(tmp_path, text)) for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    assert len(found) == 2 and found[1].stage1.encoder.startswith("frames:")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(RECIPES)
