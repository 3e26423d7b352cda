"""Turn errors into output and an exit status.

This is imported at every start, so what only an error needs is imported later.
"""

from __future__ import annotations

import errno
import os
import sys

from pipshim.base.errors import BuildError, Failures, FileError, PipshimError, UsageError
from pipshim.base.interruption import NAMES, Interruption, Terminated
from pipshim.base.light import signals
from pipshim.base.light.named_tuples import NamedTuple
from pipshim.base.write_errors import reason
from pipshim.progress.formatting import use_color, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import NoReturn

INTERRUPTED = 128 + signals.SIGINT
PIPE_CLOSED = 128 + 13  # as a process that SIGPIPE ends

_OS_HINTS = {
    errno.ENOSPC: "free some space, or move the cache to another disk: PIPSHIM_CACHE_DIR=DIR",
    errno.EDQUOT: "free some space, or move the cache to another disk: PIPSHIM_CACHE_DIR=DIR",
    errno.EACCES: "check who owns it, and its permissions",
    errno.EPERM: "check who owns it, and its permissions",
    errno.EROFS: "its disk is mounted read-only",
    errno.EMFILE: "allow more open files (ulimit -n), or build less at once (-j)",
}

_NO_THREAD = "can't start new thread"


class Replacement(NamedTuple):
    """The process to become after this one has cleaned up.

    Attributes:
        arguments: its ``argv``, its name included.
        stdin: its standard input; None for this process's own.

    """

    program: str | Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: bytes | None = None

    def start(self) -> NoReturn:
        """Become that process, with the default actions of signals that Python ignores."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.stdin is not None:
            self._give(self.stdin)
        signals.restore_defaults()
        _reap()
        try:
            os.execve(self.program, self.arguments, dict(self.environment))  # noqa: S606
        except OSError as error:
            raise UsageError(
                f"{self.arguments[0]} cannot be run: {self.program}: {error.strerror}"
            ) from error

    @staticmethod
    def _give(text: bytes) -> None:
        """Make standard input an unnamed file with this text."""
        import tempfile  # noqa: PLC0415

        with tempfile.TemporaryFile() as file:
            file.write(text)
            file.flush()
            file.seek(0)
            os.dup2(file.fileno(), 0)


def _reap() -> None:
    """Reap processes that have ended: the next program does not know them."""
    if sys.platform == "win32":
        return
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except (ChildProcessError, AttributeError):
        return


def run_guarded(
    action: Callable[[], int],
    *,
    debug: bool = False,
    no_color: bool = False,
    hide: Callable[[str], str] | None = None,
    as_json: bool = False,
) -> int:
    """Run `action`, show its error, and return the exit status.

    Args:
        action: returns the exit status of a command that succeeded, or whose check failed.
        hide: masks secrets in a text; None masks only those in URLs.
        as_json: show errors as lines of JSON (``--progress json``), and no tracebacks.

    """
    debug = debug and not as_json
    with Interruption() as interruption:
        try:
            status = action()
            sys.stdout.flush()
        except SystemExit as request:
            return _status_of(request, hide)
        except KeyboardInterrupt as error:
            _trace(error, hide, debug=debug)
            return say_interrupted(error, as_json=as_json)
        except BrokenPipeError as error:
            _trace(error, hide, debug=debug)
            give_up_stdout()
            return PIPE_CLOSED
        except Exception as error:  # noqa: BLE001 the last place that can say it in words
            _trace(error, hide, debug=debug)
            if interruption.number is not None:  # it failed while cleaning up, or because of that
                return say_interrupted(interruption.error, as_json=as_json)
            told = explain(error)
            show(told, hide=hide, no_color=no_color, as_json=as_json)
            return told.exit_status
    return status


def run_beside(action: Callable[[], int], show_error: Callable[[PipshimError], object]) -> int:
    """Run ``action``, and show errors of pipshim's; the caller shows all others."""
    with Interruption():
        try:
            return action()
        except PipshimError as error:
            show_error(error)
            return error.exit_status


