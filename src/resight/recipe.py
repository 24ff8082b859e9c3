"""Settings of clips, training stages and whole recipes, as frozen dataclasses. The defaults are the paper's values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from resight.compute import Precision
from resight.errors import RecipeError
from resight.settings import one_of, positive, replaced, within

Sampler = Literal["spaced", "cover", "consec", "random", "evenly", "all"]
Schedule = Literal["steps", "cosine"]
FirstImportance = Literal["constant", "pair"]
Trained = Literal["learned", "clip-agreement"]
Damage = Literal["corrupted", "occluded", "empty", "other-person", "bad-crop"]
Neck = Literal["none", "before", "after"]
TripletFeatures = Literal["before", "after"]
TripletDistance = Literal["euclidean", "cosine"]
Reduction = Literal["sum", "mean"]

_FORMER_PRECISIONS = {"32-true": "float32", "bf16-mixed": "half"}
"""Names of the precisions in model files of version 0.1."""

EFFICIENTNET = "efficientnet-lite0"
"""The image network of the model `open`."""

GIVEN = "given"
"""The encoder of recipes that train stage 2 alone, on the encoder of an existing model."""


@dataclass(frozen=True)
class ClipSpec:
    """How to cut a tracklet into clips, and the size of its frames (paper, Sec. 3.1 and 4.3).

    Attributes:
        length: L, number of frames per clip.
        count: M, number of clips per tracklet.
        sampler: ``spaced`` places M clips at even distances; they may overlap. ``cover`` distributes evenly spaced
            frames of the whole tracklet over M clips, and uses every frame of a tracklet of at most M·L frames. The
            other four cut a single clip (Table 1).
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.
        stride: Distance between consecutive frames of a clip, for ``spaced``, ``cover`` and ``consec``; the paper uses
            1. A tracklet that is too short for this stride is cut with the largest one that fits.
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
    """Batches, and the settings of Adam with AMSGrad (paper, Appendix A).

    Attributes:
        epochs: Number of epochs; an epoch draws each person once.
        learning_rate: Initial learning rate.
        schedule: ``steps`` divides the learning rate by ten at each milestone; ``cosine`` decreases it to zero.
        milestones: Epochs at which ``steps`` divides the learning rate.
        warm_up: Number of epochs in which the learning rate first increases from zero.
        weight_decay: Weight decay of all parameters.
        persons: P, number of persons per batch.
        tracklets: K, number of tracklets per person.
        together: Number of consecutive persons of the data set that are drawn together. Synthetic worlds dress groups
            of four consecutive persons alike. The paper uses 1: each person is drawn separately.
        margin: Margin m of the triplet loss.
        validate_every: Number of epochs between two validations.
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
    """The clip encoder and its training with Eq. 7 + Eq. 8 on one clip per tracklet (paper, Sec. 3.2, Appendix A.1).

    Attributes:
        optimisation: Batches, learning rate and triplet margin.
        encoder_width: Factor on all channel counts of the I3D; the paper uses 1. Does not apply to other encoders.
        enlarge: Frames are resized to this multiple of the clip size before the random crop (the paper: 288/256).
        flip: Probability that a clip is mirrored.
        colour: Strength of a random change of colour and contrast per clip, between 0 and 1; the paper uses 0.
        triplet_weight: Weight of Eq. 7 relative to Eq. 8; the paper uses 1. With random initial weights, batch-hard
            triplets can collapse the features; a weight of 0.1 avoids that.
        encoder: ``i3d``, or an image network whose features are averaged over the frames of a clip:
            ``efficientnet-lite0``, or ``frames:FOLDER`` for a folder in the format of the transformers library.
            ``onnx:FILE`` or ``onnx:FILE#PRESET`` is an ONNX network, for stage 2 alone. ``given`` stands for the
            encoder of an existing model, for recipes of stage 2 alone; ``python:NAME``, in model files, for a Python
            object.
        neck: A BatchNorm layer without bias between the clip features and the identity classifier. The output of the
            encoder is taken ``before`` or ``after`` it. The paper has ``none``.
        triplet_features: Whether the triplet loss compares features ``before`` or ``after`` the neck.
        triplet_distance: Distance in Eq. 7: ``euclidean`` between unnormalised features (the paper), or ``cosine``, one
            minus the cosine similarity.
        reduction: Both losses are the ``sum`` over the batch (the paper), or its ``mean``.
        label_smoothing: Share of the target probability that Eq. 8 distributes over all identities; the paper uses 0.
        contrast_weight: Weight of an additional contrastive loss between the persons of a batch, on the features that
            the triplet loss compares; the paper uses 0. This loss works with thousands of persons and random initial
            weights.
        erasing: Probability that a rectangle of a clip, the same one in all frames, is filled with grey; the paper
            uses 0.
        frames: Number of frames of a training clip; 0 is the length of the recipe's clips, as in the paper. For an
            image network, one frame is enough and takes a fraction of the time.
        frozen: Number of leading blocks of ``efficientnet-lite0`` that keep their initial weights. Does not apply to
            other encoders.
        averaging: Decay per step of an exponential moving average of the encoder's weights, which is validated and kept
            instead of the last weights; the paper uses 0, no average.
        instance_norm: Normalise half of the early channels of the I3D per clip (IBN), for cameras that are not in the
            training data; the paper does not. Does not apply to other encoders.
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
    frames: int = 0
    frozen: int = 0
    averaging: float = 0.0
    instance_norm: bool = False

    def __post_init__(self) -> None:
        positive(self, "encoder_width")
        within(self, 1, 4, "enlarge")
        within(self, 0, 1, "flip", "colour", "erasing")
        within(self, 0, 0.99, "label_smoothing")
        within(self, 0, 0.99999, "averaging")
        within(self, 0, float("inf"), "frames")
        within(self, 0, 16, "frozen")
        one_of(self, "neck", Neck)
        one_of(self, "triplet_features", TripletFeatures)
        one_of(self, "triplet_distance", TripletDistance)
        one_of(self, "reduction", Reduction)
        kind, _, folder = self.encoder.partition(":")
        if self.encoder not in ("i3d", EFFICIENTNET, GIVEN) and not (kind in ("frames", "onnx", "python") and folder):
            raise RecipeError(
                f"encoder is {self.encoder!r}, expected 'i3d', '{EFFICIENTNET}', 'given', 'frames:FOLDER' with the "
                "folder of an image network, or 'onnx:FILE'"
            )
        if self.instance_norm and self.encoder != "i3d":
            raise RecipeError(f"instance_norm is for the I3D, but encoder is {self.encoder!r}: omit one of them")
        if self.frozen and self.encoder != EFFICIENTNET:
            raise RecipeError(f"frozen is for {EFFICIENTNET}, but encoder is {self.encoder!r}: omit one of them")
        within(self, 0, float("inf"), "triplet_weight", "contrast_weight")


