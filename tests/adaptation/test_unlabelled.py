from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resight.adaptation import unlabelled
from resight.adaptation.unlabelled import different_persons, divide, strip_labels
from resight.errors import DatasetError
from resight.tracklet import JUNK, Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


def made(name: str, camera: str = "gate", start: float | None = None, end: float | None = None) -> Tracklet:
    return Tracklet(name, 1, 1, Path(), ("1.jpg",), camera, start, end)


def test_only_frames_and_cameras_are_left(make_tracklets: MakeTracklets, tmp_path: Path) -> None:
    tracklets = make_tracklets(persons=3)
    stripped = strip_labels(tracklets)
    assert {tracklet.person for tracklet in stripped} == {JUNK} and len(stripped) == 6
    # Other names, persons, folders and another order give the same.
    renamed = []
    for number, tracklet in enumerate(reversed(tracklets)):
        folder = tmp_path / "renamed" / str(number)
        shutil.copytree(tracklet.folder, folder)
        renamed.append(replace(tracklet, id=f"x{number}", person=number % 2 + 1, folder=folder))
    again = strip_labels(renamed)
    assert [(t.id, t.camera, t.names) for t in again] == [(t.id, t.camera, t.names) for t in stripped]
    assert strip_labels([*tracklets, *tracklets]) == stripped
    (tracklets[0].folder / tracklets[0].names[0]).unlink()
    with pytest.raises(DatasetError, match=r"000000\.jpg"):
        strip_labels(tracklets)


def test_tracklets_at_the_same_time_in_a_camera_show_different_persons() -> None:
    tracklets = [
        made("a", start=0, end=10), made("b", start=10, end=20), made("c", start=11, end=30),
        made("d", "door", start=0, end=30), made("e"),
    ]  # fmt: skip
    apart, proven = different_persons(tracklets)
    assert proven
    pairs = {(tracklets[i].id, tracklets[j].id) for i in range(5) for j in range(i, 5) if apart[i, j]}
    assert pairs == {("a", "b"), ("b", "c")} and (apart == apart.T).all()
    apart, proven = different_persons([replace(t, start=None, end=None) for t in tracklets])
    assert not proven and apart.sum() == 12  # all pairs of the four of camera gate


def test_parts_have_a_gap_between_them(make_tracklets: MakeTracklets, monkeypatch: pytest.MonkeyPatch) -> None:
    tracklets = strip_labels(make_tracklets(persons=4, frames=10))
    with pytest.raises(DatasetError, match=r"found 8 tracklets, of which 8 have at least 5 frames .* at least 30"):
        divide(tracklets)
    monkeypatch.setattr(unlabelled, "LEAST_TRACKLETS", 8)
    parts = divide(tracklets)
    assert len(parts) == 8 and not parts.proven
    assert parts.first[0].names == tracklets[0].names[:4] and parts.last[0].names == tracklets[0].names[6:]
    cameras = [part.camera_label for part in parts.first]
    assert cameras == sorted(cameras) and parts.elsewhere.sum() == 2 * 4 * 4
    assert len({part.id for part in (*parts.first, *parts.last)}) == 16
    assert parts.apart.sum() == 8 * 3
    assert sorted(set(cameras)) == ["camera 1", "camera 2"]
    short = [replace(tracklet, names=tracklet.names[:4]) for tracklet in tracklets[:1]]
    with pytest.raises(DatasetError, match="of which 7"):
        divide([*short, *tracklets[1:]])


def test_many_tracklets_are_thinned_in_blocks_that_keep_what_was_there_at_one_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unlabelled, "MOST_TRACKLETS", 40)
    names = tuple(f"{n}.jpg" for n in range(10))
    groups = [
        Tracklet(f"{(7 * n) % 400:04d}", -1, 1, Path(), names, "gate", float(n // 5), n // 5 + 0.5) for n in range(400)
    ]  # fmt: skip
    alone = [Tracklet(f"x{n}", -1, 1, Path(), names, "hall", float(n), n + 0.5) for n in range(50)]
    parts = divide([*groups, *alone])
    assert len(parts) == 40 and (parts.apart.sum(1) == 4).all()
    starts = [part.start for part in parts.first]
    assert starts[0] == 0 and (starts[-1] or 0) > 70, "the blocks are spread over the whole time"
