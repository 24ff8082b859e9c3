"""The commands that create data sets: synth, splits, pack, ingest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from resight.cli.app import ALL_CORES, WORKERS, Json, app, print_result
from resight.outputs import check_output_folder
from resight.progress import progress_bar

RARE = Parameter(show=False)
"""Options that docs/ingest.md lists, but the help does not, so that it stays short."""


@app.command
def synth(
    out: Path, *, seed: int = 0,
    scale: Literal["tiny", "small", "demo", "bench", "open-small", "open", "campus"] = "demo",
    layout: str = "mars", device: str = "cpu", workers: Annotated[int, ALL_CORES] = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Render video tracklets of synthetic people, in the layout of MARS or of another data set.

    Args:
        out: Folder to create, or an empty folder.
        scale: tiny takes seconds, small half a minute, demo two minutes; bench is for benchmarks; open-small and open
            are the training data of the models of the same name; campus is a validation set for open.
        seed: Seed of the world. The same seed gives the same world.
        layout: Kind of data set to write, such as prid2011 or folder.
        device: Where to render: cpu or cuda.
        workers: Processes that render.
    """
    from resight.compute import Compute
    from resight.synthetic.layouts import make_layout, reader_of
    from resight.synthetic.world import SCALES

    where = Compute.resolve(device).device
    check_output_folder(out, keep=False)
    with progress_bar("rendering", "frames", not as_json) as progress:
        report = make_layout(out, layout, SCALES[scale], seed, device=where, workers=workers, progress=progress)
    name = f"{reader_of(layout)}:{report.out}"
    numbers = {
        "dataset": name, "out": str(report.out), "persons": report.persons, "tracklets": report.tracklets,
        "frames": report.frames, "seconds": round(report.seconds, 1),
        "frames_per_second": round(report.frames_per_second),
    }  # fmt: skip
    text = (
        f"{report.persons} persons, {report.tracklets} tracklets, {report.frames} frames in {report.seconds:.0f} s "
        f"({report.frames_per_second:.0f} frames/s)\nwrote {report.out}: use it as {name}"
    )
    print_result(numbers, text, as_json)


@app.command
def splits(
    dataset: str, *, number: int = 10, test_share: float = 0.5, queries: str = "one-per-camera", min_frames: int = 1,
    seed: int = 0, replace: Annotated[bool, Parameter(negative=())] = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Draw splits of your own data into training persons and test persons, and write them beside the data.

    From then on, the data set is read as these splits; DATASET#3 is the third.

    Args:
        dataset: Your own data, folder:PATH or manifest:PATH.
        number: Number of splits; scores are means over them.
        test_share: Share of the persons used for testing.
        queries: one-per-camera: one random tracklet of each test person in each camera. all: every tracklet of the test
            persons. camera:NAME: one random tracklet of each test person in that camera.
        min_frames: Tracklets with fewer frames are in no split.
        seed: Seed of the splits. The same seed gives the same splits.
        replace: Overwrite existing splits.
    """
    from resight.data.draw_splits import SplitRule, make_splits

    rule = SplitRule(number, test_share, queries, min_frames, seed)
    made = make_splits(dataset, rule, replace=replace)
    use = f"use them as {dataset}" + (f", the first as {dataset}#1" if number > 1 else "")
    print_result({"dataset": dataset, **made.to_json()}, f"{made.to_text()}\n{use}", as_json)


@app.command
def pack(dataset: str, out: Path, *, as_json: Json = False) -> None:
    """Copy a data set of many small files into a few large ones, which every command reads like the folder.

    Opening and copying become faster; frames are copied as they are.

    Args:
        dataset: Data set as KIND:PATH, such as mars:/data/MARS. All its splits are packed.
        out: Folder to create, such as MARS.pack. Read it as KIND:OUT.
    """
    from resight.data.write_pack import pack_dataset

    with progress_bar("packing", "frames", not as_json) as progress:
        report = pack_dataset(dataset, out, progress=progress)
    print_result(asdict(report), f"{report.to_text()}\nwrote {out}: use it as {report.name}", as_json)


@app.command
def ingest(
    source: Path, out: Path, *, tracks: Path | None = None, camera: str | None = None, detector: str = "hog",
    margin: Annotated[float, RARE] = 0.05, min_height: int = 48, min_frames: int = 8,
    max_gap: Annotated[float, RARE] = 1.0, min_score: Annotated[float | None, RARE] = None,
    first_frame: Annotated[int | None, RARE] = None, classes: str = "", gallery: str | None = None,
    same_ids: Annotated[bool, Parameter(negative=())] = False,
    redo: Annotated[bool, Parameter(negative=())] = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Cut tracklets of people from videos, with the boxes of a tracker, or by detecting and tracking people.

    Interrupt it at any time: the same command continues where it stopped.

    Args:
        source: A video, a folder of the videos of one camera, a folder of frames, or a TOML file of several cameras.
        out: Folder to create. Read it as manifest:OUT.
        tracks: Boxes of a tracker, or of a detector (all ids -1): MOT Challenge text, text with a header, or another
            format of docs/ingest.md. Without it, people are detected and tracked.
        camera: Name of the camera; by default the name of the video.
        detector: hog, or an ONNX file with its description in a TOML file next to it.
        margin: Margin added to each side of a box, as a fraction of its width or height.
        min_height: Minimum height of a box in pixels.
        min_frames: Minimum number of frames of a tracklet.
        max_gap: Maximum gap in a track, in seconds. A track is split at longer gaps.
        min_score: Minimum score of a box.
        first_frame: The tracker's number of the first picture. By default, the number in its file name, or 1, or 0 if
            there are boxes in frame 0.
        classes: Classes to cut, such as 0 or person,cyclist. By default persons, if classes have names, else all.
        gallery: Also add the tracklets to this gallery, as `resight gallery add` does.
        same_ids: A track id is the same person in all cameras: person = id.
        redo: Cut the cameras again whose video, tracks or options have changed, after deleting their tracklets.
    """
    from resight.ingest.cameras import find_sources
    from resight.ingest.ingest import ingest as run
    from resight.ingest.settings import IngestSettings

    chosen = [name for name in (part.strip() for part in classes.split(",")) if name]
    sources = find_sources(source, camera, tracks, first_frame=first_frame, classes=chosen)
    settings = IngestSettings(
        margin=margin, min_height=min_height, min_frames=min_frames, max_gap=max_gap, min_score=min_score,
        detector=detector, same_ids=same_ids,
    )  # fmt: skip
    opened = None
    if gallery is not None:  # a gallery that cannot be used is found before the work
        from resight.api.gallery import Gallery

        opened = Gallery(gallery, workers=WORKERS)
    with progress_bar("ingesting", "video frames", not as_json) as progress:
        report = run(sources, out, settings, progress, redo=redo)
    text = f"{report.to_text()}\nwrote {out} in {report.seconds:.0f} s: use it as manifest:{out}"
    values: dict[str, Any] = {"out": str(out), "seconds": round(report.seconds, 1), **report.to_json()}
    if opened is not None:
        added = opened.add(f"manifest:{out}", progress=not as_json)
        text += f"\n{gallery}: {added.to_text()}"
        values["gallery"] = {"path": str(gallery), **added.to_json()}
    print_result(values, text, as_json)
