from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resight.errors import RecipeError
from resight.synthetic.background import background
from resight.synthetic.clothes import PATTERNS
from resight.synthetic.film import film
from resight.synthetic.people import person_of
from resight.synthetic.plan import SCALES, Shot, plan_world
from resight.synthetic.scene import camera
from resight.synthetic.style import ANYWHERE, STREETS, Style

SHOT = Shot("0001C2T0001", "train", 1, 1, 2, 2, 4, 1, 6, ())


def frames(style: Style, shot: Shot = SHOT) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.concatenate(list(film(shot, 0, 64, 32, style=style)))


def test_a_style_is_a_function_of_the_seed() -> None:
    assert (frames(ANYWHERE) == frames(ANYWHERE)).all()
    assert not (frames(ANYWHERE) == frames(STREETS)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"light": False}, {"optics": False}, {"dyes": 0.0}, {"patterns": False}, {"bodies": 0.0}, {"shake": 1.0},
    ],
)  # fmt: skip
def test_each_variation_can_be_omitted_and_changes_the_frames(change: dict[str, Any]) -> None:
    assert not (frames(ANYWHERE) == frames(replace(ANYWHERE, **change))).all()


def test_half_of_the_places_have_random_backgrounds() -> None:
    street, collage = (background(0, number, 24, ANYWHERE) for number in (2, 3))
    assert street.shape == collage.shape == (24, 48, 3)
    assert (street == background(0, 2, 24, replace(ANYWHERE, backgrounds=False))).all()
    assert not (collage == background(0, 3, 24, replace(ANYWHERE, backgrounds=False))).all()


def test_cameras_of_all_places_differ() -> None:
    cameras = [camera(0, number, ANYWHERE) for number in range(1, 40)]
    assert len({c.lens for c in cameras}) == len({c.cast for c in cameras}) == 39
    assert {c.rows < 1 for c in cameras} == {False, True}
    assert all(camera(0, number).rows == 1 for number in range(1, 7))


def test_tracklets_are_spread_over_the_places_of_the_style() -> None:
    scale = replace(SCALES["tiny"], style=ANYWHERE)
    shots = plan_world(scale, 0)
    assert len({shot.place for shot in shots}) > 10
    assert [shot.id for shot in shots] == [shot.id for shot in plan_world(SCALES["tiny"], 0)]
    assert all(shot.place == shot.camera for shot in plan_world(SCALES["tiny"], 0))


def test_persons_dressed_alike_have_the_same_dyes() -> None:
    alike = replace(ANYWHERE, alike=1.0)
    first, second = (person_of(0, number, alike) for number in (4, 5))
    assert first.dye == second.dye and first.folds == second.folds
    assert person_of(0, 8, alike).dye != first.dye
    assert person_of(0, 4).dye == () and person_of(0, 4).folds == 0


def test_additional_patterns_occur_only_in_varied_styles() -> None:
    people = [person_of(0, number) for number in range(200)]
    assert {p.outfit.upper_cloth.pattern for p in people} <= set(PATTERNS[:6])
    varied = {person_of(0, number, ANYWHERE).outfit.upper_cloth.pattern for number in range(200)}
    assert varied == set(PATTERNS)
    lower = {person_of(0, number, ANYWHERE).outfit.lower_cloth.pattern for number in range(200)}
    assert PATTERNS[9] not in lower


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dyes": 2.0}, "dyes of style 'x' must be from 0 to 1, found 2.0"),
        ({"shake": 0.0}, "needs places of at least 0 and shake above 0"),
        ({"light": True}, "which needs places above 0"),
    ],
)
def test_invalid_styles_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Style("x", **values)
