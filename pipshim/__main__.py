"""The ``pipshim`` entry point. It imports little, so that an unchanged ``run`` is fast."""

from __future__ import annotations

import os
import sys

_PIPE_CLOSED = 128 + 13
"""The status of a process that SIGPIPE ends."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> int:
    """Run what `argv` (by default the process's own arguments) says; give the exit status.

    Raises:
        SystemExit: pip ended the process, as it does for its help and unknown options.

    """
    _forget_interrupts()
    if argv is None:
        _use_utf8()
        _open_standard_streams()
    try:
        status = _main(argv)
    except KeyboardInterrupt:  # before a command has begun, which says so itself
        sys.stderr.write("pipshim: interrupted\n")
        status = 130
    except BrokenPipeError:  # of what is said without pip, such as "up to date"
        status = _PIPE_CLOSED
    except SystemExit:
        if _flush() == _PIPE_CLOSED:
            sys.exit(_PIPE_CLOSED)
        raise
    status = _flush() or status
    if argv is None:
        _end_if_interrupted()
    return status


def _forget_interrupts() -> None:
    """Let what ended an earlier call in this process count no longer."""
    interruption = sys.modules.get("pipshim.base.interruption")
    if interruption is not None:
        interruption.Interruption.first = None


def _end_if_interrupted() -> None:
    """End the process at once if a signal has ended the command: wait for no thread."""
    interruption = sys.modules.get("pipshim.base.interruption")
    if interruption is None or interruption.Interruption.first is None:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(128 + interruption.Interruption.first)


def _use_utf8() -> None:
    """Start again in UTF-8 mode if file names are ASCII here (the C locale, not coerced)."""
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def _open_standard_streams() -> None:
    """Open the null device for standard streams that the parent process has closed."""
    if sys.stdin is not None and sys.stdout is not None and sys.stderr is not None:
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(("stdin", "stdout", "stderr")):
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _flush() -> int:
    """Write what is still buffered; return 0 or, if that fails, the exit status that says so.

    Python would fail again at its end, with a message of its own and the status 120.
    """
    status = 0
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except BrokenPipeError:
            status = _PIPE_CLOSED
        except OSError:
            status = status or 1
        except ValueError:  # closed
            continue
        else:
            continue
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return status


def _main(argv: Sequence[str] | None) -> int:
    if argv is None and _has_directory():
        from pipshim.fastpath import up_to_date  # noqa: PLC0415 as below

        unchanged = up_to_date.attempt(sys.argv[1:], os.environ)
        if unchanged is not None:
            _end(unchanged)
        from pipshim.fastpath import environment_snapshot  # noqa: PLC0415

        restored = environment_snapshot.attempt(sys.argv[1:], os.environ, guard=_guarded)
        if restored is not None:
            return restored
    from pipshim.cli.dispatch import dispatch  # noqa: PLC0415 what an unchanged run does without

    return dispatch(argv)


def _end(status: int) -> NoReturn:
    """End the process without Python's own end, which takes a tenth of an unchanged command."""
    os._exit(_flush() or status)


def _has_directory() -> bool:
    """Whether the working directory exists; it may have been removed."""
    try:
        os.getcwd()  # noqa: PTH109 pathlib takes time to import
    except OSError:
        return False
    return True


def _guarded(action: Callable[[], int], *, no_color: bool) -> int:
    from pipshim.cli.error_boundary import run_guarded  # noqa: PLC0415 not needed if unchanged

    return run_guarded(action, no_color=no_color)


if __name__ == "__main__":
    # As with pip, modules of the working directory are not to be imported.
    try:
        _here = ("", os.getcwd())  # noqa: PTH109
    except FileNotFoundError:
        _here = ("", "")
    if sys.path[0] in _here:
        sys.path.pop(0)
    sys.exit(main())
