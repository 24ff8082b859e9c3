"""docs/paper.md, the docstrings and the tests tell the same story."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "resight"
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
EQUATIONS = set(range(1, 10))
EQUATION_TESTS = "tests/test_paper_equations.py"

CODE = re.compile(r"`([\w/]+\.py):([\w.]+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
EVERY_FILE = re.compile(r"`([\w/]+\.py)[:`]")


@cache
def names(path: Path) -> dict[str, str]:
    """What a file defines, dotted (class attributes included), to its docstring."""

    def below(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield prefix + node.name, ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                yield from below(node.body, f"{prefix}{node.name}.")
                # What a method sets on self is an attribute too.
                for one in ast.walk(node):
                    if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
                        yield f"{prefix}{node.name}.{one.attr}", ""
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield prefix + node.target.id, ""

    return dict(below(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def file_of(path: str) -> Path:
    return ROOT / path if path.startswith(("tests/", "experiments/", "benchmarks/")) else SOURCE / path


def numbers(text: str) -> set[int]:
    """The equations that a text such as ``Eq. 1-3`` names."""
    found: set[int] = set()
    for first, last in re.findall(r"Eq\. (\d+)(?:[-–](\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def homes() -> Iterator[tuple[str, str, str]]:
    """(file, name, what follows ``Paper:``) of every docstring that names a place in the paper."""
    for path in sorted(SOURCE.rglob("*.py")):
        for name, docstring in names(path).items():
            if found := re.search(r"Paper: (.*)", docstring):
                yield str(path.relative_to(SOURCE)), name, found[1]


def rows_of_equations() -> dict[int, str]:
    table = PAGE.split("## Equations")[1].split("## ")[0]
    return {int(number): row for number, row in re.findall(r"^\| (\d+) \|(.*)$", table, re.MULTILINE)}


def test_docstrings_and_the_page_name_the_same_homes_of_every_equation() -> None:
    said = {(number, file, name) for file, name, place in homes() for number in numbers(place)}
    written = {(number, *home) for number, row in rows_of_equations().items() for home in CODE.findall(row)}
    assert said == written
    assert {number for number, *_ in said} == EQUATIONS


def test_the_page_and_the_tests_of_equations_name_each_other() -> None:
    written = {(number, test) for number, row in rows_of_equations().items() for _, test in TEST.findall(row)}
    there = set()
    for test in (name for name in names(ROOT / EQUATION_TESTS) if name.startswith("test_")):
        first, *last = (int(number) for number in re.findall(r"\d+", test))
        there |= {(number, test) for number in range(first, (last or [first])[0] + 1)}
    assert written == there
    assert {number for number, _ in written} == EQUATIONS


def test_every_docstring_that_names_the_paper_is_on_the_page() -> None:
    on_page = set(CODE.findall(PAGE))
    missing = [f"{file}:{name}" for file, name, _ in homes() if (file, name) not in on_page]
    assert not missing, f"name them in docs/paper.md: {missing}"


@pytest.mark.parametrize(("file", "name"), sorted(set(CODE.findall(PAGE)) | set(TEST.findall(PAGE))))
def test_what_the_page_names_exists(file: str, name: str) -> None:
    assert file_of(file).is_file(), f"docs/paper.md names {file}, which does not exist"
    assert name in names(file_of(file)), f"docs/paper.md names {file}:{name}, which does not exist"


def test_no_name_on_the_page_escapes_the_check() -> None:
    seen = {file for file, _ in CODE.findall(PAGE)} | {file for file, _ in TEST.findall(PAGE)}
    assert set(EVERY_FILE.findall(PAGE)) <= seen


def test_names_that_are_not_there_are_noticed() -> None:
    assert "Stage1.triplet_weight" in names(SOURCE / "recipe.py")
    assert "Stage1.triplet" not in names(SOURCE / "recipe.py")
    assert numbers("Sec. 4.2, the g of Eq. 1.") == {1}
    assert numbers("Eq. 1-6 and Eq. 9") == {1, 2, 3, 4, 5, 6, 9}
