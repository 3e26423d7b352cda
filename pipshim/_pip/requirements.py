"""Requirements and constraints as pip reads them, and build options in requirements files."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pip._internal.cli import cmdoptions
from pip._internal.exceptions import RequirementsFileParseError
from pip._internal.req import req_file

from pipshim._pip.patches import replaced
from pipshim._pip.pip_texts import IN_FILE
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.conflict import USER
from pipshim.model.option_parsing import ParserOption, long_names
from pipshim.model.option_table import BUILD, keep_abbreviations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from optparse import Option, OptionParser

    from packaging.utils import NormalizedName
    from pip._internal.req.req_install import InstallRequirement

    from pipshim.model.build_settings import BuildLines


@dataclass(frozen=True)
class ParsedRequirement:
    """A requirement or constraint; `inner` is pip's object for it."""

    inner: InstallRequirement

    @property
    def name(self) -> NormalizedName | None:
        """The name; None if only the file or folder at its path or URL says it."""
        return canonicalize_name(self.inner.name) if self.inner.name else None

    @property
    def is_direct(self) -> bool:
        """Whether it names a file, folder or repository."""
        return self.inner.link is not None

    @property
    def applies(self) -> bool:
        """Whether its marker holds."""
        return self.inner.match_markers()

    @property
    def specifier(self) -> SpecifierSet:
        """The versions that it admits."""
        return SpecifierSet(str(self.inner.req.specifier) if self.inner.req is not None else "")

    @property
    def comes_from(self) -> str:
        """Who or what states it, as pip says it."""
        return str(self.inner.comes_from or USER)

    @property
    def stated_in(self) -> str:
        """Who or which file states it."""
        where = IN_FILE.match(self.comes_from)
        return where[2] if where else self.comes_from

    @property
    def line(self) -> int | None:
        """The line of the requirements file that states it."""
        where = IN_FILE.match(self.comes_from)
        return int(where[3]) if where else None

    @property
    def plain(self) -> Requirement | None:
        """The requirement as packaging has it; None for a path, a URL, or one with hashes."""
        if self.inner.req is None or self.is_direct or self.inner.hash_options:
            return None
        made = Requirement(str(self.inner.req))
        if self.inner.markers is not None:
            made.marker = Marker(str(self.inner.markers))
        return made

    def copied(self) -> InstallRequirement:
        """Copy pip's object, since its resolver writes into it."""
        return copy.copy(self.inner)

    def __str__(self) -> str:
        return str(self.inner.req if self.inner.req is not None else self.inner)


@dataclass(frozen=True)
class Root:
    """A requirement that a lock starts from.

    Attributes:
        origins: who states it: ``project``, ``extra NAME`` or ``group NAME``.
        left_out: only its dependencies are locked (``--only-deps``).

    """

    origins: frozenset[str]
    requirement: ParsedRequirement
    left_out: bool = False


@contextmanager
def accepting_build_options(lines: BuildLines) -> Iterator[None]:
    """Let pip's parser of requirements files accept these options, and note them."""
    handle_line, build_parser = req_file.handle_line, req_file.build_parser

    def parser() -> OptionParser:
        built = build_parser()
        built.add_options(_build_options())
        keep_abbreviations(built, {*long_names(BUILD), "--no-build-isolation"})
        return built

    def handle(line: req_file.ParsedLine, *args: Any, **kwargs: Any) -> Any:
        if line.requirement is None:
            lines.note(Path(line.filename).name, line.opts)
        for option in _build_options() if line.requirement is not None else ():
            if getattr(line.opts, str(option.dest), None) is not None:  # pip would ignore it
                where = f"{line.filename} (line {line.lineno})"
                raise RequirementsFileParseError(lines.misplaced(option.get_opt_string(), where))
        return handle_line(line, *args, **kwargs)

    with replaced(req_file, build_parser=parser, handle_line=handle):
        yield


def _build_options() -> list[Option]:
    found = [*map(ParserOption, BUILD), cmdoptions.no_build_isolation()]
    for option in found:
        option.default = None  # a list would be the same one for all lines
    return found
