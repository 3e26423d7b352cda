"""Check whether pipshim supports the installed pip; format both versions."""

from __future__ import annotations

import shlex
import sys

from pipshim import __version__
from pipshim._pip import compat
from pipshim._pip.compat import SUPPORTED
from pipshim.base.errors import PipshimError


def is_supported() -> bool:
    """Return whether the installed pip is supported, without importing it."""
    found = compat.installed_version()
    if found is None:
        raise PipshimError(
            f"pip cannot be imported by {sys.executable}, which pipshim runs on",
            hint=f"install it:\n\n    {_python()} -m ensurepip\n    {_install_supported()}",
        )
    return ".".join(found.split(".")[:2]) in SUPPORTED


def unsupported(what: str) -> PipshimError:
    """Return the error that a command or option does not work with the installed pip."""
    found = compat.installed_version()
    return PipshimError(
        f"{what}: pip {found} is not supported; supported versions are {', '.join(SUPPORTED)}",
        hint=f"install one of them:\n\n    {_install_supported()}",
    )


def version_text() -> str:
    """Return both versions, in pip's form."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    pip = f"pip {compat.installed_version()} from {compat.folder()}"
    return f"pipshim {__version__} ({pip}, python {python})"


def versions() -> str:
    """Return both versions, without their folders."""
    return f"pipshim {__version__}, pip {compat.installed_version()}"


def _install_supported() -> str:
    major, minor = SUPPORTED[-1].split(".")
    return f"{_python()} -m pip install 'pip>={SUPPORTED[0]},<{major}.{int(minor) + 1}'"


def _python() -> str:
    return shlex.quote(sys.executable)
