"""The studies by name, and functions to run them."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from resight.checkpoints import load_checkpoint
from resight.compute import Compute
from resight.data.readers import read_splits
from resight.errors import RecipeError
from resight.explanation.plots import save_figure
from resight.progress import progress_bar
from resight.settings import within
from resight.shipped import file_hash, weights_of
from resight.studies import aggregators, cost, damage, damage_figures, figures, joint, recipes
from resight.studies.framework.outcome import Outcome
from resight.studies.framework.setting import SETTINGS, Setting
from resight.studies.framework.steps import Steps
from resight.studies.paper import clips, comparison, pictures, sweep
from resight.studies.side_by_side import side_by_side
from resight.synthetic.world import SCALES, make_world

ALL = "all"


@dataclass(frozen=True)
class Study:
    """One table or figure.

    Attributes:
        run: Computes the outcome from the steps of each split; most studies take one split.
        draw: Draws the outcome as a figure.
        pictures: Yields figures that show frames, each with a suffix of its file name. Do not publish them for data
            with real persons.
        kind: Kind of data set that the study is about; ``all`` skips the study on data of another kind.
        encoders: Whether the study compares training runs of the encoder; it cannot be run on a given encoder.
    """

    run: Callable[..., Outcome]
    draw: Callable[[Outcome], Figure] | None = None
    pictures: Callable[[Steps], Iterator[tuple[str, Figure]]] | None = None
    kind: str | None = None
    encoders: bool = False

    @property
    def splits(self) -> bool:
        """Return whether the study runs every official split."""
        return self.kind == "prid2011"


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "fig3": Study(clips.fig3, figures.maps_only, encoders=True),
        "fig4": Study(clips.fig4, figures.lines),
        "fig5": Study(pictures.fig5, pictures=pictures.picture_of_fig5),
        "fig6": Study(sweep.fig6, figures.lines),
        "table2": Study(sweep.table2, figures.table2_lines),
        "table3": Study(comparison.table3, kind="mars"),
        "table4": Study(comparison.table4, kind="duke-video"),
        "table5": Study(comparison.table5, kind="prid2011"),
        "table6": Study(clips.table6, figures.lines, encoders=True),
        "fig7": Study(pictures.fig7, pictures=pictures.picture_of_fig7),
        "aggregators": Study(aggregators.aggregators, figures.bars),
        "damage": Study(damage.damage, damage_figures.draw_damage, damage_figures.picture_of_kinds),
        "order": Study(aggregators.order),
        "cost": Study(cost.cost, figures.budget),
        "recipes": Study(recipes.recipes, figures.bars, encoders=True),
        "joint": Study(joint.joint),
    }
)
"""Studies by name: the tables and figures of the paper, then others."""

TOGETHER = (
    ("damage",),
    ("recipes",),
    ("fig6", "table2"),
    ("fig3",),
    ("joint",),
    ("aggregators",),
    ("fig4", "fig5", "fig7", "table6"),
)
"""How studies are distributed to several processes: those that share results in memory together, long ones first."""


@dataclass(frozen=True)
class Laboratory:
    """Where and how to run studies, as plain values that can be passed to another process.

    Attributes:
        data: Data set as ``KIND:PATH``; None uses the world of the setting in ``out/world``.
        out: Folder of training runs, which all studies share, and of results.
        setting: Size of the studies.
        compute: Device and precision.
        workers: Number of processes that decode frames.
        init: Kinetics weights that each encoder starts from, as in the paper; random weights by default.
        model: File of a trained model or name of a shipped one, whose encoder is used instead of training encoders.
        progress: Whether to show progress bars.

    Raises:
        RecipeError: If both `init` and `model` are given.
    """

    data: str | None
    out: Path
    setting: Setting
    compute: Compute = Compute()
    workers: int = 0
    init: Path | None = None
    model: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        within(self, 0, float("inf"), "workers")
        if self.init is not None and self.model is not None:
            raise RecipeError(
                "init and model cannot be combined: init has initial weights for encoders to train, and model has a "
                "trained encoder; give only one of them"
            )

    @cached_property
    def steps(self) -> tuple[Steps, ...]:
        """Return the steps of each official split, in one folder for each start and each model."""
        folder, model = self.out / "steps", None
        if self.init is not None:
            folder = self.out / f"steps-from-{self.init.stem}"
        if self.model is not None:
            path = weights_of(self.model)
            model = load_checkpoint(path)
            folder = self.out / f"steps-of-{file_hash(path)[:12]}"
        return tuple(
            Steps(
                dataset, self.setting, folder if dataset.number is None else folder / f"split{dataset.number}",
                compute=self.compute, workers=self.workers, init=self.init, model=model, progress=self.progress,
            )
            for dataset in read_splits(self.data or f"mars:{self.out / 'world'}")
        )  # fmt: skip

    def train_encoder(self, seed: int, length: int) -> None:
        """Train an encoder that several studies need."""
        self.steps[0].encoder(seed, length)

    def run(self, names: Sequence[str]) -> list[tuple[Outcome, list[Path]]]:
        """Run studies in sequence; return the outcome of each and the files it wrote."""
        return [self._run(name) for name in names]

    def _run(self, name: str) -> tuple[Outcome, list[Path]]:
        study = STUDIES[name]
        splits = self.steps if study.splits else self.steps[:1]
        outcome = replace(
            study.run(*splits),
            command=self._command(name),
            setting=self.setting.name,
            seeds=self.setting.seeds,
            seconds={step: took for steps in splits for step, took in steps.seconds().items()},
            machine=machine(self.compute.device),
        )
        source = self.data or f"the {self.setting.world} world, seed 0"
        encoder = f"the encoder of {self.model}; " if self.model else ""
        outcome = replace(outcome, conditions=f"{encoder}{source}; {outcome.conditions}")
        paths = outcome.save(self.out / "results")
        drawn = [("", study.draw(outcome))] if study.draw else []
        for suffix, figure in [*drawn, *(study.pictures(splits[0]) if study.pictures else ())]:
            for extension in ("png", "svg", "pdf"):
                path = self.out / "results" / f"{name}{suffix}.{extension}"
                save_figure(figure, path)
                paths.append(path)
        return outcome, paths

    def _command(self, name: str) -> str:
        """Return the command that repeats a study."""
        setting = self.setting
        default_seeds = SETTINGS[setting.name].seeds if setting.name in SETTINGS else setting.seeds
        options = {
            "data": self.data,
            "setting": setting.name if setting.name != "small" else None,
            "seeds": len(setting.seeds) if setting.seeds != default_seeds else None,
            "init": self.init,
            "model": self.model,
        }
        return " ".join([f"resight reproduce {name}", *(f"--{key} {value}" for key, value in options.items() if value)])


def reproduce(
    name: str,
    laboratory: Laboratory,
    *,
    jobs: int = 1,
    say: Callable[[Outcome, list[Path]], None] | None = None,
) -> dict[str, Outcome]:
    """Run one study or all of them, write their results, and return their outcomes by name.

    Args:
        name: A key of `STUDIES`, or ``all``.
        laboratory: Where and how to run; without data, the world of the setting is rendered first.
        jobs: Number of studies to run at once, each in a process with its share of the cores. Results are repeatable
            for the same number of jobs only, because the number of threads changes the order of additions.
        say: Called after each study with its outcome and the files it wrote.

    Raises:
        RecipeError: If there is no such study, `jobs` is less than 1, or the study compares encoders and a model is
            given.
        CheckpointError: If the model does not exist.
        DatasetError: If the data cannot be read, or have too few persons.
    """
    if name != ALL and name not in STUDIES:
        raise RecipeError(f"there is no study {name!r}; expected {', '.join(STUDIES)} or {ALL}")
    if jobs < 1:
        raise RecipeError(f"jobs is {jobs}, expected a number of studies to run at once, 1 or more")
    if laboratory.model is not None and name != ALL and STUDIES[name].encoders:
        raise RecipeError(
            f"{name} compares encoders that it trains, so it cannot use the encoder of {laboratory.model}; run it "
            "without a model"
        )
    world = laboratory.out / "world"
    if laboratory.data is None and not world.exists():
        with progress_bar("rendering", "frames", laboratory.progress) as bar:
            make_world(world, SCALES[laboratory.setting.world], 0, workers=laboratory.workers or None, progress=bar)
    kind = laboratory.steps[0].dataset.name
    wanted = [name] if name != ALL else [
        study_name for study_name, study in STUDIES.items()
        if study.kind in (None, kind) and not (study.encoders and laboratory.model)
    ]  # fmt: skip
    outcomes = {}
    for finished in _in_sequence(laboratory, wanted) if jobs == 1 else _in_parallel(laboratory, wanted, jobs):
        for outcome, paths in finished:
            outcomes[outcome.name] = outcome
            if say is not None:
                say(outcome, paths)
    return {study_name: outcomes[study_name] for study_name in wanted}


_Finished = list[tuple[Outcome, list[Path]]]


def _in_sequence(laboratory: Laboratory, wanted: Sequence[str]) -> Iterator[_Finished]:
    for name in wanted:
        yield laboratory.run([name])


def _in_parallel(laboratory: Laboratory, wanted: Sequence[str], jobs: int) -> Iterator[_Finished]:
    """Train the encoders that several studies need, then run the studies, long ones first."""
    setting = laboratory.setting
    length = setting.recipe.clips.length
    encoders = [(seed, length) for seed in setting.seeds]
    encoders += [(setting.seeds[0], other) for other in setting.epochs if other != length]
    tasks: list[Callable[[Laboratory], _Finished | None]] = [
        partial(Laboratory.train_encoder, seed=seed, length=frames)
        for seed, frames in encoders
        if laboratory.model is None
    ]
    groups = [[name for name in group if name in wanted] for group in TOGETHER]
    groups += [[name] for name in wanted if not any(name in group for group in TOGETHER)]
    tasks += [partial(Laboratory.run, names=group) for group in groups if group]
    worker = replace(laboratory, workers=laboratory.workers // jobs, progress=False)
    with progress_bar("studies", "steps", laboratory.progress) as bar:
        for count, finished in enumerate(side_by_side(worker, tasks, jobs), 1):
            bar(count, len(tasks))
            if finished is not None:
                yield finished


def machine(device: str) -> str:
    """Return a description of the machine that a study ran on."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} cores ({platform.machine()}), no GPU"


__all__ = ["ALL", "SETTINGS", "STUDIES", "Laboratory", "Study", "machine", "reproduce"]
