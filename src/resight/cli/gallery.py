"""The commands resight gallery: add, search, explain, and what keeps a gallery in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from resight.cli.adapt import Steps
from resight.cli.app import WORKERS, Device, Json, Top, Workers, app, print_result, print_search
from resight.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from resight.api.gallery import Gallery

gallery = App(name="gallery", help="Keep tracklets in a folder: add footage as it arrives, search it, erase it.")
app.command(gallery)

Folder = Annotated[str, Parameter(help="Folder of the gallery, or its address such as s3://bucket/site.gallery.")]
Cameras = Annotated[str, Parameter(help="Only these cameras: names, separated by commas.")]
After = Annotated[str | None, Parameter(help="Only tracklets that end at or after this time, as 2026-05-01T10:00.")]
Before = Annotated[str | None, Parameter(help="Only tracklets that start at or before this time.")]
ModelName = Annotated[
    Path | None,
    Parameter(help="Model as in `resight search`. By default that of the gallery, or open for a new one."),
]
Cluster = Annotated[
    str | None,
    Parameter(help="Search with one worker for each core of a Ray cluster, by its address, or of this machine: local."),
]
Flag = Parameter(negative=())
Exact = Annotated[bool, Flag, Parameter(help="Compare all tracklets, not only a shortlist by mean feature.")]
Rules = Annotated[
    Path | None,
    Parameter(help="TOML file with cameras of disjoint views and travel times, see docs/gallery.md."),
]
Rerank = Annotated[
    bool, Flag, Parameter(help="Order the answers by the neighbours that they share with the query; similarities stay.")
]


@gallery.command
def add(
    folder: Folder, source: str, *, model: ModelName = None, camera: str = "", cluster: str | None = None,
    device: Device = "auto", workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Add tracklets to a gallery, which is made if it is missing.

    What is already stored is recognised by its frames. Interrupt it at any time: the same command continues.

    Args:
        source: Data set as KIND:PATH, such as manifest:crops, or the folder of one tracklet.
        camera: Name of the camera of tracklets that have none.
        cluster: Encode with workers on a Ray cluster, by its address, or on this machine: local. --workers is then
            their number.
    """
    opened = open_gallery(folder, model, device, workers, create=True)
    result = opened.add(source, camera=camera, cluster=cluster, workers=max(1, workers), progress=not as_json)
    print_result({"gallery": str(folder), "tracklets": len(opened), **result.to_json()}, result.to_text(), as_json)


