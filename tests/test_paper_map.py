"""docs/paper.md agrees with the docstrings and the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from experiments.paper_page import (
    EQUATION_TESTS,
    EQUATIONS,
    PAGE,
    ROOT,
    SOURCE,
    derivations,
    homes,
    names,
    numbers,
    page,
    spanned,
)

TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.compile(r"`([\w/]+\.py):([\w.]+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
EVERY_FILE = re.compile(r"`([\w/]+\.py)[:`]")


def file_of(path: str) -> Path:
    return ROOT / path if path.startswith(("tests/", "experiments/", "benchmarks/")) else SOURCE / path


def test_the_page_is_what_the_code_gives() -> None:
    assert page() == TEXT, "docs/paper.md is out of date: run `python -m experiments.paper_page`"


def test_every_equation_has_a_home_and_a_test_that_derives_it_again() -> None:
    assert {number for *_, place in homes() for number in numbers(place)} == set(EQUATIONS)
    assert {number for test in derivations() for number in spanned(test)} == set(EQUATIONS)
    assert (ROOT / EQUATION_TESTS).is_file()


def test_every_docstring_that_names_the_paper_is_on_the_page() -> None:
    on_page = set(CODE.findall(TEXT))
    missing = [f"{file}:{name}" for file, name, _ in homes() if (file, name) not in on_page]
    assert not missing, f"experiments/paper.md does not name {missing}"


@pytest.mark.parametrize(("file", "name"), sorted(set(CODE.findall(TEXT)) | set(TEST.findall(TEXT))))
def test_what_the_page_names_exists(file: str, name: str) -> None:
    assert file_of(file).is_file(), f"docs/paper.md names {file}, which does not exist"
    assert name in names(file_of(file)), f"docs/paper.md names {file}:{name}, which does not exist"


def test_no_name_on_the_page_escapes_the_check() -> None:
    seen = {file for file, _ in CODE.findall(TEXT)} | {file for file, _ in TEST.findall(TEXT)}
    assert set(EVERY_FILE.findall(TEXT)) <= seen


def test_names_that_are_not_there_are_noticed() -> None:
    assert "Stage1.triplet_weight" in names(SOURCE / "recipe.py")
    assert "Stage1.triplet" not in names(SOURCE / "recipe.py")
    assert numbers("Sec. 4.2, the g of Eq. 1.") == {1}
    assert numbers("Eq. 1-6 and Eq. 9") == {1, 2, 3, 4, 5, 6, 9}
