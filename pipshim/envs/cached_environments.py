"""Environments that are no project's own: where in pipshim's cache they are.

Each has a folder, named after what it is for: the environment is ``.venv`` in it, and its lock lies
beside that, so that to all else it is like a project's folder. The folder's time of modification
says when it was last used (`pipshim.store.inventory`).
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipshim.base.cache_folders import ENVIRONMENTS
from pipshim.model.pylock import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipshim.model.interpreter import Target


@dataclass(frozen=True)
class Place:
    """Where one environment and its lock are.

    Attributes:
        directory: the folder of both.
        base: the Python that the environment is made with.

    """

    directory: Path
    base: Target

    @property
    def lock(self) -> Path:
        """The environment's lock."""
        return self.directory / LOCK_NAME

    def use(self) -> None:
        """Make the folder if it is missing, and note that it is used now."""
        self.directory.mkdir(parents=True, exist_ok=True)
        os.utime(self.directory)


def place(cache: Path, label: str, base: Target, what: Iterable[str]) -> Place:
    """Name the place of an environment.

    Args:
        cache: pipshim's cache folder.
        label: begins the folder's name, for people.
        base: the Python to make it with.
        what: tells it from all others.

    """
    key = "\0".join([*what, str(base.base_python), base.full_version])
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    stem = re.sub(r"[^\w.-]", "_", label)[:40].lstrip(".") or "environment"
    return Place(cache / ENVIRONMENTS / f"{stem}-{digest}", base)


def lock_beside(script: Path) -> Path:
    """Tell where a script's lock is, if it has one: the name has to be one of PEP 751's.

    No two scripts of a folder have the same: ``tool.py`` has ``pylock.tool.toml``, ``tool`` has
    ``pylock.tool%.toml``, and a dot is ``%2E``.
    """
    stem, mark = (script.stem, "") if script.suffix == ".py" else (script.name, "%")
    return script.with_name(f"pylock.{stem.replace('%', '%25').replace('.', '%2E')}{mark}.toml")
