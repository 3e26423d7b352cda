"""Run pip's resolver, with the metadata of sources supplied by pipshim.

pip would build the metadata of a source when it meets it, in an environment of its own. Here the
caller supplies it, who knows the build mode and environment; pip still finds, downloads, checks and
unpacks.
"""

from __future__ import annotations

import inspect
import os
from collections import defaultdict
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from pip._internal.cli.req_command import RequirementCommand
from pip._internal.exceptions import InstallationError
from pip._internal.operations.build.build_tracker import BuildTracker
from pip._internal.resolution.resolvelib import resolver as pip_resolver
from pip._internal.resolution.resolvelib.provider import PipProvider
from pip._internal.resolution.resolvelib.reporter import PipReporter
from pip._internal.utils.misc import remove_auth_from_url
from pip._internal.utils.temp_dir import TempDirectory
from pip._vendor.resolvelib import ResolutionImpossible

from pipshim._pip import patches
from pipshim._pip.errors import translating_errors
from pipshim._pip.failed_resolution import conflict_of
from pipshim._pip.incremental_resolution import IncrementalResolver
from pipshim._pip.links import of_requirement, secure_hashes, size_of
from pipshim._pip.pip_texts import OTHER_WHEEL
from pipshim._pip.preparer import Preparer
from pipshim.base.light.dataclasses import dataclass
from pipshim.model import fetch_errors, package_entries
from pipshim.model.artifacts import digest_of_file
from pipshim.model.solution import ChosenRoot, Pin, ResolutionGraph, solution_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pip._internal.models.link import Link
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.base import Candidate
    from pip._internal.resolution.resolvelib.resolver import Resolver
    from pip._vendor.resolvelib.resolvers.abstract import Result
    from pip._vendor.resolvelib.resolvers.criterion import Criterion

    from pipshim._pip.index import Finder
    from pipshim._pip.preparer import Sources
    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.model.conflict import Conflict
    from pipshim.model.requirements import Overrides
    from pipshim.model.solution import Solution, Source
    from pipshim.model.stable_packages import StablePackages


