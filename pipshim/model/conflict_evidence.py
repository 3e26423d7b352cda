"""Turn what a failed resolution had read into evidence of its conflict. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipshim.model.conflict import PYTHON, Constraint, Evidence, Key, Need, RootRequirement
from pipshim.model.requirements import is_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version


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


class FittingFile(NamedTuple):
    """A file that a specifier admits."""

    version: Version
    is_yanked: bool


class ReadResolution(NamedTuple):
    """What a failed resolution had read.

    Attributes:
        python: the version that was resolved for.
        files: returns the files of a package that a specifier admits, the best first.
        was_asked_for: returns whether the resolver came to look at a package.

    """

    candidates: Sequence[ReadCandidate]
    python: Version
    files: Callable[[NormalizedName, SpecifierSet], Sequence[FittingFile]]
    was_asked_for: Callable[[NormalizedName], bool]


def evidence_of(
    read: ReadResolution, roots: Iterable[ReadRequirement], constraints: Iterable[ReadRequirement]
) -> Evidence:
    """Return the evidence; `read` is asked for more versions when they are needed."""
    collector = _Collector(read)
    # Before the requirements: a URL that is a constraint decides which version is there.
    limits = [limit for one in constraints for limit in collector.limit(one)]
    asked = [root for one in roots for root in collector.asked(one)]
    needs = dict(collector.needs())
    return Evidence(asked, limits, needs, collector.versions, collector.direct)


class _Collector:
    def __init__(self, read: ReadResolution) -> None:
        self._read = read
        self.direct: dict[NormalizedName, list[Version]] = {}
        self._admitted: dict[tuple[NormalizedName, str], list[Version]] = {}

    def versions(self, name: NormalizedName, specifier: SpecifierSet) -> Sequence[Version]:
        """Return the versions that pip would take, the best first."""
        key = (name, str(specifier))
        if key not in self._admitted:
            self._admitted[key] = list(dict.fromkeys(self._versions(name, specifier)))
        return self._admitted[key]

    def _versions(self, name: NormalizedName, specifier: SpecifierSet) -> Iterator[Version]:
        own = self.direct.get(name, []) if name != PYTHON.name else [self._read.python]
        files = self._read.files(name, specifier) if name != PYTHON.name else ()
        # As pip's factory takes yanked ones (PEP 592).
        takes_yanked = is_exact(specifier) and all(file.is_yanked for file in files)
        yield from (file.version for file in files if takes_yanked or not file.is_yanked)
        yield from (one for one in own if specifier.contains(one, prereleases=True))

    def needs(self) -> Iterator[tuple[tuple[Key, Version], tuple[Need, ...]]]:
        for candidate in self._read.candidates:
            needs = self._all(candidate.requires[""])
            if candidate.python:
                specifier = SpecifierSet(candidate.python)
                needs.append(Need(PYTHON, specifier, f"Python {candidate.python}"))
            for extra, requirements in candidate.requires.items():
                more = tuple(one for one in self._all(requirements) if one not in needs)
                key = Key(candidate.name, canonicalize_name(extra) if extra else "")
                yield (key, candidate.version), (more if extra else tuple(needs))

    def _all(self, requirements: Iterable[StatedRequirement]) -> list[Need]:
        return [need for one in requirements for need in self._need(one)]

    def _need(self, requirement: StatedRequirement) -> Iterator[Need]:
        name = canonicalize_name(requirement.name)
        if requirement.url is None:
            specifier = SpecifierSet(str(requirement.specifier))
        else:
            specifier = self._of_url(name, requirement.url)
        yield from self._of(name, specifier, requirement.extras, _text(requirement))

    def _of(
        self, name: NormalizedName, specifier: SpecifierSet, extras: Iterable[str], text: str
    ) -> Iterator[Need]:
        # What pip did not come to look at has no part in the conflict.
        if not self._read.was_asked_for(name) and name not in self.direct:
            return
        yield Need(Key(name), specifier, text)
        for extra in sorted(map(canonicalize_name, extras)):
            yield Need(Key(name, extra), SpecifierSet(), text)

    def asked(self, root: ReadRequirement) -> Iterator[RootRequirement]:
        known = (one.name for one in self._read.candidates if root.url and one.url == root.url)
        name = root.name or next(known, None)
        if name is None:
            return
        canonical = canonicalize_name(name)
        stated = root.requirement
        text = _text(stated) if stated is not None else root.place
        specifier = SpecifierSet(str(stated.specifier) if stated is not None else "")
        if root.url is not None:
            specifier = self._of_url(canonical, root.url)
            text = f"{name} @ {root.place}"
        needs = tuple(self._of(canonical, specifier, root.extras, text))
        if needs:
            yield RootRequirement(root.by, needs)

    def limit(self, constraint: ReadRequirement) -> Iterator[Constraint]:
        if constraint.name is None or constraint.requirement is None:
            return
        name = canonicalize_name(constraint.name)
        if constraint.url is not None:
            specifier = self._of_url(name, constraint.url)
        else:
            specifier = SpecifierSet(str(constraint.requirement.specifier))
        text = _text(constraint.requirement)
        yield Constraint(constraint.by, Need(Key(name), specifier, text))

    def _of_url(self, name: NormalizedName, url: str) -> SpecifierSet:
        """Return the specifier for a direct reference, by its version."""
        for candidate in self._read.candidates:
            if candidate.url == url:
                self.direct.setdefault(name, []).append(candidate.version)
                return SpecifierSet(f"==={candidate.version}")
        return SpecifierSet()


def _text(requirement: StatedRequirement) -> str:
    """Write a requirement without its marker, which holds."""
    return str(requirement).partition(";")[0].strip()