@dataclass(frozen=True)
class Stage2:
    """The importance network and its training with a frozen encoder (paper, Sec. 3.2, Appendix A.2).

    Attributes:
        optimisation: Batches, learning rate and triplet margin.
        aggregator: What is trained: ``learned``, the paper's importance network g of clip pairs, or ``clip-agreement``,
            the quality of each clip, which is weighted by its agreement with other clips. `first` and `random_order`
            are for ``learned`` only.
        hidden: Number of units in each hidden layer: two of g, one of ``clip-agreement``.
        dropout: Dropout probability after each hidden layer.
        first: Importance of the first clip pair: α_1 = g(0) (``constant``, r_0 = c_1) or g(-c_1) (``pair``, r_0 = 0).
        random_order: Visit the clip pairs in a new random order in every step.
        max_corrupted: M_c^max, the largest number of damaged clips in a training tracklet.
        damages: Kinds of damage; each damaged clip draws one of them. The paper uses ``corrupted`` only.
        persons: Largest number of persons to train on; 0 uses all, as in the paper.
        variants: Number of augmentations of each tracklet whose features are computed in advance and drawn from; 0
            augments and encodes the clips anew in every step, as the paper does.
    """

    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            epochs=12, learning_rate=3e-5, milestones=(8,), persons=12, margin=1.0, validate_every=1
        )
    )
    aggregator: Trained = "learned"
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
        if not self.damages or any(kind not in known or self.damages.count(kind) > 1 for kind in self.damages):
            raise RecipeError(
                f"damages are {self.damages}, expected one or more of {', '.join(map(repr, known))}, each at most once"
            )
        within(self, 0, 0.99, "dropout")
        within(self, 0, float("inf"), "variants", "max_corrupted", "persons")
        one_of(self, "first", FirstImportance)
        one_of(self, "aggregator", Trained)


@dataclass(frozen=True)
class Recipe:
    """All settings of a model and its training; stored in the model file.

    Attributes:
        name: Name of the recipe in tables.
        clips: Clips in evaluation and stage 2; stage 1 uses one clip of the same length and size.
        stage1: The clip encoder and its training.
        stage2: The importance network and its training.
        validation_share: Share of the training persons used for validation and not for training.
        precision: Precision of training: ``float32``, or ``half`` for 16-bit matrix products.
        seed: Seed of all random draws.
    """

    name: str = "paper"
    clips: ClipSpec = field(default_factory=ClipSpec)
    stage1: Stage1 = field(default_factory=Stage1)
    stage2: Stage2 = field(default_factory=Stage2)
    validation_share: float = 0.1
    precision: Precision = "float32"
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
        """Return the settings as plain dictionaries and tuples."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """Return the recipe that `to_json` described; settings that are missing get their defaults.

        Raises:
            RecipeError: If a setting is unknown, or has an impossible value.
        """
        precision = values.get("precision", cls.precision)
        return replaced(cls(), {**values, "precision": _FORMER_PRECISIONS.get(str(precision), precision)}, "recipe")
