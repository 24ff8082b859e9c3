"""What the commands share: the program, the types of their options, and how they print results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from resight.shipped import DEFAULT
from resight.version import __version__

app = App(
    name="resight",
    help="Video person re-identification with learned clip-pair importance. No data leaves this machine.",
    version=__version__,
    result_action="return_value",
)
WORKERS = os.cpu_count() or 1

DatasetName = Annotated[
    str,
    Parameter(help="Data set as KIND:PATH, such as mars:/data/MARS or folder:crops. PATH#3 selects its third split."),
]
ModelFile = Annotated[
    Path,
    Parameter(help="Model file written by `resight train`, or the name of a model listed by `resight models`."),
]
SHIPPED = Path(DEFAULT)
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON instead of text.")]
Top = Annotated[int, Parameter(name=("--top", "-k"), help="Number of answers.")]
Cameras = Annotated[
    str,
    Parameter(help="Q:G keeps only queries of camera Q and gallery tracklets of camera G. Either can be empty."),
]
# The help must not depend on the machine that prints it.
ALL_CORES = Parameter(show_default=lambda _: "all cores")
Workers = Annotated[int, ALL_CORES, Parameter(help="Processes that decode frames.")]
Device = Annotated[str, Parameter(help="cpu, cuda or cuda:N; auto uses a GPU if there is one.")]
Precision = Annotated[
    Literal["float32", "half"],
    Parameter(help="half uses 16-bit matrix products: faster where the machine has them, accurate to about 1e-3."),
]


def print_result(values: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result as text, or its values as JSON."""
    print(json.dumps(values) if as_json else text)
