"""pip's option parser, and the settings that it reads from variables and files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pip._internal.cli.parser import ConfigOptionParser
from pip._internal.configuration import Configuration, get_configuration_files
from pip._vendor import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConfigOptionParser", "configuration_files", "configuration_folder", "says"]


def configuration_files() -> list[str]:
    """Return all files of configuration that pip would read, existing or not."""
    found = [path for paths in get_configuration_files().values() for path in paths]
    named = os.environ.get("PIP_CONFIG_FILE")
    if named and named != os.devnull:
        found.append(named)
    return found


def configuration_folder() -> Path:
    """Return pipshim's folder for what the user configures: ``~/.config/pipshim`` on Linux."""
    return Path(platformdirs.user_config_dir("pipshim", appauthor=False, roaming=True))


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
