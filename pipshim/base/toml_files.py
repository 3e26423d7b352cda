"""Parse TOML. Every error is a `TomlError` with its line."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

# Far more than any tool writes, and few enough for code that walks the values recursively.
_DEEPEST = 100
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
# Strings and comments in one piece, so that brackets and digits in them are skipped.
_SKIPPED = r"\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|\#[^\n]*"
_BRACKETS = re.compile(rf"{_SKIPPED}|(?P<bracket>[\[\]{{}}])", re.DOTALL)
_NUMBERS = re.compile(rf"{_SKIPPED}|(?P<number>\d[\d_]*)", re.DOTALL)


class TomlError(ValueError):
    """A text invalid TOML, or has values that cannot be read.

    Attributes:
        problem: what is wrong, to follow the name of the file.
        line: from 1, or None if unknown.

    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"{problem} (line {line})")
        self.problem = problem
        self.line = line


def read(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        OSError: the file cannot be read.
        TomlError: it is not UTF-8, or see `loads`.

    """
    return loads(decode(path.read_bytes()))


def decode(data: bytes) -> str:
    """Decode the content of a TOML file.

    Raises:
        TomlError: it is not UTF-8.

    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlError("is not UTF-8, as TOML must be", line) from None


def loads(text: str) -> dict[str, Any]:
    """Parse a TOML text.

    Raises:
        TomlError: it is invalid, nested more than a hundred levels deep, or has an integer of more
            digits than Python converts.

    """
    if text.startswith("\ufeff"):
        raise TomlError("starts with a byte order mark, which TOML does not allow", 1)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text) from None
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError as error:
        raise _unreadable_value(error, text) from None
    if _depth(data) > _DEEPEST:
        raise _too_deep(text)
    return data


def _syntax_error(reason: str, text: str) -> TomlError:
    found = _WHERE.search(reason)
    if found is None:
        return TomlError(f"invalid TOML: {reason}")
    problem = f"invalid TOML: {reason[: found.start()]}"
    if found["line"] is None:
        return TomlError(f"{problem}, at the end", max(len(text.splitlines()), 1))
    return TomlError(f"{problem}, at column {found['column']}", int(found["line"]))


def _too_deep(text: str) -> TomlError:
    line = depth = 0
    for match in _BRACKETS.finditer(text):
        if match["bracket"]:
            depth += 1 if match["bracket"] in "[{" else -1
            if depth > _DEEPEST:
                line = _line(text, match.start())
                break
    problem = f"arrays or tables are nested too deeply (more than {_DEEPEST} levels)"
    return TomlError(problem, line or None)


def _unreadable_value(error: ValueError, text: str) -> TomlError:
    """Explain an integer that is longer than Python converts (`sys.set_int_max_str_digits`)."""
    limit = sys.get_int_max_str_digits()
    for match in _NUMBERS.finditer(text):
        digits = len((match["number"] or "").replace("_", ""))
        if digits > limit > 0:
            problem = f"an integer has {digits} digits, more than the limit of {limit}"
            return TomlError(problem, _line(text, match.start()))
    return TomlError(f"a value cannot be read: {error}")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _depth(data: object) -> int:
    """Count the levels of arrays and tables, without recursion; stop above the limit."""
    level: list[Any] = [data]
    depth = 0
    while level and depth <= _DEEPEST:
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        depth += 1
    return depth
