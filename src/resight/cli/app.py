"""What the commands share: the program, the types of their options, and how they print results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from cyclopts import App, Parameter

from resight.progress import note
from resight.shipped import DEFAULT
from resight.version import __version__

if TYPE_CHECKING:
    from resight.api.model import Model

app = App(
    name="resight",
    help="Video person re-identification with learned clip-pair importance. No data leaves this machine.",
    version=__version__,
    result_action="return_value",
)
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Cores that this process may use."""

DatasetName = Annotated[
    str,
    Parameter(help="Data set as KIND:PATH, such as mars:/data/MARS or folder:crops. PATH#3 selects its third split."),
]
ModelFile = Annotated[
    Path,
    Parameter(
        help="Model file written by `resight train`, or the name of a model listed by `resight models`; or a network "
        "as onnx:FILE (onnx:FILE#PRESET names the format of its input) or frames:FOLDER."
    ),
]
Preset = Annotated[
    str | None,
    Parameter(
        help="For onnx:FILE, the format of its input, such as torchreid; by default that of FILE with suffix .toml."
    ),
]
SHIPPED = Path(DEFAULT)
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of text.")]
Top = Annotated[int, Parameter(name=("--top", "-k"), help="Number of answers.")]
Cameras = Annotated[
    str,
    Parameter(help="Q:G keeps queries of camera Q and gallery tracklets of camera G (names or numbers); or empty."),
]
# The help must not depend on the machine that prints it.
ALL_CORES = Parameter(show_default=lambda _: "all cores")
Workers = Annotated[int, ALL_CORES, Parameter(help="Processes that decode frames.")]
Device = Annotated[str, Parameter(help="cpu, cuda or cuda:N; auto uses a GPU if there is one.")]
Precision = Annotated[
    Literal["float32", "half"],
    Parameter(help="half uses 16-bit matrix products: faster where the machine has them, accurate to about 1e-3."),
]


def open_model(
    model: Path, device: str = "auto", precision: Literal["float32", "half"] = "float32", workers: int = WORKERS,
    preset: str | None = None,
) -> Model:  # fmt: skip
    """Load a model, and say where its card is if it comes with the package."""
    from resight.api.model import load_model

    loaded = load_model(model, preset=preset, device=device, precision=precision, workers=workers)
    note_card(model)
    return loaded


def note_card(model: Path) -> None:
    """Say where the card of a model is, if it comes with the package."""
    if len(model.parts) == 1 and ":" not in model.name and not model.is_file():
        note(f"`resight models {model}` shows what this model was trained on and its limits")


class Result(Protocol):
    """What a search returns: text, values and a page."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        ...

    def save(self, path: Path) -> None:
        """Write a page."""
        ...


def print_search(answers: Result, out: Path | None, as_json: bool) -> None:
    """Print the answers of a search, and write their page to `out` if it is given."""
    text = str(answers)
    if out is not None:
        answers.save(out)
        text += f"\nwrote {out}"
    print_result(answers.to_json(), text, as_json)


def print_result(values: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result as text, or its values as JSON."""
    print(json.dumps(values) if as_json else text)
