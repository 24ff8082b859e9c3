"""The studies by name, and running them."""

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
from resight.data.readers import read_splits
from resight.errors import RecipeError
from resight.explanation.plots import save_figure
from resight.progress import progress_bar
from resight.shipped import file_hash, weights_of
from resight.studies import beyond, damage, figures, recipes
from resight.studies.outcome import Outcome
from resight.studies.paper import clips, pictures, standing, sweep
from resight.studies.setting import SETTINGS, Setting
from resight.studies.side_by_side import side_by_side
from resight.studies.steps import Steps
from resight.synthetic.world import SCALES, make_world

ALL = "all"


@dataclass(frozen=True)
class Study:
    """One table or figure.

    Attributes:
        run: the steps of every split to what was found; most take one split.
        draw: what was found, as a figure.
        pictures: figures that show frames, each with an end of its name; kept out of the repository for real people.
        kind: of data set that it is about; among all studies it is left out for data of another kind.
        encoders: whether it compares trainings of the encoder, so that it means nothing for one that is given.
    """

    run: Callable[..., Outcome]
    draw: Callable[[Outcome], Figure] | None = None
    pictures: Callable[[Steps], Iterator[tuple[str, Figure]]] | None = None
    kind: str | None = None
    encoders: bool = False

    @property
    def splits(self) -> bool:
        """Whether every official split is run."""
        return self.kind == "prid2011"


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "fig3": Study(clips.fig3, figures.maps_only, encoders=True),
        "fig4": Study(clips.fig4, figures.lines),
        "fig5": Study(pictures.fig5, pictures=pictures.picture_of_fig5),
        "fig6": Study(sweep.fig6, figures.lines),
        "table2": Study(sweep.table2, figures.table2_lines),
        "table3": Study(standing.table3, kind="mars"),
        "table4": Study(standing.table4, kind="duke-video"),
        "table5": Study(standing.table5, kind="prid2011"),
        "table6": Study(clips.table6, figures.lines, encoders=True),
        "fig7": Study(pictures.fig7, pictures=pictures.picture_of_fig7),
        "aggregators": Study(beyond.aggregators, figures.bars),
        "damage": Study(damage.damage, damage.draw),
        "order": Study(beyond.order),
        "cost": Study(beyond.cost, figures.budget),
        "recipes": Study(recipes.recipes, figures.bars, encoders=True),
        "joint": Study(joint_study.joint),
    }
)
"""Name → study: the paper's tables and figures, then ours."""

TOGETHER = (
    ("damage",),
    ("recipes",),
    ("fig6", "table2"),
    ("fig3",),
    ("joint",),
    ("aggregators",),
    ("fig4", "fig5", "fig7", "table6"),
)
"""Studies that share what is in memory, and those that take long: how they are dealt out to several processes."""


