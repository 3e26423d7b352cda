"""Describe the running Python; also runs in Pythons without pipshim."""

from __future__ import annotations

import os
import sys
import sysconfig

from packaging.markers import default_environment
from packaging.tags import sys_tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def describe() -> dict[str, Any]:
    """Return the data of a `pipshim.envs.interpreter.Target`."""
    paths = sysconfig.get_paths()
    is_venv = sys.prefix != sys.base_prefix
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    headers = os.path.join(sys.prefix, "include", "site", minor)  # noqa: PTH118 as sysconfig's
    return {
        "version": list(sys.version_info[:3]),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "base_python": _base_python(paths["scripts"], minor) if is_venv else sys.executable,
        "implementation": sys.implementation.name,
        "markers": default_environment(),
        "tags": [str(tag) for tag in sys_tags()],
        "purelib": paths["purelib"],
        "platlib": paths["platlib"],
        "scripts": paths["scripts"],
        "data": paths["data"],
        "headers": headers if is_venv else paths["include"],
        "is_venv": is_venv,
        "compilers": {
            name: command
            for name, variable in (("cc", "CC"), ("c++", "CXX"))
            if (command := sysconfig.get_config_var(variable))
        },
    }


def _base_python(scripts: str, minor: str) -> str:
    """Return the interpreter of the Python below a virtual environment."""
    # Python 3.10 on POSIX says that a venv's own interpreter is the base.
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    inside = os.path.dirname(base) == os.path.dirname(sys.executable)  # noqa: PTH120
    folder = os.path.join(sys.base_prefix, os.path.relpath(scripts, sys.prefix))  # noqa: PTH118
    named = [os.path.join(folder, name) for name in (minor, "python3", "python", "python.exe")]  # noqa: PTH118
    candidates = named if inside else [base, *named]
    there = (name for name in candidates if os.path.exists(name))  # noqa: PTH110
    return next(there, os.path.realpath(sys.executable))
