"""Commands that make data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from resight.cli.app import ALL_CORES, WORKERS, Json, app, say
from resight.progress import progress_bar


@app.command
def synth(
    out: Path, *, scale: Literal["tiny", "demo", "bench"] = "demo", seed: int = 0, device: str = "cpu",
    workers: Annotated[int, ALL_CORES] = WORKERS,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Render people that never lived as video tracklets, in the official MARS layout.

    Args:
        out: Folder to make; it must not exist, or be empty.
        scale: tiny takes seconds, demo under two minutes, bench is for real trainings.
        seed: Another seed, another world; the same seed, the same world.
        device: Where to render: cpu or cuda.
        workers: Processes that render.
    """
    from resight.synthetic.world import SCALES, make_world

    with progress_bar("rendering", "frames", not as_json) as progress:
        report = make_world(out, SCALES[scale], seed, device=device, workers=workers, progress=progress)
    numbers = {
        "out": str(report.out), "persons": report.persons, "tracklets": report.tracklets, "frames": report.frames,
        "seconds": round(report.seconds, 1), "frames_per_second": round(report.frames_per_second),
    }  # fmt: skip
    text = (
        f"{report.persons} persons, {report.tracklets} tracklets, {report.frames} frames in {report.seconds:.0f} s "
        f"({report.frames_per_second:.0f} frames/s)\nwrote {report.out}: use it as mars:{report.out}"
    )
    say(numbers, text, as_json)
