"""Abbreviated options, which mean what they mean in pip, and unknown ones."""

from __future__ import annotations

from difflib import get_close_matches
from optparse import AmbiguousOptionError, BadOptionError
from typing import TYPE_CHECKING

from pipshim.model.option_table import ALL_FLAGS

if TYPE_CHECKING:
    from collections.abc import Collection
    from optparse import OptionParser


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
