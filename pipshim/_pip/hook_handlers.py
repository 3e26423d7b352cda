"""Handle the hooks of pip's own commands: metadata, rounds and builds."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from packaging.pylock import Package, PackageDirectory, PackageSdist, PackageVcs, PackageWheel
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version
from pip._internal.build_env import NoOpBuildEnvironment
from pip._internal.cache import WheelCache
from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import InstallWheelBuildError, MetadataInconsistent
from pip._internal.models.link import Link
from pip._internal.utils.misc import remove_auth_from_url
from pip._internal.utils.urls import path_to_url

from pipshim._pip import patches, pyproject
from pipshim._pip.install_rollback import OneStep
from pipshim._pip.links import secure_hashes
from pipshim._pip.pip_texts import WHEEL_BUILDER
from pipshim._pip.prebuilt import PrebuiltBackend
from pipshim._pip.resolver import chosen, graph_of, name_of_candidate, result_of
from pipshim._pip.sources import digest_of_checkout, distribution_of
from pipshim.model.artifacts import archive_digest, sha256_of, unsuitable_tags
from pipshim.model.solution import Pin, Solution, Source, name_of
from pipshim.project.static_metadata import name_and_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from packaging.utils import NormalizedName
    from pip._internal.metadata import BaseDistribution
    from pip._internal.operations.prepare import RequirementPreparer
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.resolution.resolvelib.base import Candidate
    from pip._internal.resolution.resolvelib.factory import Factory
    from pip._internal.resolution.resolvelib.resolver import Resolver

    from pipshim._pip.prebuilt import BuiltWheel, WheelBuilds
    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.model.interpreter import Target
    from pipshim.model.settings import ConfigSettings

    PipsBuild = Callable[..., tuple[list[InstallRequirement], list[InstallRequirement]]]

logger = logging.getLogger(WHEEL_BUILDER)


class BuildService(Protocol):
    """Builds sources for one of pip's commands: `pipshim.cli.pip_builds`."""

    @property
    def pip(self) -> Pip:
        """The session and finder of the command."""

    @property
    def target(self) -> Target:
        """The interpreter that runs the command."""

    @property
    def downloaded(self) -> Mapping[str, Path]:
        """The files that were downloaded for build environments, by URL."""

    def shown(self) -> AbstractContextManager[None]:
        """Show what happens meanwhile."""

    def met(self, source: Source, config_settings: ConfigSettings | None) -> None:
        """Note the config settings that pip has for a source."""

    def metadata(self, source: Source) -> bytes:
        """Return a source's METADATA, or its stand-in in this round."""

    def settle(self, resolve: Callable[[int], Solution]) -> None:
        """Resolve in rounds until the metadata of all sources is settled."""

    def build_names(self) -> set[NormalizedName]:
        """Return the names of the packages that builds need, as far as they are known."""

    def is_last(self, source: Source) -> bool:
        """Return whether a source is built in the environment itself, after everything else."""

    def load_modules(self) -> None:
        """Import what the last builds need: once pip installs, it lets nothing be imported."""

    def build(self, sources: Sequence[Source], *, at_last: bool = False) -> WheelBuilds:
        """Build wheels.

        Raises:
            PipshimError: something failed that pip finds out before it builds wheels.

        """

    def present(self) -> dict[NormalizedName, Pin]:
        """Return the installed distributions that stay."""


