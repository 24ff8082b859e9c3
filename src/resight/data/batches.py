"""P x K batches for the triplet loss, each a pure function of the seed and the step, so that a run can be resumed.

`load_batches` is how these, and any other batches, reach a loop: decoded ahead by other processes, on its device.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from resight.data.clips import sample_clips
from resight.data.damage import CORRUPTED, ClipDamage, Donors, choose_damage
from resight.data.frames import load_augmented
from resight.errors import DatasetError
from resight.recipe import ClipSpec, Optimisation, Stage1
from resight.tracklet import Tracklet, by_person

Batch = TypeVar("Batch", Tensor, tuple[Tensor, Tensor])


class BatchPlan:
    """Which tracklets make up the batch of each step. Paper: Sec. 3.2.

    An epoch draws each person once, in a new order, P at a time, neighbours together if a recipe says so; persons left
    over when no full batch remains are not drawn in that epoch. K tracklets of each person are drawn without repeats
    where the person has K.

    Attributes:
        targets: (T,) number of each tracklet's person among the training persons, 0 … C-1; -1 where it has none.
        n_persons: C.
        steps_per_epoch: full batches of an epoch.
    """

    def __init__(self, tracklets: Sequence[Tracklet], optimisation: Optimisation, seed: int) -> None:
        """Raises DatasetError if there are fewer than P persons."""
        position = {t.id: i for i, t in enumerate(tracklets)}
        self._groups = [[position[t.id] for t in own] for own in by_person(tracklets).values()]
        self._optimisation = optimisation
        self._seed = seed
        self.n_persons = len(self._groups)
        self.targets = np.full(len(tracklets), -1, np.int64)
        for target, group in enumerate(self._groups):
            self.targets[group] = target
        self.steps_per_epoch = self.n_persons // optimisation.persons
        if self.steps_per_epoch == 0:
            raise DatasetError(
                f"{self.n_persons} persons to train on, but a batch needs P = {optimisation.persons}: "
                "use more data or lower optimisation.persons"
            )

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self._optimisation.epochs

    def batch(self, step: int) -> list[int]:
        """Positions of the P·K tracklets of a step, person by person."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._order(np.random.default_rng([self._seed, 1, epoch]))
        size = self._optimisation.persons
        rng = self.rng(step)
        drawn: list[int] = []
        for person in order[place * size : (place + 1) * size]:
            group = self._groups[person]
            wanted = self._optimisation.tracklets
            rounds = -(-wanted // len(group))
            shuffled = np.concatenate([rng.permutation(group) for _ in range(rounds)])
            drawn.extend(shuffled[:wanted].tolist())
        return drawn

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """All persons once: runs of those who follow each other, which begin elsewhere each time, in any order."""
        size = self._optimisation.together
        runs = rng.permutation(-(-self.n_persons // size))
        order = (runs[:, None] * size + np.arange(size)).ravel()
        return (order[order < self.n_persons] + int(rng.integers(size))) % self.n_persons

    def rng(self, step: int, purpose: int = 0) -> np.random.Generator:
        """Random numbers of a step; another purpose, other numbers."""
        return np.random.default_rng([self._seed, 2, step, purpose])


class ClipBatches(Dataset[tuple[Tensor, Tensor]]):
    """Item `step`: augmented clips (P·K, M, L, H, W, 3) uint8 and the persons' numbers (P·K,) int64."""

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        plan: BatchPlan,
        spec: ClipSpec,
        augmentation: Stage1,
        max_corrupted: int = 0,
        damages: Sequence[str] = (CORRUPTED,),
    ) -> None:
        self._tracklets = tracklets
        self._plan = plan
        self._spec = spec
        self._augmentation = augmentation
        self._max_corrupted = max_corrupted
        self._damages = damages
        self._donors = Donors(tracklets)

    def __len__(self) -> int:
        return self._plan.n_steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        chosen = self._plan.batch(step)
        rng = self._plan.rng(step, purpose=1)
        ids = [self._tracklets[i].id for i in chosen]
        seed = int(rng.integers(2**31))
        kinds = choose_damage(ids, self._spec.count, self._max_corrupted, self._damages, seed)
        spec = self._spec
        # one block, filled in place: stacking would copy every pixel once more
        clips = np.empty((len(chosen), spec.count, spec.length, spec.height, spec.width, 3), np.uint8)
        for i, own, out in zip(chosen, kinds, clips, strict=True):
            damage = ClipDamage(own, seed, self._donors)
            numbers = sample_clips(len(self._tracklets[i]), spec, rng)
            load_augmented(self._tracklets[i], numbers, spec, self._augmentation, rng, damage, out=out)
        return torch.from_numpy(clips), torch.from_numpy(self._plan.targets[chosen])


def load_batches(
    batches: Dataset[Batch], order: Sequence[int], device: torch.device, workers: int = 0
) -> Iterator[Batch]:
    """Batches on the device, in order, decoded ahead by other processes; their number changes nothing else.

    A process decodes with one thread and hands bytes over in shared memory. For a GPU they are pinned, and the copy of
    the next batch is under way while the one at hand is used. Processes end with the iterator, also when it is left
    early, and soon after this process if it is killed; they ignore Ctrl-C, so that a loop can finish its step.

    Args:
        batches: item i is one batch, a tensor or two.
        order: the items wanted.
        device: where they are wanted.
        workers: processes that decode; 0 decodes in this one, between two batches.
    """
    loader: DataLoader[Batch] = DataLoader(
        batches,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts,
        pin_memory=device.type == "cuda",
    )
    yield from loader if device.type == "cpu" else copy_ahead(loader, device)


def copy_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; the copy of the next one is begun before the one at hand is given out."""
    ready: Batch | None = None
    for batch in batches:
        under_way: Batch = (
            batch.to(device, non_blocking=True)
            if isinstance(batch, Tensor)
            else (batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True))
        )
        if ready is not None:
            yield ready
        ready = under_way
    if ready is not None:
        yield ready


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
