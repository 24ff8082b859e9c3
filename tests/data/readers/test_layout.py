"""Search for a data set and its files below a path, and the table of layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.data.readers import LAYOUTS, OWN_DATA, READERS
from resight.data.readers.layout import Layout, LayoutFile
from resight.errors import DatasetError

QUERY = Layout("a layout", folders=("query",))


def test_every_reader_has_a_layout() -> None:
    assert LAYOUTS.keys() == READERS.keys()
    assert {kind for kind, layout in LAYOUTS.items() if not layout.folders} == OWN_DATA.keys()
    assert all(set(layout.numbered_folders) <= set(layout.folders) for layout in LAYOUTS.values())


@pytest.mark.parametrize("above", ["", "unpacked", "unpacked/again"])
def test_finds_data_in_extra_folders(tmp_path: Path, above: str) -> None:
    (tmp_path / above / "query").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "query").mkdir(parents=True)
    assert QUERY.find_home(tmp_path) == tmp_path / above


def test_reports_what_is_missing_and_where(tmp_path: Path) -> None:
    (tmp_path / "query").mkdir()
    (tmp_path / "too" / "deep" / "below" / "query").mkdir(parents=True)
    (tmp_path / "too" / "deep" / "below" / "train").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"no folder .*train: a layout"):
        Layout("a layout", folders=("query", "train")).find_home(tmp_path)
    with pytest.raises(DatasetError, match=r"no folder .*nowhere: a layout"):
        QUERY.find_home(tmp_path / "nowhere")


def test_refuses_to_choose_between_two_copies(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "query").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"more than one such data set, .*new and .*old; give the path of one"):
        QUERY.find_home(tmp_path)


def test_a_file_is_searched_for_at_the_named_folder_the_home_and_above(tmp_path: Path) -> None:
    root, home = tmp_path, tmp_path / "a" / "b"
    home.mkdir(parents=True)
    file = LayoutFile(("x.txt", "in/x.txt"), nearby=True)
    assert LayoutFile(("x.txt",)).candidates(root, home) == [home / "x.txt"]
    assert file.find(root, home) is None
    expected = [folder / name for folder in (root, home, home.parent) for name in ("x.txt", "in/x.txt")]
    assert file.candidates(root, home) == expected
    for path in reversed(expected):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert file.find(root, home) == path
    assert len(file.candidates(root, root)) == 4
