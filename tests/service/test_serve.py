from __future__ import annotations

import socket

import pytest

from resight.errors import OutputError
from resight.service.serve import _listen
from resight.service.settings import ServiceSettings


def test_answers_are_not_delayed() -> None:
    """asyncio switches off Nagle's algorithm for connections whose protocol is known to be TCP."""
    with _listen(ServiceSettings(port=0)) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            connection, _ = listening.accept()
            with connection:
                assert connection.proto == socket.IPPROTO_TCP


def test_an_address_in_use_is_refused() -> None:
    with _listen(ServiceSettings(port=0)) as listening:
        listening.listen()
        with pytest.raises(OutputError, match="choose another --port"):
            _listen(ServiceSettings(port=listening.getsockname()[1]))