class PipBuilds:
    """The builds of one command of pip's, in pip's terms.

    Args:
        editables: whether editable requirements are built as editables.
        show: shows an error of a build before pip reports it in its own way.

    """

    def __init__(
        self, building: BuildService, *, editables: bool, show: Callable[[PipshimError], object]
    ) -> None:
        self.building = building
        self.round = 0
        self.last: set[int] = set()
        self._editables = editables
        self._show = show
        self._sources: dict[str, Source] = {}
        self._as_given: dict[str, str] = {}

    def named(self, package: str) -> str:
        """Return the requirement of a package as pip first wrote it."""
        return self._as_given.get(package, package)

    def distribution(self, req: InstallRequirement) -> SourceDistribution:
        """Return an object that prepares a source's metadata."""
        return _Unbuilt(req, self)

    # Metadata

    def source(self, req: InstallRequirement) -> Source:
        """Return an unpacked requirement of pip's as a source."""
        link = req.link
        assert link is not None
        known = self._sources.get(link.url)
        if known is not None:
            return known
        directory = Path(req.unpacked_source_directory).resolve()
        name, version = name_and_version(directory, req.name)
        if version is None and not req.is_direct:
            version = _version_in(link.filename)
        made = Source(
            name=name,
            version=version,
            outline=directory,
            digest=_digest(req, link),
            editable=req.editable and self._editables,
            url=remove_auth_from_url(link.url),
        )
        self._sources[link.url] = made
        self._as_given[name_of(made)] = str(req)
        self.building.met(made, req.config_settings)
        return made

    def find(self, link: Link | None) -> Source | None:
        """Return the source of a link, if it was met."""
        return self._sources.get(link.url) if link is not None else None

    def _put_off(self, requirements: Iterable[InstallRequirement], pips: PipsBuild) -> None:
        """Build requirements when pip installs them, after all others."""
        for req in requirements:
            self.last.add(id(req))
            patches.override(req, install=partial(self._install, req, pips))
        self.building.load_modules()

    def ordered(self, order: list[InstallRequirement]) -> list[InstallRequirement]:
        """Put what is built in the environment itself last, so that it can roll back the rest."""
        if not self.last:
            return order
        found = sorted(order, key=lambda req: id(req) in self.last)
        OneStep(found)
        return found

    def _install(self, req: InstallRequirement, pips: PipsBuild, *args: Any, **kwargs: Any) -> None:
        builds = self.building.build([self._named(req)], at_last=True)
        _, failed = self._by_pip([req], builds.wheels, pips)
        if builds.error is not None:
            self._show(builds.error)
        if failed:
            raise InstallWheelBuildError(failed)
        type(req).install(req, *args, **kwargs)

    # Rounds

    def settle(
        self, resolver: Resolver, preparer: RequirementPreparer, again: Callable[[], object]
    ) -> None:
        """Continue with the rounds, after the first one.

        Args:
            resolver: has done it.
            preparer: gets the wheels that were downloaded for builds.
            again: resolves again, by the same resolver.

        """
        _give_downloads(preparer, self.building)

        def one_round(number: int) -> Solution:
            if number:
                self.round = number
                self._renew(resolver.factory)
                again()
            return self._solution(resolver, preparer)

        self.building.settle(one_round)

    def _renew(self, factory: Factory) -> None:
        """Update the candidates whose names and versions only their backends know."""
        caches = (factory._link_candidate_cache, factory._editable_candidate_cache)  # noqa: SLF001
        for candidate in (one for cache in caches for one in cache.values()):
            metadata: object = candidate.dist
            if isinstance(metadata, _Metadata):
                patches.override(candidate, **metadata.renew())

    def _solution(self, resolver: Resolver, preparer: RequirementPreparer) -> Solution:
        """Return what the resolver chose, and what stays of the environment."""
        result = result_of(resolver)
        mapping, needs = chosen(result), graph_of(result).needs()
        pins = self.building.present()
        for identifier, candidate in mapping.items():
            if identifier == candidate.project_name and not candidate.is_installed:
                pin = self._pin(candidate, needs[name_of_candidate(candidate)], preparer)
                if pin is not None:
                    pins[pin.package.name] = pin
        return Solution(pins=dict(sorted(pins.items())), origins={})

    def _pin(
        self, candidate: Candidate, needs: Iterable[NormalizedName], preparer: RequirementPreparer
    ) -> Pin | None:
        req = candidate.get_install_requirement()
        assert req is not None
        assert req.link is not None
        link, source = req.link, self._sources.get(req.link.url)
        name, version = name_of_candidate(candidate), Version(str(candidate.version))
        fields: dict[str, Any] = {"name": name, "version": version}
        fields["dependencies"] = [{"name": one} for one in sorted(needs)] or None
        if source is not None:
            fields |= _source_entry(req, link, source)
            return Pin(Package(**fields), version, source, source.editable, False)
        if unsuitable_tags(link.filename, self.building.target) is not None:
            return None  # asked for another platform: no build here can use it
        fields["wheels"] = [self._wheel(req, link, preparer)]
        specific = not link.filename.endswith("-none-any.whl")
        return Pin(Package(**fields), version, None, False, specific)

    def _wheel(
        self, req: InstallRequirement, link: Link, preparer: RequirementPreparer
    ) -> PackageWheel:
        path = link.file_path if link.is_file else req.local_file_path
        sha256 = secure_hashes(link).get("sha256")
        if sha256 is None:
            path = path or self._download(link, preparer)
            sha256 = sha256_of(Path(path))
        place = {"path": path} if path is not None else {"url": link.url_without_fragment}
        return PackageWheel(name=link.filename, hashes={"sha256": sha256}, **cast("Any", place))

    def _download(self, link: Link, preparer: RequirementPreparer) -> str:
        pip = self.building.pip
        folder = pip.temporary_directory("unpack")
        with self.building.shown():
            path, _ = pip.downloader(link, str(folder))
        preparer._downloaded[link.url] = path  # noqa: SLF001
        return path

    # Wheels

    def _named(self, req: InstallRequirement) -> Source:
        """Return a source with the name in its metadata, if it has no other."""
        source = self.source(req)
        if source.name is not None:
            return source
        return replace(source, name=canonicalize_name(str(req.get_dist().canonical_name)))

    def build(
        self, requirements: list[InstallRequirement], pips: PipsBuild
    ) -> tuple[list[InstallRequirement], list[InstallRequirement]]:
        """Build what pip is about to build, and let pip store and report it.

        Args:
            requirements: what pip is about to build.
            pips: ``pip._internal.wheel_builder.build``, with all other arguments.

        """
        sources = {id(req): self._named(req) for req in requirements}
        last = [req for req in requirements if self.building.is_last(sources[id(req)])]
        now = [req for req in requirements if req not in last]
        builds = self.building.build([sources[id(req)] for req in now])
        done = builds.wheels
        cached = [req for req in now if _is_cached(done.get(sources[id(req)].url))]
        for req in cached:
            wheel = done[sources[id(req)].url].wheel
            logger.info("Using cached %s", wheel.name)
            _is_built(req, wheel)
        begun = [
            req
            for req in now
            if req not in cached
            and (sources[id(req)].url in done or name_of(sources[id(req)]) in builds.failed)
        ]
        succeeded, failed = self._by_pip(begun, done, pips) if begun else ([], [])
        left = [req.name or "" for req in now if req not in cached and req not in begun]
        if left:
            logger.info("Not built, since another build failed: %s", " ".join(left))
        if builds.error is not None:
            if not failed:
                raise builds.error
            self._show(builds.error)
        if not failed:
            self._put_off(last, pips)
        return [*cached, *succeeded], failed

    def _by_pip(
        self,
        requirements: list[InstallRequirement],
        done: Mapping[str, BuiltWheel],
        pips: PipsBuild,
    ) -> tuple[list[InstallRequirement], list[InstallRequirement]]:
        """Let pip store and report the builds of these requirements, failed ones too."""
        for req in requirements:
            made = done.get(self.source(req).url)
            backend = PrebuiltBackend(req.name or "", made.wheel if made is not None else None)
            req.pep517_backend = cast("Any", backend)
            req.build_env = NoOpBuildEnvironment()
            req.metadata_directory = req.metadata_directory or req.unpacked_source_directory
        # Without a cache folder: what pip's cache has was built against nobody knows what.
        return pips(requirements, wheel_cache=WheelCache(""))


