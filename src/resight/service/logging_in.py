"""Log in with the token that `resight serve` printed, and out again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from resight.service.rendering import render
from resight.service.replies import LoginPage
from resight.service.routing import HTML, PROBLEMS, Editor, frame_of, local
from resight.service.service import Service
from resight.service.sessions import COOKIE

Next = Annotated[str, Query(max_length=2000)]


def routes(service: Service) -> APIRouter:
    """Return the routes of the login."""
    router = APIRouter()
    sessions = service.sessions

    @router.get("/login", response_class=HTMLResponse, responses=PROBLEMS | HTML)
    def login_page(request: Request, next: Next = "/tracklets") -> Response:
        """Show the form to log in."""
        return HTMLResponse(render("login.html", LoginPage(local(next), failed=False), frame_of(request)))

    @router.post("/login", response_class=HTMLResponse, responses=PROBLEMS | {303: {"description": "Logged in."}})
    def login(
        request: Request,
        token: Annotated[str, Form(max_length=500)],
        author: Annotated[str, Form(min_length=1, max_length=60)],
        next: Annotated[str, Form(max_length=2000)] = "/tracklets",
    ) -> Response:
        """Start a session."""
        if not sessions.accepts_token(token) or not author.strip():
            page = LoginPage(local(next), failed=True)
            return HTMLResponse(render("login.html", page, frame_of(request)), status_code=401)
        session = sessions.start(" ".join(author.split()))
        response = RedirectResponse(local(next), status_code=303)
        response.set_cookie(
            COOKIE, sessions.cookie(session), httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return response

    @router.post("/logout", response_class=RedirectResponse, responses=PROBLEMS, status_code=303)
    def logout(session: Editor) -> Response:
        """End the session."""
        sessions.end(session)
        response = RedirectResponse("/login" if sessions.needs_login else "/tracklets", status_code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return router
