"""Every setting of a run, as frozen dataclasses whose defaults are the paper's values.

A recipe is named (`RECIPES`) or is a TOML file that starts from a named one and replaces some values::

    base = "demo"
    seed = 3
    [stage1]
    epochs = 40
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from resight.errors import RecipeError
from resight.settings import one_of, positive, replaced, within

Sampler = Literal["spaced", "cover", "consec", "random", "evenly", "all"]
Schedule = Literal["steps", "cosine"]
FirstImportance = Literal["constant", "pair"]
Damage = Literal["corrupted", "occluded", "empty", "other-person", "bad-crop"]
Neck = Literal["none", "before", "after"]
TripletFeatures = Literal["before", "after"]
TripletDistance = Literal["euclidean", "cosine"]
Reduction = Literal["sum", "mean"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true"]


@dataclass(frozen=True)
class ClipSpec:
    """How a tracklet is cut into clips, and at which size its frames are looked at (paper, Sec. 3.1 and 4.3).

    Attributes:
        length: L, frames of a clip.
        count: M, clips of a tracklet.
        sampler: ``spaced`` places M clips evenly, which may overlap; ``cover`` deals evenly spaced frames of the whole
            tracklet out to M clips, every frame if there are no more than M·L; the other four cut one clip (Table 1).
        height: rows of a frame, in pixels.
        width: columns of a frame, in pixels.
        stride: from one frame of a clip to the next, for ``spaced``, ``cover`` and ``consec``; 1 is the paper's. A
            tracklet too short for it takes the largest stride that fits.
    """

    length: int = 4
    count: int = 8
    sampler: Sampler = "spaced"
    height: int = 256
    width: int = 128
    stride: int = 1

    def __post_init__(self) -> None:
        positive(self, "length", "count", "height", "width", "stride")
        one_of(self, "sampler", Sampler)
        if self.sampler not in ("spaced", "cover") and self.count != 1:
            raise RecipeError(f"sampler {self.sampler!r} cuts one clip, but count is {self.count}: set count = 1")


@dataclass(frozen=True)
class Optimisation:
    """Adam with AMSGrad, and how its learning rate falls (paper, Appendix A).

    Attributes:
        epochs: passes in which each identity is drawn once.
        learning_rate: at the start.
        schedule: ``steps`` divides by ten at each of `milestones`; ``cosine`` falls to zero at the end.
        milestones: epochs at which ``steps`` divides.
        warm_up: epochs over which the rate first rises from zero.
        weight_decay: of every parameter.
        persons: P, persons of a batch.
        tracklets: K, tracklets of each.
        together: persons who follow each other in the data set are drawn in runs of so many; a synthetic world dresses
            runs of four alike. 1, each on their own, is the paper's.
        margin: m of the triplet loss.
        validate_every: epochs between two validations.
    """

    epochs: int = 1200
    learning_rate: float = 3e-4
    schedule: Schedule = "steps"
    milestones: tuple[int, ...] = (400, 800)
    warm_up: int = 0
    weight_decay: float = 5e-4
    persons: int = 8
    tracklets: int = 4
    together: int = 1
    margin: float = 0.3
    validate_every: int = 50

    def __post_init__(self) -> None:
        positive(self, "epochs", "learning_rate", "validate_every", "together")
        within(self, 0, float("inf"), "warm_up", "weight_decay", "margin")
        one_of(self, "schedule", Schedule)
        if not all(isinstance(epoch, int) for epoch in self.milestones):
            raise RecipeError(f"milestones are {self.milestones}, expected whole numbers of epochs")
        if self.persons < 2 or self.tracklets < 2:
            raise RecipeError(
                f"a batch of P = {self.persons} persons x K = {self.tracklets} tracklets has no triplets: both must "
                "be at least 2"
            )


@dataclass(frozen=True)
class Stage1:
    """The clip encoder, and its training with Eq. 7 + Eq. 8, one clip a tracklet (paper, Sec. 3.2, Appendix A.1).

    Attributes:
        optimisation: batch and learning rate.
        encoder_width: multiplies all channel counts of the I3D, and of it only; 1 is the paper's.
        enlarge: frames are resized to this multiple of the clip size before the random crop (288/256).
        flip: probability that a clip is mirrored.
        colour: strength of a random colour cast and contrast per clip, 0 (the paper) … 1.
        triplet_weight: of Eq. 7 beside Eq. 8; 1 is the paper's. Batch-hard triplets collapse the features of an
            encoder that starts from random weights, and a tenth does not.
        encoder: ``i3d``, or ``frames:FOLDER`` for an image network whose features are averaged over the frames of a
            clip; the folder holds it as the transformers library saves it.
        neck: BatchNorm without bias between the features and the identity layer; the clip feature is what comes
            ``before`` or ``after`` it. ``none`` is the paper's.
        triplet_features: of a neck, those that triplets compare: ``before`` it or ``after`` it.
        triplet_distance: of Eq. 7: ``euclidean`` of features as they are (the paper), or ``cosine``, one minus it.
        reduction: both losses are the ``sum`` over the batch (the paper) or its ``mean``.
        label_smoothing: share of the target that Eq. 8 spreads over all identities; 0 is the paper's.
        contrast_weight: of a contrast of the persons of a batch, on the features that triplets compare, beside both
            losses; 0 is the paper's. It learns from a random start with thousands of persons.
        erasing: probability that a rectangle of a clip, the same in all its frames, is painted grey; 0 is the paper's.
        instance_norm: whether half of the I3D's early channels, and of it only, are normalised clip by clip (IBN), for
            cameras that training never saw; false is the paper's.
    """

    optimisation: Optimisation = field(default_factory=Optimisation)
    encoder_width: float = 1.0
    enlarge: float = 1.125
    flip: float = 0.5
    colour: float = 0.0
    triplet_weight: float = 1.0
    encoder: str = "i3d"
    neck: Neck = "none"
    triplet_features: TripletFeatures = "before"
    triplet_distance: TripletDistance = "euclidean"
    reduction: Reduction = "sum"
    label_smoothing: float = 0.0
    contrast_weight: float = 0.0
    erasing: float = 0.0
    instance_norm: bool = False

    def __post_init__(self) -> None:
        positive(self, "encoder_width")
        within(self, 1, 4, "enlarge")
        within(self, 0, 1, "flip", "colour", "erasing")
        within(self, 0, 0.99, "label_smoothing")
        one_of(self, "neck", Neck)
        one_of(self, "triplet_features", TripletFeatures)
        one_of(self, "triplet_distance", TripletDistance)
        one_of(self, "reduction", Reduction)
        kind, _, folder = self.encoder.partition(":")
        if self.encoder != "i3d" and not (kind == "frames" and folder):
            raise RecipeError(
                f"encoder is {self.encoder!r}, expected 'i3d', or 'frames:FOLDER' with the folder of an image network"
            )
        if self.instance_norm and self.encoder != "i3d":
            raise RecipeError(f"instance_norm is for the I3D, but encoder is {self.encoder!r}: leave one of them away")
        within(self, 0, float("inf"), "triplet_weight", "contrast_weight")


@dataclass(frozen=True)
class Stage2:
    """Training of the importance with the encoder frozen (paper, Sec. 3.2, Appendix A.2).

    Attributes:
        optimisation: batch and learning rate.
        hidden: units of both hidden layers of g.
        dropout: probability after both hidden layers.
        first: α_1 = g(0) (``constant``, r_0 = c_1) or g(-c_1) (``pair``, r_0 = 0).
        random_order: visit the clip pairs in a new random order in every step.
        max_corrupted: M_c^max, at most this many clips of a training tracklet are damaged.
        damages: each of these clips draws one of these kinds; the paper's is ``corrupted`` alone.
        persons: at most so many of the training persons; 0 is all, as in the paper.
        variants: augmentations of each tracklet whose features are computed once and drawn from;
            0 computes the features of fresh augmentations in every step, as the paper does.
    """

    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            epochs=12, learning_rate=3e-5, milestones=(8,), persons=12, margin=1.0, validate_every=1
        )
    )
    hidden: int = 1024
    dropout: float = 0.5
    first: FirstImportance = "constant"
    random_order: bool = False
    max_corrupted: int = 0
    damages: tuple[Damage, ...] = ("corrupted",)
    variants: int = 0
    persons: int = 0

    def __post_init__(self) -> None:
        positive(self, "hidden")
        known = get_args(Damage)
        if not self.damages or any(one not in known or self.damages.count(one) > 1 for one in self.damages):
            raise RecipeError(f"damages are {self.damages}, expected some of {', '.join(map(repr, known))}, each once")
        within(self, 0, 0.99, "dropout")
        within(self, 0, float("inf"), "variants", "max_corrupted", "persons")
        one_of(self, "first", FirstImportance)


@dataclass(frozen=True)
class Recipe:
    """All settings of a model: what a checkpoint carries, so that it can be made again.

    Attributes:
        name: what it is called in tables.
        clips: clips at test time and in stage 2; stage 1 uses one clip of the same length and size.
        stage1: of the clip encoder.
        stage2: of the aggregator.
        validation_share: share of the training persons kept back for every choice; never trained on.
        precision: of training, as Lightning Fabric names it, such as ``32-true`` or ``bf16-mixed``.
        seed: of everything that is drawn.
    """

    name: str = "paper"
    clips: ClipSpec = field(default_factory=ClipSpec)
    stage1: Stage1 = field(default_factory=Stage1)
    stage2: Stage2 = field(default_factory=Stage2)
    validation_share: float = 0.1
    precision: Precision = "32-true"
    seed: int = 0

    def __post_init__(self) -> None:
        positive(self, "validation_share")
        within(self, 0, 0.5, "validation_share")
        within(self, 0, 2**31 - 1, "seed")
        one_of(self, "precision", Precision)
        if self.stage2.max_corrupted > self.clips.count:
            raise RecipeError(
                f"stage2.max_corrupted is {self.stage2.max_corrupted}, expected 0 to clips.count = {self.clips.count}"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """What `to_json` gave; unknown names are a `RecipeError`."""
        return replaced(cls(), values, "recipe")


def paper() -> Recipe:
    """The paper's system to the letter."""
    return Recipe()


