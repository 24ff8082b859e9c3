from __future__ import annotations

from pathlib import Path

import pytest

from resight.errors import OutputError
from resight.outputs import check_output_file, check_output_folder, replace_file


def test_places_that_can_be_written(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "new" / "folder")
    check_output_file(tmp_path / "other" / "file.txt")
    assert (tmp_path / "new" / "folder").is_dir() and list((tmp_path / "other").iterdir()) == []


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing/here")):
        with pytest.raises(OutputError, match="cannot write"):
            check_output_folder(path)
    for path in (tmp_path, tmp_path / "file" / "below", Path("/proc/nothing/here")):
        with pytest.raises(OutputError, match="cannot write"):
            check_output_file(path)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_file_is_replaced_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with replace_file(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_text("second")
        _ = 1 / 0
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]
    for wrong in (tmp_path, path / "below"):
        with pytest.raises(OutputError, match="cannot write"), replace_file(wrong) as temporary:
            temporary.write_text("third")
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


def test_links_are_kept_and_devices_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("first")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with replace_file(tmp_path / "link") as temporary:
        temporary.write_text("second")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "second"
    for check in (check_output_file, lambda path: replace_file(path).__enter__()):
        with pytest.raises(OutputError, match="not a regular file"):
            check(Path("/dev/null"))


def test_a_folder_can_be_checked_without_leaving_it(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "a" / "b", keep=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    check_output_folder(tmp_path / "kept", keep=False)
    assert (tmp_path / "kept").is_dir()
    with pytest.raises(OutputError, match=r"cannot write /proc/resight/x: "):
        check_output_folder(Path("/proc/resight/x"), keep=False)
