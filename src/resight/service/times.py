"""Points in time as people write and read them: ISO 8601 in UTC, or seconds of a data set without a calendar."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from resight.errors import RecipeError

CALENDAR = 1e8
"""Values from here on are seconds since 1970; smaller ones are seconds since the start of a recording."""


def parse_time(text: str, name: str) -> float | None:
    """Return a point in time as seconds, or None if the text is empty.

    >>> parse_time("2026-05-01T10:00", "after"), parse_time("12.5", "after")
    (1777629600.0, 12.5)

    Args:
        text: ISO 8601, in UTC unless it has an offset, or a number of seconds.
        name: What the time is, for the message.

    Raises:
        RecipeError: If it is neither.
    """
    text = text.strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise RecipeError(
                f"{name} is {text[:40]!r}, expected a time such as 2026-05-01T10:00 or a number of seconds"
            ) from None
    if not math.isfinite(seconds) or not -1e11 < seconds < 1e11:
        raise RecipeError(f"{name} is {text[:40]!r}, expected a time within the years 1970 to 5000")
    return seconds


def show_time(seconds: float | None) -> str:
    """Return a point in time for people; empty if there is none.

    >>> show_time(1777629600.0), show_time(75.25), show_time(None)
    ('2026-05-01 10:00:00', '0:01:15.2', '')
    """
    if seconds is None:
        return ""
    if abs(seconds) >= CALENDAR:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    minutes, rest = divmod(max(seconds, 0.0), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def show_span(start: float | None, end: float | None) -> str:
    """Return a time span for people, without repeating the day; empty if there is none.

    >>> show_span(1777629600.0, 1777629612.0)
    '2026-05-01 10:00:00 – 10:00:12'
    """
    if start is None:
        return show_time(end)
    first, last = show_time(start), show_time(end)
    if not last or last == first:
        return first
    return f"{first} – {last[11:] if len(last) == 19 and last[:10] == first[:10] else last}"


def show_seconds(seconds: float | None) -> str:
    """Return a duration for people.

    >>> show_seconds(4.2), show_seconds(200.0), show_seconds(None)
    ('4.2 s', '3:20 min', '')
    """
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
