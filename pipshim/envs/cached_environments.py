"""Folders of the cached environments that belong to no project.

Each is named after its purpose; it has the environment in ``.venv`` and its lock beside that, like
a project's folder. Its modification time says when it was last used (`pipshim.store.inventory`).
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from pipshim.base.cache_folders import ENVIRONMENTS
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.pylock import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipshim.model.interpreter import Target


@dataclass(frozen=True)
class CachedEnvironment:
    """Where one environment and its lock are.

    Attributes:
        base: the Python that the environment is made with.

    """

    directory: Path
    base: Target

    @property
    def lock(self) -> Path:
        return self.directory / LOCK_NAME

    def use(self) -> None:
        """Make the folder if it is missing, and note its use."""
        self.directory.mkdir(parents=True, exist_ok=True)
        os.utime(self.directory)


def place(cache: Path, label: str, base: Target, what: Iterable[str]) -> CachedEnvironment:
    """Return the place of an environment.

    Args:
        label: begins the folder's name, for people.
        what: distinguishes it from all others.

    """
    key = "\0".join([*what, str(base.base_python), base.full_version])
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    stem = re.sub(r"[^\w.-]", "_", label)[:40].lstrip(".") or "environment"
    return CachedEnvironment(cache / ENVIRONMENTS / f"{stem}-{digest}", base)


def lock_beside(script: Path) -> Path:
    """Return the path of a script's lock, named as PEP 751 requires.

    It is unique in the folder: ``tool.py`` has ``pylock.tool.toml``, ``tool`` has
    ``pylock.tool%.toml``, and a dot is ``%2E``.
    """
    stem, mark = (script.stem, "") if script.suffix == ".py" else (script.name, "%")
    return script.with_name(f"pylock.{stem.replace('%', '%25').replace('.', '%2E')}{mark}.toml")
