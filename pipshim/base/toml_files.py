"""Parse TOML, and write values. Every error is a `TomlError` with its line."""

from __future__ import annotations

import json
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
_TOO_DEEP = f"arrays or tables are nested too deeply (more than {_DEEPEST} levels)"
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


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
        raise TomlError(_TOO_DEEP) from None
    except ValueError as error:  # an integer that is too long
        raise TomlError(f"a value cannot be read: {str(error).partition(';')[0]}") from None
    if _depth(data) > _DEEPEST:
        raise TomlError(_TOO_DEEP)
    return data


def _syntax_error(reason: str, text: str) -> TomlError:
    found = _WHERE.search(reason)
    if found is None:
        return TomlError(f"invalid TOML: {reason}")
    problem = f"invalid TOML: {reason[: found.start()]}"
    if found["line"] is None:
        return TomlError(f"{problem}, at the end", max(len(text.splitlines()), 1))
    return TomlError(f"{problem}, at column {found['column']}", int(found["line"]))


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


def inline(value: object) -> str:
    """Write a string, number, boolean, array or table on one line."""
    if isinstance(value, dict):
        entries = ", ".join(f"{key(name)} = {inline(one)}" for name, one in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else str(value)


def key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else inline(name)
