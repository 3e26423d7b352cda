"""What a failed resolution has read: requirements, versions and files, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from packaging.utils import NormalizedName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from pipshim.model.overrides import Overrides


class Key(NamedTuple):
    """What is chosen a version of: a package, or an extra of one."""

    name: NormalizedName
    extra: str = ""

    def __str__(self) -> str:
        return f"{self.name}[{self.extra}]" if self.extra else self.name


@dataclass(frozen=True)
class Need:
    """A requirement on one package.

    Attributes:
        key: the package.
        specifier: the versions that it admits.
        text: as it is written.

    """

    key: Key
    specifier: SpecifierSet
    text: str


@dataclass(frozen=True)
class Asked:
    """A requirement that the resolution began with: whose it is, and what it comes to."""

    by: str
    needs: tuple[Need, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        return self.needs[0].text


@dataclass(frozen=True)
class Limit:
    """A constraint: whose it is, and what it admits."""

    by: str
    need: Need


@dataclass(frozen=True)
class Link:
    """That versions of a package require another one, whichever they admit."""

    parent: Key
    child: NormalizedName


Fact: TypeAlias = "Asked | Limit | Link"


@dataclass(frozen=True)
class Known:
    """What a failed resolution has seen.

    Attributes:
        asked: what it began with.
        limits: the constraints.
        needs: by package (or extra) and version, what that requires; without those of the package
            itself for an extra.
        versions: tells the versions of a package that specifiers admit, the best first.
        direct: what is there as a direct reference only.

    """

    asked: Sequence[Asked]
    limits: Sequence[Limit]
    needs: Mapping[tuple[Key, Version], tuple[Need, ...]]
    versions: Callable[[NormalizedName, SpecifierSet], Sequence[Version]]
    direct: Mapping[NormalizedName, Sequence[Version]] = field(default_factory=dict)

    @cached_property
    def links(self) -> list[Link]:
        """Every pair of packages of which one requires the other."""
        found = {
            Link(key, need.key.name): None
            for (key, _), needs in self.needs.items()
            for need in needs
        }
        return list(found)

    def at(self, key: Key, version: Version, child: NormalizedName) -> list[Need]:
        """Tell what a version requires of another package."""
        found = self.needs.get((key, version), ())
        return [need for need in found if need.key.name == child]


PYTHON = Key(NormalizedName("<python>"))
"""The Python that is served, as a package that others require."""


class Refusal(Enum):
    """Why a file may not be used for the target."""

    PYTHON = auto()
    PLATFORM = auto()
    FORMAT = auto()
    UPLOADED_LATER = auto()
    YANKED = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Refused:
    """A file that an index has and that may not be used for the target.

    Attributes:
        filename: the file.
        version: its version.
        why: the reason.
        requires_python: what the index says of it.

    """

    filename: str
    version: Version
    why: Refusal
    requires_python: str | None


@dataclass(frozen=True)
class OnlyIndex:
    """The index that `sources` sends a package to.

    Attributes:
        name: its name.
        packages: returns the names of what it has, sorted; None if that cannot be told.

    """

    name: str
    packages: Callable[[], tuple[str, ...] | None] = field(compare=False)


class Index(Protocol):
    """Tells what the indexes have of a package: `pipshim._pip.index.Finder`."""

    def only_index(self, name: NormalizedName) -> OnlyIndex | None:
        """Return the named index that a package comes from, and no other, if it has one."""

    def cutoff(self, name: NormalizedName) -> str | None:
        """Return the moment before which a file of a package has to be uploaded."""

    def find_all_candidates(self, project_name: str) -> Sequence[object]:
        """Return the files that may be used."""

    def versions(self, name: NormalizedName) -> list[str]:
        """Return the versions that may be used, the oldest first."""

    def yanked(self, name: NormalizedName) -> dict[str, str]:
        """Return the versions that were withdrawn, and why."""

    def refused(self, name: NormalizedName) -> list[Refused]:
        """Return the files that may not be used."""

    def unread(self, name: NormalizedName) -> dict[str, str | None]:
        """Return the pages that could not be read, and why; None: there is no such package."""


@dataclass(frozen=True)
class Conflict:
    """A resolution that has failed.

    Attributes:
        known: what it has read.
        causes: the packages that the resolver met last, each with what requires it.
        passed_over: files whose metadata is not what their name says, and the reason.
        index: tells what there is besides.
        overrides: what replaced requirements.
        python: the version of Python that was resolved for.
        target: its name, where a lock is for several targets.

    """

    known: Known
    causes: Sequence[tuple[NormalizedName, Key | None]]
    passed_over: Sequence[tuple[str, str]]
    index: Index
    overrides: Overrides
    python: str
    target: str = ""
