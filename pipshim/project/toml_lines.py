"""Find the lines of keys and array items in a TOML text, which tomllib does not report."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from pipshim.base import toml_files

if TYPE_CHECKING:
    from pipshim.model.value_reader import KeyPath, LineOf


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
            keys.append(toml_files.loads(f"key = {token}")["key"] if token[0] in "\"'" else token)
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
