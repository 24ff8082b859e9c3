from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from resight.data.corruption import choose_corrupted, corrupt_frames
from resight.data.damage import (
    DAMAGES,
    ClipDamage,
    Donors,
    choose_damage,
    crop_badly,
    damage_clip,
    needs_donor,
    occlude,
    show_background,
)
from resight.data.frames import load_augmented, load_clips, read_frame
from resight.data.transforms import Pixels, draw_augmentations, resize_frames
from resight.errors import DatasetError, RecipeError, ShapeError
from resight.recipe import ClipSpec, Stage1
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]
H, W, L = 48, 24, 4


@pytest.fixture
def clip() -> Pixels:
    """Return noise below 100, so that it has no value in common with `donor`."""
    return np.random.default_rng(0).integers(0, 100, (L, H, W, 3)).astype(np.uint8)


@pytest.fixture
def donor() -> Pixels:
    return np.random.default_rng(1).integers(150, 256, (L, H, W, 3)).astype(np.uint8)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_drawn_from_its_seed_and_keeps_shape_and_original(kind: str, clip: Pixels, donor: Pixels) -> None:
    before = clip.copy()
    one, again = damage_clip(clip, kind, rng(3), donor), damage_clip(clip, kind, rng(3), donor)
    assert one.shape == clip.shape and one.dtype == np.uint8
    assert (one == again).all() and (one != clip).any() and (clip == before).all()
    if kind in ("occluded", "empty", "bad-crop"):
        assert any((one != damage_clip(clip, kind, rng(seed), donor)).any() for seed in range(4, 8))
    for tiny in (clip[:, :1, :1], clip[:, :5, :2], clip[:, :2, :5]):
        assert damage_clip(tiny, kind, rng(1), donor).shape == tiny.shape


