"""docs/results.md: the remarks in experiments/results/remarks.md, with what `resight reproduce` found put in.

``python -m experiments.results_page runs/study`` takes the results of a run over and writes the page; without a folder
the page is written again from what was taken over before. A line ``<!-- study: table2 -->`` in the remarks stands for
a study; ``--under NAME`` keeps the results of another run beside the first, for ``<!-- study: NAME/table2 -->``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from cyclopts import run
from PIL import Image

from experiments.open_world import NAME as OPEN_WORLD
from resight.checkpoints import replace_file
from resight.studies.outcome import Outcome
from resight.studies.studies import STUDIES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
REMARKS = RESULTS / "remarks.md"
PAGE = HERE.parent / "docs" / "results.md"
IMAGES = HERE.parent / "docs" / "images" / "study"
WIDTH = 900
"""Pixels, of pictures of frames."""

_PLACE = re.compile(r"^<!-- study: ([\w/-]+) -->$", re.MULTILINE)


def results_page(folder: Path | None = None, *, under: str = "") -> None:
    """Write docs/results.md.

    Args:
        folder: The --out of a `resight reproduce` or `experiments.open_world` run, whose results are taken over first.
        under: Where they are kept, if not beside those of the run that stands in the page already.
    """
    if folder is not None:
        for name in (*STUDIES, OPEN_WORLD):
            found = folder / "results" / f"{name}.json"
            if found.is_file():
                take_over(Outcome.from_json(json.loads(found.read_text(encoding="utf-8"))), folder / "results", under)
    with replace_file(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


def take_over(outcome: Outcome, folder: Path, under: str = "") -> None:
    """Keep a study's numbers, and its figures if there are some, small enough for a repository.

    Pictures of frames are kept, too: so the run must be one on people who never lived.
    """
    images = IMAGES / under
    images.mkdir(parents=True, exist_ok=True)
    with replace_file(RESULTS / under / f"{outcome.name}.json") as temporary:
        temporary.write_text(json.dumps(outcome.to_json(), indent=1) + "\n", encoding="utf-8")
    figures = sorted(folder.glob(f"{outcome.name}.svg")) + sorted(folder.glob(f"{outcome.name}-*.svg"))
    for figure in figures:
        if outcome.name not in STUDIES or STUDIES[outcome.name].pictures is None:
            shutil.copyfile(figure, images / figure.name)
        else:  # frames inside a vector figure are large
            with Image.open(figure.with_suffix(".png")) as picture:
                small = picture.convert("RGB")
                small.thumbnail((WIDTH, WIDTH))
                small.quantize(256).save(images / f"{figure.stem}.png", optimize=True)


def page() -> str:
    """The page that remarks and saved results give."""
    remarks = REMARKS.read_text(encoding="utf-8")
    return _PLACE.sub(lambda found: study(found[1]), remarks)


def study(name: str) -> str:
    """One study as a section, by its name and where it is kept: its figures, its tables, what held."""
    under, _, own = name.rpartition("/")
    outcome = Outcome.from_json(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))
    text = outcome.to_markdown().strip()
    title, _, rest = text.partition("\n")
    shown = "\n".join(
        f"![{outcome.title}](images/study/{path.relative_to(IMAGES).as_posix()})"
        for path in sorted((IMAGES / under).glob(f"{own}*"))
        if re.fullmatch(rf"{own}(-\d+)?\.(svg|png)", path.name)
    )
    title += f" ({under})" * bool(under)
    return f"#{title}\n{f'{chr(10)}{shown}{chr(10)}' if shown else ''}{rest}"


if __name__ == "__main__":
    run(results_page)
