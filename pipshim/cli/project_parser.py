"""The option parser of pipshim's commands: pip's, with pipshim's errors."""

from __future__ import annotations

import os
import sys
from optparse import AmbiguousOptionError, BadOptionError, OptionValueError
from typing import TYPE_CHECKING, Any, NoReturn

from pipshim._pip import compat
from pipshim._pip.configuration import ConfigOptionParser
from pipshim.base.errors import UsageError
from pipshim.model.option_table import ALL_FLAGS, UnknownOptionError

if TYPE_CHECKING:
    from optparse import Option

_UNWRAPPED = 100_000


class ProjectParser(ConfigOptionParser):
    """pip's parser, whose errors are usage errors of pipshim's, with status 2."""

    def error(self, msg: str) -> NoReturn:
        usage = compat.plain_markup(self.get_usage())
        self.exit(UsageError.exit_status, f"{usage}\n{msg}\n")

    def print_help(self, file: Any = None) -> None:
        """Show the help, wrapped only on a terminal, or if COLUMNS is set."""
        if sys.stdout.isatty() or "COLUMNS" in os.environ:
            super().print_help(file)
            return
        self.formatter.width = _UNWRAPPED
        os.environ["COLUMNS"] = str(_UNWRAPPED)  # for rich, which wraps what pip prints again
        try:
            super().print_help(file)
        finally:
            del os.environ["COLUMNS"]

    def exit(self, status: int = 0, msg: str | None = None) -> NoReturn:
        """End; pip's message about a broken configuration file lacks an end of line."""
        super().exit(status, msg and f"{msg.rstrip()}\n")

    def _match_long_opt(self, opt: str) -> str:
        """Expand an abbreviation, unless it is an option of another command of pipshim's."""
        if opt in ALL_FLAGS and opt not in self._long_opt:
            raise UnknownOptionError(opt, self)
        try:
            return super()._match_long_opt(opt)
        except AmbiguousOptionError:
            raise
        except BadOptionError:
            raise UnknownOptionError(opt, self) from None

    def check_default(self, option: Option, key: str, val: Any) -> Any:
        """Check a value from a variable or a file.

        Raises:
            UsageError: the option would not take it (pip ends with status 3).

        """
        try:
            return option.check_value(key, val)
        except OptionValueError as error:
            raise UsageError(
                f"pip's configuration: {error}",
                hint=f"look for {key} in: pip config debug",
            ) from None
