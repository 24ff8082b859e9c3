"""Joint training of clip encoder and importance, which the paper could not afford: fine-tuning after both stages.

Legend: B tracklets in a batch, M clips of L frames each, D features, C training persons.

No activations of the encoder are kept: clips are encoded without gradients, and when the gradients of their features
are known, the clips are encoded again in small chunks (gradient caching, Gao et al. 2021). With BatchNorm in evaluation
mode the features of a clip depend on that clip alone, so the result is exact, and memory does not grow with the batch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from resight.clip_losses import clip_loss
from resight.data.batches import BatchPlan, ClipBatches
from resight.data.split import TrainingSplit
from resight.data.transforms import prepare_clips
from resight.evaluation.evaluate import evaluate_among
from resight.evaluation.metrics import Scores
from resight.features.damaged import mixed_damage
from resight.features.extract import extract_clip_features
from resight.features.view import View
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder
from resight.models.recompute import recomputed
from resight.recipe import Optimisation, Recipe
from resight.studies.framework.outcome import Claim, Outcome, table_of_scores
from resight.studies.framework.steps import Steps
from resight.tensor_files import content_hash
from resight.tracklet import fingerprint
from resight.training.loop import Batch, RunOptions, Task, run_training

FROZEN = "encoder frozen (the paper)"
JOINT = "joint training"

_SHARPNESS = 10.0
"""Initial logit of a clip whose features point in the direction of its person's mean."""


def joint(steps: Steps) -> Outcome:
    """Joint training of encoder and importance after both stages, compared with the frozen encoder."""
    setting = steps.setting
    rate, seed = setting.damaged_at, setting.seeds[0]
    stage2, epochs = setting.recipe.stage2.optimisation, setting.joint_epochs
    settings = Joint()
    optimisation = replace(
        settings.optimisation, epochs=epochs, milestones=(max(1, 3 * epochs // 4),),
        learning_rate=stage2.learning_rate / 10, persons=stage2.persons, tracklets=stage2.tracklets,
    )  # fmt: skip
    encoder, importance = steps.encoder(seed), steps.trained("learned", seed, rate)
    frozen = _scores(steps, encoder, importance, seed, rate)
    recipe = steps.recipe(seed)
    recipe = replace(recipe, stage2=replace(recipe.stage2, max_corrupted=rate))
    with steps.timed(f"train joint-seed{seed}"):
        encoder, importance, _ = train_jointly(
            copy.deepcopy(encoder), copy.deepcopy(importance), steps.split(seed), recipe,
            steps.options(f"joint-seed{seed}"), replace(settings, optimisation=optimisation),
        )  # fmt: skip
    trained = _scores(steps, encoder, importance, seed, rate)
    table = table_of_scores({FROZEN: [frozen], JOINT: [trained]}, (0, rate))
    gains = [table.means(JOINT)[place] - table.means(FROZEN)[place] for place in (0, 3)]
    claim = Claim("joint training increases mAP, clean and damaged", min(gains) > 0,
                  f"{gains[0]:+.1f} and {gains[1]:+.1f} mAP")  # fmt: skip
    note = (
        f"{epochs} epochs at a learning rate of {optimisation.learning_rate:g}, after both stages; seed {seed}; "
        f"M_c^max = {rate} in training."
    )
    title = "Joint training of encoder and importance"
    return Outcome("joint", title, (table,), (claim,), frozen[0].line(), notes=(note,))


def _scores(steps: Steps, encoder: ClipEncoder, aggregator: Aggregator, seed: int, rate: int) -> list[Scores]:
    """Return the scores on clean clips, and with the paper's corruption."""
    features = steps.damages_by(encoder, seed, ("corrupted",))
    mixed = features.mixed(rate, ("corrupted",), seed)
    return [steps.score(aggregator, one) for one in (features.clean, mixed)]


@dataclass(frozen=True)
class Joint:
    """Settings of joint training.

    Attributes:
        optimisation: Batch, margin of Eq. 7 over -s, and a learning rate for a trained encoder.
        clip_weight: Weight of the stage-1 loss of the same clips, a mean over the M clips of a tracklet; 0 omits it.
        chunk: Number of clips encoded at once with gradients; affects memory only.
    """

    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            epochs=4, learning_rate=3e-6, milestones=(3,), persons=12, margin=1.0, validate_every=1
        )
    )
    clip_weight: float = 1.0
    chunk: int = 16


