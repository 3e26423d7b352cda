"""pip's option parser, and the settings that it reads from variables and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pip._internal.cli.parser import ConfigOptionParser
from pip._internal.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConfigOptionParser", "says"]


def says(parser: ConfigOptionParser, key: str, *, environment: bool) -> Any:
    """Return a setting of pip's variables or files, as pip would store it; None if it is empty."""
    whole = parser.config
    parser.config = _Part(whole, key, environment=environment)
    try:
        found = parser._update_defaults({})  # noqa: SLF001
    finally:
        parser.config = whole
    return next(iter(found.values()), None)


class _Part(Configuration):
    """One setting of a loaded configuration."""

    def __init__(self, whole: Configuration, key: str, *, environment: bool) -> None:
        super().__init__(isolated=True)
        self._part = {
            name: {
                full: value
                for full, value in values.items()
                if full.partition(".")[2] == key and full.startswith(":env:") is environment
            }
            for name, values in whole.items()
        }

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._part.items()
