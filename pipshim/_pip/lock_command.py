"""pip's ``lock``, whose options, session and folders pipshim's commands reuse."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from pip._internal.cli import cmdoptions
from pip._internal.cli.req_command import with_cleanup
from pip._internal.commands import lock
from pip._internal.utils.logging import RichPipStreamHandler

from pipshim._pip import compat

if TYPE_CHECKING:
    from optparse import Values


class LockCommand(lock.LockCommand):
    """A command with the options, the session and the temporary folders of pip's ``lock``."""

    @with_cleanup
    def run(self, options: Values, args: list[str]) -> int:
        """Let pip check its options, then do the work."""
        cmdoptions.check_release_control_exclusive(options)
        compat.check_lock_options(options)
        return self.work(options, args)

    def work(self, options: Values, args: list[str]) -> int:
        raise NotImplementedError


def quieten(verbosity: int, *, log: bool) -> None:
    """Keep standard output for the command's own, and pip's progress for ``-v``."""
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, RichPipStreamHandler)]
    stderr = next((one.console for one in ours if one.console.file is sys.stderr), None)
    for handler in ours:
        if stderr is not None:
            handler.console = stderr
        if verbosity == 0:
            handler.setLevel(max(handler.level, logging.WARNING))
    if verbosity == 0 and not log:
        root.setLevel(logging.WARNING)
