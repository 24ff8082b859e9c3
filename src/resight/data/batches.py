"""Make P × K batches for the triplet loss, and load batches of any kind with worker processes.

A batch depends only on the seed and the step, so that a training run can be resumed at any step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from resight.data.clips import sample_clips
from resight.data.damage import CORRUPTED, ClipDamage, Donors, choose_damage
from resight.data.frames import load_augmented
from resight.data.transforms import draw_augmentations
from resight.errors import DatasetError, ResightError
from resight.processes import ONE_PROCESS, Processes
from resight.recipe import ClipSpec, Optimisation, Stage1
from resight.tracklet import Tracklet, by_person
from resight.words import counted

Batch = TypeVar("Batch", Tensor, tuple[Tensor, Tensor])


class BatchPlan:
    """The tracklets in the batch of each step. Paper: Sec. 3.2.

    An epoch draws each person once, in a new order, P persons per batch. Persons with successive numbers stay together
    if `Optimisation.together` is above 1. Persons that do not fill a batch are skipped in that epoch. K tracklets of
    each person are drawn, without repetition if the person has at least K.

    Args:
        tracklets: T training tracklets.
        optimisation: P, K, the number of epochs, and how many successive persons stay together.
        seed: Seed of all draws.

    Attributes:
        targets: (T,) int64, class of each tracklet's person, 0 … C-1; -1 for junk and distractors.
        n_persons: C, the number of persons.
        steps_per_epoch: Number of full batches in an epoch.

    Raises:
        DatasetError: If there are fewer than P persons.
    """

    def __init__(self, tracklets: Sequence[Tracklet], optimisation: Optimisation, seed: int) -> None:
        index = {t.id: i for i, t in enumerate(tracklets)}
        self._groups = [[index[t.id] for t in group] for group in by_person(tracklets).values()]
        self._optimisation = optimisation
        self._seed = seed
        self.n_persons = len(self._groups)
        self.targets = np.full(len(tracklets), -1, np.int64)
        for target, group in enumerate(self._groups):
            self.targets[group] = target
        self.steps_per_epoch = self.n_persons // optimisation.persons
        if self.steps_per_epoch == 0:
            raise DatasetError(
                f"found {counted(self.n_persons, 'persons')} to train on, but a batch needs "
                f"P = {optimisation.persons}: use more data or reduce optimisation.persons"
            )

    @property
    def n_steps(self) -> int:
        """Number of steps in the training run."""
        return self.steps_per_epoch * self._optimisation.epochs

    def batch(self, step: int) -> list[int]:
        """Return the indices of the P·K tracklets of a step, grouped by person."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        order = self._order(np.random.default_rng([self._seed, 1, epoch]))
        size = self._optimisation.persons
        rng = self.rng(step)
        drawn: list[int] = []
        for person in order[step_of_epoch * size : (step_of_epoch + 1) * size]:
            group = self._groups[person]
            wanted = self._optimisation.tracklets
            rounds = -(-wanted // len(group))
            shuffled = np.concatenate([rng.permutation(group) for _ in range(rounds)])
            drawn.extend(shuffled[:wanted].tolist())
        return drawn

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return all persons once: runs of successive persons, in random order and with a random offset."""
        size = self._optimisation.together
        runs = rng.permutation(-(-self.n_persons // size))
        order = (runs[:, None] * size + np.arange(size)).ravel()
        return (order[order < self.n_persons] + int(rng.integers(size))) % self.n_persons

    def rng(self, step: int, purpose: int = 0) -> np.random.Generator:
        """Return the random generator of a step. Different purposes give independent numbers."""
        return np.random.default_rng([self._seed, 2, step, purpose])


class ClipBatches(Dataset[tuple[Tensor, Tensor]]):
    """Batches by step: augmented clips (P·K, M, L, H, W, 3) uint8 and the classes of their persons (P·K,) int64.

    Of several processes, each gets the clips of its share of the batch, (B, M, L, H, W, 3), and the classes of all. All
    of them draw the same random numbers, so that the clips do not depend on the number of processes.

    Args:
        tracklets: Training tracklets.
        plan: The tracklets of each step.
        spec: Number, length and size of clips.
        augmentation: Ranges of the random changes.
        max_corrupted: Maximum number of damaged clips per tracklet.
        damages: Kinds of damage to draw from.
        processes: The processes that share a batch.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        plan: BatchPlan,
        spec: ClipSpec,
        augmentation: Stage1,
        max_corrupted: int = 0,
        damages: Sequence[str] = (CORRUPTED,),
        processes: Processes = ONE_PROCESS,
    ) -> None:
        self._tracklets = tracklets
        self._plan = plan
        self._spec = spec
        self._augmentation = augmentation
        self._max_corrupted = max_corrupted
        self._damages = damages
        self._donors = Donors(tracklets)
        self._processes = replace(processes, control=None)  # a connection cannot be passed to worker processes

    def __len__(self) -> int:
        return self._plan.n_steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        chosen = self._plan.batch(step)
        rng = self._plan.rng(step, purpose=1)
        ids = [self._tracklets[i].id for i in chosen]
        seed = int(rng.integers(2**31))
        kinds = choose_damage(ids, self._spec.count, self._max_corrupted, self._damages, seed)
        spec = self._spec
        # One array is filled in place. Stacking clips would copy every pixel again.
        own = range(len(chosen))[self._processes.share(len(chosen))]
        clips = np.empty((len(own), spec.count, spec.length, spec.height, spec.width, 3), np.uint8)
        for place, i in enumerate(chosen):
            numbers = sample_clips(len(self._tracklets[i]), spec, rng)
            drawn = draw_augmentations(self._augmentation, rng, len(numbers))
            if place in own:
                damage, out = ClipDamage(kinds[place], seed, self._donors), clips[place - own.start]
                load_augmented(self._tracklets[i], numbers, spec, self._augmentation, drawn, damage, out=out)
        return torch.from_numpy(clips), torch.from_numpy(self._plan.targets[chosen])


