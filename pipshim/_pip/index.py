"""pip's finder, which remembers all files of a version and orders versions by preference.

pip's finder returns the files that suit the target; a lock lists all, so this one keeps what pip
has read. The preferred version (an earlier lock's, or the lowest) is put last, which pip's resolver
takes first (``pip._internal.resolution.resolvelib.factory``).
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import datetime, timezone
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from packaging.utils import canonicalize_name
from pip._internal.index import package_finder
from pip._internal.index.collector import CacheablePageContent, parse_links
from pip._internal.index.package_finder import BestCandidateResult, LinkType, PackageFinder
from pip._internal.models.link import Link
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.version import InvalidVersion
from pip._vendor.packaging.version import Version as PipVersion

from pipshim._pip import patches
from pipshim._pip.links import note_size, secure_hashes
from pipshim._pip.logs import passed_over
from pipshim._pip.pip_texts import NO_FOLDER
from pipshim._pip.routed_search import RoutedCollector, names_in, scope_of
from pipshim.model import cutoff, index_files
from pipshim.model.artifacts import digest_of_file, name_and_version
from pipshim.model.conflict import OnlyIndex, Refusal, Refused
from pipshim.model.fetch_errors import NOT_CACHED
from pipshim.model.index_files import Listing, LockedFiles, Newest, PageCut, TargetFilter
from pipshim.model.index_routes import IndexRoutes
from pipshim.model.version_order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version
    from pip._internal.index.collector import IndexContent
    from pip._internal.index.package_finder import LinkEvaluator
    from pip._internal.models.candidate import InstallationCandidate
    from pip._internal.models.release_control import ReleaseControl
    from pip._internal.utils.hashes import Hashes

    from pipshim.base.resolver_prefetch import Prefetch

_logger = logging.getLogger(package_finder.__name__)
_order: ContextVar[Order | None] = ContextVar("order", default=None)

REFUSALS = {
    LinkType.requires_python_mismatch: Refusal.PYTHON,
    LinkType.platform_mismatch: Refusal.PLATFORM,
    LinkType.format_unsupported: Refusal.FORMAT,
    LinkType.upload_too_late: Refusal.UPLOADED_LATER,
    LinkType.yanked: Refusal.YANKED,
}


class Finder(PackageFinder):
    """pip's finder, which remembers what it read, and offers versions in a given order.

    Attributes:
        ahead: prefetches from the first look at the index on.
        kept: files of an earlier lock, used instead of index pages while one of them is best.
        knows_metadata: returns whether a wheel's metadata is cached.

    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._links: dict[NormalizedName, dict[str, Link]] = {}
        self._listings: dict[NormalizedName, dict[str, Listing]] = {}
        self._seen_newest: dict[
            tuple[NormalizedName, SpecifierSet | None, frozenset[PipVersion]],
            list[InstallationCandidate] | None,
        ] = {}
        self._cut: PageCut | None = None
        self._asked: set[str] = set()
        self._fetched: set[NormalizedName] = set()
        self._skipped: dict[str, LinkType] = {}
        self._unread: dict[NormalizedName, dict[str, str | None]] = {}
        self._alone = threading.RLock()
        self._started = datetime.now(timezone.utc)
        self.ahead: Prefetch | None = None
        self.kept = LockedFiles()
        self.knows_metadata: Callable[[Link], bool] = lambda _: False

    @property
    def order(self) -> Order:
        """The order of this thread's resolve."""
        return _order.get() or Order()

    @property
    def _routes(self) -> IndexRoutes:
        collector = self._link_collector
        given = collector.routes if isinstance(collector, RoutedCollector) else None
        return given or IndexRoutes()

    def only_index(self, name: NormalizedName) -> OnlyIndex | None:
        index = self._routes.packages.get(name)
        if index is None:
            return None
        return OnlyIndex(index.name, partial(names_in, self._link_collector, index))

    def cutoff(self, name: NormalizedName) -> str | None:
        urls = [*self._pages(name), *scope_of(self._link_collector, name).find_links]
        moments = [self._upload_limit(name, url) for url in urls]
        moment = next((one for one in moments if one is not None), None)
        return moment.isoformat() if moment is not None else None

    def _upload_limit(self, name: NormalizedName, url: str) -> datetime | None:
        """Return the moment before which a package's files on an index have to be uploaded."""
        limit = self._routes.limit(name, url)
        if limit is None:
            return self.uploaded_prior_to
        return cutoff.moment(limit, now=self._started) if limit is not False else None

    def _limited(self, evaluator: LinkEvaluator, page: str) -> LinkEvaluator:
        """Return an evaluator with the upload limit of an index or package.

        Args:
            evaluator: pip's.
            page: the URL of a package's page, or of a page of links.

        """
        name = canonicalize_name(evaluator.project_name)
        url = next((index for index, its in self._pages(name).items() if its == page), page)
        moment = self._upload_limit(name, url)
        if moment == self.uploaded_prior_to:
            return evaluator
        limited = copy(evaluator)
        patches.override(limited, _uploaded_prior_to=moment)
        return limited

    @contextmanager
    def ordered(self, order: Order) -> Iterator[None]:
        """Offer versions in an order, in this thread."""
        token = _order.set(order)
        try:
            yield
        finally:
            _order.reset(token)

    def find_all_candidates(self, project_name: str) -> list[InstallationCandidate]:
        """Find candidates as pip does, and note the unreadable pages that pip passes over."""
        name = canonicalize_name(project_name)
        if self.ahead is not None:  # offline, nothing is kept in memory
            self.fetch_pages(name, before_reading=True)
        with self._alone, passed_over() as pages:
            found = super().find_all_candidates(project_name)
            unread = self._unread.setdefault(name, {})
            unread.update(pages)
        if self.ahead is not None and not self.kept.has(name) and not any(unread.values()):
            self._asked.update(
                index
                for index, page in self._pages(name).items()
                if page.startswith(("http://", "https://")) and self.ahead.was_asked_for(page)
            )
            self.ahead.begin()  # not where an index fails: its error, or its question, comes once
        return found

    def fetch_pages(self, name: NormalizedName, *, before_reading: bool = False) -> bool:
        """Fetch a package's pages without holding the lock.

        Only indexes on a network that pip has asked before are asked: their credentials are known.

        Args:
            before_reading: ask all that are encrypted; pip does not ask what is not trusted either.

        Returns:
            whether there is such an index.

        """
        if not self.kept.has(name) and not (before_reading and name in self._fetched):
            with passed_over():  # whoever reads the page reports what went wrong
                for index, page in self._pages(name).items():
                    if index in self._asked or (before_reading and page.startswith("https://")):
                        self._link_collector.fetch_response(Link(page), name)
            if before_reading:
                self._fetched.add(name)
        return bool(self._asked)

    def route_of(self, name: NormalizedName) -> str | None:
        """Return the one index that a package comes from; None: from all that are searched."""
        index = self._routes.packages.get(name)
        return None if index is None else index.url

    def _pages(self, name: NormalizedName) -> dict[str, str]:
        """Return the page of a package on each of its indexes."""
        scope = scope_of(self._link_collector, name)
        return dict(zip(scope.index_urls, scope.get_index_urls_locations(name), strict=True))

    def process_project_url(
        self, project_url: Link, link_evaluator: LinkEvaluator
    ) -> list[InstallationCandidate]:
        """Read the links of a page, or the earlier lock's."""
        link_evaluator = self._limited(link_evaluator, project_url.url)
        name = canonicalize_name(link_evaluator.project_name)
        if self.kept.has(name):
            url = project_url.url
            if url in self._pages(name).values():
                return self.evaluate_links(link_evaluator, self._links_of_lock(name, url))
        # At that level pip says of each file why it passes over it.
        if project_url.url not in self._pages(name).values() or _logger.isEnabledFor(logging.DEBUG):
            return super().process_project_url(project_url, link_evaluator)
        page = self._link_collector.fetch_response(project_url, link_evaluator.project_name)
        if page is None:
            return []
        url = project_url.url
        listing = self._listings.setdefault(name, {}).setdefault(url, listing_of(page, name))
        numbers = self._cut.numbers(listing) if self._cut is not None else listing.all()
        return super().evaluate_links(link_evaluator, self._suiting.among(listing, numbers))

    def _links_of_lock(self, name: NormalizedName, page: str) -> Iterator[Link]:
        for file, requires_python in self.kept.files(name, page):
            assert file.url is not None  # as those of all packages that are kept
            link = Link(
                file.url,
                comes_from=page,
                requires_python=requires_python,
                hashes=dict(file.hashes),
                upload_time=file.upload_time,
            )
            note_size(link, file.size)
            yield link

    @cached_property
    def _suiting(self) -> TargetFilter:
        return TargetFilter(self.target_python.get_unsorted_tags())

    def set_release_control(self, release_control: ReleaseControl) -> None:
        """Admit other prereleases from now on."""
        super().set_release_control(release_control)
        self._best_candidates.clear()

    # What an earlier lock has

    def needs_page(self, name: NormalizedName, specifier: str) -> bool:
        """Return whether a requirement alone needs a package's page."""
        with self._alone:
            return self._from_lock(name, SpecifierSet(specifier), None) is None

    def _from_lock(
        self, name: NormalizedName, specifier: Any, hashes: Hashes | None
    ) -> BestCandidateResult | None:
        """Return the best file of the earlier lock, if the page would lead to the same choice.

        That is so if the preferred version is in the lock, as are those preferred before it.
        Requirements with hashes need the page.
        """
        if hashes or not self.kept.has(name):
            return None
        result = self._in_order(name, super().find_best_candidate(name, specifier, hashes), hashes)
        best = result.best_candidate
        wanted = self.order.wanted(name)
        holds = (
            best is not None
            and str(best.version) in set(map(str, wanted))
            and wanted <= set(self.kept.versions(name))
            and (not best.link.is_wheel or self.knows_metadata(best.link))
        )
        return result if holds else None

    def keeps(self, package: Package) -> bool:
        """Return whether a page that is searched would have all files of a locked package."""
        name = package.name
        formats = self.format_control.get_allowed_formats(name)
        pages = self._pages(name).items() if self.kept.has(name) else ()
        return any(
            index_files.has_all(package, page, formats, self._upload_limit(name, index))
            for index, page in pages
        )

    def _look_up(self, name: NormalizedName) -> None:
        """Use a package's page from now on."""
        with self._alone:
            if not self.kept.has(name):
                return
            self.kept.forget(name)
            self._fetched.discard(name)
            self._links.pop(name, None)
            self._listings.pop(name, None)
            for newest in [one for one in self._seen_newest if one[0] == name]:
                del self._seen_newest[newest]
            for known in [one for one in self._all_candidates if canonicalize_name(one) == name]:
                del self._all_candidates[known]
            for key in [one for one in self._best_candidates if canonicalize_name(one[0]) == name]:
                del self._best_candidates[key]

    def look_up_all(self) -> bool:
        """Use all pages from now on; return whether that may change the result.

        It does not if an index cannot be read.
        """
        with self._alone:
            if any(any(pages.values()) for pages in self._unread.values()):
                return False
            asked = [name for name in self._unread if self.kept.has(name)]
            for name in asked:
                self._look_up(name)
            self.kept = LockedFiles()
        if asked and self.ahead is not None:
            self.ahead.again()
        return bool(asked)

    def best_of(self, name: NormalizedName, specifier: str) -> Link | None:
        """Return the file that would be chosen for one requirement alone."""
        best = self.find_best_candidate(name, SpecifierSet(specifier)).best_candidate
        return best.link if best is not None else None

    def _log_skipped_link(self, link: Link, result: LinkType, detail: str) -> None:
        self._skipped[link.url] = result
        super()._log_skipped_link(link, result, detail)

    def was_asked_for(self, name: NormalizedName) -> bool:
        """Return whether the files of a package were looked up."""
        return name in self._unread

    def is_out_of_reach(self, name: NormalizedName) -> bool:
        """Tell whether nothing is known of a package since an index could not be asked for it."""
        failed = [why for why in self._passed_over(name).values() if why is not None]
        is_offline = any(NOT_CACHED in why for why in failed)
        return bool(failed) and not is_offline and not self.find_all_candidates(name)

    def _looked_up(self, name: NormalizedName) -> list[InstallationCandidate]:
        self._look_up(name)
        return self.find_all_candidates(name)

    def unread(self, name: NormalizedName) -> dict[str, str | None]:
        self._looked_up(name)
        return self._passed_over(name)

    def _passed_over(self, name: NormalizedName) -> dict[str, str | None]:
        # In an index that is a folder of this machine, a package that it lacks has no folder.
        pages: dict[str, str | None] = {}
        for page, why in self._unread.get(name, {}).items():
            folder = NO_FOLDER.match(page)
            pages[folder[1] if folder else page] = None if folder else why
        return pages

    def refused(self, name: NormalizedName) -> list[Refused]:
        """Return the files of a package that the target, or an option, excludes."""
        self._looked_up(name)
        links: list[Link] = []
        for page, listing in self._listings.get(name, {}).items():
            of_page = listing.links(listing.all())
            # Of most of these pip has not been asked yet.
            evaluator = self._limited(self.make_link_evaluator(name), page)
            super().evaluate_links(evaluator, of_page)
            links += of_page
        found = []
        for link in (*links, *self._links.get(name, {}).values()):
            why = self._skipped.get(link.url)
            parsed = name_and_version(link.filename)
            # pip looks at the page itself as if it might be a file, and skips it.
            if why is not None and parsed is not None and parsed[0] == name:
                refusal = REFUSALS.get(why, Refusal.OTHER)
                found.append(Refused(link.filename, parsed[1], refusal, link.requires_python))
        return found

    def yanked(self, name: NormalizedName) -> dict[str, str]:
        yanked = [one for one in self._looked_up(name) if one.link.is_yanked]
        return {str(one.version): one.link.yanked_reason or "" for one in yanked}

    def evaluate_links(
        self, link_evaluator: LinkEvaluator, links: Iterable[Link]
    ) -> list[InstallationCandidate]:
        """Note the links that pip is about to evaluate."""
        seen = list(links)
        name = canonicalize_name(link_evaluator.project_name)
        self._links.setdefault(name, {}).update((one.url, one) for one in seen)
        return super().evaluate_links(link_evaluator, seen)

    def find_best_candidate(
        self,
        project_name: str,
        specifier: Any = None,
        hashes: Hashes | None = None,
    ) -> BestCandidateResult:
        """Find candidates as pip does, the preferred version last."""
        name = canonicalize_name(project_name)
        with self._alone:
            known = self._from_lock(name, specifier, hashes)
            if known is not None:
                return known
            self._look_up(name)
        if self.ahead is not None:  # offline, nothing is kept in memory
            self.fetch_pages(name, before_reading=True)
        results: dict[Hashable, BestCandidateResult] = self.order.results
        control = self.release_control
        prereleases = control.allows_prereleases(cast("Any", name)) if control is not None else None
        key = (name, specifier, prereleases, hashes, self.order.is_lowest_first(name))
        with self._alone:
            if key not in results:
                found = self._best_of_newest(project_name, specifier) if not hashes else None
                results[key] = found or self._best_of_all(project_name, specifier, hashes)
            return results[key]

    def _best_of_all(
        self, project_name: str, specifier: Any, hashes: Hashes | None = None
    ) -> BestCandidateResult:
        with self._alone:
            found = super().find_best_candidate(project_name, specifier, hashes)
            return self._in_order(canonicalize_name(project_name), found, hashes)

    # The newest versions

    def _best_of_newest(self, project_name: str, specifier: Any) -> BestCandidateResult | None:
        """Return the newest versions first, if that is the order; None: all are needed.

        Yanked files come behind all others, and prereleases count only if there is nothing else
        (``pip._internal.index.package_finder.CandidateEvaluator``), so one of the newest has to be
        neither. If other targets' versions are offered, sdists may come behind any wheel.
        """
        name = canonicalize_name(project_name)
        if self.order.is_lowest_first(name) or self._candidate_prefs.prefer_binary:
            return None
        for admitted in (None, specifier):
            newest = self._newest(project_name, admitted)
            if newest is None:
                return None
            evaluator = self.make_candidate_evaluator(project_name, specifier)
            found = [
                one for one in evaluator.get_applicable_candidates(newest) if not one.link.is_yanked
            ]
            if name in self.order.offered and not any(one.link.is_wheel for one in found):
                return None
            if any(not one.version.is_prerelease for one in found):
                first = self._in_order(name, BestCandidateResult(newest, found, found[-1]), None)
                candidates = Newest(
                    first.applicable_candidates,
                    lambda: self._best_of_all(project_name, specifier).applicable_candidates,
                )
                return BestCandidateResult(newest, candidates, first.best_candidate)
        return None

    def _newest(
        self, project_name: str, specifier: SpecifierSet | None
    ) -> list[InstallationCandidate] | None:
        """Read the newest versions that fit, and the preferred ones; None: all are needed."""
        name = canonicalize_name(project_name)
        preferred = frozenset(PipVersion(str(one)) for one in self.order.wanted(name))
        key = (name, specifier, preferred)
        if key not in self._seen_newest:
            if project_name in self._all_candidates:
                return None
            cut = self._cut = PageCut(specifier, preferred)
            try:
                found = self.find_all_candidates(project_name)
            finally:
                self._cut = None
            if cut.is_cut:
                del self._all_candidates[project_name]
            self._seen_newest[key] = cut.within(found) if cut.is_cut else None
        return self._seen_newest[key]

    def _in_order(
        self, name: NormalizedName, result: BestCandidateResult, hashes: Hashes | None
    ) -> BestCandidateResult:
        found = self.order.arranged(
            name, result.applicable_candidates, lambda one: self._outranking(one.link, hashes)
        )
        # Of files that are equally good, pip's resolver takes the last one.
        return BestCandidateResult(result.all_candidates, found, found[-1] if found else None)

    def _outranking(self, link: Link, hashes: Hashes | None) -> tuple[bool, bool, bool]:
        """Return what counts more than a file's version (``CandidateEvaluator._sort_key``)."""
        return (
            link.is_hash_allowed(hashes),
            not link.is_yanked,
            self._candidate_prefs.prefer_binary and link.is_wheel,
        )

    def versions(self, name: NormalizedName) -> list[str]:
        """Return the versions that pip found for the target, oldest first."""
        return [*map(str, sorted({one.version for one in self._looked_up(name)}))]

    def files(self, name: NormalizedName, version: Version, chosen: Link) -> list[Link]:
        """Return the files of a version that a lock lists, for any target."""
        if name not in self._listings and name not in self._links:
            self.find_all_candidates(name)
        with self._alone:
            listings = [*self._listings.get(name, {}).values()]
            links = [*self._links.get(name, {}).values()]
        listed = [listing.links(listing.of([PipVersion(str(version))])) for listing in listings]
        all_links = (*chain.from_iterable(listed), *links)
        its = [one for one in all_links if name_and_version(one.filename) == (name, version)]
        allowed = self.format_control.get_allowed_formats(name)
        return index_files.files_to_lock(its, chosen, allowed, _same_content)


def listing_of(page: IndexContent, name: NormalizedName) -> Listing:
    """Return the files of a package's page, which is read once for all targets."""
    return _listing(CacheablePageContent(page), name)


@cache
def _listing(cacheable: CacheablePageContent, name: NormalizedName) -> Listing:
    page = cacheable.page
    link = partial(Link.from_json, page_url=page.url)
    return Listing(partial(_read_files, page), name, link, _version)


def _read_files(page: IndexContent) -> list[Any]:
    if page.content_type.lower().startswith(index_files.JSON):
        files: list[Any] = json.loads(page.content).get("files", [])  # whole: see `_pip.downloads`
        return files
    return list(parse_links(page))


@cache
def _version(text: str) -> PipVersion | None:
    try:
        return PipVersion(text)
    except InvalidVersion:
        return None


def _same_content(local: Link, link: Link) -> bool:
    sha256 = secure_hashes(link).get("sha256")
    return sha256 is not None and sha256 == (
        secure_hashes(local).get("sha256") or digest_of_file(Path(local.file_path))
    )
