"""The application: routes, static files, the reports of problems, and what stands before them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from resight.errors import ResightError
from resight.service import browsing, cases, explaining, keeping, labelling, logging_in, searching, showing
from resight.service.bodies import BodyLimits
from resight.service.guard import Guard
from resight.service.problems import RefusedError, refused
from resight.service.rendering import page_style, render
from resight.service.routing import frame_of, from_page, in_place
from resight.service.service import Service
from resight.version import __version__

_STATIC = {
    "service.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def create_app(service: Service) -> ASGIApp:
    """Return the application as it is served: with checks of every request before anything else.

    Args:
        service: A gallery with its sessions and settings.
    """
    api = create_api(service)
    return Guard(BodyLimits(api, service.settings), service.settings, service.sessions)


def create_api(service: Service) -> FastAPI:
    """Return the routes without the checks before them. Use `create_app` to serve them."""
    api = FastAPI(
        title="Resight",
        version=__version__,
        summary="Search a gallery of person tracklets.",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
    )
    api.state.sessions = service.sessions
    for module in (browsing, showing, searching, explaining, labelling, keeping, cases, logging_in):
        api.include_router(module.routes(service))
    contents = {name: files("resight.service").joinpath(f"static/{name}").read_bytes() for name in _STATIC}
    contents["page.css"] = page_style().encode()

    @api.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in contents:
            raise RefusedError(404, "there is no such file")
        media = _STATIC.get(name, "text/css; charset=utf-8")
        return Response(contents[name], media_type=media, headers={"cache-control": "private, max-age=3600"})

    @api.get("/", include_in_schema=False)
    def root() -> Response:
        return RedirectResponse("/tracklets", status_code=303)

    _report_problems(api)
    return api


def _report_problems(api: FastAPI) -> None:
    @api.exception_handler(RefusedError)
    async def report_refusal(request: Request, error: RefusedError) -> Response:
        return _problem(request, error)

    @api.exception_handler(ResightError)
    async def report_error(request: Request, error: ResightError) -> Response:
        return _problem(request, refused(error))

    @api.exception_handler(RequestValidationError)
    async def report_invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return _problem(request, RefusedError(422, f"{field}: {first['msg']}"))

    @api.exception_handler(HTTPException)
    async def report_http(request: Request, error: HTTPException) -> Response:
        return _problem(request, RefusedError(error.status_code, str(error.detail), dict(error.headers or {})))

    @api.exception_handler(Exception)
    async def report_fault(request: Request, error: Exception) -> Response:
        logging.getLogger("resight.service").error("fault at %s: %s", request.url.path, type(error).__name__)
        return _problem(request, RefusedError(500, "a fault of this program; the terminal shows where it happened"))


def _problem(request: Request, error: RefusedError) -> Response:
    """Return a problem as part of a page, as a page, or as JSON."""
    if not from_page(request):
        return JSONResponse(asdict(error.problem), error.status, error.headers)
    template = "refused.html" if in_place(request) else "problem.html"
    return HTMLResponse(render(template, error.problem, frame_of(request)), error.status, error.headers)