def load_batches(
    batches: Dataset[Batch], order: Sequence[int], device: torch.device, workers: int = 0
) -> Iterator[Batch]:
    """Yield batches on a device, in order, decoded in advance by worker processes.

    The number of workers does not change the batches. A worker decodes with one thread and returns batches in shared
    memory. For a GPU, this memory is pinned, and the next batch is copied while the current one is used. Workers end
    with the iterator, even if it is not exhausted, and shortly after this process if it is killed. They ignore Ctrl-C,
    so that a training loop can finish its step.

    Args:
        batches: Item i is one batch: one or two tensors.
        order: Items to yield.
        device: Device of the batches.
        workers: Number of worker processes; 0 decodes in this process.

    Raises:
        ResightError: What an item raised, also in a worker.
    """
    loader: DataLoader[Batch | _Failure] = DataLoader(
        _Guarded(batches),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts,
        pin_memory=device.type == "cuda",
    )
    with _interrupts_held():
        iterator = iter(loader)  # starts the workers
    loaded = _raised(iterator)
    yield from loaded if device.type == "cpu" else copy_ahead(loaded, device)


def copy_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on a device. The copy of the next batch starts before the current one is yielded."""
    current: Batch | None = None
    for batch in batches:
        copied: Batch = (
            batch.to(device, non_blocking=True)
            if isinstance(batch, Tensor)
            else (batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True))
        )
        if current is not None:
            yield current
        current = copied
    if current is not None:
        yield current


@dataclass(frozen=True)
class _Failure:
    """An item that could not be made. A worker returns it, because torch adds a traceback to what a worker raises."""

    error: ResightError


class _Guarded(Dataset[Any]):
    """Items of another data set; one that raises a `ResightError` is a `_Failure`."""

    def __init__(self, batches: Dataset[Any]) -> None:
        self._batches = batches

    def __getitem__(self, index: int) -> Any:
        """Return the item, or why it could not be made."""
        try:
            return self._batches[index]
        except ResightError as error:
            return _Failure(error)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back, so that a worker that is just being started does not end because of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raised(batches: Iterable[Batch | _Failure]) -> Iterator[Batch]:
    """Yield batches, and raise the error of the first failure."""
    for batch in batches:
        if isinstance(batch, _Failure):
            raise batch.error
        yield batch


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
