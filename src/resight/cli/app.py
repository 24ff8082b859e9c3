"""What the commands share: the program, the form of their options, how they answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from resight import __version__
from resight.shipped import DEFAULT

app = App(
    name="resight",
    help="Video person re-identification with learned clip-pair importance. Nothing leaves this machine.",
    version=__version__,
    result_action="return_value",
)
WORKERS = os.cpu_count() or 1

DatasetName = Annotated[
    str,
    Parameter(help="The data, as KIND:PATH, such as mars:/data/MARS or folder:crops; PATH#3 is its third split."),
]
ModelFile = Annotated[
    Path,
    Parameter(help="A model.safetensors that `resight train` wrote, or the name of one of `resight models`."),
]
SHIPPED = Path(DEFAULT)
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for scripts instead of text.")]
Top = Annotated[int, Parameter(name=("--top", "-k"), help="How many answers.")]
Cameras = Annotated[
    str,
    Parameter(help="Q:G asks only with tracklets of camera Q and searches only camera G; either may be left out."),
]
# The help must not depend on the machine that prints it.
ALL_CORES = Parameter(show_default=lambda _: "all cores")
Workers = Annotated[int, ALL_CORES, Parameter(help="Processes that read frames.")]
Device = Annotated[str, Parameter(help="cpu, cuda, …; auto takes a GPU if there is one.")]
Precision = Annotated[
    Literal["float32", "half"],
    Parameter(help="half is several times as fast where the machine has 16-bit products, and right to about 1e-3."),
]


def say(values: dict[str, Any], text: str, as_json: bool) -> None:
    """Print what was found, for people or for scripts."""
    print(json.dumps(values) if as_json else text)
