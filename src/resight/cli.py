"""The command line: ``resight synth | train | extract | evaluate | search | explain``.

Exit status: 0 done; 1 the data, the weights or the request is not as it must be (one line on stderr says what to do);
2 the command line itself is wrong; 130 interrupted, run the same command again to go on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from resight import __version__
from resight.errors import DatasetError, ResightError
from resight.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resight.checkpoints import Model
    from resight.features import ClipFeatures
    from resight.tracklet import Split, Tracklet

app = App(
    name="resight",
    help="Video person re-identification with learned clip-pair importance. Nothing leaves this machine.",
    version=__version__,
    result_action="return_value",
)
WORKERS = os.cpu_count() or 1

Dataset = Annotated[str, Parameter(help="The data, as KIND:PATH, such as mars:/data/MARS or folder:crops.")]
ModelFile = Annotated[Path, Parameter(help="A model.safetensors that `resight train` wrote.")]
Json = Annotated[bool, Parameter(negative=(), help="Print JSON for scripts instead of text.")]
Top = Annotated[int, Parameter(name=("--top", "-k"), help="How many answers.")]
# The help must not depend on the machine that prints it.
ALL_CORES = Parameter(show_default=lambda _: "all cores")
Workers = Annotated[int, ALL_CORES, Parameter(help="Processes that read frames.")]
Device = Annotated[str, Parameter(help="cpu, cuda, …; auto takes a GPU if there is one.")]


@app.command
def synth(
    out: Path, *, scale: Literal["tiny", "demo", "bench"] = "demo", seed: int = 0, device: str = "cpu",
    workers: Annotated[int, ALL_CORES] = WORKERS,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:  # fmt: skip
    """Render people that never lived as video tracklets, in the official MARS layout.

    Args:
        out: Folder to make; it must not exist, or be empty.
        scale: tiny takes seconds, demo under two minutes, bench is for real trainings.
        seed: Another seed, another world; the same seed, the same world.
        device: Where to render: cpu or cuda.
        workers: Processes that render.
        as_json: Print JSON for scripts instead of text.
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
    _say(numbers, text, as_json)


@app.command
def train(
    dataset: Dataset, *, out: Path, recipe: str = "paper", stage: Literal["both", "1", "2"] = "both",
    init: Path | None = None, seed: int | None = None, device: Device = "auto", workers: Workers = WORKERS,
    as_json: Annotated[Json, Parameter(name="--json")] = False,
) -> None:  # fmt: skip
    """Train the clip encoder (stage 1) and the importance (stage 2) on the training persons of a data set.

    Interrupt it when you like: the same command goes on from the last checkpoint, to the same losses.

    Args:
        out: Folder of the run: model.safetensors, logs, checkpoints, cached features.
        recipe: paper, demo, or a TOML file.
        stage: Stop after stage 1, or do only stage 2 from the stage 1 in the folder.
        init: Kinetics weights of the I3D (rgb_imagenet.pt of the public PyTorch port) to start from.
        seed: Replaces the recipe's.
    """
    from dataclasses import replace

    from resight.data.readers import read_dataset
    from resight.recipe import read_recipe
    from resight.training.loop import RunOptions
    from resight.training.train import train_model

    chosen = read_recipe(recipe)
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    split = read_dataset(dataset)
    _show_notes(split)
    options = RunOptions(out, workers=workers, accelerator=device, progress=not as_json)
    result = train_model(
        split.train, chosen, options, stages=(1, 2) if stage == "both" else (int(stage),), init=init,
        say=lambda text: print(text, file=sys.stderr),
    )  # fmt: skip
    text = "\n".join(f"{name}: {value:.3f}" for name, value in result.validation.items())
    _say({"model": str(result.path), **result.validation}, f"{text}\nwrote {result.path}", as_json)


