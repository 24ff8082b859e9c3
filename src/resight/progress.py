"""A progress bar for work that is counted, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

Progress = Callable[[int, int], None]
"""Called with (done, all)."""


@contextmanager
def progress_bar(words: str, unit: str, shown: bool = True) -> Iterator[Progress]:
    """A bar for as long as the block runs; yields the function that moves it."""
    columns = TextColumn(words), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
