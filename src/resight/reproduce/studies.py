"""The studies by name, and running them."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from resight.data.readers import read_splits
from resight.errors import RecipeError
from resight.explain.plots import save_figure
from resight.progress import progress_bar
from resight.reproduce import beyond, clips, damage, figures, joint, pictures, recipes, standing, sweep
from resight.reproduce.outcome import Outcome
from resight.reproduce.setting import SETTINGS, Setting
from resight.reproduce.steps import Steps
from resight.synthetic.world import SCALES, make_world
from resight.tracklet import Split

ALL = "all"


@dataclass(frozen=True)
class Study:
    """One table or figure.

    Attributes:
        run: the steps of every split to what was found; most take one split.
        draw: what was found, as a figure.
        pictures: figures that show frames, each with an end of its name; kept out of the repository for real people.
        kind: of data set that it is about; among all studies it is left out for data of another kind.
    """

    run: Callable[..., Outcome]
    draw: Callable[[Outcome], Figure] | None = None
    pictures: Callable[[Steps], Iterator[tuple[str, Figure]]] | None = None
    kind: str | None = None

    @property
    def splits(self) -> bool:
        """Whether every official split is run."""
        return self.kind == "prid2011"


STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "fig3": Study(clips.fig3, figures.maps_only),
        "fig4": Study(clips.fig4, figures.lines),
        "fig5": Study(pictures.fig5, pictures=pictures.picture_of_fig5),
        "fig6": Study(sweep.fig6, figures.lines),
        "table2": Study(sweep.table2, figures.table2_lines),
        "table3": Study(standing.table3, kind="mars"),
        "table4": Study(standing.table4, kind="duke-video"),
        "table5": Study(standing.table5, kind="prid2011"),
        "table6": Study(clips.table6, figures.lines),
        "fig7": Study(pictures.fig7, pictures=pictures.picture_of_fig7),
        "aggregators": Study(beyond.aggregators, figures.bars),
        "damage": Study(damage.damage, damage.draw),
        "order": Study(beyond.order),
        "cost": Study(beyond.cost, figures.budget),
        "recipes": Study(recipes.recipes, figures.bars),
        "joint": Study(joint.joint),
    }
)
"""Name → study: the paper's tables and figures, then ours."""


def reproduce(
    name: str,
    data: str | None,
    out: Path,
    setting: Setting,
    *,
    device: str = "cpu",
    workers: int = 0,
    init: Path | None = None,
    progress: bool = False,
    say: Callable[[Outcome, list[Path]], None] | None = None,
) -> dict[str, Outcome]:
    """Run one study, or all of them, and write what they found.

    Args:
        name: one of `STUDIES`, or ``all``.
        data: ``KIND:PATH``; None renders the setting's world into ``out/world`` first.
        out: folder of steps (trainings and features, reused by every study) and of results.
        setting: how large.
        device: ``cpu`` or ``cuda``.
        workers: processes that decode.
        init: Kinetics weights that every encoder starts from, as in the paper; random weights otherwise.
        progress: show bars.
        say: told of every study as it ends, and which files it wrote.

    Returns:
        What each study found, by name.

    Raises:
        RecipeError: if there is no such study.
        DatasetError: if the data cannot be read, or have too few persons.
    """
    if name != ALL and name not in STUDIES:
        raise RecipeError(f"no study is called {name!r}: expected one of {', '.join(STUDIES)}, or {ALL}")
    world = out / "world"
    if data is None and not world.exists():
        with progress_bar("rendering", "frames", progress) as bar:
            make_world(world, SCALES[setting.world], 0, workers=workers or None, progress=bar)
    dataset = data or f"mars:{world}"
    splits = read_splits(dataset)
    laboratories = [
        Steps(split, setting, _folder(split, out, init), device=device, workers=workers, init=init, progress=progress)
        for split in splits
    ]
    found = {}
    for one, study in STUDIES.items():
        if name == one or (name == ALL and study.kind in (None, splits[0].name)):
            chosen = laboratories if study.splits else laboratories[:1]
            found[one] = outcome = replace(
                study.run(*chosen),
                command=_command(one, data, setting, init),
                setting=setting.name,
                seeds=setting.seeds,
                seconds={step: took for steps in chosen for step, took in steps.seconds().items()},
                machine=machine(device),
            )
            outcome = found[one] = replace(
                outcome, conditions=f"{data or f'the {setting.world} world, seed 0'}; {outcome.conditions}"
            )
            paths = outcome.save(out / "results")
            drawn = [("", study.draw(outcome))] if study.draw else []
            for end, figure in [*drawn, *(study.pictures(chosen[0]) if study.pictures else ())]:
                for suffix in ("png", "svg", "pdf"):
                    path = out / "results" / f"{one}{end}.{suffix}"
                    save_figure(figure, path)
                    paths.append(path)
            if say is not None:
                say(outcome, paths)
    return found


def _command(name: str, data: str | None, setting: Setting, init: Path | None) -> str:
    """What to type to get a study again."""
    chosen = f" --data {data}" if data else ""
    size = f" --setting {setting.name}" if setting.name != "small" else ""
    usual = SETTINGS[setting.name].seeds if setting.name in SETTINGS else setting.seeds
    seeds = f" --seeds {len(setting.seeds)}" if setting.seeds != usual else ""
    begun = f" --init {init}" if init else ""
    return f"resight reproduce {name}{chosen}{size}{seeds}{begun}"


def machine(device: str) -> str:
    """Where a study ran, in words."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} cores ({platform.machine()}), no GPU"


def _folder(split: Split, out: Path, init: Path | None) -> Path:
    """Where the steps of a split are kept, apart for every start."""
    steps = out / (f"steps-from-{init.stem}" if init else "steps")
    return steps if split.number is None else steps / f"split{split.number}"


__all__ = ["ALL", "SETTINGS", "STUDIES", "Study", "machine", "reproduce"]