@app.command
def extract(
    dataset: Dataset, *, model: ModelFile, out: Path, role: Literal["train", "query", "gallery"] = "gallery",
    corrupted: bool = False, device: Device = "auto", workers: Workers = WORKERS,
) -> None:  # fmt: skip
    """Write the clip features of a data set's tracklets as one safetensors file.

    Args:
        out: File to write: values (T, M, D), ids, persons, cameras, frame numbers.
        role: Which tracklets.
        corrupted: Corrupt every clip first, as the paper does in Sec. 4.4.
    """
    from resight.checkpoints import load_model
    from resight.data.readers import read_dataset
    from resight.features import View, extract_clip_features

    loaded, split = load_model(model), read_dataset(dataset)
    _show_notes(split)
    tracklets: Sequence[Tracklet] = getattr(split, role)
    with progress_bar("encoding", "tracklets") as progress:
        features = extract_clip_features(
            loaded.encoder.to(_device(device)), tracklets, loaded.recipe.clips, view=View(corrupted=corrupted),
            workers=workers, device=_device(device), progress=progress,
        )  # fmt: skip
    features.save(out)
    print(f"wrote {out}: {features.values.shape} clip features of {len(features)} tracklets")


@app.command
def evaluate(
    dataset: Dataset, *, model: ModelFile, out: Path | None = None, protocol: str | None = None,
    max_corrupted: int = 0, query_camera: int | None = None, gallery_camera: int | None = None,
    seed: int = 0, device: Device = "auto", as_json: Annotated[Json, Parameter(name="--json")] = False,
) -> None:  # fmt: skip
    """Score every way of aggregating clip pairs by a named protocol, and say how well importance points at damage.

    Args:
        out: Folder for scores.json, the CMC as PNG and SVG, and the learned ranking as NPZ.
        protocol: mars, mars-queries-out, standard, cross-camera; by default the data set's own.
        max_corrupted: M_c^max of the paper's Sec. 4.4: corrupt 0 to this many clips of each tracklet.
        query_camera: Ask only with tracklets of this camera.
        gallery_camera: Search only among tracklets of this camera.
        seed: Of the corruption.
    """
    from resight.checkpoints import load_model
    from resight.evaluation.compare import clip_faults, compare_aggregators, usual_aggregators
    from resight.evaluation.protocols import default_protocol, find_protocol
    from resight.explain.plots import plot_cmc, save_figure
    from resight.synthetic.faults import read_faults

    loaded, split = load_model(model), _read(dataset, query_camera, gallery_camera)
    rules = find_protocol(protocol) if protocol else default_protocol(split.name)
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    features, damage = _features(loaded, model, device, everyone, max_corrupted, seed)
    query, gallery = features.of(split.query), features.of(split.gallery)
    faults = clip_faults(everyone, features, read_faults(split.root), damage)
    with progress_bar("scoring", "methods", not as_json) as progress:
        comparison = compare_aggregators(
            usual_aggregators(loaded.aggregator), query, gallery, rules,
            faults=faults[features.places(split.query)], progress=progress,
        )  # fmt: skip
    if out is not None:
        comparison.save(out)
        figure = plot_cmc({name: one.cmc for name, one in comparison.scores.items()}, comparison.protocol_line)
        save_figure(figure, out / "cmc.png")
        save_figure(figure, out / "cmc.svg")
    _say(comparison.to_json(), comparison.to_text() + (f"\nwrote {out}" if out else ""), as_json)


@app.command
def search(
    query: str, dataset: Dataset, *, model: ModelFile, k: Top = 10, out: Path | None = None,
    query_camera: int | None = None, gallery_camera: int | None = None, device: Device = "auto",
    as_json: Annotated[Json, Parameter(name="--json")] = False,
) -> None:  # fmt: skip
    """Find the tracklets that show the person of one tracklet, best first.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        out: An HTML page to write, with film strips.
        query_camera: Only to tell apart tracklets of the data set; not needed for a folder of frames.
        gallery_camera: Search only among tracklets of this camera.
    """
    from resight.checkpoints import load_model
    from resight.evaluation.evaluate import rank_features
    from resight.explain.report import write_search_page

    loaded, split = load_model(model), _read(dataset, query_camera, gallery_camera)
    asked = _find_query(query, split)
    others = [t for t in split.gallery if t.id != asked.id and not (t.camera == asked.camera and t.person >= 0)]
    if not others:
        raise DatasetError(f"nothing to search: {dataset} has no tracklet of another camera than that of {asked.id}")
    gallery, _ = _features(loaded, model, device, others)
    ranking = rank_features(_features(loaded, model, device, [asked])[0], gallery, loaded.aggregator, k)
    by_id = {t.id: t for t in others}
    best = [(by_id[id_], score) for id_, score in ranking.best(0, k)]
    lines = [f"{n:3}. {score:.3f}  {t.id}  camera {t.camera}" for n, (t, score) in enumerate(best, 1)]
    if out is not None:
        write_search_page(out, asked, [(t, s, "unknown") for t, s in best], searched=len(others))
        lines.append(f"wrote {out}")
    answers = [{"id": t.id, "camera": t.camera, "similarity": score} for t, score in best]
    _say({"query": asked.id, "answers": answers}, "\n".join(lines), as_json)


