"""Index pages, metadata files and sdists, fetched before pip's resolver gets to them, at once.

The resolver looks at one package after the other, so on a network it mostly waits. Here threads go
ahead of it: from what is required, and from what that requires in turn, as soon as it is known.
Which version will be chosen is a guess (the best that one requirement admits); a wrong one costs a
file. Nothing is decided here: pip asks for pages and files as ever, and gets what is there.
"""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from packaging.utils import NormalizedName, canonicalize_name
from pip._internal.index.collector import LinkCollector
from pip._internal.models.link import Link
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement

from pipshim._pip.downloads import ObservedDownloader
from pipshim._pip.listening import passed_over, repeat

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pip._internal.index.collector import IndexContent

    from pipshim._pip.index import Finder
    from pipshim._pip.metadata import MetadataFiles

T = TypeVar("T")

_AT_ONCE = 8
_TAKES_NAME = "package_name" in inspect.signature(LinkCollector.fetch_response).parameters
"""Whether pip decides per package if a page may come from its cache (it does from 26.2 on)."""


class Wanted(NamedTuple):
    """A package that the resolver is going to look at.

    Attributes:
        name: the package.
        specifier: the versions that one requirement admits (PEP 440).
        extras: of the package.

    """

    name: NormalizedName
    specifier: str = ""
    extras: frozenset[str] = frozenset()


class Page(NamedTuple):
    """An index page; or none, and what pip's log says of why."""

    content: IndexContent | None
    passed_over: Mapping[str, str | None]


class Fetched:
    """What was fetched, each page and file once, for all targets of a command.

    Args:
        files: fetches metadata files.
        downloader: fetches sdists.
        folder: where it puts them.

    Attributes:
        files, folder: likewise.
        pages: index pages, by URL.

    """

    def __init__(self, files: MetadataFiles, downloader: ObservedDownloader, folder: Path) -> None:
        self.pages: dict[Hashable, Future[Page]] = {}
        self.files = files
        self._downloader = downloader
        self.folder = folder
        self._numbers = count()
        self._metadata: dict[Hashable, Future[bytes]] = {}
        self._sdists: dict[Hashable, Future[tuple[str, str]]] = {}
        self._guard = threading.Lock()

    def metadata(self, wheel: Link) -> bytes:
        """Answer a wheel's metadata file."""
        return self.once(self._metadata, wheel.url, lambda: self.files.fetch(wheel))

    def sdist(self, link: Link) -> tuple[str, str]:
        """Answer the path and the type of an sdist, which nobody has checked yet."""
        return self.once(self._sdists, link.url, lambda: self._download(link))

    def _download(self, link: Link) -> tuple[str, str]:
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return self._downloader(link, str(folder))

    def once(self, memo: dict[Hashable, Future[T]], key: Hashable, work: Callable[[], T]) -> T:
        with self._guard:
            future = memo.get(key)
            mine = future is None
            if future is None:
                future = memo[key] = Future()
        if mine:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()


