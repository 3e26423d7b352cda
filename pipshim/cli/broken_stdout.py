"""Handle a closed standard output in commands of pip that print, such as ``freeze``.

pip ends quietly if its log handler finds standard output closed, but shows a traceback if ``print``
does (``pip._internal.cli.base_command``).
"""

from __future__ import annotations

import errno
import io
import sys

from pipshim._pip.commands import BrokenStdoutLoggingError


class _BrokenStdoutError(BrokenStdoutLoggingError, BrokenPipeError):
    """Handled by pip's commands and by its log handler."""


class Stdout(io.TextIOWrapper):
    """Standard output whose errors pip handles like those of its log handler.

    Attributes:
        is_broken: whether its reader has closed it.

    """

    is_broken = False

    def write(self, text: str, /) -> int:
        """Write text.

        Raises:
            BrokenPipeError: the reader has closed it.

        """
        try:
            return super().write(text)
        except BrokenPipeError as error:
            self.is_broken = True
            raise _BrokenStdoutError(errno.EPIPE, error.strerror) from None


def replace_stdout() -> Stdout | None:
    """Replace standard output by a `Stdout`; return None if it is not a plain file."""
    original = sys.stdout
    if type(original) is not io.TextIOWrapper:
        return None
    settings = {
        "encoding": original.encoding,
        "errors": original.errors,
        "line_buffering": original.line_buffering,
        "write_through": original.write_through,
    }
    sys.stdout = stdout = Stdout(original.detach(), **settings)  # type: ignore[arg-type]
    return stdout
