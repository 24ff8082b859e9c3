"""Every field of a context is documented, and the templates use exactly these fields."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jinja2
import pytest
from jinja2 import nodes

from resight.service import contexts, label_contexts, replies, timeline
from resight.service.contexts import ExplainPage, RecordingPage, SearchPage, TrackletPage, TrackletsPage
from resight.service.label_contexts import CasePage, LogPage, PersonsPage, SuggestionsPage
from resight.service.rendering import Frame
from resight.service.replies import LabelResult, LoginPage, Problem

TEMPLATES = files("resight.service").joinpath("templates")
PAGES: dict[str, type] = {
    "tracklets.html": TrackletsPage,
    "tracklet.html": TrackletPage,
    "recording.html": RecordingPage,
    "search.html": SearchPage,
    "explain.html": ExplainPage,
    "persons.html": PersonsPage,
    "case.html": CasePage,
    "suggestions.html": SuggestionsPage,
    "log.html": LogPage,
    "login.html": LoginPage,
    "problem.html": Problem,
    "refused.html": Problem,
    "label.html": LabelResult,
}
FOR_PROGRAMS = {"LabelResult.group"}
PARTS = "parts.html"


def described() -> list[type]:
    modules = (contexts, label_contexts, replies, timeline)
    return [
        value
        for module in modules
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and isinstance(value, type) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("context", described(), ids=lambda context: context.__name__)
def test_every_field_is_documented_and_frozen(context: type) -> None:
    assert context.__dataclass_params__.frozen  # type: ignore[attr-defined]
    listed = re.findall(r"^    (\w+): ", (inspect.getdoc(context) or "").split("Attributes:")[-1], re.MULTILINE)
    assert listed == [field.name for field in dataclasses.fields(context)]


class Templates:
    """Follow the types of values through a template, and collect the fields of contexts that it reads."""

    def __init__(self) -> None:
        environment = jinja2.Environment(autoescape=True)
        self.trees = {
            path.name: environment.parse(path.read_text(encoding="utf-8"))
            for path in TEMPLATES.iterdir()
            if path.name.endswith(".html")
        }
        self.macros = {macro.name: macro for macro in self.trees[PARTS].find_all(nodes.Macro)}
        self.used: set[str] = set()
        self.wrong: set[str] = set()
        self._done: set[tuple[str, str]] = set()

    def walk(self, node: nodes.Node, known: dict[str, Any]) -> None:
        """Read a node; `known` has the type of each name."""
        if isinstance(node, nodes.For):
            self.walk(node.iter, known)
            inner = dict(known)
            self.bind(node.target, self.element(self.type_of(node.iter, known)), inner)
            for child in (*node.body, *node.else_):
                self.walk(child, inner)
            return
        if isinstance(node, nodes.Macro):
            return
        if isinstance(node, nodes.Call):
            name = node.node.attr if isinstance(node.node, nodes.Getattr) else getattr(node.node, "name", "")
            if name in self.macros:
                self.call(self.macros[name], [self.type_of(argument, known) for argument in node.args], known)
        if isinstance(node, nodes.Getattr):
            self.type_of(node, known)
        for child in node.iter_child_nodes():
            self.walk(child, known)

    def call(self, macro: nodes.Macro, arguments: list[Any], known: dict[str, Any]) -> None:
        key = (macro.name, str(arguments))
        if key in self._done:
            return
        self._done.add(key)
        names = [argument.name for argument in macro.args]
        types_ = dict(zip(names, [*arguments, *[None] * len(names)], strict=False))
        for child in macro.body:
            self.walk(child, {"frame": known.get("frame"), **types_})

    def type_of(self, node: nodes.Node, known: dict[str, Any]) -> Any:
        """Return the type of an expression, or None if it is not a context or a sequence of them."""
        if isinstance(node, nodes.Name):
            return known.get(node.name)
        if isinstance(node, nodes.Getattr):
            owner = self.type_of(node.node, known)
            if not (isinstance(owner, type) and dataclasses.is_dataclass(owner)):
                return None
            hints = typing.get_type_hints(owner)
            place = f"{owner.__name__}.{node.attr}"
            (self.used if node.attr in hints else self.wrong).add(place)
            return self.plain(hints.get(node.attr))
        if isinstance(node, nodes.Tuple):
            inner = [self.type_of(item, known) for item in node.items]
            return types.SimpleNamespace(items=inner)
        if isinstance(node, nodes.Getitem):
            return self.element(self.type_of(node.node, known))
        return None

    def plain(self, hint: Any) -> Any:
        """Return a type without None."""
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return options[0] if isinstance(hint, types.UnionType) else hint

    def element(self, sequence: Any) -> Any:
        if isinstance(sequence, types.SimpleNamespace):
            first = sequence.items[0]
            return types.SimpleNamespace(items=first.items) if isinstance(first, types.SimpleNamespace) else first
        return typing.get_args(sequence)[0] if typing.get_origin(sequence) is tuple else None

    def bind(self, target: nodes.Node, value: Any, known: dict[str, Any]) -> None:
        if isinstance(target, nodes.Tuple):
            parts = value.items if isinstance(value, types.SimpleNamespace) else [None] * len(target.items)
            for name, part in zip(target.items, parts, strict=True):
                self.bind(name, part, known)
        elif isinstance(target, nodes.Name):
            known[target.name] = value


@pytest.fixture(scope="module")
def read() -> Templates:
    templates = Templates()
    for name, context in PAGES.items():
        tree = templates.trees[name]
        for node in tree.body:
            templates.walk(node, {"page": context, "frame": Frame})
    for node in templates.trees["layout.html"].body:
        templates.walk(node, {"frame": Frame})
    return templates


def fields_of(context: type) -> Iterator[str]:
    return (f"{context.__name__}.{field.name}" for field in dataclasses.fields(context))


def test_every_template_is_one_of_a_page_or_a_part() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {*PAGES, "layout.html", PARTS}


def test_templates_read_only_fields_that_exist(read: Templates) -> None:
    assert read.wrong == set()


def test_templates_read_every_field_but_those_for_programs(read: Templates) -> None:
    expected = {field for context in described() for field in fields_of(context)}
    for of_no_page in (replies.Deleted, replies.Kept, timeline.Appearance):
        expected -= set(fields_of(of_no_page))
    assert expected - read.used == FOR_PROGRAMS


def test_a_misspelt_field_is_found() -> None:
    templates = Templates()
    tree = jinja2.Environment().parse("{% for card in page.tracklets %}{{ card.idd }}{% endfor %}{{ page.total }}")
    templates.walk(tree, {"page": TrackletsPage})
    assert templates.wrong == {"Card.idd"}
    assert {"TrackletsPage.tracklets", "TrackletsPage.total"} <= templates.used