class Ahead:
    """Fetches ahead of the resolver.

    Args:
        fetched: what is there already; where more comes from.
        environment: the target's markers.

    Attributes:
        finder: looks up candidates; nothing is fetched before there is one.
        left_out: what no index is to be asked for.

    """

    def __init__(self, fetched: Fetched, environment: Mapping[str, str]) -> None:
        self.finder: Finder | None = None
        self.left_out: set[NormalizedName] = set()
        self._fetched = fetched
        self._environment = dict(environment)
        self._seen: set[Wanted] = set()
        self._waiting: list[Wanted] = []
        self._queue: SimpleQueue[Wanted | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._begun = False
        self._guard = threading.Lock()

    def want(self, packages: Iterable[Wanted]) -> None:
        """Take note of what will be looked at; it is fetched once `begin` was called."""
        with self._guard:
            known = self._seen
            distinct = dict.fromkeys(packages)
            new = [one for one in distinct if one not in known and one.name not in self.left_out]
            self._seen.update(new)
            if not self._begun:
                self._waiting += new
                return
        for one in new:
            self._queue.put(one)
        with self._guard:
            while new and len(self._threads) < _AT_ONCE:
                new.pop()
                # Daemons: at the end of the command nobody waits for what nobody asked for.
                thread = threading.Thread(target=self._work, daemon=True)
                self._threads.append(thread)
                thread.start()

    def begin(self) -> None:
        """Begin: pip has asked each index once, so credentials that they want are known."""
        if not self._begun:
            self._begun = True
            with self._guard:
                waiting, self._waiting = self._waiting, []
                self._seen.difference_update(waiting)
            self.want(waiting)

    def rest(self) -> None:
        """Let the threads end; what they have not begun is forgotten. `begin` begins again."""
        with self._guard:
            self._begun = False
        while not self._queue.empty():
            self._queue.get()
        self._queue.put(None)
        while self._threads:
            self._threads.pop().join()
        while not self._queue.empty():
            self._queue.get()

    def page(self, link: Link, fetch: Callable[[], IndexContent | None]) -> IndexContent | None:
        """Answer an index page, fetched by now, or by `fetch`."""

        def noted() -> Page:
            with passed_over() as pages:
                return Page(fetch(), pages)

        page = self._fetched.once(self._fetched.pages, link.url, noted)
        repeat(page.passed_over)
        return page.content

    def again(self) -> None:
        """Begin anew with what will be looked at."""
        with self._guard:
            self._seen.clear()

    def metadata(self, wheel: Link) -> bytes:
        """Answer a wheel's metadata file (PEP 658), fetched by now, or now."""
        return self._fetched.metadata(wheel)

    def _work(self) -> None:
        while True:
            wanted = self._queue.get()
            if wanted is None:
                self._queue.put(None)  # for the others
                return
            try:
                self._fetch(wanted)
            except Exception:  # noqa: BLE001, S112 the resolver will meet it, and say it
                continue

    def _fetch(self, wanted: Wanted) -> None:
        finder = self.finder
        if finder is None or not finder.needs_page(wanted.name, wanted.specifier):
            return
        collector = finder._link_collector  # noqa: SLF001 pip's finder keeps it to itself
        pages = [
            Link(url)
            for url in collector.search_scope.get_index_urls_locations(wanted.name)
            if url.startswith(("http://", "https://"))
        ]
        name = (wanted.name,) if _TAKES_NAME else ()
        for page in pages:
            self.page(page, partial(LinkCollector.fetch_response, collector, page, *name))
        if not pages:
            return
        best = finder.best_of(wanted.name, wanted.specifier)
        if best is None or not best.url.startswith(("http://", "https://")):
            return
        if best.metadata_link() is not None:
            self.want(self._required(self.metadata(best), wanted.extras))
        elif not best.is_wheel:
            self._fetched.sdist(best)

    def _required(self, contents: bytes, extras: frozenset[str]) -> Iterator[Wanted]:
        """Tell what a METADATA file requires in the target environment."""
        head = contents.partition(b"\n\n")[0]
        for line in head.decode("utf-8", "replace").splitlines():
            field, _, value = line.partition(":")
            if field.lower() != "requires-dist":
                continue
            try:
                requirement = Requirement(value.strip())
            except InvalidRequirement:
                continue
            marker = requirement.marker
            if requirement.url is None and (
                marker is None
                or any(marker.evaluate({**self._environment, "extra": e}) for e in ("", *extras))
            ):
                yield wanted_of(requirement)


class AheadDownloader(ObservedDownloader):
    """A downloader that answers sdists that were fetched ahead."""

    fetched: Fetched | None = None

    def __call__(self, link: Link, location: str) -> tuple[str, str]:
        """Download a file, unless that has been done."""
        if self.fetched is not None and not link.is_wheel:
            return self.fetched.sdist(link)
        return super().__call__(link, location)


class Collector(LinkCollector):
    """pip's collector of links, which answers pages that were fetched ahead."""

    ahead: Ahead | None = None

    def fetch_response(self, location: Link, *package: Any, **name: Any) -> IndexContent | None:
        """Fetch a page, unless that has been done."""
        fetch = super().fetch_response
        if self.ahead is None:
            page = fetch(location, *package, **name)
        else:
            page = self.ahead.page(location, lambda: fetch(location, *package, **name))
        # Each target of a lock reads its links.
        return replace(page, cache_link_parsing=True) if page is not None else None


def wanted_of(requirement: Requirement) -> Wanted:
    """Tell what a requirement makes the resolver look at."""
    return Wanted(
        canonicalize_name(requirement.name),
        str(requirement.specifier),
        frozenset(requirement.extras),
    )
