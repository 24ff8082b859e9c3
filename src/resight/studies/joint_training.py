"""Clip encoder and importance trained together, which the paper could not afford: fine-tuning after both stages.

B tracklets of the batch, M clips of L frames each, D features, C training persons.

Nothing is kept of the encoder's passes: clips are encoded without gradient, and once the gradient of their features is
known, those that have one are encoded again, a few at a time (gradient caching; Gao et al. 2021). With BatchNorm in
evaluation mode a clip's feature depends on that clip alone, so this is exact, and memory does not grow with the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from resight.checkpoints import content_hash
from resight.clip_losses import clip_loss
from resight.data.batches import BatchPlan, ClipBatches, hold_out_persons
from resight.data.transforms import prepare_clips
from resight.evaluation.evaluate import evaluate_among
from resight.features.damaged import mixed_damage
from resight.features.extract import View, extract_clip_features
from resight.losses import stage2_loss
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder
from resight.models.recompute import recomputed
from resight.recipe import Optimisation, Recipe
from resight.tracklet import Tracklet
from resight.training.loop import Batch, RunOptions, Task, fingerprint, run_training

_SHARPNESS = 10.0
"""Logit of a clip whose feature points where those of its person do, at the start."""


@dataclass(frozen=True)
class Joint:
    """How both are fine-tuned.

    Attributes:
        optimisation: batch, margin of Eq. 7 over -s, and a learning rate that suits an encoder that was trained.
        clip_weight: of the stage-1 loss of the same clips, a mean over the M clips of a tracklet; 0 leaves it out.
        chunk: clips encoded with gradient at once; a matter of memory only.
    """

    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            epochs=4, learning_rate=3e-6, milestones=(3,), persons=12, margin=1.0, validate_every=1
        )
    )
    clip_weight: float = 1.0
    chunk: int = 16


class JointModel(nn.Module):
    """Encoder, identity layer and aggregator in one; the encoder stays in evaluation mode, its statistics frozen.

    Args:
        encoder: trained.
        aggregator: trained with this encoder.
        n_persons: C.
        chunk: clips encoded with gradient at once; 0 keeps the plain graph of all of them.
    """

    def __init__(self, encoder: ClipEncoder, aggregator: Aggregator, n_persons: int, chunk: int) -> None:
        super().__init__()
        self.encoder, self.aggregator, self.chunk = encoder, aggregator, chunk
        self.classifier = nn.Linear(encoder.dim, n_persons, bias=False)

    def train(self, mode: bool = True) -> JointModel:
        """Training mode for all but the encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clips (B, M, L, H, W, 3) uint8 to similarities (B, B), clip features (B * M, D) and logits (B * M, C)."""
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
        """Point the identity layer, which no earlier stage has kept, at the persons' mean features.

        Args:
            features: (B, D), some of every person.
            targets: (B,) int64 in 0 ... C - 1.
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
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
    settings: Joint | None = None,
    *,
    name: str = "joint",
) -> tuple[ClipEncoder, Aggregator, float]:
    """Fine-tune clip encoder and aggregator end to end, keeping the weights of the best validation.

    The loss is that of stage 2 plus that of stage 1 on the same clips; damage, augmentation and random numbers are as
    in stage 2 without cached features.

    Args:
        encoder: after stage 1; trained in place.
        aggregator: after stage 2; trained in place.
        tracklets: of the training persons.
        recipe: that both were trained by.
        options: folder and such; an interrupted run in that folder is continued.
        settings: what is particular to this training.
        name: of the run's files.

    Returns:
        Both, in evaluation mode, and their validation mAP under the damage of stage 2.

    Raises:
        DatasetError: if there are too few persons.
        CheckpointError: if the folder holds another run.
    """
    settings = settings or Joint()
    train, validation = hold_out_persons(tracklets, recipe.validation_share, recipe.seed)
    stage, optimisation = recipe.stage2, settings.optimisation
    plan = BatchPlan(train, optimisation, recipe.seed)
    module = JointModel(encoder.eval(), aggregator, plan.n_persons, settings.chunk)
    begun_with = content_hash(encoder.state_dict()), content_hash(aggregator.state_dict())
    if settings.clip_weight:
        device = next(encoder.parameters()).device
        single = replace(recipe.clips, count=1)
        seen = extract_clip_features(encoder, train, single, workers=options.workers, device=device)
        module.start_from(torch.from_numpy(seen.values[:, 0]), torch.from_numpy(plan.targets))

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        pixels, targets = batch
        similarities, features, logits = module(pixels)
        triplets = stage2_loss(similarities, targets, optimisation.margin)
        total, numbers = triplets.loss, {"stage2": triplets.loss.item(), "active": triplets.active_share.item()}
        if settings.clip_weight:
            clips = pixels.shape[1]
            own = clip_loss(features, logits, targets.repeat_interleave(clips), recipe.stage1)
            total = total + settings.clip_weight / clips * own.loss
            numbers["stage1"] = own.loss.item() / clips
        return total, numbers

    def validate() -> float:
        device = next(encoder.parameters()).device
        kinds = stage.damages if stage.max_corrupted else ()
        clean, *damaged = (
            extract_clip_features(
                encoder, validation, recipe.clips,
                view=View(damage=kind), donors=validation, workers=options.workers, device=device,
            )
            for kind in (None, *kinds)
        )  # fmt: skip
        if damaged:
            by_kind = {str(kind): one for kind, one in zip(kinds, damaged, strict=True)}
            clean, _ = mixed_damage(clean, by_kind, stage.max_corrupted, recipe.seed)
        return evaluate_among(clean, aggregator)

    task = Task(
        name=name,
        module=module,
        batches=ClipBatches(train, plan, recipe.clips, recipe.stage1, stage.max_corrupted, stage.damages),
        loss=loss,
        validate=validate,
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * optimisation.tracklets * recipe.clips.count,
        identity={
            "train": fingerprint(train),
            "validation": fingerprint(validation),
            "encoder": begun_with[0],
            "aggregator": begun_with[1],
            "settings": repr(replace(settings, chunk=0)),
        },
    )
    best = run_training(task, recipe, options)
    return encoder.eval(), aggregator.eval(), best