def _give_downloads(preparer: RequirementPreparer, building: BuildService) -> None:
    """Let pip reuse the wheels that were downloaded for build environments."""
    original = preparer.prepare_linked_requirements_more

    def more(reqs: Iterable[InstallRequirement], parallel_builds: bool = False) -> None:
        found = list(reqs)
        files = building.downloaded
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


def _is_cached(made: BuiltWheel | None) -> bool:
    return made is not None and made.came_from in ("cached", "remote")


def _is_built(req: InstallRequirement, wheel: Path) -> None:
    req.link = Link(path_to_url(str(wheel)))
    req.local_file_path = req.link.file_path


class _Unbuilt(SourceDistribution):
    """A source whose metadata pipshim provides."""

    def __init__(self, req: InstallRequirement, staged: PipBuilds) -> None:
        super().__init__(req)
        self._staged = staged

    def prepare_distribution_metadata(self, *_args: Any, **_kwargs: Any) -> None:
        req = self.req
        pyproject.load(req)
        source = self._staged.source(req)
        assert req.link is not None
        metadata = _Metadata(req, source, self._staged)
        req.set_dist(cast("BaseDistribution", metadata))
        if not req.name:
            req._set_requirement()  # noqa: SLF001 who it is shows only now
        else:
            req.warn_on_mismatching_name()
            metadata.is_named = True
        req.assert_source_matches_version()


