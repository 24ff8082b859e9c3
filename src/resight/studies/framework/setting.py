"""Sizes of the studies: small (two cores, an hour), bench (one GPU) and full (the values of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from resight.errors import RecipeError
from resight.recipe import Recipe
from resight.recipes import demo, modern, modern_small, paper


@dataclass(frozen=True)
class Setting:
    """One size of all studies.

    Attributes:
        name: Name of the setting.
        recipe: Recipe of each training run, except for the values that a study varies.
        seeds: Seeds of the training runs; the spread over them is reported.
        epochs: Epochs of stage 1 for each clip length L. Studies of the clip length train one seed per length.
        test_lengths: Values of L_test in Fig. 3.
        counts: Values of M in Fig. 4 and Table 6; Table 6 stops at the M of the recipe.
        rates: Values of M_c^max in Table 2.
        matrix_rates: Values of M_c^max that the damage benchmark combines, in training and in test.
        shares: Values of t of top-t %-eval.
        trained_shares: Values of t of top-t %-traineval.
        orders: Number of random orders in the study of the order of the clip pairs.
        joint_epochs: Epochs of the joint training of encoder and importance, after stage 2.
        rivals: Recipes to compare with the recipe of the setting.
        world: Scale of the synthetic world to use if no data set is given.

    Raises:
        RecipeError: If there are no seeds.
    """

    name: str
    recipe: Recipe
    seeds: tuple[int, ...]
    epochs: Mapping[int, int]
    test_lengths: tuple[int, ...] = (4, 8, 16, 32)
    counts: tuple[int, ...] = (1, 2, 4, 8, 16)
    rates: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    matrix_rates: tuple[int, ...] = (0, 2, 4, 6, 7)
    shares: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    trained_shares: tuple[int, ...] = (20, 50, 70, 100)
    orders: int = 20
    joint_epochs: int = 12
    rivals: tuple[Recipe, ...] = ()
    world: str = "bench"

    def __post_init__(self) -> None:
        if not self.seeds:
            raise RecipeError(
                "the setting has no seeds; a study needs at least one training run, so give at least one seed"
            )

    @property
    def damaged_at(self) -> int:
        """Return M_c^max of the studies with a single rate: that of the recipe, or the second highest of `rates`."""
        return self.recipe.stage2.max_corrupted or self.rates[-2]

    def around(self, trained: Recipe) -> Setting:
        """Return the setting for an existing encoder, with its clips and stage 1, and without other encoders."""
        epochs = {trained.clips.length: trained.stage1.optimisation.epochs}
        recipe = replace(self.recipe, clips=trained.clips, stage1=trained.stage1)
        return replace(self, recipe=recipe, epochs=epochs, rivals=())

    def of_length(self, length: int, seed: int) -> Recipe:
        """Return the recipe for clips of L frames and a seed; milestones are scaled with the number of epochs."""
        stage = self.recipe.stage1
        before = stage.optimisation
        epochs = self.epochs[length]
        milestones = tuple(round(milestone * epochs / before.epochs) for milestone in before.milestones)
        optimisation = replace(before, epochs=epochs, milestones=milestones)
        clips = replace(self.recipe.clips, length=length)
        return replace(self.recipe, clips=clips, stage1=replace(stage, optimisation=optimisation), seed=seed)


def small() -> Setting:
    """Return the setting for two CPU cores, on the demo world."""
    # The number of frames is the same for each clip length, so L = 8 and 16 take as long as L = 4.
    return Setting(
        "small",
        demo(),
        (0, 1, 2),
        {4: 80, 8: 40, 16: 20},
        rates=(0, 2, 4, 6, 7),
        matrix_rates=(0, 4, 7),
        orders=6,
        joint_epochs=3,
        rivals=_with_erasing(modern_small()),
        world="demo",
    )


def bench() -> Setting:
    """Return the setting for one GPU: the paper's model on the ``bench`` world, a third of its epochs, random start."""
    whole = paper()
    third = replace(whole.stage1.optimisation, epochs=400, milestones=(133, 267), validate_every=100)
    recipe = replace(
        whole, name="bench", precision="half",
        stage1=replace(whole.stage1, optimisation=third, triplet_weight=0.1),
        stage2=replace(whole.stage2, variants=4, max_corrupted=6),
    )  # fmt: skip
    today = replace(modern(), precision=recipe.precision, stage2=recipe.stage2)
    return Setting("bench", recipe, (0, 1, 2), {4: 400, 8: 200, 16: 100}, rivals=_with_erasing(today))


def full() -> Setting:
    """Return the setting with the values of the paper and three seeds, for one GPU and several days."""
    return Setting("full", paper(), (0, 1, 2), {4: 1200, 8: 1200, 16: 1200}, rivals=_with_erasing(modern()))


def _with_erasing(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """Return a recipe, unchanged and with random erasing."""
    return recipe, replace(recipe, name=f"{recipe.name} with erasing", stage1=replace(recipe.stage1, erasing=0.5))


SETTINGS: Mapping[str, Setting] = MappingProxyType({setting.name: setting for setting in (small(), bench(), full())})
"""Settings by name."""
