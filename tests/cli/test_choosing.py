"""resight models, and commands that use a model which comes with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resight import shipped
from resight.cli import choosing, inputs, main


@pytest.fixture
def comes_with(shipped_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands find the models of this folder, and a user's cache that is empty."""
    monkeypatch.setattr(inputs, "weights_of", partial(shipped.weights_of, folder=shipped_folder))
    monkeypatch.setattr(choosing, "shipped_models", partial(shipped.shipped_models, shipped_folder))
    monkeypatch.setattr(choosing, "shipped_card", partial(shipped.shipped_card, folder=shipped_folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return shipped_folder


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_models_are_listed_and_their_cards_printed(comes_with: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["models"])
    (line,) = capsys.readouterr().out.splitlines()
    size = (comes_with / "open-small.safetensors").stat().st_size
    for said in ("open-small", "128 numbers", f"{size / 1e6:.1f} MB", "random weights", "where no --model is given"):
        assert said in line
    main(["models", "open-small"])
    assert "40.9" in capsys.readouterr().out
    found = ask(capsys, "models")
    assert found["default"] == "open-small"
    assert found["models"] == [ask(capsys, "models", "open-small")]
    with pytest.raises(SystemExit):
        main(["models", "anna"])
    assert "one of open-small" in capsys.readouterr().err


def test_without_a_model_the_shipped_one_answers(
    comes_with: Path, tmp_path: Path, make_tracklets: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make_tracklets(persons=3)
    data, (query, other) = f"folder:{tmp_path / 'tracklets'}", ("0001/c1/0001", "0002/c2/0001")
    found = ask(capsys, "search", query, data)
    assert found["searched"] == 3
    assert ask(capsys, "search", query, data, "--model", "open-small") == found
    assert {p.parent for p in tmp_path.rglob("features-*")} == {tmp_path / "cache" / "resight" / "features"}
    assert len(list(comes_with.iterdir())) == 2
    own = comes_with / "open-small.safetensors"
    assert ask(capsys, "search", query, data, "--model", str(own)) == found
    assert (comes_with / "features").is_dir()
    assert "learned importance" in ask(capsys, "evaluate", data)["scores"]
    main(["explain", query, other, data, "--out", "why"])
    main(["extract", data, "--out", "f.safetensors", "--workers", "0"])
    assert "resight models open-small" in capsys.readouterr().err
    Path("open-small").write_bytes(b"a file of that name")
    with pytest.raises(SystemExit):
        main(["search", query, data])
    assert "open-small is damaged" in capsys.readouterr().err


def test_with_no_model_at_all_it_is_said_what_to_do(comes_with: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in comes_with.iterdir():
        path.unlink()
    main(["models"])
    assert "train one" in capsys.readouterr().out
    for arguments in (["search", "x", "folder:."], ["explain", "x", "y", "folder:.", "--out", "z"], ["models", "anna"]):
        with pytest.raises(SystemExit):
            main(arguments)
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and "train one" in error and "--model PATH" in error


def test_the_cache_is_where_each_system_keeps_such_things(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, variable, folder in (
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("darwin", "XDG_CACHE_HOME", "Library/Caches"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
    ):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.delenv(variable, raising=False)
        assert inputs.user_cache() == Path.home() / folder / "resight"
        monkeypatch.setenv(variable, "/elsewhere")
        assert inputs.user_cache() == Path("/elsewhere/resight")
