from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from resight.data.damage import choose_damage
from resight.errors import RecipeError
from resight.evaluation.protocols import PROTOCOLS
from resight.features.types import ClipFeatures
from resight.models.aggregators import Aggregator, MaxPair, MeanFeature, MeanPair
from resight.studies.damage_benchmark import DamageCurve, Side, damage_curve
from resight.studies.rivals.feedforward import PairAttention

M, D = 4, 6
PERSONS = (1, 1, 1, 2, 2, 2, 3, 3, 0, -1)
CAMERAS = (1, 2, 3, 1, 2, 1, 1, 2, 1, 2)
STANDARD = PROTOCOLS["standard"]
KINDS = ("empty", "bad-crop")


def features(values: NDArray[np.float64], rows: list[int]) -> ClipFeatures:
    return ClipFeatures(
        tuple(f"t{i}" for i in rows),
        np.array([PERSONS[i] for i in rows]),
        np.array([CAMERAS[i] for i in rows]),
        values[rows].astype(np.float32),
        np.zeros((len(rows), M, 1), np.int64),
    )


@pytest.fixture
def world() -> tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]]:
    """Return clean (``""``) and damaged features of queries and gallery; damaged ones are similar and short."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(5, D)) + 1
    clean = people[list(PERSONS)][:, None] + rng.normal(size=(10, M, D)) * 0.8
    views = {"": clean, "empty": np.abs(rng.normal(size=(10, M, D))) * 0.2, "bad-crop": rng.normal(size=(10, M, D)) / 9}
    query = {kind: features(one, [0, 3, 6, 7]) for kind, one in views.items()}
    return query, {kind: features(one, list(range(10))) for kind, one in views.items()}


def run(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]],
    aggregator: Aggregator,
    rates: list[int],
    kinds: tuple[str, ...] | None = KINDS,
    side: Side = "both",
    seed: int = 3,
) -> DamageCurve:
    (query, gallery) = world
    asked, searched = ({kind: one for kind, one in views.items() if kind} for views in world)
    return damage_curve(
        aggregator, query[""], gallery[""], asked, searched, STANDARD, rates, kinds=kinds, side=side, seed=seed,
    )  # fmt: skip


def slowly(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]],
    aggregator: Aggregator,
    rate: int,
    kinds: tuple[str, ...],
    side: str,
) -> tuple[float, float, float, float | None]:
    """Return mAP, rank-1, mINP, and the AUROC of the first kind, computed in loops."""
    sides = []
    for name, views in zip(("query", "gallery"), world, strict=True):
        drawn = choose_damage(views[""].ids, M, rate, kinds, 3)
        if side not in (name, "both"):
            drawn[:] = ""
        mixed = [[views[drawn[t, m]].values[t, m] for m in range(M)] for t in range(len(drawn))]
        sides.append((views[""], torch.tensor(np.array(mixed)), drawn))
    (query, q_values, labels), (gallery, g_values, _) = sides
    precisions, firsts, penalties, shares = [], [], [], np.zeros((len(query), M))
    for q in range(len(query)):
        scores = [aggregator(q_values[q][None], g_values[g][None]).item() for g in range(len(gallery))]
        order = sorted(range(len(gallery)), key=lambda g: -scores[g])
        person, camera = query.persons[q], query.cameras[q]
        own = [g for g in order if gallery.cameras[g] == camera and gallery.persons[g] == person]
        valid = [g for g in order if g not in own and gallery.persons[g] != -1]
        hits = [n for n, g in enumerate(valid, 1) if gallery.persons[g] == person]
        precisions.append(sum(n / rank for n, rank in enumerate(hits, 1)) / len(hits))
        firsts.append(hits[0] == 1)
        penalties.append(len(hits) / hits[-1])
        seen = [g for g in order if gallery.cameras[g] != camera and gallery.persons[g] != -1][:5]
        for g in seen:
            weight = aggregator.pair_weights(q_values[q], g_values[g]).weight.sum(1)
            shares[q] += (weight / weight.sum()).numpy() / len(seen)
    low = [(-shares[t, m], labels[t, m]) for t in range(len(query)) for m in range(M)]
    pairs = [(a > b) + 0.5 * (a == b) for a, x in low if x == kinds[0] for b, y in low if not y]
    auroc = float(np.mean(pairs)) if pairs else None
    return float(np.mean(precisions)), float(np.mean(firsts)), float(np.mean(penalties)), auroc


@pytest.mark.parametrize("side", ["query", "gallery", "both"])
@pytest.mark.parametrize("kinds", [KINDS, ("empty",)])
def test_a_curve_agrees_with_plain_loops(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]], side: Side, kinds: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    # Damaged features are shorter, so that weights that depend on length can detect them.
    for aggregator in (MeanFeature(normalise=False), PairAttention(D, 8).eval()):
        curve = run(world, aggregator, [4, 2], kinds, side)
        assert curve.rates == (0, 2, 4) and (curve.kinds, curve.side, curve.seed) == (kinds, side, 3)
        for n, rate in enumerate(curve.rates):
            expected = slowly(world, aggregator, rate, kinds, side)
            assert (curve.map[n], curve.rank1[n], curve.minp[n]) == pytest.approx(expected[:3])
        if side == "gallery":
            assert not curve.auroc
        else:
            assert curve.auroc[kinds[0]].auroc == pytest.approx(expected[3])
            assert set(curve.auroc) == set(kinds)
    assert "standard" in curve.conditions and "4" in curve.conditions


def test_drop_and_area_follow_from_the_curve(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]],
) -> None:
    curve = run(world, MeanPair(), [1, 2, 4])
    assert curve.drop == pytest.approx([(curve.map[0] - one) / curve.map[0] for one in curve.map])
    area = sum(
        (b - a) * (x + y) / 2
        for a, b, x, y in zip(curve.rates, curve.rates[1:], curve.map, curve.map[1:], strict=False)
    )
    assert curve.area == pytest.approx(area / 4) and min(curve.map) < curve.area < max(curve.map)
    assert curve.drop[0] == 0 and max(curve.drop) > 0
    alone = run(world, MeanPair(), [])
    assert alone.rates == (0,) and alone.area == alone.map[0] == curve.map[0] and not alone.auroc


def test_sides_and_seeds_give_different_damage(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]],
) -> None:
    curves = [run(world, MaxPair(), [4], side=side) for side in ("query", "gallery", "both")]
    assert len({curve.map[1] for curve in curves}) > 1 and len({curve.map[0] for curve in curves}) == 1
    assert run(world, MaxPair(), [4]) == run(world, MaxPair(), [4])
    assert len({run(world, MaxPair(), [4], seed=seed).map for seed in range(6)}) > 1
    assert run(world, MaxPair(), [4], kinds=None).kinds == KINDS
    # A side that stays clean needs no features of damage.
    query, gallery = world
    half = {kind: query[kind] for kind in KINDS}
    assert damage_curve(MaxPair(), query[""], gallery[""], half, {}, STANDARD, [4], side="query", seed=3) == curves[0]


def test_rejects_invalid_rates_sides_and_kinds(
    world: tuple[dict[str, ClipFeatures], dict[str, ClipFeatures]],
) -> None:
    with pytest.raises(RecipeError, match="rate is 5, expected 0 to 4"):
        run(world, MeanPair(), [1, 5])
    with pytest.raises(RecipeError, match="side is 'left'"):
        run(world, MeanPair(), [1], side="left")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="occluded clips, found those of empty, bad-crop"):
        run(world, MeanPair(), [1], kinds=("empty", "occluded"))
    with pytest.raises(RecipeError, match="at least one kind of damage"):
        run(world, MeanPair(), [1], kinds=())