def demo() -> Recipe:
    """A reduced system that trains in minutes on two cores without a GPU."""
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


def modern() -> Recipe:
    """What brings inflated image networks to 83 mAP on MARS without aggregation; docs/recipes.md has the sources."""
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
    """`modern` at the size of `demo`, so that the two can be compared in minutes on two cores."""
    base, small = modern(), demo()
    return replace(
        small,
        name="modern_small",
        clips=replace(base.clips, height=small.clips.height, width=small.clips.width),
        stage1=replace(base.stage1, optimisation=small.stage1.optimisation, encoder_width=small.stage1.encoder_width),
    )


def open_small() -> Recipe:
    """What makes the model `open-small` of people who never lived, on two cores; made to meet cameras it never saw."""
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


def open_world() -> Recipe:
    """What makes the model `open`, at full width and the paper's size, on one GPU; else as `open_small`."""
    small = open_small()
    optimisation = replace(small.stage1.optimisation, epochs=40, persons=32)
    return replace(
        small, name="open", clips=ClipSpec(), precision="bf16-mixed",
        stage1=replace(small.stage1, optimisation=optimisation, encoder_width=1.0),
        stage2=replace(small.stage2, hidden=1024, persons=1500),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {
    "paper": paper,
    "demo": demo,
    "modern": modern,
    "modern_small": modern_small,
    "open_small": open_small,
    "open": open_world,
}


def read_recipe(name: str) -> Recipe:
    """A recipe by its name in `RECIPES`, or from a TOML file.

    Raises:
        RecipeError: if there is no such recipe or file, or the file holds unknown names or impossible values.
    """
    if name in RECIPES:
        return RECIPES[name]()
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"no recipe is called {name!r} and no such file exists: expected one of {', '.join(RECIPES)}, "
            "or the path of a TOML file"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    base = values.pop("base", "paper")
    if base not in RECIPES:
        raise RecipeError(f"{path}: base is {base!r}, expected one of {', '.join(RECIPES)}")
    return replaced(RECIPES[base](), {"name": path.stem, **values}, str(path))
