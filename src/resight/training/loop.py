"""The training loop of all stages: steps, learning rate, progress, log and checkpoints.

A resumed run computes the same losses as one that was never interrupted, and several processes compute those of one, up
to rounding: every process computes the loss of the whole batch from the gathered results of all, and the gradients are
averaged.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.compute import Compute
from resight.data.batches import load_batches
from resight.errors import CheckpointError, RecipeError, ShapeError, TrainingError
from resight.processes import ONE_PROCESS, Processes, peers_watched
from resight.progress import progress_bar
from resight.recipe import Optimisation, Recipe
from resight.settings import within
from resight.training.run_files import RunFiles, RunState

Batch = tuple[Tensor, Tensor]

_SAME_INTERRUPT = 1.0
"""Seconds within which two signals are one request: Ctrl-C reaches a process also through the one that started it."""


@dataclass(frozen=True)
class Task:
    """What a stage trains and how.

    Attributes:
        name: Name of the stage, the prefix of its files.
        module: Everything that is trained and saved.
        batches: Item `step` is the batch of that step; it must depend on the step only. Of several processes, each has
            its share of the batch.
        loss: Maps the module and a batch on its device to the loss and to figures for the log. Of several processes,
            each returns the loss of the whole batch; the mean of their gradients must be its gradient.
        validate: Returns the validation mAP of the module, 0 … 1, the same in all processes.
        optimisation: Learning rate and schedule.
        steps_per_epoch: Number of steps per epoch.
        clips_per_step: Number of clips per step of all processes, to show the speed.
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
        processes: The processes of the run. The folder must be the same for all of them; only the first writes.

    Raises:
        RecipeError: If there are fewer than 0 workers.
    """

    folder: Path
    workers: int = 0
    compute: Compute = Compute()
    checkpoint_seconds: float = 60.0
    progress: bool = False
    processes: Processes = ONE_PROCESS

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
        RecipeError: If there are more processes than tracklets in a batch.
        TrainingError: If a loss, a gradient or a weight is not finite, or another process has ended. The checkpoint is
            then the last state from which a step with a finite loss and finite gradients was taken.
        KeyboardInterrupt: If the process was told to stop; the run can be resumed.
    """
    processes = options.processes
    in_batch = task.optimisation.persons * task.optimisation.tracklets
    if processes.count > in_batch:
        raise RecipeError(
            f"{processes.count} processes cannot share a batch of {in_batch} tracklets: use at most {in_batch}, or a "
            "recipe with more optimisation.persons"
        )
    fabric = make_fabric(replace(options.compute, precision=recipe.precision), processes)
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
    _check_same_run(processes, (step, best, files.identity))
    loader = load_batches(task.batches, range(step, task.n_steps), fabric.device, options.workers)
    with (
        progress_bar(task.name, "steps", options.progress and processes.is_first) as progress,
        files.open_log(step) if processes.is_first else nullcontext() as log,
        _StopRequest() as stop,
        peers_watched(),
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
                record = _train_step(task, fabric, module, optimiser, batch, step, recipe.seed, processes)
            except _NotFiniteError as fault:
                raise _diverged(task, files, good, step, str(fault), processes) from None
            # Only now is it known that the state before this step was good, so only now does it become the checkpoint.
            if copied is not None:
                if processes.is_first:
                    files.write_state(copied)
                good, copied = copied, None
            step += 1
            if step % (task.steps_per_epoch * task.optimisation.validate_every) == 0 or step == task.n_steps:
                try:
                    record["validation"] = validation = task.validate()
                except ShapeError as error:  # features or scores that are not finite
                    raise _diverged(task, files, good, step, f"the validation failed ({error})", processes) from error
                if validation > best:
                    best = validation
                    if processes.is_first:
                        files.save_best(best, step)
            if log is not None:
                log.write(json.dumps(record) + "\n")
            speed = (step - first_step) * task.clips_per_step / (time.monotonic() - started)
            progress(step, task.n_steps, _details(record["loss"], validation, best, speed))
            stopping = processes.any(stop.requested)
            due = processes.is_first and time.monotonic() - saved_at > options.checkpoint_seconds
            if due or stopping or step == task.n_steps:
                copied = files.copy_state(plain_optimiser, step, best)
                saved_at = time.monotonic()
            if stopping or step == task.n_steps:
                if copied is None or not copied.is_finite:
                    raise _diverged(task, files, good, step, "a weight is not finite", processes)
                if processes.is_first:
                    files.write_state(copied)
            if stopping and step < task.n_steps:
                raise KeyboardInterrupt(f"stopped after step {step} of {task.n_steps}; run again to continue")
    processes.wait()  # for the file of the best weights
    files.load_best()
    return best


def make_fabric(compute: Compute, processes: Processes = ONE_PROCESS) -> Fabric:
    """Return Lightning Fabric for the devices of a run, with its names for device and precision.

    Args:
        compute: Device, of one process, and precision.
        processes: Several processes each use the device of their local rank.
    """
    device = compute.torch_device
    precision: Any = "32-true" if compute.precision == "float32" else "bf16-mixed"
    if processes.count == 1:
        devices = 1 if device.index is None else [device.index]
        return Fabric(accelerator=device.type, devices=devices, precision=precision)
    fabric = Fabric(
        accelerator=device.type,
        devices=processes.local_count,
        num_nodes=processes.count // processes.local_count,
        strategy=DDPStrategy(gradient_as_bucket_view=True),
        plugins=[TorchElasticEnvironment()],
        precision=precision,
    )
    fabric.launch()
    return fabric


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


def _check_same_run(processes: Processes, state: object) -> None:
    """Refuse processes that read other data or another checkpoint than the first."""
    for rank, other in enumerate(processes.values(state)):
        if other != processes.from_first(lambda: state):
            raise CheckpointError(
                f"process {rank} has another checkpoint, recipe or data than process 0: all machines must see the same "
                "folder of the run and the same data, such as on a shared file system"
            )


def _diverged(task: Task, files: RunFiles, good: RunState, step: int, what: str, processes: Processes) -> TrainingError:
    """Write the last good state as the checkpoint, and return the error."""
    if processes.is_first:
        files.write_state(good)
    rate = task.optimisation.learning_rate * learning_rate_factor(task.optimisation, step / task.steps_per_epoch)
    return TrainingError(
        f"{task.name} diverged: {what} in step {step} of {task.n_steps} "
        f"(learning rate {rate:g}; {task.describe(step)}). The checkpoint is the last good state, after step "
        f"{good.step}. Reduce optimisation.learning_rate and train into a new folder; running the same command again "
        "continues from the checkpoint"
    )


def _train_step(
    task: Task,
    fabric: Fabric,
    module: nn.Module,
    optimiser: Any,
    batch: Batch,
    step: int,
    seed: int,
    processes: Processes,
) -> dict[str, Any]:
    torch.manual_seed(seed * 1_000_003 + step)  # dropout must not depend on earlier steps
    rate = task.optimisation.learning_rate * learning_rate_factor(task.optimisation, step / task.steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate
    module.train()
    loss, figures = task.loss(module, batch)
    if processes.any(not loss.isfinite()):
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
    """Delays the first interrupt until the current step is complete; a later one stops at once."""

    def __init__(self) -> None:
        self.requested = False
        self._since = 0.0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> _StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: object) -> None:
        if not self.requested:
            self.requested, self._since = True, time.monotonic()
        elif time.monotonic() - self._since > _SAME_INTERRUPT:
            raise KeyboardInterrupt

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
