"""Make pip search each package only in the index chosen for it, and list such an index."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pip._internal.exceptions import NetworkConnectionError
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link
from pip._internal.models.search_scope import SearchScope
from pip._vendor.requests.exceptions import RequestException

from pipshim._pip import patches
from pipshim.model import index_files
from pipshim.model.artifacts import name_and_version
from pipshim.model.index_routes import IndexRoutes, Locations

if TYPE_CHECKING:
    from packaging.utils import NormalizedName
    from pip._internal.index.collector import CollectedSources
    from pip._internal.index.sources import CandidatesFromPage
    from pip._internal.network.session import PipSession

    from pipshim.base.masking import Mask
    from pipshim.model.package_sources import Index


class RoutedScope(SearchScope):
    """A search scope for all packages; `of` returns that of one.

    Attributes:
        given: pip's own options.
        routes: where each package is looked up.

    """

    given: SearchScope
    routes: IndexRoutes

    @classmethod
    def over(cls, given: SearchScope, routes: IndexRoutes) -> RoutedScope:
        """Return a scope that follows routes, and `given` for all else."""
        shared = routes.shared(_locations(given))
        made = cls(list(shared.find_links), list(shared.index_urls), given.no_index)
        object.__setattr__(made, "given", given)  # pip's class is frozen
        object.__setattr__(made, "routes", routes)
        return made

    def of(self, project_name: str) -> SearchScope:
        name = canonicalize_name(project_name)
        found = self.routes.locations(name, _locations(self.given))
        return SearchScope(list(found.find_links), list(found.index_urls), self.given.no_index)

    def get_index_urls_locations(self, project_name: str) -> list[str]:
        return self.of(project_name).get_index_urls_locations(project_name)


class RoutedCollector(LinkCollector):
    """A link collector that uses the index of each package.

    Attributes:
        routes: where packages are looked up; None for pip's options alone.

    """

    routes: IndexRoutes | None = None
    _scope: SearchScope

    @property
    def search_scope(self) -> SearchScope:
        """Where files are looked for; requirements files add to it."""
        return self._scope

    @search_scope.setter
    def search_scope(self, scope: SearchScope) -> None:
        given = scope.given if isinstance(scope, RoutedScope) else scope
        self._scope = given if self.routes is None else RoutedScope.over(given, self.routes)

    def collect_sources(
        self, project_name: str, candidates_from_page: CandidatesFromPage
    ) -> CollectedSources:
        """Collect where a package is looked up."""
        if self.routes is None:
            return super().collect_sources(project_name, candidates_from_page)
        narrowed = copy(self)
        narrowed.routes = None
        narrowed.search_scope = scope_of(self.search_scope, project_name)
        return narrowed.collect_sources(project_name, candidates_from_page)


def follow_routes(collector: LinkCollector, routes: IndexRoutes, mask: Mask) -> None:
    """Let a collector and its session follow routes."""
    if not (routes.indexes or routes.limits):
        return
    given = collector.search_scope
    learn_indexes(collector.session, routes, mask)
    if not isinstance(collector, RoutedCollector):
        patches.become(collector, RoutedCollector)
    assert isinstance(collector, RoutedCollector)
    collector.routes = replace(routes, no_index=given.no_index)
    collector.search_scope = given


def learn_indexes(session: PipSession, routes: IndexRoutes, mask: Mask) -> None:
    """Let a session find the credentials of indexes for files on their hosts, as pip's for its own.

    Those who have a lock read no page of an index, whose URL would show them.
    """
    urls = [index.url for index in routes.indexes if not index.url.startswith("file:")]
    for url in urls:
        mask.add_urls(url)
    auth = session.auth
    auth.index_urls = list(dict.fromkeys((*(auth.index_urls or ()), *urls)))


def scope_of(scope: SearchScope, project_name: str) -> SearchScope:
    return scope.of(project_name) if isinstance(scope, RoutedScope) else scope


def _locations(scope: SearchScope) -> Locations:
    return Locations(tuple(scope.index_urls), tuple(scope.find_links))


# Listing

_MOST_BYTES = 2_000_000


def names_in(collector: LinkCollector, index: Index) -> tuple[NormalizedName, ...] | None:
    """Return the names, sorted; None if they cannot be read, or are megabytes."""
    link, is_simple = Link(index.url), index.format == "simple"
    if link.is_file and (is_simple or link.is_existing_dir()):
        folder = Path(link.file_path)
        entries: list[str] | None = [one.name for one in folder.glob("*")]
    elif is_simple:
        entries = _of_root(collector, link)
    else:
        page = collector.fetch_response(link)
        entries = [one.filename for one in parse_links(page)] if page is not None else []
    if entries is None or is_simple:
        return None if entries is None else tuple(sorted(map(canonicalize_name, entries)))
    return tuple(sorted({parsed[0] for parsed in map(name_and_version, entries) if parsed}))


def _of_root(collector: LinkCollector, link: Link) -> list[str] | None:
    """Read the list of all projects (PEP 503, PEP 691)."""
    url = f"{link.url_without_fragment.rstrip('/')}/"
    try:
        response = collector.session.get(
            url, headers={"Accept": f"{index_files.JSON}, text/html"}, stream=True
        )
        with response:
            if not response.ok:
                return None
            body = response.raw.read(_MOST_BYTES, decode_content=True)
            if len(body) == _MOST_BYTES:
                return None
            return index_files.project_names(response.headers.get("Content-Type", ""), body)
    except (RequestException, NetworkConnectionError, OSError):
        return None
