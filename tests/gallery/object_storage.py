"""Object storage of this machine for tests: moto's S3 server, on the loopback interface only."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NUMBERS = itertools.count()


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the address of an empty bucket. Environment variables lead to it until the block ends."""
    reason = "needs moto with its server, of the extra `dev`"
    server_class = pytest.importorskip("moto.server", reason=reason).ThreadedMotoServer
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_class(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        bucket = f"resight-{next(_NUMBERS)}"
        client().create_bucket(Bucket=bucket)
        try:
            yield f"s3://{bucket}"
        finally:
            server.stop()


def client() -> Any:
    """Return a client of the server."""
    import boto3

    return boto3.client("s3")


def contents(place: str) -> dict[str, bytes]:
    """Return the contents of all files below a folder or an address."""
    if not place.startswith("s3://"):
        return {str(path): path.read_bytes() for path in Path(place).rglob("*") if path.is_file()}
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: client().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
