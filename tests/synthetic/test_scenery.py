"""The settings of detailed worlds: each changes what it should, and nothing when it is off."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from resight.errors import RecipeError
from resight.synthetic.background import background
from resight.synthetic.capture import Capture, capture_of, draw_recording, exposure_of, record
from resight.synthetic.film import film
from resight.synthetic.motion import apply_box_error, draw_box_error
from resight.synthetic.plan import SCALES, Shot
from resight.synthetic.props import PROPS, draw_prop
from resight.synthetic.scene import camera, is_detailed
from resight.synthetic.style import ANYWHERE, CAMPUS, CITY, STREETS, Style
from resight.synthetic.surfaces import (
    INDOOR_GROUND,
    INDOOR_WALLS,
    OUTDOOR_GROUND,
    OUTDOOR_WALLS,
    ground_colours,
    wall_colours,
)
from resight.synthetic.weather import WEATHERS, ground_shade, weather

SHOT = Shot("0001C2T0001", "train", 1, 1, 2, 2, 4, 1, 4, ())
NAMES = [f"{number:04d}C1T0001" for number in range(1, 400)]


def frames(style: Style, shot: Shot = SHOT) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.concatenate(list(film(shot, 0, 64, 32, style=style)))


@pytest.mark.parametrize(
    "change",
    [
        {"scenery": 0.0}, {"indoor": 1.0}, {"sun": 0.0, "night": 0.0}, {"clutter": 0.0}, {"camera_height": (0.0, 0.0)},
        {"capture": 0.0}, {"distant": 1.0}, {"box_errors": 0.0}, {"groups": 1.0}, {"passing": 0.0},
    ],
)  # fmt: skip
def test_each_setting_can_be_omitted_and_changes_the_frames(change: dict[str, Any]) -> None:
    style = replace(CITY, sun=1.0, indoor=0.0, passing=1.0, groups=0.0, distant=0.0)
    assert not (frames(style) == frames(replace(style, **change))).all()


def test_a_detailed_world_is_a_function_of_the_seed_and_the_style() -> None:
    assert (frames(CITY) == frames(CITY)).all()
    assert camera(0, 1, CITY).lens != camera(0, 1, replace(CITY, name="town")).lens
    assert not is_detailed(0, 1, STREETS) and not is_detailed(0, 1, ANYWHERE)
    share = np.mean([is_detailed(0, number, replace(CITY, scenery=0.3)) for number in range(400)])
    assert 0.2 < share < 0.4


def test_kinds_of_light_occur_as_often_as_the_style_says() -> None:
    kinds = Counter(weather(0, number, CITY).kind for number in range(600))
    assert set(kinds) == set(WEATHERS)
    assert kinds["indoor"] / 600 == pytest.approx(CITY.indoor, abs=0.05)
    assert kinds["night"] / 600 == pytest.approx(CITY.night * (1 - CITY.indoor), abs=0.03)
    for number in range(100):
        sky = weather(0, number, CITY)
        assert np.linalg.norm(sky.to_light) == pytest.approx(1, abs=1e-6)
        assert sky.kind != "backlight" or sky.to_light[2] > 0


def test_a_building_shades_one_side_and_no_light_is_added() -> None:
    sky = next(s for s in (weather(0, number, CITY) for number in range(200)) if s.edge)
    cos, sin, offset = sky.edge
    sides = np.array([[(offset + d) * cos, 0, (offset + d) * sin] for d in (1.0, -1.0)], np.float32)
    np.testing.assert_array_equal(ground_shade(sky, sides, (0.0, 0.0)), [0, 1])


def test_cameras_keep_to_the_heights_of_the_style() -> None:
    heights = [camera(0, number, CITY).lens.height for number in range(1, 200)]
    assert min(heights) < 2 and max(heights) > 6
    assert CITY.camera_height[0] <= min(heights) and max(heights) <= CITY.camera_height[1]


def test_a_detailed_background_has_the_colours_of_photographs() -> None:
    images = np.concatenate([background(0, number, 48, CAMPUS).reshape(-1, 3) for number in range(1, 7)])
    assert np.isfinite(images).all() and images.min() >= 0
    spread = (images.max(1) - images.min(1)) / np.maximum(images.max(1), 0.05)
    assert np.median(spread) < 0.35
    assert images.std() > 0.1


@pytest.mark.parametrize("name", [name for name in PROPS if name != "lamp"])  # a lamp is a thin post
def test_every_object_can_be_drawn_small_and_large(name: str) -> None:
    noise = np.zeros((512, 512), np.float32)
    for columns, rows in ((3, 4), (60, 40), (1500, 900)):
        drawn = draw_prop(name, np.random.default_rng(0), columns, rows, noise)
        assert np.isfinite(drawn).all() and drawn[..., 3].min() >= 0 and drawn[..., 3].max() <= 1
        assert drawn[..., 3].mean() > 0.02
        assert max(drawn.shape) <= 640


def test_every_material_gives_colours() -> None:
    x, y = np.random.default_rng(0).uniform(0, 9, (2, 500)).astype(np.float32)
    pixel = np.full(500, 0.02, np.float32)
    for kind in (*OUTDOOR_GROUND, *INDOOR_GROUND):
        colours = ground_colours(np.random.default_rng(1), 0, kind, x, y, pixel)
        assert colours.shape == (500, 3) and np.isfinite(colours).all() and colours.std() > 0.003, kind
    for kind in (*OUTDOOR_WALLS, *INDOOR_WALLS):
        colours = wall_colours(np.random.default_rng(1), 0, kind, x, y, pixel)
        assert colours.shape == (500, 3) and np.isfinite(colours).all() and colours.std() > 0.003, kind


def test_box_errors_have_the_share_and_the_ranges_of_the_style() -> None:
    exact = draw_box_error(0, "0001C1T0001", STREETS)
    assert (exact.size, exact.aside, exact.down, exact.aspect) == (1, 0, 0, 1)
    errors = [draw_box_error(0, name, CITY) for name in NAMES]
    wrong = [e for e in errors if e.size != 1 or e.aside or e.down or not 0.7 < e.aspect < 1.3]
    assert len(wrong) / len(errors) == pytest.approx(CITY.box_errors, abs=0.08)
    assert 0.55 <= min(e.size for e in errors) < 0.8 and 1.7 < max(e.size for e in errors) <= 2
    boxes = np.array([[0.5, 0.2, 0.4]], np.float32)
    for error in errors:
        _left, top, height = apply_box_error(boxes, error)[0]
        if error.size > 1:
            # The person is still inside.
            assert top <= 0.2 + 1e-5 and top + height >= 0.6 - 1e-5
        assert height == pytest.approx(0.4 * error.size, rel=1e-5)


def test_distant_persons_are_recorded_with_20_to_60_lines() -> None:
    for share, low, high in ((1.0, 20, 60), (0.0, 61, 1000)):
        style = replace(CITY, distant=share)
        lines = [draw_recording(0, name, 1 + k % 9, style, 0.3).lines for k, name in enumerate(NAMES)]
        assert low <= min(lines) and max(lines) <= high
        assert min(lines) < 1.5 * low


def test_a_recording_keeps_its_size_and_compression_and_few_lines_remove_detail() -> None:
    plain = Capture(0.5, 1.0, 1.0, 1.0, (1.0, 1.0, 1.0), 0.0, 0.0, 0, 0.0, 0.0, 0.0, 95, 0, 300.0, "bilinear")
    recording = replace(draw_recording(0, "x", 1, CITY, 0.3), capture=plain, gain=1.0, lines=300)
    light = torch.rand((2, 3, 64, 40), generator=torch.Generator().manual_seed(0))
    boxes = np.array([[0.8, 0.3, 0.4]] * 2, np.float32)

    def recorded(**change: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        lines = change.pop("lines", 300)
        other = replace(recording, lines=lines, capture=replace(plain, **change))
        return record(light.clone(), other, 64, 32, boxes, torch.zeros(1 << 16), np.random.default_rng(0))

    def detail(levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
        return float(np.abs(np.diff(levels.astype(float), axis=2)).mean())

    base = recorded()
    assert base.shape == (2, 64, 32, 3) and base.flags.c_contiguous
    assert detail(recorded(lines=20)) < 0.5 * detail(base)
    assert detail(recorded(blur=2)) < 0.7 * detail(base) < detail(base) < detail(recorded(sharpening=1.0))
    assert np.abs(recorded(quality=12).astype(float) - base).mean() > 5
    grey = recorded(saturation=0.0).astype(float)
    assert np.abs(grey[..., 0] - grey[..., 1]).mean() < 4


def test_exposure_brings_places_to_a_similar_brightness() -> None:
    for number in (1, 2, 3, 4):
        scene = torch.from_numpy(background(0, number, 48, CAMPUS)).permute(2, 0, 1)
        capture = capture_of(0, number, CAMPUS)
        gain = draw_recording(0, "x", number, CAMPUS, exposure_of(scene)).gain
        mean = float((scene[:, 12:] * gain).clamp(0, 1).mean()) ** capture.gamma
        assert mean == pytest.approx(capture.target, abs=0.15)


@pytest.mark.parametrize("height", [64, 128])
def test_scales_of_the_detailed_styles_render_at_any_height(height: int) -> None:
    for scale in ("open", "campus"):
        rendered = next(film(SHOT, 0, height, height // 2, style=SCALES[scale].style))
        assert rendered.shape == (4, height, height // 2, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scenery": 1.5}, r"scenery of style 'x' must be from 0 to 1, found 1\.5"),
        ({"box_errors": -0.1}, "box_errors of style 'x' must be from 0 to 1"),
        ({"clutter": 3.0}, "clutter from 0 to 2"),
        ({"camera_height": (5.0, 2.0)}, "camera_height from 1 to 15 metres, lower first"),
    ],
)
def test_invalid_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Style("x", **values)
