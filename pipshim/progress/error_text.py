"""Format errors: what went wrong, where, and how to fix it."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from pipshim.base.errors import BuildError, Failures, PipshimError
from pipshim.builds.error_excerpt import shortened
from pipshim.progress.control_codes import clean
from pipshim.progress.formatting import paint, plural

if TYPE_CHECKING:
    from collections.abc import Sequence


# Prose is hard to read in longer lines, and in shorter ones nothing is.
_WIDEST, _NARROWEST = 100, 20
_VERBATIM = "    "
# Of what each of several builds printed.
_LINES_OF_ALL, _FEWEST_LINES = 24, 6
# Where a compiler found a header of an installed package: the folders before it say nothing.
_SITE_PACKAGES = re.compile(r"^\S*/site-packages/(?=\S+:\d)")


def render(
    error: PipshimError,
    *,
    width: int | None,
    color: bool,
    hint: bool = True,
    lines: int | None = None,
) -> str:
    """Return the text of an error, which ends with a line end.

    Texts are wrapped, except lines to be pasted, which begin with four spaces.

    Args:
        width: of the terminal, in columns; None for a pipe or file, where nothing is wrapped.
        lines: how many lines of a build's output to show; None for all.

    """
    if isinstance(error, Failures):
        return _several(error, width=width, color=color)
    width = None if width is None else max(width - 1, _NARROWEST)
    message = error.message
    if isinstance(error, BuildError) and not message.startswith(error.package):
        message = f"{error.package}: {message}"
    first, *more = message.splitlines() or [""]
    text = _wrap(first, width, "error: ", "  ")
    for line in more:
        indent = " " * max(len(line) - len(line.lstrip()), 2)
        text += _wrap(line.lstrip(), width, indent, indent)
    if isinstance(error, BuildError):
        output = error.output if lines is None else shortened(error.output, lines)
        text += _build(error, output, width, color=color)
    text[0] = text[0].replace("error:", paint("error:", "bold red", color=color), 1)
    if error.hint and hint:
        said = _hint(error.hint, width)
        said[0] = said[0].replace("hint:", paint("hint:", "bold cyan", color=color), 1)
        text += said
    return "\n".join(text) + "\n"


def _several(error: Failures, *, width: int | None, color: bool) -> str:
    """Return the texts of all errors, common hints once, and the number of errors."""
    panels = []
    for number, one in enumerate(error.errors):
        is_last = all(one.hint != other.hint for other in error.errors[number + 1 :])
        lines = max(_LINES_OF_ALL // len(error.errors), _FEWEST_LINES)
        panels.append(render(one, width=width, color=color, hint=is_last, lines=lines))
    kind = "build" if all(isinstance(one, BuildError) for one in error.errors) else "thing"
    return "\n".join([*panels, f"{plural(len(error.errors), kind)} failed\n"])


def _build(
    error: BuildError, output: Sequence[str], width: int | None, *, color: bool
) -> list[str]:
    lines = [f"  mode: {error.mode}", f"  step: {error.step}"]
    bar = "  " + paint("|", "red", color=color)
    is_broken = False
    for line in output:
        shown = clean(line)
        if is_broken and shown and not shown.strip(" |^~"):
            continue  # points at a place in a line that is in pieces now
        if width is not None:
            shown = _SITE_PACKAGES.sub("", shown)
        indent = " " * min(len(shown) - len(shown.lstrip()), 8)
        # What a program printed is broken anywhere, so that the bar stays whole.
        broken = (
            [shown]
            if width is None
            else textwrap.wrap(
                shown,
                width - 4,
                subsequent_indent=indent,
                drop_whitespace=False,
                break_on_hyphens=False,
            )
        )
        is_broken = len(broken) > 1
        lines += [f"{bar} {part.rstrip()}".rstrip() for part in broken or [""]]
    if error.log is not None:
        # In one piece, to be copied.
        lines.append(f"  log: {error.log}")
    return lines


def _hint(hint: str, width: int | None) -> list[str]:
    lines: list[str] = []
    for line in hint.splitlines():
        prefix = "" if lines else "hint: "
        if line.startswith(_VERBATIM) or not line.strip():
            lines.append((prefix + line).rstrip())
        else:
            lines += _wrap(line, width, prefix, "" if prefix == "" else "  ")
    return lines or ["hint:"]


def _wrap(text: str, width: int | None, first: str, rest: str) -> list[str]:
    if width is None:
        return [f"{first}{text}".rstrip()]
    return textwrap.wrap(
        text,
        min(width, _WIDEST),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]
