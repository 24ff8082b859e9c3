"""The public gallery: tracklets that are added as footage arrives, and searched at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from resight.adaptation.adapt import DEFAULT as DEFAULT_STEPS
from resight.adaptation.adapt import check_steps
from resight.api.gallery_adapt import Adapted, adapt_store, discard_adaptation
from resight.api.gallery_adding import Added, add_tracklets
from resight.api.gallery_answers import GalleryAnswers, explain_stored
from resight.api.gallery_batch import BatchSummary, search_many
from resight.api.gallery_conditions import Conditions, as_filter
from resight.api.gallery_encoding import header_of
from resight.api.gallery_labels import LabelledGallery
from resight.api.gallery_rebuild import Rebuilt, forget_staged, rebuild_store
from resight.api.gallery_references import find_references
from resight.api.gallery_search import GallerySearch
from resight.api.gallery_shards import GalleryShards
from resight.api.model import Model, load_model
from resight.errors import GalleryError
from resight.explanation.evidence import MatchEvidence
from resight.gallery.checks import other_model
from resight.gallery.contract import GalleryStore
from resight.gallery.export import TableFormat, export_store
from resight.gallery.lifecycle import GalleryInfo, describe_store, expired, merge_stores
from resight.gallery.open_store import gallery_exists, gallery_folder, gallery_name, is_folder, open_store
from resight.gallery.travel import TravelRules
from resight.gallery.types import Entry, Filter, Page, Problem, StoredTracklet
from resight.progress import progress_bar
from resight.scoring.search import SHORTLIST
from resight.settings import whole_number
from resight.shipped import DEFAULT


class Gallery(LabelledGallery):
    """Tracklets in one place: added as footage arrives, searched at any time, erased when they are due.

    Args:
        path: Folder of the gallery, or an address such as ``s3://bucket/site.gallery``, see `open_store`.
        model: A `Model`, its name or the path of its file. None is the model with which the gallery was made, or the
            default one for a new gallery.
        create: Whether to make the gallery if there is none.
        device: As in `load_model`, where the model is given by its name.
        workers: As `device`.
        cluster: Address of a Ray cluster that searches, or ``local`` (extra ``cluster``). The gallery must be at an
            address that all of its machines can read. Workers hold the means, from the first search until `close`.
        shards: Number of these workers; None is one for each core of the cluster.

    Raises:
        GalleryError: If the folder holds something else, there is no gallery and `create` is False, or the gallery
            holds features of another model.
        CheckpointError: If there is no such model.
    """

    def __init__(
        self, path: str | PathLike[str], model: Model | str | Path | None = None, *, create: bool = True,
        device: str = "auto", workers: int = 0, cluster: str | None = None, shards: int | None = None,
    ) -> None:  # fmt: skip
        self.address = gallery_name(path)
        self._device, self._workers = device, workers
        header = None
        exists = gallery_exists(self.address)
        if (exists and model is not None) or (create and not exists):
            self.model = self._load(DEFAULT if model is None else model)
            header = header_of(self.model)
        self.store: GalleryStore = open_store(self.address, header)
        self._shards = None if cluster is None else GalleryShards(self.store, cluster, shards)

    @property
    def path(self) -> Path:
        """Folder of the gallery.

        Raises:
            GalleryError: If it is on object storage.
        """
        return gallery_folder(self.address)

    @cached_property
    def model(self) -> Model:
        """The model with which the gallery was made; it is loaded on first use.

        Raises:
            GalleryError: If the model of this name is another one now, or its file does not exist any more.
        """
        stored = self.store.header
        model = self._load(stored.model)
        if not stored.fits(header_of(model)):
            raise other_model(self.address, stored, header_of(model))
        return model

    def _load(self, model: Model | str | Path) -> Model:
        if isinstance(model, Model):
            return model
        return load_model(model, device=self._device, keep_features=False, workers=self._workers)

    def __repr__(self) -> str:
        return f"<resight.Gallery {self.address}: {len(self):,} tracklets, model {self.store.header.model}>"

    def __len__(self) -> int:
        return self.store.count()

    def __getitem__(self, id_: str) -> Entry:
        return self.store.entries([id_])[0]

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and self.store.count(Filter(ids=frozenset([id_]))) == 1

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the files of the gallery, and end its shards."""
        if self._shards is not None:
            self._shards.close()
        self.store.close()

    def add(
        self, source: Any, *, camera: str = "", cluster: str | None = None, workers: int = 1, progress: bool = False
    ) -> Added:
        """Add tracklets. What is already stored is recognised by its frames, and not encoded again.

        Tracklets are stored while others are still being encoded. An interrupted call keeps what it has stored, and can
        be repeated. Features are not kept in the feature store, so that removing a tracklet erases every copy.

        Args:
            source: A data set as ``KIND:PATH`` or as `read_dataset` returned it, of which the gallery and the queries
                are added; or one tracklet or several, in any form that `Model.encode` takes.
            camera: Name of the camera of tracklets that have none.
            cluster: Address of a Ray cluster whose workers encode, or ``local`` for workers on this machine (extra
                ``cluster``). All of them must see the frames and the model under the same paths.
            workers: Number of workers of the cluster, each with one core, or with one GPU if the model is on a GPU.
            progress: Whether to show a progress bar.

        Raises:
            DatasetError: If the source cannot be read.
            GalleryError: If the gallery cannot be written. What was stored before is kept, as with the next.
            ClusterError: If the cluster cannot be reached, or its workers fail.
        """
        return add_tracklets(
            self.store, self.model, source, camera=camera, cluster=cluster, workers=workers, progress=progress
        )

    def entries(
        self, *, cursor: str | None = None, limit: int = 100, newest: bool = False, **conditions: Unpack[Conditions]
    ) -> Page:
        """Return up to `limit` entries in the order in which they were added.

        Args:
            cursor: `Page.cursor` of the page before; None for the first.
            limit: Most entries of a page, 1 or more.
            newest: Whether to begin with the last one added.
            **conditions: See `Conditions`.
        """
        whole_number("limit", limit, 1)
        return self.store.page(as_filter(**conditions), cursor, limit, newest=newest)

    def strip(self, id_: str) -> tuple[bytes, ...]:
        """Return the small pictures of a tracklet as JPEG, one for each clip.

        Raises:
            GalleryError: If there is no such tracklet, or it is damaged.
        """
        return self.store.fetch([id_])[0].strip

    def references(self, reference: Any) -> tuple[StoredTracklet, ...]:
        """Return what a search is for: stored tracklets, or others, which are encoded.

        Args:
            reference: See `search`.

        Raises:
            GalleryError: If a text is neither the id of a stored tracklet nor the path of a folder or picture, nor
                names a person in a video.
            DatasetError: If a folder, picture or video cannot be read, or the video has no such person.
        """
        return find_references(self, self.address, reference)

    def search(
        self, reference: Any, *, k: int = 10, exact: bool = False, shortlist: int = SHORTLIST,
        rules: TravelRules | str | Path | None = None, rerank: bool = False, **conditions: Unpack[Conditions],
    ) -> GalleryAnswers:  # fmt: skip
        """Return the stored tracklets that are most similar to a person.

        The references themselves are not among the answers, and neither are tracklets that were rejected for this
        person. All tracklets that are confirmed to show the person take part in the search.

        Args:
            reference: The id of a stored tracklet or of a group, a folder of pictures, one picture, a person in a video
                (``clip.mp4#120:310,80,64,170``, see docs/gallery.md), a list of pictures, arrays, or a `Tracklet`; or a
                list of these that show one person, whose clips are pooled.
            k: Number of answers, 1 or more.
            exact: Compare all tracklets by their clip pairs, except for those that a bound rules out. By default, only
                a shortlist is compared: those with the most similar mean features.
            shortlist: Size of the shortlist.
            rules: Rules of time and place, or the path of a TOML file with them, see docs/gallery.md.
            rerank: Order the answers by the neighbours that they share with the query among all candidates
                (k-reciprocal re-ranking). Similarities stay as they are.
            **conditions: See `Conditions`.

        Raises:
            GalleryError: If a reference is not found, rules are wrong, or the gallery cannot be read.
            RecipeError: If `k` or `shortlist` is below 1, or a condition is not one.
        """
        whole_number("k", k, 1)
        whole_number("shortlist", shortlist, 1)
        references = self.references(reference)
        how = GallerySearch(
            self.store, self.model.checkpoint.aggregator, self.model.compute, self.groups(), self.judge,
            None if rules is None else self.rules(rules), rerank,
            None if self._shards is None else self._shards.started(self.model),
        )  # fmt: skip
        return how.answers(references, k, as_filter(**conditions), None if exact else shortlist)

    def search_many(
        self, queries: Sequence[Any], out: str | PathLike[str], *, progress: bool = False, **options: Any
    ) -> BatchSummary:
        """Search for many persons, and write the answers as a table with one line per answer.

        Args:
            queries: What `search` takes as its reference, for each person.
            out: File to write, .jsonl or .csv.
            progress: Whether to show a progress bar.
            **options: Options of `search`.

        Returns:
            The numbers of queries and answers. A query that is not found gets a line with the reason.

        Raises:
            OutputError: If the file cannot be written.
        """
        search = partial(self.search, **options)
        return search_many(search, queries, Path(out).expanduser(), progress=progress)

    def explain(self, first: Any, second: Any) -> MatchEvidence:
        """Return the part of every clip pair in the similarity of two tracklets, from what is stored.

        Args:
            first: One or several tracklets of one person, as in `search`.
            second: The other tracklet.
        """
        gallery = self.references(second)
        if len(gallery) != 1:
            raise GalleryError(f"expected one tracklet to explain, found {len(gallery)}")
        return explain_stored(self.references(first), gallery[0], self.model.checkpoint.aggregator)

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Erase tracklets: features, strips, and labels that name them. Their bytes are overwritten.

        Args:
            ids: Ids of the tracklets.

        Returns:
            The ids that were stored.
        """
        erased = [ids] if isinstance(ids, str) else list(ids)
        forget_staged(self.address, erased)
        if is_folder(self.address):
            discard_adaptation(self.path)
        return self.store.remove(erased)

    def expire(self, older_than: float) -> list[str]:
        """Erase tracklets that are older than some days, see `remove`.

        The age is that of the last frame, or of the addition if the time of the frames is not a date.

        Args:
            older_than: Greatest age in days, more than 0.

        Returns:
            The ids that were erased.

        Raises:
            RecipeError: If `older_than` is not more than 0.
        """
        return self.remove(expired(self.store, older_than))

    def info(self) -> GalleryInfo:
        """Return what the gallery holds; printing it shows the numbers of tracklets by camera, times and size."""
        return describe_store(self.store, self.address)

    def export(
        self, out: str | PathLike[str], *, table: TableFormat = "csv", progress: bool = False,
        **conditions: Unpack[Conditions],
    ) -> int:  # fmt: skip
        """Write tracklets into a folder: a table of entries, features as safetensors, pictures, and the log.

        Args:
            out: Folder; it is created if necessary.
            table: ``csv``, ``jsonl``, or ``parquet``, which needs the extra `parquet`.
            progress: Whether to show a progress bar.
            **conditions: See `Conditions`.

        Returns:
            Number of tracklets written.

        Raises:
            OutputError: If the folder cannot be written.
        """
        with progress_bar("exporting", "tracklets", progress) as report:
            return export_store(self.store, Path(out).expanduser(), table, as_filter(**conditions), progress=report)

    def rebuild(
        self, model: Model | str | Path, *, drop_missing: bool = False, progress: bool = False
    ) -> Rebuilt:  # fmt: skip
        """Encode all tracklets again with another model, from the files that they were added from.

        Labels are kept. The gallery is replaced in one step at the end; an interrupted call continues.

        Args:
            model: The new model, its name or the path of its file.
            drop_missing: Whether to erase tracklets whose files are missing or have changed.
            progress: Whether to show a progress bar.

        Raises:
            GalleryError: If files are missing or have changed, and `drop_missing` is False.
        """
        model = self._load(model)
        rebuilt = rebuild_store(self.store, self.address, model, drop_missing=drop_missing, progress=progress)
        self.model = model
        return rebuilt

    def adapt(
        self, *, steps: Sequence[str] = DEFAULT_STEPS, seed: int = 0, drop_missing: bool = False, progress: bool = False
    ) -> Adapted:
        """Adapt the model to the cameras of the gallery, and encode all tracklets again if that helps.

        Labels are not used. The adapted model is a file in the folder of the gallery. For the steps see
        `resight.adapt`. An interrupted call continues; until the end, the gallery is as it was.

        Args:
            steps: Steps to try.
            seed: Seed of the intervals and of training.
            drop_missing: Whether to erase tracklets whose files are missing or have changed, if the model is adapted.
            progress: Whether to show progress bars.

        Raises:
            DatasetError: If there are too few tracklets.
            GalleryError: If files are missing or have changed, and `drop_missing` is False; or if the gallery is on
                object storage.
            RecipeError: If a step is unknown.
        """
        check_steps(steps)
        whole_number("seed", seed, 0)
        self.model, adapted = adapt_store(
            self.store, self.path, self.model, steps=steps, seed=seed, drop_missing=drop_missing, progress=progress
        )
        return adapted

    def merge(self, other: Gallery | str | PathLike[str], *, progress: bool = False) -> Added:
        """Add the tracklets and the labels of another gallery of the same model.

        Args:
            other: The gallery, or its folder.
            progress: Whether to show a progress bar.

        Raises:
            GalleryError: If it is not a gallery, or holds features of another model.
        """
        source = other if isinstance(other, Gallery) else Gallery(other, create=False)
        with progress_bar("merging", "tracklets", progress) as report:
            added, known = merge_stores(self.store, source.store, report)
        return Added(tuple(added), known, ())

    def verify(self) -> list[Problem]:
        """Check every row and the structure of the gallery, and return what is wrong."""
        return self.store.verify()
