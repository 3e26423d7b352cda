"""Read pip's configuration (variables and files), and set its options that choose versions."""

from __future__ import annotations

import os
from copy import copy
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pip._internal.cli import parser as pips_parser
from pip._internal.configuration import Configuration, get_configuration_files
from pip._internal.models.format_control import FormatControl
from pip._internal.models.release_control import ReleaseControl
from pip._vendor import platformdirs

from pipshim._pip import patches
from pipshim.model import cutoff
from pipshim.model.selection_preferences import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from optparse import Values


ConfigOptionParser = pips_parser.ConfigOptionParser


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
    asked = copy(parser)
    patches.override(asked, config=_Part(parser.config, key, environment=environment))
    found = asked._update_defaults({})  # noqa: SLF001
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


# Preferences

SWITCHES = {
    "prefer-binary": "prefer_binary",
    "no-deps": "ignore_dependencies",
    "only-deps": "only_dependencies",
    "ignore-requires-python": "ignore_requires_python",
    "require-hashes": "require_hashes",
}
"""By the name of an option, where pip's parser stores it."""


def apply_preferences(values: Mapping[str, Any], options: Values) -> None:
    """Set pip's options to preferences."""
    lists = {name: set(values.get(name, ())) for name in LISTS}
    options.format_control = FormatControl(lists["no-binary"], lists["only-binary"])
    options.release_control = ReleaseControl(lists["all-releases"], lists["only-final"])
    for name, dest in SWITCHES.items():
        if values.get(name):
            setattr(options, dest, True)
    text = values.get("uploaded-prior-to")
    options.uploaded_prior_to = (
        cutoff.moment(text, now=datetime.now(timezone.utc)) if text is not None else None
    )
