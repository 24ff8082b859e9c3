from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.api.conftest import MakeModel

from resight.adaptation.adapt import Report
from resight.adaptation.steps import Step
from resight.api import gallery_adapt, gallery_rebuild
from resight.api.gallery import Gallery
from resight.checkpoints import save_checkpoint
from resight.errors import DatasetError, GalleryError, RecipeError


@pytest.fixture
def gallery(make_model: MakeModel, manifest: Path, tmp_path: Path) -> Gallery:
    gallery = Gallery(tmp_path / "site.gallery", make_model())
    gallery.add(f"manifest:{manifest}")
    return gallery


@pytest.fixture
def adapts(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that lets adaptation return another model, kept or not, because eight tracklets are too few for it."""

    def adapt(kept: bool, seed: int = 2) -> None:
        def run(model: Any, tracklets: Any, source: str, path: Path, *_: Any) -> Any:
            assert model is not None and len(tracklets) == 8 and source == "site.gallery"
            other = make_model(seed=seed).checkpoint
            save_checkpoint(path, other)
            return other, Report({"statistics": Step(kept, ("statistics helped" if kept else "no",))})

        monkeypatch.setattr(gallery_adapt, "adapt_model", run)

    return adapt


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def features(gallery: Gallery) -> NDArray[np.float16]:
    return np.stack([item.features for block in gallery.store.scan() for item in block])


def test_a_gallery_gets_the_adapted_model(gallery: Gallery, adapts: Any) -> None:
    gallery.same("door-0001", "hall-0001", author="Ann")
    before = features(gallery)
    adapts(kept=True)
    result = gallery.adapt()
    assert result.rebuilt is not None and result.to_text() == (
        "statistics helped\n\nencoded 8 tracklets again; 0 were dropped"
    )
    (file,) = gallery.path.glob("*adapted*")
    assert gallery.store.header.model == str(file) and not np.allclose(features(gallery), before, atol=1e-3)
    assert gallery.verify() == [] and gallery.groups().same("door-0001", "hall-0001")
    answers = [[answer.id for answer in g.search("door-0001", k=3)] for g in (gallery, Gallery(gallery.path))]
    assert answers[0] == answers[1]
    adapts(kept=True, seed=3)
    gallery.adapt()
    assert [path != file for path in gallery.path.glob("*adapted*")] == [True], "the first file is deleted"


def test_a_gallery_stays_as_it_is_if_nothing_helped(gallery: Gallery, adapts: Any) -> None:
    before, model = features(gallery), gallery.store.header.model
    adapts(kept=False)
    result = gallery.adapt()
    assert result.rebuilt is None and result.to_json()["kept"] is False and "has not changed" in result.to_text()
    assert np.array_equal(features(gallery), before) and gallery.store.header.model == model
    assert not list(gallery.path.glob("*adapted*"))


def test_an_interrupted_adaptation_leaves_the_gallery_as_it_was(
    gallery: Gallery, adapts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = features(gallery)
    adapts(kept=True)
    with monkeypatch.context() as patch:
        patch.setattr(gallery_adapt, "rebuild_store", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gallery.adapt()
    assert np.array_equal(features(Gallery(gallery.path, gallery.model)), before)
    assert gallery.adapt().rebuilt is not None


def test_erasing_a_tracklet_erases_what_interrupted_work_kept(
    gallery: Gallery, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gallery.path / ".adapted.part").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(gallery_rebuild, "_staged", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gallery.rebuild(make_model(seed=2, name="other"))
    unfinished = Gallery(gallery.path / "rebuild", create=False)
    assert "door-0001" in unfinished
    gallery.remove(["door-0001"])
    assert "door-0001" not in unfinished and len(unfinished) == 7 and not (gallery.path / ".adapted.part").exists()


def test_what_cannot_be_adapted_is_refused(gallery: Gallery, manifest: Path) -> None:
    with pytest.raises(RecipeError, match="expected one or more of statistics"):
        gallery.adapt(steps=["magic"])
    with pytest.raises(DatasetError, match=r"found 8 tracklets, of which .* expected at least 30"):
        gallery.adapt()
    (manifest / "0001" / "c1" / "0001" / "000003.jpg").unlink()
    with pytest.raises(GalleryError, match=r"the files of 1 tracklet.*--drop-missing"):
        gallery.adapt()
