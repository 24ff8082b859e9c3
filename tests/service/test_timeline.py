from __future__ import annotations

import pytest

from resight.errors import RecipeError
from resight.gallery.labels import Groups
from resight.service.filtering import Chosen
from resight.service.timeline import ROW, WIDTH, Appearance, lay_out
from resight.service.times import parse_time, show_span, show_time


def appearance(camera: str, start: float | None, end: float | None) -> Appearance:
    return Appearance("a", camera, start, end, "other", "/tracklet?id=a", "a")


def test_bars_have_the_proportions_of_the_times() -> None:
    drawing = lay_out([appearance("b", 0, 100), appearance("a", 300, 400), appearance("b", None, None)])
    assert drawing.cameras == ("a", "b") and drawing.untimed == 1 and drawing.height == 2 * ROW
    first, second = drawing.bars
    assert (first.x, first.width, first.y) == (0, WIDTH / 4, ROW)
    assert (second.x, second.width, second.y) == (WIDTH * 3 / 4, WIDTH / 4, 0)
    assert drawing.ticks == ("0:00:00.0", "0:01:40.0", "0:03:20.0", "0:05:00.0", "0:06:40.0")


def test_short_bars_can_be_seen_and_stay_inside() -> None:
    drawing = lay_out([appearance("a", 0, 1), appearance("a", 99_999, 100_000), appearance("a", 50_000, None)])
    assert all(bar.width >= 6 and 0 <= bar.x <= WIDTH - bar.width for bar in drawing.bars)


def test_nothing_to_draw() -> None:
    assert lay_out([appearance("a", None, None)]).bars == ()
    assert lay_out([]).untimed == 0
    assert len(lay_out([appearance("a", 5, 5)]).bars) == 1


def test_times() -> None:
    assert parse_time("2026-05-01T12:00+02:00", "after") == parse_time("2026-05-01 10:00", "after") == 1777629600
    assert parse_time("  ", "after") is None
    assert show_time(-5.0) == "0:00:00.0" and show_span(None, None) == ""
    for wrong in ("soon", "nan", "1e300", "9999999999999999", "2026-13-01"):
        with pytest.raises(RecipeError, match="after"):
            parse_time(wrong, "after")


def test_a_person_of_the_data_and_a_group_are_told_apart() -> None:
    assert Chosen(person="anna").filter(Groups()).persons == ("anna",)
    assert Chosen(labelled="yes").filter(Groups()).ids == frozenset()
    assert Chosen(labelled="no").filter(Groups()).without == frozenset()
