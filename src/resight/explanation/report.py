"""Pages to look at: one match, one search, or a whole report, each a single file that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import jinja2

from resight import __version__
from resight.checkpoints import replace_file
from resight.explanation.blocks import Page, Section
from resight.explanation.evidence import MatchEvidence
from resight.explanation.films import Strips, Verdict
from resight.explanation.sections import (
    by_number,
    clip_table,
    matrix_blocks,
    pair_blocks,
    query_strip,
    ranked_strips,
    share_blocks,
)
from resight.tracklet import Tracklet


def write_page(path: Path, page: Page) -> None:
    """Write one self-contained page of HTML, replacing an older one in one step.

    Every picture is inlined, no script runs, and the page's own policy forbids a browser to load anything; every
    string is escaped, so that the name of a tracklet or of a folder cannot become markup.
    """
    html = _templates().get_template("base.html").render(page=page, version=__version__)
    with replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def write_match_page(path: Path, evidence: MatchEvidence, *, verdict: Verdict = "unknown", k: int = 2) -> None:
    """The page of one match: the verdict in words, the clips and pairs it rests on, every number for scripts.

    Args:
        path: of the ``.html`` file; its folder is made if need be.
        evidence: from `explain_match`.
        verdict: whether both are known to be the same person.
        k: clip pairs shown at either end of the importance.
    """
    query, gallery = evidence.query, evidence.gallery
    page = Page(
        title=f"{query.id} and {gallery.id}",
        kicker="Why these two tracklets match, or do not",
        lead=evidence.in_words()[1:],
        similarity=evidence.scored.score,
        verdict=verdict,
        sections=(
            Section(
                "Which moments decided",
                share_blocks(evidence),
                "Bar: a clip's share of the decision. Dashed: an even share.",
            ),
            Section(
                "Clip pairs", (pair_blocks(evidence, k),), "Green outline: query clip. Orange outline: gallery clip."
            ),
            Section("Every clip pair", matrix_blocks(evidence), "Query clips run down, gallery clips run across."),
            Section("The clips in numbers", (clip_table("query", evidence), clip_table("gallery", evidence))),
        ),
        evidence=evidence.to_json(),
    )
    write_page(path, page)


def write_search_page(
    path: Path,
    query: Tracklet,
    ranked: Sequence[tuple[Tracklet, float, Verdict]],
    *,
    searched: int | None = None,
    judged: str = "",
    links: Mapping[str, str] | None = None,
    camera_name: Callable[[int], str] = by_number,
) -> None:
    """The page of one search: the query's film strip, and below it the answers, best first.

    Args:
        path: of the ``.html`` file; its folder is made if need be.
        query: what was asked.
        ranked: (tracklet, similarity, whether it is the right person), best first.
        searched: size of the gallery.
        judged: whether the person is in the gallery at all, in words.
        links: id of an answer to the relative address of the page that explains it.
        camera_name: what cameras are called, such as `Dataset.camera_name`.
    """
    among = f"{searched} tracklets" if searched is not None else "the gallery"
    if not ranked:
        lead = f"No answer was found among {among}."
    else:
        best, score, _ = ranked[0]
        lead = f"The best answer among {among} is {best.id}, {camera_name(best.camera)}, similarity {score:.2f}."
        if len(ranked) > 1:
            ahead = score - ranked[1][1]
            lead += f" It is {ahead:.2f} ahead of the second." if ahead >= 0.005 else " The second is as similar."
    question = Strips("", (query_strip(query, camera_name=camera_name),))
    answers = Strips("", tuple(ranked_strips(ranked, links=links, camera_name=camera_name)))
    page = Page(
        title=f"Who is like {query.id}?",
        kicker="A search",
        lead=(lead, f"{judged[:1].upper()}{judged[1:].rstrip('.')}.") if judged else (lead,),
        sections=(Section("The question", (question,)), Section("The answers, best first", (answers,))),
        evidence={
            "query": query.id,
            "ranked": [{"id": t.id, "camera": t.camera, "similarity": float(s), "verdict": v} for t, s, v in ranked],
        },
    )
    write_page(path, page)


def write_report(path: Path, title: str, lead: Sequence[str], sections: Sequence[Section], *, kicker: str = "") -> None:
    """A report of many parts: tables, curves, strips, an explained match, commands.

    Args:
        path: of the ``.html`` file; its folder is made if need be.
        title: of the report.
        lead: what this is, a paragraph or several.
        sections: made of the parts in `resight.explanation.blocks` and `films`, many of which `sections` builds.
        kicker: a quiet line above the title.
    """
    write_page(path, Page(title, tuple(lead), tuple(sections), kicker))


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("resight.explanation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