@dataclass(frozen=True)
class PipResolver:
    """pip's resolver, for one set of overrides and one way to get metadata.

    Attributes:
        metadata_of: returns a source's METADATA file.
        explain: turns a conflict into an error.
        target: the target's name, in a lock for several.
        for_build: the roots are a build environment's: ignore ``--no-deps`` and hashes.
        stable: packages that are not resolved again.

    """

    pip: Pip
    sources: Sources
    overrides: Overrides
    metadata_of: Callable[[Source], bytes]
    explain: Callable[[Conflict], PipshimError]
    target: str
    for_build: bool
    stable: StablePackages

    def run(
        self,
        roots: Sequence[Root],
        opened: Sequence[ParsedRequirement],
        constraints: Sequence[ParsedRequirement],
        pinned: Callable[[str, str], object] | None,
        assumes_less: Callable[[bool], bool],
    ) -> Solution | None:
        """Resolve once.

        Args:
            opened: what stable packages require of others.
            pinned: called with name and version of each pin that the resolver tries.
            assumes_less: called if anything did not fit, with whether that is a conflict; returns
                whether it may fit the next time.

        Returns:
            the solution; None if it has to be run again.

        Raises:
            ResolveError: no set of versions fits, or a package does not exist.

        """
        pip = self.pip
        # pip remembers for the whole process what satisfies what, by link; but behind the link of a
        # branch there may be another commit by now.
        PipProvider.is_satisfied_by.cache_clear()
        with translating_errors(), pip.markers():
            resolver = self._resolver()
            copies = [(root, root.requirement.copied()) for root in roots]
            given = [one.inner for one in constraints]
            stable = self.stable.pins
            asked = [one for root, one in copies if root.requirement.name not in stable]
            asked += [one.copied() for one in opened]
            rejected: list[Candidate] = []
            token = _Reporter.now.set((pinned, pip.finder, rejected))
            try:
                resolver.resolve([*given, *asked], check_supported_wheels=False)
            except InstallationError as error:
                impossible = error.__cause__
                if assumes_less(isinstance(impossible, ResolutionImpossible)):
                    return None
                if not isinstance(impossible, ResolutionImpossible):
                    raise
                requirements = [one for _, one in copies]
                of_resolver = impossible, resolver.factory, pip, requirements, given
                conflict = conflict_of(*of_resolver, self.overrides, self.target)
                raise self.explain(conflict) from error
            except AssertionError as error:
                wrong = _of_other_wheel(error)
                if wrong is None:
                    raise
                raise wrong from error
            finally:
                _Reporter.now.reset(token)
            if (rejected or not self._is_stable(resolver)) and assumes_less(False):
                return None
            by_hash = any(one.hash_options for one in (*asked, *given))
            return replace(self._solution(resolver, copies), by_hash=by_hash)

    def _is_stable(self, resolver: Resolver) -> bool:
        """Return whether the stable packages are what the resolver chose, too."""
        mapping = chosen(result_of(resolver))
        found = ((key, one, one.get_install_requirement()) for key, one in mapping.items())
        return self.stable.agree_with(
            (
                key,
                name_of_candidate(one),
                None if req is None or req.is_direct else str(one.version),
            )
            for key, one, req in found
        )

    def _resolver(self) -> Resolver:
        """Make pip's resolver, whose preparer asks `metadata_of` for that of sources."""
        pip = self.pip
        options = _options_for_build(pip.options) if self.for_build else pip.options
        preparer = RequirementCommand.make_requirement_preparer(
            temp_build_dir=TempDirectory(kind="install", globally_managed=True),
            # pip's preparer refuses others: pipshim handles environments.
            options=Values({**vars(options), "build_isolation": True, "build_constraints": []}),
            build_tracker=BuildTracker(os.devnull),  # nothing is built by this preparer
            session=pip.session,
            finder=pip.finder,
            use_user_site=False,
            verbosity=pip.command.verbosity,
            **cast("Any", _allow_editables()),
        )
        patches.override(
            preparer,
            _download=pip.ahead_downloader,
            _fetch_metadata_using_link_data_attr=partial(
                of_requirement, fetch=pip.fetched.metadata
            ),
        )
        direct = pip.finder.order.direct
        ours = Preparer(
            preparer, self.sources, self.metadata_of, direct, self.overrides, self.stable.pins
        )
        resolver = RequirementCommand.make_resolver(
            preparer=cast("RequirementPreparer", ours),
            finder=pip.finder,
            options=options,
            wheel_cache=None,
            use_user_site=False,
            ignore_installed=True,
            ignore_requires_python=bool(getattr(pip.options, "ignore_requires_python", None)),
            upgrade_strategy="to-satisfy-only",
            py_version_info=pip.target.version,
        )
        return cast("Resolver", resolver)

    def _solution(
        self, resolver: Resolver, roots: list[tuple[Root, InstallRequirement]]
    ) -> Solution:
        result, stable = result_of(resolver), self.stable
        mapping, graph = chosen(result), stable.joined(graph_of(result))
        found = [
            ChosenRoot(root.origins, root.left_out, dict(_stated_by(requirement, mapping, graph)))
            for root, requirement in roots
        ]
        return solution_of(
            graph,
            found,
            {**_requires(result.criteria, mapping), **stable.requires},
            lambda identifier, needs: (
                stable.pins.get(graph.names[identifier]) or self._pin(mapping[identifier], needs)
            ),
        )

    def _pin(self, candidate: Candidate, needs: Iterable[NormalizedName]) -> Pin:
        requirement = candidate.get_install_requirement()
        assert requirement is not None
        link = requirement.link
        assert link is not None
        source = None if link.is_wheel else self.sources.find(link)
        name, version = name_of_candidate(candidate), Version(str(candidate.version))
        requires_python = str(candidate.dist.requires_python) or None  # type: ignore[attr-defined]
        if requirement.is_direct:
            package = Package(
                name=name,
                version=None if link.is_vcs or link.is_existing_dir() else version,
                dependencies=[{"name": one} for one in sorted(needs)] or None,
                **direct_entry(requirement, self._download),
            )
        else:
            package = package_entries.index_entry(
                name,
                version,
                self._files(name, version, link),
                chosen=link.filename,
                page=link.comes_from,
                dependencies=needs,
                requires_python=SpecifierSet(requires_python) if requires_python else None,
                allowed=requirement.hash_options,
            )
        return Pin(
            package=package,
            version=version,
            source=source,
            editable=requirement.editable or (source is not None and source.editable),
            platform_specific=link.is_wheel and not link.filename.endswith("-none-any.whl"),
        )

    def _files(
        self, name: NormalizedName, version: Version, chosen: Link
    ) -> Iterator[PackageWheel | PackageSdist]:
        """Return the files of a version for the lock, with secure hashes, without credentials."""
        for link in self.pip.finder.files(name, version, chosen):
            hashes, size = secure_hashes(link), size_of(link)
            if not hashes:
                if link.filename != chosen.filename and not link.is_file:
                    continue
                path = self._download(link)
                hashes, size = {"sha256": digest_of_file(path)}, path.stat().st_size
            elif link.is_file and size is None:
                size = Path(link.file_path).stat().st_size
            url = remove_auth_from_url(link.url_without_fragment)
            kind = PackageWheel if link.is_wheel else PackageSdist
            time = link.upload_time
            yield kind(name=link.filename, url=url, hashes=hashes, size=size, upload_time=time)

    def _download(self, link: Link) -> Path:
        if link.is_file:
            return Path(link.file_path)
        folder = self.pip.temporary_directory("unpack")
        path, _ = self.pip.ahead_downloader(link, str(folder))
        return Path(path)


