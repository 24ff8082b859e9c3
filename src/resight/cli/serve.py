"""The command serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resight.cli.app import Device, app
from resight.errors import RecipeError

FLAG = Parameter(negative=())


@app.command
def serve(
    gallery: str, *, host: str = "127.0.0.1", port: int = 8000, token: Path | None = None,
    login: Annotated[bool, FLAG] = False, name: Annotated[tuple[str, ...], FLAG] = (), device: Device = "auto",
) -> None:  # fmt: skip
    """Serve a gallery as a web page, and as JSON for programs.

    Args:
        gallery: Folder or address of the gallery.
        host: Address to listen on. Other machines can reach addresses other than 127.0.0.1; users then need a token.
        port: Port to listen on; 0 takes a free one.
        token: File with the token, made if it is missing; by default, a new token is printed at every start.
        login: Ask for a token on this machine, too.
        name: Name under which browsers reach the service, such as that of a proxy; may be repeated.
    """
    try:
        from resight.service.serve import author_name
        from resight.service.serve import serve as run
        from resight.service.settings import ServiceSettings, is_local, read_token
    except ImportError as error:
        raise RecipeError(f"the web page needs further libraries ({error}): pip install 'resight[serve]'") from error
    from resight.api.gallery import Gallery

    secret = read_token(token) if login or token is not None or not is_local(host) else None
    settings = ServiceSettings(host=host, port=port, token=secret, author=author_name(), names=name)
    opened = Gallery(gallery, create=False, device=device)

    def ready(address: str) -> None:
        print(f"{len(opened):,} tracklets at {address}, until Ctrl+C", flush=True)
        if secret is not None and token is None:
            print(f"token: {secret}", flush=True)
        if not is_local(host):
            print("connections are not encrypted: use a proxy with TLS in networks that others can read", flush=True)

    run(opened, settings, ready)
