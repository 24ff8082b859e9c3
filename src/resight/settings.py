"""Fill frozen dataclasses from plain values, and check the range of settings."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args

from resight.errors import RecipeError

_T = TypeVar("_T")

_SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", tuple: "a list"}


def replaced(settings: _T, values: dict[str, Any], where: str) -> _T:
    """Return a copy of a dataclass with some values replaced; a nested dictionary replaces in a nested dataclass.

    Args:
        settings: A dataclass. Values that are not in `values` are kept.
        values: New values by name. A list becomes a tuple, and a whole number becomes a float if one is expected.
        where: The file or recipe that the values come from, for messages.

    Raises:
        RecipeError: If a name is unknown, or a value has another type than the one it replaces.
    """
    known = {f.name for f in fields(settings)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown setting {key!r}, expected one of {', '.join(sorted(known))}")
        current = getattr(settings, key)
        if is_dataclass(current):
            if not isinstance(value, dict):
                raise RecipeError(f"{where}: {key} is {value!r}, expected a table of settings")
            value = replaced(current, value, f"{where}: {key}")
        elif isinstance(current, tuple):
            value = tuple(value) if isinstance(value, list | tuple) else (value,)
            kinds = {type(item) for item in current} or {str, int, float}
            if not all(type(item) in kinds for item in value):
                names = " or ".join(sorted(_SEVERAL.get(kind, kind.__name__) for kind in kinds))
                raise RecipeError(f"{where}: {key} is {list(value)!r}, expected a list of {names}")
        elif isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(min(max(value, -(2**1000)), 2**1000))  # larger numbers are no floats
        if type(value) is not type(getattr(settings, key)):
            raise RecipeError(
                f"{where}: {key} is {value!r}, expected {_KINDS.get(type(current), type(current).__name__)}"
            )
        changes[key] = value
    return replace(settings, **changes)  # type: ignore[type-var]


def one_of(settings: object, name: str, choices: object) -> None:
    """Check that a setting is one of the values of a `Literal`.

    Raises:
        RecipeError: If it is not.
    """
    value = getattr(settings, name)
    if value not in get_args(choices):
        raise RecipeError(f"{name} is {value!r}, expected one of {', '.join(map(repr, get_args(choices)))}")


def within(settings: object, least: float, most: float, *names: str) -> None:
    """Check that settings are between `least` and `most`, inclusive.

    Raises:
        RecipeError: If one is not.
    """
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not least <= value <= most:
            allowed = f"at least {least}" if most == float("inf") else f"{least} to {most}"
            raise RecipeError(f"{name} is {value!r}, expected {allowed}")


def positive(settings: object, *names: str) -> None:
    """Check that settings are greater than 0.

    Raises:
        RecipeError: If one is not.
    """
    for name in names:
        value = getattr(settings, name)
        if not _is_number(value) or not value > 0:
            raise RecipeError(f"{name} is {value!r}, expected more than 0")


def whole_number(name: str, value: object, least: int) -> int:
    """Return a value that must be a whole number of at least `least`.

    Raises:
        RecipeError: If it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RecipeError(f"{name} is {value!r}, expected a whole number of at least {least}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
