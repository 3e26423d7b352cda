"""The supported versions of pip, and the differences between them.

Nothing here imports ``pip._internal`` until it is called.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import Values

    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link

SUPPORTED = ("26.1", "26.2", "26.3")
"""The minor releases of pip that pipshim is tested on, the oldest first."""


def installed_version() -> str | None:
    """Return the version of pip, without importing it; None if there is none."""
    try:
        from pip import __version__  # noqa: PLC0415 only here is its absence an answer
    except ImportError:
        return None
    return __version__


def folder() -> str:
    """Return pip's folder, as pip shows it."""
    import pip  # noqa: PLC0415

    return os.path.dirname(os.path.abspath(pip.__file__))  # noqa: PTH100, PTH120 as pip does


def pip_entry(*, until_exit: bool) -> Callable[[list[str] | None], int]:
    """Return pip's main function.

    Args:
        until_exit: the process ends with it. pip 26.3 then blocks imports after it has installed
            something; before that there was one function for both.

    """
    from pip._internal.cli import main  # noqa: PLC0415

    if until_exit:
        entry: Callable[[list[str] | None], int] = getattr(main, "cli", main.main)
        return entry
    return main.main


def check_lock_options(values: Values) -> None:
    """Let pip check options that exclude each other (``--only-deps`` is new in 26.2)."""
    from pip._internal.cli import cmdoptions  # noqa: PLC0415

    cmdoptions.check_release_control_exclusive(values)
    check = getattr(cmdoptions, "check_only_deps_option_does_not_conflict", None)
    if check is not None:
        check(values)


def check_direct_references(distribution: BaseDistribution, link: Link) -> None:
    """Let pip refuse what comes from PyPI and requires a URL (before 26.3, its requirements did).

    Raises:
        InstallationError: pip's; it requires one.

    """
    from pip._internal.operations import prepare  # noqa: PLC0415

    check = getattr(prepare, "check_pypi_direct_references", None)
    if check is not None:
        check(distribution, link)


def plain_markup(text: str) -> str:
    """Remove rich's markup from a usage line, which pip 26.1 printed as it is."""
    from pip._vendor.rich.text import Text  # noqa: PLC0415

    return Text.from_markup(text).plain
