"""Collect what pip's resolver had read by the time it failed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._vendor.packaging.specifiers import SpecifierSet as PipSpecifierSet

from pipshim.model.conflict import (
    CONSTRAINT,
    PYTHON,
    USER,
    Conflict,
    Key,
    ReadCandidate,
    ReadRequirement,
    evidence_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.factory import Factory
    from pip._vendor.resolvelib import ResolutionImpossible

    from pipshim._pip.index import Finder
    from pipshim._pip.session import Pip
    from pipshim.model.requirements import Overrides


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
        factory: of the resolver, with all that it has read.
        target: its name, in a lock for several targets.

    """
    failures = factory._build_failures.items()  # noqa: SLF001
    finder, python = pip.finder, ".".join(map(str, pip.target.version))
    asked, limits = (
        [_stated(one, by) for one in stated if one.match_markers()]
        for stated, by in ((roots, USER), (constraints, CONSTRAINT))
    )
    return Conflict(
        evidence=evidence_of(
            list(_candidates(factory)),
            asked,
            limits,
            python=Version(python),
            files=partial(_files, finder),
            was_asked_for=finder.was_asked_for,
        ),
        causes=[(_required(one), _parent(parent)) for one, parent in impossible.causes],
        rejected=[(link.filename, str(error)) for link, error in failures],
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


def _candidates(factory: Factory) -> Iterator[ReadCandidate]:
    ignores_python = factory._ignore_requires_python  # noqa: SLF001
    caches = factory._link_candidate_cache, factory._editable_candidate_cache  # noqa: SLF001
    for candidate in (one for cache in caches for one in cache.values()):
        dist, link = candidate.dist, candidate.source_link
        extras = {str(extra): [str(extra)] for extra in dist.iter_provided_extras()}
        yield ReadCandidate(
            canonicalize_name(str(candidate.project_name)),
            Version(str(candidate.version)),
            link.url if link is not None else None,
            "" if ignores_python else str(dist.requires_python),
            {extra: [*dist.iter_dependencies(of)] for extra, of in {"": [], **extras}.items()},
        )


def _files(
    finder: Finder, name: NormalizedName, specifier: SpecifierSet
) -> list[tuple[Version, bool]]:
    found = finder.find_best_candidate(name, PipSpecifierSet(str(specifier)))
    files = reversed(found.applicable_candidates)
    return [(Version(str(file.version)), file.link.is_yanked) for file in files]


def _stated(req: InstallRequirement, by: str) -> ReadRequirement:
    link = req.link
    place = "" if link is None else link.file_path if link.is_file else link.url
    url = link.url if link is not None else None
    return ReadRequirement(str(req.comes_from or by), req.name, req.req, req.extras, url, place)
