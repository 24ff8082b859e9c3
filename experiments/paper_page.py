"""Write docs/paper.md from experiments/paper.md, with the tables of equations and studies generated from the code.

Run it with ``python -m experiments.paper_page``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cyclopts import run

from resight.outputs import replace_file
from resight.studies.studies import STUDIES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "resight"
FRAME = Path(__file__).parent / "paper.md"
PAGE = ROOT / "docs" / "paper.md"
EQUATION_TESTS = "tests/test_paper_equations.py"
STUDY_TESTS = "tests/studies/test_studies.py"

EQUATIONS = {
    1: "importance of clip pair t: α_t = g(r_{t−1} − c_t)",
    2: "running representation r_t: mean of c weighted by importance",
    3: "similarity s = Σ α cos / Σ α",
    4: "similarity as the sum of the elements of r_T",
    5: "derivation of Eq. 4, first step",
    6: "derivation of Eq. 4, second step",
    7: "batch-hard triplet loss",
    8: "identity cross entropy",
    9: "top-t % baseline",
}


def paper_page() -> None:
    """Write docs/paper.md."""
    with replace_file(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


def page() -> str:
    """Return the page for the current code."""
    frame = FRAME.read_text(encoding="utf-8")
    return frame.replace("<!-- equations -->", equations()).replace("<!-- studies -->", studies())


def equations() -> str:
    """Return the table of equations, with the code whose docstrings name them and the tests named after them."""
    lines = ["| Eq. | content | code | test |", "|---|---|---|---|"]
    for number, what in EQUATIONS.items():
        code = ", ".join(f"`{file}:{name}`" for file, name, place in homes() if number in numbers(place))
        test = ", ".join(f"`{EQUATION_TESTS}::{name}`" for name in derivations() if number in spanned(name))
        lines.append(f"| {number} | {what} | {code} | {test} |")
    return "\n".join(lines)


def studies() -> str:
    """Return the table of studies of `resight reproduce`, with the code and the tests of each."""
    lines = ["| command | content | code | test |", "|---|---|---|---|"]
    tests = names(ROOT / STUDY_TESTS)
    for name, study in STUDIES.items():
        what = (inspect.getdoc(study.run) or "").splitlines()[0].rstrip(".")
        file = study.run.__module__.removeprefix("resight.").replace(".", "/") + ".py"
        test = ", ".join(f"`{STUDY_TESTS}::{test}`" for test in tests if re.match(rf"test_{name}(_|$)", test))
        lines.append(f"| `resight reproduce {name}` | {what} | `{file}:{study.run.__name__}` | {test} |")
    return "\n".join(lines)


def derivations() -> list[str]:
    """Return the names of the tests that recompute equations in loops."""
    return [name for name in names(ROOT / EQUATION_TESTS) if name.startswith("test_")]


def spanned(test: str) -> set[int]:
    """Return the equations in the name of a test such as ``test_equations_4_to_6``."""
    first, *last = (int(number) for number in re.findall(r"\d+", test))
    return set(range(first, (last or [first])[0] + 1))


def homes() -> Iterator[tuple[str, str, str]]:
    """Yield (file, name, text after ``Paper:``) of each docstring that names a place in the paper."""
    for path in sorted(SOURCE.rglob("*.py")):
        for name, docstring in names(path).items():
            if found := re.search(r"Paper: (.*)", docstring):
                yield str(path.relative_to(SOURCE)), name, found[1]


def numbers(text: str) -> set[int]:
    """Return the equations that a text such as ``Eq. 1-3`` names."""
    found: set[int] = set()
    for first, last in re.findall(r"Eq\. (\d+)(?:[-–](\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


@cache
def names(path: Path) -> dict[str, str]:
    """Return the dotted names that a file defines, with class attributes, and their docstrings."""

    def below(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield prefix + node.name, ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                yield from below(node.body, f"{prefix}{node.name}.")
                # Attributes that methods set on self.
                for child in ast.walk(node):
                    if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
                        yield f"{prefix}{node.name}.{child.attr}", ""
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield prefix + node.target.id, ""

    return dict(below(ast.parse(path.read_text(encoding="utf-8")).body, ""))


if __name__ == "__main__":
    run(paper_page)
