"""pip's option parser for pipshim's commands, with pipshim's errors."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from optparse import AmbiguousOptionError, BadOptionError, OptionValueError
from typing import TYPE_CHECKING, Any, NoReturn

from pip._internal.cli.parser import ConfigOptionParser
from pip._internal.configuration import Configuration

from pipshim._pip import compat
from pipshim.base.errors import UsageError
from pipshim.model.option_table import ALL_FLAGS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from optparse import Option, OptionParser


_UNWRAPPED = 100_000


class UnknownOptionError(BadOptionError):
    """An option that a command does not have, with the nearest one that it has."""

    def __init__(self, option: str, parser: OptionParser) -> None:
        super().__init__(option)
        # An option of another command is not misspelt.
        known = [] if option in ALL_FLAGS else [one[2:] for one in sorted(parser._long_opt)]  # noqa: SLF001
        nearest = get_close_matches(option[2:], known, n=1, cutoff=0.7)
        self.nearest = f"--{nearest[0]}" if nearest else None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.nearest is None else f"{text}; did you mean {self.nearest}?"


def keep_abbreviations(
    parser: OptionParser, added: Collection[str], elsewhere: Collection[str] = ()
) -> None:
    """Let abbreviations mean what they mean in pip.

    Args:
        parser: a parser of pip's, with options added by pipshim.
        added: their long names. An abbreviation means one of them only if it means nothing in pip.
        elsewhere: options of other commands, which abbreviate nothing here: ``--extra``.

    """

    def match(opt: str) -> str:
        if parser.has_option(opt):
            return opt
        if opt in elsewhere:
            raise UnknownOptionError(opt, parser)
        names: list[str] = [name for name in parser._long_opt if name.startswith(opt)]  # noqa: SLF001
        found = [name for name in names if name not in added] or names
        if len(found) > 1:
            raise AmbiguousOptionError(opt, sorted(found))
        if not found:
            raise UnknownOptionError(opt, parser)
        return found[0]

    vars(parser).update(_match_long_opt=match)  # a method of optparse's


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


def says(parser: ConfigOptionParser, key: str, *, environment: bool) -> Any:
    """Return a setting of pip's variables or files, as pip would store it; None if it is empty."""
    whole = parser.config
    parser.config = _Part(whole, key, environment=environment)
    try:
        found = parser._update_defaults({})  # noqa: SLF001
    finally:
        parser.config = whole
    return next(iter(found.values()), None)


class _Part(Configuration):
    """One setting of a loaded configuration."""

    def __init__(self, whole: Configuration, key: str, *, environment: bool) -> None:
        super().__init__(isolated=True)
        self._part = {
            name: {
                full: value
                for full, value in values.items()
                if full.partition(".")[2] == key and full.startswith(":env:") is environment
            }
            for name, values in whole.items()
        }

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._part.items()
