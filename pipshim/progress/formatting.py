"""Words, numbers and colours that all observers share."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO, TypeAlias

    from pipshim.model.events import What

    # A text in parts, each with the name of a style: one of _CODES, or "".
    Parts: TypeAlias = list[tuple[str, str]]

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
MODE_STYLES = {"isolated": "green", "matched": "cyan", "no-isolation": "yellow"}
_WORD_STYLES = {"built": "green", "cached": "cyan", "remote": "cyan", "failed": "red"}
_WORD_WIDTH = len("building")
_MODE_WIDTH = len("no-isolation")
_MINUTE, _HOUR = 60, 3600


def duration(seconds: float, *, precise: bool = False) -> str:
    """Format seconds for people: ``0.02 s``, ``0.4 s``, ``12 s``, ``2m 03s``, ``1h 02m``.

    Args:
        seconds: negative values count as zero.
        precise: show tenths up to a minute.

    """
    seconds = max(seconds, 0.0)
    if seconds < 0.095:  # noqa: PLR2004 what would be shown as 0.1
        return f"{seconds:.2f} s"
    if seconds < (59.95 if precise else 9.95):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"


def rough_duration(seconds: float) -> str:
    """Format seconds that were not measured here: ``12 s``, ``41 min``, ``1 h 20 min``."""
    minutes = round(seconds / _MINUTE)
    if not minutes:
        return f"{seconds:.0f} s"
    hours, rest = divmod(minutes, _MINUTE)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest else [])])


def elapsed(seconds: float) -> str:
    """Format the time since something began, in whole seconds: ``3 s``, ``2m 03s``."""
    whole = int(max(seconds, 0.0))
    return f"{whole} s" if whole < _MINUTE else duration(whole)


def time_left(seconds: float) -> str:
    """Format an estimate, rounded: ``about 2 min left``."""
    if seconds < 5:  # noqa: PLR2004 seconds
        return "a few seconds left"
    if seconds < 55:  # noqa: PLR2004 what would be shown as 60 s
        return f"about {max(10, round(seconds, -1)):.0f} s left"
    if seconds < 90 * _MINUTE:
        return f"about {max(1, round(seconds / _MINUTE))} min left"
    return f"about {seconds / _HOUR:.1f} h left"


def plural(count: int, noun: str) -> str:
    """Return ``1 package`` or ``2 packages``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def use_color(
    stream: TextIO, *, no_color: bool = False, environ: Mapping[str, str] | None = None
) -> bool:
    """Decide by ``--no-color`` and NO_COLOR, then FORCE_COLOR, then the stream."""
    environ = os.environ if environ is None else environ
    if no_color or environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM") not in ("dumb", "unknown")


def paint(text: str, style: str, *, color: bool) -> str:
    """Colour a text; ``style`` is one or more names separated by spaces."""
    codes = ";".join(str(_CODES[name]) for name in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m" if color and codes and text else text


def write(stream: TextIO, text: str) -> None:
    """Write to a stream that may lack the characters, or be closed, without raising."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):
        return


class Columns:
    """Lines about builds, in columns as wide as needed so far.

    Attributes:
        room: returns the width in which a line should fit, if there is one.

    """

    def __init__(self, room: Callable[[], int] | None = None) -> None:
        self.room = room
        self._package = 0
        self._chosen_by = 0

    def widen(self, package: str, chosen_by: str) -> None:
        """Make the columns wide enough for a later line."""
        self._package = max(self._package, len(package))
        self._chosen_by = max(self._chosen_by, len(chosen_by))

    def line(
        self, word: str, package: str, mode: str, chosen_by: str, what: What, end: str = ""
    ) -> Parts:
        """Return the parts of ``built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s``."""
        self.widen(package, chosen_by)
        made = "" if what == "wheel" else what
        end = "  ".join(part for part in (made, end) if part)
        width = self._chosen_by if end else 0
        parts = [
            (f"{word:{_WORD_WIDTH}} ", _WORD_STYLES.get(word, "dim")),
            (f"{package:{self._package}}  ", "bold"),
            (f"{mode:{_MODE_WIDTH}}  ", MODE_STYLES.get(mode, "")),
            (f"{chosen_by:{width}}", "dim"),
        ]
        if end:
            parts.append((f"  {end}", ""))
        if self.room is not None and len(join(parts)) >= self.room():
            # What chose the mode is the first to go, and the alignment with it.
            shown = [(word, parts[0][1]), (package, "bold"), (mode, MODE_STYLES.get(mode, ""))]
            shown += [(end, "")] if end else []
            return [
                (text if number == 0 else f" {text}", style)
                for number, (text, style) in enumerate(shown)
            ]
        return parts


def painted(parts: Parts) -> str:
    return "".join(paint(text, style, color=True) for text, style in parts).rstrip()


def join(parts: Parts) -> str:
    return "".join(text for text, _ in parts).rstrip()
