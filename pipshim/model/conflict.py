"""The requirements, versions and files that a failed resolution had read."""

from __future__ import annotations

from dataclasses import field
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from packaging.utils import NormalizedName

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from pipshim.model.overrides import Overrides

BUILD = "the build of "
EXTRA = "extra-build-dependencies of "
"""With `BUILD`, how the origin of a build environment's requirement begins."""


class Key(NamedTuple):
    """A package, or an extra of one."""

    name: NormalizedName
    extra: str = ""

    def __str__(self) -> str:
        return f"{self.name}[{self.extra}]" if self.extra else self.name


@dataclass(frozen=True)
class Need:
    """A requirement on one package; `text` is how it is written."""

    key: Key
    specifier: SpecifierSet
    text: str


@dataclass(frozen=True)
class Statement:
    """What somebody requires of one package: first the package, then its extras."""

    by: str
    needs: tuple[Need, ...]

    @property
    def name(self) -> NormalizedName:
        return self.needs[0].key.name

    @property
    def text(self) -> str:
        return self.needs[0].text


class RootRequirement(Statement):
    """A root requirement."""


class Constraint(Statement):
    """A constraint."""


@dataclass(frozen=True)
class Dependency:
    """States that versions of a package require another one, in any version."""

    parent: Key
    child: NormalizedName


Fact: TypeAlias = "Statement | Dependency"


@dataclass(frozen=True)
class Evidence:
    """What a failed resolution has read.

    Attributes:
        asked: the root requirements.
        limits: the constraints.
        needs: the requirements by package (or extra) and version; for an extra, without those of
            the package itself.
        versions: returns the versions of a package that specifiers admit, the best first.
        direct: packages that are only known as direct references.

    """

    asked: Sequence[RootRequirement]
    limits: Sequence[Constraint]
    needs: Mapping[tuple[Key, Version], tuple[Need, ...]]
    versions: Callable[[NormalizedName, SpecifierSet], Sequence[Version]]
    direct: Mapping[NormalizedName, Sequence[Version]] = field(default_factory=dict)

    @cached_property
    def links(self) -> list[Dependency]:
        """Return every pair of packages of which one requires the other."""
        found = {
            Dependency(key, need.key.name): None
            for (key, _), needs in self.needs.items()
            for need in needs
        }
        return list(found)

    def at(self, key: Key, version: Version, child: NormalizedName) -> list[Need]:
        """Return what a version requires of another package."""
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
    """A file of an index that may not be used for the target."""

    filename: str
    version: Version
    why: Refusal
    requires_python: str | None


@dataclass(frozen=True)
class OnlyIndex:
    """The index that `sources` sends a package to.

    Attributes:
        packages: returns the sorted names of its packages; None if they cannot be listed.

    """

    name: str
    packages: Callable[[], tuple[str, ...] | None] = field(compare=False)


class Index(Protocol):
    """Knows the files of indexes: `pipshim._pip.index.Finder`."""

    def only_index(self, name: NormalizedName) -> OnlyIndex | None:
        """Return the named index that alone serves a package, if there is one."""

    def cutoff(self, name: NormalizedName) -> str | None:
        """Return the moment before which a package's files must have been uploaded."""

    def find_all_candidates(self, project_name: str) -> Sequence[object]:
        """Return the files that may be used."""

    def versions(self, name: NormalizedName) -> list[str]:
        """Return the versions that may be used, the oldest first."""

    def yanked(self, name: NormalizedName) -> dict[str, str]:
        """Return the yanked versions, with the reasons."""

    def refused(self, name: NormalizedName) -> list[Refused]:
        """Return the files that may not be used."""

    def unread(self, name: NormalizedName) -> dict[str, str | None]:
        """Return the unreadable pages with the reasons; None: the index lacks the package."""


@dataclass(frozen=True)
class Conflict:
    """A failed resolution.

    Attributes:
        known: what it has read.
        causes: the packages that the resolver met last, each with what requires it.
        passed_over: files whose metadata contradicts their name, and the reason.
        index: knows which other files there are.
        overrides: the requirements that replaced others.
        python: the version of Python that was resolved for.
        target: its name, in a lock for several targets.

    """

    known: Evidence
    causes: Sequence[tuple[NormalizedName, Key | None]]
    passed_over: Sequence[tuple[str, str]]
    index: Index
    overrides: Overrides
    python: str
    target: str = ""
