"""The one training loop: steps, schedule, progress bar, log, checkpoints; resumed runs equal uninterrupted ones."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import Dataset

from resight.checkpoints import load_into, read_tensors, replace_file, write_tensors
from resight.data.batches import load_batches
from resight.errors import CheckpointError, RecipeError
from resight.recipe import Optimisation, Recipe
from resight.tracklet import Tracklet

STATE_KIND = "resight training state"
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """What a stage brings to the loop.

    Attributes:
        name: of the stage; also the prefix of its files.
        module: everything that is trained and saved.
        batches: item `step` is the batch of that step, and nothing but the step decides it.
        loss: from the module and a batch on the device, the loss and the numbers worth showing.
        validate: a score of the module, higher is better, on persons that are not trained on.
        optimisation: learning rate and schedule.
        steps_per_epoch: steps of one epoch.
        clips_per_step: clips of one step, to state the speed.
        identity: whatever else must be the same for a resumed run, such as the data's fingerprint.
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

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.optimisation.epochs


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves, without any influence on what it computes.

    Attributes:
        folder: where log and checkpoints go.
        workers: processes that decode.
        accelerator: as Lightning Fabric names it.
        checkpoint_seconds: at most this much work is lost when the run is killed.
        progress: show a bar.
    """

    folder: Path
    workers: int = 0
    accelerator: str = "auto"
    checkpoint_seconds: float = 60.0
    progress: bool = False


def run_training(task: Task, recipe: Recipe, options: RunOptions) -> float:
    """Train a task to its end, from its last checkpoint if there is one; its module then holds the best weights.

    Writes ``<task>.metrics.jsonl`` (one line a step), ``<task>.state.safetensors`` (to resume) and
    ``<task>.best.safetensors`` (highest validation score) into the folder of the run. Whatever a step draws comes
    from the seed and the step's number, so a run that was interrupted has the same losses as one that was not.

    Returns:
        The best validation score.

    Raises:
        CheckpointError: if the folder holds a run with other settings or data, or damaged files.
    """
    fabric = Fabric(accelerator=options.accelerator, devices=1, precision=recipe.precision)
    plain_optimiser = torch.optim.Adam(
        task.module.parameters(),
        lr=task.optimisation.learning_rate,
        betas=(0.9, 0.999),
        weight_decay=task.optimisation.weight_decay,
        amsgrad=True,
    )
    module, optimiser = fabric.setup(task.module, plain_optimiser)
    files = _Files(task, recipe, options.folder)
    step, best = files.resume(plain_optimiser)
    loader = load_batches(task.batches, range(step, task.n_steps), fabric.device, options.workers)
    with _progress_bar(task, options.progress) as bar, files.log(step) as log, _StopRequest() as stop:
        shown = bar.add_task(task.name, total=task.n_steps, completed=step, numbers="")
        saved_at = time.monotonic()
        started, first_step = saved_at, step
        for batch in loader:
            record = _train_step(task, fabric, module, optimiser, batch, step, recipe.seed)
            step += 1
            if step % (task.steps_per_epoch * task.optimisation.validate_every) == 0 or step == task.n_steps:
                record["validation"] = task.validate()
                if record["validation"] > best:
                    best = record["validation"]
                    files.save_best(best, step)
            log.write(json.dumps(record) + "\n")
            speed = (step - first_step) * task.clips_per_step / (time.monotonic() - started)
            bar.update(shown, completed=step, numbers=_shown(record, best, speed))
            due = time.monotonic() - saved_at > options.checkpoint_seconds
            if due or stop.wanted or step == task.n_steps:
                files.save_state(plain_optimiser, step, best)
                saved_at = time.monotonic()
            if stop.wanted and step < task.n_steps:
                raise KeyboardInterrupt(f"stopped after step {step} of {task.n_steps}; run again to go on")
    files.load_best()
    return best


def learning_rate_factor(optimisation: Optimisation, epoch: float) -> float:
    """Share of the initial learning rate at a (fractional) epoch. Paper: Appendix A (``steps``)."""
    if epoch < optimisation.warm_up:
        return (epoch + 1e-3) / optimisation.warm_up
    if optimisation.schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in optimisation.milestones))
    share = (epoch - optimisation.warm_up) / max(optimisation.epochs - optimisation.warm_up, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _train_step(
    task: Task, fabric: Fabric, module: nn.Module, optimiser: Any, batch: Batch, step: int, seed: int
) -> dict[str, Any]:
    torch.manual_seed(seed * 1_000_003 + step)  # dropout of this step, whatever came before
    rate = task.optimisation.learning_rate * learning_rate_factor(task.optimisation, step / task.steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = rate
    module.train()
    loss, numbers = task.loss(module, batch)
    optimiser.zero_grad()
    fabric.backward(loss)
    optimiser.step()
    epoch = step // task.steps_per_epoch
    return {"step": step, "epoch": epoch, "loss": loss.item(), "learning_rate": rate, **numbers}


class _StopRequest:
    """Turns the first interrupt into a wish that is granted after the step at hand, so that no step is half done."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: object) -> None:
        if self.wanted:  # asked twice: at once, and the state of the last checkpoint stands
            raise KeyboardInterrupt
        self.wanted = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Files:
    """The three files of a task in a run's folder."""

    def __init__(self, task: Task, recipe: Recipe, folder: Path) -> None:
        self._task = task
        self._header = {"task": task.name, "recipe": recipe.to_json(), "identity": dict(task.identity)}
        self._state = folder / f"{task.name}.state.safetensors"
        self._best = folder / f"{task.name}.best.safetensors"
        self._log = folder / f"{task.name}.metrics.jsonl"

    def resume(self, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
        """Step and best score of the run so far; 0 and -inf for a new one."""
        if not self._state.exists():
            return 0, -math.inf
        tensors, header = read_tensors(self._state, STATE_KIND)
        for key, value in self._header.items():
            before = json.loads(header[key])
            if key == "recipe":  # of a version that had fewer settings, perhaps
                try:
                    before = json.loads(json.dumps(Recipe.from_json(before).to_json()))
                except RecipeError as error:
                    raise CheckpointError(
                        f"{self._state} was begun with settings that this version does not know ({error}): continue "
                        "with the version that it was begun with, or give another folder"
                    ) from error
            if before != json.loads(json.dumps(value)):
                raise CheckpointError(
                    f"{self._state} belongs to a run with another {key}: continue with the settings and data it was "
                    "started with, or give another folder"
                )
        load_into(self._task.module, _under(tensors, "module."), str(self._state))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        best = json.loads(header["best"])
        return int(json.loads(header["step"])), -math.inf if best is None else float(best)

    def save_state(self, optimiser: torch.optim.Optimizer, step: int, best: float) -> None:
        tensors = {f"module.{k}": v for k, v in self._task.module.state_dict().items()}
        for number, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in values.items()}
        numbers = {"step": step, "best": None if best == -math.inf else best}
        write_tensors(self._state, tensors, STATE_KIND, self._header | numbers)

    def save_best(self, score: float, step: int) -> None:
        write_tensors(
            self._best, self._task.module.state_dict(), STATE_KIND, self._header | {"best": score, "step": step}
        )

    def load_best(self) -> None:
        tensors, _ = read_tensors(self._best, STATE_KIND)
        load_into(self._task.module, tensors, str(self._best))

    def log(self, step: int) -> Any:
        """The log, open for appending, cut back to the lines of the steps that the state holds."""
        kept: Sequence[str] = []
        if self._log.exists():
            lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        with replace_file(self._log) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        return self._log.open("a", encoding="utf-8", buffering=1)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _progress_bar(task: Task, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(compact=True),
        disable=not shown,
    )


def _shown(record: Mapping[str, Any], best: float, clips_per_second: float) -> str:
    parts = [f"loss {record['loss']:.2f}", f"lr {record['learning_rate']:.1e}"]
    if "active" in record:
        parts.append(f"active {record['active']:.0%}")
    parts.append(f"{clips_per_second:.0f} clips/s")
    if best > -math.inf:
        parts.append(f"best {best:.3f}")
    return " ".join(parts)


def fingerprint(tracklets: Sequence[Tracklet]) -> str:
    """Says whether two runs train on the same tracklets: a hash of ids, persons, cameras and frame names."""
    digest = hashlib.sha256()
    for t in tracklets:
        digest.update(repr((t.id, t.person, t.camera, t.names)).encode())
    return digest.hexdigest()[:16]
