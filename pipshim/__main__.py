"""The command. An unchanged ``run`` ends here, so nothing that takes time is imported."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run what `argv` (by default the process's own arguments) says; give the exit status.

    Raises:
        SystemExit: pip ended the process, as it does for its help and unknown options.

    """
    try:
        return _main(argv)
    except KeyboardInterrupt:  # before a command has begun, which says so itself
        sys.stderr.write("pipshim: interrupted\n")
        return 130


def _main(argv: Sequence[str] | None) -> int:
    if argv is None and _has_directory():
        from pipshim.unchanged import fresh  # noqa: PLC0415 as below

        unchanged = fresh.attempt(sys.argv[1:], os.environ)
        if unchanged is None:
            from pipshim.unchanged import again  # noqa: PLC0415

            unchanged = again.attempt(sys.argv[1:], os.environ)
        if unchanged is not None:
            return unchanged
    from pipshim.cli.dispatch import dispatch  # noqa: PLC0415 what an unchanged run does without

    return dispatch(argv)


def _has_directory() -> bool:
    """Whether the working directory exists; it may have been removed."""
    try:
        os.getcwd()  # noqa: PTH109 pathlib takes time to import
    except OSError:
        return False
    return True


if __name__ == "__main__":
    # As with pip, modules of the working directory are not to be imported.
    try:
        _here = ("", os.getcwd())  # noqa: PTH109
    except FileNotFoundError:
        _here = ("", "")
    if sys.path[0] in _here:
        sys.path.pop(0)
    sys.exit(main())
