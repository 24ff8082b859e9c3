"""The steps that studies share, each done once: encoders, clip features, trained aggregators.

All of them are kept in one folder: trainings resume where they stopped and are never repeated, features lie under a
content hash. So any study may be interrupted, and the second study that needs an encoder finds it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock, FileLock
from torch import nn

from resight.checkpoints import Checkpoint, make_aggregator, replace_file
from resight.data.damage import DAMAGES
from resight.evaluation.evaluate import evaluate_features
from resight.evaluation.metrics import Scores
from resight.evaluation.protocols import Protocol, default_protocol
from resight.features.extract import View, extract_clip_features
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator
from resight.models.encoders import ClipEncoder, kinetics_target, make_encoder
from resight.models.kinetics import load_kinetics
from resight.progress import progress_bar
from resight.recipe import ClipSpec, Damage, Recipe
from resight.studies.setting import Setting
from resight.tracklet import Dataset, Tracklet
from resight.training.loop import RunOptions
from resight.training.stage1_clips import train_encoder
from resight.training.stage2_importance import DamagedFeatures, Stage2Data, prepare_stage2, train_aggregator


class Steps:
    """What has been done for one data set in one setting, and how to do more of it.

    Args:
        split: the data.
        setting: how large.
        folder: where everything is kept.
        device: ``cpu`` or ``cuda``.
        workers: processes that decode.
        init: Kinetics weights that every encoder starts from; random weights otherwise.
        model: whose encoder is taken instead of training any; its recipe says what clips are.
        progress: show bars.
    """

    def __init__(
        self, split: Dataset, setting: Setting, folder: Path, *, device: str = "cpu", workers: int = 0,
        init: Path | None = None, model: Checkpoint | None = None, progress: bool = False,
    ) -> None:  # fmt: skip
        self.split, self.folder, self.init, self.model = split, folder, init, model
        self.setting = setting.around(model.recipe) if model else setting
        self.device, self.workers, self.progress = device, workers, progress
        self.protocol: Protocol = default_protocol(split.name)
        self.used: set[str] = set()
        self.memory: dict[str, Any] = {}
        """What one study computed and another may use; not kept on disk."""
        self._under: dict[str, Steps] = {}
        self._encoders: dict[tuple[int, int], ClipEncoder] = {}
        self._damages: dict[tuple[int, tuple[Damage, ...]], DamagedFeatures] = {}
        self._stage2: dict[tuple[int, tuple[Damage, ...]], Stage2Data] = {}

    @property
    def length(self) -> int:
        """L of the setting's recipe."""
        return self.setting.recipe.clips.length

    @cached_property
    def everyone(self) -> tuple[Tracklet, ...]:
        """Gallery and queries, each tracklet once."""
        return tuple({t.id: t for t in (*self.split.gallery, *self.split.query)}.values())

    def recipe(self, seed: int, length: int | None = None) -> Recipe:
        """Of the trainings with a seed and a clip length."""
        return self.setting.of_length(length or self.length, seed)

    def under(self, recipe: Recipe) -> Steps:
        """The same steps with another recipe, kept apart."""
        if recipe.name not in self._under:
            epochs = {recipe.clips.length: recipe.stage1.optimisation.epochs}
            self._under[recipe.name] = Steps(
                self.split, replace(self.setting, recipe=recipe, epochs=epochs), self.folder / recipe.name,
                device=self.device, workers=self.workers, init=self.init, progress=self.progress,
            )  # fmt: skip
        return self._under[recipe.name]

    def encoder(self, seed: int, length: int | None = None) -> ClipEncoder:
        """The clip encoder trained with clips of L frames (stage 1), or the one that was given."""
        if self.model is not None:
            return self.model.encoder.to(self.device)
        length = length or self.length
        if (seed, length) not in self._encoders:
            recipe = self.recipe(seed, length)
            torch.manual_seed(seed)
            encoder = make_encoder(recipe.stage1)
            if self.init is not None:
                load_kinetics(kinetics_target(encoder), self.init)
            name = f"encoder-L{length}-seed{seed}"
            with self.timed(f"train {name}"):
                encoder, _ = train_encoder(encoder, self.split.train, recipe, self.options(name))
            self._encoders[seed, length] = encoder.to(self.device).eval()
        self.used.add(f"train encoder-L{length}-seed{seed}")
        return self._encoders[seed, length]

    def untrained(self, seed: int) -> ClipEncoder:
        """An encoder with random weights."""
        torch.manual_seed(seed)
        return make_encoder(self.setting.recipe.stage1).to(self.device).eval()

    def features(self, encoder: nn.Module, spec: ClipSpec, view: View | None = None) -> ClipFeatures:
        """Clip features of gallery and queries."""
        with progress_bar("encoding", "tracklets", self.progress) as progress:
            return extract_clip_features(
                encoder, self.everyone, spec, view=view, cache=self.folder / "features", workers=self.workers,
                device=self.device, progress=progress, donors=self.split.gallery,
            )  # fmt: skip

    def damaged(self, seed: int, rate: int) -> ClipFeatures:
        """Features of gallery and queries with the paper's corruption of 0 to M_c^max = `rate` clips."""
        return self.damages(seed, ("corrupted",)).mixed(rate, ("corrupted",), seed)

    def damages(self, seed: int, kinds: tuple[Damage, ...] = DAMAGES) -> DamagedFeatures:
        """Features of gallery and queries, sound and with every clip damaged in each of some ways."""
        encoder = self.encoder(seed)
        if (seed, kinds) not in self._damages:
            with self.timed(f"test features-seed{seed}-{len(kinds)} kinds"):
                self._damages[seed, kinds] = self.damages_by(encoder, seed, kinds)
        return self._damages[seed, kinds]

    def damages_by(self, encoder: nn.Module, seed: int, kinds: tuple[Damage, ...]) -> DamagedFeatures:
        """As `damages`, by any encoder."""
        spec = self.setting.recipe.clips
        return DamagedFeatures(
            self.features(encoder, spec),
            {kind: self.features(encoder, spec, View(damage=kind, seed=seed)) for kind in kinds},
        )

    def stage2(self, seed: int, kinds: tuple[Damage, ...]) -> Stage2Data:
        """What aggregators of one encoder are trained on, with clips damaged in each of some ways."""
        encoder, recipe = self.encoder(seed), self.recipe(seed)
        if (seed, kinds) not in self._stage2:
            step = f"train features-seed{seed}-{len(kinds)} kinds"
            with self.timed(step), progress_bar("encoding", "tracklets", self.progress) as bar:
                self._stage2[seed, kinds] = prepare_stage2(
                    encoder, self.split.train, replace(recipe, stage2=replace(recipe.stage2, damages=kinds)),
                    self.folder / "features", workers=self.workers, device=self.device, progress=bar,
                )  # fmt: skip
        return self._stage2[seed, kinds]

    def trained(
        self, name: str, seed: int, rate: int, make: Callable[[int], Aggregator] | None = None,
        recipe: Recipe | None = None,
    ) -> Aggregator:  # fmt: skip
        """An aggregator trained on the encoder of a seed, under M_c^max = `rate` (stage 2).

        Args:
            name: of its files; together with seed and rate, it stands for one training.
            seed: of encoder and training.
            rate: M_c^max in training.
            make: from D to a new aggregator; the paper's by default.
            recipe: instead of the setting's.
        """
        encoder = self.encoder(seed)
        recipe = recipe or self.recipe(seed)
        recipe = replace(recipe, stage2=replace(recipe.stage2, max_corrupted=rate))
        data = self.stage2(seed, recipe.stage2.damages)
        torch.manual_seed(seed + 1)
        aggregator = make(encoder.dim) if make else make_aggregator("learned", encoder.dim, recipe)
        with self.timed(f"train {name}-c{rate}-seed{seed}"):
            aggregator, _ = train_aggregator(
                aggregator.to(self.device), encoder, data, self.split.train, recipe,
                self.options(f"aggregators-seed{seed}"), name=f"{name}-c{rate}",
            )  # fmt: skip
        return aggregator

    def score(
        self, aggregator: Aggregator, features: ClipFeatures, *, gallery: ClipFeatures | None = None,
        reranked: bool = False,
    ) -> Scores:  # fmt: skip
        """Score features of gallery and queries by the data set's own protocol.

        Args:
            aggregator: how to compare.
            features: of `everyone`.
            gallery: features of the gallery if they are others.
            reranked: by k-reciprocal neighbours.
        """
        query = features.of(self.split.query)
        others = (features if gallery is None else gallery).of(self.split.gallery)
        return evaluate_features(query, others, aggregator.to(self.device), self.protocol, reranked=reranked)[1]

    def options(self, folder: str) -> RunOptions:
        """Of a training that keeps its files in that folder."""
        return RunOptions(self.folder / folder, workers=self.workers, accelerator=self.device, progress=self.progress)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Do a step while no other process does it, and note how long it took when it was first done."""
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
        """Held by one process at a time, and by none that was killed."""
        path = self.folder / "locks" / re.sub(r"[^\w.-]+", "-", step)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def seconds(self) -> dict[str, float]:
        """How long the steps took that were used since the last call."""
        known = self._times()
        found = {step: known[step] for step in sorted(self.used) if step in known}
        self.used.clear()
        for name, own in self._under.items():
            found |= {f"{name}: {step}": took for step, took in own.seconds().items()}
        return found

    def _times(self) -> dict[str, float]:
        path = self.folder / "seconds.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