@gallery.command
def search(
    folder: Folder, query: list[str], *, k: Top = 10, cameras: Cameras = "", after: After = None,
    before: Before = None, exact: Exact = False, rules: Rules = None, rerank: Rerank = False, out: Path | None = None,
    cluster: Cluster = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Find the stored tracklets that are most similar to a person.

    Args:
        query: Id of a stored tracklet or of a group, a folder of frames, a picture, or a person in a video as
            VIDEO#FRAME:LEFT,TOP,WIDTH,HEIGHT or VIDEO#TRACKS:ID; several of them show one person.
        out: HTML page to write, with pictures of the query and the answers.
    """
    if out is not None:
        check_output_file(out)
    with open_gallery(folder, cluster=cluster) as opened:
        answers = opened.search(
            query, k=k, exact=exact, cameras=_names(cameras), after=after, before=before, rules=rules, rerank=rerank
        )
    print_search(answers, out, as_json)


@gallery.command
def batch(
    folder: Folder, queries: Path, out: Path, *, k: Top = 10, cameras: Cameras = "", after: After = None,
    before: Before = None, exact: Exact = False, rules: Rules = None, rerank: Rerank = False, cluster: Cluster = None,
    device: Device = "auto", as_json: Json = False,
) -> None:  # fmt: skip
    """Search for many persons at once, and write the answers as a table.

    Args:
        queries: Text file with one query per line, as in `resight gallery search`, or - for standard input. Several
            references of one person are separated by tabs.
        out: File to write, .jsonl or .csv: one line per answer.
    """
    from resight.api.gallery_batch import read_queries

    check_output_file(out)
    lines = read_queries(queries)
    with open_gallery(folder, None, device, cluster=cluster) as opened:
        summary = opened.search_many(
            lines, out, progress=not as_json, k=k, exact=exact, cameras=_names(cameras), after=after, before=before,
            rules=rules, rerank=rerank,
        )  # fmt: skip
    print_result(summary.to_json(), f"{summary.to_text()}\nwrote {out}", as_json)
    if summary.failed:
        raise SystemExit(1)


@gallery.command
def explain(
    folder: Folder, first: str, second: str, *, out: Path, device: Device = "auto", as_json: Json = False
) -> None:
    """Show which clip pairs decided how similar two tracklets are, from what is stored.

    Args:
        first: Id of a stored tracklet, a folder of frames, or a picture.
        second: The other one.
        out: HTML page to write.
    """
    check_output_file(out)
    evidence = open_gallery(folder, None, device).explain(first, second)
    evidence.save(out)
    text = "\n".join([*evidence.in_words(), f"wrote {out}"])
    print_result(evidence.to_json(), text, as_json)


@gallery.command
def info(folder: Folder, *, as_json: Json = False) -> None:
    """Show what a gallery holds."""
    found = open_gallery(folder).info()
    print_result(found.to_json(), found.to_text(), as_json)


@gallery.command
def remove(folder: Folder, ids: list[str], *, as_json: Json = False) -> None:
    """Erase tracklets: features, pictures, and labels that name them. Their bytes are overwritten.

    Args:
        ids: Ids of the tracklets. Exit status 1 if one of them is not stored; the others are erased.
    """
    removed = open_gallery(folder).remove(ids)
    print_result({"removed": removed}, f"erased {len(removed):,} of {len(set(ids)):,} tracklets", as_json)
    if missing := [id_ for id_ in ids if id_ not in removed]:
        raise _not_stored(folder, missing)


@gallery.command
def expire(folder: Folder, *, older_than: float, as_json: Json = False) -> None:
    """Erase tracklets that are older than some days.

    The age is that of the last frame, or of the addition if the time of the frames is not a date.

    Args:
        older_than: Greatest age in days.
    """
    erased = open_gallery(folder).expire(older_than)
    print_result({"removed": erased}, f"erased {len(erased):,} tracklets", as_json)


@gallery.command
def verify(folder: Folder, *, as_json: Json = False) -> None:
    """Check the file of a gallery and every tracklet in it. Exit status 1 if something is wrong."""
    opened = open_gallery(folder)
    problems = opened.verify()
    lines = [f"{problem.id or 'gallery'}: {problem.text}" for problem in problems]
    lines.append(f"{len(problems):,} problems" if problems else f"{len(opened):,} tracklets, no problems")
    values = {"problems": [{"id": problem.id, "text": problem.text} for problem in problems]}
    print_result(values, "\n".join(lines), as_json)
    if problems:
        raise SystemExit(1)


@gallery.command
def export(
    folder: Folder, out: Path, *, table: Literal["csv", "jsonl", "parquet"] = "csv", cameras: Cameras = "",
    after: After = None, before: Before = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Write a table of the tracklets, their features, pictures and labels into a folder.

    Args:
        out: Folder to write.
        table: Format of the table. parquet needs the extra parquet.
    """
    check_output_folder(out)
    number = open_gallery(folder).export(
        out, table=table, progress=not as_json, cameras=_names(cameras), after=after, before=before
    )
    print_result({"out": str(out), "tracklets": number}, f"wrote {number:,} tracklets to {out}", as_json)


@gallery.command
def rebuild(
    folder: Folder, *, model: Path, drop_missing: Annotated[bool, Flag] = False, device: Device = "auto",
    workers: Workers = WORKERS, as_json: Json = False,
) -> None:  # fmt: skip
    """Encode all tracklets again with another model, from the files that they were added from. Labels are kept.

    Interrupt it at any time: the same command continues.

    Args:
        model: The new model.
        drop_missing: Erase tracklets whose files are missing or have changed.
    """
    from resight.cli.app import open_model

    opened = open_gallery(folder)
    result = opened.rebuild(open_model(model, device, workers=workers), drop_missing=drop_missing, progress=not as_json)
    print_result(result.to_json(), result.to_text(), as_json)


@gallery.command(name="adapt")
def adapt_gallery(
    folder: Folder, *, steps: Steps = ("statistics", "projection"), seed: int = 0,
    drop_missing: Annotated[bool, Flag] = False, device: Device = "auto", workers: Workers = WORKERS,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Adapt the model to the cameras of the gallery without labels, and encode all tracklets again if that helps.

    The adapted model is a file in the folder of the gallery. Interrupt it at any time: the same command continues.

    Args:
        steps: Steps to try, of statistics, encoder, projection and importance.
        seed: Seed of the intervals and of training.
        drop_missing: Erase tracklets whose files are missing or have changed, if the model is adapted.
    """
    opened = open_gallery(folder, device=device, workers=workers)
    result = opened.adapt(steps=steps, seed=seed, drop_missing=drop_missing, progress=not as_json)
    print_result(result.to_json(), result.to_text(), as_json)


@gallery.command
def merge(folder: Folder, other: str, *, as_json: Json = False) -> None:
    """Add the tracklets and labels of another gallery of the same model. A missing gallery is made, as a copy.

    Args:
        other: Folder or address of the other gallery, which is not changed.
    """
    from resight.gallery.open_store import open_store

    with open_gallery(other) as source:
        open_store(folder, source.store.header).close()
        result = open_gallery(folder).merge(source, progress=not as_json)
    print_result(result.to_json(), result.to_text(), as_json)


def open_gallery(
    folder: str, model: Path | None = None, device: str = "auto", workers: int = 0, *, create: bool = False,
    cluster: str | None = None,
) -> Gallery:  # fmt: skip
    """Open a gallery; its model is loaded with the given device and number of workers when it is needed."""
    from resight.api.gallery import Gallery

    return Gallery(
        folder, None if model is None else str(model), create=create, device=device, workers=workers, cluster=cluster
    )


def _names(text: str) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] or None


def _not_stored(folder: str, ids: list[str]) -> Exception:
    from resight.errors import GalleryError

    return GalleryError(f"{folder} has no tracklet {ids[0]!r}")