class _Metadata:
    """A distribution whose metadata is looked up again in each round.

    Attributes:
        is_named: whether its requirement says its name.

    """

    is_named = False

    def __init__(self, req: InstallRequirement, source: Source, staged: PipBuilds) -> None:
        self._req = req
        self._source = source
        self._staged = staged
        self._round = -1
        self._text = b""
        self._told: BaseDistribution | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __str__(self) -> str:
        return str(self._now())

    def _now(self) -> BaseDistribution:
        if self._round != self._staged.round or self._told is None:
            self._round = self._staged.round
            text = self._staged.building.metadata(self._source)
            if text != self._text:
                self._told = self._distribution(text)
                self._text = text
        assert self._told is not None
        return self._told

    def renew(self) -> dict[str, None]:
        """Replace a stand-in without a version; return the attributes that have changed."""
        before = self._told
        if self._source.version is not None or before is None:
            return {}
        now = self._now()
        if self.is_named and now.canonical_name != before.canonical_name:
            raise MetadataInconsistent(self._req, "name", before.canonical_name, now.canonical_name)
        if (now.canonical_name, now.version) == (before.canonical_name, before.version):
            return {}
        vars(self._req).pop("_metadata", None)
        if self.is_named:
            return {"_version": None}
        self._req.req = None
        self._req._set_requirement()  # noqa: SLF001
        return {"_name": None, "_version": None}

    def _distribution(self, text: bytes) -> BaseDistribution:
        assert self._req.link is not None
        made = distribution_of(text, self._req.link, self._source)
        if self._told is not None and self._source.version is not None:
            for what, before, now in (
                ("name", self._told.canonical_name, made.canonical_name),
                ("version", self._told.version, made.version),
            ):
                if before != now:
                    raise MetadataInconsistent(self._req, what, str(before), str(now))
        return made


def _version_in(filename: str) -> Version | None:
    try:
        return parse_sdist_filename(filename)[1]
    except InvalidSdistFilename:
        return None


def _digest(req: InstallRequirement, link: Link) -> str | None:
    """Identify a source by its archive, or by the commit that was checked out."""
    if req.editable or link.is_existing_dir():
        return None
    if link.is_vcs:
        return digest_of_checkout(link, Path(str(req.source_dir)))
    info = req.download_info.archive_info if req.download_info is not None else None
    found = (info.hashes or {}).get("sha256") if info is not None else None
    if found is None and req.local_file_path is not None:
        found = sha256_of(Path(req.local_file_path))
    return archive_digest(found, link.subdirectory_fragment)


def _source_entry(req: InstallRequirement, link: Link, source: Source) -> dict[str, Any]:
    info = req.download_info
    if info is not None and info.vcs_info is not None:
        commit = info.vcs_info.commit_id
        return {"vcs": PackageVcs(type=info.vcs_info.vcs, url=source.url, commit_id=commit)}
    if source.digest is None:
        return {"directory": PackageDirectory(path=str(source.directory))}
    hashes = {"sha256": source.digest}
    return {"sdist": PackageSdist(name=link.filename, url=source.url, hashes=hashes)}
