from __future__ import annotations

import re
from pathlib import Path

import pytest

from resight import __version__

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_exist(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.suffix != ".md" or anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


def test_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests|docs|experiments)/[\w/.-]*)`", text):
        assert (ROOT / path).exists(), path


def test_make_targets_that_contributing_names_exist() -> None:
    rules = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make (\w+)  ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) <= set(rules)


def test_the_glossary_is_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [
        re.sub(r"[^a-z0-9]+", " ", term.lower()).strip() for term in re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)
    ]
    assert terms == sorted(terms)
    assert len(terms) == len(set(terms)) > 40


def test_the_version_is_the_same_everywhere() -> None:
    for name, pattern in (
        ("CITATION.cff", r"^version: (.+)$"),
        ("pyproject.toml", r'^version = "(.+)"$'),
    ):
        found = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert found is not None and found[1] == __version__, name
    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
