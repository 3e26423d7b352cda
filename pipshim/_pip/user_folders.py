"""The folder of the user's configuration, where the platform has it."""

from __future__ import annotations

from pathlib import Path

from pip._vendor import platformdirs


def configuration_folder() -> Path:
    """Return pipshim's folder for what the user configures: ``~/.config/pipshim`` on Linux."""
    return Path(platformdirs.user_config_dir("pipshim", appauthor=False, roaming=True))