@app.command
def explain(
    query: str, gallery: str, dataset: Dataset, *, model: ModelFile, out: Path, device: Device = "auto",
    as_json: Annotated[Json, Parameter(name="--json")] = False,
) -> None:  # fmt: skip
    """Show which clip pairs decided how similar two tracklets are.

    Args:
        query: A folder of frames, or the id of a tracklet of the data set.
        gallery: The other tracklet, likewise.
        out: Folder for match.html, importance.png, clip_pairs.png and match.json.
    """
    from resight.checkpoints import load_model, replace_file
    from resight.explain.evidence import explain_match
    from resight.explain.plots import plot_clip_pairs, plot_importance, save_figure
    from resight.explain.report import write_match_page

    loaded, split = load_model(model), _read(dataset)
    pair = _find_query(query, split), _find_query(gallery, split)
    first, second = (_features(loaded, model, device, [t])[0] for t in pair)
    evidence = explain_match(*pair, first, second, loaded.aggregator)
    write_match_page(out / "match.html", evidence)
    save_figure(plot_importance(evidence), out / "importance.png")
    save_figure(plot_clip_pairs(evidence), out / "clip_pairs.png")
    with replace_file(out / "match.json") as temporary:
        temporary.write_text(json.dumps(evidence.to_json(), indent=1), encoding="utf-8")
    words = "\n".join(evidence.in_words())
    _say(evidence.to_json(), f"{words}\nwrote {out}: match.html, importance.png, clip_pairs.png, match.json", as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; see the module's text for the exit status."""
    try:
        app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        raise SystemExit(2) from None
    except ResightError as error:
        print(f"resight: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        print(f"resight: {interrupt or 'interrupted'}", file=sys.stderr)
        raise SystemExit(130) from None


def _read(dataset: str, query_camera: int | None = None, gallery_camera: int | None = None) -> Split:
    from resight.data.readers import read_dataset

    split = read_dataset(dataset)
    _show_notes(split)
    chosen = split.between_cameras(query_camera, gallery_camera)
    for role, own, camera in (("query", chosen.query, query_camera), ("gallery", chosen.gallery, gallery_camera)):
        if not own:
            cameras = sorted({t.camera for t in getattr(split, role)})
            raise DatasetError(f"{dataset} has no {role} tracklet of camera {camera}; its cameras are {cameras}")
    return chosen


def _find_query(name: str, split: Split) -> Tracklet:
    """A tracklet of the data set by its id, or a folder of frames."""
    from resight.data.readers.folder import read_tracklet

    found = split.find(name)
    if found is not None:
        return found
    folder = Path(name).expanduser()
    if folder.is_dir():
        # a folder of a folder set is that set's own tracklet, so that its person and camera are known
        own = split.gallery if split.name == "folder" else ()
        return next((t for t in own if t.folder.resolve() == folder.resolve()), None) or read_tracklet(folder)
    raise DatasetError(
        f"{name!r} is neither a folder of frames nor the id of a tracklet in {split.root} (ids look like "
        f"{split.gallery[0].id!r})"
    )


def _features(
    loaded: Model, model: Path, device: str, tracklets: Sequence[Tracklet], max_corrupted: int = 0, seed: int = 0
) -> tuple[ClipFeatures, NDArray[np.bool_]]:  # fmt: skip
    """Features of tracklets, kept beside the model file, and which of their clips were corrupted."""
    from resight.features import extract_damaged_features

    where = _device(device)
    with progress_bar("encoding", "tracklets") as progress:
        return extract_damaged_features(
            loaded.encoder.to(where), tracklets, loaded.recipe.clips, max_corrupted, seed,
            cache=model.parent / "features" if len(tracklets) > 1 else None, workers=min(WORKERS, len(tracklets)),
            device=where, progress=progress,
        )  # fmt: skip


def _device(name: str) -> str:
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _show_notes(split: Split) -> None:
    for note in split.notes:
        print(f"note: {note}", file=sys.stderr)


def _say(values: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(values) if as_json else text)
