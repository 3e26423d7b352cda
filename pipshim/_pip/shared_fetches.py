"""Fetch index pages, metadata files and archives once for all threads and targets."""

from __future__ import annotations

import inspect
from dataclasses import field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zipfile import BadZipFile

from pip._internal.exceptions import HashError, UnsupportedWheel
from pip._internal.index.collector import LinkCollector
from pip._internal.network.utils import HEADERS, raise_for_status

from pipshim._pip.links import cached_as, contained, secure_hashes, size_of
from pipshim._pip.logs import passed_over, repeat
from pipshim._pip.routed_search import RoutedCollector
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pip._internal.index.collector import IndexContent
    from pip._internal.models.link import Link

    from pipshim._pip.downloads import ObservedDownloader
    from pipshim.base.resolver_prefetch import PackageLookup
    from pipshim.project.metadata_cache import MetadataCache, StaticFiles

_LITTLE = 1 << 24
"""Up to which size, in bytes, a wheel is fetched ahead for its METADATA: 16 MB."""

_NAMES = int("package_name" in inspect.signature(LinkCollector.fetch_response).parameters)
"""How many names pip wants to know: from 26.2 on, a page may come from its cache by package."""


class Page(NamedTuple):
    """An index page; or None, and the reason in pip's log."""

    content: IndexContent | None
    passed_over: Mapping[str, str | None]


_results = partial(SharedResults[Any], keep_errors=True)


@dataclass
class SharedFetches:
    """What was fetched, for all targets of a command.

    Attributes:
        files: the cached metadata files.
        folder: where archives are put.
        outlines: knows the sdists that need not be fetched in advance.
        spared: gets the URLs of files that pip's cache need not keep.
        is_lazy: pip reads METADATA from parts of wheels (``fast-deps``).
        followed: the headers of files for any target, by index and lookup.

    """

    collector: LinkCollector
    files: MetadataCache
    downloader: ObservedDownloader
    folder: Path
    outlines: StaticFiles
    spared: set[str]
    is_lazy: bool = False
    followed: dict[tuple[str | None, PackageLookup], bytes] = field(
        default_factory=dict, init=False
    )
    _numbers: Iterator[int] = field(default_factory=count, init=False)
    _pages: SharedResults[Page] = field(default_factory=_results, init=False)
    _metadata: SharedResults[bytes | None] = field(default_factory=_results, init=False)
    _archives: SharedResults[tuple[str, str]] = field(default_factory=_results, init=False)

    def page(self, location: Link, *package: str) -> IndexContent | None:
        """Return a page, of a named package on an index; None if it cannot be read."""
        page = self._pages.get(location.url, lambda: self._page(location, *package))
        repeat(page.passed_over)
        return page.content

    def metadata(self, wheel: Link) -> bytes | None:
        """Return the headers of a wheel's METADATA; None if pip has to get it."""
        return self._metadata.get(wheel.url, lambda: self._headers(wheel))

    def archive(self, link: Link) -> tuple[str, str]:
        """Return the path and type of an sdist or wheel, before its hash is checked."""
        return self._archives.get(link.url_without_fragment, lambda: self._archive(link))

    def archived(self, link: Link) -> Path | None:
        """Return an archive that was fetched, or is being fetched; None if it is not."""
        found = self._archives.peek(link.url_without_fragment, wait=True)
        return Path(found[0]) if found is not None else None

    def has_page(self, url: str) -> bool:
        """Return whether a page was asked for."""
        return url in self._pages

    def in_advance(self, file: object) -> bytes | None:
        """Fetch what the resolver will ask of a file, if that is cheap; return its METADATA."""
        link = cast("Link", file)
        if not link.url.startswith(("http://", "https://")):
            return None
        if link.is_wheel:
            return self.metadata(link) if self._costs_little(link) else None
        if not self.outlines.has(secure_hashes(link).get("sha256")):
            self.archive(link)
        return None

    def is_for_any_target(self, file: object) -> bool:
        """Return whether another target is likely to get the same file."""
        return cast("Link", file).filename.endswith("-none-any.whl")

    def _costs_little(self, wheel: Link) -> bool:
        """Return whether fetching a wheel's METADATA in vain would be cheap."""
        if wheel.metadata_link() is not None or self.files.has(cached_as(wheel)):
            return True
        size = size_of(wheel)
        return size is not None and size <= _LITTLE

    def _headers(self, wheel: Link) -> bytes | None:
        contents = self._metadata_of(wheel)
        # The rest of the file is the description.
        return contents.partition(b"\n\n")[0] if contents is not None else None

    def _metadata_of(self, wheel: Link) -> bytes | None:
        link = wheel.metadata_link()
        if link is not None:
            return self._offered(wheel, link)
        contents = self.files.find(cached_as(wheel))
        if contents is not None or self.is_lazy or not wheel.has_hash or wheel.is_file:
            return contents
        path = Path(self.archive(wheel)[0])
        try:
            wheel.as_hashes().check_against_path(str(path))
            contents = contained(path, wheel)
        except (HashError, UnsupportedWheel, BadZipFile):
            return None  # pip says it better
        if wheel.hash_name == "sha256":
            self.files.keep(cached_as(wheel), contents)
        return contents

    def _offered(self, wheel: Link, link: Link) -> bytes:
        """Return the METADATA that the index offers (PEP 658).

        Raises:
            HashMismatch: its hash differs from the index's.

        """
        sha256 = link.hash if link.hash_name == "sha256" else None
        contents = self.files.find(cached_as(wheel), sha256) if sha256 is not None else None
        if contents is not None:
            return contents
        if self.files.is_used and sha256 is not None:
            self.spared.add(link.url_without_fragment)
        response = self.collector.session.get(link.url_without_fragment, headers=HEADERS)
        raise_for_status(response)
        hashes = link.as_hashes()
        if hashes:
            hashes.check_against_chunks([response.content])
        if sha256 is not None:
            self.files.keep(cached_as(wheel), response.content)
        return response.content

    def _page(self, location: Link, *package: str) -> Page:
        with passed_over() as pages:
            content = self.collector.fetch_response(location, *package[:_NAMES])
        return Page(content, pages)

    def _archive(self, link: Link) -> tuple[str, str]:
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return self.downloader(link, str(folder))


class Collector(RoutedCollector):
    """pip's collector of links, which uses prefetched pages."""

    fetched: SharedFetches | None = None

    def fetch_response(self, location: Link, *package: Any, **name: Any) -> IndexContent | None:
        if self.fetched is None:
            page = super().fetch_response(location, *package[:_NAMES], **name)
        else:
            page = self.fetched.page(location, *package, *name.values())
        # Each target of a lock reads its links.
        return replace(page, cache_link_parsing=True) if page is not None else None
