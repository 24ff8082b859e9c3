"""Reading data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.readers.conftest import MakeLayout

from resight.data.readers import READERS, read_dataset, read_splits
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


def test_a_number_chooses_one_of_several_splits(layouts: MakeLayout) -> None:
    name = f"prid2011:{layouts('prid2011')}"
    splits = read_splits(name)
    assert len(splits) == 10
    assert read_splits(f"{name}#3") == splits[2:3]
    assert read_dataset(f"{name}#3") == splits[2]
    with pytest.raises(DatasetError, match=r"selects split 11, but .* has splits 1 to 10"):
        read_splits(f"{name}#11")


def test_using_the_first_of_several_splits_is_noted(layouts: MakeLayout) -> None:
    name = f"prid2011:{layouts('prid2011')}"
    dataset = read_dataset(name)
    assert dataset.query == read_splits(name)[0].query
    assert dataset.notes == (f"this is split 1 of 10; {name}#2 selects the second",)


def test_a_data_set_with_one_split_has_no_number(world: Path, tmp_path: Path) -> None:
    assert read_splits(f"mars:{world}") == (read_dataset(f"mars:{world}"),)
    with pytest.raises(DatasetError, match=r"selects split 1, but .* has one split, and no number"):
        read_dataset(f"mars:{world}#1")
    (tmp_path / "crops#2" / "a" / "c" / "1").mkdir(parents=True)
    (tmp_path / "crops#2" / "a" / "c" / "1" / "1.jpg").touch()
    assert read_dataset(f"folder:{tmp_path}/crops#2").root == tmp_path / "crops#2"


def test_the_documentation_lists_every_kind() -> None:
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert [kind for kind in READERS if f"| `{kind}` |" not in text or f"## `{kind}:PATH`" not in text] == []
