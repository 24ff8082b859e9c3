"""The steps that studies share, each done once: encoders, clip features and trained aggregators.

Training runs are kept in one folder, resume where they stopped and are never repeated. A study can be interrupted at
any time, and the next study that needs an encoder finds it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock, FileLock
from torch import nn

from resight.checkpoints import Checkpoint, make_aggregator
from resight.compute import Compute
from resight.data.damage import DAMAGES, Donors
from resight.data.split import TrainingSplit
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import Protocol, default_protocol
from resight.features.damaged import DamagedFeatures
from resight.features.extract import extract_clip_features
from resight.features.store import FeatureStore
from resight.features.types import ClipFeatures
from resight.features.view import View
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, load_initial_weights, make_encoder
from resight.outputs import replace_file
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Damage, Recipe
from resight.studies.framework.setting import Setting
from resight.tracklet import Dataset, Tracklet
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder
from resight.training.stage2_data import Stage2Data, prepare_stage2
from resight.training.stage2_importance import train_aggregator


class Steps:
    """The steps of one data set in one setting: those already done, and methods to do more.

    Args:
        dataset: The data.
        setting: Size of the studies.
        folder: Where training runs are kept.
        compute: Device and precision.
        workers: Number of processes that decode frames.
        init: Kinetics weights that each encoder starts from; random weights by default.
        model: Model whose encoder is used instead of training encoders; its recipe defines the clips.
        progress: Whether to show progress bars.
    """

    def __init__(
        self, dataset: Dataset, setting: Setting, folder: Path, *, compute: Compute = Compute(), workers: int = 0,
        init: Path | None = None, model: Checkpoint | None = None, progress: bool = False,
    ) -> None:  # fmt: skip
        self.dataset, self.folder, self.init, self.model = dataset, folder, init, model
        self.setting = setting.around(model.recipe) if model else setting
        self.compute, self.workers, self.progress = compute, workers, progress
        self.protocol: Protocol = default_protocol(dataset.name)
        self.used: set[str] = set()
        self.memory: dict[str, Any] = {}
        """Results that one study computed and another can use; not kept on disk."""
        self._under: dict[str, Steps] = {}
        self._encoders: dict[tuple[int, int], ClipEncoder] = {}
        self._damages: dict[tuple[int, tuple[Damage, ...]], DamagedFeatures] = {}
        self._stage2: dict[tuple[int, tuple[Damage, ...]], Stage2Data] = {}

    @property
    def device(self) -> torch.device:
        """Return the device that encoders and aggregators run on."""
        return self.compute.torch_device

    @property
    def length(self) -> int:
        """Return the clip length L of the setting's recipe."""
        return self.setting.recipe.clips.length

    @cached_property
    def everyone(self) -> tuple[Tracklet, ...]:
        """Return the tracklets of gallery and queries, each once."""
        return tuple({t.id: t for t in (*self.dataset.gallery, *self.dataset.query)}.values())

    def recipe(self, seed: int, length: int | None = None) -> Recipe:
        """Return the recipe of the training runs with a seed and a clip length."""
        return self.setting.of_length(length or self.length, seed)

    def split(self, seed: int) -> TrainingSplit:
        """Return the tracklets to train on and for validation of the training runs with a seed."""
        return TrainingSplit.draw(self.dataset.train, self.setting.recipe.validation_share, seed)

    def under(self, recipe: Recipe) -> Steps:
        """Return the steps of the same data with another recipe, kept in a folder of their own."""
        if recipe.name not in self._under:
            epochs = {recipe.clips.length: recipe.stage1.optimisation.epochs}
            self._under[recipe.name] = Steps(
                self.dataset, replace(self.setting, recipe=recipe, epochs=epochs), self.folder / recipe.name,
                compute=self.compute, workers=self.workers, init=self.init, progress=self.progress,
            )  # fmt: skip
        return self._under[recipe.name]

    def encoder(self, seed: int, length: int | None = None) -> ClipEncoder:
        """Return the clip encoder trained with clips of L frames (stage 1), or the encoder of the given model."""
        if self.model is not None:
            return self.model.encoder.to(self.device)
        length = length or self.length
        if (seed, length) not in self._encoders:
            recipe = self.recipe(seed, length)
            torch.manual_seed(seed)
            encoder = make_encoder(recipe.stage1)
            if self.init is not None:
                load_initial_weights(encoder, self.init)
            name = f"encoder-L{length}-seed{seed}"
            with self.timed(f"train {name}"):
                encoder, _ = train_encoder(encoder, self.split(seed), recipe, self.options(name))
            self._encoders[seed, length] = encoder.to(self.device).eval()
        self.used.add(f"train encoder-L{length}-seed{seed}")
        return self._encoders[seed, length]

    def untrained(self, seed: int) -> ClipEncoder:
        """Return an encoder with random weights."""
        torch.manual_seed(seed)
        return make_encoder(self.setting.recipe.stage1).to(self.device).eval()

    def features(
        self, encoder: nn.Module, spec: ClipSpec, view: View | None = None,
        tracklets: Sequence[Tracklet] | None = None, donors: Sequence[Tracklet] = (),
    ) -> ClipFeatures:  # fmt: skip
        """Return the clip features of gallery and queries, or of other tracklets, damaged with frames of donors."""
        with progress_bar("encoding", "tracklets", self.progress) as progress:
            return extract_clip_features(
                encoder, self.everyone if tracklets is None else tracklets, spec, view=view, store=FeatureStore(),
                workers=self.workers, compute=self.compute, progress=progress, donors=donors,
            )  # fmt: skip

    def damaged(self, seed: int, rate: int) -> ClipFeatures:
        """Return the features of gallery and queries with 0 to M_c^max = `rate` corrupted clips per tracklet."""
        return self.damages(seed, ("corrupted",)).mixed(rate, ("corrupted",), seed)

    def damages(self, seed: int, kinds: tuple[Damage, ...]) -> DamagedFeatures:
        """Return the features of gallery and queries, clean and with each kind of damage (without donors)."""
        encoder = self.encoder(seed)
        if (seed, kinds) not in self._damages:
            with self.timed(f"test features-seed{seed}-{len(kinds)} kinds"):
                self._damages[seed, kinds] = self.damages_by(encoder, seed, kinds)
        return self._damages[seed, kinds]

    def damages_by(
        self, encoder: nn.Module, seed: int, kinds: tuple[Damage, ...], tracklets: Sequence[Tracklet] | None = None,
        donors: Sequence[Tracklet] = (),
    ) -> DamagedFeatures:  # fmt: skip
        """Return what `damages` returns, for any encoder, tracklets and donors."""
        spec = self.setting.recipe.clips
        return DamagedFeatures(
            self.features(encoder, spec, None, tracklets),
            {kind: self.features(encoder, spec, View(damage=kind, seed=seed), tracklets, donors) for kind in kinds},
        )

    def damaged_sides(self, seed: int, kinds: tuple[Damage, ...] = DAMAGES) -> tuple[DamagedFeatures, DamagedFeatures]:
        """Return the features of queries and gallery, clean and with each kind of damage on every clip.

        Donors are training persons, half of them for queries and the others for the gallery. No two tracklets that are
        compared then show the same person because of damage.
        """
        encoder, donors = self.encoder(seed), Donors(self.dataset.train).halves()
        with self.timed(f"damaged sides-seed{seed}-{len(kinds)} kinds"):
            query, gallery = (
                self.damages_by(encoder, seed, kinds, tracklets, half)
                for tracklets, half in zip((self.dataset.query, self.dataset.gallery), donors, strict=True)
            )
        return query, gallery

    def stage2(self, seed: int, kinds: tuple[Damage, ...]) -> Stage2Data:
        """Return the training features of stage 2 for the encoder of a seed, with some kinds of damage."""
        encoder, recipe = self.encoder(seed), self.recipe(seed)
        if (seed, kinds) not in self._stage2:
            step = f"train features-seed{seed}-{len(kinds)} kinds"
            with self.timed(step), progress_bar("encoding", "tracklets", self.progress) as bar:
                self._stage2[seed, kinds] = prepare_stage2(
                    encoder, self.split(seed), replace(recipe, stage2=replace(recipe.stage2, damages=kinds)),
                    FeatureStore(), workers=self.workers, compute=self.compute, progress=bar,
                )  # fmt: skip
        return self._stage2[seed, kinds]

    def trained(
        self, name: str, seed: int, rate: int, make: Callable[[int], Aggregator] | None = None,
        recipe: Recipe | None = None,
    ) -> Aggregator:  # fmt: skip
        """Return an aggregator trained on the encoder of a seed with M_c^max = `rate` (stage 2).

        Args:
            name: Name of the training files; name, seed and rate identify a training run.
            seed: Seed of the encoder and of the training run.
            rate: M_c^max in training.
            make: Returns a new aggregator for D features; the paper's by default.
            recipe: Used instead of the setting's recipe.
        """
        encoder = self.encoder(seed)
        recipe = recipe or self.recipe(seed)
        recipe = replace(recipe, stage2=replace(recipe.stage2, max_corrupted=rate))
        data = self.stage2(seed, recipe.stage2.damages)
        torch.manual_seed(seed + 1)
        aggregator = make(encoder.dim) if make else make_aggregator("learned", encoder.dim, recipe)
        with self.timed(f"train {name}-c{rate}-seed{seed}"):
            aggregator, _ = train_aggregator(
                aggregator.to(self.device), encoder, data, recipe,
                self.options(f"aggregators-seed{seed}"), name=f"{name}-c{rate}",
            )  # fmt: skip
        return aggregator

    def score(
        self, aggregator: Aggregator, features: ClipFeatures, *, gallery: ClipFeatures | None = None,
        reranked: bool = False,
    ) -> Scores:  # fmt: skip
        """Score the features of gallery and queries by the protocol of the data set.

        Args:
            aggregator: The aggregator to evaluate.
            features: Features of `everyone`.
            gallery: Features of the gallery, if they are not in `features`.
            reranked: Whether to apply k-reciprocal re-ranking.
        """
        query = features.of(self.dataset.query)
        searched = (features if gallery is None else gallery).of(self.dataset.gallery)
        aggregator = aggregator.to(self.device)
        return evaluate_features(
            query, searched, aggregator, self.protocol, reranked=reranked, compute=self.compute
        )[1]  # fmt: skip

    def options(self, folder: str) -> RunOptions:
        """Return the options of a training run that keeps its files in this subfolder."""
        return RunOptions(self.folder / folder, workers=self.workers, compute=self.compute, progress=self.progress)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Do a step while no other process does it, and record its duration the first time."""
        self.used.add(step)
        with self._alone(step):
            start = time.monotonic()
            yield
            took = round(time.monotonic() - start, 1)
        with self._alone("seconds"):
            known = self._times()
            if step not in known:
                with replace_file(self.folder / "seconds.json") as temporary:
                    temporary.write_text(json.dumps({**known, step: took}, indent=1), encoding="utf-8")

    def _alone(self, step: str) -> BaseFileLock:
        """Return a lock that one process holds at a time; it is released if the process is killed."""
        path = self.folder / "locks" / re.sub(r"[^\w.-]+", "-", step)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def seconds(self) -> dict[str, float]:
        """Return the recorded duration of each step that was used since the last call."""
        known = self._times()
        durations = {step: known[step] for step in sorted(self.used) if step in known}
        self.used.clear()
        for name, steps in self._under.items():
            durations |= {f"{name}: {step}": took for step, took in steps.seconds().items()}
        return durations

    def _times(self) -> dict[str, float]:
        path = self.folder / "seconds.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
