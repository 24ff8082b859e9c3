"""Detailed people: clothes, hair, riders, carried things and uniforms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from resight.errors import RecipeError
from resight.synthetic.body import body_solids
from resight.synthetic.carried import CARRIED, draw_thing
from resight.synthetic.dressing import dress
from resight.synthetic.film import film
from resight.synthetic.people import Person, person_of, uniform_peers
from resight.synthetic.plan import Shot
from resight.synthetic.pose import bend, pose_person
from resight.synthetic.solids import FACE_CLOTH, HAT, RUBBER, SHOES, SKIN_CLOTH, SOLE, THING
from resight.synthetic.style import ANYWHERE, CAMPUS, CITY, STREETS, Style
from resight.synthetic.textures import SIZE, texture_bank
from resight.synthetic.wardrobe import DYES, draw_lower, draw_upper, pick

PLAIN = Style("people", wardrobe="city", alike=0.0)
PHASE = np.linspace(0, 2 * np.pi, 12)


def solids_of(person: Person) -> dict[str, NDArray[Any]]:
    solids = body_solids(person, PHASE, np.ones(len(PHASE)))
    return {"start": solids.start, "end": solids.end, "radii": solids.radii, "cloth": solids.cloth[:, 0]}


def with_thing(kind: str, number: int = 3) -> Person:
    thing = draw_thing(np.random.default_rng(number), 0.0, 1.0, child=False)
    assert thing is not None
    return replace(person_of(0, number, PLAIN), thing=replace(thing, kind=kind))


def test_worlds_of_the_first_renderer_are_unchanged() -> None:
    """Compare means of blocks of pixels, which do not depend on how a CPU rounds."""
    expected = {
        "streets": [111.1, 145.5, 88.6, 91.0, 80.7, 81.1, 94.1, 83.5],
        "anywhere": [96.7, 98.9, 108.2, 108.1, 142.4, 137.2, 129.8, 131.8],
    }
    for style in (STREETS, ANYWHERE):
        shot = Shot("0001C2T0001", "train", 1, 1, 2, 2, 4, 1, 3, ())
        frame = np.concatenate(list(film(shot, 0, 64, 32, style=style)))[2].astype(float)
        means = frame.reshape(4, 16, 2, 16, 3).mean((1, 3, 4)).ravel()
        np.testing.assert_allclose(means, expected[style.name], atol=0.5)


def test_people_of_a_wardrobe_are_the_same_in_every_call_and_tracklet() -> None:
    style = replace(PLAIN, riders=0.3, carried=0.5)
    assert person_of(3, 12, style, "0012C1T0001") == person_of(3, 12, style, "0012C1T0001")
    first, second = (person_of(3, 12, style, f"0012C{camera}T0001") for camera in (1, 2))
    assert first.look == second.look == person_of(3, 12, style).look
    assert person_of(3, 12, style).look != person_of(3, 13, style).look
    assert person_of(3, 12, replace(style, wardrobe="campus")).look != first.look


def test_things_belong_to_tracklets_at_the_requested_rate() -> None:
    style = replace(PLAIN, riders=0.3, carried=0.5)
    things = [person_of(0, 7, style, f"0007C1T{k:04d}").thing for k in range(400)]
    kinds = [thing.kind if thing else "" for thing in things]
    riding = sum(kind in ("bicycle", "scooter") for kind in kinds) / 400
    assert 0.22 < riding < 0.38
    assert 0.27 < sum(kind in CARRIED for kind in kinds) / 400 < 0.43
    assert set(kinds) == {"", "bicycle", "scooter", *CARRIED}
    assert all(thing.kind in ("bicycle", "scooter") for thing in things if thing and thing.helmet)


def test_nothing_is_carried_and_no_look_drawn_unless_the_style_asks_for_it() -> None:
    assert all(person_of(0, k, PLAIN, f"{k}").thing is None for k in range(1, 60))
    assert all(person_of(0, k, style).look is None for k in range(1, 20) for style in (STREETS, ANYWHERE))
    assert all(uniform_peers(0, k, style) == () for k in range(1, 60) for style in (PLAIN, ANYWHERE))


def test_riders_are_faster_and_sit_above_the_ground() -> None:
    style = replace(PLAIN, riders=1.0)
    riders = [person_of(0, k, style, "t") for k in range(1, 12)]
    assert all(rider.rides and rider.speed >= 2.2 for rider in riders)
    for rider in riders:
        pose = pose_person(rider, PHASE, np.ones(12))
        assert pose.ride is not None
        lowest = min(float(leg[3][:, 1].min()) for leg in pose.legs)
        assert lowest > 0.04
        top = solids_of(rider)
        assert (top["start"][..., 1] + top["radii"][:, 0]).max() < 1.25 * rider.height


def test_wheels_and_pedals_turn() -> None:
    thing = draw_thing(np.random.default_rng(0), 1.0, 0.0, child=False)
    assert thing is not None
    rider = replace(person_of(0, 3, PLAIN), thing=replace(thing, kind="bicycle"))
    pose = pose_person(rider, PHASE, np.ones(12))
    assert pose.ride is not None
    assert (np.diff(pose.ride.turn) > 0).all() and (np.diff(pose.ride.pedal) > 0).all()
    left, right = (leg[1][:, 1] for leg in pose.legs)
    assert np.ptp(left) > 0.05 and np.corrcoef(left, right)[0, 1] < 0


@pytest.mark.parametrize("kind", ["bicycle", "scooter", *CARRIED])
def test_every_thing_adds_finite_solids(kind: str) -> None:
    person = with_thing(kind)
    found, without = solids_of(person), solids_of(replace(person, thing=None))
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["start"].shape[1] > without["start"].shape[1]
    assert np.isin(found["cloth"], (THING, RUBBER)).any() or kind == "cup"


def test_uniforms_share_clothes_but_not_bodies() -> None:
    style = replace(PLAIN, uniforms=1.0)
    assert uniform_peers(0, 9, style) == (8, 10, 11)
    looks = [person_of(0, number, style).look for number in (9, 8, 10, 11)]
    assert all(look is not None for look in looks)
    assert len({(look.upper, look.lower) for look in looks if look}) == 1
    assert len({(look.skin, look.hair_colour) for look in looks if look}) == 4
    assert len({person_of(0, number, style).height for number in (8, 9, 10, 11)}) == 4
    assert uniform_peers(0, -5, style) == (-8, -7, -6)
    worn = sum(bool(uniform_peers(0, 4 * block, replace(PLAIN, uniforms=0.3))) for block in range(1, 201))
    assert 40 <= worn <= 80


def test_persons_dressed_alike_differ_in_one_item_of_clothing() -> None:
    style = replace(PLAIN, alike=1.0)
    names = ("upper", "lower", "shoes", "bag", "hair_style", "headwear")
    looks = [person_of(0, number, style).look for number in (4, 5, 6, 7)]
    for a in looks:
        for b in looks:
            assert sum(getattr(a, name) != getattr(b, name) for name in names) <= 3


def test_detailed_bodies_stand_on_the_ground_and_have_their_height() -> None:
    for number in range(1, 40):
        walker = person_of(0, number, PLAIN)
        found = solids_of(walker)
        lowest = np.minimum(found["start"][..., 1], found["end"][..., 1])
        sole = found["cloth"] == SOLE
        assert np.abs(lowest[:, sole].min(1)).max() < 0.08
        bare = np.isin(found["cloth"], (SKIN_CLOTH, FACE_CLOTH, SHOES))
        top = (found["start"][..., 1] + found["radii"][:, 0])[:, bare].max(1)
        assert np.all(np.abs(top - walker.height) < 0.10 * walker.height)


def test_children_and_adults_have_plausible_sizes() -> None:
    heights = np.array([person_of(0, number, PLAIN).height for number in range(1, 300)])
    assert 1.04 < heights.min() < 1.4 and 1.85 < heights.max() < 2.06
    assert 0.02 < (heights < 1.45).mean() < 0.12


def test_a_limb_reaches_for_its_target() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(0, 0.1, (20, 3)).astype(np.float32)
    target = (root + rng.normal(0, 0.25, (20, 3))).astype(np.float32)
    middle, end = bend(root, target, (0.3, 0.25), (0.0, -1.0, -0.2))
    np.testing.assert_allclose(np.linalg.norm(middle - root, axis=1), 0.3, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.25, atol=1e-2)
    near = np.linalg.norm(target - root, axis=1)
    inside = (near > 0.06) & (near < 0.53)
    np.testing.assert_allclose(end[inside], target[inside], atol=1e-3)


def test_most_clothes_are_dark_or_grey_and_campus_is_more_colourful() -> None:
    rng = np.random.default_rng(0)
    muted = {"black", "charcoal", "grey", "light grey", "white", "navy", "beige", "cream", "brown", "khaki"}
    shares = {}
    for wardrobe in ("city", "campus"):
        dyes = [draw_upper(rng, wardrobe, bool(k % 2)).dye for k in range(400)]
        shares[wardrobe] = sum(dye in muted for dye in dyes) / 400
        assert set(dyes) <= set(DYES)
    assert shares["city"] > 0.65 and shares["city"] > shares["campus"]
    assert {draw_lower(rng, "city", False).name for _ in range(300)} >= {"jeans", "trousers", "shorts"}


def test_pick_follows_the_weights() -> None:
    rng = np.random.default_rng(0)
    drawn = [pick(rng, "light_grey:3 black:1") for _ in range(400)]
    assert set(drawn) == {"light grey", "black"} and 250 < drawn.count("light grey") < 350


def test_helmets_are_worn_by_riders_only_and_recolour_the_hat() -> None:
    person = with_thing("bicycle")
    assert person.thing is not None
    bare = dress(person)
    helmet = dress(replace(person, thing=replace(person.thing, helmet=True)))
    assert (helmet[HAT, :3] == np.array(person.thing.second, np.float32)).all()
    assert (np.delete(helmet, HAT, 0) == np.delete(bare, HAT, 0)).all()


def test_maps_are_periodic_and_bounded() -> None:
    maps = texture_bank("cpu").view(-1, SIZE, SIZE)
    assert len(maps) == 9 and torch.isfinite(maps).all()
    assert float(maps[:6].abs().max()) < 4
    for layer in maps:
        seam = (layer[:, 0] - layer[:, -1]).abs().mean()
        inside = (layer[:, 1:] - layer[:, :-1]).abs().mean()
        assert seam < 3 * inside + 0.05


@pytest.mark.parametrize("style", [CITY, CAMPUS], ids=lambda style: style.name)
def test_new_styles_render_the_same_frames_again(style: Style) -> None:
    shot = Shot("0001C2T0001", "train", 1, 1, 2, 2, 4, 1, 3, ())
    first, second = (np.concatenate(list(film(shot, 0, 64, 32, style=style))) for _ in range(2))
    assert first.shape == (3, 64, 32, 3) and first.std() > 5
    assert (first == second).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"wardrobe": "paris"}, "must be 'city', 'campus' or empty, found 'paris'"),
        ({"riders": 0.1}, "which need a wardrobe"),
        ({"wardrobe": "city", "carried": 1.5}, "carried of style 'x' must be from 0 to 1, found 1.5"),
    ],
)
def test_invalid_settings_are_refused(values: dict[str, float | str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Style("x", **values)  # type: ignore[arg-type]
