"""The files of pip's configuration (``pip._internal.configuration``)."""

from __future__ import annotations

import os

from pip._internal.configuration import get_configuration_files


def configuration_files() -> list[str]:
    """Return all files that pip would read, existing or not."""
    found = [path for paths in get_configuration_files().values() for path in paths]
    named = os.environ.get("PIP_CONFIG_FILE")
    if named and named != os.devnull:
        found.append(named)
    return found
