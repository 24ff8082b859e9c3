"""Where to compute and how precisely: one value, made once where a command or call begins and passed down."""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from resight.errors import RecipeError

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "half"]
"""``half`` computes matrix products in 16 bits: bfloat16, or float16 where the GPU engine scores."""


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``float32``, or ``half`` for 16-bit matrix products.

    Raises:
        RecipeError: If the precision is unknown.
    """

    device: str = "cpu"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise RecipeError(f"precision is {self.precision!r}, expected {' or '.join(get_args(Precision))}")

    @classmethod
    def resolve(cls, device: str = "auto", precision: Precision = "float32") -> Compute:
        """Return the device that a user asked for, checked against this machine.

        Args:
            device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` (or ``gpu``), ``cuda:N`` or ``N``, in any case.
            precision: ``float32`` or ``half``.

        Raises:
            RecipeError: If the name is unknown, or this machine has no such device.
        """
        import torch

        available = torch.cuda.device_count() if torch.cuda.is_available() else 0
        name = str(device).strip().lower()
        if name == "auto":
            return cls("cuda" if available else "cpu", precision)
        form = re.fullmatch(r"cpu|(?:cuda|gpu)|(?:(?:cuda|gpu):)?(\d+)", name)
        if form is None:
            raise RecipeError(f"device is {device!r}, expected auto, cpu, cuda, or cuda:N with the number of a GPU")
        if name == "cpu":
            return cls(name, precision)
        number = form[1]
        if int(number or 0) >= available:
            found = f"{available} GPU{'s' * (available != 1)}" if available else "no GPU that this PyTorch can use"
            raise RecipeError(f"device is {device!r}, but this machine has {found}: use --device cpu, or auto")
        return cls(f"cuda:{int(number)}" if number else "cuda", precision)

    @property
    def torch_device(self) -> torch.device:
        """The device as torch names it."""
        import torch

        return torch.device(self.device)

    @property
    def encoder_dtype(self) -> torch.dtype:
        """What clip encoders compute in: float32, or bfloat16 for ``half``."""
        import torch

        return torch.float32 if self.precision == "float32" else torch.bfloat16

    @property
    def product_dtype(self) -> torch.dtype:
        """What the matrix products of scoring read and write.

        For ``half``: bfloat16 on a processor; float16 on a GPU, where it is as fast and ten times as exact.
        """
        import torch

        if self.precision == "float32":
            return torch.float32
        return torch.bfloat16 if self.device == "cpu" else torch.float16


@cache
def keep_freed_memory() -> bool:
    """Tell the C library of this process to keep freed memory for the next layer of a network.

    By default, glibc returns large blocks to the system and requests new ones for every layer, and first access to new
    memory takes a third of the time of an image network. Other C libraries are not changed.

    Returns:
        Whether the setting was changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    blocks_by_mmap, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    return bool(set_option(blocks_by_mmap, 0) and set_option(trim_threshold, 2**31 - 1))
