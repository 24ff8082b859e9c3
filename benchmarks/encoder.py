"""The clip encoder against a plain I3D: inference and training, at the sizes of the paper and of the demo."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain.encoder import PlainI3D
from benchmarks.timing import MATRIX_FLOP, Row, Work, matrix_product, take_turns
from resight.models.i3d import I3D
from resight.models.i3d_inference import inference_encoder

NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def bench(repeats: int) -> list[Row]:
    """Measure clips of 4 frames of 256 x 128 in the published network, the demo's network, and longer clips."""
    torch.manual_seed(0)
    encoder = I3D()
    clips = random_clips(4, 4, 256, 128)
    rows = inference_rows(encoder, clips, repeats)
    rows += training_rows(encoder, clips, "training step, L = 4, 256 x 128", 1.8, repeats)
    rows += training_rows(I3D(0.25), random_clips(32, 4, 96, 48), "training step of the demo, width 1/4", None, repeats)
    for length, batch in ((8, 2), (16, 2)):
        rows += inference_rows(encoder, random_clips(batch, length, 256, 128), repeats)
    return [*rows, growth(encoder, repeats)]


def growth(encoder: I3D, repeats: int) -> Row:
    """Measure how inference time grows with the length of a clip."""
    fast, shortest, longest = inference_encoder(encoder.eval()), 4, 16
    short, long = (random_clips(2, length, 256, 128) for length in (shortest, longest))
    turns = take_turns({"short": lambda: infer(fast, short), "long": lambda: infer(fast, long)}, repeats)
    exponent = math.log(turns.ratio("long", "short"), longest / shortest)
    return Row(
        group="encoder",
        name=f"growth of time from L = {shortest} to {longest}, inference in float32",
        unit="clips/s",
        plain=None,
        ours=2 / turns.median("short"),
        ratio=None,
        note=f"time ~ L^{exponent:.2f}; four frames are reduced to one time step after the fifth layer",
        facts={"exponents": {"L": round(exponent, 2)}},
    )


def inference_rows(encoder: I3D, clips: Tensor, repeats: int) -> list[Row]:
    """Measure float32, and bfloat16 if the processor has faster matrix products for it."""
    plain, length = PlainI3D(encoder).eval(), clips.shape[2]
    fast = {dtype: inference_encoder(encoder.eval(), dtype) for dtype in NAMES}
    ways: dict[str, Work] = {"plain": lambda: infer(plain, clips)}
    for dtype, name in NAMES.items():
        ways[name] = lambda dtype=dtype: infer(fast[dtype], clips)  # type: ignore[misc]
        ways[f"{name} matrix"] = matrix_product(dtype)
    turns = take_turns(ways, repeats)
    expected = infer(plain, clips)
    rows = []
    for dtype, name in NAMES.items():
        if dtype != torch.float32 and turns.ratio("float32 matrix", f"{name} matrix") < 1:
            continue
        features = infer(fast[dtype], clips)
        difference = float((features - expected).norm() / expected.norm())
        cosine = float(torch.cosine_similarity(features, expected).min())
        aim = {torch.float32: 2.5, torch.bfloat16: 5.0}[dtype] if length == 4 else None
        rows.append(
            Row(
                group="encoder",
                name=f"inference in {name}, L = {length}, 256 x 128, batch of {len(clips)} clips",
                unit="clips/s",
                plain=len(clips) / turns.median("plain"),
                ours=len(clips) / turns.median(name),
                ratio=turns.ratio("plain", name),
                target=aim,
                limit=share(ways[name], turns.ratio(f"{name} matrix", name)),
                limit_name=f"{name} matrix rate, {MATRIX_FLOP / turns.median(f'{name} matrix') / 1e9:.0f} GFLOP/s",
                note=f"relative difference {difference:.1e}, cosine >= {cosine:.6f}; plain in float32",
            )
        )
    return rows


def training_rows(encoder: I3D, clips: Tensor, name: str, aim: float | None, repeats: int) -> list[Row]:
    """Measure forward and backward passes in float32 and in mixed bfloat16, for both implementations."""
    plain, rows, exact = PlainI3D(encoder.train()).train(), list[Row](), gradient_difference()
    for precision, dtype in (("float32", torch.float32), ("mixed bfloat16", torch.bfloat16)):
        ways: dict[str, Work] = {
            "plain": lambda dtype=dtype: train(plain, clips, dtype),  # type: ignore[misc]
            "ours": lambda dtype=dtype: train(encoder, clips, dtype),  # type: ignore[misc]
            "matrix": matrix_product(dtype),
        }
        turns = take_turns(ways, repeats)
        rows.append(
            Row(
                group="encoder",
                name=f"{name}, {precision}, {len(clips)} clips",
                unit="clips/s",
                plain=len(clips) / turns.median("plain"),
                ours=len(clips) / turns.median("ours"),
                ratio=turns.ratio("plain", "ours"),
                target=aim if dtype == torch.float32 else None,
                limit=share(ways["ours"], turns.ratio("matrix", "ours")),
                limit_name=f"{NAMES[dtype]} matrix rate, {MATRIX_FLOP / turns.median('matrix') / 1e9:.0f} GFLOP/s",
                note=""
                if dtype == torch.bfloat16
                else f"gradient in double precision: relative difference {exact:.0e}",
            )
        )
    return rows


def random_clips(n: int, length: int, height: int, width: int) -> Tensor:
    """Return clips (n, 3, length, height, width) in [-1, 1]."""
    return torch.rand(n, 3, length, height, width) * 2 - 1


@torch.inference_mode()
def infer(encoder: nn.Module, clips: Tensor) -> Tensor:
    """Return clip features."""
    features: Tensor = encoder(clips)
    return features


def train(encoder: nn.Module, clips: Tensor, dtype: torch.dtype) -> None:
    """Compute the gradients of a training step, without the optimiser."""
    encoder.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        features = encoder(clips)
    # Not their norm: BatchNorm keeps it constant, so its gradient would be rounding noise.
    direction = torch.linspace(0, 1e4, features.numel(), dtype=features.dtype).sin().view(features.shape)
    (features * direction).sum().backward()


def gradient_difference() -> float:
    """Return the relative difference of gradients between a narrow encoder and the plain one, in double precision.

    In single precision, ReLU and max pooling turn rounding errors into jumps.
    """
    encoder, clips = I3D(0.125).double().train(), random_clips(4, 4, 64, 32).double()
    gradients = []
    for network in (PlainI3D(encoder).train(), encoder):
        train(network, clips, torch.float64)
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


def share(work: Work, matrix_seconds: float) -> float:
    """Return the share of the matrix rate that a computation reaches.

    Args:
        work: The computation; its operations in products and convolutions are counted.
        matrix_seconds: Seconds of `matrix_product`, divided by the seconds of `work`.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops() / MATRIX_FLOP * matrix_seconds)