@dataclass(frozen=True)
class Laboratory:
    """Where and how studies are run, in plain values: all that another process must be told.

    Attributes:
        data: ``KIND:PATH``; None is the setting's world in ``out/world``.
        out: folder of steps (trainings and features, reused by every study) and of results.
        setting: how large.
        device: ``cpu`` or ``cuda``.
        workers: processes that decode.
        init: Kinetics weights that every encoder starts from, as in the paper; random weights otherwise.
        model: file of a trained model, or name of one that comes along, whose encoder is taken instead of training any.
        progress: show bars.

    Raises:
        RecipeError: if there are both `init` and `model`.
    """

    data: str | None
    out: Path
    setting: Setting
    device: str = "cpu"
    workers: int = 0
    init: Path | None = None
    model: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.init is not None and self.model is not None:
            raise RecipeError("init is for encoders that are trained, and model brings one that is: give one of them")

    @cached_property
    def steps(self) -> tuple[Steps, ...]:
        """Of each official split, kept apart for every start and every model."""
        kept, model = self.out / "steps", None
        if self.init is not None:
            kept = self.out / f"steps-from-{self.init.stem}"
        if self.model is not None:
            path = weights_of(self.model)
            model = load_checkpoint(path)
            kept = self.out / f"steps-of-{file_hash(path)[:12]}"
        return tuple(
            Steps(
                split, self.setting, kept if split.number is None else kept / f"split{split.number}",
                device=self.device, workers=self.workers, init=self.init, model=model, progress=self.progress,
            )
            for split in read_splits(self.data or f"mars:{self.out / 'world'}")
        )  # fmt: skip

    def train_encoder(self, seed: int, length: int) -> None:
        """Do what most studies begin with."""
        self.steps[0].encoder(seed, length)

    def run(self, names: Sequence[str]) -> list[tuple[Outcome, list[Path]]]:
        """Run some studies, one after the other: what each found, and the files that it wrote."""
        return [self._run(name) for name in names]

    def _run(self, name: str) -> tuple[Outcome, list[Path]]:
        study = STUDIES[name]
        chosen = self.steps if study.splits else self.steps[:1]
        outcome = replace(
            study.run(*chosen),
            command=self._command(name),
            setting=self.setting.name,
            seeds=self.setting.seeds,
            seconds={step: took for steps in chosen for step, took in steps.seconds().items()},
            machine=machine(self.device),
        )
        where = self.data or f"the {self.setting.world} world, seed 0"
        encoder = f"the encoder of {self.model}; " if self.model else ""
        outcome = replace(outcome, conditions=f"{encoder}{where}; {outcome.conditions}")
        paths = outcome.save(self.out / "results")
        drawn = [("", study.draw(outcome))] if study.draw else []
        for end, figure in [*drawn, *(study.pictures(chosen[0]) if study.pictures else ())]:
            for suffix in ("png", "svg", "pdf"):
                path = self.out / "results" / f"{name}{end}.{suffix}"
                save_figure(figure, path)
                paths.append(path)
        return outcome, paths

    def _command(self, name: str) -> str:
        """What to type to get a study again."""
        setting = self.setting
        usual = SETTINGS[setting.name].seeds if setting.name in SETTINGS else setting.seeds
        options = {
            "data": self.data,
            "setting": setting.name if setting.name != "small" else None,
            "seeds": len(setting.seeds) if setting.seeds != usual else None,
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
    """Run one study, or all of them, and write what they found.

    Args:
        name: one of `STUDIES`, or ``all``.
        laboratory: where and how; where it has no data, the setting's world is rendered first.
        jobs: studies at once, in processes of their own with as many threads as cores are left for each. Another number
            of threads adds up in another order, so that the same numbers come out for the same jobs only.
        say: told of every study as it ends, and which files it wrote.

    Returns:
        What each study found, by name.

    Raises:
        RecipeError: if there is no such study, no job to do it, or it compares encoders and one is given.
        CheckpointError: if there is no such model.
        DatasetError: if the data cannot be read, or have too few persons.
    """
    if name != ALL and name not in STUDIES:
        raise RecipeError(f"no study is called {name!r}: expected one of {', '.join(STUDIES)}, or {ALL}")
    if jobs < 1:
        raise RecipeError(f"jobs is {jobs}, expected how many studies may run at once, 1 or more")
    if laboratory.model is not None and name != ALL and STUDIES[name].encoders:
        raise RecipeError(f"{name} compares encoders that it trains, found the model {laboratory.model}: leave it out")
    world = laboratory.out / "world"
    if laboratory.data is None and not world.exists():
        with progress_bar("rendering", "frames", laboratory.progress) as bar:
            make_world(world, SCALES[laboratory.setting.world], 0, workers=laboratory.workers or None, progress=bar)
    kind = laboratory.steps[0].split.name
    among_all = [
        one for one, study in STUDIES.items()
        if study.kind in (None, kind) and not (study.encoders and laboratory.model)
    ]  # fmt: skip
    wanted = among_all if name == ALL else [name]
    found = {}
    for done in _in_turn(laboratory, wanted) if jobs == 1 else _at_once(laboratory, wanted, jobs):
        for outcome, paths in done:
            found[outcome.name] = outcome
            if say is not None:
                say(outcome, paths)
    return {one: found[one] for one in wanted}


_Done = list[tuple[Outcome, list[Path]]]


def _in_turn(laboratory: Laboratory, wanted: Sequence[str]) -> Iterator[_Done]:
    for one in wanted:
        yield laboratory.run([one])


def _at_once(laboratory: Laboratory, wanted: Sequence[str], jobs: int) -> Iterator[_Done]:
    """The encoders that most studies begin with, then studies, those that take long first."""
    setting = laboratory.setting
    length = setting.recipe.clips.length
    encoders = [(setting.seeds[0], other) for other in setting.epochs if other != length]
    tasks: list[Callable[[Laboratory], _Done | None]] = [
        partial(Laboratory.train_encoder, seed=seed, length=own)
        for seed, own in [*((seed, length) for seed in setting.seeds), *encoders]
        if laboratory.model is None
    ]
    groups = [[one for one in group if one in wanted] for group in TOGETHER]
    groups += [[one] for one in wanted if not any(one in group for group in TOGETHER)]
    tasks += [partial(Laboratory.run, names=group) for group in groups if group]
    apart = replace(laboratory, workers=laboratory.workers // jobs, progress=False)
    with progress_bar("studies", "steps", laboratory.progress) as bar:
        for count, done in enumerate(side_by_side(apart, tasks, jobs), 1):
            bar(count, len(tasks))
            if done is not None:
                yield done


def machine(device: str) -> str:
    """Where a study ran, in words."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} cores ({platform.machine()}), no GPU"


__all__ = ["ALL", "SETTINGS", "STUDIES", "Laboratory", "Study", "machine", "reproduce"]
