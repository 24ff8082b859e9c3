"""Random requests against the documented API: no fault, and no answer outside of the schema.

RESIGHT_FUZZ_EXAMPLES sets the number of requests for each operation, and RESIGHT_FUZZ_SEED which ones; the ordinary
test run sends few.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from tests.service.conftest import RATES

from resight.api.gallery import Gallery
from resight.api.model import Model
from resight.service.app import create_api, create_app
from resight.service.service import Service
from resight.service.settings import ServiceSettings

schemathesis: Any = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install 'resight[dev]'")
EXAMPLES = int(os.environ.get("RESIGHT_FUZZ_EXAMPLES", "5"))
SEED = int(os.environ.get("RESIGHT_FUZZ_SEED", "0"))
ALL = list(HealthCheck)


@pytest.fixture(scope="module")
def schema(filled_gallery: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fuzzed") / "site"
    shutil.copytree(filled_gallery, folder)
    with Gallery(folder, model) as gallery:
        service = Service(gallery, ServiceSettings(names=("testserver",), **RATES))
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(service))


@pytest.mark.timeout(300 if EXAMPLES <= 5 else 0)
def test_no_request_causes_a_fault(schema: Any) -> None:
    checks = schemathesis.specs.openapi.checks
    wanted = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    sent: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(SEED)
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=ALL)
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            case.call_and_validate(checks=wanted)
            sent[case.operation.label] += 1

        send()
    assert len(sent) > 20 and all(sent.values())
    print(f"{sum(sent.values()):,} requests")


def test_the_schema_lists_every_page_twice(model: Model, filled_gallery: Path) -> None:
    with Gallery(filled_gallery, model) as gallery:
        paths = create_api(Service(gallery, ServiceSettings())).openapi()["paths"]
    pages = {path.removesuffix(".json") for path in paths if path.endswith(".json")}
    assert pages == {
        "/tracklets",
        "/tracklet",
        "/recording",
        "/search",
        "/explain",
        "/persons",
        "/case",
        "/suggestions",
        "/log",
    }
    assert pages <= paths.keys()
    body = paths["/search"]["post"]["requestBody"]["content"]
    assert list(body) == ["multipart/form-data"]
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation.get("description"), path
