"""How large the studies are: small, for two cores and minutes; bench, for one GPU; full, what the paper states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from resight.errors import RecipeError
from resight.recipe import Recipe, demo, modern, modern_small, paper


@dataclass(frozen=True)
class Setting:
    """One size of all studies.

    Attributes:
        name: of the setting.
        recipe: of every training, but for what a study varies.
        seeds: of the trainings whose spread is reported.
        epochs: of stage 1 by clip length L; studies of the clip length train one seed of each.
        test_lengths: L_test of Fig. 3.
        counts: M of Fig. 4 and Table 6; Table 6 stops at the recipe's own M.
        rates: M_c^max of Table 2.
        matrix_rates: those of them that the damage benchmark crosses, training with test.
        shares: t of top-t %-eval.
        trained_shares: t of top-t %-traineval.
        orders: random orders of the clip pairs in the study of the order.
        joint_epochs: of the joint fine-tuning of encoder and importance, after stage 2.
        rivals: recipes that the setting's own is compared with.
        world: synthetic world to run on where no data are named.

    Raises:
        RecipeError: if there are no seeds.
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
            raise RecipeError("a study needs at least one training, found none: give one seed or more")

    @property
    def damaged_at(self) -> int:
        """M_c^max of the studies that take one rate: that of the recipe, or the last but one of `rates`."""
        return self.recipe.stage2.max_corrupted or self.rates[-2]

    def around(self, trained: Recipe) -> Setting:
        """The same studies on an encoder that is there already: its clips, its stage 1, no other encoders."""
        epochs = {trained.clips.length: trained.stage1.optimisation.epochs}
        recipe = replace(self.recipe, clips=trained.clips, stage1=trained.stage1)
        return replace(self, recipe=recipe, epochs=epochs, rivals=())

    def of_length(self, length: int, seed: int) -> Recipe:
        """The recipe for clips of L frames, with a seed; milestones keep their places in a shorter training."""
        stage = self.recipe.stage1
        before = stage.optimisation
        epochs = self.epochs[length]
        milestones = tuple(round(one * epochs / before.epochs) for one in before.milestones)
        optimisation = replace(before, epochs=epochs, milestones=milestones)
        clips = replace(self.recipe.clips, length=length)
        return replace(self.recipe, clips=clips, stage1=replace(stage, optimisation=optimisation), seed=seed)


def small() -> Setting:
    """All studies on two cores, on the demo world."""
    # As many frames for each clip length: L = 8 and 16 get the time of L = 4.
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
    """The paper's system at full size on the ``bench`` world, with a third of its epochs, from random weights."""
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
    """What the paper states, three times over; for a GPU and days."""
    return Setting("full", paper(), (0, 1, 2), {4: 1200, 8: 1200, 16: 1200}, rivals=_with_erasing(modern()))


def _with_erasing(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """A recipe as it is, and with random erasing."""
    return recipe, replace(recipe, name=f"{recipe.name} with erasing", stage1=replace(recipe.stage1, erasing=0.5))


SETTINGS: Mapping[str, Setting] = MappingProxyType({one.name: one for one in (small(), bench(), full())})
"""By name."""
