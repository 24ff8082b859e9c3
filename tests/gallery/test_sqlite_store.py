from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gallery.contract_suite import Contract, OpenStore

from resight.gallery.sqlite_store import SqliteStore
from resight.gallery.types import Header


class TestSqliteStore(Contract):
    @pytest.fixture
    def opened(self) -> Iterator[OpenStore]:
        stores = []

        def open_store(folder: Path, header: Header | None) -> SqliteStore:
            stores.append(SqliteStore(folder, header))
            return stores[-1]

        yield open_store
        for store in stores:
            store.close()
