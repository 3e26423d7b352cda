"""pip's session, finder and requirement constructors, for one command and one target Python.

Everything that reaches an index goes through pip's own session: its cache, its credentials
(index URLs, netrc, keyring), proxies, certificates and retries.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pip._internal.cli.index_command import SessionCommandMixin
from pip._internal.cli.req_command import parse_constraint_files
from pip._internal.index.collector import LinkCollector
from pip._internal.models.link import Link
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.models.target_python import TargetPython as PipTargetPython
from pip._internal.req.constructors import install_req_from_line, install_req_from_req_string
from pip._internal.req.req_file import parse_requirements
from pip._internal.utils.temp_dir import TempDirectory
from pip._vendor.packaging import markers as vendored_markers
from pip._vendor.packaging.tags import Tag, parse_tag

from pipshim._pip import http_adapters, interrupts, patches
from pipshim._pip.downloads import ObservedDownloader, retry_broken_answers
from pipshim._pip.index import Finder
from pipshim._pip.links import cached_as
from pipshim._pip.requirements import ParsedRequirement, Root, accepting_build_options
from pipshim._pip.routed_search import follow_routes, learn_indexes
from pipshim._pip.session_setup import Agent, let_keyring_answer, mask_credentials
from pipshim._pip.shared_fetches import Collector, SharedFetches
from pipshim.base.cache_folders import METADATA
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.masking import Mask
from pipshim.base.resolver_prefetch import Prefetch
from pipshim.model import events
from pipshim.model.build_settings import BuildLines
from pipshim.model.index_files import LockedFiles
from pipshim.model.index_routes import IndexRoutes
from pipshim.project.metadata_cache import MetadataCache, StaticFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from optparse import Values

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from pip._internal.cli.req_command import RequirementCommand
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.network.session import PipSession

    from pipshim.model.events import Observer
    from pipshim.model.interpreter import TargetPython


@dataclass(eq=False)
class Pip:
    """What a command of pipshim needs of pip.

    Attributes:
        command: the object of pip's that parsed the command line, into `options`.
        mask: learns the credentials that pip uses.
        beside: the same for another target; session, index pages and metadata files are shared.
        cache: pipshim's; None to cache nothing.
        routes_for: returns the indexes for a target's markers.
        editable_folders: folders installed as editables, whoever requires them.
        lines: build options of the requirements files read so far.
        spared: the URLs that pip's cache does not keep, since pipshim does.

    """

    command: RequirementCommand
    options: Values
    target: TargetPython
    mask: Mask = field(default_factory=Mask)
    observer: Observer = events.ignore
    beside: Pip | None = None
    cache: Path | None = None
    routes_for: Callable[[Mapping[str, str]], IndexRoutes] = lambda _: IndexRoutes()
    editable_folders: set[Path] = field(default_factory=set, init=False)
    lines: BuildLines = field(default_factory=BuildLines, init=False)
    spared: set[str] = field(default_factory=set, init=False)
    _given: dict[tuple[str, ...], tuple[list[Root], list[ParsedRequirement]]] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        if self.beside is not None:  # whose session it is
            self.spared = self.beside.spared

    def for_target(
        self,
        target: TargetPython,
        routes_for: Callable[[Mapping[str, str]], IndexRoutes] | None = None,
    ) -> Pip:
        """Return the same for another target, and with packages from other indexes."""
        made = replace(self, target=target, beside=self, routes_for=routes_for or self.routes_for)
        made.lines.config_settings = self.lines.config_settings
        return made

    @cached_property
    def session(self) -> PipSession:
        """The one session of this command (``pip._internal.network.session``)."""
        routes = self.routes_for(self.target.markers)
        if self.beside is not None:
            learn_indexes(self.beside.session, routes, self.mask)
            return self.beside.session
        agent = getattr(self.command, "agent", None) or Agent()
        session = agent.session(partial(self.command.get_default_session, self.options))
        if getattr(self.options, "keyring_may_answer", False):
            let_keyring_answer(session)
        mask_credentials(session, self.mask)
        learn_indexes(session, routes, self.mask)
        if getattr(self.options, "offline", False):
            http_adapters.restrict_to_cache(session)
        http_adapters.spare_cache(session, self.spared)
        http_adapters.read_certificates_once(session)
        interrupts.track_connections()
        http_adapters.keep_connections(session)
        retry_broken_answers(session)
        return session

    @property
    def downloader(self) -> ObservedDownloader:
        """A new downloader, for any number of files."""
        return ObservedDownloader(self.session, self.observer)

    @property
    def ahead_downloader(self) -> ObservedDownloader:
        """A new downloader that uses prefetched files."""
        return ObservedDownloader(self.session, self.observer, self.fetched.archive)

    @cached_property
    def finder(self) -> Finder:
        """The one finder of this command, for files that suit the target."""
        options, plain = self.options, self._plain_collector
        collector = Collector(session=plain.session, search_scope=plain.search_scope)
        made = Finder.create(
            link_collector=collector,
            selection_prefs=SelectionPreferences(
                allow_yanked=True,
                format_control=options.format_control,
                release_control=options.release_control,
                prefer_binary=options.prefer_binary,
                ignore_requires_python=bool(getattr(options, "ignore_requires_python", None)),
            ),
            target_python=_target_python(self.target),
            uploaded_prior_to=options.uploaded_prior_to,
        )
        assert isinstance(made, Finder)
        follow_routes(collector, self.routes_for(self.target.markers))
        if not getattr(options, "offline", False):
            collector.fetched, made.ahead = self.fetched, self.ahead
            self.ahead.finder = made
        return made

    @cached_property
    def ahead(self) -> Prefetch:
        """Fetches ahead of the resolver."""
        return Prefetch(self.fetched, self.target.markers)

    @cached_property
    def fetched(self) -> SharedFetches:
        """The index pages and metadata files that were fetched."""
        if self.beside is not None:
            return self.beside.fetched
        files = MetadataCache(self.cache / METADATA if self.cache is not None else None)
        folder = self.temporary_directory("archive")
        is_lazy = "fast-deps" in self.options.features_enabled
        collector, downloader = self._plain_collector, self.downloader
        return SharedFetches(
            collector, files, downloader, folder, self.outlines, self.spared, is_lazy=is_lazy
        )

    def archived(self, url: str) -> Path | None:
        """Return an archive that was fetched for its metadata; None if it was not."""
        beside = self.beside if self.beside is not None else self
        fetched: SharedFetches | None = vars(beside).get("fetched")
        return fetched.archived(Link(url)) if fetched is not None else None

    def spare(self, url: str) -> None:
        """Keep a file out of pip's cache."""
        self.spared.add(Link(url).url_without_fragment)

    @cached_property
    def outlines(self) -> StaticFiles:
        """What sdists show without being built."""
        return StaticFiles(self.cache, partial(self.temporary_directory, "outline"))

    @cached_property
    def _plain_collector(self) -> LinkCollector:
        return LinkCollector.create(self.session, options=self.options)

    def search_like(self, finder: PackageFinder) -> None:
        """Search as another finder of pip's does."""
        self.finder.search_scope = finder.search_scope
        if finder.prefer_binary:
            self.finder.set_prefer_binary()
        if finder.release_control is not None:
            self.finder.set_release_control(finder.release_control)

    def keep(self, packages: Iterable[Package]) -> None:
        """Use the files of an earlier lock's packages instead of index pages."""
        self.finder.kept = LockedFiles(packages)
        files = self.fetched.files
        self.finder.knows_metadata = lambda wheel: files.has(cached_as(wheel))

    def root(self, requirement: str, *, origins: Iterable[str], comes_from: str) -> Root:
        """Make a root of a requirement (PEP 508) that the project states."""
        made = install_req_from_req_string(
            requirement, comes_from=None, isolated=self.options.isolated_mode, user_supplied=True
        )
        made.comes_from = comes_from
        return Root(frozenset(origins), ParsedRequirement(made))

    def given(self, arguments: Sequence[str]) -> tuple[list[Root], list[ParsedRequirement]]:
        """Read the command line's requirements, once: specifiers, ``-r``, ``-e``, ``-c``.

        Returns:
            the roots, and the constraints among them.

        """
        known = self._given.get(tuple(arguments))
        if known is not None:
            return known
        with accepting_build_options(self.lines):
            requirements = self.command.get_requirements(
                list(arguments), self.options, self.finder, self.session
            )
        constraints = [ParsedRequirement(one) for one in requirements if one.constraint]
        only_needs = bool(getattr(self.options, "only_dependencies", False))
        roots = [
            Root(frozenset({"project"}), ParsedRequirement(one), only_needs)
            for one in requirements
            if not one.constraint
        ]
        self._given[tuple(arguments)] = roots, constraints
        return roots, constraints

    def constraint_files(self, files: Sequence[str] | None = None) -> list[ParsedRequirement]:
        """Read pip's constraint files (``-c``, ``PIP_CONSTRAINT``), or those named."""
        named = self.options.constraints if files is None else list(files)
        found = parse_constraint_files(named, self.finder, self.options, self.session)
        return [ParsedRequirement(one) for one in found]

    def requirement_lines(self, files: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Read requirements files as pip does, without constraints.

        Yields:
            each requirement as it is written, and whether it is an editable.

        """
        for file in files:
            for one in parse_requirements(
                file, self.session, finder=self.finder, options=self.options
            ):
                if not one.constraint:
                    yield one.requirement, one.is_editable

    def constraint(self, requirement: str, comes_from: str) -> ParsedRequirement:
        """Make a constraint of a requirement (PEP 508)."""
        made = install_req_from_line(
            requirement,
            comes_from=comes_from,
            isolated=self.options.isolated_mode,
            constraint=True,
            user_supplied=False,
        )
        return ParsedRequirement(made)

    def pinned_to(self, name: NormalizedName, url: str, comes_from: str) -> ParsedRequirement:
        """Constrain a distribution to a URL, without asking an index for it."""
        self.ahead.left_out.add(name)
        return self.constraint(f"{name} @ {url}", comes_from)

    def temporary_directory(self, kind: str) -> Path:
        """Make a folder that pip removes at the end of the command."""
        return Path(TempDirectory(kind=kind, globally_managed=True).path).resolve()

    def in_fork(self, temporary: Path) -> None:
        """Continue in a fork, with its own connections, and temporary files in a folder."""
        tempfile.tempdir = str(temporary)
        session: PipSession | None = vars(self).get("session")
        if session is not None:
            session.close()  # it opens new connections when they are needed
            if session.auth.prompting:  # several would ask at once, and read each other's
                let_keyring_answer(session)
                session.auth.prompting = False
        self.fetched.folder = self.temporary_directory("archive")

    @contextmanager
    def markers(self) -> Iterator[None]:
        """Let pip evaluate markers for the target, not for the Python that runs pip."""
        token = _environment.set(lambda: cast("Any", dict(self.target.markers)))
        try:
            yield
        finally:
            _environment.reset(token)


def session_without_cache(options: Values, mask: Mask) -> PipSession:
    """Make a session of pip's that asks a server once, and the user for nothing."""
    options = copy(options)
    options.cache_dir = None
    session = SessionCommandMixin()._build_session(options, retries=0)  # noqa: SLF001
    session.auth.prompting = False
    mask_credentials(session, mask)
    interrupts.track_connections()
    return session


_environment = ContextVar("environment", default=vendored_markers.default_environment)
patches.replace(
    vendored_markers,
    default_environment=lambda: _environment.get()(),  # noqa: PLW0108 asked in each thread
)


def _target_python(target: TargetPython) -> PipTargetPython:
    made = PipTargetPython(py_version_info=target.version)
    tags = _parsed(target.tags)
    patches.override(made, _valid_tags=tags, _valid_tags_set=set(tags))
    return made


@cache
def _parsed(tags: tuple[str, ...]) -> list[Tag]:
    return [tag for text in tags for tag in parse_tag(text)]
