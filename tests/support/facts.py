"""Readers of what the in-tree backend of ``backend.py`` notes while it builds."""

from __future__ import annotations

import ast
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.backend import Metadata

if TYPE_CHECKING:
    from pathlib import Path


def built(where: Path, name: str) -> dict[str, Any]:
    """Read what the in-tree backend noted: `where` is a wheel or a site-packages folder.

    The keys: hook, against (version by module), python (sys.prefix), executable, python_version,
    config_settings, variables, path, cwd, installed (version by distribution), outputs, and
    stdin if it was read.
    """
    module = Metadata(name, "0").module
    places = (f"{module}/_built.py", f"_built_{module}.py")
    if where.is_dir():
        source = next((where / p).read_text("utf-8") for p in places if (where / p).exists())
    else:
        with zipfile.ZipFile(where) as archive:
            source = next(archive.read(p).decode() for p in places if p in archive.namelist())
    return {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


@dataclass(frozen=True)
class Call:
    """A line of a backend's log: a hook's ``start`` or ``end``, or a ``child`` left behind."""

    event: str
    hook: str
    name: str
    version: str
    pid: int
    prefix: str
    time: float
    child: int | None = None


def calls(log: Path) -> list[Call]:
    """Read a backend's log, oldest first; one that does not exist is empty."""
    lines = log.read_text("utf-8").splitlines(keepends=True) if log.exists() else []
    whole = (line for line in lines if line.endswith("\n"))  # the last one may be half written
    return [Call(**json.loads(line)) for line in whole]
