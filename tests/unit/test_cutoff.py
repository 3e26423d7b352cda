"""Moments before which files must have been uploaded."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pipshim.model import cutoff

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-24", "2026-11-25T00:00:00Z"),
        ("2026-11-24T12:30:00Z", "2026-11-24T12:30:00Z"),
        ("2026-11-24T12:30:00+02:00", "2026-11-24T10:30:00Z"),
        ("2026-11-24 12:30:00", "2026-11-24T12:30:00Z"),
        ("P7D", "P7D"),
        ("P1W", "P7D"),
        ("7 days", "P7D"),
        ("1 week 12 hours", "PT180H"),
        ("PT36H", "PT36H"),
        ("90 minutes", "PT90M"),
    ],
)
def test_a_moment_is_said_in_one_way(text: str, said: str) -> None:
    assert cutoff.normalised(text) == said
    assert cutoff.normalised(said) == said


def test_a_duration_ends_now() -> None:
    assert cutoff.moment("P7D", now=NOW) == NOW - timedelta(days=7)
    assert cutoff.moment("PT90M", now=NOW) == NOW - timedelta(minutes=90)
    assert cutoff.moment("2026-11-25T00:00:00Z", now=NOW) == NOW - timedelta(hours=12)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "soon", "3 months", "7", "7 days 8 days", "2026-13-01", f"P{'9' * 12}D"]
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 its text is Python's
        cutoff.normalised(text)
