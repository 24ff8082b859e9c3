from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from resight.models.camera_encoder import CameraEncoder, camera_statistics, read_statistics, write_statistics
from resight.models.encoders import inference_copy, make_encoder
from resight.recipe import Stage1

CLIPS = torch.rand(6, 3, 2, 32, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


class Twice(nn.Module):
    """Two layers of BatchNorm whose statistics can be computed by hand, and a neck."""

    dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm3d(3, eps=0.0), nn.BatchNorm2d(3, eps=0.0)
        self.neck = nn.BatchNorm1d(3)

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.neck(self.second((2 * self.first(clips)).mean(2)).mean((2, 3)))
        return features


def mixed(trained: float, own: Tensor, share: float) -> Tensor:
    return (1 - share) * trained + share * own


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_mixture_is_that_of_the_definition(share: float) -> None:
    encoder = Twice().eval()
    values = camera_statistics(encoder, [CLIPS], share)
    mean, variance = CLIPS.mean((0, 2, 3, 4)), CLIPS.var((0, 2, 3, 4), correction=0)
    first = torch.stack([mixed(0, mean, share), mixed(1, variance, share)])
    # The second layer sees what the first one makes with its mixture.
    column = (1, -1, 1, 1)
    seen = 2 * ((CLIPS.mean(2) - first[0].view(column)) / first[1].sqrt().view(column))
    second = torch.stack([mixed(0, seen.mean((0, 2, 3)), share), mixed(1, seen.var((0, 2, 3), correction=0), share)])
    torch.testing.assert_close(values, torch.cat([first, second], 1))
    assert torch.equal(read_statistics(encoder), torch.tensor([[0.0], [1.0]]).expand(2, 6))


def test_batches_are_pooled_exactly() -> None:
    encoder = nn.Sequential(nn.BatchNorm3d(3), nn.Flatten()).eval()
    whole = camera_statistics(encoder, [CLIPS], 0.5)
    torch.testing.assert_close(camera_statistics(encoder, [CLIPS[:1], CLIPS[1:]], 0.5), whole)


@pytest.mark.parametrize(
    "stage",
    [
        Stage1(encoder_width=0.125, instance_norm=True, neck="after"),
        Stage1(encoder_width=0.125, neck="before"),
        Stage1(encoder="efficientnet-lite0", neck="after"),
    ],
)
def test_every_trained_encoder_takes_the_statistics_of_a_camera(stage: Stage1) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(stage).eval()
    before = read_statistics(encoder)
    own = camera_statistics(encoder, [CLIPS], 0.5)
    assert own.shape == before.shape and own.shape[1] > 100
    assert (own != before).any(0).float().mean() > 0.9 and own.isfinite().all()
    cameras = CameraEncoder(encoder, {"gate": own})
    with torch.inference_mode():
        trained = encoder(CLIPS)
        assert torch.equal(cameras(CLIPS), trained)
        slow = cameras.of_camera("gate")(CLIPS)
        folded, unknown = (inference_copy(cameras, camera=camera)(CLIPS) for camera in ("gate", "door"))
    assert (folded - slow).norm() < 1e-4 * slow.norm() and (unknown - trained).norm() < 1e-4 * trained.norm()
    assert (slow - trained).norm() > 1e-5 * trained.norm()  # random weights: the bias of the last layer dominates
    assert cameras.identity("door") == "" and len(cameras.identity("gate")) == 64
    assert cameras.of_camera("door") is encoder
    # If every layer has the statistics of the clips alone, these clips have them after every layer.
    alone = camera_statistics(encoder, [CLIPS], 1.0)
    copied = CameraEncoder(encoder, {"gate": alone}).of_camera("gate")
    torch.testing.assert_close(camera_statistics(copied, [CLIPS], 1.0), alone, rtol=1e-3, atol=1e-4)


def test_statistics_are_written_layer_by_layer() -> None:
    encoder = Twice()
    write_statistics(encoder, torch.arange(12.0).view(2, 6))
    assert encoder.second.running_var is not None
    assert encoder.second.running_var.tolist() == [9, 10, 11] and read_statistics(encoder).tolist()[0] == [*range(6)]
    assert read_statistics(nn.Linear(2, 2)).shape == (2, 0)
