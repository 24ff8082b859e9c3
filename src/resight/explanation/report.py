"""HTML pages: the result of a search, or a report of any parts. Each page is a single file that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import jinja2

from resight.explanation.blocks import Page, Section
from resight.explanation.films import Strips, Verdict
from resight.explanation.sections import default_camera_name, query_strip, ranked_strips
from resight.outputs import replace_file
from resight.tracklet import Tracklet
from resight.version import __version__


def write_page(path: Path, page: Page) -> None:
    """Write a self-contained HTML page, replacing an existing file in one step.

    Images are inlined, no script runs, and the page's content security policy forbids loading anything. All strings
    are escaped, so that the name of a tracklet or folder cannot become markup.
    """
    html = _templates().get_template("base.html").render(page=page, version=__version__)
    with replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def write_search_page(
    path: Path,
    query: Tracklet,
    ranked: Sequence[tuple[Tracklet, float, Verdict]],
    *,
    searched: int | None = None,
    judged: str = "",
    links: Mapping[str, str] | None = None,
    details: Mapping[str, str] | None = None,
    camera_name: Callable[[int], str] = default_camera_name,
) -> None:
    """Write the page of one search: frames of the query, and below them the candidates, best first.

    Args:
        path: ``.html`` file; its folder is created if necessary.
        query: Query tracklet.
        ranked: (Tracklet, similarity, whether it shows the right person), best first.
        searched: Number of gallery tracklets searched.
        judged: What the threshold says about the best match, see `Threshold.judge`.
        links: Tracklet id to the relative address of a page that explains this candidate.
        details: Tracklet id to what else is known of this candidate.
        camera_name: Name of a camera by its number, such as `Dataset.camera_name`.
    """
    gallery = f"{searched} tracklets" if searched is not None else "the gallery"
    if not ranked:
        lead = f"There are no candidates in {gallery}."
    else:
        best, score, _ = ranked[0]
        where = best.camera_name or camera_name(best.camera)
        lead = f"The best match in {gallery} is {best.id} ({where}), similarity {score:.2f}."
        if len(ranked) > 1:
            margin = score - ranked[1][1]
            lead += f" The second is {margin:.2f} lower." if margin >= 0.005 else " The second is equally similar."
    question = Strips("", (query_strip(query, camera_name=camera_name),))
    candidates = Strips("", tuple(ranked_strips(ranked, links=links, details=details, camera_name=camera_name)))
    page = Page(
        title=f"Search for {query.id}",
        kicker="Search",
        lead=(lead, f"{judged.rstrip('.')}.") if judged else (lead,),
        sections=(Section("Query", (question,)), Section("Candidates, best first", (candidates,))),
        evidence={
            "query": query.id,
            "ranked": [{"id": t.id, "camera": t.camera, "similarity": float(s), "verdict": v} for t, s, v in ranked],
        },
    )
    write_page(path, page)


def write_report(path: Path, title: str, lead: Sequence[str], sections: Sequence[Section], *, kicker: str = "") -> None:
    """Write a report of any parts: tables, curves, film strips, explanations, commands.

    Args:
        path: ``.html`` file; its folder is created if necessary.
        title: Title of the report.
        lead: Introduction, one paragraph or several.
        sections: Sections made of the parts in `resight.explanation.blocks` and `films`; `sections` builds many of
            them.
        kicker: Short line above the title.
    """
    write_page(path, Page(title, tuple(lead), tuple(sections), kicker))


def template_environment(package: str) -> jinja2.Environment:
    """Return an environment for the templates of a package, which escapes values and refuses undefined ones."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = template_environment("resight.explanation")
    environment.filters["macro"] = _macro_name
    return environment


def _macro_name(block: object) -> str:
    """Return the name of the macro in blocks.html that renders a part.

    >>> from resight.explanation.blocks import Text
    >>> _macro_name(Text(("a paragraph",)))
    'text'
    """
    return type(block).__name__.lower()
