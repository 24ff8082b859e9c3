"""The training loop of all stages: steps, learning rate, progress, log and checkpoints.

A resumed run computes the same losses as one that was never interrupted.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.compute import Compute
from resight.data.batches import load_batches
from resight.errors import ShapeError, TrainingError
from resight.progress import progress_bar
from resight.recipe import Optimisation, Recipe
from resight.settings import within
from resight.training.run_files import RunFiles, RunState

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """What a stage trains and how.

    Attributes:
        name: Name of the stage, the prefix of its files.
        module: Everything that is trained and saved.
        batches: Item `step` is the batch of that step; it must depend on the step only.
        loss: Maps the module and a batch on its device to the loss and to figures for the log.
        validate: Returns the validation mAP of the module, 0 … 1.
        optimisation: Learning rate and schedule.
        steps_per_epoch: Number of steps per epoch.
        clips_per_step: Number of clips per step, to show the speed.
        identity: What else must be the same for a run to be resumed, such as the fingerprint of the data.
        describe: Returns what the batch of a step contains, for the message about a run that diverges.
    """

    name: str
    module: nn.Module
    batches: Dataset[Batch]
    loss: Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, float]]]
    validate: Callable[[], float]
    optimisation: Optimisation
    steps_per_epoch: int
    clips_per_step: int
    identity: Mapping[str, Any]
    describe: Callable[[int], str] = "batch {}".format

    @property
    def n_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.steps_per_epoch * self.optimisation.epochs


@dataclass(frozen=True)
class RunOptions:
    """Options of a training run that do not change its result.

    Attributes:
        folder: Folder for logs and checkpoints.
        workers: Number of processes that decode frames.
        compute: Device of the run, and the precision of encoding for validation. The precision of training is a setting
            of the recipe.
        checkpoint_seconds: Longest time between two checkpoints, in seconds.
        progress: Show the progress on stderr.

    Raises:
        RecipeError: If there are fewer than 0 workers.
    """

    folder: Path
    workers: int = 0
    compute: Compute = Compute()
    checkpoint_seconds: float = 60.0
    progress: bool = False

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "workers")


def run_training(task: Task, recipe: Recipe, options: RunOptions) -> float:
    """Train the module of a task to the end, from its last checkpoint if there is one, and load its best weights.

    Writes ``<task>.metrics.jsonl`` (one line per step), ``<task>.state.safetensors`` (the checkpoint) and
    ``<task>.best.safetensors`` (the weights with the best validation mAP) into the folder of the run. All random draws
    of a step depend on the seed and the step number only.

    Args:
        task: What to train.
        recipe: Settings, with the precision and seed of the run.
        options: Folder, device and so on.

    Returns:
        The best validation mAP.

    Raises:
        CheckpointError: If the folder holds a run with another recipe or other data, or damaged files.
        TrainingError: If a loss, a gradient or a weight is not finite. The checkpoint is then the last state from which
            a step with a finite loss and finite gradients was taken.
        KeyboardInterrupt: If the process was told to stop; the run can be resumed.
    """
    fabric = make_fabric(replace(options.compute, precision=recipe.precision))
    plain_optimiser = torch.optim.Adam(
        task.module.parameters(),
        lr=task.optimisation.learning_rate,
        betas=(0.9, 0.999),
        weight_decay=task.optimisation.weight_decay,
        amsgrad=True,
    )
    module, optimiser = fabric.setup(task.module, plain_optimiser)
    files = RunFiles(task.name, task.module, recipe, task.identity, options.folder)
    step, best = files.resume(plain_optimiser)
    loader = load_batches(task.batches, range(step, task.n_steps), fabric.device, options.workers)
    with (
        progress_bar(task.name, "steps", options.progress) as progress,
        files.open_log(step) as log,
        _StopRequest() as stop,
    ):
        if step < task.n_steps:
            progress(step, task.n_steps)
        saved_at = time.monotonic()
        started, first_step = saved_at, step
        validation: float | None = None
        good = files.copy_state(plain_optimiser, step, best)
        copied: RunState | None = None
        for batch in loader:
            try:
                record = _train_step(task, fabric, module, optimiser, batch, step, recipe.seed)
            except _NotFiniteError as fault:
                raise _diverged(task, files, good, step, str(fault)) from None
            # Only now is it known that the state before this step was good, so only now does it become the checkpoint.
            if copied is not None:
                files.write_state(copied)
                good, copied = copied, None
            step += 1
            if step % (task.steps_per_epoch * task.optimisation.validate_every) == 0 or step == task.n_steps:
                try:
                    record["validation"] = validation = task.validate()
                except ShapeError as error:  # features or scores that are not finite
                    raise _diverged(task, files, good, step, f"the validation failed ({error})") from error
                if validation > best:
                    best = validation
                    files.save_best(best, step)
            log.write(json.dumps(record) + "\n")
            speed = (step - first_step) * task.clips_per_step / (time.monotonic() - started)
            progress(step, task.n_steps, _details(record["loss"], validation, best, speed))
            due = time.monotonic() - saved_at > options.checkpoint_seconds
            if due or stop.requested or step == task.n_steps:
                copied = files.copy_state(plain_optimiser, step, best)
                saved_at = time.monotonic()
            if stop.requested or step == task.n_steps:
                if copied is None or not copied.is_finite:
                    raise _diverged(task, files, good, step, "a weight is not finite")
                files.write_state(copied)
            if stop.requested and step < task.n_steps:
                raise KeyboardInterrupt(f"stopped after step {step} of {task.n_steps}; run again to continue")
    files.load_best()
    return best


def make_fabric(compute: Compute) -> Fabric:
    """Return Lightning Fabric for one device, with its names for device and precision."""
    device = compute.torch_device
    return Fabric(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        precision="32-true" if compute.precision == "float32" else "bf16-mixed",
    )


def learning_rate_factor(optimisation: Optimisation, epoch: float) -> float:
    """Return the learning rate at a (fractional) epoch, relative to the initial one. Paper: Appendix A (``steps``)."""
    if epoch < optimisation.warm_up:
        return (epoch + 1e-3) / optimisation.warm_up
    if optimisation.schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in optimisation.milestones))
    share = (epoch - optimisation.warm_up) / max(optimisation.epochs - optimisation.warm_up, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


class _NotFiniteError(Exception):
    """A loss or a gradient is not finite."""


def _diverged(task: Task, files: RunFiles, good: RunState, step: int, what: str) -> TrainingError:
    """Write the last good state as the checkpoint, and return the error."""
    files.write_state(good)
    rate = task.optimisation.learning_rate * learning_rate_factor(task.optimisation, step / task.steps_per_epoch)
    return TrainingError(
        f"{task.name} diverged: {what} in step {step} of {task.n_steps} "
        f"(learning rate {rate:g}; {task.describe(step)}). The checkpoint is the last good state, after step "
        f"{good.step}. Reduce optimisation.learning_rate and train into a new folder; running the same command again "
        "continues from the checkpoint"
    )


def _train_step(
    task: Task, fabric: Fabric, module: nn.Module, optimiser: Any, batch: Batch, step: int, seed: int
) -> dict[str, Any]:
    torch.manual_seed(seed * 1_000_003 + step)  # dropout must not depend on earlier steps
    rate = task.optimisation.learning_rate * learning_rate_factor(task.optimisation, step / task.steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate
    module.train()
    loss, figures = task.loss(module, batch)
    if not loss.isfinite():
        raise _NotFiniteError(f"the loss is {loss.item()}")
    optimiser.zero_grad()
    fabric.backward(loss)
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if gradients and not torch.stack(torch._foreach_norm(gradients)).isfinite().all():
        raise _NotFiniteError("a gradient is not finite")
    try:
        optimiser.step()
    except RuntimeError as error:  # a step that is too large for the type of the weights
        if "overflow" not in str(error):
            raise
        raise _NotFiniteError("the step is too large") from error
    epoch = step // task.steps_per_epoch
    return {"step": step, "epoch": epoch, "loss": loss.item(), "learning_rate": rate, **figures}


def _details(loss: float, validation: float | None, best: float, clips_per_second: float) -> str:
    """Return the figures beside the progress bar."""
    parts = [f"loss {loss:.3g}"]
    if validation is not None:
        parts.append(f"validation mAP {100 * validation:.1f} (best {100 * best:.1f})")
    elif best > -math.inf:
        parts.append(f"best validation mAP {100 * best:.1f}")
    return ", ".join([*parts, f"{clips_per_second:,.0f} clips/s"])


class _StopRequest:
    """Delays the first interrupt until the current step is complete; a second one stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> _StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
