"""The processes of one training run, on one machine or several, and what they exchange.

All processes call the same methods in the same order. Gradients are averaged over the processes in the end (as
DistributedDataParallel does), so whatever a process contributes to is multiplied by their number here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from resight.errors import ResightError, TrainingError

T = TypeVar("T")

WAIT = timedelta(hours=6)
"""How long processes wait for one that works alone, such as the one that scores the validation persons. A process that
ends is noticed at once, because its connections are closed."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.
        local_rank: Number of this process on its machine.
        local_count: Number of processes on this machine.
        control: Group for messages between processors; None for a single process.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    control: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """Return the part of `total` items that belongs to this process: nearly equal, consecutive parts."""
        return self._share_of(self.rank, total)

    def gather(self, own: Tensor, total: int) -> Tensor:
        """Return the rows of all processes; gradients flow into the rows of this process.

        A loss that every process computes from the gathered rows thus has the gradient of one process.

        Args:
            own: (n, ...), the rows of `share(total)`.
            total: Rows of all processes.

        Returns:
            (total, ...).
        """
        if self.count == 1:
            return own
        gathered: Tensor = _Gathered.apply(own, total, self)  # type: ignore[no-untyped-call]
        return gathered

    def total(self, own: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, without gradients. The argument is overwritten."""
        if self.count > 1:
            with peers_watched():
                dist.all_reduce(own)
        return own

    def stacked(self, own: Tensor) -> Tensor:
        """Return a tensor of every process, (count, ...), without gradients."""
        parts = [torch.empty_like(own) for _ in range(self.count)]
        with peers_watched():
            dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process."""
        if self.count == 1:
            return flag
        number = torch.tensor(int(flag))
        with peers_watched():
            dist.all_reduce(number, dist.ReduceOp.MAX, group=self.control)
        return bool(number)

    def values(self, own: T) -> list[T]:
        """Return a picklable value of every process, in the order of their ranks."""
        if self.count == 1:
            return [own]
        values: list[Any] = [None] * self.count
        with peers_watched():
            dist.all_gather_object(values, own, group=self.control)
        return values

    def from_first(self, function: Callable[[], T]) -> T:
        """Return the result of a function that only the first process calls.

        Raises:
            ResightError: What the function raised, in every process.
        """
        if self.count == 1:
            return function()
        message: list[Any] = [None, None]
        if self.is_first:
            try:
                message[0] = function()
            except ResightError as error:
                message[1] = error
        with peers_watched():
            dist.broadcast_object_list(message, src=0, group=self.control)
        if message[1] is not None:
            raise message[1]
        result: T = message[0]
        return result

    def wait(self) -> None:
        """Return when every process has called this."""
        self.any(False)

    def _share_of(self, rank: int, total: int) -> slice:
        return slice(total * rank // self.count, total * (rank + 1) // self.count)


ONE_PROCESS = Processes()
"""A run in this process alone."""


def are_announced() -> bool:
    """Return whether this process was started as one of several, by torchrun or by `resight.training.launch`."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"))


def is_first_process() -> bool:
    """Return whether this process should print results: it is alone or the first of several."""
    return not are_announced() or os.environ["RANK"] == "0"


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Connect this process with the others that the environment announces, and disconnect in the end.

    Args:
        device: ``cpu`` or ``cuda``, the kind of device that all processes use; a GPU is that of the local rank.

    Raises:
        TrainingError: If the other processes cannot be reached.
    """
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ["LOCAL_RANK"])
    local_count = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if device == "cuda":
        torch.cuda.set_device(local_rank)
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=WAIT)
        control = dist.new_group(backend="gloo", timeout=WAIT)
    except RuntimeError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"process {rank} of {count} cannot reach the others through {address}: {_first_line(error)}; start all "
            "processes of the run, with the same address"
        ) from error
    try:
        yield Processes(rank, count, local_rank, local_count, control)
    finally:
        dist.destroy_process_group()


@contextmanager
def peers_watched() -> Iterator[None]:
    """Turn the error of an exchange with a process that has ended into a `TrainingError`.

    Raises:
        TrainingError: If another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_peer(error):
            raise
        raise TrainingError(
            "another process of this training run has ended, so this one stops, too; the message of that process says "
            "why. The same command continues from the last checkpoint, with any number of processes"
        ) from error


def _is_lost_peer(error: RuntimeError) -> bool:
    text = str(error).lower()
    lost = ("closed by peer", "reset by peer", "broken pipe", "timed out", "socket", "remote process exited")
    return isinstance(error, dist.DistError) or ("gloo" in text and any(reason in text for reason in lost))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, processes: Processes) -> Tensor:
        ctx.share, ctx.count = processes.share(total), processes.count
        shares = [processes._share_of(rank, total) for rank in range(processes.count)]
        sizes = [share.stop - share.start for share in shares]
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        return torch.cat([part[:size] for part, size in zip(processes.stacked(padded), sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.share] * ctx.count, None, None
