"""Handle the hooks of pip's own commands: metadata, rounds and builds."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.utils import canonicalize_name
from packaging.version import Version
from pip._internal.build_env import NoOpBuildEnvironment
from pip._internal.cache import WheelCache
from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import InstallWheelBuildError
from pip._internal.models.link import Link
from pip._internal.utils.temp_dir import TempDirectory
from pip._internal.utils.urls import path_to_url

from pipshim._pip import patches
from pipshim._pip.build_reports import PrebuiltBackend, as_pip_error
from pipshim._pip.installation import OneStep
from pipshim._pip.links import secure_hashes
from pipshim._pip.pip_texts import USING_CACHED, WHEEL_BUILDER
from pipshim._pip.preparer import digest_of, distribution_of, load_build_system, source_of
from pipshim._pip.resolver import chosen, direct_entry, graph_of, name_of_candidate, result_of
from pipshim.model.artifacts import digest_of_file
from pipshim.model.solution import Pin, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.utils import NormalizedName
    from pip._internal.exceptions import PipError
    from pip._internal.metadata import BaseDistribution
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.base import Candidate
    from pip._internal.resolution.resolvelib.resolver import Resolver

    from pipshim.base.errors import PipshimError
    from pipshim.model.settings import ConfigSettings
    from pipshim.model.solution import Source

    Built = tuple[list[InstallRequirement], list[InstallRequirement]]
    PipsBuild = Callable[..., Built]

logger = logging.getLogger(WHEEL_BUILDER)


class PipBuilds:
    """Answers the hooks of one command of pip's, in pip's terms.

    Args:
        editables: whether editable requirements are built as editables.

    Attributes:
        met: notes the config settings that pip has for a source.
        metadata: returns a source's METADATA, or its stand-in in this round.
        settle: continues with the rounds after the first one, until all metadata is settled; the
            second argument resolves again, by the same resolver.
        build: builds what pip is about to build, and lets pip's builder store and report it.
        build_names: returns the names of what builds need, as far as they are known.
        rolling_back: called before pip takes back what it has installed.
        unnamed: the requirements (by id) whose names only their backends know.

    """

    # A subclass has these: `pipshim.cli.pip_builds`.
    met: Callable[[Source, ConfigSettings | None], None]
    metadata: Callable[[Source], bytes]
    settle: Callable[[Resolver, Callable[[], object]], None]
    build: Callable[[list[Any], PipsBuild], Built]
    build_names: Callable[[], set[NormalizedName]]
    rolling_back: Callable[[], object]

    def __init__(self, *, editables: bool) -> None:
        self.unnamed: set[int] = set()
        self._editables = editables
        self._last: set[int] = set()
        self._sources: dict[str, Source] = {}
        self._by_name: dict[str, InstallRequirement] = {}

    # What the hooks ask

    def as_pip_error(self, error: PipshimError) -> PipError | None:
        """Return the error that pip would have raised; None if pip has no such error."""
        return as_pip_error(error, lambda package: self._by_name.get(package, package))

    def distribution(self, req: InstallRequirement) -> SourceDistribution:
        """Return an object that prepares a source's metadata."""
        return _Unbuilt(req, self)

    # Metadata

    def source(self, req: InstallRequirement) -> Source:
        """Return an unpacked requirement of pip's as a source."""
        link = req.link
        assert link is not None
        if link.url not in self._sources:
            directory = Path(req.unpacked_source_directory).resolve()
            editable = req.editable and self._editables
            made = source_of(req, link, directory, digest_of(req, directory), editable=editable)
            self._sources[link.url] = made
            self._by_name[name_of(made)] = req
            self.met(made, req.config_settings)
        return self._sources[link.url]

    def tell(self, req: InstallRequirement, source: Source) -> BaseDistribution:
        """Give a requirement the metadata of its source, as far as it is known by now."""
        assert req.link is not None
        found = distribution_of(self.metadata(source), req.link, source)
        req.set_dist(found)
        vars(req).pop("_metadata", None)
        return found

    # Rounds

    def renew(self, resolver: Resolver) -> None:
        """Give the chosen candidates the metadata that their backends have told since."""
        for candidate in chosen(result_of(resolver)).values():
            req = candidate.get_install_requirement()
            link = req.link if req is not None else None
            source = self._sources.get(link.url) if link is not None else None
            if req is None or source is None:  # installed, a wheel, or the same with extras
                continue
            values: dict[str, Any] = {"dist": self.tell(req, source)}
            if source.version is None:
                values["_version"] = None
            if id(req) in self.unnamed:
                values["_name"] = req.req = None
                req._set_requirement()  # noqa: SLF001
            patches.override(candidate, **values)
            cast("Any", candidate)._check_metadata_consistency(values["dist"])  # noqa: SLF001

    def pins(
        self, resolver: Resolver, is_usable: Callable[[str], bool]
    ) -> dict[NormalizedName, Pin]:
        """Return what the resolver chose; of wheels (by file name) those that are usable here."""
        result = result_of(resolver)
        mapping, needs = chosen(result), graph_of(result).needs()
        found = {}
        for identifier, candidate in mapping.items():
            req = candidate.get_install_requirement()
            if identifier != candidate.project_name or candidate.is_installed or req is None:
                continue
            assert req.link is not None
            name = name_of_candidate(candidate)
            if req.link.url in self._sources or is_usable(req.link.filename):
                found[name] = self._pin(req, candidate, needs[name], resolver.factory.preparer)
        return found

    def _pin(
        self,
        req: InstallRequirement,
        candidate: Candidate,
        needs: Iterable[NormalizedName],
        preparer: RequirementPreparer,
    ) -> Pin:
        link = req.link
        assert link is not None
        source = self._sources.get(link.url)
        name, version = name_of_candidate(candidate), Version(str(candidate.version))
        if source is None:
            entry: dict[str, Any] = {"wheels": [_wheel(req, link, preparer)]}
        elif req.is_direct or source.digest is None:
            entry = direct_entry(req, lambda _: Path(str(req.local_file_path)))
        else:
            hashes = {"sha256": source.digest}
            entry = {"sdist": PackageSdist(name=link.filename, url=source.url, hashes=hashes)}
        dependencies = [{"name": one} for one in sorted(needs)] or None
        package = Package(name=name, version=version, dependencies=dependencies, **entry)
        specific = source is None and not link.filename.endswith("-none-any.whl")
        return Pin(package, version, source, source is not None and source.editable, specific)

    # Wheels

    def named(self, req: InstallRequirement) -> Source:
        """Return a source with the name in its metadata, if it has no other."""
        source = self.source(req)
        if source.name is not None:
            return source
        return replace(source, name=canonicalize_name(str(req.get_dist().canonical_name)))

    @staticmethod
    def use(req: InstallRequirement, wheel: Path) -> None:
        """Let pip install a wheel that was built earlier."""
        logger.info(USING_CACHED.text, wheel.name)
        req.link = Link(path_to_url(str(wheel)))
        req.local_file_path = req.link.file_path

    def report(
        self, requirements: list[InstallRequirement], built: Mapping[str, Path], pips: PipsBuild
    ) -> Built:
        """Let pip store and report the builds of these requirements, failed ones too."""
        for req in requirements:
            backend = PrebuiltBackend(req.name or "", built.get(self.source(req).url))
            req.pep517_backend = cast("Any", backend)
            req.build_env = NoOpBuildEnvironment()
            req.metadata_directory = req.metadata_directory or req.unpacked_source_directory
        # Without a cache folder: what pip's cache has was built against nobody knows what.
        return pips(requirements, wheel_cache=WheelCache(""))

    def put_off(self, req: InstallRequirement, build: Callable[[], Built]) -> None:
        """Build a requirement just before pip installs it, after all others."""

        def install(*args: Any, **kwargs: Any) -> None:
            _, failed = build()
            if failed:
                raise InstallWheelBuildError(failed)
            type(req).install(req, *args, **kwargs)

        self._last.add(id(req))
        patches.override(req, install=install)

    def ordered(self, order: list[InstallRequirement]) -> list[InstallRequirement]:
        """Put what is put off last, so that it can roll back the rest."""
        if not self._last:
            return order
        found = sorted(order, key=lambda req: id(req) in self._last)
        OneStep(found, self.rolling_back)
        return found


