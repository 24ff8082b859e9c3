"""How an encoder from elsewhere expects its input: size, channel order, value range, mean and standard deviation."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from resight.errors import RecipeError

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
FRAME_LAYOUTS = ("nchw", "nhwc")
CLIP_LAYOUTS = ("nclhw", "nlchw")
CHANNELS = ("rgb", "bgr")
RANGES = (1.0, 255.0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class PixelFormat:
    """The input of an encoder: the keys of the TOML file beside an ONNX file.

    Pixels are converted to ``(pixel * value_range / 255 - mean) / std``, with pixels from 0 to 255.

    Attributes:
        mean: Value subtracted from each channel, in the network's channel order.
        std: Value by which the difference is divided, for each channel.
        channels: Channel order, ``rgb`` or ``bgr``.
        value_range: Largest pixel value before `mean` is subtracted: 1 or 255.
        size: Height and width of a frame, for a network without a fixed size; (0, 0): unknown.
        layout: Axis order: ``nchw`` or ``nhwc`` for a network that takes frames, ``nclhw`` or ``nlchw`` for one that
            takes clips of L frames; empty: from the shape of the network's input.
        length: L, frames per clip, for a network without a fixed number; 0 is 4.
        output: Name of the output with the features; empty: the only output of features.

    Raises:
        RecipeError: If a value is impossible, or mean, deviation and value range contradict each other.
    """

    mean: Triple
    std: Triple
    channels: str = "rgb"
    value_range: float = 1.0
    size: tuple[int, int] = (0, 0)
    layout: str = ""
    length: int = 0
    output: str = ""

    def __post_init__(self) -> None:
        for name, choices in (("channels", CHANNELS), ("layout", ("", *FRAME_LAYOUTS, *CLIP_LAYOUTS))):
            if getattr(self, name) not in choices:
                known = ", ".join(repr(choice) for choice in choices if choice)
                raise RecipeError(f"{name} is {getattr(self, name)!r}, expected one of {known}")
        if self.value_range not in RANGES:
            raise RecipeError(f"value_range is {self.value_range!r}, expected 1 (pixels 0 to 1) or 255")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(_is_number(value) for value in values):
                raise RecipeError(f"{name} is {values!r}, expected three numbers, one for each channel")
        if min(self.std) <= 0:
            raise RecipeError(f"std is {self.std}, expected three numbers above 0")
        if self.value_range == 1 and (max(self.mean) > 1 or max(self.std) > 2):
            raise RecipeError(
                f"mean is {self.mean} and std is {self.std}, which are for pixels from 0 to 255, but value_range is 1: "
                "set value_range = 255, or divide both by 255"
            )
        if self.value_range == 255 and 0 < max(map(abs, self.mean)) <= 1:
            raise RecipeError(
                f"mean is {self.mean}, which is for pixels from 0 to 1, but value_range is 255: set value_range = 1, "
                "or multiply mean and std by 255"
            )
        if len(self.size) != 2 or not all(type(n) is int and n >= 0 for n in self.size) or (0 in self.size) != (
            self.size == (0, 0)
        ):  # fmt: skip
            raise RecipeError(f"size is {self.size!r}, expected height and width in pixels, such as [256, 128]")
        if type(self.length) is not int or self.length < 0:
            raise RecipeError(f"length is {self.length!r}, expected the number of frames per clip")

    @property
    def scale_and_shift(self) -> tuple[Triple, Triple]:
        """Factor and summand of each channel, in the network's order, from values in [-1, 1] to the network's."""
        half = self.value_range / 2
        scale = tuple(half / std for std in self.std)
        shift = tuple((half - mean) / std for mean, std in zip(self.mean, self.std, strict=True))
        return scale, shift  # type: ignore[return-value]

    def describe(self) -> str:
        """Return channel order, value range, mean and standard deviation in a few words."""
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        normalised = "" if (set(self.mean), set(self.std)) == ({0}, {1}) else f", mean {mean}, std {std}"
        return f"{self.channels.upper()}, values 0 to {self.value_range:g}{normalised}"

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values, the argument of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], where: str = "the header", base: PixelFormat | None = None
    ) -> PixelFormat:
        """Return a format from plain values.

        Args:
            values: Values by name.
            where: The file they come from, for messages.
            base: Values that are used where `values` has none.

        Raises:
            RecipeError: If a name is unknown, a needed one is missing, or a value is impossible.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise RecipeError(f"{where}: unknown key {unknown[0]!r}, expected preset, {', '.join(known)}")
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        if _is_number(plain.get("value_range")):
            plain["value_range"] = float(plain["value_range"])
        try:
            for key in ("mean", "std", "size"):
                if key in plain and not isinstance(plain[key], tuple):
                    raise RecipeError(f"{key} is {plain[key]!r}, expected a list of numbers")
            if base is not None:
                return replace(base, **plain)
            if missing := [key for key in ("mean", "std") if key not in plain]:
                raise RecipeError(f"there is no {missing[0]}, expected mean and std, or preset = one of {_names()}")
            return cls(**plain)
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from error


