"""resight models, and commands that use a model which comes with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resight import shipped
from resight.api import model as api_model
from resight.cli import main, models
from resight.features.store import FILE


@pytest.fixture
def comes_with(shipped_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands find the models of this folder, and a user's cache that is empty."""
    monkeypatch.setattr(api_model, "shipped_card", partial(shipped.shipped_card, folder=shipped_folder))
    monkeypatch.setattr(api_model, "weights_of", partial(shipped.weights_of, folder=shipped_folder))
    monkeypatch.setattr(models, "shipped_models", partial(shipped.shipped_models, shipped_folder))
    monkeypatch.setattr(models, "shipped_card", partial(shipped.shipped_card, folder=shipped_folder))
    monkeypatch.delenv("RESIGHT_CACHE")
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
    size = (comes_with / "open.safetensors").stat().st_size
    for said in ("open", "128 features per clip", f"{size / 1e6:.1f} MB", "random weights", "(default)"):
        assert said in line
    main(["models", "open"])
    assert "40.9" in capsys.readouterr().out
    found = ask(capsys, "models")
    assert found["default"] == "open"
    assert found["models"] == [ask(capsys, "models", "open")]
    with pytest.raises(SystemExit):
        main(["models", "anna"])
    assert "one of open" in capsys.readouterr().err


def test_without_a_model_the_shipped_one_is_used(
    comes_with: Path, tmp_path: Path, make_tracklets: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make_tracklets(persons=3)
    data, (query, other) = f"folder:{tmp_path / 'tracklets'}", ("0001/c1/0001", "0002/c2/0001")
    found = ask(capsys, "search", query, data)
    assert found["searched"] == 3
    assert ask(capsys, "search", query, data, "--model", "open") == found
    assert list(tmp_path.rglob(FILE)) == [tmp_path / "cache" / "resight" / FILE]
    assert len(list(comes_with.iterdir())) == 2
    own = comes_with / "open.safetensors"
    assert ask(capsys, "search", query, data, "--model", str(own)) == found
    assert len(list(comes_with.iterdir())) == 2
    assert "learned importance" in ask(capsys, "evaluate", data)["scores"]
    main(["explain", query, other, data, "--out", "why"])
    main(["extract", data, "--out", "f.safetensors", "--workers", "0"])
    assert "resight models open" in capsys.readouterr().err
    Path("open").write_bytes(b"a file of that name")
    with pytest.raises(SystemExit):
        main(["search", query, data])
    assert "open is a file of unknown type" in capsys.readouterr().err


def test_without_shipped_models_the_error_says_what_to_do(comes_with: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in comes_with.iterdir():
        path.unlink()
    main(["models"])
    assert "train one" in capsys.readouterr().out
    for arguments in (["search", "x", "folder:."], ["explain", "x", "y", "folder:.", "--out", "z"], ["models", "anna"]):
        with pytest.raises(SystemExit):
            main(arguments)
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and "train one" in error and "--model PATH" in error
