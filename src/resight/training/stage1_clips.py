"""Stage 1: the clip encoder learns to distinguish persons, from one clip per tracklet (paper, Sec. 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from resight.clip_losses import clip_loss
from resight.data.batches import BatchPlan, ClipBatches
from resight.data.split import TrainingSplit
from resight.data.transforms import prepare_clips
from resight.evaluation.evaluate import evaluate_among
from resight.features.shared import extract_together
from resight.models.aggregators import MeanPair
from resight.models.checkpointed import recompute_blocks, recompute_if_needed
from resight.models.encoders import ClipEncoder, NeckedEncoder
from resight.models.norm_calls import SharedBatchNorm
from resight.progress import note
from resight.recipe import ClipSpec, Recipe, Stage2, TripletFeatures
from resight.tracklet import fingerprint
from resight.training.loop import Batch, RunOptions, Task, run_training


class ClipClassifier(nn.Module):
    """A clip encoder with a linear classifier of the training persons; the classifier is not used after training.

    Args:
        encoder: The clip encoder.
        n_persons: C, number of training persons.
        triplet_features: Whether the triplet loss compares features ``before`` or ``after`` the neck, if there is one.
        averaging: Decay per step of the moving average of the encoder's weights; 0: no average.
    """

    steps: Tensor

    def __init__(
        self, encoder: ClipEncoder, n_persons: int, triplet_features: TripletFeatures = "before", averaging: float = 0.0
    ) -> None:
        super().__init__()
        self._after = triplet_features == "after"
        self.encoder = encoder
        self.classifier = nn.Linear(encoder.dim, n_persons, bias=False)
        self._decay = averaging
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        # The average is a part of the module, so that it is saved and resumed with it.
        self.averaged = copy.deepcopy(encoder).requires_grad_(False).eval() if averaging else None

    def train(self, mode: bool = True) -> ClipClassifier:
        """Set the training mode; the averaged encoder stays in evaluation mode."""
        super().train(mode)
        if self.averaged is not None:
            self.averaged.eval()
        return self

    @property
    def best_encoder(self) -> ClipEncoder:
        """The encoder to validate and to keep: the averaged one, if there is one."""
        return self.encoder if self.averaged is None else self.averaged

    @torch.no_grad()
    def _update_average(self, averaged: ClipEncoder) -> None:
        """Move the averaged encoder towards the current one, faster in the first steps, which change most."""
        steps = int(self.steps.add_(1))
        decay = min(self._decay, steps / (9 + steps))
        for average, current in zip(averaged.state_dict().values(), self.encoder.state_dict().values(),
                                    strict=True):  # fmt: skip
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features that the triplet loss compares (B, D) and the logits (B, C).

        Args:
            pixels: Clips (B, L, H, W, 3) uint8.
        """
        if self.training and self.averaged is not None:
            self._update_average(self.averaged)
        clips = prepare_clips(pixels)
        if isinstance(self.encoder, NeckedEncoder):
            features, normed = self.encoder.both(clips)
        else:
            features = normed = self.encoder(clips)
        wide = self.classifier.weight.dtype  # the encoder may compute in half precision
        return (normed if self._after else features).to(wide), self.classifier(normed.to(wide))


def train_encoder(
    encoder: ClipEncoder, split: TrainingSplit, recipe: Recipe, options: RunOptions
) -> tuple[ClipEncoder, float]:
    """Train a clip encoder with the losses of the recipe (in the paper Eq. 7 + Eq. 8) and load its best weights.

    Args:
        encoder: Encoder with random or pretrained weights; trained in place.
        split: Persons to train on, and validation persons.
        recipe: Settings; those of stage 2 have no effect.
        options: Folder, device and so on. An interrupted run in the folder is continued.

    Returns:
        The encoder in evaluation mode, and its validation mAP (mean of all clip pairs, M clips, no damage).

    Raises:
        DatasetError: If there are fewer persons than a batch needs.
        CheckpointError: If the folder holds another run.
    """
    optimisation = recipe.stage1.optimisation
    plan = BatchPlan(split.train, optimisation, recipe.seed)
    spec = replace(recipe.clips, count=1, sampler="consec", length=recipe.stage1.frames or recipe.clips.length)
    module = ClipClassifier(encoder, plan.n_persons, recipe.stage1.triplet_features, recipe.stage1.averaging)
    processes = options.processes

    def loss(module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        pixels, targets = batch
        if processes.rank:  # else all processes would drop the same units
            torch.manual_seed(torch.initial_seed() + (processes.rank << 32))
        with SharedBatchNorm(processes) if processes.count > 1 else nullcontext():
            own = module(pixels.flatten(0, 1))
        features, logits = (processes.gather(part, len(targets)) for part in own)
        total = clip_loss(features, logits, targets, recipe.stage1)
        return total.loss, {
            "triplet": total.triplet.item(),
            "cross_entropy": total.cross_entropy.item(),
            "active": total.active_share.item(),
        }

    def validate() -> float:
        features = extract_together(
            processes, module.best_encoder, split.validation, recipe.clips, workers=options.workers,
            compute=options.compute,
        )  # fmt: skip
        return processes.from_first(lambda: evaluate_among(features, MeanPair()))

    task = Task(
        name="stage1",
        module=module,
        batches=ClipBatches(split.train, plan, spec, recipe.stage1, processes=processes),
        loss=loss,
        validate=validate,
        optimisation=optimisation,
        steps_per_epoch=plan.steps_per_epoch,
        clips_per_step=optimisation.persons * optimisation.tracklets,
        identity={"train": fingerprint(split.train), "validation": fingerprint(split.validation)},
        describe=lambda step: f"batch of {', '.join(split.train[n].id for n in plan.batch(step)[:4])}, …",
    )
    _save_memory(module, spec, optimisation.persons * optimisation.tracklets, options)
    # the settings of stage 2 are left out, so that several of them can continue from the same stage 1
    best = run_training(task, replace(recipe, name="", stage2=Stage2()), options)
    return module.best_encoder.requires_grad_(True).eval(), best


def _save_memory(module: ClipClassifier, spec: ClipSpec, in_batch: int, options: RunOptions) -> None:
    """Let the encoder compute blocks again in the backward pass if the activations of a step do not fit into memory."""
    processes = options.processes
    device = options.compute.torch_device
    clips = torch.zeros(2, spec.length, spec.height, spec.width, 3, dtype=torch.uint8, device=device)
    rows = processes.share(in_batch)
    at_once = (rows.stop - rows.start) * (processes.local_count if device.type == "cpu" else 1)
    with nullcontext() if processes.count == 1 else SharedBatchNorm(processes):
        short = recompute_if_needed(module.encoder.to(device), prepare_clips(clips), at_once)
    if processes.any(short is not None):  # all or none, because BatchNorm exchanges statistics in both passes
        recompute_blocks(module.encoder)
        if short is not None and processes.is_first:
            note(
                f"the activations of a step need {short[0] / 1e9:.1f} GB, and {short[1] / 1e9:.1f} GB are free: they "
                "are computed again in the backward pass, which takes about a third more arithmetic"
            )