class _Unbuilt(SourceDistribution):
    """A source whose metadata pipshim provides."""

    def __init__(self, req: InstallRequirement, staged: PipBuilds) -> None:
        super().__init__(req)
        self._staged = staged

    def prepare_distribution_metadata(self, *_args: Any, **_kwargs: Any) -> None:
        req = self.req
        load_build_system(req)
        self._staged.tell(req, self._staged.source(req))
        if not req.name:
            self._staged.unnamed.add(id(req))
            req._set_requirement()  # noqa: SLF001 who it is shows only now
        else:
            req.warn_on_mismatching_name()
        req.assert_source_matches_version()


def _wheel(req: InstallRequirement, link: Link, preparer: RequirementPreparer) -> PackageWheel:
    path = link.file_path if link.is_file else req.local_file_path
    sha256 = secure_hashes(link).get("sha256")
    if sha256 is None:
        if path is None:
            folder = TempDirectory(kind="unpack", globally_managed=True).path
            path, _ = preparer._download(link, folder)  # noqa: SLF001
            preparer._downloaded[link.url] = path  # noqa: SLF001
        sha256 = digest_of_file(Path(path))
    place = {"path": path} if path is not None else {"url": link.url_without_fragment}
    return PackageWheel(name=link.filename, hashes={"sha256": sha256}, **cast("Any", place))


def give_downloads(resolver: Resolver, files: Mapping[str, Path]) -> None:
    """Let pip reuse the wheels that are downloaded for build environments, by URL."""
    preparer = resolver.factory.preparer
    original = preparer.prepare_linked_requirements_more

    def more(reqs: Iterable[InstallRequirement], parallel_builds: bool = False) -> None:
        found = list(reqs)
        downloaded = preparer._downloaded  # noqa: SLF001
        for req in found:
            if not req.needs_more_preparation or req.link is None:
                continue
            path = files.get(req.link.url_without_fragment)
            if path is not None:
                downloaded[req.link.url] = str(path)
            if req.link.url in downloaded:
                req.needs_more_preparation = False
                preparer._prepare_linked_requirement(req, parallel_builds)  # noqa: SLF001
        original(found, parallel_builds)

    patches.override(preparer, prepare_linked_requirements_more=more)
