"""Turn a context into a page. The templates get the context as ``page``, and nothing of the gallery itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import jinja2

from resight.explanation.report import template_environment
from resight.service.times import show_seconds, show_span, show_time
from resight.version import __version__
from resight.words import counted

SHADES = 20
"""Steps of the shades of a matrix: the style sheet has a class for each, because pages have no inline styles."""


@dataclass(frozen=True)
class Frame:
    """What surrounds a page.

    Attributes:
        path: Path and query of the page, for forms that return to it.
        csrf: Token that ties forms to the session.
        login: Whether the service has a login.
        here: Path without query, to mark the entry of the navigation.
    """

    path: str
    csrf: str
    login: bool
    here: str


def render(template: str, page: Any, frame: Frame) -> str:
    """Return the HTML of a page.

    Args:
        template: Name of a template.
        page: Its context.
        frame: What surrounds it.
    """
    return _templates().get_template(template).render(page=page, frame=frame, version=__version__)


def page_style() -> str:
    """Return the style sheet that the pages share with the offline pages."""
    return files("resight.explanation").joinpath("templates/style.css").read_text(encoding="utf-8")


def shade(value: float, low: float, high: float) -> int:
    """Return the step of a value between two ends, 0 … `SHADES`.

    >>> shade(0.5, 0.0, 1.0), shade(3.0, 1.0, 1.0)
    (10, 0)
    """
    return round(min(max((value - low) / (high - low), 0), 1) * SHADES) if high > low else 0


def address(path: str, **query: object) -> str:
    """Return a path with a query; empty values are left out, and sequences are repeated.

    >>> address("/search", id=["a/1", "b"], camera=(), k=10)
    '/search?id=a%2F1&id=b&k=10'
    """
    pairs = [
        (name, str(value))
        for name, values in query.items()
        for value in (values if isinstance(values, (list, tuple)) else (values,))
        if value not in (None, "")
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = template_environment("resight.service")
    environment.filters |= {"time": show_time, "seconds": show_seconds}
    environment.globals |= {"span": show_span, "shade": shade, "counted": counted}
    return environment
