from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.api.conftest import MakeModel
from tests.ingest.conftest import MakeVideo, box_of, make_video, tracks_text

from resight.api.gallery import Gallery
from resight.errors import DatasetError, GalleryError
from resight.ingest.cameras import Source
from resight.ingest.ingest import ingest

__all__ = ["make_video"]


@pytest.fixture
def site(make_video: MakeVideo, make_model: MakeModel, tmp_path: Path) -> tuple[Gallery, Path, Path]:
    """A gallery of the two walkers of a video, the video, and its tracks."""
    video, tracks = make_video(count=25), tmp_path / "tracks.txt"
    tracks.write_text(tracks_text(range(25)))
    ingest(Source("door", video, tracks), tmp_path / "crops")
    gallery = Gallery(tmp_path / "site.gallery", make_model())
    assert len(gallery.add(f"manifest:{tmp_path / 'crops'}").added) == 2
    return gallery, video, tracks


def test_a_track_that_is_stored_is_not_among_its_answers(site: tuple[Gallery, Path, Path]) -> None:
    gallery, video, tracks = site
    answers = gallery.search(f"{video}#{tracks}:2")
    assert answers.query == "door-0002/door/0002" and [answer.id for answer in answers] == ["door-0001/door/0001"]


def test_a_box_in_a_video(site: tuple[Gallery, Path, Path]) -> None:
    gallery, video, _ = site
    left, top, width, height = box_of(1, 4)
    box = f"{video}#5:{left},{top},{width},{height}"
    answers = gallery.search(box)
    assert answers.query == "door frame 5" and answers[0].id == "door-0001/door/0001"
    assert answers[0].similarity > answers[1].similarity
    assert not Path(answers.references[0].folder).exists()  # the crops were temporary
    both = gallery.search([box, "door-0001/door/0001"])
    assert both.query == "door frame 5, door-0001/door/0001" and len(both) == 1
    assert np.isfinite(gallery.explain(box, "door-0001/door/0001").scored.score)


def test_what_is_not_a_person_in_a_video(site: tuple[Gallery, Path, Path], tmp_path: Path) -> None:
    gallery, video, tracks = site
    for text, error, said in (
        (str(video), DatasetError, "does not name a person in the video: expected VIDEO#FRAME"),
        (f"{video}#99:1,2,30,60", DatasetError, "has no frame 99: its frames are 1 to 25"),
        (f"{video}#{tracks}:9", DatasetError, "no usable box of track 9; its tracks are 1, 2"),
        (f"{tmp_path}/none.mp4#1:1,2,30,60", DatasetError, "there is no video"),
        ("nobody", GalleryError, "nor a folder of frames, a picture, or a person in a video"),
    ):
        for reference in (text, [text]):
            with pytest.raises(error, match=said):
                gallery.search(reference)


def test_a_group_in_a_list(site: tuple[Gallery, Path, Path]) -> None:
    gallery, *_ = site
    gallery.same("door-0001/door/0001", "door-0002/door/0002")
    assert len(gallery.references(gallery.groups().ids())) == 2
