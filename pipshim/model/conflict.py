"""The evidence of a failed resolution: the requirements, versions and files that it read."""

from __future__ import annotations

from dataclasses import field
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.requirements import is_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from pipshim.model.requirements import Overrides

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
        needs: the requirements by package (or extra) and version; for an extra, without those of
            the package itself.
        versions: returns the versions of a package that specifiers admit, the best first.
        direct: packages that are only known as direct references.

    """

    roots: Sequence[RootRequirement]
    constraints: Sequence[Constraint]
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
        evidence: what it has read.
        causes: the packages that the resolver met last, each with what requires it.
        rejected: files whose metadata contradicts their name, and the reason.
        index: knows which other files there are.
        overrides: the requirements that replaced others.
        python: the version of Python that was resolved for.
        target: its name, in a lock for several targets.

    """

    evidence: Evidence
    causes: Sequence[tuple[NormalizedName, Key | None]]
    rejected: Sequence[tuple[str, str]]
    index: Index
    overrides: Overrides
    python: str
    target: str = ""


Made = TypeVar("Made", bound=Statement)
StatedRequirement: TypeAlias = Any
"""A requirement (PEP 508) of packaging, or of pip's copy of it; its marker holds."""


class ReadCandidate(NamedTuple):
    """A file or source whose metadata the resolver has read.

    Attributes:
        url: where it came from, if it was required from there.
        python: its Requires-Python; empty if it is ignored.
        requires: its requirements by extra; those without an extra by the empty string.

    """

    name: NormalizedName
    version: Version
    url: str | None
    python: str
    requires: Mapping[str, Sequence[StatedRequirement]]


USER = "the command line"
CONSTRAINT = "a constraint"
"""Who states a requirement that no file states."""


class ReadRequirement(NamedTuple):
    """A root requirement or a constraint that applies.

    Attributes:
        by: who states it.
        name: None if only the metadata says it.
        requirement: as it is stated; None for a path or URL alone.
        url: the file, folder or repository that it names.
        place: its URL, or its path if it is here.

    """

    by: str
    name: str | None
    requirement: StatedRequirement | None
    extras: Collection[str]
    url: str | None
    place: str


def evidence_of(
    candidates: Sequence[ReadCandidate],
    roots: Iterable[ReadRequirement],
    constraints: Iterable[ReadRequirement],
    *,
    python: Version,
    files: Callable[[NormalizedName, SpecifierSet], Sequence[tuple[Version, bool]]],
    was_asked_for: Callable[[NormalizedName], bool],
) -> Evidence:
    """Return the evidence, which asks for more versions when they are needed.

    Args:
        candidates: those that were read.
        python: the version that was resolved for.
        files: returns the versions of the files that a specifier admits, the best first, and
            whether each is yanked.
        was_asked_for: returns whether the resolver came to look at a package.

    """
    collector = _Collector(candidates, python, files, was_asked_for)
    # Before the requirements: a URL that is a constraint decides which version is there.
    limits = [made for one in constraints for made in collector.stated(Constraint, one)]
    asked = [made for one in roots for made in collector.stated(RootRequirement, one)]
    needs = dict(collector.needs())
    return Evidence(asked, limits, needs, collector.versions, collector.direct)


@dataclass
class _Collector:
    candidates: Sequence[ReadCandidate]
    python: Version
    files: Callable[[NormalizedName, SpecifierSet], Sequence[tuple[Version, bool]]]
    was_asked_for: Callable[[NormalizedName], bool]
    direct: dict[NormalizedName, list[Version]] = field(default_factory=dict)
    _admitted: dict[tuple[NormalizedName, str], list[Version]] = field(default_factory=dict)

    def versions(self, name: NormalizedName, specifier: SpecifierSet) -> Sequence[Version]:
        """Return the versions that pip would take, the best first."""
        key = (name, str(specifier))
        if key not in self._admitted:
            self._admitted[key] = list(dict.fromkeys(self._versions(name, specifier)))
        return self._admitted[key]

    def _versions(self, name: NormalizedName, specifier: SpecifierSet) -> Iterator[Version]:
        own = self.direct.get(name, []) if name != PYTHON.name else [self.python]
        files = self.files(name, specifier) if name != PYTHON.name else ()
        # As pip's factory takes yanked ones (PEP 592).
        takes_yanked = is_exact(specifier) and all(is_yanked for _, is_yanked in files)
        yield from (version for version, is_yanked in files if takes_yanked or not is_yanked)
        yield from (one for one in own if specifier.contains(one, prereleases=True))

    def needs(self) -> Iterator[tuple[tuple[Key, Version], tuple[Need, ...]]]:
        for candidate in self.candidates:
            needs = self._all(candidate.requires[""])
            if candidate.python:
                specifier = SpecifierSet(candidate.python)
                needs.append(Need(PYTHON, specifier, f"Python {candidate.python}"))
            for extra, requirements in candidate.requires.items():
                more = tuple(one for one in self._all(requirements) if one not in needs)
                key = Key(candidate.name, canonicalize_name(extra) if extra else "")
                yield (key, candidate.version), (more if extra else tuple(needs))

    def _all(self, requirements: Iterable[StatedRequirement]) -> list[Need]:
        return [
            need
            for one in requirements
            for need in self._need(one.name, one, one.url, one.extras, _text(one))
        ]

    def stated(self, kind: type[Made], read: ReadRequirement) -> Iterator[Made]:
        known = (one.name for one in self.candidates if read.url and one.url == read.url)
        name = read.name or next(known, None)
        if name is None:
            return
        stated = read.requirement
        text = _text(stated) if stated is not None else read.place
        if read.url is not None and kind is RootRequirement:
            text = f"{name} @ {read.place}"
        needs = tuple(self._need(name, stated, read.url, read.extras, text))
        if needs:
            yield kind(read.by, needs)

    def _need(
        self,
        written: str,
        stated: StatedRequirement | None,
        url: str | None,
        extras: Iterable[str],
        text: str,
    ) -> Iterator[Need]:
        name = canonicalize_name(written)
        specifier = SpecifierSet(str(stated.specifier) if stated is not None else "")
        if url is not None:
            specifier = self._of_url(name, url)
        # What pip did not come to look at has no part in the conflict.
        if self.was_asked_for(name) or name in self.direct:
            yield Need(Key(name), specifier, text)
            for extra in sorted(map(canonicalize_name, extras)):
                yield Need(Key(name, extra), SpecifierSet(), text)

    def _of_url(self, name: NormalizedName, url: str) -> SpecifierSet:
        """Return the specifier for a direct reference, by its version."""
        for candidate in self.candidates:
            if candidate.url == url:
                self.direct.setdefault(name, []).append(candidate.version)
                return SpecifierSet(f"==={candidate.version}")
        return SpecifierSet()


def _text(requirement: StatedRequirement) -> str:
    """Write a requirement without its marker, which holds."""
    return str(requirement).partition(";")[0].strip()
