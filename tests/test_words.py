from __future__ import annotations

from resight.words import counted, in_number


def test_one_thing_is_not_several() -> None:
    assert counted(1, "persons") == "1 person"
    assert counted(1, "frames of tracklets") == "1 frame of tracklets"
    assert (counted(1, "boxes"), counted(1, "queries")) == ("1 box", "1 query")
    assert counted(1200, "frames") == "1,200 frames"


def test_numbers_in_a_sentence() -> None:
    text = in_number("1 frames of 1 such lines, 21 frames, 1 persons are")
    assert text == "1 frame of 1 such line, 21 frames, 1 persons are"
