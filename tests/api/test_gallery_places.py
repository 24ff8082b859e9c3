"""Galleries by address: a shared folder and object storage, through the library and the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.conftest import MakeModel
from tests.gallery.object_storage import contents, s3_server

from resight.api.gallery import Gallery
from resight.api.gallery_answers import GalleryAnswers
from resight.api.gallery_batch import search_many
from resight.checkpoints import save_checkpoint
from resight.cli import main
from resight.errors import GalleryError
from resight.gallery.open_store import gallery_name
from resight.gallery.sqlite_store import SqliteStore

pytest.importorskip("lance", reason="needs the extra `cluster`")

from resight.gallery.lance_store import LanceStore


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["file", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    root = tmp_path.as_uri() if request.param == "file" else str(request.getfixturevalue("bucket"))
    return f"{root}/{tmp_path.name}.gallery"


def ids_of(answers: GalleryAnswers) -> list[tuple[str, float]]:
    return [(answer.id, round(answer.similarity, 4)) for answer in answers]


def test_a_gallery_at_an_address_answers_as_in_a_folder(
    address: str, make_model: MakeModel, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    with Gallery(tmp_path / "site.gallery", make_model()) as one, Gallery(address, make_model()) as other:
        assert isinstance(one.store, SqliteStore) and isinstance(other.store, LanceStore)
        one.add(f"manifest:{manifest}")
        assert len(other.merge(one).added) == 8 and other.add(f"manifest:{manifest}").known == 8
        for options in ({}, {"exact": True}, {"cameras": ["hall"]}):
            assert ids_of(one.search("door-0001", **options)) == ids_of(other.search("door-0001", **options))
        other.same("door-0001", "hall-0002", author="anna")
        rebuilt = other.rebuild(make_model(seed=2, name="other"))
        assert rebuilt.tracklets == 8 and other.groups().same("door-0001", "hall-0002")
        assert not list((tmp_path / "cache").rglob("*.sqlite"))
        assert other.remove(["door-0001"]) == ["door-0001"] and other.verify() == []
        if address.startswith("s3:"):
            with pytest.raises(GalleryError, match="on object storage"):
                other.adapt()
        else:
            assert (other.path / "gallery.lance").is_dir()
        info = other.info()
        assert info.path == gallery_name(address) and info.tracklets == 7 and info.size > 0
    assert any("gallery.lance" in name for name in contents(address.removeprefix("file://")))


def test_commands_take_addresses(
    address: str, make_model: MakeModel, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, make_model().checkpoint)
    for words in (["add", address, f"manifest:{manifest}", "--model", str(path)], ["info", address]):
        main(["gallery", *words, "--json"])
        assert json.loads(capsys.readouterr().out)["tracklets"] == 8
    main(["gallery", "search", address, "door-0001"])
    assert "hall-0001" in capsys.readouterr().out
    main(["gallery", "merge", f"{address}-copy", address, "--json"])
    assert len(json.loads(capsys.readouterr().out)["added"]) == 8
    main(["gallery", "remove", address, "door-0001"])
    main(["gallery", "verify", address])
    with pytest.raises(SystemExit):
        main(["gallery", "info", f"{address}-of-nobody"])
    assert "does not exist" in capsys.readouterr().err


def test_a_path_opens_what_is_there(make_model: MakeModel, tmp_path: Path) -> None:
    Gallery((tmp_path / "one").as_uri(), make_model()).close()
    Gallery(tmp_path / "other", make_model()).close()
    assert isinstance(Gallery(tmp_path / "one", make_model()).store, LanceStore)
    assert isinstance(Gallery((tmp_path / "other").as_uri(), make_model()).store, SqliteStore)
    with pytest.raises(GalleryError, match="shards need a gallery at an address"):
        Gallery(tmp_path / "other", make_model(), cluster="local")


def test_incomplete_answers_say_so(make_model: MakeModel, manifest: Path, tmp_path: Path) -> None:
    with Gallery(tmp_path / "one", make_model()) as gallery:
        gallery.add(f"manifest:{manifest}")
        answers = replace(gallery.search("door-0001", k=2), shards=(2, 3))
    assert "only 2 of 3 shards answered" in answers.to_text()
    assert answers.to_json()["shards"] == {"answered": 2, "all": 3}
    summary = search_many(lambda _: answers, ["door-0001"], tmp_path / "answers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == summary.answers == 2 and all("only 2 of 3" in row["error"] for row in rows)
    assert summary.failed and "only 2 of 3" in summary.to_text()
    assert replace(answers, shards=(3, 3)).incomplete == ""
