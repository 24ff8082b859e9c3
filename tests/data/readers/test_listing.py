"""Folders are listed in an order that does not depend on the disk."""

from __future__ import annotations

from pathlib import Path

from resight.data.readers.listing import first_few, list_folder


def test_lists_by_number_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.JPG", ".8.jpg", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("p10", "p9", ".git"):
        (tmp_path / name).mkdir()
    assert list_folder(tmp_path) == (["p9", "p10"], ["9.JPG", "10.jpg"])
    assert list_folder(tmp_path, as_text=True) == (["p10", "p9"], ["10.jpg", "9.JPG"])


def test_first_few_of_many() -> None:
    assert first_few(["a", "b", "c", "d"]) == "the first: a, b, c"