PRESETS: Mapping[str, PixelFormat] = MappingProxyType(
    {
        "torchreid": PixelFormat(IMAGENET_MEAN, IMAGENET_STD, size=(256, 128)),
        # the exported network subtracts the mean itself
        "fast-reid": PixelFormat((0.0,) * 3, (1.0,) * 3, value_range=255.0, size=(256, 128)),
        "transreid": PixelFormat((0.5,) * 3, (0.5,) * 3, size=(256, 128)),
        "clip-reid": PixelFormat((0.5,) * 3, (0.5,) * 3, size=(256, 128)),
        "open-model-zoo": PixelFormat((0.0,) * 3, (1.0,) * 3, "bgr", 255.0, size=(256, 128)),
        "timm": PixelFormat(IMAGENET_MEAN, IMAGENET_STD),
        "imagenet": PixelFormat(IMAGENET_MEAN, IMAGENET_STD),
    }
)
"""Named formats: what the export scripts of these projects produce. docs/encoders.md lists them."""


def find_preset(name: str) -> PixelFormat:
    """Return the format of that name.

    Raises:
        RecipeError: If there is none.
    """
    if name not in PRESETS:
        raise RecipeError(f"preset is {name!r}, expected one of {_names()}")
    return PRESETS[name]


def read_pixel_format(path: Path) -> PixelFormat:
    """Read the TOML file beside an ONNX file: ``preset``, and keys that replace some of its values or all.

    Raises:
        RecipeError: If it cannot be read, is not TOML, or has an unknown key or an impossible value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    name = values.pop("preset", None)
    if name is not None and name not in PRESETS:
        raise RecipeError(f"{path}: preset is {name!r}, expected one of {_names()}")
    return PixelFormat.from_json(values, str(path), None if name is None else PRESETS[name])


def format_of_metadata(metadata: Mapping[str, str]) -> PixelFormat | None:
    """Return the format that the metadata of an ONNX file states, or None if it states none.

    The keys are those of the ONNX specification: ``Image.BitmapPixelFormat`` and ``Image.NominalPixelRange``.
    """
    known = {key.lower(): value.lower() for key, value in metadata.items()}
    channels = {"rgb8": "rgb", "bgr8": "bgr"}.get(known.get("image.bitmappixelformat", ""))
    plain: tuple[Triple, Triple] = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    half: tuple[Triple, Triple] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    found = {"nominalrange_0_255": (plain, 255.0), "normalized_0_1": (plain, 1.0), "normalized_1_1": (half, 1.0)}.get(
        known.get("image.nominalpixelrange", "")
    )
    if channels is None or found is None:
        return None
    (mean, std), value_range = found
    return PixelFormat(mean, std, channels, value_range)


def _names() -> str:
    return ", ".join(PRESETS)
