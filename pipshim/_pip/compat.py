"""Which versions of pip are supported, and every difference between them that matters here.

Nothing here imports ``pip._internal`` until it is called.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from pipshim import __version__
from pipshim.base.errors import PipshimError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from optparse import Values

SUPPORTED = ("26.1", "26.2", "26.3")
"""The minor releases of pip that pipshim is tested on, the oldest first."""


def is_supported() -> bool:
    """Tell whether pip is one of those supported; this costs next to nothing.

    Raises:
        PipshimError: there is no pip.

    """
    try:
        from pip import __version__ as found  # noqa: PLC0415 only here is its absence an answer
    except ImportError:
        raise PipshimError(
            f"pip cannot be imported by {sys.executable}, which pipshim runs on",
            hint=f"install it:\n\n    {_python()} -m ensurepip\n    {_install_supported()}",
        ) from None
    return ".".join(found.split(".")[:2]) in SUPPORTED


def unsupported(what: str) -> PipshimError:
    """Say that `what`, a command or an option, does not work with the pip that is installed."""
    from pip import __version__ as found  # noqa: PLC0415

    return PipshimError(
        f"{what}: pip {found} is not supported; supported are {', '.join(SUPPORTED)}",
        hint=f"install one of them:\n\n    {_install_supported()}",
    )


def _install_supported() -> str:
    major, minor = SUPPORTED[-1].split(".")
    return f"{_python()} -m pip install 'pip>={SUPPORTED[0]},<{major}.{int(minor) + 1}'"


def _python() -> str:
    return shlex.quote(sys.executable)


def run_any_pip(arguments: Sequence[str]) -> int:
    """Do what ``python -m pip`` does, which is all that is the same in every pip."""
    import runpy  # noqa: PLC0415 seldom needed

    before = sys.argv
    sys.argv = ["pip", *arguments]
    try:
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    except SystemExit as request:
        if isinstance(request.code, int):
            return request.code
        if request.code is not None:
            raise
    finally:
        sys.argv = before
    return 0


def version_text() -> str:
    """Tell both versions, in pip's form."""
    import pip  # noqa: PLC0415

    where = os.path.dirname(os.path.abspath(pip.__file__))  # noqa: PTH100, PTH120 as pip does
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"pipshim {__version__} (pip {pip.__version__} from {where}, python {python})"


def versions() -> str:
    """Tell both versions, without where they are."""
    import pip  # noqa: PLC0415

    return f"pipshim {__version__}, pip {pip.__version__}"


def pip_entry(*, until_exit: bool) -> Callable[[list[str] | None], int]:
    """Give pip's own main function.

    Args:
        until_exit: the process ends with it. pip 26.3 then blocks imports from the moment that it
            has installed something; before that there was one function for both.

    """
    from pip._internal.cli import main  # noqa: PLC0415

    if until_exit:
        entry: Callable[[list[str] | None], int] = getattr(main, "cli", main.main)
        return entry
    return main.main


def check_lock_options(values: Values) -> None:
    """Let pip check the options that exclude each other (``--only-deps`` is new in 26.2)."""
    from pip._internal.cli import cmdoptions  # noqa: PLC0415

    check = getattr(cmdoptions, "check_only_deps_option_does_not_conflict", None)
    if check is not None:
        check(values)


def plain_markup(text: str) -> str:
    """Drop rich's markup from a usage line, which pip 26.1 printed as it is."""
    from pip._vendor.rich.text import Text  # noqa: PLC0415

    return Text.from_markup(text).plain


LOCK_ONLY: Sequence[str] = (
    "--output",
    "--requirement",
    "--requirements-from-script",
    "--no-deps",
    "--only-deps",  # since 26.2
    "--editable",
    "--src",
    "--ignore-requires-python",
    "--require-hashes",
    "--no-require-hashes",  # since 26.2
)
"""Options of ``pip lock`` that sync, run and export do not have, or not all of them."""