def show(
    error: PipshimError,
    *,
    hide: Callable[[str], str] | None = None,
    no_color: bool = False,
    as_json: bool = False,
    with_output: bool = True,
) -> None:
    """Show an error without ending the command, and what failed builds printed."""
    import shutil  # noqa: PLC0415

    from pipshim.progress.error_text import render  # noqa: PLC0415

    sys.stdout.flush()
    if not with_output:
        for one in error.errors if isinstance(error, Failures) else (error,):
            if isinstance(one, BuildError):
                one.output = ()
    _mask(error, hide or _plain_hide())
    if as_json:
        from pipshim.progress.json_output import errors, write_line  # noqa: PLC0415

        for failure in errors(error):
            write_line(sys.stderr, {"event": "error", **failure})
        return
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    text = render(error, width=width, color=use_color(sys.stderr, no_color=no_color))
    write(sys.stderr, text if text.endswith("\n") else f"{text}\n")


def explain(error: Exception) -> PipshimError:
    """Turn any error into one of pipshim's; an unexpected one is a bug of pipshim's."""
    if isinstance(error, PipshimError):
        return error
    if "pip._internal" in sys.modules:
        from pipshim._pip.errors import NETWORK_ERRORS, translate  # noqa: PLC0415 pip is there already

        if isinstance(error, NETWORK_ERRORS):
            return translate(error)
    if isinstance(error, OSError) and error.strerror:
        hint = _OS_HINTS.get(error.errno or 0)
        if error.filename is None:
            return PipshimError(error.strerror, hint=hint)
        return FileError(os.fsdecode(error.filename), reason(error), hint=hint)
    if isinstance(error, MemoryError) or _NO_THREAD in str(error):
        return PipshimError(
            "there is too little memory, or there are too many processes",
            hint="see what limits them (ulimit -a), or build less at once (-j)",
        )
    return PipshimError(
        f"pipshim has a bug: {type(error).__name__}: {error}\n  in {_place(error)}",
        hint="please report it, with what the same command prints with --debug",
    )


def _place(error: Exception) -> str:
    """Return the last place in pipshim's own code of an error's traceback."""
    import traceback  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    package = Path(__file__).resolve().parents[1]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if package in Path(frame.filename).resolve().parents]
    for frame in reversed(own or frames):
        path = Path(frame.filename).resolve()
        shown = path.relative_to(package.parent) if package in path.parents else path
        return f"{shown}:{frame.lineno} ({frame.name})"
    return "an unknown place"


def _mask(error: PipshimError, hide: Callable[[str], str]) -> None:
    """Mask secrets in an error before its lines are wrapped."""
    if isinstance(error, Failures):
        for one in error.errors:
            _mask(one, hide)
    error.message = hide(error.message)
    error.hint = error.hint and hide(error.hint)
    if isinstance(error, BuildError):
        error.output = tuple(hide(line) for line in error.output)


def _plain_hide() -> Callable[[str], str]:
    from pipshim.base.masking import Mask  # noqa: PLC0415

    return Mask().hide


def say_interrupted(error: KeyboardInterrupt, *, as_json: bool) -> int:
    """Say which signal ended a command; return the exit status."""
    number = error.number if isinstance(error, Terminated) else signals.SIGINT
    what = NAMES[number]
    if as_json:
        from pipshim.progress.json_output import write_line  # noqa: PLC0415

        said = {"kind": what.capitalize(), "message": what, "hint": None}
        write_line(sys.stderr, {"event": "error", **said})
    else:
        write(sys.stderr, f"pipshim: {what}\n")
    return 128 + number


def _trace(error: BaseException, hide: Callable[[str], str] | None, *, debug: bool) -> None:
    if debug:
        import traceback  # noqa: PLC0415

        hide = hide or _plain_hide()
        write(sys.stderr, hide("".join(traceback.format_exception(error))))


def give_up_stdout() -> None:
    """Keep the interpreter from failing again when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
    finally:
        os.close(nowhere)


def _status_of(request: SystemExit, hide: Callable[[str], str] | None) -> int:
    if request.code is None:
        return 0
    if isinstance(request.code, int):
        return request.code
    hide = hide or _plain_hide()
    write(sys.stderr, hide(f"{request.code}\n"))
    return 1
