import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.models.clip_agreement import AGREEMENT, SHARPNESS, ClipAgreement
from resight.recipe import Stage2
from resight.scoring.all_pairs import score_all_pairs
from resight.scoring.bounds import bound_similarities
from resight.scoring.one_pair import score_one_pair

D = 6


def made() -> ClipAgreement:
    """Return an aggregator whose qualities vary, as after training."""
    torch.manual_seed(1)
    aggregator = ClipAgreement(D, hidden=5).eval()
    nn.init.normal_(aggregator.last.weight)
    return aggregator


def importance_in_loops(aggregator: ClipAgreement, query: Tensor, gallery: Tensor) -> Tensor:
    def quality(clip: Tensor) -> float:
        logit = aggregator.last.bias.item()
        for unit in range(aggregator.first.out_features):
            x = aggregator.first.bias[unit].item() + 10 * float(aggregator.first.weight[unit] @ (clip / clip.norm()))
            logit += max(x, 0.0) * aggregator.last.weight[0, unit].item()
        return 1 / (1 + math.exp(-logit))

    def agreement(clips: Tensor, i: int) -> float:
        others = [k for k in range(len(clips)) if k != i]
        weights = [quality(clips[k]) for k in others]
        cosines = [float(F.cosine_similarity(clips[i], clips[k], dim=0)) for k in others]
        return sum(w * c for w, c in zip(weights, cosines, strict=True)) / sum(weights)

    beta, gamma = aggregator.sharpness.item(), aggregator.agreement.item()
    return torch.tensor([
        [
            quality(f_i) * quality(f_j)
            * math.exp(
                beta * float(F.cosine_similarity(f_i, f_j, dim=0))
                + gamma * (agreement(query, i) + agreement(gallery, j))
            )
            for j, f_j in enumerate(gallery)
        ]
        for i, f_i in enumerate(query)
    ])  # fmt: skip


@torch.no_grad()
def test_importance_is_the_equation_in_plain_loops() -> None:
    aggregator = made()
    query, gallery = torch.randn(4, D), torch.randn(3, D)
    expected = importance_in_loops(aggregator, query, gallery)
    found = score_one_pair(query, gallery, aggregator)
    torch.testing.assert_close(torch.tensor(found.weight), (expected / expected.sum()).double(), rtol=1e-4, atol=0)
    assert found.importance.max() == 1
    cosine = F.cosine_similarity(query[:, None], gallery[None], dim=2)
    assert found.score == pytest.approx(((expected * cosine).sum() / expected.sum()).item(), abs=1e-5)


def test_is_symmetric_inside_the_bounds_and_independent_of_the_order_of_clips() -> None:
    torch.manual_seed(2)
    query, gallery, aggregator = torch.randn(5, 4, D), torch.randn(7, 3, D), made()
    scores = score_all_pairs(query, gallery, aggregator)
    torch.testing.assert_close(torch.tensor(scores.T), torch.tensor(score_all_pairs(gallery, query, aggregator)))
    shuffled = score_all_pairs(query[:, [2, 0, 3, 1]], gallery, aggregator)
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(shuffled))
    bounds = bound_similarities(query, gallery)
    assert (bounds.lower <= scores).all() and (scores <= bounds.upper).all()


def test_the_minority_of_a_tracklet_and_clips_of_low_quality_count_less() -> None:
    person, other = F.normalize(torch.randn(2, D), dim=1)
    aggregator = ClipAgreement(D).eval()
    mixed = torch.stack([person, person, person, other])
    weight = aggregator.pair_weights(mixed, person[None]).weight[:, 0]
    assert weight[3] < weight[:3].min()
    aggregator.sharpness.zero_()
    assert aggregator.pair_weights(mixed, other[None]).weight[3, 0] < 0.2  # by agreement alone
    aggregator.agreement.zero_()
    nn.init.zeros_(aggregator.first.weight)
    with torch.no_grad():
        aggregator.first.weight[0] = -other
        aggregator.first.weight[1] = other
        aggregator.last.weight[0, 1] = -5
    assert aggregator.pair_weights(mixed, person[None]).weight[3, 0] < 1e-3


def test_the_scale_follows_the_spread_of_the_cosines() -> None:
    torch.manual_seed(3)
    features = torch.randn(600, 2, D)
    wide, narrow = ClipAgreement(D), ClipAgreement(D)
    wide.set_scale(features)
    narrow.set_scale(features + 3)
    assert narrow.sharpness > 2 * wide.sharpness
    assert (wide.sharpness / wide.agreement).item() == pytest.approx(SHARPNESS / AGREEMENT)
    before = wide.sharpness.clone()
    wide.set_scale(features[:1])
    assert wide.sharpness == before


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(4)
    aggregator, x = made(), torch.randn(3, 4, D)
    assert torch.equal(aggregator(x, x), aggregator(x, x))
    aggregator.train()
    assert not torch.equal(aggregator(x, x), aggregator(x, x))


def test_a_recipe_sets_its_size() -> None:
    aggregator = ClipAgreement.from_recipe(D, Stage2(aggregator="clip-agreement", hidden=4, dropout=0.25))
    assert (aggregator.first.weight.shape, aggregator.dropout) == ((4, D), 0.25)
