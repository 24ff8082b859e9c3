"""Write docs/results.md from experiments/results/: remarks.md, with the saved outcomes of `resight reproduce` inserted.

``python -m experiments.results_page runs/study`` saves the results of a run and writes the page; without a folder the
page is written again from the saved results. ``--under NAME`` saves the results of another run beside the first.

Two kinds of lines in the remarks are replaced:

* ``<!-- study: table2, open-small/table2 -->``: a section about a study, with one or several runs of it.
* ``<!-- conditions: table2 -->``: the conditions of a run. Sections only repeat what differs from them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cyclopts import run
from PIL import Image

from experiments.open_world import NAME as OPEN_WORLD
from resight.outputs import replace_file
from resight.studies.framework.outcome import Outcome
from resight.studies.studies import STUDIES
from resight.tables import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
REMARKS = RESULTS / "remarks.md"
PAGE = HERE.parent / "docs" / "results.md"
IMAGES = HERE.parent / "docs" / "images" / "study"
WIDTH = 900
"""Width of pictures of frames in pixels."""
DEMO = "demo"
"""Name of the encoder of runs that are not in a subfolder."""
ONLY_FIGURE = ("fig6",)
"""Studies without tables on the page: the values of Fig. 6 are in Table 2."""

SHOWN_OTHERWISE = ("by training rate", "without projection")
"""Parts of the titles of tables that are not on the page, because a figure or a claim shows their values."""

_STUDY = re.compile(r"^<!-- study: ([\w/, -]+) -->$", re.MULTILINE)
_CONDITIONS = re.compile(r"<!-- conditions: ([\w/-]+) -->")
_HIDDEN = ("rank-1", "mINP")


def results_page(folder: Path | None = None, *, under: str = "") -> None:
    """Write docs/results.md.

    Args:
        folder: The --out of `resight reproduce` or of `experiments.open_world`, whose results are saved first.
        under: Subfolder of experiments/results/ to save them in, for another run of the same studies.
    """
    if folder is not None:
        for name in (*STUDIES, OPEN_WORLD):
            path = folder / "results" / f"{name}.json"
            if path.is_file():
                save(Outcome.from_json(json.loads(path.read_text(encoding="utf-8"))), folder / "results", under)
    with replace_file(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


def save(outcome: Outcome, folder: Path, under: str = "") -> None:
    """Save the values and figures of a study in the repository; pictures of frames are reduced.

    Because pictures show persons, the run must be on synthetic people.
    """
    images = IMAGES / under
    images.mkdir(parents=True, exist_ok=True)
    with replace_file(RESULTS / under / f"{outcome.name}.json") as temporary:
        temporary.write_text(json.dumps(outcome.to_json(), indent=1) + "\n", encoding="utf-8")
    for figure in sorted(folder.glob(f"{outcome.name}.svg")):
        if outcome.name not in STUDIES or STUDIES[outcome.name].draw is not None:
            shutil.copyfile(figure, images / figure.name)
        else:
            _save_picture(figure.with_suffix(".png"), images)
    for figure in sorted(folder.glob(f"{outcome.name}-*.svg")):
        _save_picture(figure.with_suffix(".png"), images)


def _save_picture(path: Path, images: Path) -> None:
    # Frames in a vector figure would be large.
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
        small.quantize(256).save(images / path.name, optimize=True)


def page() -> str:
    """Return the page that the remarks and the saved results give."""
    remarks = REMARKS.read_text(encoding="utf-8")
    remarks = _CONDITIONS.sub(lambda match: conditions(load(match[1])), remarks)
    return _STUDY.sub(lambda match: study(re.split(r", *", match[1])), remarks)


def load(name: str) -> Outcome:
    """Return a saved outcome by the path of its file below experiments/results/, without the suffix."""
    return Outcome.from_json(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def study(names: Sequence[str]) -> str:
    """Return the section about one study: for each run its figures, tables and command, and the tested claims."""
    outcomes = {name: load(name) for name in names}
    first = outcomes[names[0]]
    lines = [f"### {first.title}", ""]
    for name, outcome in outcomes.items():
        if len(names) > 1:
            lines += [f"**Encoder {_encoder(name)}**", ""]
        figures = _figures(name, outcome)
        lines += [*figures, ""] * bool(figures)
        for table in outcome.tables if outcome.name not in ONLY_FIGURE else ():
            short = _shown(table, with_published=outcome is first)
            if short is not None:
                lines += [f"{short.title}:", ""] * (short.title not in ("", "percent")) + [short.to_markdown(), ""]
    lines += _claims(outcomes)
    lines += [f"* {note}" for note in first.notes]
    lines += [""] * (lines[-1] != "") + [_footer(name, outcome) for name, outcome in outcomes.items()]
    return "\n".join(lines).rstrip()


def conditions(outcome: Outcome) -> str:
    """Return the conditions of a run as one sentence."""
    seeds = ", ".join(map(str, outcome.seeds))
    return f"{outcome.setting} setting, seeds {seeds}; {outcome.conditions}; {outcome.machine}"


def _encoder(name: str) -> str:
    return f"`{name.rpartition('/')[0] or DEMO}`"


def _figures(name: str, outcome: Outcome) -> list[str]:
    under, _, file = name.rpartition("/")
    return [
        f"![{outcome.title}](images/study/{path.relative_to(IMAGES).as_posix()})"
        for path in sorted((IMAGES / under).glob(f"{file}*"))
        if re.fullmatch(rf"{file}(-\w+)?\.(svg|png)", path.name)
    ]


def _shown(table: Table, *, with_published: bool) -> Table | None:
    """Return a table without rank-1 and mINP, or None if it is not on the page; the saved results have all values."""
    if table.title.startswith(_HIDDEN) or any(part in table.title for part in SHOWN_OTHERWISE):
        return None
    kept = [place for place, column in enumerate(table.columns) if not column.startswith(_HIDDEN)]
    rows = tuple(
        replace(
            row,
            cells=tuple(row.cells[place] for place in kept),
            published=tuple(row.published[place] for place in kept) if row.published and with_published else (),
        )
        for row in table.rows
    )
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)


def _claims(outcomes: dict[str, Outcome]) -> list[str]:
    """Return the claims as a list, or as a table with one column for each of several runs."""
    first, *others = outcomes.values()
    if not others or not first.claims:
        return [f"* {claim.line()}" for claim in first.claims]
    lines = [f"| claim | {' | '.join(map(_encoder, outcomes))} |", "|---" * (1 + len(outcomes)) + "|"]
    for claims in zip(*(outcome.claims for outcome in outcomes.values()), strict=True):
        if len({claim.text for claim in claims}) != 1:
            raise ValueError(f"{first.name}: the runs test different claims: {', '.join(c.text for c in claims)}")
        cells = [f"{'yes' if claim.held else 'no'}: {claim.measured}" for claim in claims]
        lines.append(f"| {claims[0].text} | {' | '.join(cells)} |")
    return [*lines, ""]


def _footer(name: str, outcome: Outcome) -> str:
    """Return the command of a run, its duration, and the conditions that differ from those of Table 2."""
    reference = RESULTS / name.rpartition("/")[0] / "table2.json"
    usual = load(str(reference.relative_to(RESULTS).with_suffix(""))) if reference.is_file() else None
    clauses = [
        clause for clause in outcome.conditions.split("; ")
        if usual is None or clause not in usual.conditions.split("; ")
    ]  # fmt: skip
    seeds = [] if usual and usual.seeds == outcome.seeds else [f"seeds {', '.join(map(str, outcome.seeds))}"]
    machine = "" if usual and usual.machine == outcome.machine else f" on {outcome.machine}"
    parts = [f"{outcome.minutes:.1f} min{machine}", *seeds, *clauses]
    return f"`{outcome.command}`: {'; '.join(parts)}; [values](../experiments/results/{name}.json)\n"


if __name__ == "__main__":
    run(results_page)