class _Reporter(PipReporter):
    """pip's reporter, which its resolver creates, and tells of pins and of rejected candidates.

    Attributes:
        now: of this thread's resolution: `pinned`, the finder, and the rejected candidates.

    """

    now: ContextVar[tuple[Any, Finder, list[Candidate]] | None] = ContextVar("now", default=None)

    def pinning(self, candidate: Candidate) -> None:
        pinned, *_ = self.now.get() or (None,)
        if pinned is not None and candidate.name == candidate.project_name:
            pinned(name_of_candidate(candidate), str(candidate.version))

    def rejecting_candidate(self, criterion: Any, candidate: Candidate) -> None:
        """Stop where an index could not be asked: versions that do without it are no answer."""
        super().rejecting_candidate(criterion, candidate)
        now = self.now.get()
        if now is None:
            return
        _, finder, rejected = now
        rejected.append(candidate)
        requirement = next(iter(criterion.information)).requirement
        if finder.is_out_of_reach(canonicalize_name(requirement.project_name)):
            raise ResolutionImpossible(list(criterion.information))


patches.replace(pip_resolver, PipReporter=_Reporter, RLResolver=IncrementalResolver)


def _options_for_build(options: Values) -> Values:
    """Remove options that are about the locked requirements, not about those of builds."""
    names = "ignore_dependencies", "only_dependencies", "require_hashes"
    return Values({**vars(options), **dict.fromkeys(names, False)})


def _allow_editables() -> dict[str, bool]:
    """Return the argument that pip has since 26.2."""
    parameters = inspect.signature(RequirementCommand.make_requirement_preparer).parameters
    return {"allow_editables": True} if "allow_editables" in parameters else {}


def direct_entry(req: InstallRequirement, download: Callable[[Link], Path]) -> dict[str, Any]:
    """Make a direct reference's part of an entry (``pip._internal.utils.pylock``)."""
    info, link = req.download_info, req.link
    assert info is not None
    assert link is not None

    def hashes() -> Mapping[str, str]:
        found = secure_hashes(link)
        return found or {"sha256": digest_of_file(Path(req.local_file_path or download(link)))}

    folder = Path(link.file_path) if link.is_file else Path()
    origin = info.to_dict()
    return package_entries.direct_entry(origin, info.url, folder, hashes, editable=req.editable)


def name_of_candidate(candidate: Candidate) -> NormalizedName:
    """Return a candidate's name, with the type of pipshim's packaging, not of pip's copy."""
    return canonicalize_name(str(candidate.project_name))


def _of_other_wheel(error: AssertionError) -> PipshimError | None:
    """Translate the failed assertion that a wheel has the requested name; None for other errors."""
    match = OTHER_WHEEL.match(str(error))
    if match is None:
        return None
    return fetch_errors.other_wheel(*(name.strip("'") for name in match.groups()))


def result_of(resolver: Resolver) -> Result[Any, Any, Any]:
    result = resolver._result  # noqa: SLF001 pip keeps the graph to itself
    assert result is not None
    return result


def chosen(result: Result[Any, Any, Any]) -> dict[str, Candidate]:
    """Return the candidates by identifier, without that for Requires-Python, which has no files."""
    return {one: found for one, found in result.mapping.items() if not one.startswith("<")}


def graph_of(result: Result[Any, Any, Any]) -> ResolutionGraph:
    mapping = chosen(result)
    children: dict[str, set[str]] = {}
    for parent, candidate in mapping.items():
        children[parent] = {
            child for child in result.graph.iter_children(parent) if child in mapping
        }
        if candidate.project_name in mapping:
            children[parent] |= {candidate.project_name} - {parent}
    return ResolutionGraph({one: name_of_candidate(mapping[one]) for one in mapping}, children)


def _requires(
    criteria: Mapping[str, Criterion[Any, Any]], mapping: Mapping[str, Candidate]
) -> dict[NormalizedName, list[Requirement]]:
    """Return the requirements of each chosen distribution, as its metadata states them."""
    chosen = {id(candidate) for candidate in mapping.values()}
    found: dict[NormalizedName, list[Requirement]] = defaultdict(list)
    for identifier, criterion in criteria.items():
        for requirement, parent in criterion.information:
            if parent is None or id(parent) not in chosen or identifier not in mapping:
                continue
            name = name_of_candidate(parent)
            if name != name_of_candidate(mapping[identifier]):
                found[name].append(
                    _stated(requirement.get_candidate_lookup()[1], mapping[identifier])
                )
    return found


def _stated(requirement: InstallRequirement | None, candidate: Candidate | None) -> Requirement:
    """Return a requirement; only the name of one by path or URL, as its entry has the rest."""
    if requirement is not None and requirement.req is not None and requirement.link is None:
        return Requirement(str(requirement.req))
    assert candidate is not None
    extras = requirement.extras if requirement is not None else ()
    name = name_of_candidate(candidate)
    return Requirement(f"{name}[{','.join(sorted(extras))}]" if extras else name)


def _stated_by(
    req: InstallRequirement, mapping: Mapping[str, Candidate], graph: ResolutionGraph
) -> Iterator[tuple[str, Requirement]]:
    """Return the identifiers that were chosen for a root, each with the requirement as stated."""
    if not req.match_markers():
        return
    names = [canonicalize_name(req.name)] if req.name else []
    for candidate in mapping.values() if not names else ():
        found = candidate.get_install_requirement()
        if found is not None and found.link == req.link:
            names.append(name_of_candidate(candidate))
    for identifier in graph.identifiers(names[-1], req.extras) if names else ():
        yield identifier, _stated(req, mapping.get(identifier))
