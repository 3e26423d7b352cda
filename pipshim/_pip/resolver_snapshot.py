"""Collect what pip's resolver had read by the time it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._vendor.packaging.specifiers import SpecifierSet as PipSpecifierSet

from pipshim.model.conflict import (
    PYTHON,
    Conflict,
    Constraint,
    Evidence,
    Key,
    Need,
    RootRequirement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName
    from pip._internal.metadata import BaseDistribution
    from pip._internal.models.link import Link
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.candidates import (
        _InstallRequirementBackedCandidate as Backed,
    )
    from pip._internal.resolution.resolvelib.factory import Factory
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.resolvelib import ResolutionImpossible

    from pipshim._pip.index import Finder
    from pipshim._pip.session import Pip
    from pipshim.model.overrides import Overrides


def conflict_of(
    impossible: ResolutionImpossible[Any, Any],
    factory: Factory,
    pip: Pip,
    roots: Iterable[InstallRequirement],
    constraints: Iterable[InstallRequirement],
    overrides: Overrides,
    target: str,
) -> Conflict:
    """Collect everything that explains why the resolver gave up.

    Args:
        impossible: what it raised.
        factory: of the resolver, with all that it has read.
        pip: has the finder, and the Python that was resolved for.
        constraints: those in force.
        target: its name, in a lock for several targets.

    """
    failures = factory._build_failures.items()  # noqa: SLF001
    finder, python = pip.finder, ".".join(map(str, pip.target.version))
    return Conflict(
        known=_Snapshot(factory, finder, python).known(roots, constraints),
        causes=[(_required(one), _parent(parent)) for one, parent in impossible.causes],
        passed_over=[(link.filename, str(error)) for link, error in failures],
        index=finder,
        overrides=overrides,
        python=python,
        target=target,
    )


def _required(requirement: Any) -> NormalizedName:
    if requirement.name.startswith("<"):
        return PYTHON.name
    return canonicalize_name(str(requirement.project_name))


def _parent(candidate: Any) -> Key | None:
    if candidate is None:
        return None
    name, _, extras = candidate.name.partition("[")
    return Key(canonicalize_name(name), canonicalize_name(extras.rstrip("]")))


class _Snapshot:
    """Reads pip's resolver and finder; it looks nothing up.

    Args:
        factory: of the resolver, with the candidates that it has read.
        python: the version that was resolved for.

    """

    def __init__(self, factory: Factory, finder: Finder, python: str) -> None:
        self._finder = finder
        self._python = Version(python)
        self._candidates: list[Backed] = [
            *factory._link_candidate_cache.values(),  # noqa: SLF001 nobody else has them
            *factory._editable_candidate_cache.values(),  # noqa: SLF001
        ]
        self._ignores_python = factory._ignore_requires_python  # noqa: SLF001
        self._direct: dict[NormalizedName, list[Version]] = {}
        self._admitted: dict[tuple[NormalizedName, str], list[Version]] = {}

    def known(
        self, roots: Iterable[InstallRequirement], constraints: Iterable[InstallRequirement]
    ) -> Evidence:
        # Before the requirements: a URL that is a constraint decides which version is there.
        limits = [one for constraint in constraints for one in self._limit(constraint)]
        asked = [one for root in roots for one in self._asked(root)]
        needs = dict(self._needs())
        return Evidence(asked, limits, needs, self.versions, self._direct)

    def versions(self, name: NormalizedName, specifier: SpecifierSet) -> Sequence[Version]:
        """Return the versions that pip would take, the best first."""
        key = (name, str(specifier))
        if key not in self._admitted:
            self._admitted[key] = list(dict.fromkeys(self._versions(name, specifier)))
        return self._admitted[key]

    def _versions(self, name: NormalizedName, specifier: SpecifierSet) -> Iterator[Version]:
        if name == PYTHON.name:
            own = [self._python]
        else:
            own = self._direct.get(name, [])
            found = self._finder.find_best_candidate(name, PipSpecifierSet(str(specifier)))
            files = found.applicable_candidates
            # As pip's factory takes yanked ones (PEP 592).
            exact = any(
                one.operator == "===" or (one.operator == "==" and not one.version.endswith("*"))
                for one in specifier
            )
            takes_yanked = exact and all(file.link.is_yanked for file in files)
            for file in reversed(files):
                if takes_yanked or not file.link.is_yanked:
                    yield Version(str(file.version))
        yield from (one for one in own if specifier.contains(one, prereleases=True))

    def _needs(self) -> Iterator[tuple[tuple[Key, Version], tuple[Need, ...]]]:
        for candidate in self._candidates:
            name = canonicalize_name(str(candidate.project_name))
            version = Version(str(candidate.version))
            dist = candidate.dist
            needs = self._required(dist, ())
            python = str(dist.requires_python)
            if python and not self._ignores_python:
                needs.append(Need(PYTHON, SpecifierSet(python), f"Python {python}"))
            yield (Key(name), version), tuple(needs)
            for extra in map(str, dist.iter_provided_extras()):
                more = tuple(one for one in self._required(dist, (extra,)) if one not in needs)
                yield (Key(name, extra), version), more

    def _required(self, dist: BaseDistribution, extras: tuple[str, ...]) -> list[Need]:
        return [need for one in dist.iter_dependencies(extras) for need in self._need(one)]

    def _need(self, requirement: Requirement) -> Iterator[Need]:
        name = canonicalize_name(requirement.name)
        text = _text(requirement)
        if requirement.url is None:
            specifier = SpecifierSet(str(requirement.specifier))
        else:
            specifier = self._of_url(name, requirement.url)
        yield from self._of(name, specifier, requirement.extras, text)

    def _of(
        self, name: NormalizedName, specifier: SpecifierSet, extras: Iterable[str], text: str
    ) -> Iterator[Need]:
        # What pip did not come to look at has no part in the conflict.
        if not self._finder.was_asked_for(name) and name not in self._direct:
            return
        yield Need(Key(name), specifier, text)
        for extra in sorted(map(canonicalize_name, extras)):
            yield Need(Key(name, extra), SpecifierSet(), text)

    def _asked(self, root: InstallRequirement) -> Iterator[RootRequirement]:
        if not root.match_markers():
            return
        link = root.link
        candidate = self._at(link) if link is not None else None
        name = root.name or (str(candidate.project_name) if candidate is not None else None)
        if name is None:
            return
        canonical = canonicalize_name(name)
        text = _text(root.req) if root.req is not None else str(root.link)
        specifier = SpecifierSet(str(root.req.specifier) if root.req is not None else "")
        if link is not None:
            specifier = self._of_url(canonical, link.url)
            text = f"{name} @ {link.file_path if link.is_file else link.url}"
        needs = tuple(self._of(canonical, specifier, root.extras, text))
        if needs:
            yield RootRequirement(str(root.comes_from or "the command line"), needs)

    def _limit(self, constraint: InstallRequirement) -> Iterator[Constraint]:
        if constraint.name is None or constraint.req is None or not constraint.match_markers():
            return
        name = canonicalize_name(constraint.name)
        if constraint.link is not None:
            specifier = self._of_url(name, constraint.link.url)
        else:
            specifier = SpecifierSet(str(constraint.req.specifier))
        by = str(constraint.comes_from or "a constraint")
        yield Constraint(by, Need(Key(name), specifier, _text(constraint.req)))

    def _of_url(self, name: NormalizedName, url: str) -> SpecifierSet:
        """Return the specifier for a direct reference, by its version."""
        for candidate in self._candidates:
            link = candidate.source_link
            if link is not None and link.url == url:
                version = Version(str(candidate.version))
                self._direct.setdefault(name, []).append(version)
                return SpecifierSet(f"==={version}")
        return SpecifierSet()

    def _at(self, link: Link) -> Backed | None:
        return next((one for one in self._candidates if one.source_link == link), None)


def _text(requirement: Requirement) -> str:
    """Write a requirement without its marker, which holds."""
    return str(requirement).partition(";")[0].strip()
