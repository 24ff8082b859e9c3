"""Named recipes, and recipes from TOML files.

A recipe is one of `RECIPES`, or a TOML file that names one of them as its base and replaces some of its values::

    base = "demo"
    seed = 3
    [stage1.optimisation]
    epochs = 40
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resight.errors import RecipeError
from resight.recipe import EFFICIENTNET, GIVEN, ClipSpec, Optimisation, Recipe, Stage1, Stage2
from resight.settings import replaced


def paper() -> Recipe:
    """Return the system exactly as the paper describes it."""
    return Recipe()


def demo() -> Recipe:
    """Return a reduced system that trains within minutes on two cores without a GPU."""
    return Recipe(
        name="demo",
        clips=ClipSpec(height=96, width=48),
        stage1=Stage1(
            Optimisation(epochs=80, learning_rate=3e-3, schedule="cosine", warm_up=2, validate_every=20),
            encoder_width=0.25,
            triplet_weight=0.1,
        ),
        stage2=Stage2(
            Optimisation(epochs=6, learning_rate=1e-3, schedule="cosine", persons=12, margin=1.0, validate_every=2),
            hidden=64,
            max_corrupted=6,
            variants=2,
        ),
    )


def importance() -> Recipe:
    """Return settings for stage 2 alone, on the encoder of an existing model; it trains in minutes on two cores."""
    return Recipe(
        name="importance",
        stage1=Stage1(encoder=GIVEN),
        stage2=Stage2(
            Optimisation(epochs=24, learning_rate=1e-3, schedule="cosine", persons=12, margin=1.0, validate_every=8),
            hidden=128,
            max_corrupted=6,
            variants=2,
        ),
        validation_share=0.2,
    )


def modern() -> Recipe:
    """Return a recipe that follows current practice in video re-identification; docs/recipes.md names the sources."""
    return Recipe(
        name="modern",
        clips=ClipSpec(sampler="cover", stride=8),
        stage1=Stage1(
            Optimisation(epochs=240, milestones=(60, 120, 180), warm_up=10, validate_every=20),
            neck="after",
            triplet_distance="cosine",
            reduction="mean",
            label_smoothing=0.1,
        ),
    )


def modern_small() -> Recipe:
    """Return `modern` at the size of `demo`, to compare the two within minutes on two cores."""
    base, small = modern(), demo()
    return replace(
        small,
        name="modern_small",
        clips=replace(base.clips, height=small.clips.height, width=small.clips.width),
        stage1=replace(base.stage1, optimisation=small.stage1.optimisation, encoder_width=small.stage1.encoder_width),
    )


def open_small() -> Recipe:
    """Return the recipe of the model `open-small`: synthetic people, for out-of-domain cameras, on two cores."""
    return Recipe(
        name="open_small",
        clips=ClipSpec(height=96, width=48),
        stage1=Stage1(
            Optimisation(
                epochs=24, learning_rate=2.5e-3, schedule="cosine", warm_up=1, persons=16, validate_every=4
            ),
            encoder_width=0.5,
            colour=0.5,
            neck="after",
            triplet_features="after",
            triplet_distance="cosine",
            triplet_weight=0.1,
            contrast_weight=1.0,
            label_smoothing=0.1,
            erasing=0.25,
            instance_norm=True,
        ),
        stage2=Stage2(
            Optimisation(epochs=24, learning_rate=1e-3, schedule="cosine", persons=12, margin=1.0, validate_every=4),
            hidden=128,
            max_corrupted=6,
            damages=("corrupted", "occluded", "empty", "other-person", "bad-crop"),
            variants=1,
            persons=360,
        ),
    )  # fmt: skip


def open_model() -> Recipe:
    """Return the recipe of the model `open`: ImageNet weights, then synthetic people, on two cores.

    Give the ImageNet weights as ``--init``. A training clip is one frame, because the network sees each frame alone.
    """
    small = open_small()
    return replace(
        small,
        name="open",
        clips=ClipSpec(height=128, width=64),
        stage1=replace(
            small.stage1,
            optimisation=replace(small.stage1.optimisation, epochs=20, learning_rate=7e-4),
            encoder=EFFICIENTNET,
            encoder_width=1.0,
            instance_norm=False,
            frames=1,
            frozen=3,
            averaging=0.998,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "paper": paper,
    "demo": demo,
    "importance": importance,
    "modern": modern,
    "modern_small": modern_small,
    "open_small": open_small,
    "open": open_model,
}


def read_recipe(name: str) -> Recipe:
    """Return a recipe by its name in `RECIPES`, or from a TOML file.

    Args:
        name: Name of a recipe, or path of a TOML file.

    Raises:
        RecipeError: If there is no such recipe or file, or the file has unknown settings or impossible values.
    """
    if name in RECIPES:
        return RECIPES[name]()
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"there is no recipe or file {name!r}: expected one of {', '.join(RECIPES)}, or the path of a TOML file"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a value out of range
        raise RecipeError(f"{path} is not a valid TOML file: {error}") from error
    base = values.pop("base", "paper")
    if not isinstance(base, str) or base not in RECIPES:
        raise RecipeError(f"{path}: base is {base!r}, expected one of {', '.join(RECIPES)}")
    return replaced(RECIPES[base](), {"name": path.stem, **values}, str(path))
