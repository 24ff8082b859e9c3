from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from resight.errors import RecipeError
from resight.settings import one_of, positive, replaced, within

Kind = Literal["one", "two"]


@dataclass(frozen=True)
class Inner:
    share: float = 0.5
    steps: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Outer:
    number: int = 1
    kind: str = "one"
    inner: Inner = field(default_factory=Inner)


def test_values_replace_those_of_nested_settings() -> None:
    assert replaced(Outer(), {}, "here") == Outer()
    made = replaced(Outer(kind="two"), {"number": 3, "inner": {"share": 1, "steps": [2, 3]}}, "here")
    assert made == Outer(3, "two", Inner(1.0, (2, 3)))
    assert type(made.inner.share) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"numbr": 3}, "here: unknown setting 'numbr', expected one of inner, kind, number"),
        ({"number": True}, "here: number is True, expected a whole number"),
        ({"inner": 3}, "here: inner is 3, expected a table"),
        ({"inner": {"share": "a"}}, "here: inner: share is 'a', expected a number"),
    ],
)
def test_unknown_and_invalid_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        replaced(Outer(), values, "here")


def test_checks_name_the_setting_and_its_value() -> None:
    one_of(Outer(), "kind", Kind)
    within(Inner(), 0, 0.5, "share")
    positive(Inner(), "share")
    with pytest.raises(RecipeError, match="kind is 'three', expected one of 'one', 'two'"):
        one_of(Outer(kind="three"), "kind", Kind)
    with pytest.raises(RecipeError, match=r"share is 0.5, expected 0.6 to 1"):
        within(Inner(), 0.6, 1, "share")
    with pytest.raises(RecipeError, match=r"share is nan"):
        within(Inner(float("nan")), 0, 1, "share")
    with pytest.raises(RecipeError, match="number is 0, expected more than 0"):
        positive(Outer(0), "number")
