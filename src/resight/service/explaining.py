"""Route of the explanation: which clips decided how similar two tracklets are."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from resight.explanation.match_numbers import HIGH_SHARE, LOW_SHARE
from resight.service.browsing import Upload
from resight.service.contexts import ClipShare, ExplainPage
from resight.service.pictures import version_of
from resight.service.problems import RefusedError
from resight.service.rendering import address
from resight.service.routing import Viewer, add_page
from resight.service.service import Service

Query_ = Annotated[str, Query(max_length=300, description="Id of the query; empty for an upload.")]
Answer = Annotated[str, Query(min_length=1, max_length=300, description="Id of the gallery tracklet.")]


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    def explain(session: Viewer, answer: Answer, query: Query_ = "", upload: Upload = "") -> ExplainPage:
        """Show which clips decided how similar two tracklets are."""
        if bool(query) == bool(upload):
            raise RefusedError(400, "name either a query or an upload")
        groups = service.groups()
        entries = service.entries([query, answer] if query else [answer])
        first = service.card(entries[0], groups) if query else service.upload_card(service.upload(upload))
        stored = service.fetch([query, answer] if query else [answer])
        with service.turn():
            evidence = service.gallery.explain(stored[0] if query else service.upload(upload).tracklet, stored[-1])
        service.record("explain", session, [query, answer] if query else [answer])
        versions = [version_of(entry) for entry in entries]
        source = {"id": query, "v": versions[0]} if query else {"upload": upload}
        identity, label = service.said(groups, query, answer) if query else (None, None)
        hints = [f"{entry.id}: {hint}" for entry in entries for hint in service.hints(entry)]
        scored = evidence.scored
        return ExplainPage(
            query=first,
            answer=service.card(entries[-1], groups),
            similarity=float(scored.score),
            identity=identity,
            label=label,
            label_first=query,
            sentences=evidence.in_words()[1:],
            hints=tuple(hints),
            query_clips=_clips(evidence.query_shares, source),
            answer_clips=_clips(evidence.gallery_shares, {"id": answer, "v": versions[-1]}),
            importance=_rows(scored.importance),
            weight=_rows(evidence.shares),
            cosine=_rows(scored.cosine),
            contribution=_rows(scored.contribution),
        )

    add_page(router, "/explain", "explain.html", explain)
    return router


def _clips(shares: NDArray[np.float64], source: dict[str, str]) -> tuple[ClipShare, ...]:
    equal = 1 / len(shares)
    return tuple(
        ClipShare(
            clip=number,
            picture=address("/picture", **source, clip=number),
            share=share,
            role="deciding" if share >= HIGH_SHARE * equal else "ignored" if share <= LOW_SHARE * equal else "usual",
        )
        for number, share in enumerate(shares.tolist(), start=1)
    )


def _rows(values: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.tolist())
