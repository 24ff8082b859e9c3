"""Stage 1: the clip encoder learns to tell persons apart, one clip a tracklet (paper, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from resight.clip_losses import clip_loss
from resight.data.batches import BatchPlan, ClipBatches, divide_persons
from resight.data.transforms import prepare_clips
from resight.evaluation.evaluate import evaluate_among
from resight.features.extract import extract_clip_features
from resight.models.aggregators import MeanPair
from resight.models.encoders import ClipEncoder, NeckedEncoder
from resight.recipe import Recipe, Stage2, TripletFeatures
from resight.tracklet import Tracklet
from resight.training.loop import Batch, RunOptions, Task, fingerprint, run_training


class ClipClassifier(nn.Module):
    """The clip encoder with a linear layer over the training persons, which is left behind after training."""

    def __init__(self, encoder: ClipEncoder, n_persons: int, triplet_features: TripletFeatures = "before") -> None:
        super().__init__()
        self._after = triplet_features == "after"
        self.encoder = encoder
        self.classifier = nn.Linear(encoder.dim, n_persons, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, H, W, 3) uint8 to what triplets compare (B, D) and logits (B, C), which come after a neck."""
        clips = prepare_clips(pixels)
        if isinstance(self.encoder, NeckedEncoder):
            features, normed = self.encoder.both(clips)
        else:
            features = normed = self.encoder(clips)
        return (normed if self._after else features).float(), self.classifier(normed.float())


def train_encoder(
    encoder: ClipEncoder,
    tracklets: Sequence[Tracklet],
    recipe: Recipe,
    options: RunOptions,
    others: Sequence[Tracklet] = (),
) -> tuple[ClipEncoder, float]:
    """Train a clip encoder with Eq. 7 + Eq. 8, or as a recipe has them, keeping the weights that validate best.

    Args:
        encoder: with random or pretrained weights; trained in place.
        tracklets: of the training persons; some persons are kept back for validation if there are no others.
        recipe: stage 1 of it.
        options: folder and such; an interrupted run in that folder is continued.
        others: tracklets of other persons, to choose the weights by.

    Returns:
        The encoder and its validation mAP (mean of clip-pair cosines, M clips, no damage).

    Raises:
        DatasetError: if there are too few persons.
        CheckpointError: if the folder holds another run.
    """
    train, validation = divide_persons(tracklets, others, recipe.validation_share, recipe.seed)
    optimisation = recipe.stage1.optimisation
    plan = BatchPlan(train, optimisation, recipe.seed)
    spec = replace(recipe.clips, count=1, sampler="consec")
    module = ClipClassifier(encoder, plan.n_persons, recipe.stage1.triplet_features)

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        pixels, targets = batch
        features, logits = module(pixels.flatten(0, 1))
        total = clip_loss(features, logits, targets, recipe.stage1)
        return total.loss, {
            "triplet": total.triplet.item(),
            "cross_entropy": total.cross_entropy.item(),
            "active": total.active_share.item(),
        }

    def validate() -> float:
        device = next(encoder.parameters()).device
        features = extract_clip_features(encoder, validation, recipe.clips, workers=options.workers, device=device)
        return evaluate_among(features, MeanPair())

    task = Task(
        name="stage1",
        module=module,
        batches=ClipBatches(train, plan, spec, recipe.stage1),
        loss=loss,
        validate=validate,
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * optimisation.tracklets,
        identity={"train": fingerprint(train), "validation": fingerprint(validation)},
    )
    # stage 2 has no part in this run: other settings of it may follow the same stage 1
    best = run_training(task, replace(recipe, name="", stage2=Stage2()), options)
    return encoder.eval(), best