def test_an_occluder_covers_its_share_in_one_piece_and_moves_a_little(clip: Pixels, donor: Pixels) -> None:
    long, other = np.tile(clip, (5, 1, 1, 1)), np.tile(donor, (5, 1, 1, 1))
    moved, shares = 0, []
    for seed in range(20):
        damaged = occlude(long, other, rng(seed))
        covered: NDArray[np.bool_] = np.asarray((damaged >= 150).all(3))
        assert (damaged[~covered] == long[~covered]).all()
        corners = []
        for frame, mask in zip(damaged, covered, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert mask.sum() == len(rows) * len(columns)
            corners.append((rows[0], columns[0]))
            # The centre of the donor's frame, unchanged.
            y, x = (H - len(rows)) // 2, (W - len(columns)) // 2
            piece = frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            expected = other[len(corners) - 1, y : y + len(rows), x : x + len(columns)]
            assert (piece == expected).all()
            shares.append(mask.mean())
        steps = np.abs(np.diff(corners, axis=0))
        assert (steps <= (np.ceil(0.04 * H) + 1, np.ceil(0.04 * W) + 1)).all()
        moved += bool(steps.any())
    assert 0.36 < min(shares) < 0.45 and 0.65 < max(shares) < 0.74
    assert moved >= 19


def test_an_empty_box_shows_the_stretched_side_of_the_frames(clip: Pixels) -> None:
    clip[:, :, 2:-2] = 255  # a person in the middle
    for seed in range(6):
        damaged = show_background(clip, rng(seed))
        assert damaged.max() < 100
        sides = [resize_frames(np.ascontiguousarray(side), (H, W)) for side in (clip[:, :, :2], clip[:, :, -2:])]
        assert sum((damaged == side).all() for side in sides) == 1


def test_bad_crops_shift_zoom_or_both_and_repeat_the_edges() -> None:
    size = 96
    ramp = np.linspace(0, 250, size)
    clip = np.zeros((1, size, size, 3), np.uint8)
    clip[..., 0], clip[..., 1] = ramp[:, None], ramp[None]  # a pixel's value is its position
    kinds = set()
    for seed in range(40):
        frame = crop_badly(clip, rng(seed))[0].astype(float)
        steps = []
        for rows in (frame[:, 48, 0], frame[48, :, 1]):
            assert (np.diff(rows) >= 0).all()
            inside = rows[(rows > 2) & (rows < 248)]
            steps.append(float(np.diff(inside).mean()) / (250 / 95))
        zoom = 1 / np.mean(steps)
        centre = np.array((frame[48, 48, 0], frame[48, 48, 1])) / 250 - 0.5
        distance = float(np.hypot(*centre))
        if zoom < 1.2:
            assert zoom == pytest.approx(1, abs=0.05) and 0.23 < distance < 0.52
            assert sum(int(np.isin(rows, (0, 250)).sum()) for rows in (frame[:, 48, 0], frame[48, :, 1])) > 15
            kinds.add("shift")
        else:
            assert 1.4 < zoom < 2.6 and (distance < 0.03 or 0.2 < distance < 0.53)
            kinds.add("zoom" if distance < 0.03 else "both")
    assert kinds == {"shift", "zoom", "both"}


def test_the_corruption_of_the_paper_has_not_changed(clip: Pixels) -> None:
    assert (damage_clip(clip, "corrupted", rng(0)) == corrupt_frames(clip)).all()


def test_frames_of_another_person_come_from_the_donor(clip: Pixels, donor: Pixels) -> None:
    assert (damage_clip(clip, "other-person", rng(0), donor) == donor).all()
    large = np.repeat(np.repeat(donor, 2, 1), 2, 2)
    assert (damage_clip(clip, "other-person", rng(0), large) == resize_frames(large, (H, W))).all()


def test_refuses_unknown_damage_and_missing_frames(clip: Pixels, donor: Pixels) -> None:
    with pytest.raises(RecipeError, match=r"'rain', expected one of corrupted, occluded"):
        damage_clip(clip, "rain", rng(0))
    for kind in ("occluded", "other-person"):
        with pytest.raises(ShapeError, match="found none"):
            damage_clip(clip, kind, rng(0))
        with pytest.raises(ShapeError, match="found 3"):
            damage_clip(clip, kind, rng(0), donor[:3])
    with pytest.raises(RecipeError, match="found none"):
        choose_damage(["a"], 3, 1, (), 0)


def tracklet(person: int, camera: int, number: int = 0, frames: int = 6) -> Tracklet:
    id_ = f"{person}/{camera}/{number}"
    return Tracklet(id_, person, camera, Path("nowhere"), tuple(f"{n}.jpg" for n in range(frames)))


def test_donors_are_other_persons_of_the_same_camera_first() -> None:
    everyone = [tracklet(p, c, n) for p in (-1, 0, 1, 2, 3, 4) for c in (1, 2) for n in (0, 1)]
    alone = tracklet(9, 7)
    forwards, backwards = Donors([*everyone, alone]), Donors([alone, *everyone[::-1]])
    for own in (everyone[4], everyone[-1], everyone[0]):
        drawn = [forwards.another_person(own, rng(seed)) for seed in range(60)]
        assert drawn == [backwards.another_person(own, rng(seed)) for seed in range(60)]
        assert {t.camera for t in drawn} == {own.camera}
        assert {t.person for t in drawn} == {1, 2, 3, 4} - {own.person}
    assert {forwards.another_person(alone, rng(seed)).person for seed in range(60)} == {1, 2, 3, 4}
    with pytest.raises(DatasetError, match="found none among 2 tracklets"):
        Donors([tracklet(1, 1), tracklet(1, 2), tracklet(0, 1)]).another_person(tracklet(1, 1), rng(0))
    with pytest.raises(DatasetError, match="9/7/0"):
        ClipDamage.of_kind("occluded", 2).drawn(alone, 0, 4)


def test_the_damage_of_a_clip_does_not_depend_on_other_clips() -> None:
    everyone = [tracklet(p, 1, n, frames=f) for p in range(1, 9) for n, f in ((0, 20), (1, 30))]
    damage = ClipDamage.of_kind("other-person", 8, seed=5, donors=Donors(everyone))
    drawn = []
    for m in range(8):
        _, source = damage.drawn(everyone[0], m, 4)
        assert source is not None
        donor, numbers = source
        assert donor.person != 1 and len(numbers) == 4
        assert (np.diff(numbers) % len(donor) == 1).all() and numbers.max() < len(donor)
        drawn.append((donor.id, tuple(numbers.tolist())))
    assert len({id_ for id_, _ in drawn}) == 1 and len(set(drawn)) > 4
    fewer = ClipDamage(np.array(["", "", "other-person"]), 5, Donors(everyone))
    _, source = fewer.drawn(everyone[0], 2, 4)
    assert source is not None and (source[0].id, tuple(source[1].tolist())) == drawn[2]
    _, source = replace(damage, seed=6).drawn(everyone[0], 2, 4)
    assert source is not None and (source[0].id, tuple(source[1].tolist())) != drawn[2]


def test_a_tracklet_has_one_donor_for_all_clips_and_kinds() -> None:
    everyone = [tracklet(person, camera, frames=30) for person in range(1, 41) for camera in (1, 2)]
    donors = Donors(everyone)
    drawn = {}
    for own in everyone:
        sources = [
            ClipDamage.of_kind(kind, 6, 5, donors).drawn(own, clip, 4)[1]
            for kind in ("occluded", "other-person")
            for clip in range(6)
        ]
        persons = {source[0].person for source in sources if source is not None}
        assert len(persons) == 1 and persons != {own.person}
        drawn[own.id] = persons.pop()
    assert len(set(drawn.values())) > 25
    assert [kind for kind in DAMAGES if needs_donor(kind)] == ["occluded", "other-person"]
    assert ClipDamage.of_kind("empty", 1, 5).drawn(everyone[0], 0, 4)[1] is None


def test_halves_of_donors_have_no_person_in_common() -> None:
    everyone = [tracklet(person, camera) for person in (-1, 0, 1, 2, 3, 5, 8) for camera in (1, 2)]
    first, second = Donors(everyone).halves()
    assert ({t.person for t in first}, {t.person for t in second}) == ({1, 3, 8}, {2, 5})
    assert len(first) + len(second) == 10
    with pytest.raises(DatasetError, match="at least two persons, found 1"):
        Donors([tracklet(1, 1), tracklet(0, 1)]).halves()


def test_kinds_of_damage_use_the_clips_of_corruption_and_are_drawn_evenly() -> None:
    ids = [str(i) for i in range(500)]
    hit = choose_corrupted(ids, 8, 6, seed=1)
    assert (choose_damage(ids, 8, 6, ("empty",), 1) == np.where(hit, "empty", "")).all()
    mixed = choose_damage(ids, 8, 6, DAMAGES, 1)
    assert ((mixed != "") == hit).all()
    shares = [(mixed == kind).sum() / hit.sum() for kind in DAMAGES]
    assert shares == pytest.approx([0.2] * 5, abs=0.03)
    assert (mixed[[3, 1]] == choose_damage([ids[3], ids[1]], 8, 6, DAMAGES, 1)).all()
    assert choose_damage([], 8, 6, DAMAGES, 1).shape == (0, 8)


def test_loaded_clips_are_damaged_one_by_one_before_they_are_resized(make_tracklets: MakeTracklets) -> None:
    everyone = make_tracklets(persons=3, cameras=1, frames=6)
    own = everyone[0]
    numbers = np.array([[0, 1], [1, 2], [3, 3], [4, 5], [1, 2], [2, 5]])
    kinds = np.array(["occluded", "", "empty", "other-person", "corrupted", "bad-crop"])
    damage = ClipDamage(kinds, 2, Donors(everyone))
    found = load_clips(own, numbers, (20, 10), damage)
    for m, kind in enumerate(kinds.tolist()):
        expected = np.stack([read_frame(own.frame(n)) for n in numbers[m]])
        if kind:
            draws, source = damage.drawn(own, m, 2)
            frames = None if source is None else np.stack([read_frame(source[0].frame(n)) for n in source[1]])
            expected = damage_clip(expected, kind, draws, frames)
        assert (found[m] == resize_frames(expected, (20, 10))).all(), kind
    spec, stage = ClipSpec(2, 6, height=20, width=10), Stage1(enlarge=1.0, flip=0.0)
    augmented = load_augmented(own, numbers, spec, stage, draw_augmentations(stage, rng(0), len(numbers)), damage)
    assert (augmented == found).all()


def test_frames_of_many_sizes_make_a_clip_of_the_size_of_the_earliest(make_tracklets: MakeTracklets) -> None:
    small = make_tracklets(persons=1, cameras=1, frames=3)[0]
    large = np.repeat(np.repeat(read_frame(small.frame(1)), 2, 0), 2, 1)
    Image.fromarray(large).save(small.folder / small.names[1])
    damage = ClipDamage.of_kind("bad-crop", 1)
    found = load_clips(small, np.array([[2, 1, 0]]), (32, 16), damage)
    read = [resize_frames(read_frame(small.frame(n))[None], (32, 16))[0] for n in (2, 1, 0)]
    assert (found[0] == damage_clip(np.stack(read), "bad-crop", damage.drawn(small, 0, 3)[0])).all()
