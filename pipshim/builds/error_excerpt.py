"""Find the lines of a failed build's output that say why it failed. Pure."""

from __future__ import annotations

import re
from itertools import dropwhile, islice, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OMITTED = "…"
"""Stands for the lines between the first errors and the end."""

_LINES = 20
_ERRORS = 3
_CONTEXT = 2

_FRAME = re.compile(r'  File "')
_MACHINERY = re.compile(
    r'  File "(?:<frozen (?:runpy|importlib\._bootstrap\w*)>'
    r"|.*[/\\]pyproject_hooks[/\\]_in_process[/\\]_in_process\.py"
    r"|.*[/\\]pipshim[/\\]builds[/\\](?:forkserver|hook_runner|process_trace)\.py"
    r"|.*[/\\]site-packages[/\\](?:setuptools|_distutils_hack|torch)[/\\].*\.py"
    r'|.*[/\\]distutils[/\\]\w+(?:[/\\]\w+)?\.py)"'
)
_ERROR = re.compile(
    r"""
      ^[^\s:'"][^:\n]*:\d+(?::\d+)?:\ (?:fatal\ )?[Ee]rror:\ (?P<compiler>.*)  # gcc, clang
    | ^[^\s(][^(\n]*\(\d+(?:,\d+)?\)\ ?:\ (?:fatal\ )?error[:\ ](?P<nvcc>.*)  # nvcc, MSVC
    | ^error\[E\d+\]:\ (?P<rustc>.*)
    | ^(?P<cargo>error:\ (?!command|subprocess|metadata).*)(?=\n\s+-->)
    | ^(?P<cmake>CMake\ Error.*)
    | ^(?:\S*/)?(?:ld|ld\.\w+|lld|mold):
      \ (?P<linker>.*(?:undefined|cannot\ find|error|not\ found).*)
    | ^[^\n]*?(?P<reference>undefined\ reference\ to\ .*)
    """,
    re.VERBOSE | re.MULTILINE,
)
# What belongs to the error before it: gcc's and rustc's excerpts, CMake's indented text.
_BELONGS = re.compile(r"\s*\d*\s+\||\s+-->|\s{2}\S")
_SOURCE = re.compile(r"\s*\d*\s+\|")


def excerpt(text: str) -> tuple[str, ...]:
    """Return the first errors of compilers, linkers and the like, then the last lines."""
    lines = without_machinery(line for line in text.splitlines() if line.strip())
    end = lines[-_LINES:]
    errors = [line for error in islice(_errors(text), _ERRORS) for line in error]
    if not errors or all(line in end for line in errors):
        return tuple(end)
    return (*errors, OMITTED, *dropwhile(_SOURCE.match, end[len(errors) + 1 :]))


def shortened(output: Sequence[str], count: int) -> Sequence[str]:
    """Return at most `count` of the lines of an excerpt: of its errors, and of its end."""
    if len(output) <= count or OMITTED not in output:
        return output[-count:]
    errors = output[: min(output.index(OMITTED), count // 2)]
    return [*errors, OMITTED, *output[len(errors) + 1 - count :]]


def without_machinery(lines: Iterable[str]) -> list[str]:
    """Drop the frames of tracebacks that are not the package's: hooks, setuptools, torch."""
    kept: list[str] = []
    dropping = False
    for line in lines:
        if _FRAME.match(line):
            dropping = _MACHINERY.match(line) is not None
        elif not line.startswith("    "):
            dropping = False
        if not dropping:
            kept.append(line)
    return kept


def _errors(text: str) -> Iterator[list[str]]:
    """Yield each error, with what belongs to it."""
    said: set[str] = set()
    for match in _ERROR.finditer(text):
        message = next(group for group in match.groups() if group is not None)
        if message not in said:
            said.add(message)
            following = text[match.end() + 1 : match.end() + 1000].splitlines()
            yield [match[0], *islice(takewhile(_BELONGS.match, following), _CONTEXT)]
