"""The whole path on a world of people that never lived: render, search, train, evaluate, explain, report.

``python -m experiments.demo --out demo`` takes five to ten minutes on two cores; ``--seeds 3`` repeats the training
with other seeds and reports mean and spread. Every step is kept: run again, and it goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from cyclopts import run

from experiments.baselines import ColourHistogram
from experiments.demo_report import LEARNED, SHIPPED, SHIPPED_MEAN, SeedResult, write_demo_report
from resight.checkpoints import load_checkpoint, replace_file
from resight.cli.asking import search
from resight.data.readers import read_dataset
from resight.data.split import TrainingSplit
from resight.evaluation.compare import Comparison, clip_faults, compare_aggregators
from resight.evaluation.protocols import default_protocol
from resight.explanation.plots import plot_cmc, save_figure
from resight.features.damaged import extract_damaged_features
from resight.features.store import FeatureStore
from resight.models.aggregators import Aggregator, MeanFeature, MeanPair, TopShare
from resight.models.encoders import make_encoder
from resight.progress import progress_bar
from resight.recipe import Recipe, read_recipe
from resight.shipped import DEFAULT, shipped_model
from resight.synthetic.faults import read_faults
from resight.synthetic.world import SCALES, make_world
from resight.tracklet import Dataset
from resight.training.loop import RunOptions
from resight.training.stage2_data import prepare_stage2
from resight.training.stage2_importance import train_aggregator
from resight.training.train import train_model

SHARES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
TRAINED_SHARES = (20, 50, 100)


def demo(
    *,
    out: Path = Path("demo"),
    seeds: int = 1,
    recipe: str = "demo",
    scale: str = "demo",
    data: Path | None = None,
    workers: int = os.cpu_count() or 1,
) -> None:
    """Run the demo.

    Args:
        out: Folder for world, models, features and report.html.
        seeds: Number of trainings, with seeds 0, 1, …
        recipe: demo, or a TOML file.
        scale: Size of the world.
        data: A world that exists, instead of a new one.
        workers: Processes that render and read.
    """
    times: dict[str, float] = {}
    world = data or out / "world"
    if data is None and not world.exists():
        with progress_bar("rendering", "frames") as progress:
            report = make_world(world, SCALES[scale], 0, workers=workers, progress=progress)
        times["world"] = report.seconds
        print(f"world: {report.frames} frames in {report.seconds:.0f} s ({report.frames_per_second:.0f} frames/s)")
    dataset = f"mars:{world}"
    split = read_dataset(dataset)
    print(f"\nfirst search, by the model {DEFAULT} that comes along")
    search(split.query[0].id, dataset, out=out / "first-search.html")
    base = read_recipe(recipe)
    damage = base.stage2.max_corrupted
    results = []
    for seed in range(seeds):
        result = run_seed(split, replace(base, seed=seed), out / f"seed{seed}", workers)
        print(f"\nseed {seed}, clean\n{result.clean.to_text()}")
        print(f"\nseed {seed}, M_c^max = {damage}\n{result.damaged.to_text()}")
        results.append(result)
    page = out / "report.html"
    write_demo_report(page, results, split, times, damage)
    numbers = [{"clean": r.clean.to_json(), "damaged": r.damaged.to_json(), "seconds": r.seconds} for r in results]
    with replace_file(out / "results.json") as temporary:
        temporary.write_text(json.dumps({"max_corrupted": damage, "seeds": numbers}, indent=1), encoding="utf-8")
    print(f"\nwrote {page}, {out / 'results.json'}, and the model {results[0].model_path}")


def run_seed(split: Dataset, recipe: Recipe, folder: Path, workers: int) -> SeedResult:
    """Train encoder, importance and the top-t % baselines with one seed; evaluate them, clean and damaged."""
    seconds: dict[str, float] = {}
    options = RunOptions(folder, workers=workers, progress=True)
    start = time.monotonic()
    persons = TrainingSplit.draw(split.train, recipe.validation_share, recipe.seed)
    trained = train_model(split.train, recipe, options)
    seconds["training"] = time.monotonic() - start
    encoder = trained.checkpoint.encoder
    shipped = load_checkpoint(shipped_model())

    start = time.monotonic()
    data = prepare_stage2(encoder, persons, recipe, FeatureStore(), workers=workers)
    tops: dict[int, Aggregator] = {}
    for share in TRAINED_SHARES:
        top = TopShare(share, dim=encoder.dim)
        tops[share], _ = train_aggregator(top, encoder, data, recipe, options, name=f"top{share}")
    seconds["baselines"] = time.monotonic() - start

    start = time.monotonic()
    torch.manual_seed(recipe.seed)
    untrained = make_encoder(recipe.stage1)
    scores: list[Comparison] = []
    for max_corrupted in (0, recipe.stage2.max_corrupted):
        learned = {"mean of pairs": MeanPair(), "mean feature": MeanFeature(), LEARNED: trained.checkpoint.aggregator}
        rest = split, recipe, folder, max_corrupted, workers
        compared = [
            _compare(encoder, {**_top_share(tops), **learned}, *rest),
            _compare(ColourHistogram(), {"colour histogram": MeanFeature()}, *rest),
            _compare(untrained, {"untrained encoder": MeanFeature()}, *rest),
            _compare(
                shipped.encoder, {SHIPPED_MEAN: MeanPair(), SHIPPED: shipped.aggregator},
                split, replace(shipped.recipe, seed=recipe.seed), *rest[2:],
            ),
        ]  # fmt: skip
        scores.append(
            Comparison(
                {name: s for one in compared for name, s in one.scores.items()},
                {name: r for one in compared for name, r in one.rankings.items()},
                compared[0].auroc,
            )
        )
        evaluation = folder / f"evaluation-{max_corrupted}"
        scores[-1].save(evaluation)
        curves = {
            name: one.cmc for name, one in scores[-1].scores.items() if not name.startswith("top") or "50" in name
        }
        save_figure(plot_cmc(curves, scores[-1].protocol_line), evaluation / "cmc.png")
    seconds["evaluation"] = time.monotonic() - start
    return SeedResult(recipe, trained.path, scores[0], scores[1], seconds)


def _top_share(tops: Mapping[int, Aggregator]) -> dict[str, Aggregator]:
    """The paper's two variants (Sec. 4.4): t used in evaluation only, and t used in training too."""
    everywhere = tops[100].state_dict()
    made: dict[str, Aggregator] = {}
    for share in SHARES:
        top = TopShare(share, dim=everywhere["projection.weight"].shape[0])
        top.load_state_dict(everywhere)
        made[f"top {share} %-eval"] = top.eval()
    made |= {f"top {share} %, no projection": TopShare(share) for share in SHARES}
    return made | {f"top {share} %-traineval": top for share, top in tops.items() if share != 100}


def _compare(
    encoder: torch.nn.Module,
    aggregators: Mapping[str, Aggregator],
    split: Dataset,
    recipe: Recipe,
    folder: Path,
    max_corrupted: int,
    workers: int,
) -> Comparison:
    everyone = list({t.id: t for t in (*split.gallery, *split.query)}.values())
    with progress_bar("encoding", "tracklets") as progress:
        features, damage = extract_damaged_features(
            encoder, everyone, recipe.clips, max_corrupted, recipe.seed,
            cache=folder / "features", workers=workers, progress=progress,
        )  # fmt: skip
    faults = clip_faults(everyone, features, read_faults(split.root), damage)[features.places(split.query)]
    protocol = default_protocol(split.name)
    return compare_aggregators(
        aggregators, features.of(split.query), features.of(split.gallery), protocol, faults=faults
    )


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count() or 1)
    run(demo)
