"""Reduce a program's output to the text that a terminal would show."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean(line: str) -> str:
    """Return a line as a terminal would show it, without control codes."""
    line = _ESCAPES.sub("", line.rstrip("\r\n"))
    # A progress bar goes back to the start of its line.
    return _CONTROLS.sub("", line.rpartition("\r")[2].expandtabs(4)).rstrip()
