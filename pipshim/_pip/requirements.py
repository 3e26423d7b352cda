"""Requirements and constraints as pip reads them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipshim._pip.pip_texts import IN_FILE
from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from pip._internal.req.req_install import InstallRequirement


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
    def extras(self) -> frozenset[str]:
        return frozenset(self.inner.extras)

    @property
    def comes_from(self) -> str:
        """Who or what states it, as pip says it."""
        return str(self.inner.comes_from or "the command line")

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
        """The requirement as packaging has it; None for a path, a URL or an editable."""
        if self.inner.req is None or self.is_direct or self.inner.editable:
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