class JointModel(nn.Module):
    """Encoder, identity layer and aggregator; the encoder stays in evaluation mode with fixed BatchNorm statistics.

    Args:
        encoder: A trained encoder.
        aggregator: An aggregator trained with this encoder.
        n_persons: Number of training persons C.
        chunk: Number of clips encoded at once with gradients; 0 keeps the activations of all clips.
    """

    def __init__(self, encoder: ClipEncoder, aggregator: Aggregator, n_persons: int, chunk: int) -> None:
        super().__init__()
        self.encoder, self.aggregator, self.chunk = encoder, aggregator, chunk
        self.classifier = nn.Linear(encoder.dim, n_persons, bias=False)

    def train(self, mode: bool = True) -> JointModel:
        """Set the training mode of all modules except the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return similarities (B, B), features (B * M, D) and logits (B * M, C) of clips (B, M, L, H, W, 3) uint8."""
        clips = pixels.flatten(0, 1)
        if self.chunk and torch.is_grad_enabled():
            with torch.no_grad():
                features = torch.cat([self._encoded(part) for part in torch.split(clips, self.chunk)])
            features = recomputed(
                features, lambda rows: self._encoded(clips[rows]), [], list(self.encoder.parameters()), self.chunk
            )
        else:
            features = self._encoded(clips)
        tracklets = features.view(*pixels.shape[:2], -1)
        return self.aggregator(tracklets, tracklets), features, self.classifier(features)

    @torch.no_grad()
    def start_from(self, features: Tensor, targets: Tensor) -> None:
        """Initialise the identity layer, which stage 1 does not save, with the mean features of the persons.

        Args:
            features: (B, D), at least one row for each person.
            targets: (B,) int64, persons as 0 ... C - 1.
        """
        lengths = features.norm(dim=1, keepdim=True)
        sums = torch.zeros_like(self.classifier.weight).index_add_(0, targets, features / lengths)
        self.classifier.weight.copy_(nn.functional.normalize(sums, dim=1) * (_SHARPNESS / lengths.mean()))

    def _encoded(self, clips: Tensor) -> Tensor:
        features: Tensor = self.encoder(prepare_clips(clips))
        return features.float()


def train_jointly(
    encoder: ClipEncoder,
    aggregator: Aggregator,
    split: TrainingSplit,
    recipe: Recipe,
    options: RunOptions,
    settings: Joint | None = None,
    *,
    name: str = "joint",
) -> tuple[ClipEncoder, Aggregator, float]:
    """Train encoder and aggregator end to end, keeping the weights of the best validation.

    The loss is the loss of stage 2 plus the loss of stage 1 on the same clips. Damage, augmentation and random numbers
    are those of stage 2 without cached features.

    Args:
        encoder: Encoder after stage 1; trained in place.
        aggregator: Aggregator after stage 2; trained in place.
        split: Tracklets to train on and for validation, the same as in both stages.
        recipe: Recipe of both stages.
        options: Folder and other options; an interrupted run in this folder is continued.
        settings: Settings of joint training.
        name: Name of the files of the run.

    Returns:
        Both modules in evaluation mode, and their validation mAP with the damage of stage 2.

    Raises:
        DatasetError: If there are too few persons.
        CheckpointError: If the folder holds another run.
    """
    settings = settings or Joint()
    stage, optimisation = recipe.stage2, settings.optimisation
    plan = BatchPlan(split.train, optimisation, recipe.seed)
    module = JointModel(encoder.eval(), aggregator, plan.n_persons, settings.chunk)
    initial = content_hash(encoder.state_dict()), content_hash(aggregator.state_dict())
    if settings.clip_weight:
        single = replace(recipe.clips, count=1)
        features = extract_clip_features(encoder, split.train, single, workers=options.workers, compute=options.compute)
        module.start_from(torch.from_numpy(features.values[:, 0]), torch.from_numpy(plan.targets))

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        pixels, targets = batch
        similarities, features, logits = module(pixels)
        triplets = stage2_loss(similarities, targets, optimisation.margin)
        total, numbers = triplets.loss, {"stage2": triplets.loss.item(), "active": triplets.active_share.item()}
        if settings.clip_weight:
            clips = pixels.shape[1]
            of_clips = clip_loss(features, logits, targets.repeat_interleave(clips), recipe.stage1)
            total = total + settings.clip_weight / clips * of_clips.loss
            numbers["stage1"] = of_clips.loss.item() / clips
        return total, numbers

    def validate() -> float:
        kinds = stage.damages if stage.max_corrupted else ()
        clean, *damaged = (
            extract_clip_features(
                encoder, split.validation, recipe.clips,
                view=View(damage=kind), donors=split.validation, workers=options.workers, compute=options.compute,
            )
            for kind in (None, *kinds)
        )  # fmt: skip
        if damaged:
            by_kind = {str(kind): features for kind, features in zip(kinds, damaged, strict=True)}
            clean, _ = mixed_damage(clean, by_kind, stage.max_corrupted, recipe.seed)
        return evaluate_among(clean, aggregator, options.compute)

    task = Task(
        name=name,
        module=module,
        batches=ClipBatches(split.train, plan, recipe.clips, recipe.stage1, stage.max_corrupted, stage.damages),
        loss=loss,
        validate=validate,
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * optimisation.tracklets * recipe.clips.count,
        identity={
            "train": fingerprint(split.train),
            "validation": fingerprint(split.validation),
            "encoder": initial[0],
            "aggregator": initial[1],
            "settings": repr(replace(settings, chunk=0)),
        },
    )
    best = run_training(task, recipe, options)
    return encoder.eval(), aggregator.eval(), best
