"""What the routes share: the session of a request, and every page twice, as HTML and as JSON.

Annotations are evaluated in this module, because FastAPI cannot look up local names in them.
"""

from collections.abc import Callable
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from resight.service.problems import RefusedError, wants_html
from resight.service.rendering import Frame, render
from resight.service.replies import Problem
from resight.service.sessions import CSRF_FIELD, CSRF_HEADER, Session, Sessions

Id = Annotated[str, Query(min_length=1, max_length=300, description="Id of a tracklet.")]
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}, "text/html": {}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be answered.", "content": _CONTENT},
    503: {"description": "The gallery cannot answer now.", "content": _CONTENT},
}
JSON_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": problem["description"], "model": Problem} for status, problem in PROBLEMS.items()
}
HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}, "description": "The page."}}


def current_session(request: Request) -> Session:
    """Return the session that `Guard` found or started."""
    session: Session = request.scope["session"]
    return session


async def checked_session(request: Request) -> Session:
    """Return the session of a request that changes something, after checking that a form of ours sent it.

    Raises:
        RefusedError: If a cookie names the session, but the form does not contain the session's token.
    """
    session = current_session(request)
    if request.scope["by_cookie"]:
        presented = request.headers.get(CSRF_HEADER) or (await request.form()).get(CSRF_FIELD)
        sessions: Sessions = request.app.state.sessions
        if not isinstance(presented, str) or not sessions.accepts_csrf(session, presented):
            raise RefusedError(403, "the form belongs to another session; load the page again")
    return session


Viewer = Annotated[Session, Depends(current_session)]
Editor = Annotated[Session, Depends(checked_session)]


def frame_of(request: Request) -> Frame:
    """Return what surrounds a page."""
    sessions: Sessions = request.app.state.sessions
    session: Session | None = request.scope.get("session")
    url = request.url
    path = f"{url.path}?{url.query}" if url.query else url.path
    token = sessions.csrf_token(session) if session else ""
    return Frame(path if request.method == "GET" else "/tracklets", token, sessions.needs_login, url.path)


def add_page(router: APIRouter, path: str, template: str, build: Callable[..., Any]) -> None:
    """Serve a page at `path`, and its context at `path` with ``.json`` appended.

    Args:
        router: Where to add both.
        path: Path of the page.
        template: Name of its template.
        build: Returns the context; its arguments are the query.
    """
    name = path.removeprefix("/")
    router.add_api_route(
        f"{path}.json", build, response_model=get_type_hints(build)["return"], responses=JSON_PROBLEMS,
        name=f"{name}.json", operation_id=f"{name}_json",
    )  # fmt: skip

    def page(request: Request, context: Annotated[Any, Depends(build)]) -> HTMLResponse:
        return HTMLResponse(render(template, context, frame_of(request)))

    page.__doc__ = f"The same as {path}.json as a page."
    router.add_api_route(
        path, page, response_class=HTMLResponse, responses=PROBLEMS | HTML, name=name, operation_id=name
    )


def answer_form(request: Request, fragment: str, page: Any, next_page: str) -> Response | Any:
    """Return the answer to a form: part of a page to htmx, a redirection to a browser, plain values to a program.

    Args:
        request: The request.
        fragment: Template of the part; empty if there is none.
        page: What has changed.
        next_page: Address to show next.
    """
    if not from_page(request):
        return page
    if fragment and in_place(request):
        return HTMLResponse(render(fragment, page, frame_of(request)))
    return RedirectResponse(local(next_page), status_code=303)


def from_page(request: Request) -> bool:
    """Return whether a browser shows the answer."""
    return wants_html(request.scope) or "hx-request" in request.headers


def in_place(request: Request) -> bool:
    """Return whether htmx puts the answer into the page that is shown."""
    return "hx-request" in request.headers and "hx-boosted" not in request.headers


def local(address: str) -> str:
    r"""Return an address if it is a path of this service, otherwise that of the first page.

    >>> local("/case?group=a"), local("//evil.example"), local("/\\evil.example")
    ('/case?group=a', '/tracklets', '/tracklets')
    """
    plain = address.isprintable() and "\\" not in address and address.startswith("/") and not address.startswith("//")
    return address if plain and not urlsplit(address).netloc else "/tracklets"
