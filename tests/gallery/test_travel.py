"""Rules of time and place: exclusion, travel times from TOML and from labels, and their effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.errors import GalleryError
from resight.gallery.travel import IMPOSSIBLE, LEAST_TRIPS, STRAY, TravelRules, TravelTime, read_rules
from resight.gallery.types import Entry


def seen(id_: str, camera: str, start: float | None, end: float | None = None) -> Entry:
    end = start + 2 if end is None and start is not None else end
    return Entry(id_, camera, start, end, "", None, 8, 1.0, 0.0)


RULES = TravelRules((frozenset(["gate", "yard"]),), {("gate", "yard"): TravelTime(20, 45, 0.5)}, span=3600)


def odds(rules: TravelRules, *entries: Entry) -> list[float]:
    return [effect.odds for effect in rules.effects(entries[:-1], entries[-1])]


def test_nobody_is_at_two_places_at_once() -> None:
    gate = seen("a", "gate", 100, 110)
    assert odds(RULES, gate, seen("b", "yard", 110, 120)) == [0]
    assert odds(RULES, gate, seen("b", "gate", 105, 120)) == [0]  # two persons in one picture
    assert odds(RULES, gate, seen("b", "door", 105, 120)) == []  # may see the same place
    assert odds(RULES, gate, seen("b", "yard", None)) == []
    assert odds(RULES, seen("a", "", 100), seen("b", "", 100)) == []
    (effect,) = RULES.effects([gate], seen("b", "yard", 109))
    assert effect.text == "b was seen by yard while a was seen by gate, which sees another place"


def test_travel_times_change_the_odds() -> None:
    gate = seen("a", "gate", 100, 110)
    (usual,), (late,), (early,) = (odds(RULES, gate, seen("b", "yard", 110 + s)) for s in (45, 2000, 5))
    assert usual > 20 > 1 > late >= STRAY - 1e-9 > early == IMPOSSIBLE
    assert odds(RULES, seen("a", "yard", 100), seen("b", "gate", 150)) == []  # the other direction is not known
    assert odds(RULES, seen("b", "yard", 155), gate) == [pytest.approx(usual)]  # the order of the times counts


def test_the_odds_average_to_one_over_unrelated_trips() -> None:
    """Otherwise, the rule would make every answer more likely, or less."""
    rules = TravelRules(travel={("gate", "yard"): TravelTime(0, 45, 0.5)}, span=3600)
    times = [rules.odds("gate", "yard", 0.5 + second) for second in range(3600)]
    assert sum(times) / len(times) == pytest.approx(1, abs=0.01)


def test_the_direct_trip_counts() -> None:
    references = [seen("a", "gate", 0), seen("b", "gate", 1000)]
    assert odds(RULES, *references, seen("c", "yard", 1047)) == odds(RULES, references[1], seen("c", "yard", 1047))


def test_travel_times_are_learned_from_persons() -> None:
    persons = [[seen(f"a{n}", "gate", 0), seen(f"b{n}", "yard", 32 + n)] for n in range(LEAST_TRIPS)]
    learned = TravelRules().learned_from(persons)
    assert learned.travel["gate", "yard"].typical == pytest.approx(32, abs=1)
    assert learned.travel["gate", "yard"].trips == LEAST_TRIPS
    assert "1 learned from labels" in learned.line()
    assert not TravelRules().learned_from(persons[1:]).travel
    assert RULES.learned_from(persons).travel == RULES.travel  # what was given is kept


def test_rules_are_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        'disjoint = [["gate", "yard"]]\n[[travel]]\nbetween = ["gate", "yard"]\nshortest = 20\ntypical = 45\n'
        '[[travel]]\nfrom = "yard"\nto = "door"\nshortest = 5\n'
    )
    rules = read_rules(file)
    assert rules.are_disjoint("yard", "gate") and not rules.are_disjoint("yard", "door")
    assert rules.travel["yard", "gate"] == TravelTime(20, 45)
    assert rules.travel["yard", "door"].typical == 10 and ("door", "yard") not in rules.travel


@pytest.mark.parametrize(
    "text",
    [
        "disjoint = 3", 'disjoint = [["gate"]]', 'disjoint = ["gate", "yard"]', "walls = 1", "travel = 3", "disjoint",
        '[[travel]]\nbetween = ["gate", "gate"]\nshortest = 1', '[[travel]]\nfrom = "gate"\nshortest = 1',
        '[[travel]]\nbetween = ["gate", "yard"]', '[[travel]]\nbetween = ["gate", "yard"]\nshortest = "1"',
        '[[travel]]\nbetween = ["gate", "yard"]\nshortest = 50\ntypical = 20',
        '[[travel]]\nbetween = ["gate", "yard"]\nshortest = 5\nlongest = 20',
    ],
)  # fmt: skip
def test_wrong_rules_are_refused_with_their_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(GalleryError, match=r"site\.toml"):
        read_rules(file)
    with pytest.raises(GalleryError, match="cannot be read"):
        read_rules(tmp_path / "missing.toml")
