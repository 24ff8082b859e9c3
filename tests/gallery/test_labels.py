"""Groups of one person from statements: stable ids, contradictions, undo, and erasure."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from resight.errors import GalleryError
from resight.gallery.labels import Groups, name_of, number_of
from resight.gallery.types import Event


def log(*statements: str) -> list[Event]:
    """Return statements from texts such as ``same a b`` and ``undo 1``."""
    events: list[Event] = []
    for number, statement in enumerate(statements, 1):
        kind, *words = statement.split()
        if kind == "undo":
            undone = int(words[0])
            event = Event(kind, events[undone - 1].ids, "ana", 1000.0, {"event": undone}, number)
        else:
            event = Event(kind, (words[0], words[1]), "ana", 1000.0, number=number)
        events.append(event)
    return events


def members(*statements: str) -> dict[str, str]:
    """Return the groups of statements, with their members as one word."""
    groups = Groups(log(*statements))
    return {group: "".join(groups.members(group)) for group in groups.ids()}


def check(earlier: tuple[str, ...], statement: str) -> None:
    events = log(*earlier, statement)
    Groups(events[:-1]).check(events[-1])


def test_statements_make_groups() -> None:
    assert members("same a b", "confirm c d", "confirm b c") == {"unknown-0001": "abcd"}
    assert members("reject x y", "same c d", "same a b", "confirm b c") == {"unknown-0002": "abcd"}


def test_rejections_make_no_group_and_count_for_persons() -> None:
    groups = Groups(log("same a b", "same c d", "reject b c", "different e a"))
    assert groups.rejected("a") == {"c", "d", "e"}
    assert groups.rejected("d") == {"a", "b"}
    assert groups.different("d", "a") and not groups.different("d", "e")
    assert groups.group("e") is None and groups.together("e") == ("e",)
    assert groups.labelled() == set("abcde")


def test_an_id_is_never_given_to_another_person() -> None:
    assert members("same a b", "undo 1", "same c d") == {"unknown-0003": "cd"}
    assert members("same a b", "undo 1", "same c d", "same b a") == {"unknown-0003": "cd", "unknown-0004": "ab"}


def test_parts_of_a_group_get_their_ids_back() -> None:
    assert members("same a b", "same c d", "same b c", "undo 3") == {"unknown-0001": "ab", "unknown-0002": "cd"}
    assert members("same a b", "same b c", "same c d", "undo 2") == {"unknown-0001": "ab", "unknown-0004": "cd"}
    assert members("same a b", "same b c", "undo 1") == {"unknown-0001": "bc"}


def test_what_was_said_twice_holds_until_both_are_undone() -> None:
    assert members("same a b", "confirm b a", "undo 1") == {"unknown-0001": "ab"}
    assert members("same a b", "confirm b a", "undo 1", "undo 2") == {}
    groups = Groups(log("reject a b", "different b a", "undo 2"))
    assert groups.rejected("a") == {"b"}


def test_contradictions_are_refused_and_named() -> None:
    with pytest.raises(GalleryError, match=r"cannot be one person, because of label 2 .* reject b c: undo 2 first"):
        check(("same a b", "reject b c"), "same a c")
    with pytest.raises(GalleryError, match=r"cannot be different persons, because of label 1 .* same a b; 3 .* b d"):
        check(("same a b", "same a c", "same b d"), "different a d")
    check(("same a b", "reject b c", "undo 2"), "same a c")
    check(("same a b", "undo 1"), "reject a b")


def test_contradictions_in_a_list_are_reported() -> None:
    groups = Groups(log("same a b", "different a b"))
    assert len(groups.contradictions) == 1 and "cannot be different persons" in groups.contradictions[0]
    assert groups.same("a", "b") and groups.different("a", "b")
    assert not Groups(log("same a b", "different a c")).contradictions


def test_undo_needs_something_to_undo() -> None:
    groups = Groups(log("same a b", "same b c", "undo 1"))
    assert groups.undo(2, "ben", 5.0) == Event("undo", ("b", "c"), "ben", 5.0, {"event": 2})
    for number, message in ((1, "undone already"), (3, "no label 3 to undo"), (9, "no label 9")):
        with pytest.raises(GalleryError, match=message):
            groups.undo(number, "ben", 5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        Event("equal", ("a", "b"), "ana"),
        Event("same", ("a", "a"), "ana"),
        Event("same", ("a",), "ana"),
        Event("same", (), "ana"),
        Event("same", ("a", "b"), " "),
    ],
)
def test_incomplete_statements_are_refused(wrong: Event) -> None:
    with pytest.raises(GalleryError):
        Groups().check(wrong)


def test_other_events_are_ignored() -> None:
    assert not Groups([Event("removed", data={"count": 3}, number=1)]).events


def test_erasure_keeps_what_is_known_of_others() -> None:
    """As a gallery does it: append what `without` returns, then erase all events that name an erased tracklet."""
    events = log("same a b", "same b c", "reject b d", "same x y", "undo 4", "reject x b", "same p q")
    erased = {"b", "x"}
    added = Groups(events).without(erased)
    events += [replace(event, number=number) for number, event in enumerate(added, 8)]
    assert Groups(events).members("unknown-0001") == ("a", "b", "c")
    groups = Groups(event for event in events if erased.isdisjoint(event.ids))
    assert groups.members("unknown-0001") == ("a", "c")
    assert groups.rejected("a") == {"d"}
    assert groups.ids() == ["unknown-0001", "unknown-0007"]
    assert not Groups(log("same a b")).without({"z"})


def random_event(rng: random.Random, events: list[Event], tracklets: str = "abcdefgh") -> Event:
    """Return a statement that fits the earlier ones: any pair, or the undoing of an earlier statement."""
    groups = Groups(events)
    if groups.active() and rng.random() < 0.3:
        event = groups.undo(rng.choice(groups.active()).number, "ana", 1000.0)
    else:
        event = Event(rng.choice(("same", "same", "confirm", "reject")), tuple(rng.sample(tracklets, 2)), "ana", 1000.0)
    return replace(event, number=events[-1].number + 1 if events else 1)


def described(groups: Groups) -> object:
    """Return everything that groups say."""
    names = "abcdefghij"
    return (
        {group: groups.members(group) for group in groups.ids()}, {one: groups.rejected(one) for one in names},
        groups.active(), sorted(groups.contradictions),
    )  # fmt: skip


def test_incremental_groups_equal_groups_from_scratch() -> None:
    rng = random.Random(1)
    for _ in range(12):
        events: list[Event] = []
        groups = Groups()
        for _ in range(25):
            events.append(random_event(rng, events))
            before, said = groups, described(groups)
            groups = groups.extended(events[-1:])
            assert described(groups) == described(Groups(events))
            assert described(before) == said  # it was not changed


def test_erasing_keeps_members_and_ids_of_all_groups() -> None:
    rng = random.Random(2)
    for _ in range(60):
        events: list[Event] = []
        for _ in range(rng.randrange(2, 20)):
            events.append(random_event(rng, events))
        groups = Groups(events)
        erased = set(rng.sample("abcdefgh", rng.randrange(1, 4)))
        added = groups.without(erased)
        number = events[-1].number
        left = [*events, *(replace(event, number=number + n) for n, event in enumerate(added, 1))]
        rest = Groups(event for event in left if erased.isdisjoint(event.ids))
        expected = {group: set(groups.members(group)) - erased for group in groups.ids()}
        assert {group: set(rest.members(group)) for group in rest.ids()} == {
            group: members for group, members in expected.items() if len(members) > 1
        }
        if not groups.contradictions:
            for one in set("abcdefgh") - erased:
                assert rest.rejected(one) == groups.rejected(one) - erased
        assert [event.kind for event in added].count("keep") <= len(expected)


def test_groups_equal_connected_components() -> None:
    """Any list of statements gives the components of the pairs that were joined and not undone."""
    rng = random.Random(0)
    for _ in range(30):
        statements: list[str] = []
        for _ in range(30):
            joins = [n for n, s in enumerate(statements, 1) if s[0] == "s" and f"undo {n}" not in statements]
            if joins and rng.random() < 0.4:
                statements.append(f"undo {rng.choice(joins)}")
            else:
                statements.append(f"same {' '.join(rng.sample('abcdefgh', 2))}")
            groups = Groups(log(*statements))
            pairs = [
                set(s.split()[1:]) for n, s in enumerate(statements, 1) if s[0] == "s" and f"undo {n}" not in statements
            ]
            for group in groups.ids():
                inside = set(groups.members(group))
                assert all(pair <= inside or not pair & inside for pair in pairs)
            assert sum(len(groups.members(group)) for group in groups.ids()) == len(set().union(*pairs, set()))
            assert len(set(groups.ids())) == len(groups)


def test_ids_are_names_of_numbers() -> None:
    assert number_of(name_of(7)) == 7
    assert number_of("unknown-x") is None and number_of("anna-3") is None
