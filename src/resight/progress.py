"""Progress of long work and notes to the user, both on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

Progress = Callable[[int, int], None]
"""Called with (units done, units in total)."""

BAR_WIDTH = 30
"""Largest width of the bar itself, in characters."""

SECONDS_BETWEEN_LINES = 60.0
"""Time between two lines where stderr is not a terminal."""

SPEED_SECONDS = 120.0
"""The time left is computed from the speed over this much of the past."""


class ProgressBar:
    """What is done, what is left, and how long that takes.

    Args:
        label: Name of the work, such as ``encoding``.
        unit: What is counted, such as ``tracklets``.
        clock: Returns the time in seconds.
        print_line: Called with a line at the first update and once a minute; None prints no lines.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
        print_line: Callable[[str], None] | None = None,
    ) -> None:
        self.label, self.unit = label, unit
        self.done, self.total, self.details = 0, 0, ""
        self._clock, self._print_line = clock, print_line
        self._begun = clock()
        self._printed: float | None = None
        self._samples: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, total: int, details: str = "") -> None:
        """Set the progress.

        Args:
            done: Units done, including those of an earlier run that this one continues.
            total: Units in total.
            details: Other figures to show, such as the loss.
        """
        self.done, self.total, self.details = done, total, details
        now = self._clock()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - SPEED_SECONDS:
            self._samples.popleft()
        due = self._printed is None or now - self._printed >= SECONDS_BETWEEN_LINES
        if self._print_line is not None and due:
            self._print_line(self.line())
            self._printed = now

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left at the recent speed, in seconds; None while it is unknown."""
        if not self._samples or self._samples[-1][1] <= self._samples[0][1]:
            return None
        (start, before), (end, done) = self._samples[0], self._samples[-1]
        left = (self.total - done) * (end - start) / (done - before)
        return max(left - (self._clock() - end), 0.0)

    @property
    def seconds_passed(self) -> float:
        """Time since the bar was made, in seconds."""
        return self._clock() - self._begun

    def counted(self) -> str:
        """Return the units done and in total, such as ``1,234/12,180 tracklets``."""
        return f"{self.done:,}/{self.total:,} {self.unit}"

    def left(self) -> str:
        """Return the time left, such as ``01:23 left``; empty while it is unknown."""
        left = self.seconds_left
        return "" if left is None else f"{duration(left)} left"

    def line(self) -> str:
        """Return the progress as one line of plain text."""
        return f"{self.label}: {', '.join(part for part in (self.counted(), self.details, self.left()) if part)}"

    def bar(self, width: int) -> Group:
        """Return the progress as a bar that fits a terminal of `width` columns, the details on a second line."""
        if not self.total:
            return Group(Text(self.label))
        ends = self.label, "  ".join(part for part in (self.counted(), self.left()) if part)
        length = min(BAR_WIDTH, width - sum(map(len, ends)) - 4)
        filled = length * min(self.done, self.total) // self.total
        first = Text(f"{ends[0]}  ")
        if length >= 4:
            first.append("━" * filled, "green").append("━" * (length - filled), "bright_black").append("  ")
        first.append(ends[1])
        return Group(first, Text(f"{' ' * len(self.label)}  {self.details}")) if self.details else Group(first)


@contextmanager
def progress_bar(
    label: str, unit: str, shown: bool = True, *, console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ProgressBar]:  # fmt: skip
    """Show progress while the block runs: a bar on a terminal, else a line at the start, each minute, and at the end.

    Args:
        label: Name of the work, such as ``encoding``.
        unit: What is counted, such as ``tracklets``.
        shown: False shows nothing.
        console: Where to print; stderr by default.
        clock: Time in seconds.

    Yields:
        The function to call with (units done, units in total).
    """
    console = console or Console(stderr=True)
    if not shown:
        yield ProgressBar(label, unit, clock)
    elif console.is_interactive:
        bar = ProgressBar(label, unit, clock)
        live = Live(
            console=console, transient=True, redirect_stdout=sys.stdout.isatty(),
            get_renderable=lambda: bar.bar(console.width),
        )  # fmt: skip
        with live:
            yield bar
    else:
        yield from _with_lines(label, unit, console, clock)


def note(text: str) -> None:
    """Print a note to the user on stderr."""
    print(f"note: {text}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return a duration as text.

    >>> duration(83), duration(3600 + 123), duration(90_000)
    ('01:23', '1:02:03', '1d 01:00:00')
    """
    whole = round(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days}d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _with_lines(label: str, unit: str, console: Console, clock: Callable[[], float]) -> Iterator[ProgressBar]:
    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False, highlight=False)

    bar = ProgressBar(label, unit, clock, print_line)
    try:
        yield bar
    except BaseException:
        if bar.total:
            print_line(f"{label}: stopped at {bar.counted()} after {duration(bar.seconds_passed)}")
        raise
    if bar.total:
        print_line(f"{label}: {bar.counted()} in {duration(bar.seconds_passed)}")
