"""One test for each equation of the paper, recomputed in plain loops over numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from resight.losses import batch_hard_triplet, euclidean, identity_cross_entropy, stage1_loss, stage2_loss
from resight.models.aggregators import Learned, TopShare
from resight.models.importance import Importance
from resight.scoring.one_pair import score_one_pair

M, N, D = 3, 2, 4
Vector = list[float]


def unit(vector: Vector) -> Vector:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def g(network: Importance, x: Vector) -> float:
    """Return g(x) in evaluation mode, computed unit by unit."""
    for linear, norm in ((network.first, network.first_norm), (network.second, network.second_norm)):
        assert norm.running_mean is not None and norm.running_var is not None
        sums = [dot(row, x) + b for row, b in zip(linear.weight.tolist(), linear.bias.tolist(), strict=True)]
        x = [
            (max(s, 0.0) - mean) / math.sqrt(var + norm.eps) * scale + shift
            for s, mean, var, scale, shift in zip(
                sums,
                norm.running_mean.tolist(),
                norm.running_var.tolist(),
                norm.weight.tolist(),
                norm.bias.tolist(),
                strict=True,
            )
        ]
    return math.log(1 + math.exp(dot(network.last.weight[0].tolist(), x) + network.last.bias.item()))


@pytest.fixture(params=["constant", "pair"])
def learned(request: pytest.FixtureRequest) -> Learned:
    torch.manual_seed(0)
    made = Learned(D, 5, first=request.param).double()
    for norm in (made.importance.first_norm, made.importance.second_norm):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.01, 1)
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.uniform_(norm.bias, -1, 1)
    return made.eval()


@pytest.fixture
def query() -> Tensor:
    return torch.randn(M, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def gallery() -> Tensor:
    return torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def recurrence(learned: Learned, query: Tensor, gallery: Tensor) -> tuple[Vector, list[Vector], list[Vector]]:
    """Return importances, running representations and combined representations for each t, by Eq. 1 and 2."""
    pairs = [[a * b for a, b in zip(unit(q), unit(h), strict=True)] for q in query.tolist() for h in gallery.tolist()]
    r = pairs[0] if learned.first == "constant" else [0.0] * D
    alphas: Vector = []
    representations: list[Vector] = []
    for c in pairs:
        alpha = g(learned.importance, [a - b for a, b in zip(r, c, strict=True)])
        before = sum(alphas)
        r = [(before * a + alpha * b) / (before + alpha) for a, b in zip(r, c, strict=True)]
        alphas.append(alpha)
        representations.append(r)
    return alphas, representations, pairs


def test_equation_1(learned: Learned, query: Tensor, gallery: Tensor) -> None:
    """The importance of pair t is g of the running representation before it minus its own representation."""
    alphas, _, _ = recurrence(learned, query, gallery)
    assert max(alphas) > 1.1 * min(alphas)
    assert learned.pair_weights(query, gallery).importance.flatten().tolist() == pytest.approx(alphas)
    assert score_one_pair(query, gallery, learned).importance.flatten().tolist() == pytest.approx(alphas)


def test_equation_2(learned: Learned, query: Tensor, gallery: Tensor) -> None:
    """The running representation is the mean so far, weighted by importance; it starts as the first pair."""
    alphas, representations, pairs = recurrence(learned, query, gallery)
    assert representations[0] == pytest.approx(pairs[0])
    weights = learned.pair_weights(query, gallery).weight.flatten().tolist()
    for d in range(D):
        mean = sum(w * c[d] for w, c in zip(weights, pairs, strict=True))
        assert mean == pytest.approx(representations[-1][d])
        for t in range(M * N):
            so_far = sum(a * c[d] for a, c in zip(alphas[: t + 1], pairs, strict=False)) / sum(alphas[: t + 1])
            assert so_far == pytest.approx(representations[t][d])


def test_equation_3(learned: Learned, query: Tensor, gallery: Tensor) -> None:
    """The similarity is the mean cosine, weighted by importance."""
    alphas, _, _ = recurrence(learned, query, gallery)
    cosines = [dot(unit(q), unit(h)) for q in query.tolist() for h in gallery.tolist()]
    expected = sum(a * c for a, c in zip(alphas, cosines, strict=True)) / sum(alphas)
    assert learned(query[None], gallery[None]).item() == pytest.approx(expected)
    assert score_one_pair(query, gallery, learned).score == pytest.approx(expected)


def test_equations_4_to_6(learned: Learned, query: Tensor, gallery: Tensor) -> None:
    """For features of length 1, the similarity is the sum of the last running representation."""
    _, representations, _ = recurrence(learned, query, gallery)
    assert learned(query[None], gallery[None]).item() == pytest.approx(sum(representations[-1]))


def test_equation_7() -> None:
    """The farthest positive of each anchor must be nearer than its nearest negative, by the margin."""
    torch.manual_seed(3)
    features, persons, margin = torch.randn(6, D), [1, 1, 1, 2, 2, 3], 0.7
    features, persons = torch.cat([features, torch.randn(1, D)]), [*persons, 3]

    def total(distance: list[Vector]) -> float:
        anchors = range(len(persons))
        loss = 0.0
        for a in anchors:
            furthest = max(distance[a][p] for p in anchors if p != a and persons[p] == persons[a])
            nearest = min(distance[a][n] for n in anchors if persons[n] != persons[a])
            loss += max(0.0, margin + furthest - nearest)
        return loss

    points = features.tolist()
    apart = [[math.dist(a, b) for b in points] for a in points]
    expected = total(apart)
    assert expected > 0
    assert batch_hard_triplet(euclidean(features), torch.tensor(persons), margin).loss.item() == pytest.approx(expected)
    parts = stage1_loss(features, torch.zeros(7, 3), torch.tensor(persons), torch.tensor(persons) - 1, margin)
    assert parts.triplet.item() == pytest.approx(expected)
    similar = [[dot(unit(a), unit(b)) for b in points] for a in points]
    expected = total([[-s for s in row] for row in similar])
    assert stage2_loss(torch.tensor(similar), torch.tensor(persons), margin).loss.item() == pytest.approx(expected)


def test_equation_8() -> None:
    """The loss is the negative log of the softmax probability of the correct identity, summed over the batch."""
    torch.manual_seed(4)
    logits, targets = torch.randn(5, 3), [0, 2, 1, 1, 0]
    expected = 0.0
    for row, target in zip(logits.tolist(), targets, strict=True):
        expected -= math.log(math.exp(row[target]) / sum(math.exp(x) for x in row))
    assert identity_cross_entropy(logits, torch.tensor(targets)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [1, 10, 34, 50, 100])
def test_equation_9(share: float, query: Tensor, gallery: Tensor) -> None:
    """The similarity is the mean of the ceil(t % of M N) most similar pairs, after the projection."""
    torch.manual_seed(5)
    top = TopShare(share, D).double()
    matrix = torch.randn(D, D, dtype=torch.float64)
    with torch.no_grad():
        top.projection.get_parameter("weight").copy_(matrix)
    projected = [[[dot(row, x) for row in matrix.tolist()] for x in clips.tolist()] for clips in (query, gallery)]
    cosines = sorted((dot(unit(q), unit(h)) for q in projected[0] for h in projected[1]), reverse=True)
    count = math.ceil(share / 100 * M * N)
    assert top(query[None], gallery[None]).item() == pytest.approx(sum(cosines[:count]) / count)
