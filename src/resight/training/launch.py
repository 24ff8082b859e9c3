"""Start the processes of a training run on this machine, and stop all of them if one ends."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from resight.errors import RecipeError, ResightError, TrainingError

_GRACE = 15.0
"""Seconds that processes have to end by themselves after one of them has ended."""

Say = Callable[[str], None]


def split_devices(devices: str) -> tuple[int, str]:
    """Return number and kind of devices: ``4xcuda`` gives 4 and ``cuda``, and any other text 1 and itself.

    Raises:
        RecipeError: If the number is 0, or a single GPU is named together with a number of them.
    """
    form = re.fullmatch(r"(\d+)x(.*)", str(devices).strip().lower())
    if form is None:
        return 1, devices
    count, kind = int(form[1]), form[2]
    if count < 1 or kind not in ("cpu", "cuda", "gpu", "auto"):
        raise RecipeError(f"device is {devices!r}, expected a form such as 4xcuda or 2xcpu, with at least one process")
    return count, kind


def run_in_processes(function: Callable[..., Any], arguments: Mapping[str, Any], count: int, say: Say | None) -> None:
    """Call a function in several new processes, which find each other through their environment.

    Args:
        function: A function of a module. It is called with `arguments`, and with `say` in the first process.
        arguments: Arguments by name; they must be picklable.
        count: Number of processes.
        say: Called with each text that the function says in the first process; None: the function gets None.

    Raises:
        ResightError: What the function raised.
        TrainingError: If a process ended without an error of its own. The others are stopped.
        KeyboardInterrupt: If the processes were told to stop, and did.
    """
    context = multiprocessing.get_context("spawn")
    port, processes, ends = _free_port(), [], []
    for rank in range(count):
        end, other = context.Pipe(duplex=False)
        process = context.Process(
            target=_member, args=(other, function, dict(arguments), rank, count, port, say is not None and rank == 0)
        )
        process.start()
        other.close()
        processes.append(process)
        ends.append(end)
    with _Relayed(processes):
        outcomes = _outcomes(processes, ends, say)
    raise_first(outcomes, [process.exitcode for process in processes])


def raise_first(outcomes: list[BaseException | None], exit_codes: list[int | None]) -> None:
    """Raise the error that explains why processes ended; return if all of them succeeded.

    Args:
        outcomes: The error that each process reported, or None.
        exit_codes: Their exit codes.
    """
    killed = [rank for rank, code in enumerate(exit_codes) if code and outcomes[rank] is None]
    reported = [error for error in outcomes if error is not None]
    # A process whose peer has ended reports that; the peer's own error says more.
    reported.sort(key=lambda error: "another process of this training run" in str(error))
    if reported and not (killed and "another process of this training run" in str(reported[0])):
        raise reported[0]
    if killed:
        code = exit_codes[killed[0]]
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        raise TrainingError(
            f"process {killed[0]} of {len(exit_codes)} {how} (a machine without free memory kills processes), so the "
            "run was stopped. The same command continues from the last checkpoint, with any number of processes"
        )


def _outcomes(processes: list[SpawnProcess], ends: list[Connection], say: Say | None) -> list[BaseException | None]:
    """Wait until all processes have ended; after a failure, the others get some seconds before they are stopped."""
    outcomes: list[BaseException | None] = [None] * len(processes)
    open_ends = dict(zip(ends, range(len(ends)), strict=True))
    failed = False
    while open_ends:
        ready = wait(list(open_ends), timeout=_GRACE if failed else None)
        if not ready:
            for process in processes:
                process.kill()
        for end in ready:
            assert isinstance(end, Connection)
            rank = open_ends[end]
            try:
                message = end.recv()
            except EOFError:
                del open_ends[end]
                processes[rank].join()
                failed = failed or processes[rank].exitcode != 0
                continue
            if isinstance(message, BaseException):
                outcomes[rank], failed = message, True
            elif say is not None:
                say(message)
    return outcomes


def _member(
    end: Connection, function: Callable[..., Any], arguments: dict[str, Any], rank: int, count: int, port: int,
    speaks: bool,
) -> None:  # fmt: skip
    """Run the function as one of the processes; send what it says or raises."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    try:
        function(**arguments, say=end.send if speaks else None)
    except (ResightError, KeyboardInterrupt) as error:
        end.send(error)
        raise SystemExit(1) from None


class _Relayed:
    """While this process waits for others, a signal to stop is passed on to them instead of ending this process."""

    def __init__(self, processes: list[SpawnProcess]) -> None:
        self._processes = processes
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> None:
        with suppress(ValueError):  # not in the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._relay)

    def _relay(self, number: int, frame: object) -> None:
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
