from __future__ import annotations

from pathlib import Path

import pytest

from resight.data.readers.listing import find_layout, first_few, list_folder
from resight.errors import DatasetError


def test_lists_by_number_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.JPG", ".8.jpg", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("p10", "p9", ".git"):
        (tmp_path / name).mkdir()
    assert list_folder(tmp_path) == (["p9", "p10"], ["9.JPG", "10.jpg"])
    assert list_folder(tmp_path, as_text=True) == (["p10", "p9"], ["10.jpg", "9.JPG"])


@pytest.mark.parametrize("above", ["", "unpacked", "unpacked/again"])
def test_finds_what_an_archive_put_deeper(tmp_path: Path, above: str) -> None:
    (tmp_path / above / "query").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "query").mkdir(parents=True)
    assert find_layout(tmp_path, ["query"], "a layout") == tmp_path / above


def test_says_what_is_missing_where(tmp_path: Path) -> None:
    (tmp_path / "query").mkdir()
    (tmp_path / "too" / "deep" / "below" / "query").mkdir(parents=True)
    (tmp_path / "too" / "deep" / "below" / "train").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"no folder .*train: a layout"):
        find_layout(tmp_path, ["query", "train"], "a layout")
    with pytest.raises(DatasetError, match=r"no folder .*nowhere: a layout"):
        find_layout(tmp_path / "nowhere", ["query"], "a layout")


def test_does_not_choose_between_two(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "query").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"more than one such data set, .*new and .*old; name one"):
        find_layout(tmp_path, ["query"], "a layout")


def test_first_few_of_many() -> None:
    assert first_few(["a", "b", "c", "d"]) == "the first: a, b, c"
