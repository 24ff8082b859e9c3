from __future__ import annotations

import io

import pytest
from rich.console import Console

from resight.progress import ProgressBar, duration, note, progress_bar


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def drawn(bar: ProgressBar, width: int = 80) -> list[str]:
    """Return the lines of a bar on a terminal of that width, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(bar.bar(width))
    return capture.get().splitlines()


def test_a_bar_with_large_numbers_fits_80_columns() -> None:
    clock = Clock()
    bar = ProgressBar("encoding", "tracklets", clock)
    bar(0, 1_012_180)
    clock.time += 100
    bar(1_234, 1_012_180)
    (line,) = drawn(bar)
    assert line.startswith("encoding  ━") and line.endswith("━  1,234/1,012,180 tracklets  22:45:24 left")
    assert len(line) <= 80


def test_a_training_bar_shows_all_its_figures_at_80_columns() -> None:
    clock = Clock()
    bar = ProgressBar("stage1", "steps", clock)
    details = "loss 123.4, validation mAP 83.1 (best 84.0), 12,345 clips/s"
    bar(12_000, 284_000, details)
    clock.time += 60
    bar(12_345, 284_000, details)
    first, second = drawn(bar)
    assert first.startswith("stage1  ━") and first.endswith("━  12,345/284,000 steps  13:07:24 left")
    assert second.strip() == details
    assert len(first) <= 80 and len(second) <= 80


def test_a_narrow_terminal_gets_a_shorter_bar_or_none() -> None:
    bar = ProgressBar("encoding", "tracklets")
    bar(5, 10)
    assert drawn(bar, 80) == ["encoding  " + "━" * 30 + "  5/10 tracklets"]
    assert drawn(bar, 30) == ["encoding  ━━━━  5/10 tracklets"]
    assert drawn(bar, 27) == ["encoding  5/10 tracklets"]


def test_the_filled_part_is_the_share_that_is_done() -> None:
    bar = ProgressBar("encoding", "tracklets")
    assert bar.bar(80).renderables[0].plain == "encoding"  # type: ignore[union-attr]
    for done, filled in ((0, 0), (5, 15), (10, 30), (12, 30)):
        bar(done, 10)
        text = bar.bar(80).renderables[0]
        assert sum(span.end - span.start for span in text.spans if span.style == "green") == filled  # type: ignore[union-attr]


def test_the_time_left_follows_the_recent_speed() -> None:
    clock = Clock()
    bar = ProgressBar("x", "y", clock)
    assert bar.seconds_left is None
    bar(500, 1000)  # done by an earlier run, which says nothing about the speed
    assert bar.seconds_left is None
    for _ in range(100):
        clock.time += 10
        bar(bar.done + 1, 1000)
    assert bar.seconds_left == pytest.approx(4000)
    clock.time += 5
    assert bar.seconds_left == pytest.approx(3995)
    for _ in range(50):
        clock.time += 5
        bar(bar.done + 1, 1000)
    assert bar.seconds_left == pytest.approx(350 * 5)


def test_without_a_terminal_lines_are_printed_at_start_every_minute_and_at_the_end() -> None:
    clock, output = Clock(), io.StringIO()
    console = Console(file=output, width=20, force_terminal=False)
    with progress_bar("encoding", "tracklets", console=console, clock=clock) as progress:
        for done in range(1, 1201):
            clock.time += 0.125
            progress(done, 1200, "loss 1.2")
    assert output.getvalue().splitlines() == [
        "encoding: 1/1,200 tracklets, loss 1.2",
        "encoding: 481/1,200 tracklets, loss 1.2, 01:30 left",
        "encoding: 961/1,200 tracklets, loss 1.2, 00:30 left",
        "encoding: 1,200/1,200 tracklets in 02:30",
    ]


def test_the_last_line_of_failed_work_shows_how_far_it_got() -> None:
    clock, output = Clock(), io.StringIO()
    console = Console(file=output, force_terminal=False)
    with pytest.raises(KeyboardInterrupt), progress_bar("x", "frames", console=console, clock=clock) as progress:
        progress(3, 10)
        clock.time += 61
        raise KeyboardInterrupt
    assert output.getvalue().splitlines() == ["x: 3/10 frames", "x: stopped at 3/10 frames after 01:01"]


def test_nothing_is_printed_if_nothing_was_done_or_nothing_is_to_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("x", "frames"):
        pass
    with progress_bar("x", "frames", False) as progress:
        progress(1, 2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_gets_a_bar_that_is_removed_at_the_end() -> None:
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, force_interactive=True)
    with progress_bar("encoding", "tracklets", console=console) as progress:
        progress(1_234, 12_180)
    shown = output.getvalue()
    assert "1,234/12,180 tracklets" in shown and "…" not in shown
    assert shown.rstrip().endswith("\x1b[2K")


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("the cache is not writable")
    captured = capsys.readouterr()
    assert captured.err == "note: the cache is not writable\n" and captured.out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (83, "01:23"), (3599.7, "1:00:00"), (3723, "1:02:03"), (90_061, "1d 01:01:01")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
