"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.data.readers import READERS, read_dataset
from resight.errors import DatasetError


def test_reads_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "c" / "1").mkdir(parents=True)
    (tmp_path / "a" / "c" / "1" / "1.jpg").touch()
    assert read_dataset(f"folder:{tmp_path}").root == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.setenv("USERPROFILE", str(tmp_path.parent))
    assert read_dataset(f"folder:~/{tmp_path.name}").root == tmp_path


@pytest.mark.parametrize("name", ["mars", "mars:", "/data/MARS"])
def test_the_form_is_explained(name: str) -> None:
    with pytest.raises(DatasetError, match="KIND:PATH"):
        read_dataset(name)


def test_known_kinds_are_listed() -> None:
    with pytest.raises(DatasetError, match=f"known: {', '.join(sorted(READERS))}"):
        read_dataset("market:/data")


def test_a_path_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder .*nowhere"):
        read_dataset(f"mars:{tmp_path / 'nowhere'}")


def test_the_documentation_lists_every_kind() -> None:
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert [kind for kind in READERS if f"| `{kind}` |" not in text or f"## `{kind}:PATH`" not in text] == []
