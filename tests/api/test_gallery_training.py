"""The labelled persons of a gallery as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.api.conftest import MakeModel

from resight.api.gallery import Gallery
from resight.api.sources import open_dataset
from resight.data.split import TrainingSplit
from resight.errors import DatasetError


def test_groups_are_persons_and_rejected_tracklets_are_halved(
    make_model: MakeModel, manifest: Path, tmp_path: Path
) -> None:
    gallery = Gallery(tmp_path / "site.gallery", make_model())
    gallery.add(f"manifest:{manifest}")
    with pytest.raises(DatasetError, match="0 tracklets with labels"):
        open_dataset(f"labels:{gallery.path}")
    for person in ("0001", "0002", "0003"):
        gallery.confirm(f"door-{person}", f"hall-{person}")
    gallery.reject("door-0001", "door-0004")
    dataset = open_dataset(f"labels:{gallery.path}")
    by_id = {tracklet.id: tracklet for tracklet in dataset.train}
    assert by_id["door-0002"].person == by_id["hall-0002"].person == 2
    assert by_id["door-0002"].camera_name == "door" and len(by_id["door-0002"]) == 6
    first, last = by_id["door-0004/first"], by_id["door-0004/last"]
    assert first.person == last.person == 4 and not set(first.names) & set(last.names)
    assert {t.id for t in dataset.gallery} == {f"{c}-000{p}" for p in (1, 2, 3) for c in ("door", "hall")} | {
        "door-0004"
    }
    split = TrainingSplit.draw(dataset.train, 0.5, 0)
    assert split.train and len({t.person for t in split.validation}) == 2
    folder = by_id["hall-0003"].folder
    folder.rename(folder.with_name("moved"))
    assert "1 tracklet with labels left out" in open_dataset(f"labels:{gallery.path}").notes[0]
