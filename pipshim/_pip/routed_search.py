"""Make pip search each package only in the index chosen for it, and list such an index."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
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
    from collections.abc import Callable

    from packaging.utils import NormalizedName
    from pip._internal.index.collector import CollectedSources
    from pip._internal.index.sources import CandidatesFromPage
    from pip._internal.network.session import PipSession

    from pipshim.base.masking import Mask
    from pipshim.model.package_sources import Index


class RoutedCollector(LinkCollector):
    """A link collector that uses the index of each package.

    Attributes:
        routes: where packages are looked up; None for pip's options alone.

    """

    routes: IndexRoutes | None = None
    _given: SearchScope

    @property
    def search_scope(self) -> SearchScope:
        """Where packages without an index of their own are looked for."""
        return self._given if self.routes is None else self._scope(self.routes.shared)

    @search_scope.setter
    def search_scope(self, scope: SearchScope) -> None:
        """Set pip's own options; requirements files add to them."""
        self._given = scope

    def scope_of(self, project_name: str) -> SearchScope:
        """Return where a package is looked for."""
        if self.routes is None:
            return self._given
        return self._scope(partial(self.routes.locations, canonicalize_name(project_name)))

    def _scope(self, locations: Callable[[Locations], Locations]) -> SearchScope:
        given = self._given
        found = locations(Locations(tuple(given.index_urls), tuple(given.find_links)))
        return SearchScope(list(found.find_links), list(found.index_urls), given.no_index)

    def collect_sources(
        self, project_name: str, candidates_from_page: CandidatesFromPage
    ) -> CollectedSources:
        """Collect where a package is looked up."""
        narrowed = copy(self)
        narrowed.routes, narrowed.search_scope = None, self.scope_of(project_name)
        return LinkCollector.collect_sources(narrowed, project_name, candidates_from_page)


def follow_routes(collector: LinkCollector, routes: IndexRoutes) -> None:
    """Let a collector follow routes."""
    if not (routes.indexes or routes.limits):
        return
    given = collector.search_scope
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


def scope_of(collector: LinkCollector, project_name: str) -> SearchScope:
    if isinstance(collector, RoutedCollector):
        return collector.scope_of(project_name)
    return collector.search_scope


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
