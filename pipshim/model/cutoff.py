"""Parse upload limits: ``exclude-newer``, ``--uploaded-prior-to``. Pure.

They are a date and time (RFC 3339), a date, or a duration before now.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_ISO = re.compile(
    r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?)?", re.IGNORECASE
)
_WORDS = re.compile(r"(\d+)\s*(weeks?|w|days?|d|hours?|h|minutes?|mins?|m)\b,?\s*", re.IGNORECASE)
_LONGEST = timedelta(days=365 * 200)


def normalised(text: str) -> str:
    """Normalise a limit: to UTC, or to an ISO 8601 duration (``P7D``, ``PT36H``).

    A date includes that day, as in uv; without an offset it is UTC, so that it means the same
    everywhere.

    Raises:
        ValueError: it is none of these.

    """
    text = text.strip()
    length = _duration(text)
    if length is not None:
        if length > _LONGEST:
            raise ValueError("that is too long ago")
        hours, rest = divmod(int(length.total_seconds()), 3600)
        if rest:
            return f"PT{hours * 60 + rest // 60}M"
        return f"PT{hours}H" if hours % 24 else f"P{hours // 24}D"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        moment = datetime.combine(date.fromisoformat(text) + timedelta(days=1), time())
    else:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def moment(text: str, *, now: datetime) -> datetime:
    """Return the moment of a normalised limit.

    Raises:
        ValueError: it is not normalised.

    """
    length = _duration(text)
    if length is not None:
        return now - length
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _duration(text: str) -> timedelta | None:
    """Parse ``P7D``, ``PT36H`` (ISO 8601), ``7 days`` or ``1 week 12 hours``."""
    match = _ISO.fullmatch(text)
    if match and any(match.groups()) and not text.upper().endswith("T"):
        found = {unit: int(value) for unit, value in match.groupdict().items() if value}
    else:
        found = {}
        rest = text
        while rest:
            part = _WORDS.match(rest)
            if part is None or (unit := part[2][0].lower()) in found:
                return None
            found[unit] = int(part[1])
            rest = rest[part.end() :]
        if not found:
            return None
    try:
        return timedelta(**{_UNITS[unit]: value for unit, value in found.items()})
    except OverflowError:
        return timedelta.max
