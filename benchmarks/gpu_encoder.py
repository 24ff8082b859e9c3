"""The clip encoder and the training steps on a GPU; run by `benchmarks.gpu`.

Clips are in GPU memory before timing starts, because decoding speed depends on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from benchmarks.gpu_sizes import Sizes
from benchmarks.plain.encoder import PlainI3D
from benchmarks.timing import Row, Turns, Work, take_turns
from resight.compute import Compute, Precision
from resight.features.extract import encode_clips
from resight.losses import stage1_loss, stage2_loss
from resight.models.aggregators import Learned
from resight.models.i3d import I3D
from resight.models.i3d_inference import inference_encoder
from resight.recipe import Optimisation
from resight.recipes import paper
from resight.training.loop import make_fabric
from resight.training.stage1_clips import ClipClassifier

MARS_PERSONS = 625
PRECISIONS: tuple[Precision, ...] = ("float32", "half")


def finished(work: Work, device: torch.device) -> Work:
    """Return the same work, extended to wait until the device has finished."""
    if device.type != "cuda":
        return work

    def both() -> None:
        work()
        torch.cuda.synchronize(device)

    return both


def extraction(sizes: Sizes, device: torch.device) -> list[Row]:
    """Measure clip features from decoded pixels."""
    torch.manual_seed(0)
    encoder = I3D(sizes.width).to(device).eval()
    plain = PlainI3D(encoder).eval()
    pixels = _pixels(sizes.tracklets, sizes.clips, sizes, device)
    n = sizes.tracklets * sizes.clips

    def encode(module: nn.Module, mixed: bool = False) -> Callable[[], Tensor]:
        def work() -> Tensor:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                return encode_clips(module, pixels)

        return work

    ways: dict[str, Callable[[], Tensor]] = {
        "plain float32": encode(plain),
        "float32": encode(inference_encoder(encoder)),
        "plain bfloat16": encode(plain, mixed=True),
        "bfloat16": encode(inference_encoder(encoder, torch.bfloat16)),
    }
    turns = _turns(ways, sizes, device)
    truth = ways["plain float32"]()
    rows = []
    for precision in ("float32", "bfloat16"):
        difference = float((ways[precision]() - truth).norm() / truth.norm())
        rows.append(
            Row(
                "encoder",
                f"inference, {precision}, {n} clips of {'x'.join(map(str, sizes.frames))}",
                "clips/s",
                n / turns.median(f"plain {precision}"),
                n / turns.median(precision),
                turns.ratio(f"plain {precision}", precision),
                note=f"relative difference {difference:.0e} from plain in float32; "
                f"{sizes.clip_flop * n / turns.median(precision) / 1e12:.3g} TFLOP/s",
            )
        )
    return rows


def stage1(sizes: Sizes, device: torch.device) -> list[Row]:
    """Measure training steps of the clip encoder, and estimate the paper's schedule on MARS."""
    optimisation = paper().stage1.optimisation
    persons = torch.arange(sizes.persons1, device=device).repeat_interleave(optimisation.tracklets)
    pixels = _pixels(len(persons), 1, sizes, device).flatten(0, 1)

    def step(plain: bool, precision: Precision) -> Work:
        torch.manual_seed(0)
        encoder = I3D(sizes.width)
        module = ClipClassifier(encoder, MARS_PERSONS)
        if plain:
            module.encoder = PlainI3D(encoder)  # type: ignore[assignment]  # has all that is used of an encoder

        def loss(module: nn.Module) -> Tensor:
            features, logits = module(pixels)
            total = stage1_loss(features, logits, persons, persons, optimisation.margin)
            return total.triplet + total.cross_entropy

        return _step(module, loss, optimisation, precision, device)

    rows = []
    for precision in PRECISIONS:
        turns = _turns({"plain": step(True, precision), "ours": step(False, precision)}, sizes, device)
        rows += _rows(f"stage 1, {precision}", turns, optimisation, sizes.persons1, 1)
    return rows


def stage2(sizes: Sizes, device: torch.device, precision: Precision) -> list[Row]:
    """Measure training steps of the importance network, with clips encoded in the same step, as in the paper."""
    optimisation = paper().stage2.optimisation
    persons = torch.arange(sizes.persons2, device=device).repeat_interleave(optimisation.tracklets)
    pixels = _pixels(len(persons), sizes.clips, sizes, device)
    encoder = I3D(sizes.width).to(device).eval()

    def loss(module: nn.Module) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "half"):
            features = encode_clips(encoder, pixels)
        features = features.clone()
        return stage2_loss(module(features, features), persons, optimisation.margin).loss

    work = _step(Learned(encoder.dim, encoder.dim), loss, optimisation, precision, device)
    return _rows(
        f"stage 2, {precision}", _turns({"ours": work}, sizes, device), optimisation, sizes.persons2, sizes.clips
    )


def _step(
    module: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    optimisation: Optimisation,
    precision: Precision,
    device: torch.device,
) -> Work:
    """Return the work of one step, as in `resight.training.loop`."""
    fabric = make_fabric(Compute(str(device), precision))
    adam = torch.optim.Adam(
        module.parameters(), lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay, amsgrad=True
    )
    wrapped, optimiser = fabric.setup(module.train(), adam)

    def work() -> float:
        value = loss(wrapped)
        optimiser.zero_grad()
        fabric.backward(value)
        optimiser.step()
        return value.item()

    return work


def _rows(stage: str, turns: Turns, optimisation: Optimisation, persons: int, clips: int) -> list[Row]:
    steps, n = MARS_PERSONS // optimisation.persons, persons * optimisation.tracklets * clips
    seconds, hours = turns.median("ours"), optimisation.epochs * steps / 3600
    slow = turns.median("plain") if "plain" in turns.seconds else None
    ratio = turns.ratio("plain", "ours") if slow else None
    batch = f"P = {persons}, K = {optimisation.tracklets}, {clips} clips per tracklet"
    schedule = f"the paper's schedule on MARS, {optimisation.epochs:,} x {steps} steps"
    note = f"requires decoding {n / seconds:,.0f} clips/s"
    return [
        Row("training step", f"{stage}, {batch}", "clips/s", slow and n / slow, n / seconds, ratio),
        Row("training step", f"{stage}, {schedule}", "hours", slow and slow * hours, seconds * hours, ratio, note=note),
    ]


def _turns(ways: Mapping[str, Work], sizes: Sizes, device: torch.device) -> Turns:
    return take_turns({name: finished(work, device) for name, work in ways.items()}, sizes.repeats)


def _pixels(tracklets: int, clips: int, sizes: Sizes, device: torch.device) -> Tensor:
    """Random pixels, (T, M, L, H, W, 3) uint8."""
    return torch.randint(256, (tracklets, clips, *sizes.frames, 3), dtype=torch.uint8, device=device)
