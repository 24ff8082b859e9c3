"""How frames are changed before they are encoded."""

from __future__ import annotations

from dataclasses import dataclass

from resight.data.damage import check_kind
from resight.recipe import Damage, Stage1


@dataclass(frozen=True)
class View:
    """How frames are changed before they are encoded: unchanged, damaged, or augmented as in training.

    Attributes:
        damage: The damage of every clip, one of `DAMAGES`, or None. To damage some clips only, mix the features with
            clean ones, see `mixed_damage`.
        augmentation: The stage-1 settings from which crops and flips are drawn, or None.
        seed: Seed of augmentation, damage and of the samplers that draw.

    Raises:
        RecipeError: If the damage is unknown.
    """

    damage: Damage | None = None
    augmentation: Stage1 | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.damage is not None:
            check_kind(self.damage)
