"""The files of a training run: its state, to resume from, its best weights, and its log."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, nn

from resight.checkpoints import load_into
from resight.errors import CheckpointError, RecipeError
from resight.outputs import replace_file
from resight.recipe import Recipe
from resight.tensor_files import read_tensors, write_tensors

STATE_KIND = "resight training state"

_CHECKED = {"task": "name", "recipe": "recipe", "identity": "data or initial weights"}
"""What must be the same to resume a run: key in the header of the state file, and its name in messages."""


@dataclass(frozen=True)
class RunState:
    """A copy of the state of a run after some steps.

    Attributes:
        step: Number of steps done.
        best: Best validation score so far, -inf if there is none.
        tensors: Tensors of module and optimiser, on the CPU.
    """

    step: int
    best: float
    tensors: Mapping[str, Tensor]

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite."""
        return all(bool(tensor.isfinite().all()) for tensor in self.tensors.values() if tensor.is_floating_point())


class RunFiles:
    """The three files that a task writes into the folder of a run.

    Args:
        name: Name of the task, the prefix of its files.
        module: What is trained.
        recipe: Settings of the run.
        identity: What else must be the same for the run to be resumed.
        folder: Folder of the run.
    """

    def __init__(self, name: str, module: nn.Module, recipe: Recipe, identity: Mapping[str, Any], folder: Path) -> None:
        self._module = module
        self._header = {"task": name, "recipe": recipe.to_json(), "identity": dict(identity)}
        self._state = folder / f"{name}.state.safetensors"
        self._best = folder / f"{name}.best.safetensors"
        self._log = folder / f"{name}.metrics.jsonl"

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must be the same for the run to be resumed, as plain values."""
        return self._header

    def resume(self, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
        """Load the last state into module and optimiser, if there is one.

        Returns:
            Number of steps done and best validation score: 0 and -inf for a new run.

        Raises:
            CheckpointError: If the state is damaged, or of a run with another recipe or other data.
        """
        if not self._state.exists():
            return 0, -math.inf
        tensors, header = read_tensors(self._state, STATE_KIND)
        self._check(header)
        load_into(self._module, _with_prefix(tensors, "module."), str(self._state))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _with_prefix(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        best = json.loads(header["best"])
        return int(json.loads(header["step"])), -math.inf if best is None else float(best)

    def copy_state(self, optimiser: torch.optim.Optimizer, step: int, best: float) -> RunState:
        """Return a copy of the state after `step` steps."""
        tensors = {f"module.{k}": v for k, v in self._module.state_dict().items()}
        for number, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{k}": v for k, v in values.items()}
        return RunState(step, best, {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()})

    def write_state(self, state: RunState) -> None:
        """Write a state, from which a run is resumed."""
        progress = {"step": state.step, "best": None if state.best == -math.inf else state.best}
        write_tensors(self._state, dict(state.tensors), STATE_KIND, self._header | progress)

    def save_best(self, score: float, step: int) -> None:
        """Write the weights of the module as the best so far."""
        write_tensors(self._best, self._module.state_dict(), STATE_KIND, self._header | {"best": score, "step": step})

    def load_best(self) -> None:
        """Load the best weights into the module."""
        tensors, _ = read_tensors(self._best, STATE_KIND)
        load_into(self._module, tensors, str(self._best))

    def open_log(self, step: int) -> TextIO:
        """Open the log to append to, after removing the lines of steps that the state does not include."""
        kept: Sequence[str] = []
        if self._log.exists():
            lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        with replace_file(self._log) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        return self._log.open("a", encoding="utf-8", buffering=1)

    def _check(self, header: Mapping[str, str]) -> None:
        """Raise a `CheckpointError` if the header of a state is not that of this run."""
        for key, value in self._header.items():
            before = json.loads(header[key])
            if key == "recipe":  # written by an earlier version, it may lack settings that exist now
                try:
                    before = json.loads(json.dumps(Recipe.from_json(before).to_json()))
                except RecipeError as error:
                    raise CheckpointError(
                        f"{self._state} was written with settings that this version does not know ({error}): continue "
                        "with the version that started the run, or use another folder"
                    ) from error
            if before != json.loads(json.dumps(value)):
                raise CheckpointError(
                    f"{self._state} belongs to a training run with a different {_CHECKED[key]}: use the recipe and "
                    "data that the run was started with, or another folder"
                )


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def open_run_folder(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Make the folder of a run, or keep that of an interrupted run with the same arguments.

    Args:
        folder: The folder. One with other arguments is deleted first.
        arguments: Everything that decides the result of the run, as JSON values.
    """
    stamp = folder / "arguments.json"
    text = json.dumps(arguments, indent=1)
    if folder.exists() and not (stamp.is_file() and stamp.read_text(encoding="utf-8") == text):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(text, encoding="utf-8")
