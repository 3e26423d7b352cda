"""Parse TOML, find the lines of its values, and write values. Every error is a `TomlError`."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

KeyPath = tuple["str | int", ...]
"""The path to a value: ``("project", "dependencies", 2)``."""

LineOf = Callable[[KeyPath], "int | None"]
"""Returns the line (from 1) of a value's key or array item, or of the nearest one around it."""

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


def problem_of(path: Path) -> str:
    """Return why a file cannot be parsed, as text to follow its name."""
    try:
        read(path)
    except TomlError as error:
        return str(error)
    return "cannot be read"


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


def line_finder(text: str) -> LineOf:
    """Return a function from key paths to lines; it scans the text when first called."""

    @functools.cache
    def lines() -> dict[KeyPath, int]:
        return _Locator(text).lines

    def line_of(path: KeyPath) -> int | None:
        while path:
            if path in lines():
                return lines()[path]
            path = path[:-1]
        return None

    return line_of


_TOKEN = re.compile(
    r"""
      (?P<space> [ \t]+ | \#[^\n]* )
    | (?P<string> \"{3} (?: [^"\\] | \\. | "{1,2}(?!") )* "{3,5}
                | '{3} (?: [^'] | '{1,2}(?!') )* '{3,5}
                | " (?: [^"\\] | \\. )* "
                | ' [^']* ' )
    | (?P<mark> [\[\]{}=,.\n] )
    | (?P<bare> [^\s\[\]{}=,."'\#]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Locator:
    """The line of each key, table header and array item of a valid TOML text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}  # of arrays of tables
        self._tokens: list[tuple[str, int]] = []
        line = 1
        for token in _TOKEN.finditer(text):
            if token.lastgroup != "space":
                self._tokens.append((token[0], line))
            line += token[0].count("\n")
        self._tokens.append(("", line))
        self._at = 0
        table: KeyPath = ()
        while self._skip_newlines():
            if self._accept("["):
                table = self._header()
            else:
                self._pair(table)

    def _take(self) -> tuple[str, int]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, token: str) -> bool:
        found = self._tokens[self._at][0] == token
        self._at += found
        return found

    def _skip_newlines(self) -> bool:
        """Skip ends of lines; return whether anything is left."""
        while self._accept("\n"):
            pass
        return self._tokens[self._at][0] != ""

    def _header(self) -> KeyPath:
        array = self._accept("[")
        line = self._tokens[self._at][1]
        keys = self._keys()
        self._at += 2 if array else 1
        path: KeyPath = ()
        for depth, key in enumerate(keys, 1):
            path = (*path, key)
            self.lines.setdefault(path, line)
            if array and depth == len(keys):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self.lines.setdefault(path, line)
        return path

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while not keys or self._accept("."):
            token, _ = self._take()
            keys.append(loads(f"key = {token}")["key"] if token[0] in "\"'" else token)
        return keys

    def _pair(self, path: KeyPath) -> None:
        line = self._tokens[self._at][1]
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._accept("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._accept("["):
            index = 0
            while self._skip_newlines() and not self._accept("]"):
                self.lines[(*path, index)] = self._tokens[self._at][1]
                self._value((*path, index))
                self._skip_newlines()
                self._accept(",")
                index += 1
        elif self._accept("{"):
            while self._skip_newlines() and not self._accept("}"):
                self._pair(path)
                self._skip_newlines()
                self._accept(",")
        else:
            # a number or date can be several tokens (1.5, 1979-05-27 07:32:00)
            while self._tokens[self._at][0] not in ("", "\n", ",", "]", "}"):
                self._at += 1
